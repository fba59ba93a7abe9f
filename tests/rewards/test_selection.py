"""Selection on people's answers against plain loops, and what a model without a clue must get."""

import itertools

import numpy as np
import pytest

from commonweal.datasets.schema import VOTE
from commonweal.measures.intervals import resample, tail
from commonweal.rewards import LogisticCalibration
from commonweal.rewards.resampling import Draws
from commonweal.rewards.scoring import SEED, RatedRound, ScoredRound, rng_of
from commonweal.rewards.selection import Groups, _outcomes, find_groups, measure_selection
from commonweal.welfare import WELFARE_FUNCTIONS, isoelastic

CALIBRATION = LogisticCalibration(1.0, 0.0, "nothing")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def scored_round(ratings, own, swapped=None, statement_only=None) -> ScoredRound:
    n_people, n_statements = ratings.shape
    rated = RatedRound(
        "r1",
        "q1",
        None,
        "Should we?",
        tuple(f"opinion {i}" for i in range(n_people)),
        tuple(f"statement {j}" for j in range(n_statements)),
        ratings,
        VOTE,
    )
    swapped = np.zeros_like(own) if swapped is None else swapped
    return ScoredRound(
        rated, own, (swapped,), np.zeros_like(own) if statement_only is None else statement_only
    )


def votes(rng, n_people=12, n_statements=30, missing=0.2):
    found = rng.choice([1.0, 0.0, -1.0], (n_people, n_statements), p=[0.5, 0.2, 0.3])
    return np.where(rng.random(found.shape) < missing, np.nan, found)


# ---------------------------------------------------------------------------------------- groups


def test_all_groups_that_there_are_and_no_other_are_found(rng):
    for missing in (0.25, 0.35):
        rated = rng.random((9, 24)) > missing
        expected = {
            members
            for members in itertools.combinations(range(9), 4)
            if rated[list(members)].all(axis=0).sum() >= 6
        }
        got = find_groups(rated, rng, group_size=4, n_statements=6)
        assert {tuple(map(int, members)) for members in got.people} == expected
        assert len(got) == len(expected)  # none twice
        assert 0 < len(expected) < 126


def test_everybody_rated_every_statement_of_the_group_once(rng):
    rated = rng.random((40, 60)) > 0.3
    got = find_groups(rated, rng, max_groups=300)
    assert got.people.shape == (300, 5)
    assert got.statements.shape == (300, 16)
    for people, statements in zip(got.people, got.statements, strict=True):
        assert len(set(people)) == 5
        assert len(set(statements)) == 16
        assert rated[np.ix_(people, statements)].all()


def test_the_same_seed_finds_the_same_groups(rng):
    rated = rng.random((40, 60)) > 0.3
    one, other, third = (find_groups(rated, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (one.people == other.people).all()
    assert (one.statements == other.statements).all()
    assert (one.people != third.people).any()


@pytest.mark.parametrize("shape", [(3, 60), (30, 10), (0, 0)])
def test_no_groups_where_there_can_be_none(shape, rng):
    got = find_groups(np.ones(shape, dtype=bool), rng)
    assert len(got) == 0
    assert got.people.shape == (0, 5)


# --------------------------------------------------------------------------------------- outcomes


def test_outcomes_are_what_plain_loops_say(rng):
    ratings = votes(rng, missing=0.0)
    own = rng.normal(size=ratings.shape)
    scored = scored_round(ratings, own)
    groups = find_groups(np.isfinite(ratings), rng, max_groups=20)
    got = _outcomes(scored, groups, CALIBRATION)
    for welfare, alpha in WELFARE_FUNCTIONS.items():
        for number, (people, statements) in enumerate(
            zip(groups.people, groups.statements, strict=True)
        ):
            real = [[ratings[i, j] for i in people] for j in statements]
            predicted = [[own[i, j] for i in people] for j in statements]
            utilities = [[CALIBRATION.expected_rating(np.array(x)) for x in r] for r in predicted]
            value = [float(isoelastic(np.array(r)[:, None], alpha)[0]) for r in utilities]
            chosen = max(range(len(value)), key=value.__getitem__)
            means, minima = [np.mean(r) for r in real], [min(r) for r in real]
            expected = [
                means[chosen],
                minima[chosen],
                means[chosen] - np.mean(means),
                minima[chosen] - np.mean(minima),
                np.mean([(means[chosen] > m) + 0.5 * (means[chosen] == m) for m in means]),
                np.mean([(minima[chosen] > m) + 0.5 * (minima[chosen] == m) for m in minima]),
            ]
            assert got["own", welfare][number] == pytest.approx(expected)


def drawn(times):
    """People of the one round drawn so."""
    return Draws("people", [times], np.ones((len(times), 1)), None)


def measured(scored, rng, **more):
    n = len(scored.rated.opinions)
    return measure_selection([scored], CALIBRATION, drawn(resample(n, rng, 200)), **more)


def test_who_knows_the_answers_picks_the_best_there_is(rng):
    ratings = votes(rng, missing=0.1)
    got = measured(scored_round(ratings, np.nan_to_num(ratings)), rng)
    # Expected ratings are not votes: the best by their mean is, for 5 votes of 3 kinds, the best.
    assert got.picks["own"]["utilitarian"].mean.value == pytest.approx(
        got.best.mean.value, abs=0.02
    )
    assert got.picks["own"]["rawlsian"].minimum.value == got.best.minimum.value
    assert got.best.mean_gain.value > 0
    assert got.n_people <= 12


def test_who_knows_nothing_picks_as_well_as_chance(rng):
    ratings = votes(rng, n_people=40, n_statements=80, missing=0.1)
    noise = rng.normal(size=ratings.shape)
    got = measured(scored_round(ratings, noise), rng)
    for pick in got.picks["own"].values():
        low, high = pick.mean_wins.low, pick.mean_wins.high
        assert low <= 0.5 <= high
        assert pick.mean_gain.low <= 0 <= pick.mean_gain.high
    assert got.random.mean_wins.value == 0.5


def test_a_constant_is_a_random_pick(rng):
    # Ties go to the first, and statements come in random order.
    ratings = votes(rng, n_people=30, n_statements=60, missing=0.1)
    got = measured(scored_round(ratings, np.zeros_like(ratings)), rng)
    pick = got.picks["own"]["utilitarian"]
    assert pick.mean_wins.value == pytest.approx(0.5, abs=0.04)
    assert pick.mean.value == pytest.approx(got.random.mean.value, abs=0.05)


def test_a_draw_counts_groups_as_often_as_all_their_people(rng):
    ratings = votes(rng, n_people=7, missing=0.0)
    scored = scored_round(ratings, rng.normal(size=ratings.shape))
    times = resample(7, rng, 400)
    got = measure_selection([scored], CALIBRATION, drawn(times))
    rows = find_groups(np.isfinite(ratings), np.random.default_rng(0))
    assert got.n_groups == len(rows) == 21  # 7 choose 5
    one_each = measure_selection([scored], CALIBRATION, drawn(np.ones((3, 7))))
    pick = one_each.picks["own"]["utilitarian"].mean
    assert pick.value == got.picks["own"]["utilitarian"].mean.value
    assert "all people have the same value" in pick.no_interval


def test_groups_of_people_who_were_not_drawn_do_not_count(rng):
    ratings = votes(rng, n_people=6, missing=0.0)
    scored = scored_round(ratings, rng.normal(size=ratings.shape))
    times = np.ones((2, 6))
    times[1, 5] = 0  # one group is left: the first five
    got = measure_selection([scored], CALIBRATION, drawn(times))
    alone = scored_round(ratings[:5], scored.own[:5])
    found = find_groups(np.isfinite(ratings), rng_of(SEED, "groups", "r1"))
    groups = [
        g for g in zip(found.people, found.statements, strict=True) if set(g[0]) == set(range(5))
    ]
    ((people, statements),) = groups
    outcome = _outcomes(alone, Groups(people[None], statements[None]), CALIBRATION)
    pick = got.picks["own"]["utilitarian"].mean
    # One draw of everybody, and one of the five: an end lies between them.
    cut = tail(pick.n_clusters)
    ends = np.quantile([pick.value, outcome["own", "utilitarian"][0, 0]], [cut, 1 - cut])
    assert (pick.low, pick.high) == pytest.approx(tuple(ends))


def test_nothing_where_no_group_is_found(rng):
    ratings = votes(rng, n_people=4)
    assert measured(scored_round(ratings, np.zeros_like(ratings)), rng) is None
