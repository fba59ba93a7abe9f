"""The Habermas Machine's files, of the published schema and made here, as rounds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from habermas_making import (
    AGREE,
    N_SAMPLES,
    QUALITY,
    agreement,
    comparison_rows,
    position_rows,
    put_files,
)

from commonweal.datasets.importers.habermas import import_habermas
from commonweal.datasets.validation import problems
from commonweal.errors import InputError

ROUNDS = [f"launch-{g}/round-{g}/{i}" for g in (0, 1) for i in (0, 1)]


@pytest.fixture
def dataset(tmp_path):
    return import_habermas(put_files(tmp_path / "h", positions=position_rows()))


def test_it_keeps_the_format(dataset):
    assert list(problems(dataset, Path("d"))) == []
    assert dataset.about.people == "human"
    assert dataset.about.scale.name == "likert-7"
    assert dataset.about.licence == "CC BY 4.0"


def test_a_round_is_one_group_on_one_question_in_one_iteration(dataset):
    assert dataset.rounds["round_id"].to_list() == ROUNDS
    assert dataset.rounds["group_id"].to_list() == ["launch-0"] * 2 + ["launch-1"] * 2
    assert dataset.rounds["position_statement"][0] == "We should do 0."
    assert dataset.rounds["split"].to_list() == ["train"] * 2 + ["iid_test"] * 2
    assert dataset.rounds["iteration"].null_count() == 4  # that is our training loop's
    # After the critiques a statement is written that revises the one of the iteration before.
    assert dataset.rounds["revises_round_id"].to_list() == [None, ROUNDS[0], None, ROUNDS[2]]


def test_opinions_are_everybodys_once(dataset):
    assert dataset.opinions.height == 4 * 4
    first = dataset.opinions.filter(pl.col("round_id") == ROUNDS[0])
    assert dict(first.select("participant_id", "text").iter_rows()) == {
        f"w0-{p}": f"Opinion of {p} in 0." for p in range(4)
    }


def test_an_opinion_without_a_row_is_taken_from_the_others(tmp_path):
    rows = [row for row in comparison_rows() if row["worker_id"] != "w0-2"]
    opinions = import_habermas(put_files(tmp_path / "h", rows)).opinions
    assert opinions.filter(pl.col("opinion_id") == "g0-o2")["participant_id"].to_list() == [
        "p0-2",
        "p0-2",
    ]


def test_both_passes_are_ratings(dataset):
    assert dataset.ratings.height == 4 * 4 * 3 * 2
    for row in dataset.ratings.iter_rows(named=True):
        person, shown = int(row["participant_id"][-1]), int(row["candidate_id"][-1])
        assert row["agreement"] == 1 + agreement(person, shown, row["pass_index"])
        assert row["quality"] == 1 + shown
    assert set(dataset.ratings["pass_index"]) == {0, 1}
    # Ranks were given in the reverse order; -1 is missing.
    ranks = dict(dataset.ratings.select("candidate_id", "x_rank").unique().iter_rows())
    assert [ranks[f"g0-i0-c{c}"] for c in range(3)] == [None, 1, 0]


@pytest.mark.parametrize("form", ["flat", "the same statement twice"])
def test_ratings_come_in_other_forms(tmp_path, form):
    rows = comparison_rows(repeats=False)
    for row in rows:
        for name in ("ratings.agreement", "ratings.quality"):
            row[name] = [cell[0] for cell in row[name]]
        if form != "flat":
            for name in [name for name in row if name.startswith(("candidates.", "ratings."))]:
                row[name] = [row[name][0], *row[name]]
    dataset = import_habermas(put_files(tmp_path / "h", rows))
    assert list(problems(dataset, Path("d"))) == []
    n_second = 0 if form == "flat" else 16
    assert dataset.ratings.filter(pl.col("pass_index") == 1).height == n_second
    assert dataset.ratings.filter(pl.col("pass_index") == 0).height == 48


def test_a_mock_rating_is_a_missing_one(tmp_path):
    rows = comparison_rows()
    rows[0]["ratings.agreement"][0] = ["MOCK", AGREE[6]]
    rows[0]["ratings.quality"][1] = ["MOCK", "MOCK"]
    dataset = import_habermas(put_files(tmp_path / "h", rows))
    person = dataset.ratings.filter(
        pl.col("round_id") == ROUNDS[0], pl.col("participant_id") == "w0-0"
    )
    first = person.filter(pl.col("candidate_id") == "g0-i0-c0")
    assert first["agreement"].to_list() == [None, 7]
    assert person.filter(pl.col("candidate_id") == "g0-i0-c1")["quality"].null_count() == 2
    assert dataset.about.steps[0].counts["ratings without an answer on agreement"] == 1


def test_the_samples_are_candidates_that_were_not_shown(dataset):
    shown = dataset.candidates.filter("shown")
    hidden = dataset.candidates.filter(~pl.col("shown"))
    assert shown.height == 4 * 3
    assert hidden.height == 4 * 3 * (N_SAMPLES - 1)  # the last sample is the statement itself
    assert set(dataset.candidates["policy"]) == {"model_mediator"}
    assert dataset.predictions.height == 4 * 4 * 3 * N_SAMPLES
    of_statement = dataset.predictions.filter(pl.col("candidate_id") == "g0-i0-c1")
    assert sorted(of_statement["reward"]) == [1.5, 2.5, 3.5, 4.5]


def test_parents_that_are_no_opinions_are_unknown(dataset):
    before = dataset.candidates.filter("shown", pl.col("round_id") == ROUNDS[0])
    after = dataset.candidates.filter("shown", pl.col("round_id") == ROUNDS[1])
    assert before["included_opinion_ids"].to_list() == [[f"g0-o{p}" for p in range(4)]] * 3
    assert after["included_opinion_ids"].null_count() == 3  # critiques are among them
    assert after["x_parent_statement_ids"].list.len().to_list() == [5] * 3


def test_position_ratings_are_the_first_ones(dataset):
    assert dict(dataset.position_ratings.select("participant_id", "agreement").iter_rows()) == {
        f"w{g}-{p}": 1 + p for g in (0, 1) for p in range(4)
    }
    assert set(dataset.position_ratings["round_id"]) == {ROUNDS[0], ROUNDS[2]}


@pytest.mark.parametrize("mark", ["MOCK", "mock", "PROVENANCE_MOCK", "Mock_Statement", "DUMMY"])
def test_bots_and_mock_statements_are_dropped_and_counted(tmp_path, mark):
    rows = comparison_rows()
    rows[0]["metadata.provenance"] = "BOT_CITIZEN"
    for row in rows[1:4]:
        row["candidates.metadata.provenance"] = ["MODEL_MEDIATOR", mark, "HUMAN_MEDIATOR"]
    dataset = import_habermas(put_files(tmp_path / "h", rows))
    assert list(problems(dataset, Path("d"))) == []
    counts = dataset.about.steps[0].counts
    assert counts["rows dropped: not of a human citizen"] == 1
    assert counts["statements dropped: mock, dummy or example"] == 1
    first = dataset.candidates.filter("shown", pl.col("round_id") == ROUNDS[0])
    assert first["policy"].to_list() == ["model_mediator", "human_mediator"]
    assert "w0-0" not in set(
        dataset.ratings.filter(pl.col("round_id") == ROUNDS[0])["participant_id"]
    )


def test_split_names_are_read_too(tmp_path):
    rows = comparison_rows(n_groups=4)
    for row in rows:
        number = row["question.split"]
        row["question.split"] = ["TRAIN", "VALIDATION", "IID_TEST", "OOD_TEST"][number - 1]
    dataset = import_habermas(put_files(tmp_path / "h", rows))
    splits = dataset.rounds["split"].to_list()
    assert splits[::2] == ["train", "iid_test", "iid_test", "ood_test"]


def without(rows, name):
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def with_value(rows, row, name, value):
    rows[row][name] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (without(comparison_rows(), "ratings.agreement"), "there is no column 'ratings.agreement'"),
        (
            [row | {"candidates.text": "one"} for row in comparison_rows()],
            "column 'candidates.text' is String, expected list of text",
        ),
        (
            with_value(comparison_rows(), 3, "candidates.text", ["one", "two"]),
            r"row 4: candidates.metadata.id holds 3 values and candidates.text 2",
        ),
        (
            with_value(comparison_rows(), 2, "ratings.agreement", [["AGREE"], ["YES"], ["AGREE"]]),
            "row 3: agreement is 'YES', expected one of MOCK, STRONGLY_DISAGREE, DISAGREE",
        ),
        (
            with_value(comparison_rows(), 1, "candidates.all_reward_predictions", [[0.5]] * 3),
            "row 2: candidates.all_reward_predictions of 'g0-i0-c0' holds 1 values and",
        ),
        (with_value(comparison_rows(), 4, "question.split", 9), "row 5: question.split is 9"),
        (with_value(comparison_rows(), 4, "question.id", None), "row 5: question.id is missing"),
        (
            [row | {"metadata.provenance": "BOT_CITIZEN"} for row in comparison_rows()],
            "no row has metadata.provenance human_citizen",
        ),
    ],
)
def test_what_differs_from_the_schema_is_named(tmp_path, rows, expected):
    with pytest.raises(InputError, match=expected):
        import_habermas(put_files(tmp_path / "h", rows))


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no file .*hm_all_candidate_comparisons.parquet"):
        import_habermas(tmp_path)
    (tmp_path / "hm_all_candidate_comparisons.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"cannot read .*hm_all_candidate_comparisons.parquet"):
        import_habermas(tmp_path)
    files = put_files(tmp_path / "h", positions=position_rows())
    (files / "hm_all_position_statement_ratings.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"cannot read .*position_statement_ratings.parquet"):
        import_habermas(files)


def test_the_scales_are_the_published_ones():
    from commonweal.datasets.importers.habermas_files import LIKERT

    for names, ours in ((AGREE, LIKERT["agreement"]), (QUALITY, LIKERT["quality"])):
        assert ours == {"MOCK": None} | {name: n for n, name in enumerate(names, start=1)}


@pytest.mark.parametrize("mark", ["MOCK", "Mock", "PROVENANCE_MOCK", "BOT_CITIZEN"])
def test_opinions_that_no_person_wrote_are_dropped_and_counted(tmp_path, mark):
    rows = comparison_rows()
    own, others = "own_opinion.metadata.provenance", "other_opinions.metadata.provenance"
    for row in rows:
        row[own] = "HUMAN_CITIZEN"
        row[others] = ["HUMAN_CITIZEN"] * len(row["other_opinions.text"])
        if row["worker_id"] == "w0-0":
            row[own], row["own_opinion.text"] = mark, "A mock opinion."
        elif row["worker_id"] == "w0-1":
            row[others][0], row["other_opinions.text"][0] = mark, "A mock opinion."
        elif row["launch_id"] == "launch-0":  # not marked here: known by its id
            row["other_opinions.text"][0] = "A mock opinion."
    dataset = import_habermas(put_files(tmp_path / "h", rows))
    assert "w0-0" not in set(dataset.opinions["participant_id"])
    assert "A mock opinion." not in set(dataset.opinions["text"])
    counts = dataset.about.steps[0].counts
    assert counts["rows dropped: their own opinion is mock, dummy, example or a bot's"] == 2
    assert counts["others' opinions dropped: mock, dummy, example or a bot's"] == 6
    assert dataset.opinions.height == 2 * (3 + 4)
