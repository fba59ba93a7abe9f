"""Tiny studies whose figures are worked out by hand, with the working beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rounds_by_hand import hand_study

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.schema import LIKERT_7
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.sections.best_of_n import (
    best_probabilities,
    expected_best,
    kl_bound,
    win_rate_bound,
    won_and_lost,
)
from commonweal.evaluation.sections.welfare_compared import pick

pytestmark = pytest.mark.usefixtures("quick_power")


@pytest.fixture
def figures(quick_power):
    return evaluate(hand_study(), baseline="zero", n_resamples=1000).figures


# The study (tests/evaluation/rounds_by_hand.py), each person's mean over passes:
#
#   round 1, position 6 2 5 (one of three disagrees)    round 2, position 6 6 7 (not divisive)
#             ana  ben  cleo   mean  min  median                 dan  eve   mean  min  median
#   sft  c1    6    5    5     16/3   5    5            sft  c1   7    4    5.5    4   5.5
#   sft  c2    4    6    7     17/3   4    6
#   zero c3    2    7    6      5     2    6            zero c2   6    6     6     6    6
#
# c1 of round 1 was written without ben's opinion, c2 without ana's, c3 with everybody's.


def test_agreement_by_policy(figures):
    # sft in round 1: (16/3 + 17/3) / 2 = 5.5, in round 2: 5.5. zero: (5 + 6) / 2.
    assert figures["agreement/mean/sft"].value == pytest.approx(5.5)
    assert figures["agreement/mean/zero"].value == pytest.approx(5.5)
    assert figures["agreement/min/sft"].value == pytest.approx((4.5 + 4) / 2)
    assert figures["agreement/median/sft"].value == pytest.approx((5.5 + 5.5) / 2)


def test_win_rates(figures):
    # Mean: round 1 5.5 > 5 won, round 2 5.5 < 6 lost. Median: 5.5 < 6 lost, 5.5 < 6 lost.
    # Minimum: 4.5 > 2 won, 4 < 6 lost.
    assert figures["win_rate/mean/all/sft/zero"].value == 0.5
    assert figures["win_rate/median/all/sft/zero"].value == 0
    assert figures["win_rate/min/all/sft/zero"].value == 0.5
    assert figures["win_rate/mean/divisive/sft/zero"].value == 1
    assert figures["win_rate/mean/not_divisive/sft/zero"].value == 0
    # People: ana 5 > 2, ben 5.5 < 7, cleo 6 = 6 (even, left out), dan 7 > 6, eve 4 < 6.
    assert figures["win_rate/person/all/sft/zero"].value == 0.5
    assert figures["win_rate/person/all/sft/zero"].n == 4


def test_divisiveness(figures):
    # Round 1 only. The position: smaller side 1 of 3. c1: 0 of 3, less. c2: ana is neutral, 0 of 3,
    # less. c3: ana against, 1 of 3, the same: not less.
    assert figures["less_divisive/all"].value == pytest.approx(2 / 3)
    assert figures["less_divisive/zero"].value == 0
    assert figures["less_divisive_agreed/all"].value == 1
    # Unanimous: c1 (6 5 5). c2 is not: ana's 4 is below 5.
    assert figures["unanimous/all"].value == 1
    assert figures["unanimous/zero"].value == 0
    assert figures["unanimous/all"].n == 1


def test_distribution(figures):
    # Ratings of zero, passes apart: round 1: 2 2, 7 7, 6 6; round 2: 6 6, 6 6.
    assert figures["distribution/zero/6"].value == pytest.approx(6 / 10)
    assert figures["distribution/zero/2"].value == pytest.approx(2 / 10)
    assert figures["distribution/zero/1"].value == 0
    assert figures["distribution/zero/agree"].value == pytest.approx(8 / 10)
    assert figures["distribution/zero/6"].n == 10


def test_inclusion(figures):
    # c1: median(6, 5) - 5 = 0.5. c2: median(6, 7) - 4 = 2.5. Round 2 records nothing.
    assert figures["inclusion/agreement"].value == pytest.approx(1.5)
    assert figures["inclusion/agreement"].n == 2
    # Quality is 5 throughout.
    assert figures["inclusion/quality"].value == 0
    assert figures["inclusion/agreement_minus_quality"].value == pytest.approx(1.5)


def test_the_reward_model(figures):
    # Rewards in round 1 (ana 1 2 3, ben 1 2 3, cleo 3 2 2), none in round 2.
    # ana rated 6 4 2: each pair is ordered wrongly, 0 of 3. ben 5 6 7: 3 of 3. cleo 5 7 6: c1 c2
    # wrong, c1 c3 wrong, c2 c3 equal rewards, one half: 0.5 of 3.
    assert figures["accuracy/within/model"].value == pytest.approx(3.5 / 9)
    # Agreed against disagreed: ana c1 (6) against c3 (2) alone, wrong.
    assert figures["accuracy/agreed/model"].value == 0
    assert figures["accuracy/crossed/model"].value is None


def test_reliability_and_missing(figures):
    # Everybody's second rating is the first one, but for ana's first statement: 7 and 5.
    assert figures["unreliable"].value is None  # nobody rated four statements twice
    assert "nobody rated 4 statements twice" in figures["kappa/agreement"].unavailable


def test_no_interval_from_two_groups(figures):
    assert all(
        figure.low is None and figure.no_interval
        for key, figure in figures.items()
        if figure.value is not None and not key.startswith(("power/", "effect/"))
    )


def test_best_of_n_by_hand():
    # Of three, best of two: the best is in two of the three pairs, the second best in one.
    assert best_probabilities(3, 2) == pytest.approx((2 / 3, 1 / 3, 0))
    assert best_probabilities(4, 1) == pytest.approx((0.25,) * 4)
    assert best_probabilities(4, 4) == pytest.approx((1, 0, 0, 0))
    values = np.array([[6.0, 3.0, 5.0]])  # by rank of prediction: the second pick is poor
    assert expected_best(values, 2) == pytest.approx([2 / 3 * 6 + 1 / 3 * 3])
    # Best of two against the third: {6,3} -> 6 > 5 won; {6,5} -> 6 > 3 won; {3,5} -> 3 < 6 lost.
    won, lost = won_and_lost(values, 2)
    assert (won[0], lost[0]) == pytest.approx((2 / 3, 1 / 3))
    assert win_rate_bound(4) == 0.8
    assert kl_bound(4) == pytest.approx(np.log(4) - 0.75)


def test_a_perfect_selector_reaches_the_bound():
    """The best of n of N different values beats one of the others with n / (n + 1)."""
    values = np.arange(9, 0, -1, dtype=float)[None]
    for n in range(1, 9):
        won, lost = won_and_lost(values, n)
        assert won[0] / (won[0] + lost[0]) == pytest.approx(win_rate_bound(n))


def test_pick_shares_a_tie():
    predicted = np.array([3.0, 3.0, 1.0, 5.0])
    realised = np.array([2.0, 4.0, 7.0, 1.0])
    assert pick(predicted, realised, np.array([0, 0, 0, 2]), 3) == pytest.approx(
        [3, np.nan, 1], nan_ok=True
    )


def test_unanimity_hangs_on_the_pass_and_on_the_cut():
    """Ben gives c1 a 4 and then a 5: 4.5 is above neutral and no whole point above."""
    study = hand_study()
    his = (pl.col("participant_id") == "ben") & (pl.col("candidate_id") == "c1")
    ratings = study.ratings.with_columns(
        agreement=pl.when(his).then(4 + pl.col("pass_index")).otherwise("agreement")
    )
    found = evaluate(replace(study, ratings=ratings), n_resamples=1000, threshold=-1).figures
    assert found["unanimous/sft"].value == 0
    assert found["unanimous_by/above_neutral/sft"].value == 1
    assert found["unanimous_by/first_pass/sft"].value == 0
    assert found["unanimous_by/last_pass/sft"].value == 1
    assert "by the last rating" in found["unanimous_by/last_pass/sft"].says
    once = replace(study, ratings=ratings.filter(pass_index=0))
    one_pass = evaluate(once, n_resamples=1000).figures
    assert not any("_pass/" in key for key in one_pass)


KINDS = {
    "all agree twice": (5, (6, 6)),
    "agree, then neutral": (3, (5, 4)),
    "neutral, then agree": (1, (4, 5)),
    "disagree": (48, (3, 3)),
}
"""Divisive rounds, and how one of the two people rates their candidate in the two passes."""


def test_unanimity_of_57_rounds_of_known_counts():
    """5 by mean ratings, 9 above neutral, 8 by the first pass, 6 by the last: shares as printed."""
    rows = {name: [] for name in ("rounds", "opinions", "candidates", "ratings", "positions")}
    given = [passes for n, passes in KINDS.values() for _ in range(n)]
    for i, passes in enumerate(given):
        at = {"round_id": f"r{i}"}
        rows["rounds"].append(at | {"group_id": f"g{i}", "question_id": f"q{i}", "question": "Q?"})
        rows["candidates"].append(
            at | {"candidate_id": "c", "text": "We agree.", "policy": "sft", "shown": True}
        )
        for person, position in (("a", 6), ("b", 2)):
            who = at | {"participant_id": f"{person}{i}"}
            rows["opinions"].append(
                who | {"opinion_id": person, "text": "So.", "source": "written"}
            )
            rows["positions"].append(who | {"agreement": position})
            for again, rating in enumerate(passes if person == "a" else (6, 6)):
                rows["ratings"].append(
                    who
                    | {"candidate_id": "c", "pass_index": again, "agreement": rating, "quality": 5}
                )
    study = Dataset(
        About(name="57", people="simulated", scale=LIKERT_7, source="made up for the tests"),
        rounds=frame("rounds", rows["rounds"]),
        opinions=frame("opinions", rows["opinions"]),
        candidates=frame("candidates", rows["candidates"]),
        ratings=frame("ratings", rows["ratings"]),
        position_ratings=frame("position_ratings", rows["positions"]),
    )
    found = evaluate(study, n_resamples=1000, threshold=-1).figures
    expected = {
        "unanimous/sft": (5, "8.8 %"),
        "unanimous_by/above_neutral/sft": (9, "15.8 %"),
        "unanimous_by/first_pass/sft": (8, "14.0 %"),
        "unanimous_by/last_pass/sft": (6, "10.5 %"),
    }
    for key, (n, printed) in expected.items():
        assert found[key].value == pytest.approx(n / 57)
        assert found[key].n == 57
        assert printed in found[key].says
