"""Rounds of simulated people: who sits where, what is kept, and that the commands take them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from crowd_making import N_CONSIDERATIONS, OTHER, QUESTION, made_crowd
from typer.testing import CliRunner

from commonweal.cli.app import app
from commonweal.datasets.dataset import read_dataset, write_dataset
from commonweal.datasets.merging import merge
from commonweal.datasets.validation import check
from commonweal.errors import InputError
from commonweal.participants.latent import LatentCrowd
from commonweal.participants.rating import rate_rounds
from commonweal.participants.rounds import new_rounds, rounds_of, with_candidates
from commonweal.types import Candidate


def candidates_for(rounds, seed=0):
    """Marks that the made-up reader reads: one side, or both."""
    rng = np.random.default_rng(seed)
    return {
        each.id: [
            Candidate(
                f"c{n}",
                " ".join(
                    f"{rng.choice(list('+-'))}{k}" for k in rng.integers(0, N_CONSIDERATIONS, 3)
                )
                + f" {n}",
                tuple(opinion.id for opinion in each.opinions),
                policy,
                "made",
                "0" * 16,
                n,
            )
            for n, policy in enumerate(("zero_shot", "zero_shot", "few_shot", "few_shot"))
        ]
        for each in rounds_of(rounds)
    }


def rated_rounds(crowd=None, *, n_groups=8, seed=0, **more):
    crowd = crowd or made_crowd(seed)
    rng = np.random.default_rng(seed)
    rounds = new_rounds(crowd, n_groups=n_groups, group_size=4, rng=rng, **more)
    return rate_rounds(crowd, with_candidates(rounds, candidates_for(rounds)), rng=rng)


def test_everybody_rates_everything_shown_twice():
    rated = rated_rounds(rounds_per_group=2)
    check(rated, Path("rounds"))
    assert rated.about.people == "simulated"
    assert rated.about.source.startswith("simulated: ")
    assert rated.rounds.height == 16
    assert rated.ratings.height == 16 * 4 * 4 * 2
    assert rated.ratings["agreement"].null_count() == rated.ratings["quality"].null_count() == 0
    assert rated.position_ratings.height == 16 * 4
    # Each pass shows each statement at a place of its own, in an order of its own.
    orders = rated.ratings.group_by("round_id", "participant_id", "pass_index").agg("position")
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders["position"])
    assert len(Counter(map(tuple, orders["position"]))) == 1  # rows come in the order shown
    shown = rated.ratings.group_by("round_id", "participant_id", "pass_index").agg("candidate_id")
    assert len(Counter(map(tuple, shown["candidate_id"]))) > 15


def test_the_same_seed_gives_the_same_rounds_and_the_ratings_hang_on_names_alone():
    one, again = rated_rounds(seed=1), rated_rounds(seed=1)
    for name, table in one.tables().items():
        assert table.equals(again.tables()[name])
    other = rated_rounds(seed=2)
    assert set(one.opinions["participant_id"]).isdisjoint(other.opinions["participant_id"])
    # Half of the rounds, rated by a crowd made anew in another order, get the same ratings.
    half = one.of_rounds(one.rounds["round_id"].to_list()[::-1][:4])
    later = rate_rounds(made_crowd(1), half, rng=np.random.default_rng(99))
    key = ["round_id", "participant_id", "candidate_id", "pass_index"]
    columns = [*key, "agreement", "quality"]
    assert half.ratings.select(columns).sort(key).equals(later.ratings.select(columns).sort(key))


def test_people_and_questions_are_seated_evenly():
    crowd = made_crowd()
    rounds = new_rounds(
        crowd, n_groups=30, group_size=3, rounds_per_group=2, rng=np.random.default_rng(0)
    )
    assert rounds.opinions["participant_id"].n_unique() == 90
    per_group = rounds.rounds.group_by("group_id").agg(pl.col("question_id").n_unique())
    assert set(per_group["question_id"]) == {2}
    single = new_rounds(crowd, n_groups=31, group_size=2, rng=np.random.default_rng(0))
    asked = single.rounds["question_id"].value_counts()["count"].to_list()
    assert sorted(asked) == [15, 16]


def test_a_split_asks_its_own_questions_only():
    crowd = made_crowd()
    for split, question in (("train", QUESTION), ("ood_test", OTHER)):
        rounds = new_rounds(
            crowd, n_groups=3, group_size=2, rng=np.random.default_rng(0), split=split
        )
        assert set(rounds.rounds["question"]) == {question.text}
        assert set(rounds.rounds["split"]) == {split}
    with pytest.raises(InputError, match="0 questions in the split 'iid_test'"):
        new_rounds(crowd, n_groups=1, group_size=2, rng=np.random.default_rng(0), split="iid_test")
    with pytest.raises(InputError, match="2 questions, expected at least 3"):
        new_rounds(
            crowd, n_groups=1, group_size=2, rounds_per_group=3, rng=np.random.default_rng(0)
        )
    with pytest.raises(InputError, match="group_size is 0"):
        new_rounds(crowd, n_groups=1, group_size=0, rng=np.random.default_rng(0))


def test_two_iterations_can_be_merged():
    one, two = rated_rounds(iteration=0, name="one"), rated_rounds(iteration=1, seed=5, name="two")
    both = merge([one, two], name="both")
    check(both, Path("both"))
    assert both.rounds.height == 16
    assert set(both.rounds["iteration"]) == {0, 1}


def test_only_what_is_shown_is_rated():
    crowd, rng = made_crowd(), np.random.default_rng(0)
    rounds = new_rounds(crowd, n_groups=2, group_size=2, rng=rng)
    written = candidates_for(rounds)
    shown = {round_id: ["c1", "c3"] for round_id in written}
    rated = rate_rounds(crowd, with_candidates(rounds, written, shown=shown), rng=rng)
    assert set(rated.ratings["candidate_id"]) == {"c1", "c3"}
    assert rated.candidates.height == 8
    with pytest.raises(InputError, match="no candidate 'c9' to show"):
        with_candidates(rounds, written, shown={name: ["c9"] for name in written})
    with pytest.raises(InputError, match="no round named 'r9'"):
        with_candidates(rounds, {"r9": []})
    with pytest.raises(InputError, match="no candidate is shown"):
        rate_rounds(crowd, rounds, rng=rng)


def test_rounds_come_back_as_records():
    rounds = new_rounds(made_crowd(), n_groups=2, group_size=3, rng=np.random.default_rng(0))
    written = candidates_for(rounds)
    found = rounds_of(with_candidates(rounds, written))
    assert {each.id: list(each.candidates) for each in found} == written
    assert all(len(each.opinions) == 3 and each.question.text for each in found)


def test_other_peoples_rounds_are_refused():
    rated = rated_rounds()
    human = replace(rated, about=replace(rated.about, people="human"))
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="its people: human; the crowd's: simulated"):
        rate_rounds(made_crowd(), human, rng=rng)
    renamed = replace(
        rated, opinions=rated.opinions.with_columns(participant_id=pl.lit("ada"))
    ).of_rounds([rated.rounds["round_id"][0]])
    with pytest.raises(InputError, match="begins with 'latent-'"):
        rate_rounds(made_crowd(), renamed, rng=rng)


def test_progress_reaches_its_end():
    seen = {}
    crowd, rng = made_crowd(), np.random.default_rng(0)
    report = lambda stage, done, total: seen.__setitem__(stage, (done, total))  # noqa: E731
    rounds = new_rounds(crowd, n_groups=2, group_size=2, rng=rng, on_progress=report)
    rate_rounds(crowd, with_candidates(rounds, candidates_for(rounds)), rng=rng, on_progress=report)
    assert seen["opinions"] == (4, 4)
    assert seen["rate"] == (32, 32)


@pytest.mark.heavy
def test_the_commands_take_rounds_of_the_packaged_bank(tmp_path, encoder_folder):
    crowd, rng = LatentCrowd(1), np.random.default_rng(1)
    rounds = new_rounds(crowd, n_groups=8, group_size=4, rng=rng, split="train")
    written = {}
    for each in rounds_of(rounds):
        considerations = crowd.question(each.question).considerations
        written[each.id] = [
            Candidate(
                f"c{n}",
                " ".join(c.arguments[side][0] for side in sides for c in considerations[1:4]),
                tuple(opinion.id for opinion in each.opinions),
                policy,
                "the bank",
                "0" * 16,
                n,
            )
            for n, (policy, sides) in enumerate(
                (("zero_shot", (0,)), ("zero_shot", (1,)), ("few_shot", (0, 1)))
            )
        ]
    rated = rate_rounds(crowd, with_candidates(rounds, written), rng=rng)
    folder = tmp_path / "rated"
    write_dataset(rated, folder)
    assert read_dataset(folder).ratings.equals(rated.ratings)
    run = CliRunner().invoke
    checked = run(app, ["data", "check", str(folder)])
    assert checked.exit_code == 0, checked.output
    found = run(app, ["evaluate", str(folder), "--resamples", "1000"])
    assert found.exit_code == 0, found.output
    assert "simulated" in found.output
    # What speaks for both sides is more welcome than either side alone.
    means = {
        name: rated.ratings.filter(pl.col("candidate_id") == name)["agreement"].mean()
        for name in ("c0", "c1", "c2")
    }
    assert means["c2"] > max(means["c0"], means["c1"]) - 0.5
    spread = {
        name: rated.ratings.filter(pl.col("candidate_id") == name)["agreement"].std()
        for name in ("c0", "c1", "c2")
    }
    assert spread["c2"] < min(spread["c0"], spread["c1"])
