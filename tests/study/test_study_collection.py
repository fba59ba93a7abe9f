"""The collection plan in a study: what is written, shown and exported; and what replaces what."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

import polars as pl
from pydantic import ValidationError
from sqlalchemy import select
from study_making import Place, replace, small_study
from test_machine import count, play
from test_study_simulate import run
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.collection import CollectionPlan, collect
from commonweal.study.config import ArmConfig, StudyConfig
from commonweal.study.simulation.stock import ChanceReward, StockPolicy, StockWriter
from commonweal.study.storage.tables import (
    EventRow,
    GroupRow,
    OpinionRow,
    PredictionRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.writing import held_texts
from commonweal.study.writing.statements import WEAK
from commonweal.types import Opinion as Said
from commonweal.welfare import isoelastic, rank
from plugin_making import install

ARM = {"name": "collecting", "plan": "collection"}


@pytest.fixture
def place(tmp_path):
    made = Place(f"sqlite:///{tmp_path}/study.db", small_study(arms=[ARM]))
    yield made
    made.store.close()


def statements(place, *where):
    with place.store.read() as db:
        return db.scalars(select(StatementRow).where(*where).order_by(StatementRow.id)).all()


# -------------------------------------------------------------------------------- the file


def test_an_arms_plan():
    plain = ArmConfig.model_validate(ARM)
    assert plain.collection_plan == CollectionPlan()
    tuned = ArmConfig.model_validate(
        ARM | {"candidates": 8, "alpha": {"mu": 0.5, "sigma": 2.0}, "policy": "zero_shot"}
    )
    assert tuned.collection_plan == CollectionPlan(n_candidates=8, mu=0.5, sigma=2.0)
    study = small_study(arms=[ARM, {"name": "random", "plan": "collection", "reward": "none"}])
    # As it is kept in the database and read again.
    assert StudyConfig.model_validate_json(study.to_json()) == study


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shown": 3}, "shown is given"),
        ({"welfare": "rawlsian"}, "draws α itself"),
        ({"policy": "few_shot_rawlsian"}, "draws α itself"),
        ({"policy": "few_shot_base"}, "fewer than the 2 shown"),
        ({"candidates": 1}, "fewer than the 2 shown"),
        ({"reward": "nothing"}, "expected reader, first, .*, or 'none'"),
        ({"reward": "none", "alpha": {"mu": 1.0}}, "picks are random"),
        ({"alpha": {"sigma": 11.0}}, "less than or equal to 10"),
        ({"plan": "best", "reward": "none"}, "1 of 16 candidates are to be picked"),
        ({"plan": "all"}, "'best', 'collection' or 'opinions'"),
    ],
)
def test_plans_that_cannot_be(changes, says):
    with pytest.raises(ValidationError, match=says):
        ArmConfig.model_validate(ARM | changes)


def test_a_best_arm_draws_its_alphas_from_the_seed():
    arm = ArmConfig(name="a", shown=3, alpha={"mu": 0.0, "sigma": 1.0})
    assert arm.draw_rules(5) == arm.draw_rules(5) != arm.draw_rules(6)
    logs = np.log([rule.alpha for seed in range(500) for rule in arm.draw_rules(seed)])
    assert abs(logs.mean()) < 3 / math.sqrt(len(logs))
    rules = ArmConfig(name="a", shown=2, welfare="rawlsian").draw_rules(5)
    assert [rule.alpha for rule in rules] == [math.inf] * 2


# ------------------------------------------------------------------------------- the rounds


def test_a_round_shows_what_the_collection_picks(place):
    ids = place.join(4)
    play(place, ids, StockWriter(), until="rate")
    with place.store.read() as db:
        row = db.scalars(select(RoundRow)).one()
        opinions = db.scalars(select(OpinionRow).order_by(OpinionRow.id)).all()
    found = collect(
        row.question,
        [Said(each.name, each.text) for each in opinions],
        policy=StockPolicy(),
        reward=ChanceReward(),
        seed=row.provenance["collecting"]["seed"],
    )
    picked = statements(place, StatementRow.pick.is_not(None))
    assert sorted(each.text for each in picked) == sorted(each.text for each in found.shown)
    assert len(picked) == 6
    by_text = {
        draw.candidates[each.index].text: (number, each)
        for number, draw in enumerate(found.draws)
        for each in draw.picks
    }
    for each in picked:
        number, pick = by_text[each.text]
        assert each.draw == number
        assert sorted(each.included) == sorted(found.draws[number].included)
        assert (each.alpha, each.rank) == (pick.alpha, pick.rank)
        assert each.welfare == pytest.approx(pick.welfare)
    kept = row.provenance["collecting"]["draws"]
    assert [each["included"] for each in kept] == [list(draw.included) for draw in found.draws]
    assert [each["alphas"] for each in kept] == [list(draw.alphas) for draw in found.draws]
    # The left out are predicted, too.
    assert count(place, PredictionRow) == 4 * count(place, StatementRow)


def test_flagged_candidates_make_room_for_the_next_best(place, monkeypatch):
    monkeypatch.setattr(
        "commonweal.study.writing.statements.flags_of",
        lambda text: ["offensive"] if "against" in text else [],
    )
    ids = place.join(4)
    play(place, ids, StockWriter(), until="rate")
    shown = statements(place, StatementRow.shown)
    assert len(shown) == 6
    assert not any("against" in each.text for each in shown)
    assert any(each.rank > 2 for each in shown)


def test_without_a_reward_model_two_of_each_size_are_shown(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", small_study(arms=[ARM | {"reward": "none"}]))
    play(place, place.join(4), StockWriter(), until="rate")
    shown = statements(place, StatementRow.shown)
    assert sorted(each.draw for each in shown) == [0, 0, 1, 1, 2, 2]
    assert {(each.alpha, each.welfare, each.rank) for each in shown} == {(None, None, None)}
    assert count(place, PredictionRow) == 0


# ---------------------------------------------------------------------- the way to a dataset


@pytest.mark.heavy
@pytest.mark.parametrize("reward", ["first", "none"])
def test_a_simulated_collection_becomes_a_dataset(tmp_path, reward):
    from commonweal.datasets.dataset import read_dataset

    folder = tmp_path / "data"
    report = run(
        f"sqlite:///{tmp_path}/study.db",
        8,
        "steady",
        out=folder,
        rounds={"count": 1, "passes": 1},
        arms=[ARM | {"reward": reward}],
    )
    assert report.outcomes == {"complete": 8}
    assert report.n_ratings == 8 * (1 + 6)
    checked = CliRunner().invoke(app, ["data", "check", str(folder)])
    assert checked.exit_code == 0, checked.output
    dataset = read_dataset(folder)
    assert dataset.about.people == "simulated"
    n_opinions = dataset.opinions.group_by("round_id").len("n_opinions")
    shown = (
        dataset.candidates.filter("shown")
        .join(n_opinions, on="round_id")
        .with_columns(n_left_out=pl.col("n_opinions") - pl.col("included_opinion_ids").list.len())
    )
    per_round = shown.group_by("round_id", "n_left_out").len("n")
    assert sorted(per_round["n_left_out"]) == [0, 0, 1, 1, 2, 2]
    assert set(per_round["n"]) == {2}
    assert (shown["x_draw"] == shown["n_left_out"]).all()
    assert set(shown["policy"]) == {"collecting (stock sentences)"}
    assert set(shown["x_writer"]) == {"stock"}
    assert "| x_draw | whole |" in (folder / "data_dictionary.md").read_text(encoding="utf-8")
    # Each person's order is their own.
    orders = dataset.ratings.sort("position").group_by("participant_id").agg("candidate_id")
    assert orders["candidate_id"].n_unique() > 4
    if reward == "none":
        assert shown["alpha"].null_count() == shown.height
        assert dataset.predictions.is_empty()
        return
    assert shown["alpha"].n_unique() == shown.height
    # Whoever was left out is predicted, and welfare and rank follow from what is exported.
    for draw in dataset.candidates.partition_by("round_id", "x_draw"):
        predicted = (
            draw.select("round_id", "candidate_id", "included_opinion_ids")
            .join(dataset.predictions, on=["round_id", "candidate_id"])
            .pivot("candidate_id", index="participant_id", values="expected_rating")
        )
        assert predicted.height == 4
        utilities = predicted.select(draw["candidate_id"].to_list()).to_numpy()
        for each in draw.filter(pl.col("alpha").is_not_null()).iter_rows(named=True):
            place = draw["candidate_id"].to_list().index(each["candidate_id"])
            welfare = isoelastic(utilities, each["alpha"])
            assert each["welfare"] == pytest.approx(welfare[place])
            assert each["rank"] == rank(welfare).ranks[place]


# ---------------------------------------------------------------- what replaces the rejected


def held(place):
    with place.transaction() as tx:
        return [(kind, row.id, row.text) for kind, row, _ in held_texts.waiting_texts(tx)]


def decide(place, row_id, decision):
    with place.transaction() as tx:
        assert held_texts.decide(tx, "statement", row_id, decision, actor="ada")


@pytest.mark.parametrize("reward", ["first", "none"])
def test_the_next_best_replaces_what_a_moderator_rejects(database_url, reward):
    study = small_study(moderation={"mode": "review"}, arms=[ARM | {"reward": reward}])
    place = Place(database_url, study)
    ids = place.join(4)
    worker_until_check(place, ids)
    before = held(place)
    assert len(before) == 6
    rejected_id = before[0][1]
    decide(place, rejected_id, "rejected")
    after = held(place)
    assert len(after) == 6
    assert rejected_id not in {row_id for _, row_id, _ in after}
    assert len({text for _, _, text in after} | {before[0][2]}) == 7  # one that is new
    (new_id,) = {row_id for _, row_id, _ in after} - {row_id for _, row_id, _ in before}
    with place.store.read() as db:
        old, new = db.get(StatementRow, rejected_id), db.get(StatementRow, new_id)
        assert (new.pick, new.alpha, new.draw) == (old.pick, old.alpha, old.draw)
        if reward == "first":
            draw = db.scalars(
                select(StatementRow).where(StatementRow.draw == new.draw).order_by(StatementRow.id)
            ).all()
            taken = {text for _, _, text in before}
            best = max(
                (each for each in draw if each.text not in taken),
                key=lambda each: isoelastic(
                    [
                        [row.expected_rating]
                        for row in db.scalars(
                            select(PredictionRow).where(PredictionRow.statement_id == each.id)
                        )
                    ],
                    new.alpha,
                )[0],
            )
            assert new.id == best.id
            assert new.welfare < old.welfare
            assert new.rank > old.rank
        event = db.scalars(select(EventRow).where(EventRow.kind == "statement replaced")).one()
        assert event.details == {"id": rejected_id, "by": new_id}
    for _, row_id, _ in after:
        decide(place, row_id, "approved")
    assert place.page(ids[0]).kind == "rate"
    shown = statements(place, StatementRow.shown)
    assert {each.id for each in shown} == {row_id for _, row_id, _ in after}
    place.store.close()


def test_where_everything_is_rejected_nothing_is_shown(tmp_path):
    study = small_study(
        moderation={"mode": "review"}, arms=[{"name": "few", "candidates": 5, "shown": 2}]
    )
    place = Place(f"sqlite:///{tmp_path}/study.db", study)
    ids = place.join(4)
    worker_until_check(place, ids)
    n_rejected = 0
    while waiting := held(place):
        decide(place, waiting[0][1], "rejected")
        n_rejected += 1
    assert n_rejected == 5  # each of them once
    assert place.page(ids[0]).kind == "result"
    assert count(place, StatementRow, StatementRow.shown) == 0


class JudgesQuality(StockWriter):
    """The candidates from the third on lie below the floor; the list has one alone."""

    def write(self, task, *, timeout_seconds):
        output = super().write(task, timeout_seconds=timeout_seconds)
        (drawn,) = output.draws
        qualities = np.array([6.0, 5.0] + [1.0] * (len(drawn.candidates) - 2))
        judged = replace(drawn, qualities=qualities, min_quality=3.5, shortlist=1)
        return replace(output, draws=(judged.picked(),))


def test_what_lies_below_the_floor_replaces_nothing(tmp_path):
    study = small_study(
        moderation={"mode": "review"}, arms=[{"name": "few", "candidates": 5, "shown": 1}]
    )
    place = Place(f"sqlite:///{tmp_path}/study.db", study)
    worker_until_check(place, place.join(4), JudgesQuality())
    written = statements(place)
    assert [WEAK in each.flags for each in written] == [False, False, True, True, True]
    seen = set()
    while waiting := held(place):
        ((_, row_id, _),) = waiting
        decide(place, row_id, "rejected")
        seen.add(row_id)
    assert seen == {each.id for each in written[:2]}
    assert count(place, StatementRow, StatementRow.shown) == 0
    place.store.close()


def worker_until_check(place, ids, writer=None):
    for person in ids:
        place.act(person)
        place.act(person)
    from commonweal.study.writing.jobs import Worker

    assert Worker(place.store, place.study_id, writer or StockWriter()).run_once()
    with place.store.read() as db:
        assert db.scalars(select(GroupRow)).one().stage == "statement_check"


MEDIAN = "import numpy\ndef median(utilities):\n    return numpy.median(utilities, axis=0)\n"


def test_an_arm_may_pick_by_a_rule_without_an_alpha(tmp_path, monkeypatch):
    """Also where a person rejects a statement, the next is picked by the arm's rule."""
    install(tmp_path, "ruled", MEDIAN, "[commonweal.welfare_rules]\nmedian = ruled:median\n")
    monkeypatch.syspath_prepend(tmp_path)
    arm = ArmConfig.model_validate({"name": "one", "policy": "few_shot_median", "shown": 2})
    assert (arm.welfare, arm.policy) == ("median", "few_shot_median")
    utilities = np.array([[1.5, 6.0], [2.0, 3.0], [7.0, 2.0]])
    assert [rule.welfare(utilities).tolist() for rule in arm.draw_rules(1)] == [[2.0, 3.0]] * 2
    assert arm.rule_of(None).name == "median"
    assert ArmConfig(name="a", plan="collection", reward="none").rule_of(None) is None
    with pytest.raises(ValidationError, match="did you mean 'median'"):
        ArmConfig.model_validate({"name": "one", "welfare": "medain"})
