"""One measurement, one number: ``reward measure`` and ``evaluate`` say the same of the same data.

Both are compared with loops over people and statements, one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, permutations
from statistics import mean

import numpy as np
import polars as pl
import pytest
from votes_making import TableModel, made_rounds, some_votes, table_model

from commonweal.datasets.agreements import matrices
from commonweal.datasets.dataset import Dataset, completed
from commonweal.datasets.schema import LIKERT_5, LIKERT_7, VOTE, Scale
from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.sections.reward_model import reward_model
from commonweal.measures.bootstrap import Resampler
from commonweal.rewards.measuring import measure
from commonweal.types import RewardInput

SIZES = {"few": (4, 9), "many": (30, 12), "most statements": (6, 40)}


def shared_inputs(scale: Scale) -> tuple[TableModel, Dataset]:
    """Rounds of unlike sizes, with the model's predictions stored."""
    rng = np.random.default_rng(0)
    both = {key: some_votes(rng, *size) for key, size in SIZES.items()}
    half = (scale.high - scale.low) / 2
    cast = {key: scale.neutral + np.round(votes * half) for key, (votes, _) in both.items()}
    if scale != VOTE:  # also ratings between the ends
        cast = {
            k: np.clip(v + rng.integers(-1, 2, v.shape), scale.low, scale.high)
            for k, v in cast.items()
        }
    noisy = {k: np.round(u + rng.normal(size=u.shape), 1) for k, (_, u) in both.items()}
    model, dataset = table_model(noisy), made_rounds(cast, scale=scale)
    return model, with_predictions(model, dataset)


def with_predictions(model: TableModel, dataset: Dataset) -> Dataset:
    rows = [
        {
            "round_id": matrix.round_id,
            "participant_id": person,
            "candidate_id": candidate,
            "reward_model": model.name,
            "reward": reward,
            "expected_rating": float(model.calibration.expected_rating(np.array(reward))),
        }
        for matrix in matrices(dataset)
        for person, opinion in zip(matrix.participant_ids, matrix.opinions, strict=True)
        for candidate, text in zip(matrix.candidate_ids, matrix.statements, strict=True)
        for reward in model.rewards([RewardInput(matrix.question, opinion, text)])
    ]
    return replace(dataset, predictions=completed("predictions", pl.DataFrame(rows)))


def by_loops(model: TableModel, dataset: Dataset) -> dict[str, float]:
    """Every comparison by itself; each unit counts the same, then each round."""
    neutral = dataset.about.scale.neutral
    found: dict[str, list[float]] = defaultdict(list)
    cells = []
    for m in matrices(dataset):
        there = np.argwhere(~np.isnan(m.agreement)).tolist()
        score = {
            (i, j): model.rewards([RewardInput(m.question, m.opinions[i], m.statements[j])])[0]
            for i, j in there
        }
        side = {(i, j): np.sign(m.agreement[i, j] - neutral) for i, j in there}
        units: dict[str, list[float]] = defaultdict(list)
        n_people, n_statements = m.agreement.shape
        for a in range(n_people):
            pairs = [
                (s, t)
                for s, t in permutations(range(n_statements), 2)
                if (a, s) in score and (a, t) in score and m.agreement[a, s] > m.agreement[a, t]
            ]
            right = {(s, t): _right(score[a, s] - score[a, t]) for s, t in pairs}
            sides = [r for (s, t), r in right.items() if side[a, s] == 1 and side[a, t] == -1]
            for name, some in (("comparisons", [*right.values()]), ("within_person", sides)):
                units[name] += [mean(some)] if some else []
        for a, b in combinations(range(n_people), 2):
            some = [
                _right(score[a, s] - score[a, t] - score[b, s] + score[b, t])
                for s, t in permutations(range(n_statements), 2)
                if [side.get(k) for k in ((a, s), (a, t), (b, s), (b, t))] == [1, -1, -1, 1]
            ]
            units["crossed"] += [mean(some)] if some else []
        for name, shares in units.items():
            found[name] += [mean(shares)] if shares else []
        cells += [
            (
                m.round_id,
                model.calibration.expected_rating(score[k]),
                _seven(m.agreement[k], dataset),
            )
            for k in score
        ]
    n_in = Counter(r for r, _, _ in cells)
    expected = [one for _, one, _ in cells]
    gaps: dict[int, float] = defaultdict(float)
    for r, one, said in cells:
        below = sum(other < one - 1e-9 for other in expected)
        alike = sum(abs(other - one) < 1e-9 for other in expected)
        gaps[int(10 * (below + alike / 2) / len(cells))] += (one - said) / n_in[r]
    return {name: mean(rounds) for name, rounds in found.items()} | {
        "error": sum(map(abs, gaps.values())) / len(n_in),
        "bias": sum(gaps.values()) / len(n_in),
    }


def _right(lead: float) -> float:
    return 0.5 if abs(lead) < 1e-9 else float(lead > 0)


def _seven(rating: float, dataset: Dataset) -> float:
    """Votes are 2, 4 and 6 of 7; other scales are stretched."""
    scale = dataset.about.scale
    if scale == VOTE:
        return 4 + 2 * rating
    return 1 + 6 * (rating - scale.low) / (scale.high - scale.low)


@pytest.mark.parametrize("scale", [VOTE, LIKERT_5, LIKERT_7], ids=lambda scale: scale.name)
def test_both_commands_say_what_loops_say(scale):
    model, dataset = shared_inputs(scale)
    expected = by_loops(model, dataset)
    measured = measure(model, dataset, n_draws=20)
    found = rated(dataset)
    section = reward_model(dataset, found, Resampler(found.n_groups, 1000, np.random.default_rng()))
    evaluated = {one.key: one for one in section.figures}
    both = {
        "crossed": (measured.own.crossed, "accuracy/crossed"),
        "within_person": (measured.own.within_person, "accuracy/agreed"),
        "comparisons": (measured.own.comparisons, "accuracy/within"),
        "error": (measured.reliability.error, "calibration/error"),
        "bias": (measured.reliability.bias, "calibration/bias"),
    }
    for name, (one, key) in both.items():
        other = evaluated[f"{key}/{model.name}"]
        assert one.value == pytest.approx(expected[name], abs=1e-12), name
        assert other.value == pytest.approx(one.value, abs=1e-12), name
        assert other.n == one.n_comparisons, name
    bins = [one for key, one in evaluated.items() if key.startswith("calibration/bin/")]
    assert [(one.value, one.n) for one in bins] == [
        (pytest.approx(one.observed), one.n) for one in measured.reliability.bins
    ]
