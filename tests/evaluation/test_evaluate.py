"""What a study lacks costs the figures that need it, and each says so; the rest is computed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from known_truth import simulate_study

from commonweal.datasets.dataset import Dataset, empty
from commonweal.datasets.schema import VOTE
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.metrics import Metric
from commonweal.evaluation.sections import groups_needed
from commonweal.evaluation.statistics import shared_questions

pytestmark = pytest.mark.usefixtures("quick_power")


def study(**design: object) -> Dataset:
    return simulate_study(np.random.default_rng(41), **{"n_groups": 8, **design})[0]


def figures(dataset: Dataset, **more: object):
    return evaluate(dataset, n_resamples=1000, **more).figures


def test_one_policy_has_no_win_rate_and_keeps_the_rest():
    found = figures(study(policies={"few_shot": 0.0}))
    assert found["win_rate"].unavailable == (
        "a win rate compares two policies, and there is few_shot alone"
    )
    assert found["less_divisive/all"].value is not None
    assert found["inclusion/agreement"].value is not None
    assert "two policies" in found["power/pilot"].unavailable
    assert found["power/assumed/0.75"].value > 0


def test_the_papers_figures_stand_at_what_they_describe_alone():
    """All of them of SFT-Utilitarian, and those against opinions within distribution."""
    policies = {"sft_utilitarian": 0.5, "sft": 0.4, "few_shot": 0.1, "zero_shot": 0.0}
    found = figures(study(policies=policies, human_effect=0.0), baseline="few_shot")
    shown = {
        key: figure.published.section
        for key, figure in found.items()
        if figure.published is not None
    }
    assert shown == {
        "win_rate/mean/all/sft_utilitarian/few_shot": "4.1",
        "win_rate/mean/all/sft_utilitarian/zero_shot": "4.1",
        "less_divisive/sft_utilitarian": "D.6",
        "unanimous/sft_utilitarian": "D.7",
        "against_human/mean/iid_test/sft_utilitarian": "4.4",
        "against_human/best/iid_test/sft_utilitarian": "4.4",
        "inclusion/agreement/sft_utilitarian": "4.3",
        "inclusion/quality/sft_utilitarian": "4.3",
    }


def test_the_papers_figures_stand_nowhere_without_its_policy_and_its_split():
    others = {"sft": 0.4, "zero_shot": 0.0}
    found = figures(study(policies=others, human_effect=0.0))
    assert not [key for key, figure in found.items() if figure.published is not None]
    pooled = study(human_effect=0.0)
    pooled = replace(pooled, rounds=pooled.rounds.with_columns(split=pl.lit(None, pl.String)))
    found = figures(pooled)
    assert found["against_human/mean/all/sft_utilitarian"].value is not None
    assert not [
        key for key, figure in found.items() if figure.published and key.startswith("against_human")
    ]


def test_each_pair_is_compared_and_the_simpler_policy_is_the_second():
    policies = {"sft_utilitarian": 0.5, "sft_base": 0.4, "few_shot": 0.1, "zero_shot": 0.0}
    found = figures(study(policies=policies))
    pairs = {tuple(key.split("/")[3:]) for key in found if key.startswith("win_rate/min/divisive/")}
    assert pairs == {
        ("sft_utilitarian", "zero_shot"),
        ("sft_base", "zero_shot"),
        ("few_shot", "zero_shot"),
        ("sft_utilitarian", "sft_base"),
        ("sft_utilitarian", "few_shot"),
        ("sft_base", "few_shot"),
    }


def test_no_repeats_has_no_reliability_and_keeps_everybody():
    dataset = study(n_passes=1, unreliable_share=0.5)
    found = evaluate(dataset, n_resamples=1000)
    assert found.figures["unreliable"].unavailable == ("no statement was rated twice by one person")
    assert found.counts["people who rated"] == dataset.ratings["participant_id"].n_unique()
    assert found.figures["win_rate/mean/all/sft_base/zero_shot"].value is not None


def test_nobody_rated_a_position():
    dataset = replace(study(), position_ratings=empty("position_ratings"))
    found = figures(dataset)
    assert "position statement" in found["less_divisive/all"].unavailable
    assert "position statement" in found["unanimous/all"].unavailable
    assert not any("/divisive/" in key for key in found)


def test_no_divisive_round():
    found = figures(study(divisive_share=0.0))
    assert "no round is divisive" in found["less_divisive/all"].unavailable
    assert found["win_rate/mean/divisive/sft_base/zero_shot"].value is None


def test_no_predictions():
    found = figures(study(sd_prediction=None))
    for key in ("accuracy/within", "accuracy/crossed", "calibration/error", "welfare/mean"):
        assert "no" in found[key].unavailable
    assert found["best_of_n"].unavailable
    assert found["welfare/mean/best"].value > found["welfare/mean/random"].value


def test_rewards_without_calibration():
    dataset = study()
    predictions = dataset.predictions.with_columns(expected_rating=pl.lit(None, pl.Float64))
    found = figures(replace(dataset, predictions=predictions))
    assert found["accuracy/within/simulated"].value > 0.6
    assert "no calibrated predictions" in found["calibration/error/simulated"].unavailable
    assert found["best_of_n"].unavailable


def test_two_reward_models_are_both_judged_and_the_one_with_more_predictions_selects():
    dataset = study()
    other = dataset.predictions.head(100).with_columns(reward_model=pl.lit("a-smaller-one"))
    both = replace(dataset, predictions=pl.concat([other, dataset.predictions]))
    found = evaluate(both, n_resamples=1000)
    assert found.figures["accuracy/within/a-smaller-one"].value is not None
    assert found.facts["reward model that selects"] == "simulated"


def test_everybody_was_included():
    found = figures(study(n_omitted=(0,)))
    assert "with the opinions of all" in found["inclusion/agreement"].unavailable


def test_votes_have_shares_and_a_calibration_by_convention():
    dataset = study()
    vote = (pl.col("agreement") - 4).sign()
    dataset = replace(
        dataset,
        about=replace(dataset.about, scale=VOTE),
        ratings=dataset.ratings.with_columns(vote, pl.lit(None, pl.Int64).alias("quality")),
        position_ratings=dataset.position_ratings.with_columns(vote),
    )
    found = figures(dataset, threshold=-1)
    assert found["calibration/error/simulated"].value is not None
    assert "distribution/sft_base/-1" in found
    assert "distribution/sft_base/4" not in found
    assert found["inclusion/quality"].value is None
    assert found["inclusion/agreement_minus_quality"].unavailable
    assert -1 <= found["agreement/mean/sft_base"].value <= 1


def test_one_group_has_values_and_no_interval():
    found = figures(study(n_groups=1))
    figure = found["win_rate/person/all/sft_base/zero_shot"]
    assert figure.value is not None
    assert figure.low is None
    assert "one group" in figure.no_interval
    assert "group" in found["effect/agreement"].unavailable


def test_a_policy_that_nobody_rated_is_named():
    dataset = study()
    unrated = dataset.candidates.filter(pl.col("policy") == "sft_base").select(
        "round_id", "candidate_id"
    )
    ratings = dataset.ratings.join(unrated, on=["round_id", "candidate_id"], how="anti")
    found = figures(replace(dataset, ratings=ratings))
    assert "sft_base" in found["win_rate/mean/all/sft_base/zero_shot"].unavailable
    assert "sft_base" in found["agreement/mean/sft_base"].unavailable


def test_ratings_that_are_not_counted_are_counted():
    dataset = study(human_effect=0.0, missing_share=0.1)
    # Somebody rated their own opinion and a statement that was not shown.
    mine = dataset.candidates.filter(pl.col("policy") == "human").row(0, named=True)
    hidden = dataset.candidates.row(0, named=True)
    extra = [
        {**dataset.ratings.row(0, named=True), "round_id": c["round_id"],
         "candidate_id": c["candidate_id"], "participant_id": who, "pass_index": 5, "agreement": 7}
        for c, who in ((mine, mine["author_id"]), (hidden, mine["author_id"]))
    ]  # fmt: skip
    candidates = dataset.candidates.with_columns(
        shown=(pl.col("round_id") != hidden["round_id"])
        | (pl.col("candidate_id") != hidden["candidate_id"])
    )
    ratings = pl.concat([dataset.ratings, pl.DataFrame(extra, schema=dataset.ratings.schema)])
    counts = evaluate(
        replace(dataset, candidates=candidates, ratings=ratings), n_resamples=1000
    ).counts
    assert counts["ratings"] == ratings.height
    assert counts["ratings left out: of one's own statement"] == 1
    n_hidden = ratings.filter(
        (pl.col("round_id") == hidden["round_id"])
        & (pl.col("candidate_id") == hidden["candidate_id"])
    ).height
    assert counts["ratings left out: of statements that were not shown"] == n_hidden
    assert counts["ratings without an answer"] > 0


def test_the_baseline_is_the_simplest_policy_or_the_one_asked_for():
    dataset = study()
    assert evaluate(dataset, n_resamples=1000).facts["baseline"] == "zero_shot"
    found = figures(dataset, baseline="sft_base")
    assert "win_rate/mean/all/zero_shot/sft_base" in found
    with pytest.raises(InputError, match=r"by 'gpt'; expected one of sft_base, sft_utilitarian"):
        evaluate(dataset, baseline="gpt")
    with pytest.raises(InputError, match="'human'"):
        evaluate(study(human_effect=0.0), baseline="human")


def test_what_resampling_cannot_bound_has_no_interval_and_says_why():
    found = figures(study(n_groups=10))
    error = found["calibration/error/simulated"]
    assert error.value > 0
    assert error.low is None
    assert "absolute errors" in error.no_interval
    assert found["calibration/bias/simulated"].low is not None
    alpha = found["krippendorff/agreement/ordinal"]
    assert alpha.low < alpha.value < alpha.high
    assert "fewer than 20 groups" in alpha.warning


def test_how_often_functions_pick_the_same_is_computed_and_said():
    found = evaluate(study(n_statements=4), n_resamples=1000)
    welfare = next(section for section in found.sections if section.key == "welfare")
    less = next(
        table for table in welfare.tables if table.title == "Each pick less the utilitarian one"
    )
    for alpha in ("0.5", "inf"):
        same = found.figures[f"welfare/same_pick/{alpha}"]
        assert f"{same.shown} of them under {same.of['welfare']}" in less.caution
    # The further alpha is from 0, the more seldom: all pick alike only at alpha 0.
    shares = [found.figures[f"welfare/same_pick/{alpha}"].value for alpha in ("0.5", "2", "inf")]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1


def test_group_sizes_are_counted():
    dataset = study(group_size=(3, 6))
    sizes = (
        dataset.ratings.join(dataset.rounds, on="round_id")
        .group_by("group_id")
        .agg(pl.col("participant_id").n_unique())["participant_id"]
    )
    counts = evaluate(dataset, n_resamples=1000, threshold=-1).counts
    assert counts["people who rated, smallest group"] == sizes.min()
    assert counts["people who rated, largest group"] == sizes.max()


def test_few_resamples_are_noted():
    assert "1,000 resamples" in evaluate(study(), n_resamples=1000).note
    assert evaluate(study(), n_resamples=10_000).note == ""


def test_nothing_rated_is_the_users_to_mend():
    dataset = study()
    for ratings in (
        dataset.ratings.clear(),
        dataset.ratings.with_columns(agreement=pl.lit(None, pl.Int64)),
    ):
        with pytest.raises(InputError, match="nobody has rated a statement that was shown"):
            evaluate(replace(dataset, ratings=ratings), n_resamples=1000)


def test_progress_is_told():
    told = []
    evaluate(study(), n_resamples=1000, on_progress=lambda *each: told.append(each))
    assert told == [("evaluate", n, 12) for n in range(13)]


def test_power_is_simulated_from_the_pilot_and_from_assumptions(monkeypatch):
    monkeypatch.setattr(groups_needed, "WIN_RATES", (0.7, 0.8))
    found = figures(study(n_groups=30))
    for source in ("pilot", "assumed"):
        easy, hard = (found[f"power/{source}/{rate}"] for rate in ("0.8", "0.7"))
        assert 0 < easy.value < hard.value
        assert hard.low <= hard.value <= hard.high


def test_people_in_several_groups_are_told_of():
    """A group's two rounds are taken for those of two groups: its people sit in both."""
    dataset = study(n_groups=8, n_rounds_per_group=2)
    assert "several groups" not in evaluate(dataset, n_resamples=1000).note
    halves = pl.format("{}-{}", "group_id", pl.int_range(pl.len()).over("group_id"))
    parted = replace(dataset, rounds=dataset.rounds.with_columns(group_id=halves))
    told = r"(\d+) of \1 people rated in several groups"  # all but those who are not reliable
    assert re.search(told, evaluate(parted, n_resamples=1000).note)


def test_rounds_that_share_questions_have_two_way_intervals():
    dataset = study(n_groups=16, n_rounds_per_group=1)
    shared = pl.format("q{}", pl.int_range(pl.len()) // 2)
    rounds = dataset.rounds.with_columns(question_id=shared, question=shared)
    dataset = replace(dataset, rounds=rounds)
    found = evaluate(dataset, n_resamples=1000)
    assert "16 rounds share 8 questions" in found.note
    alone = rounds.with_columns(question_id=pl.col("round_id"), question=pl.col("round_id"))
    as_groups = replace(dataset, rounds=alone)
    by_group = evaluate(as_groups, n_resamples=1000)
    assert "share" not in by_group.note
    moved = 0
    for key, one in found.figures.items():
        other = by_group.figures[key]
        if one.low is None or key.startswith("power"):
            continue
        assert one.value == pytest.approx(other.value)
        assert one.low <= other.low
        assert one.high >= other.high
        moved += one.low < other.low or one.high > other.high
    assert moved > 20


def test_too_few_questions_are_said():
    dataset = study(n_groups=8, n_rounds_per_group=1, n_questions=2)
    assert "cannot be told from so few" in evaluate(dataset, n_resamples=1000).note


def test_a_figure_whose_own_questions_are_too_few_says_so():
    """Sixteen groups share eight questions; one policy was shown on four of them, in eight."""
    dataset = study(n_groups=16, n_rounds_per_group=1)
    shared = pl.format("q{}", pl.int_range(pl.len()) // 2)
    rounds = dataset.rounds.with_columns(question_id=shared, question=shared)
    elsewhere = rounds.filter(pl.col("question_id") > "q3")["round_id"]
    hidden = (pl.col("policy") == "zero_shot") & pl.col("round_id").is_in(elsewhere.implode())
    candidates = dataset.candidates.with_columns(shown=pl.col("shown") & ~hidden)
    evaluation = evaluate(replace(dataset, rounds=rounds, candidates=candidates), n_resamples=1000)
    assert "of what revision gained are of groups alone" in evaluation.note
    few, enough = (
        evaluation.figures[f"agreement/mean/{policy}"] for policy in ("zero_shot", "sft_base")
    )
    assert (few.n_groups, enough.n_groups) == (8, 16)
    assert few.interval
    assert few.warning == (
        "Its interval holds what groups add and not what questions do, which are too few for it "
        "(4)."
    )
    assert not enough.warning


def test_a_two_way_interval_is_that_of_the_variances():
    """Groups, questions and rounds whose intervals reach 3, 4 and 2: the root of 9 + 16 - 4."""

    def of(reach: float, p_value: float | None = None) -> Metric:
        return Metric(
            *("k", "t", "points", 1.0, 1 - reach, 1 + reach, 9, "rounds", 9, ""), p_value=p_value
        )

    two_way = shared_questions._two_way
    found = two_way(of(3.0), of(4.0), of(2.0))
    assert (found.low, found.high) == pytest.approx((1 - 21**0.5, 1 + 21**0.5))
    assert two_way(of(3.0), of(4.0), of(5.0)).high == 5.0  # never less than the wider
    assert two_way(of(3.0), of(4.0), None).high == 5.0
    # Two standard errors with 4, and so 2 * 4 / sqrt(21) with the root of 21.
    (p,) = (two_way(of(3.0, 0.01), of(4.0, 0.0455), of(2.0, 0.01)).p_value,)
    assert p == pytest.approx(0.0808, abs=0.0002)
    share = two_way(*(replace(of(reach), kind="share") for reach in (0.3, 0.4, 0.2)))
    assert share.high == pytest.approx(1.4)  # what groups and questions have is not cut
    assert share.low == pytest.approx(1 - 0.21**0.5)
