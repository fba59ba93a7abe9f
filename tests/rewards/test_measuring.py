"""Every figure on a dataset: against the same computed by hand, and where the truth is known."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from votes_making import TableModel, made_rounds, opinion, some_votes, statement, table_model

from commonweal.datasets.schema import LIKERT_5, LIKERT_7, VOTE
from commonweal.errors import CommonwealError, InputError
from commonweal.measures.accuracy import crossed_accuracy, leniency, same_statement_accuracy
from commonweal.rewards import fit_logistic_calibration, load_reward_model
from commonweal.rewards.baselines import (
    ConstantRewardModel,
    CosineRewardModel,
    StatementOnlyRewardModel,
)
from commonweal.rewards.card import as_dict
from commonweal.rewards.measuring import measure
from commonweal.rewards.scoring import (
    N_MEAN_OPINIONS,
    N_SWAPS,
    RatedRound,
    derangement,
    fit_calibration,
    rated_rounds,
    score_rounds,
)

SHARED = Path(
    os.environ.get("COMMONWEAL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def votes(rng):
    return some_votes(rng)


# ---------------------------------------------------------------------------------------- scoring


def test_only_pairs_that_are_needed_are_scored_each_once(rng):
    cast, scores = some_votes(rng, 200, 30, missing=0.9)
    model = table_model({"r1": scores})
    (scored,) = score_rounds(model, made_rounds({"r1": cast}))
    n_rated = int(np.isfinite(cast).sum())
    assert len(model.asked) == len(set(model.asked))
    assert len(model.asked) <= (1 + N_SWAPS) * n_rated + N_MEAN_OPINIONS * 30 < cast.size
    there = np.isfinite(cast).any(axis=1)
    assert np.isfinite(scored.own).sum() == n_rated
    assert scored.own == pytest.approx(np.where(np.isnan(cast), np.nan, scores)[there], nan_ok=True)


def test_swapped_is_another_persons_opinion_and_statement_only_knows_no_person(votes):
    cast, scores = votes
    (scored,) = score_rounds(table_model({"r1": scores}), made_rounds({"r1": cast}))
    assert len(scored.swapped) == N_SWAPS
    for swapped in scored.swapped:
        givers = []
        for person in range(len(cast)):
            known = np.isfinite(cast[person])
            fits = [
                i for i in range(len(cast)) if (scores[i, known] == swapped[person, known]).all()
            ]
            givers += fits
            assert fits != [person]
        assert sorted(givers) == list(range(len(cast)))  # each opinion is given once
    column_means = scores.mean(axis=0)  # fewer people than opinions in the mean
    expected = np.where(np.isnan(cast), np.nan, column_means)
    assert scored.statement_only == pytest.approx(expected, nan_ok=True)


def test_who_wrote_a_statement_is_not_asked_what_others_think_of_it():
    # The opinion of person 0 holds statement 0 word for word; the model likes nothing so much.
    cast = np.ones((4, 2))
    data = made_rounds({"r1": cast})
    texts = [opinion("r1", i) + (" " + statement("r1", 0) if i == 0 else "") for i in range(4)]
    data = type(data)(
        data.about,
        rounds=data.rounds,
        opinions=data.opinions.with_columns(text=pl.Series(texts)),
        candidates=data.candidates,
        ratings=data.ratings,
    )
    model = TableModel(
        {(t, statement("r1", j)): 9.0 * (statement("r1", j) in t) for t in texts for j in range(2)}
    )
    (scored,) = score_rounds(model, data)
    assert scored.statement_only == pytest.approx(np.zeros((4, 2)))


def test_ratings_of_ones_own_statement_are_left_out():
    data = made_rounds({"r1": np.ones((3, 2))}, authors={("r1", 1): 2})
    (rated,) = rated_rounds(data)
    assert np.isnan(rated.ratings[2, 1])
    assert np.isfinite(rated.ratings).sum() == 5


def test_of_many_people_some_are_drawn(rng):
    cast, scores = some_votes(rng, 50, 20)
    (scored,) = score_rounds(table_model({"r1": scores}), made_rounds({"r1": cast}), max_people=10)
    assert scored.own.shape == (10, 20)
    assert len(set(scored.rated.opinions)) == 10


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_derangement_leaves_nobody_in_place(n, rng):
    for _ in range(50):
        order = derangement(n, rng)
        assert sorted(order) == list(range(n))
        assert (order != np.arange(n)).all()
    with pytest.raises(ValueError, match="at least 2"):
        derangement(1, rng)


def test_seven_points_is_the_convention_that_it_says():
    assert VOTE.seven_points(np.array([-1, 0, 0.5, 1])) == pytest.approx([2, 4, 5, 6])
    assert LIKERT_5.seven_points(np.arange(1.0, 6)) == pytest.approx([1, 2.5, 4, 5.5, 7])
    assert LIKERT_7.seven_points(np.arange(1.0, 8)) == pytest.approx(np.arange(1.0, 8))


def test_a_calibration_is_right_on_average_whatever_the_kind_weighs(rng):
    few, many = some_votes(rng, 5, 10), some_votes(rng, 40, 40)
    rounds = rated_rounds(made_rounds({"r1": few[0], "r2": many[0]}))
    model = table_model({"r1": few[1], "r2": many[1]})
    found = fit_calibration(model.rewards, [[rounds[0]], [rounds[1]]], fitted_to="votes")
    off = []
    for rated, (_, scores) in zip(rounds, (few, many), strict=True):
        known = np.isfinite(rated.ratings)
        predicted = found.expected_rating(scores[known])
        off.append((predicted - VOTE.seven_points(rated.ratings[known])).mean())
    assert sum(off) == pytest.approx(0, abs=1e-3)


def test_by_person_is_each_person_once_however_much_they_rated():
    """A person with two ratings weighs as much as one with eight."""
    rng = np.random.default_rng(1)
    ratings = rng.choice([-1.0, 1.0], (3, 8))
    ratings[0, 2:] = np.nan
    texts = tuple(f"o{n}" for n in range(3)), tuple(f"s{n}" for n in range(8))
    rated = RatedRound("r", "q", None, "Q?", *texts, ratings, VOTE)
    rewards = {(o, s): float(rng.normal()) for o in texts[0] for s in texts[1]}

    def score(inputs):
        return np.array([rewards[one.opinion, one.statement] for one in inputs])

    found = fit_calibration(score, [[rated]], fitted_to="votes", by_person=True)
    rows, columns = np.nonzero(np.isfinite(ratings))
    expected = fit_logistic_calibration(
        np.array([rewards[texts[0][i], texts[1][j]] for i, j in zip(rows, columns, strict=True)]),
        VOTE.seven_points(ratings[rows, columns]),
        weights=np.array([1 / 2 if i == 0 else 1 / 8 for i in rows]),
        fitted_to="votes",
    )
    assert (found.slope, found.intercept) == pytest.approx((expected.slope, expected.intercept))


# ---------------------------------------------------------------------------------------- figures


def test_figures_are_those_of_the_arrays(votes):
    cast, scores = votes
    got = measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=50)
    times = np.ones((1, len(cast)))
    assert got.own.crossed.value == crossed_accuracy(scores, cast, times).value
    assert got.own.same_statement.value == same_statement_accuracy(scores, cast, times).value
    assert got.leniency.value == same_statement_accuracy(leniency(cast), cast, times).value
    assert (got.n_rounds, got.n_people, got.n_ratings) == (1, 12, np.isfinite(cast).sum())
    assert got.resampled == "people"
    assert got.own.correlation.n_comparisons == 0
    assert got.own.comparisons.n_comparisons > got.own.within_person.n_comparisons


def test_a_model_that_sees_the_truth_drops_without_the_opinion(rng):
    cast, scores = some_votes(rng, 40, 40)
    got = measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=100)
    assert got.own.crossed.value == 1
    assert got.swapped.crossed.value == pytest.approx(0.5, abs=0.06)
    assert got.swapped_drop.crossed.low > 0.4
    # What is left without any opinion is what is popular: half the variance here.
    assert got.statement_only.crossed.value == 0.5
    assert 0.6 < got.statement_only.within_person.value < got.own.within_person.value == 1
    assert got.statement_only_drop.within_person.value == pytest.approx(
        1 - got.statement_only.within_person.value
    )


def test_a_model_that_is_blind_to_the_opinion_gets_exactly_one_half(rng):
    cast, scores = some_votes(rng, 30, 30)
    blind = np.tile(scores[:1], (30, 1))
    got = measure(table_model({"r1": blind}), made_rounds({"r1": cast}), n_draws=50)
    for figures in (got.own, got.swapped, got.statement_only):
        assert figures.crossed.value == 0.5
        assert figures.same_statement.value == 0.5
        assert figures.within_person.value == pytest.approx(got.own.within_person.value)
    assert got.swapped_drop.within_person.value == pytest.approx(0)
    assert "all people have the same value" in got.swapped_drop.within_person.no_interval
    constant = measure(ConstantRewardModel(), made_rounds({"r1": cast}), n_draws=50)
    assert constant.own.within_person.value == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(seed, rng):
    both = {"r1": some_votes(rng), "r2": some_votes(rng, 30, 20)}
    cast = {key: votes for key, (votes, _) in both.items()}
    model = table_model({key: scores for key, (_, scores) in both.items()})
    one = measure(model, made_rounds(cast), n_draws=20, max_people=10)
    shuffled = made_rounds(cast, shuffle=np.random.default_rng(seed))
    assert as_dict(measure(model, shuffled, n_draws=20, max_people=10)) == as_dict(one)


def test_a_round_is_measured_the_same_whatever_other_rounds_there_are(rng):
    both = {key: some_votes(rng, missing=0.05) for key in ("r1", "r2")}
    model = table_model({key: scores for key, (_, scores) in both.items()})
    each = [
        measure(model, made_rounds({key: votes}), n_draws=20) for key, (votes, _) in both.items()
    ]
    whole = measure(model, made_rounds({k: votes for k, (votes, _) in both.items()}), n_draws=20)
    for name in ("crossed", "within_person", "same_statement"):
        for variant in ("own", "swapped", "statement_only"):
            single = [getattr(getattr(one, variant), name).value for one in each]
            got = getattr(getattr(whole, variant), name).value
            assert got == pytest.approx(np.mean(single)), (variant, name)
    single = [one.selection.picks["own"]["rawlsian"].mean.value for one in each]
    assert whole.selection.picks["own"]["rawlsian"].mean.value == pytest.approx(np.mean(single))


def test_many_topics_or_questions_are_resampled_instead_of_people(rng):
    names = [f"r{n}" for n in range(24)]
    both = {name: some_votes(rng, 5, 6, missing=0) for name in names}
    cast = {name: votes for name, (votes, _) in both.items()}
    model = table_model(
        {name: scores + rng.normal(size=scores.shape) for name, (_, scores) in both.items()}
    )
    of_people = measure(model, made_rounds({k: cast[k] for k in names[:9]}), n_draws=100)
    of_questions = measure(model, made_rounds(cast), n_draws=100)
    topics = {name: f"t{n % 12}" for n, name in enumerate(names)}
    of_topics = measure(model, made_rounds(cast, topics=topics), n_draws=100)
    assert [m.resampled for m in (of_people, of_questions, of_topics)] == [
        "people",
        "questions",
        "topics",
    ]
    assert of_questions.own.within_person.n_clusters == 24
    assert of_topics.own.within_person.n_clusters == 12
    assert of_topics.own.within_person.value == of_questions.own.within_person.value
    low, high = of_topics.own.within_person[1:3]
    assert low < of_topics.own.within_person.value < high


def test_correlation_within_a_question_is_the_mean_of_scipys(rng):
    ratings, scores = {}, {}
    for key in ("q1", "q2", "q3"):
        given = rng.integers(1, 6, (30, 10)).astype(float)
        given[rng.random(given.shape) < 0.8] = np.nan
        ratings[key], scores[key] = given, np.nan_to_num(given) + 2 * rng.normal(size=given.shape)
    got = measure(table_model(scores), made_rounds(ratings, scale=LIKERT_5), n_draws=50)
    expected = [
        stats.spearmanr(scores[key][known], ratings[key][known]).statistic
        for key in ratings
        for known in [np.isfinite(ratings[key])]
    ]
    assert got.own.correlation.value == pytest.approx(np.mean(expected))
    assert got.own.correlation.low < got.own.correlation.value < got.own.correlation.high
    assert abs(got.swapped.correlation.value) < got.own.correlation.value


# ------------------------------------------------------------------------------------ calibration


def test_reliability_is_what_a_plain_loop_says(votes):
    cast, scores = votes
    model = table_model({"r1": scores})
    got = measure(model, made_rounds({"r1": cast}), n_draws=50).reliability
    known = np.isfinite(cast)
    predicted = model.calibration.expected_rating(scores[known])
    said = 4 + 2 * cast[known]
    parts = np.array_split(np.argsort(predicted), 10)
    assert got.error.value == pytest.approx(
        sum(abs((predicted[p] - said[p]).sum()) for p in parts) / len(said), abs=0.02
    )
    assert "chance raises" in got.error.no_interval
    assert got.bias.value == pytest.approx((predicted - said).mean())
    assert sum(one.n for one in got.bins) == len(said)
    assert [one.predicted for one in got.bins] == sorted(one.predicted for one in got.bins)
    assert "convention" in got.unit
    assert got.bias.low < got.bias.value < got.bias.high


def test_expected_ratings_that_are_right_have_little_error(rng):
    # The chance to agree is what the model says, so that its expected rating is right.
    scores = rng.normal(size=(80, 60))
    model = table_model({"r1": scores})
    expected = model.calibration.expected_rating(scores)
    cast = np.where(rng.random(scores.shape) < np.clip((expected - 2) / 4, 0, 1), 1.0, -1.0)
    inside = (expected > 2.2) & (expected < 5.8)
    right = measure(model, made_rounds({"r1": np.where(inside, cast, np.nan)}), n_draws=50)
    assert abs(right.reliability.bias.value) < 0.1
    assert right.reliability.error.value < 0.2
    wrong = table_model({"r1": scores + 1.5})
    off = measure(wrong, made_rounds({"r1": np.where(inside, cast, np.nan)}), n_draws=50)
    assert off.reliability.bias.low > 0.5
    assert off.reliability.error.value >= off.reliability.bias.value - 1e-9


# ----------------------------------------------------------------------------------------- length


def test_a_model_that_likes_long_statements_is_caught(rng):
    cast, _ = some_votes(rng, 40, 42)
    lengths = np.array([len(statement("r1", j).split()) for j in range(42)], dtype=float)
    model = table_model({"r1": np.tile(lengths, (40, 1))})
    got = measure(model, made_rounds({"r1": cast}), n_draws=50).by_length
    assert got.longer_agreed.value == 1
    assert got.shorter_agreed.value == 0
    assert got.score_correlation.value == pytest.approx(1)
    assert abs(got.rating_correlation.value) < 0.5
    assert got.short.n_comparisons > 0


def test_all_pairs_are_in_one_class_of_length(votes):
    cast, scores = votes
    got = measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=20)
    length = got.by_length
    kinds = ("short", "medium", "long", "longer_agreed", "shorter_agreed")
    n = sum(getattr(length, kind).n_comparisons for kind in kinds)
    assert n == got.own.within_person.n_comparisons


# ------------------------------------------------------------------------------------------ errors


def test_nothing_to_measure_is_the_users_to_mend(votes):
    cast, scores = votes
    data = made_rounds({"r1": cast})
    without = type(data)(
        data.about, rounds=data.rounds, candidates=data.candidates, ratings=data.ratings
    )
    with pytest.raises(InputError, match=r"nobody who has an opinion rated .* 0 opinions"):
        measure(table_model({"r1": scores}), without)


def test_infinite_rewards_and_none_at_all_are_refused(votes):
    cast, scores = votes
    broken = scores.copy()
    broken[:, 3] = np.inf
    for given in (broken, np.full_like(scores, np.nan)):
        with pytest.raises(CommonwealError, match=r"table: \d+ of \d+ rewards are not finite"):
            measure(table_model({"r1": given}), made_rounds({"r1": cast}))


def test_where_missing_rewards_leave_no_rating_it_is_said_with_how_many():
    # Two people get each other's opinion, so one without rewards takes the other's ratings along.
    cast, scores = np.ones((2, 3)), np.array([[0.0, 1.0, 2.0], [np.nan] * 3])
    with pytest.raises(CommonwealError, match=r"each of 6 ratings a reward is missing.*3 of 6"):
        measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=50)


def test_missing_rewards_are_left_out_as_if_nobody_had_rated_and_counted(votes):
    cast, scores = votes
    gaps, fewer = scores.copy(), cast.copy()
    gaps[:, 3] = fewer[:, 3] = np.nan
    whole = measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=20)
    got = measure(table_model({"r1": gaps}), made_rounds({"r1": cast}), n_draws=20)
    without = measure(table_model({"r1": scores}), made_rounds({"r1": fewer}), n_draws=20)
    assert got.n_missing == whole.n_ratings - got.n_ratings > 0
    assert without.n_missing == whole.n_missing == 0
    assert got.n_ratings == without.n_ratings
    assert (got.own, got.swapped, got.reliability.error) == (
        without.own,
        without.swapped,
        without.reliability.error,
    )


def test_one_person_alone_has_no_swap_and_no_crossing(rng):
    cast, scores = some_votes(rng, 1, 20, missing=0)
    got = measure(table_model({"r1": scores}), made_rounds({"r1": cast}), n_draws=20)
    assert got.own.within_person.n_comparisons > 0
    for one in (got.own.crossed, got.swapped.within_person, got.swapped_drop.within_person):
        assert np.isnan(one.value)
        assert one.n_comparisons == 0
    assert got.selection is None


def test_a_drop_is_over_the_rounds_that_have_both(rng):
    both = {"r1": some_votes(rng, 1, 20, missing=0), "r2": some_votes(rng, 12, 20)}
    model = table_model({key: scores for key, (_, scores) in both.items()})
    alone = measure(model, made_rounds({"r2": both["r2"][0]}), n_draws=20)
    whole = measure(model, made_rounds({key: cast for key, (cast, _) in both.items()}), n_draws=20)
    assert whole.swapped_drop.within_person.value == alone.swapped_drop.within_person.value
    assert whole.own.within_person.n_comparisons > alone.own.within_person.n_comparisons


# --------------------------------------------------------------------------------------- baselines


def test_the_statement_only_baseline_is_blind_to_people_and_finds_what_is_popular(
    rng, encoder_folder
):
    good = [f"We should all have more {x}." for x in ("parks", "buses", "schools", "libraries")]
    bad = [f"I hate {x} and so should you!" for x in ("parks", "buses", "schools", "libraries")]
    cast = np.tile([1.0] * 4 + [-1.0] * 4, (6, 1))
    data = made_rounds({"r1": cast})
    data = type(data)(
        data.about,
        rounds=data.rounds,
        opinions=data.opinions,
        candidates=data.candidates.with_columns(text=pl.Series(good + bad)),
        ratings=data.ratings,
    )
    model = StatementOnlyRewardModel(encoder_folder, rated_rounds(data))
    got = measure(model, data, n_draws=20)
    assert got.own.within_person.value == 1
    assert got.own.same_statement.n_comparisons == 0
    assert model.calibration.slope > 0
    assert "convention" in model.calibration.fitted_to
    with pytest.raises(InputError, match="5 people"):
        StatementOnlyRewardModel(encoder_folder, rated_rounds(made_rounds({"r1": cast[:2]})))


def test_the_cosine_baseline_is_the_cosine(encoder_folder):
    from commonweal.models.encoder import SentenceEncoder
    from commonweal.types import RewardInput

    model = CosineRewardModel(encoder_folder)
    texts = ["Free buses for all.", "Nothing is free.", "Nothing is free."]
    got = model.rewards([RewardInput("", texts[0], t) for t in texts])
    vectors = SentenceEncoder(encoder_folder).encode(texts)
    assert got == pytest.approx(vectors @ vectors[0], abs=1e-5)


# --------------------------------------------------------------------------------------- real votes


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "crossed", "within"),
    [("canadian-electoral-reform", 0.595, 0.496), ("football-concussions", 0.594, 0.620)],
)
def test_the_shipped_model_has_the_figures_of_its_card(name, crossed, within, encoder_folder):
    folder = SHARED / "polis" / name
    if not folder.is_dir():
        pytest.skip(f"no Polis exports in {SHARED / 'polis'}")
    from commonweal.datasets.importers.polis import import_polis

    model = load_reward_model("first", encoder_folder=encoder_folder)
    got = measure(model, import_polis(folder), n_draws=100)
    assert got.own.crossed.value == pytest.approx(crossed, abs=0.003)  # processors round apart
    assert got.own.within_person.value == pytest.approx(within, abs=0.003)
    assert got.statement_only.crossed.value == 0.5
    assert got.selection.n_groups > 100


def test_how_often_people_agree_is_left_out_where_each_rated_two(rng):
    """Who agreed with one of two disagreed with the other: it would be 0 whatever they think."""
    two = np.where(rng.random((20, 1)) < 0.5, [[1.0, -1.0]], [[-1.0, 1.0]])
    model = table_model({"r1": rng.normal(size=two.shape)})
    got = measure(model, made_rounds({"r1": two}), n_draws=50)
    assert got.own.same_statement.n_comparisons > 0
    assert got.leniency.n_comparisons == 0
    assert same_statement_accuracy(leniency(two), two, np.ones((1, 20))).value == 0
