"""The collection plan: subsets, α and picks, against plain loops and known distributions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from commonweal.collection import CollectionPlan, collect
from commonweal.errors import EngineError, GenerationError, InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.templates import load_template
from commonweal.rewards import ScriptedRewardModel
from commonweal.selection import pick, rank_under
from commonweal.types import Candidate, Generation, Opinion, Rejection, RejectionReason, RewardInput
from commonweal.welfare import TIE_TOLERANCE, Isoelastic

QUESTION = "Should local buses be free for everyone?"
STATEMENTS = [
    "We want cheaper fares, and we differ on who should pay for them.",
    "Before anything else there must be more buses in the villages.",
    "Young riders could go free while all others pay something small.",
    "It would be best to try this out in one town first.",
    "The council should tell everybody what free buses would cost.",
    "Night workers need a bus home more than they need a free one.",
]


def people(n):
    return [Opinion(f"o{i}", f"Opinion number {i}, and nothing else.") for i in range(1, n + 1)]


class NumberedPolicy:
    """Writes the texts that it was given, by chance, or fails; keeps whom it wrote from."""

    name = "numbered"

    def __init__(self, texts=None, failing=()):
        self.model = ScriptedModel([])
        self.texts = texts
        self.failing = failing
        self.calls: list[tuple[str, ...]] = []

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        included = tuple(opinion.id for opinion in opinions)
        self.calls.append(included)
        if len(included) in self.failing:
            raise GenerationError(
                "none", [Rejection("sorry", RejectionReason.REFUSAL, "sorry", len(included))]
            )
        texts = self.texts or [f"Plan {len(included)} {i}." for i in range(n_candidates)]
        chosen = rng.permutation(len(texts))[:n_candidates]
        candidates = tuple(
            Candidate(f"c{i:02d}", texts[j], included, self.name, "none", "0" * 16, int(j))
            for i, j in enumerate(chosen, start=1)
        )
        return Generation(candidates, (), n_candidates, n_candidates)


class TableReward(ScriptedRewardModel):
    """Rewards from a short table by the length of what is asked, so that many of them tie."""

    def __init__(self, values):
        super().__init__([])
        self.values = values
        self.seen: set[str] = set()

    def rewards(self, inputs, *, on_done=None):
        self.seen |= {one.opinion for one in inputs}
        sums = [sum(map(ord, "".join(one))) % 97 for one in inputs]
        return np.array([self.values[each % len(self.values)] for each in sums], float)


TABLE = (-1.5, 0.25, 0.25, 2.0, 1.0)


def picked(texts, alphas, utilities, **more):
    """The picks under these α, of a chance that does not matter."""
    ranked = rank_under(map(Isoelastic, alphas), utilities)
    return pick(texts, ranked, rng=np.random.default_rng(0), **more)


def collected(n=5, *, plan=None, seed=0, policy=None, reward=None, **more):
    return collect(
        QUESTION,
        people(n),
        policy=policy or NumberedPolicy(),
        reward=reward or TableReward(TABLE),
        plan=plan,
        seed=seed,
        **more,
    )


# ------------------------------------------------------------------------------ plain loops


def plain_welfare(column, alpha):
    """The power mean by its definition (paper eq. 1), with so many digits that none is rounding's.

    In floating point the root takes what adding up has lost to the power 1 / (1 − α): at an α of
    0.9998 two columns with the same numbers in another order were no tie any more.
    """
    n = len(column)
    if alpha == 1:
        return math.exp(sum(math.log(u) for u in column) / n)
    with localcontext(prec=60):
        power = 1 - Decimal(alpha)
        return float((sum(Decimal(u) ** power for u in column) / n) ** (1 / power))


def plain_picks(texts, utilities, alphas, taken):
    """(index, rank) by going through all candidates, again and again."""
    found = []
    for alpha in alphas:
        welfare = [plain_welfare([row[j] for row in utilities], alpha) for j in range(len(texts))]
        best = None
        for j, value in enumerate(welfare):
            if texts[j] in taken:
                continue
            # Later ones must be truly better: ties go to the one generated first.
            if best is None or value - welfare[best] > TIE_TOLERANCE * value:
                best = j
        if best is None:
            continue
        better = [v for v in welfare if v - welfare[best] > TIE_TOLERANCE * v]
        taken.add(texts[best])
        found.append((best, 1 + len(better)))
    return found


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(2, 6),
    seed=st.integers(0, 2**31),
    n_candidates=st.integers(2, 6),
    table=st.lists(st.sampled_from((-2.0, -0.5, 0.0, 1.0, 3.0)), min_size=1, max_size=5),
    sigma=st.sampled_from((0.0, 1.0, 2.0)),
)
def test_picks_are_those_of_plain_loops(n, seed, n_candidates, table, sigma):
    plan = CollectionPlan(n_candidates=n_candidates, sigma=sigma)
    policy = NumberedPolicy(STATEMENTS)  # the same texts in every draw: many are taken already
    found = collected(n, plan=plan, seed=seed, policy=policy, reward=TableReward(table))
    taken: set[str] = set()
    for draw in found.draws:
        texts = [candidate.text for candidate in draw.candidates]
        expected = plain_picks(texts, draw.utilities.tolist(), draw.alphas, taken)
        assert [(each.index, each.rank) for each in draw.picks] == expected
        for each in draw.picks:
            assert each.alpha in draw.alphas
            column = draw.utilities[:, each.index].tolist()
            assert each.welfare == pytest.approx(plain_welfare(column, each.alpha), rel=1e-9)


def test_every_prediction_is_that_of_its_person_and_its_candidate():
    reward = TableReward(TABLE)
    for draw in collected(4, reward=reward).draws:
        for i, opinion in enumerate(people(4)):
            for j, candidate in enumerate(draw.candidates):
                asked = RewardInput(QUESTION, opinion.text, candidate.text)
                (alone,) = reward.rewards([asked])
                assert draw.rewards[i, j] == alone
                assert draw.utilities[i, j] == pytest.approx(1 + 6 / (1 + math.exp(-alone)))


def test_two_alphas_that_agree_take_the_best_and_the_next_best():
    utilities = np.array([[2.0, 6.0, 5.0], [2.0, 6.0, 5.5]])
    picks = picked(["a", "b", "c"], [0.3, 4.0], utilities)
    assert [(each.index, each.rank) for each in picks] == [(1, 1), (2, 2)]


def test_alphas_that_differ_take_what_each_likes():
    # Six and two, or four and four: the mean is for the first, the worst off for the second.
    utilities = np.array([[6.8, 4.0], [2.0, 4.0]])
    picks = picked(["a", "b"], [0.0, math.inf], utilities)
    assert [(each.index, each.rank) for each in picks] == [(0, 1), (1, 1)]


def test_ties_go_to_the_candidate_generated_first():
    utilities = np.full((3, 4), 5.0)
    picks = picked(["a", "b", "c", "d"], [0.5, 2.0], utilities)
    assert [(each.index, each.rank) for each in picks] == [(0, 1), (1, 1)]


def test_texts_are_the_same_where_their_words_are():
    utilities = np.array([[6.0, 5.9, 2.0]])
    texts = ["We agree.", "We  AGREE!", "We do not."]
    assert [each.index for each in picked(texts, [1.0, 1.0], utilities)] == [0, 2]
    assert [each.index for each in picked(texts, [1.0], utilities, avoid=texts[:1])] == [2]
    assert picked(texts, [1.0], utilities, avoid=texts) == ()


def test_an_alpha_needs_utilities():
    with pytest.raises(InputError, match="no utilities"):
        picked(["a"], [1.0], None)


# ------------------------------------------------------------------------------- properties


@settings(max_examples=60, deadline=None)
@given(n=st.integers(4, 8), seed=st.integers(0, 2**31), has_reward=st.booleans())
def test_six_different_statements_each_from_its_own_subset(n, seed, has_reward):
    reward = TableReward(TABLE) if has_reward else None
    found = collect(QUESTION, people(n), policy=NumberedPolicy(), reward=reward, seed=seed)
    assert len({candidate.text for candidate in found.shown}) == len(found.shown) == 6
    everybody = {opinion.id for opinion in people(n)}
    for n_omitted, draw in enumerate(found.draws):
        assert len(draw.omitted) == n_omitted
        assert len(draw.included) == len(set(draw.included)) == n - n_omitted
        assert set(draw.included) <= everybody
        assert len(draw.candidates) == 16
        for candidate in draw.candidates:
            assert set(candidate.included_opinion_ids) == set(draw.included)
        if has_reward:
            assert draw.utilities.shape == draw.rewards.shape == (n, 16)  # the left out too
            assert np.all((draw.utilities > 1) & (draw.utilities < 7))
        else:
            assert draw.utilities is draw.rewards is None
            assert all(each == replace(each, rule=None, rank=None) for each in draw.picks)
    names = [candidate.id for draw in found.draws for candidate in draw.candidates]
    assert names == [f"c{i:02d}" for i in range(1, 49)]
    if reward is not None:
        assert reward.seen == {opinion.text for opinion in people(n)}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), has_reward=st.booleans())
def test_the_same_seed_gives_the_same_result(seed, has_reward):
    def result():
        reward = TableReward(TABLE) if has_reward else None
        return collect(QUESTION, people(5), policy=NumberedPolicy(), reward=reward, seed=seed)

    one, other = result(), result()
    assert one.shown == other.shown
    assert one.provenance == other.provenance
    assert [draw.picks for draw in one.draws] == [draw.picks for draw in other.draws]
    for name in ("o1", "o5"):
        assert one.shown_to(name) == other.shown_to(name)


def test_a_draw_does_not_depend_on_the_others():
    whole, part = collected(seed=3), collected(seed=3, plan=CollectionPlan(omitted=(2,)))
    last, (only,) = whole.draws[2], part.draws
    assert (last.included, last.alphas) == (only.included, only.alphas)
    assert [each.text for each in last.candidates] == [each.text for each in only.candidates]


def test_each_participant_has_an_order_of_their_own():
    found = collected(8, seed=1)
    orders = {found.shown_to(opinion.id) for opinion in found.opinions}
    assert all(sorted(order, key=lambda c: c.id) == list(found.shown) for order in orders)
    assert len(orders) > 4
    with pytest.raises(InputError, match="'nobody'"):
        found.shown_to("nobody")


# ---------------------------------------------------------------------------- distributions


def test_alphas_are_log_normal():
    plan = CollectionPlan(n_candidates=2, mu=0.5, sigma=1.5)
    alphas = [
        alpha
        for seed in range(1200)
        for draw in collected(plan=plan, seed=seed).draws
        for alpha in draw.alphas
    ]
    assert len(alphas) == 7200
    # One sample in a thousand would fail; the seeds are fixed.
    assert stats.kstest(alphas, stats.lognorm(s=1.5, scale=math.exp(0.5)).cdf).pvalue > 0.001
    assert len(set(alphas)) == len(alphas)
    assert CollectionPlan(mu=0.5, sigma=0).draw_alphas(np.random.default_rng(0)) == (
        pytest.approx((math.exp(0.5),) * 2)
    )


def test_everybody_is_left_out_as_often_as_the_others():
    plan = CollectionPlan(n_candidates=2, omitted=(2,))
    everybody = {opinion.id for opinion in people(5)}
    left_out = Counter(
        name
        for seed in range(600)
        for name in everybody.difference(collected(plan=plan, seed=seed).draws[0].included)
    )
    assert sum(left_out.values()) == 1200
    # Two of five without replacement: the counts vary by (1 - 1/4) of what a chi-square expects.
    statistic = sum((n - 240) ** 2 / 240 for n in left_out.values()) / (1 - 1 / 4)
    assert stats.chi2(4).sf(statistic) > 0.001


def test_picks_without_a_reward_model_are_uniform():
    plan = CollectionPlan(n_candidates=4, omitted=(0,))
    counts = Counter(
        each.index
        for seed in range(400)
        for each in collect(
            QUESTION, people(3), policy=NumberedPolicy(), reward=None, plan=plan, seed=seed
        )
        .draws[0]
        .picks
    )
    assert sum(counts.values()) == 800
    statistic = sum((counts[i] - 200) ** 2 / 200 for i in range(4)) / (1 - 1 / 3)
    assert stats.chi2(3).sf(statistic) > 0.001


# ---------------------------------------------------------------------- small and odd groups


@pytest.mark.parametrize(("n", "sizes"), [(2, [2, 1]), (3, [3, 2, 1]), (4, [4, 3, 2])])
def test_sizes_that_leave_nobody_are_skipped_and_said(n, sizes):
    found = collected(n)
    assert [len(draw.included) for draw in found.draws] == sizes
    assert len(found.shown) == 2 * len(sizes)
    said = [note for note in found.notes if "no statements with" in note]
    assert len(said) == 3 - len(sizes)
    if n == 2:
        assert "2 opinions left out: there are only 2" in said[0]


def test_a_plan_that_leaves_nobody_at_all_is_refused():
    with pytest.raises(InputError, match="omits 2, 3 of 2 opinions"):
        collected(2, plan=CollectionPlan(omitted=(2, 3)))


def test_what_is_withheld_is_scored_and_never_written_from():
    policy, reward = NumberedPolicy(), TableReward(TABLE)
    found = collected(4, policy=policy, reward=reward, withheld=["o2"])
    assert [len(call) for call in policy.calls] == [3, 2, 1]
    assert not any("o2" in call for call in policy.calls)
    assert found.draws[0].utilities.shape == (4, 16)
    assert people(4)[1].text in reward.seen
    assert found.provenance["withheld"] == ["o2"]


@pytest.mark.parametrize(
    ("withheld", "says"),
    [(["o9"], "cannot withhold 'o9'"), (["o1", "o2", "o3"], "every opinion is withheld")],
)
def test_what_cannot_be_withheld(withheld, says):
    with pytest.raises(InputError, match=says):
        collected(3, withheld=withheld)


@pytest.mark.parametrize(
    "plan",
    [
        {"n_shown": 0},
        {"n_candidates": 1},
        {"omitted": ()},
        {"omitted": (1, 1)},
        {"omitted": (-1,)},
        {"sigma": -1.0},
        {"sigma": math.nan},
        {"mu": 11.0},
    ],
)
def test_a_plan_that_cannot_be(plan):
    with pytest.raises(InputError, match=rf"CollectionPlan\.{next(iter(plan))} is"):
        CollectionPlan(**plan)


def test_one_draw_that_fails_does_not_lose_the_others():
    found = collected(5, policy=NumberedPolicy(failing=(4,)))
    assert [len(draw.picks) for draw in found.draws] == [2, 0, 2]
    failed = found.draws[1]
    assert failed.candidates == ()
    assert failed.rejections[0].seed == 4
    assert failed.utilities.shape == (5, 0)
    assert "no statement with 1 opinions left out: none" in found.notes


def test_all_draws_that_fail_are_an_error_with_every_rejection():
    with pytest.raises(GenerationError, match="3 draws") as caught:
        collected(5, policy=NumberedPolicy(failing=(5, 4, 3)))
    assert sorted(each.seed for each in caught.value.rejections) == [3, 4, 5]


def test_too_few_different_statements_are_said():
    found = collected(5, policy=NumberedPolicy(STATEMENTS[:3]))
    assert len(found.shown) == 3
    assert [len(draw.picks) for draw in found.draws] == [2, 1, 0]
    assert sum("there were no more different ones" in note for note in found.notes) == 2


def test_with_a_prompted_policy_each_prompt_holds_its_subset_alone():
    """The policy of the package, its parser and all, over a scripted language model."""
    model = ScriptedModel(STATEMENTS)
    policy = PromptedPolicy("zero_shot", model, load_template("zero_shot"))
    stages = []
    found = collect(
        QUESTION,
        people(4),
        policy=policy,
        reward=TableReward(TABLE),
        plan=CollectionPlan(n_candidates=2),
        on_progress=lambda *said: stages.append(said),
    )
    assert {each.text for each in found.shown} == set(STATEMENTS)
    assert {stage for stage, _, _ in stages} == {"generate"}  # the table tells no progress
    for number, prompt in enumerate(model.prompts):
        included = found.draws[number // 2].included
        text = prompt[-1].content
        assert [f"number {i}," in text for i in range(1, 5)] == [
            f"o{i}" in included for i in range(1, 5)
        ]
    with pytest.raises(EngineError, match="exhausted"):
        collect(QUESTION, people(4), policy=policy, reward=None)
