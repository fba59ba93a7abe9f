"""Latent people against the process that they are said to follow."""

import numpy as np
import pytest
from crowd_making import N_CONSIDERATIONS, OTHER, QUESTION, made_crowd, names
from hypothesis import given, settings
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.measures.raters import quadratic_kappa
from commonweal.participants.latent import (
    LatentCrowd,
    LatentSettings,
    agreement_of,
    latent_settings,
)
from commonweal.types import Question

FOR = " ".join(f"+{n}" for n in range(N_CONSIDERATIONS))
AGAINST = FOR.replace("+", "-")
STATEMENTS = ["+0", "-0", "+1 -2", "+3", "-3 -4", "+1 +2 +4", FOR, AGAINST, "nothing", "-1 +4"]

positions = st.lists(st.floats(-1, 1), min_size=1, max_size=6)
tolerances = st.floats(0, 0.5)


def expressed_of(marks):
    return np.array(marks, dtype=bool).reshape(-1, 2)


# -------------------------------------------------------------------------------- the formula


def agreement_by_hand(position, expressed, tolerance):
    """The docstring's sentence, one consideration at a time."""
    own = other = 0.0
    for p, (is_for, is_against) in zip(position, expressed, strict=True):
        for side, there in ((1, is_for), (-1, is_against)):
            if there:
                if (p >= 0) == (side > 0):
                    own += abs(p)
                else:
                    other += abs(p)
    if own + other == 0:
        return 4.0
    all_ = own + other
    return 4 + 3 * all_ / (all_ + 0.5) * (2 * (own / all_) ** (1 - tolerance) - 1)


@given(data=st.data(), position=positions, tolerance=tolerances)
def test_agreement_is_the_formula_and_on_the_scale(data, position, tolerance):
    marks = data.draw(
        st.lists(st.booleans(), min_size=2 * len(position), max_size=2 * len(position))
    )
    expressed = expressed_of(marks)
    found = agreement_of(np.array(position), expressed, tolerance=tolerance)
    assert found == pytest.approx(agreement_by_hand(position, expressed.tolist(), tolerance))
    assert 1 <= found <= 7


@given(data=st.data(), position=positions, tolerance=tolerances)
def test_adding_to_one_side_never_pleases_the_other(data, position, tolerance):
    n = len(position)
    marks = data.draw(st.lists(st.booleans(), min_size=2 * n, max_size=2 * n))
    row, side = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, 1))
    before = expressed_of(marks)
    after = before.copy()
    after[row, side] = True
    position = np.array(position)
    change = agreement_of(position, after, tolerance=tolerance) - agreement_of(
        position, before, tolerance=tolerance
    )
    assert change >= -1e-9 if (position[row] >= 0) == (side == 0) else change <= 1e-9


@pytest.mark.parametrize("tolerance", [0.2, 0.5])
def test_opposites_disagree_on_one_side_and_both_accept_a_balance(tolerance):
    one = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    both = expressed_of([True] * 10)
    only_for = expressed_of([True, False] * 5)
    assert agreement_of(one, only_for, tolerance=tolerance) > 6
    assert agreement_of(-one, only_for, tolerance=tolerance) < 2
    assert agreement_of(one, both, tolerance=tolerance) > 4.2
    assert agreement_of(-one, both, tolerance=tolerance) > 4.2


# ---------------------------------------------------------------------------- people and ratings


def test_the_same_seed_makes_the_same_people_whoever_is_asked_first():
    def told(crowd, order):
        return {
            name: (
                crowd.participant(name).opinion(QUESTION),
                crowd.participant(name).position(OTHER).tolist(),
                crowd.participant(name).rate_position(QUESTION, "We should do it."),
                *(crowd.participant(name).rate(QUESTION, s, p) for s in STATEMENTS for p in (0, 1)),
            )
            for name in order
        }

    one, again = told(made_crowd(3), names(30)), told(made_crowd(3), names(30)[::-1])
    other = told(made_crowd(4), names(30))
    assert one == again
    assert sum(one[name] == other[name] for name in names(30)) == 0


@given(
    seed=st.integers(0, 2**31),
    statement=st.sampled_from(STATEMENTS),
    noise=st.floats(0, 6),
    leniency=st.floats(0, 6),
    unreliability=st.floats(0, 1),
)
@settings(max_examples=30)
def test_ratings_are_whole_numbers_on_the_scale(seed, statement, noise, leniency, unreliability):
    crowd = made_crowd(seed, noise=noise, leniency=leniency, unreliability=unreliability)
    person = crowd.participant("latent-x")
    given_ = [person.rate_position(QUESTION, "")]
    given_ += [n for p in (0, 1) for n in person.rate(QUESTION, statement, p)]
    assert all(type(n) is int and 1 <= n <= 7 for n in given_)
    assert 1 <= person.true_agreement(QUESTION, statement) <= 7


def test_mean_ratings_rise_with_the_truth():
    crowd = made_crowd(1)
    truth, rated = [], []
    for name in names(200):
        person = crowd.participant(name)
        for statement in STATEMENTS:
            truth.append(person.true_agreement(QUESTION, statement))
            rated.append(person.rate(QUESTION, statement, 0).agreement)
    truth, rated = np.array(truth), np.array(rated)
    edges = np.quantile(truth, [0.2, 0.4, 0.6, 0.8])
    means = [rated[np.digitize(truth, edges) == n].mean() for n in range(5)]
    assert np.diff(means).min() > 0.2
    # Away from the ends, where ratings are cut off, noise has mean 0.
    inner = (truth > 3) & (truth < 5)
    error = (rated - truth)[inner]
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(inner.sum())
    # Rounding adds a variance of a twelfth.
    assert error.std() == pytest.approx(np.sqrt(0.5**2 + 1 / 12), rel=0.1)


def test_without_noise_the_rating_is_the_truth_rounded():
    crowd = made_crowd(2, noise=0, unreliability=0)
    for name in names(40):
        person = crowd.participant(name)
        for statement in STATEMENTS:
            truth = person.true_agreement(QUESTION, statement)
            first, second = (person.rate(QUESTION, statement, p).agreement for p in (0, 1))
            assert first == second == round(truth)


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0])
def test_unreliability_is_the_share_redrawn_and_people_differ(mean):
    crowd = made_crowd(5, unreliability=mean)
    shares = np.array([crowd.participant(name).unreliability for name in names(1000)])
    assert shares.mean() == pytest.approx(mean, abs=0.03)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (shares.std() > 0.1) == (0 < mean < 1)


def test_kappa_between_passes_falls_with_unreliability_as_an_own_simulation_says():
    found, expected = [], []
    rng = np.random.default_rng(0)
    for mean in (0.0, 0.4, 1.0):
        crowd = made_crowd(6, unreliability=mean, leniency=0)
        people = [crowd.participant(name) for name in names(100)]
        tasks = [(person, statement) for person in people for statement in STATEMENTS]
        passes = [[p.rate(QUESTION, s, k).agreement for p, s in tasks] for k in (0, 1)]
        found += list(quadratic_kappa(*passes))
        # The same people a hundred times over, by the definition.
        truth = np.tile([p.true_agreement(QUESTION, s) for p, s in tasks], 100)
        share = np.tile([p.unreliability for p, _ in tasks], 100)
        first, kept = np.clip(np.round(truth + 0.5 * rng.standard_normal((2, len(truth)))), 1, 7)
        redrawn = rng.random(len(truth)) < share
        second = np.where(redrawn, rng.integers(1, 8, len(truth)), kept)
        expected += list(quadratic_kappa(first, second))
    # The standard error of a kappa of nothing is 1 / sqrt(1000).
    assert found == pytest.approx(expected, abs=0.1)
    assert expected[0] > 0.8
    assert expected[0] - expected[1] > 0.2
    assert expected[1] - expected[2] > 0.2
    assert expected[2] == pytest.approx(0, abs=0.02)


def test_leniency_shifts_all_of_a_persons_ratings():
    strict, lenient = made_crowd(7, leniency=0, noise=0), made_crowd(7, leniency=1, noise=0)
    shifts = [lenient.participant(name).leniency for name in names(1000)]
    assert np.mean(shifts) == pytest.approx(0, abs=0.15)
    assert np.std(shifts) == pytest.approx(1, rel=0.1)
    for name in names(50):
        one, other = (crowd.participant(name) for crowd in (strict, lenient))
        for statement in STATEMENTS:
            expected = np.clip(one.true_agreement(QUESTION, statement) + other.leniency, 1, 7)
            assert other.true_agreement(QUESTION, statement) == pytest.approx(expected)


def test_positions_follow_coherence():
    for coherence, expected in ((0.0, 0.0), (1.0, 1.0)):
        crowd = made_crowd(8, coherence=coherence)
        held = np.array([crowd.participant(name).position(QUESTION) for name in names(500)])
        between = np.corrcoef(held[:, 1:].T)[np.triu_indices(N_CONSIDERATIONS - 1, 1)]
        assert between == pytest.approx(np.full(len(between), expected), abs=0.12)
        # The verdict is what the considerations come to.
        assert (np.sign(held[:, 0]) == np.sign(held[:, 1:].mean(axis=1))).all()


def test_opinions_say_what_the_person_holds():
    crowd = made_crowd(9)
    for name in names(200):
        person = crowd.participant(name)
        position = person.position(QUESTION)
        said = person.opinion(QUESTION)
        sides = ["For" if p >= 0 else "Against" for p in position]
        told = [n for n in range(N_CONSIDERATIONS) if f"{sides[n]} {n}" in said]
        assert told
        for n, side in enumerate(sides):
            opposite = "Against" if side == "For" else "For"
            assert f"{opposite} {n}" not in said
    assert len({crowd.participant(name).opinion(QUESTION) for name in names(200)}) > 80


def test_what_cannot_be_asked_is_refused():
    crowd = made_crowd()
    with pytest.raises(InputError, match=r"no considerations for 'Is it so\?'.*2 questions"):
        crowd.participant("latent-1").opinion(Question("Is it so?"))
    with pytest.raises(InputError, match="begins with 'latent-'"):
        crowd.participant("ada")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"noise": -1}, "noise is -1, expected a number from 0 to 6"),
        ({"tolerance": 0.6}, "tolerance is 0.6, expected a number from 0 to 0.5"),
        ({"unreliability": float("nan")}, "unreliability is nan"),
        ({"nois": 1}, "unknown setting 'nois', expected coherence, tolerance"),
        ({"noise": True}, "noise is True, expected a number"),
        ({"noise": "1"}, "noise is '1', expected a number"),
    ],
)
def test_settings_are_checked(table, message):
    with pytest.raises(InputError, match=message):
        latent_settings(table)


def test_settings_from_a_table_and_a_crowd_from_a_generator():
    assert latent_settings({"noise": 1}) == LatentSettings(noise=1)
    one, again = (LatentCrowd.drawn(np.random.default_rng(2)) for _ in range(2))
    assert one.seed == again.seed
    assert one.origin.people == "simulated"
    assert one.origin.options["crowd_seed"] == one.seed
