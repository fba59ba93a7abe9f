"""What a revision gained, against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from commonweal.datasets.dataset import About, Dataset, frame, read_dataset, write_dataset
from commonweal.datasets.schema import LIKERT_7
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.page import headlines, render_page

N_GROUPS = 12
PEOPLE = ("ana", "ben", "cleo", "dan")


def study(seed=1):
    """Groups of four, a round each and its revision; c01 is the old statement there."""
    rng = np.random.default_rng(seed)
    tables = {name: [] for name in ("rounds", "opinions", "candidates", "ratings", "critiques")}
    for g in range(N_GROUPS):
        group = {"group_id": f"g{g}", "question_id": f"q{g}", "question": "Why?"}
        for revises in (None, f"r{g}"):
            round_id = f"r{g}" if revises is None else f"v{g}"
            at = {"round_id": round_id}
            tables["rounds"].append(at | group | {"revises_round_id": revises})
            for c in range(3):
                same = "c01" if revises and c == 0 else None
                shown = c < 2 or revises is not None
                tables["candidates"].append(
                    at
                    | {"candidate_id": f"c0{c}", "text": f"Text {c}.", "policy": "few_shot"}
                    | {"shown": shown, "rank": 3 - c, "same_as_candidate_id": same}
                )
                for person in PEOPLE if shown else ():
                    for pass_index in (0, 1):
                        tables["ratings"].append(
                            at
                            | {"participant_id": f"{person}{g}", "candidate_id": f"c0{c}"}
                            | {"pass_index": pass_index, "quality": int(rng.integers(1, 8))}
                            | {"agreement": None if rng.random() < 0.1 else int(rng.integers(1, 8))}
                        )
            for n, person in enumerate(PEOPLE):
                name = {"participant_id": f"{person}{g}"}
                tables["opinions"].append(
                    at | name | {"opinion_id": person, "text": "Mine.", "source": "written"}
                )
                if revises and n < 3:  # the fourth did not answer
                    text = "Say more." if n == g % 3 else None
                    tables["critiques"].append(at | name | {"text": text, "used": text and True})
    about = About(name="by hand", people="simulated", scale=LIKERT_7, source="made for the tests")
    return Dataset(about, **{name: frame(name, rows) for name, rows in tables.items()})


def gains_by_hand(dataset, outcome):
    """(Person, criticised, gain): the revision with the best rank (c02) less the old text (c00)."""
    critics = {
        (row["round_id"], row["participant_id"])
        for row in dataset.critiques.iter_rows(named=True)
        if row["text"]
    }
    given = {}
    for row in dataset.ratings.iter_rows(named=True):
        if row[outcome] is not None:
            key = row["round_id"], row["participant_id"], row["candidate_id"]
            given.setdefault(key, []).append(row[outcome])
    found = []
    for g in range(N_GROUPS):
        for person in PEOPLE:
            who = f"v{g}", f"{person}{g}"
            old, new = given.get((*who, "c00")), given.get((*who, "c02"))
            if old and new:
                found.append((who in critics, sum(new) / len(new) - sum(old) / len(old)))
    return found


@pytest.fixture(scope="module")
def found():
    return evaluate(study(), n_resamples=1000, threshold=-1)


@pytest.mark.parametrize("outcome", ["agreement", "quality"])
@pytest.mark.parametrize("who", ["all", "critics", "others"])
def test_gains_are_the_means_of_what_each_person_gave(found, outcome, who):
    mine = [
        gain
        for is_critic, gain in gains_by_hand(study(), outcome)
        if who == "all" or is_critic == (who == "critics")
    ]
    figure = found.figures[f"revision/gain/{outcome}/{who}"]
    assert figure.value == pytest.approx(np.mean(mine))
    assert (figure.n, figure.n_groups) == (len(mine), N_GROUPS)
    assert figure.low < figure.value < figure.high


def test_shares_leave_ties_out(found):
    gains = [gain for _, gain in gains_by_hand(study(), "agreement") if abs(gain) > 1e-9]
    figure = found.figures["revision/preferred/agreement/all"]
    assert figure.value == pytest.approx(np.mean([gain > 0 for gain in gains]))


def test_revisions_are_in_no_other_section(found):
    dataset = study()
    first = dataset.rounds.filter(pl.col("revises_round_id").is_null())["round_id"]
    alone = evaluate(dataset.of_rounds(first.to_list()), n_resamples=1000, threshold=-1)
    assert not [key for key in alone.figures if key.startswith("revision/")]
    for key, figure in alone.figures.items():
        assert found.figures[key] == figure
    assert found.counts["rounds"] == found.counts["rounds that revise"] == N_GROUPS


def test_the_page_shows_the_gain(found):
    assert "What revision gained" in render_page(found)
    shown = [figure.key for figure in headlines(found) if figure.key.startswith("revision/")]
    assert shown == [f"revision/gain/agreement/{who}" for who in ("all", "critics", "others")]


def test_only_revisions_are_refused():
    dataset = study()
    revised = dataset.rounds.filter(pl.col("revises_round_id").is_not_null())["round_id"]
    with pytest.raises(InputError, match="every round revises"):
        evaluate(dataset.of_rounds(revised.to_list()))


def test_a_folder_of_before_there_were_revisions_is_read(tmp_path):
    import hashlib
    import json

    write_dataset(study(), tmp_path / "new")
    folder = tmp_path / "new"
    (folder / "critiques.parquet").unlink()
    manifest = json.loads((folder / "dataset.json").read_text())
    del manifest["tables"]["critiques"]
    for name, column in (
        ("rounds", "revises_round_id"),
        ("candidates", "same_as_candidate_id"),
    ):
        file = folder / f"{name}.parquet"
        pl.read_parquet(file).drop(column).write_parquet(file)
        manifest["tables"][name]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps(manifest))
    dataset = read_dataset(folder)
    assert dataset.critiques.is_empty()
    assert dataset.rounds["revises_round_id"].null_count() == dataset.rounds.height
    assert replace(dataset, critiques=study().critiques).critiques.height == 3 * N_GROUPS
