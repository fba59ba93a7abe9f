"""One long table of ratings: the same rounds as the dataset that it was written from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import NOTES, Dataset
from commonweal.datasets.importers.ratings_columns import FIELDS, template_rows
from commonweal.datasets.importers.ratings_table import import_ratings
from commonweal.datasets.merging import merge
from commonweal.datasets.reliability import reliability
from commonweal.datasets.validation import check
from commonweal.errors import InputError
from commonweal.measures.bootstrap import Resampler

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from known_truth import simulate_study

from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.sections.divisiveness import divisiveness
from commonweal.evaluation.sections.exclusion import exclusion
from commonweal.evaluation.sections.human_opinions import against_human_opinions
from commonweal.evaluation.sections.win_rates import win_rates


def as_table(dataset: Dataset) -> pl.DataFrame:
    """A row for each rating, as a survey platform gives it: floats where there are gaps."""
    opinions = dataset.opinions.select("round_id", "participant_id", opinion="text")
    positions = dataset.position_ratings.rename({"agreement": "position"})
    key = ["round_id", "participant_id"]
    seen = (
        dataset.candidates.select("round_id", "candidate_id", opinion_id="included_opinion_ids")
        .explode("opinion_id")
        .join(
            dataset.opinions.select("round_id", "opinion_id", who="participant_id"),
            on=["round_id", "opinion_id"],
        )
        .group_by("round_id", "candidate_id")
        .agg(included=pl.col("who").str.join("; "))
    )
    return (
        dataset.ratings.join(dataset.rounds, on="round_id")
        .join(dataset.candidates, on=["round_id", "candidate_id"])
        .join(seen, on=["round_id", "candidate_id"], how="left")
        .join(opinions, on=key, how="left")
        .join(positions, on=key, how="left")
        .select(
            pl.col("participant_id").alias("Participant ID"),
            pl.col("group_id").alias("group"),
            pl.col("question_id").alias("Question"),
            pl.col("candidate_id").alias("statement"),
            pl.col("text"),
            pl.col("policy").alias("arm"),
            (pl.col("pass_index") + 1).alias("pass"),
            pl.col("agreement").cast(pl.Float64),
            pl.col("quality").cast(pl.Float64),
            pl.col("position_right").cast(pl.Float64).alias("position"),
            "opinion",
            pl.col("author_id").alias("author"),
            "included",
            "split",
            pl.lit("by hand").alias("remark"),
        )
    )


@pytest.fixture(scope="module")
def study() -> Dataset:
    dataset, _ = simulate_study(
        np.random.default_rng(3), n_groups=7, human_effect=0.0, missing_share=0.1
    )
    return dataset


def figures(dataset: Dataset) -> dict[str, tuple]:
    found = rated(dataset)
    resampler = Resampler(found.n_groups, 1000, np.random.default_rng(0))
    sections = (
        win_rates(found, resampler, "zero_shot"),
        divisiveness(found, resampler),
        against_human_opinions(found, resampler),
        exclusion(found, resampler),
    )
    return {
        figure.key: (figure.value and round(figure.value, 9), figure.n)
        for section in sections
        for figure in section.figures
    }


def write(table: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        book.active.append(table.columns)
        for row in table.iter_rows():
            book.active.append(row)
        book.save(path)
    else:
        separator = ";" if "semicolons" in path.name else ","
        path.write_bytes(
            ("\ufeff" + table.write_csv(separator=separator, null_value="")).encode("utf-8")
        )


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["r.csv", "semicolons.csv", "r.parquet", "r.xlsx"])
def test_a_table_gives_the_figures_of_the_rounds_that_it_holds(study, tmp_path, name):
    write(as_table(study), tmp_path / name)
    found = import_ratings(tmp_path / name, columns={"policy": "arm"})
    check(found, tmp_path)
    assert figures(found) == figures(study)
    (step,) = found.about.steps
    (note,) = step.options[NOTES]
    assert "Passes were numbered 1, 2" in note
    assert step.counts["columns left out"] == 1
    assert set(found.ratings["pass_index"]) == {0, 1}


def test_names_that_gaps_turned_into_decimals_are_the_same_names(tmp_path):
    table = pl.DataFrame(
        {
            "person": ["1.0", "2.0", "2.0"],
            "group": ["7"] * 3,
            "question": ["Q?"] * 3,
            "statement": ["a", "a", "b"],
            "policy": ["human", "human", "x"],
            "agreement": ["nan", "5.0", "6,0"],
            "author": ["1", "1.0", None],
            "included": [None, None, "1.0; 2"],
            "opinion": ["One.", "Two.", "Two."],
        }
    )
    table.write_csv(tmp_path / "r.csv")
    with pytest.raises(InputError, match="author is '2', and row 2 says '1'"):
        import_ratings(write_changed(tmp_path, table, author=["1", "2", None]))
    found = import_ratings(tmp_path / "r.csv")
    assert found.ratings["agreement"].to_list() == [None, 5, 6]
    assert set(found.ratings["participant_id"]) == {"1", "2"}
    human, other = found.candidates.sort("policy").iter_rows(named=True)
    assert human["author_id"] == "1"
    assert other["included_opinion_ids"] == ["1", "2"]


def write_changed(folder: Path, table: pl.DataFrame, **columns: list) -> Path:
    path = folder / "changed.csv"
    table.with_columns(pl.Series(name, values) for name, values in columns.items()).write_csv(path)
    return path


def test_every_problem_is_listed_at_once_with_its_row(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(
        tmp_path,
        table,
        agreement=["4.5", "9", "x", *table["agreement"][3:]],
        person=[*table["person"][:-1], ""],
        split=["test", *table["split"][1:]],
    )
    with pytest.raises(InputError) as caught:
        import_ratings(changed)
    told = str(caught.value)
    assert "5 problems; nothing was imported" in told
    for each in (
        "row 2: agreement is '4.5', expected a whole number from 1 to 7",
        "row 3: agreement is '9'",
        "row 4: agreement is 'x'",
        f"row {table.height + 1}: person is blank",
        "row 2: split is 'test', expected one of train, iid_test, ood_test",
    ):
        assert each in told


def test_faults_of_cells_and_of_what_rows_say_together_are_one_list(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(
        tmp_path,
        table,
        agreement=["4.5", *table["agreement"][1:]],
        opinion=["Another opinion.", *table["opinion"][1:]],
        policy=[*table["policy"][:-1], "My_Policy"],
    )
    lines = changed.read_text(encoding="utf-8").splitlines()
    lines[2] += ",behind, the table"
    changed.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        import_ratings(changed)
    for each in (
        "row 3: 16 cells, expected 14; is there a separator in a text that is not quoted?",
        "row 2: agreement is '4.5'",
        "row 3: opinion is",
        f"row {table.height + 1}: policy is 'My_Policy', and row 4 says 'my_policy'",
    ):
        assert each in str(caught.value)


@pytest.mark.parametrize(
    ("field", "one", "other", "told"),
    [
        ("person", "ana", "Ana", "person is 'Ana', and row 2 says 'ana'"),
        ("person", "ana", "ana\u200b", r"person is 'ana\u200b', and row 2 says 'ana'"),
        ("person", "josé", "jose\u0301", r"person is 'jose\u0301', and row 2 says 'jos\xe9'"),
        ("author", "ana", "ANA", "author is 'ANA', and row 2 says 'ana'"),
        ("policy", "gpt-4", "GPT-4", "policy is 'GPT-4', and row 2 says 'gpt-4'"),
        ("question", "Free?", "free?", "question is 'free?', and row 2 says 'Free?'"),
        ("statement", "Be free.", "Be  free.", "statement is 'Be  free.', and row 2"),
    ],
)
def test_one_thing_under_two_spellings_is_refused(tmp_path, field, one, other, told):
    table = pl.DataFrame(template_rows()).head(2).with_columns(pl.all().cast(pl.String))
    table = table.with_columns(included=pl.lit(""), **{"pass": pl.Series(["1", "2"])})
    if field == "statement":
        table = table.with_columns(policy=pl.lit("x"))
    if field == "author":
        table = table.with_columns(policy=pl.lit("human"), person=pl.lit("ana"))
    path = write_changed(tmp_path, table, **{field: [one, other]})
    with pytest.raises(InputError) as caught:
        import_ratings(path)
    assert told in str(caught.value)


def test_a_statement_without_its_policy_is_no_statement(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(
        tmp_path,
        table,
        policy=[None, *table["policy"][1:]],
        agreement=[None, *table["agreement"][1:]],
        quality=[None, *table["quality"][1:]],
    )
    with pytest.raises(InputError, match="row 2: policy is blank"):
        import_ratings(changed)


@pytest.mark.parametrize("number", ["inf", "-inf", "1e30", "1.5", "first"])
def test_a_pass_that_is_no_number_is_refused(tmp_path, number):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(tmp_path, table, **{"pass": [number, *table["pass"][1:]]})
    with pytest.raises(InputError, match="row 2: pass is"):
        import_ratings(changed)


def test_passes_that_begin_elsewhere_in_some_groups_are_compared_all_the_same(study, tmp_path):
    table = as_table(study)
    late = pl.col("group").is_in(table["group"].unique().sort().head(3).implode())
    for name, number in {
        "some groups": pl.when(late).then(pl.col("pass") + 1).otherwise("pass"),
        "blank first": pl.when(pl.col("pass") > 1).then("pass"),
        "times": pl.int_range(pl.len()) * 10 + pl.col("pass") + 1_700_000_000,
    }.items():
        write(table.with_columns(number.alias("pass")), tmp_path / f"{name}.csv")
        found = import_ratings(tmp_path / f"{name}.csv", columns={"policy": "arm"})
        check(found, tmp_path)
        assert set(found.ratings["pass_index"]) == {0, 1}, name
        kappas, meant = (
            reliability(each).sort("participant_id")["kappa", "n_repeated"]
            for each in (found, study)
        )
        assert kappas.equals(meant), name


def test_a_file_is_what_it_holds_and_messages_are_short(tmp_path):
    pl.DataFrame(template_rows()).write_parquet(tmp_path / "r.csv")
    assert import_ratings(tmp_path / "r.csv").ratings.height == 24
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(tmp_path, table, opinion=["x" * 9999, *table["opinion"][1:]])
    with pytest.raises(InputError, match="row 3: opinion is") as caught:
        import_ratings(changed)
    assert max(map(len, str(caught.value).splitlines())) < 300


def test_of_many_problems_forty_are_listed(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    wrong = {field: ["wrong"] * table.height for field in ("agreement", "quality", "pass", "split")}
    blank = {
        field: [None] * table.height
        for field in ("person", "group", "question", "statement", "policy")
    }
    with pytest.raises(InputError) as caught:
        import_ratings(write_changed(tmp_path, table, **wrong, **blank))
    _, *listed, last = str(caught.value).splitlines()
    assert (len(listed), last) == (40, "  ...")


def test_another_sheet_is_said(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = pl.DataFrame(template_rows())
    for sheet in (book.active, book.create_sheet("more")):
        sheet.append(rows.columns)
        for row in rows.iter_rows():
            sheet.append(row)
    book.save(tmp_path / "r.xlsx")
    notes = import_ratings(tmp_path / "r.xlsx").about.steps[0].options[NOTES]
    assert notes[0] == "Sheet 'Sheet' was read, not 'more'."


@pytest.mark.heavy
def test_what_was_done_on_import_stands_with_the_figures(study, tmp_path):
    write(as_table(study), tmp_path / "r.csv")
    found = import_ratings(tmp_path / "r.csv", columns={"policy": "arm"})
    assert "Passes were numbered 1, 2" in evaluate(found, n_resamples=1000).note


def test_parquet_may_hold_anything_beside_the_columns(tmp_path):
    rows = pl.DataFrame(template_rows())
    rows.with_columns(
        included=pl.lit(["ana", "ben"], pl.List(pl.String)),
        policy=pl.col("policy").cast(pl.Categorical),
        agreement=pl.when(pl.col("agreement") != 6).then(pl.col("agreement").cast(pl.Float32)),
        quality=pl.lit(float("nan")),
        nested=pl.lit([["a"], ["b"]], pl.List(pl.List(pl.String))),
        raw=pl.lit(b"\xff\xfe"),
        took=pl.duration(seconds=3),
        vector=pl.lit([1, 2], pl.Array(pl.Int64, 2)),
        both=pl.struct("person", "group"),
    ).write_parquet(tmp_path / "r.parquet")
    found = import_ratings(tmp_path / "r.parquet")
    assert found.about.steps[0].counts["columns left out"] == 5
    assert found.ratings["agreement"].null_count() == (rows["agreement"] == 6).sum()
    assert found.ratings["quality"].null_count() == rows.height
    assert found.candidates["included_opinion_ids"].to_list() == [["ana", "ben"]] * 4


def test_what_rows_say_of_one_thing_must_be_one(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    changed = write_changed(
        tmp_path,
        table,
        opinion=["Another opinion.", *table["opinion"][1:]],
        included=["ana; zed"] * table.height,
        **{"pass": ["1"] * table.height},
    )
    with pytest.raises(InputError) as caught:
        import_ratings(changed)
    for each in (
        "row 3: opinion is",
        "has rated this statement of zero_shot in this pass already",
        "included names 'zed', who has no opinion in that round",
    ):
        assert each in str(caught.value)


def test_missing_columns_are_named_with_the_way_to_name_them(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("person,group,question,statement,arm,score\na,g,q,s,p,5\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        import_ratings(path, columns={"polcy": "arm", "agreement": "scores"})
    for each in (
        "there is no field 'polcy'; did you mean 'policy'?",
        "--column agreement=scores: there is no column 'scores'; did you mean 'score'?",
        "there is no column 'policy'",
        "--column policy=NAME",
        "person, group, question, statement, arm, score",
    ):
        assert each in str(caught.value)
    found = import_ratings(path, columns={"policy": "arm", "agreement": "score"})
    assert found.ratings["agreement"].to_list() == [5]


def test_the_template_has_every_column():
    assert all(set(row) <= set(FIELDS) for row in template_rows())


def test_rows_that_say_they_do_not_count_are_left_out_and_counted(tmp_path):
    table = pl.DataFrame(template_rows()).with_columns(pl.all().cast(pl.String))
    is_ana = [name == "ana" for name in table["person"]]
    path = write_changed(tmp_path, table, Withdrawn=["yes" if each else "no" for each in is_ana])
    found = import_ratings(path)
    assert set(found.ratings["participant_id"]) == {"ben", "cleo"}
    left_out = "rows left out because a column says that they do not count"
    assert found.about.steps[-1].counts[left_out] == sum(is_ana)
    assert found.about.steps[-1].options[NOTES][0] == f"{sum(is_ana)} {left_out}."
    path = write_changed(tmp_path, table, deleted=["yes"] * table.height)
    with pytest.raises(InputError, match="a column marks every row as not to be counted"):
        import_ratings(path)


HEAD = "person,group,question,statement,policy,agreement"


def put(path: Path, *rows: str, head: str = HEAD) -> Path:
    path.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return path


def test_tables_of_other_questions_become_one_dataset(tmp_path):
    one = import_ratings(put(tmp_path / "a.csv", "ana,g,Free buses?,Yes.,x,5"))
    other = import_ratings(
        put(tmp_path / "b.csv", "ana,g,Close zoos?,Yes.,x,5", "ana,g,Free  buses,No.,x,2")
    )
    both = merge([one, other], name="both")
    check(both, tmp_path)
    assert both.rounds["group_id"].to_list() == ["g"] * 3  # a group is one in all of them
    assert both.rounds["question_id"].n_unique() == both.rounds["round_id"].n_unique() == 3
    again = import_ratings(put(tmp_path / "c.csv", "ben,h,Free buses?,Yes.,x,3"))
    assert again.rounds["question_id"].item() == one.rounds["question_id"].item()


def test_groups_of_a_table_with_a_name_of_its_own_are_its_own(tmp_path):
    paths = [put(tmp_path / f"{n}.csv", f"p{n},1,Free buses?,Yes.,x,5") for n in (1, 2)]
    with pytest.raises(InputError, match="--name of its own, and then all of them as `rounds`"):
        merge([import_ratings(path) for path in paths], name="both")
    named = [import_ratings(path, name=name) for path, name in zip(paths, ("a", "b"), strict=True)]
    both = merge(named, name="both")
    check(both, tmp_path)
    assert both.rounds["group_id"].to_list() == ["a/1", "b/1"]
    assert both.rounds["question_id"].n_unique() == 1


@pytest.mark.parametrize(
    ("people", "included"),
    [
        (("Smith, Ana", "Roe, Ben"), "Smith, Ana; Roe, Ben"),
        (("ana", "ben"), "ana, ben"),
        (("ana", "ben"), "ana|ben"),
        (("ana", "ben"), "ana\nben"),
    ],
)
@pytest.mark.parametrize("left_out", [False, True])
def test_included_people_may_be_separated_in_several_ways(tmp_path, people, included, left_out):
    rows = pl.DataFrame(
        {
            "person": people,
            "group": "g",
            "question": "Free buses?",
            "statement": "Yes.",
            "policy": "x",
            "agreement": [5, 4],
            "opinion": ["They are dear.", "Who pays?"],
            "included": included,
            "deleted": ["no", "yes" if left_out else "no"],
        }
    )
    rows.write_csv(tmp_path / "r.csv")
    (seen,) = import_ratings(tmp_path / "r.csv").candidates["included_opinion_ids"].to_list()
    assert seen == list(people[:1] if left_out else people)


def test_one_name_with_a_comma_is_one_name(tmp_path):
    path = put(
        tmp_path / "r.csv",
        '"Smith, Ana",g,Free buses?,Yes.,x,5,They are dear.,"Smith, Ana"',
        head=f"{HEAD},opinion,included",
    )
    assert import_ratings(path).candidates["included_opinion_ids"].to_list() == [["Smith, Ana"]]


def test_a_control_arm_may_be_called_none_and_a_rating_none_is_missing(tmp_path):
    path = put(
        tmp_path / "r.csv",
        "ana,none,Free buses?,Yes.,none,none,-",
        "ben,none,Free buses?,Yes.,none,4,Who pays?",
        head=f"{HEAD},opinion",
    )
    found = import_ratings(path)
    assert found.rounds["group_id"].to_list() == ["none"]
    assert found.candidates["policy"].to_list() == ["none"]
    assert found.ratings["agreement"].to_list() == [None, 4]
    assert found.opinions["text"].to_list() == ["Who pays?"]


def test_a_row_whose_last_cells_were_not_written_has_blank_ones(tmp_path):
    path = put(tmp_path / "r.csv", "ana,g,Free buses?,Yes.,x", "ben,g,Free buses?,Yes.,x,4")
    assert import_ratings(path).ratings["agreement"].to_list() == [None, 4]
