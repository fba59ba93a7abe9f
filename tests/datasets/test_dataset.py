"""The record format: written and read back the same, and every breach named by file, row, field."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rounds_making import about, small_dataset

from commonweal.datasets.dataset import Dataset, Step, completed, read_dataset, write_dataset
from commonweal.datasets.schema import LIKERT_5, SCHEMA, TABLES, VOTE, scale_named
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

HERE = Path("d")


@pytest.fixture
def dataset() -> Dataset:
    return small_dataset()


def only_problem(dataset: Dataset) -> str:
    (problem,) = problems(dataset, HERE)
    return problem


def changed(dataset: Dataset, table: str, row: int, column: str, value: object) -> Dataset:
    frame = getattr(dataset, table)
    values = frame[column].to_list()
    values[row - 1] = value
    return replace(
        dataset, **{table: frame.with_columns(pl.Series(column, values, frame.schema[column]))}
    )


# ------------------------------------------------------------------------------------- on disk


def test_what_is_written_is_read_back(dataset, tmp_path):
    dataset = dataset.with_step(Step(what="made", options={"n": 2}, counts={"people": 6}))
    write_dataset(dataset, tmp_path / "d")
    back = read_dataset(tmp_path / "d")
    assert back.about == dataset.about
    for name, table in dataset.tables().items():
        assert_frame_equal(getattr(back, name), table)


def test_the_files_are_what_the_docs_say(dataset, tmp_path):
    write_dataset(dataset, tmp_path / "d")
    names = {path.name for path in (tmp_path / "d").iterdir()}
    tables = (f"{name}.parquet" for name in TABLES)
    assert names == {"dataset.json", "datapackage.json", *tables}
    manifest = json.loads((tmp_path / "d" / "dataset.json").read_text())
    assert manifest["schema"] == SCHEMA
    assert manifest["people"] == "simulated"
    assert manifest["tables"]["ratings"]["n_rows"] == dataset.ratings.height


def test_own_columns_are_kept(dataset, tmp_path):
    own = replace(dataset, ratings=dataset.ratings.with_columns(x_informative=pl.lit(3)))
    write_dataset(own, tmp_path / "d")
    assert read_dataset(tmp_path / "d").ratings["x_informative"].to_list() == [3] * 24


def test_nothing_is_overwritten_unasked(dataset, tmp_path):
    write_dataset(dataset, tmp_path / "d")
    with pytest.raises(InputError, match="already exists; give --overwrite"):
        write_dataset(dataset, tmp_path / "d")
    write_dataset(replace(dataset, about=about(name="new")), tmp_path / "d", overwrite=True)
    assert read_dataset(tmp_path / "d").about.name == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_what_is_not_a_dataset_is_never_overwritten(dataset, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is not a dataset"):
        write_dataset(dataset, tmp_path / "d", overwrite=True)
    assert (tmp_path / "d" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="there is no folder"):
        write_dataset(dataset, tmp_path / "no" / "where" / "d")


def test_ones_own_file_in_a_dataset_does_not_go_with_it(dataset, tmp_path):
    write_dataset(dataset, tmp_path / "d")
    (tmp_path / "d" / "README.md").write_text("a card, as an export to a hub writes it")
    write_dataset(dataset, tmp_path / "d", overwrite=True)
    (tmp_path / "d" / "analysis.R").write_text("weeks of work")
    with pytest.raises(InputError, match=r"holds analysis\.R, which is not part of a dataset"):
        write_dataset(dataset, tmp_path / "d", overwrite=True)
    assert (tmp_path / "d" / "analysis.R").read_text() == "weeks of work"


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._about.json"])
def test_what_a_system_left_in_a_folder_is_nobodys_own(dataset, tmp_path, name):
    (tmp_path / "d").mkdir()
    for _ in range(2):  # an empty folder, and a dataset's
        (tmp_path / "d" / name).write_bytes(b"where its icons stand")
        write_dataset(dataset, tmp_path / "d", overwrite=True)
        assert not (tmp_path / "d" / name).exists()


def test_a_full_disk_leaves_the_old_dataset(dataset, tmp_path):
    write_dataset(dataset, tmp_path / "d")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from rounds_making import small_dataset\n"
        "from commonweal.datasets.dataset import write_dataset\n"
        "write_dataset(small_dataset(), Path(sys.argv[1]), overwrite=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d"), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )
    assert "InputError: cannot write" in done.stderr
    assert read_dataset(tmp_path / "d").ratings.height == 24
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("dataset.json", None, "no dataset at .*there is no dataset.json"),
        ("dataset.json", "{", "dataset.json: "),
        ("dataset.json", "[]", "dataset.json: "),
        ("dataset.json", '{"schema": "commonweal/rounds/0"}', "schema is 'commonweal/rounds/0'"),
        ("dataset.json", f'{{"schema": "{SCHEMA}"}}', "field name: Field required"),
        ("ratings.parquet", None, "ratings.parquet is missing"),
        ("ratings.parquet", "no", "ratings.parquet has sha256 .* was changed or cut short"),
    ],
)
def test_damage_is_named(dataset, tmp_path, file, content, expected):
    write_dataset(dataset, tmp_path / "d")
    path = tmp_path / "d" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=expected):
        read_dataset(tmp_path / "d")


def test_a_column_of_another_type_is_refused(dataset):
    with pytest.raises(InputError, match="table ratings: "):
        completed("ratings", dataset.ratings.with_columns(agreement=pl.lit("much")))


# ----------------------------------------------------------------------------------- the format


def test_a_good_dataset_has_no_problems(dataset):
    assert list(problems(dataset, HERE)) == []


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "expected"),
    [
        ("ratings", 5, "agreement", 9, "ratings.parquet, row 5: agreement is 9, expected likert-7"),
        ("ratings", 5, "quality", 0, "ratings.parquet, row 5: quality is 0, expected likert-7"),
        ("ratings", 2, "pass_index", -1, "row 2: pass_index is -1, expected 0 or more"),
        ("ratings", 2, "round_id", None, "row 2: round_id is null, expected a value"),
        ("ratings", 3, "candidate_id", "c9", "row 3: candidate_id is 'c9' in round 'r1', expected"),
        ("opinions", 2, "text", " \n", "row 2: text is ' \\n', expected text"),
        ("opinions", 2, "source", "rumour", "expected one of written, votes"),
        ("rounds", 1, "split", "test", "row 1: split is 'test', expected one of train, iid_test"),
        ("position_ratings", 1, "agreement", 8, "row 1: agreement is 8"),
        ("predictions", 1, "reward", float("nan"), "row 1: reward is nan, expected a finite"),
        ("candidates", 1, "included_opinion_ids", ["o1", "o7"], "included_opinion_ids is 'o7'"),
        ("candidates", 1, "shown", None, "row 1: shown is null"),
        ("opinions", 2, "participant_id", "r1-p1", "has an opinion in round 'r1' already"),
    ],
)
def test_a_broken_value_is_named(dataset, table, row, column, value, expected):
    assert expected in only_problem(changed(dataset, table, row, column, value))


def test_a_round_that_does_not_exist_is_named(dataset):
    lost = replace(dataset, rounds=dataset.rounds.head(1))
    found = list(problems(lost, HERE))
    assert (
        "opinions.parquet, row 4: round_id is 'r2', expected one that rounds.parquet has"
        in (found[0])
    )


def test_a_row_twice_is_named(dataset):
    twice = replace(dataset, ratings=pl.concat([dataset.ratings, dataset.ratings.head(2)]))
    assert "ratings.parquet, row 25: round_id 'r1', participant_id 'r1-p1'" in only_problem(twice)


def test_unknown_and_missing_columns_are_named(dataset):
    strange = dataset.ratings.rename({"agreement": "agrement"})
    first, second = problems(replace(dataset, ratings=strange), HERE)
    assert "there is no column 'agreement'" in first
    assert "unknown column 'agrement'" in second


def test_a_question_in_two_splits_is_refused(dataset):
    leak = changed(dataset, "rounds", 2, "question_id", "q1")
    found = list(problems(leak, HERE))
    assert "'q1' is in the splits train, ood_test" in found[0]
    assert "'q1' stands for 2 different questions" in found[1]


def test_one_question_under_two_ids_in_two_splits_is_refused(dataset):
    same = changed(dataset, "rounds", 2, "question", "should we do 1")
    problem = only_problem(same)
    assert "'Should we do 1?' is asked as q1, q2 in the splits train, ood_test" in problem
    with pytest.raises(InputError, match="a model could learn its test"):
        write_dataset(same, HERE)
    assert list(problems(changed(same, "rounds", 2, "split", "train"), HERE)) == []
    assert list(problems(changed(same, "rounds", 2, "split", None), HERE)) == []


def test_ratings_are_held_to_their_own_scale(dataset):
    votes = replace(dataset, about=about(VOTE))
    assert any("agreement is 2, expected vote" in problem for problem in problems(votes, HERE))
    with pytest.raises(InputError, match="and 2 more problems"):
        write_dataset(votes, HERE)


def test_scales_are_found_by_name():
    assert scale_named("likert-5") is LIKERT_5
    with pytest.raises(InputError, match="no scale named 'stars'"):
        scale_named("stars")


# ------------------------------------------------------------------------------------ selection


def test_a_split_is_its_rounds_in_every_table(dataset):
    test = dataset.of_split("ood_test")
    for name, table in test.tables().items():
        assert set(table["round_id"]) == {"r2"}, name
    assert list(problems(test, HERE)) == []
    with pytest.raises(InputError, match=r"no round is in the split 'iid_test'; it has ood_test, "):
        dataset.of_split("iid_test")
