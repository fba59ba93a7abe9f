"""The collection plan: which statements a group is shown, so that much is learned from its ratings.

For each number of opinions (all of them, one left out, two left out) candidates are written from a
random subset of that size. Everybody's agreement with each is predicted, also of those whose
opinion was left out. Under each of two α drawn log-normally the candidate of highest welfare is
kept: six statements in all. So people rate statements that neglect somebody, and statements chosen
under many α. Without a reward model, before there is one, two of each size are kept at random.

Source: paper 3.4 step 1.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal._version import __version__
from commonweal.datasets.words import tokens
from commonweal.errors import GenerationError, InputError
from commonweal.groups import check_group
from commonweal.types import (
    Candidate,
    Opinion,
    Policy,
    Progress,
    Question,
    Rejection,
    RewardInput,
    RewardModel,
    no_progress,
)
from commonweal.welfare import isoelastic, rank

if TYPE_CHECKING:
    from commonweal.types import FloatArray

ALPHA_MU, ALPHA_SIGMA = 0.0, 1.0
"""Mean and standard deviation of log α. Ours: the paper says log-normal and gives no numbers. Half
of the draws lie on each side of α = 1 (bernoulli_nash), and 95 % between 0.14 and 7.1."""

MAX_LOG_ALPHA = 10.0
"""Bound of |μ| and of σ: beyond it α is 0 or infinity to rounding."""


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """How many candidates are written from how many opinions, and how many are shown.

    Attributes:
        n_candidates: written from each subset.
        omitted: how many opinions are left out, one subset for each.
        n_shown: statements kept of each subset; with a reward model each under an α of its own.
        mu, sigma: mean and standard deviation of log α.

    Raises:
        InputError: a value that cannot be used.
    """

    n_candidates: int = 16
    omitted: tuple[int, ...] = (0, 1, 2)
    n_shown: int = 2
    mu: float = ALPHA_MU
    sigma: float = ALPHA_SIGMA

    def __post_init__(self) -> None:
        sizes = self.omitted
        for field, value, ok, expected in (
            ("n_shown", self.n_shown, self.n_shown >= 1, "at least 1"),
            (
                "n_candidates",
                self.n_candidates,
                self.n_candidates >= self.n_shown,
                f"at least n_shown, {self.n_shown}",
            ),
            (
                "omitted",
                sizes,
                len(set(sizes)) == len(sizes) > 0 and min(sizes) >= 0,
                "different numbers from 0, at least one",
            ),
            ("mu", self.mu, abs(self.mu) <= MAX_LOG_ALPHA, f"within ±{MAX_LOG_ALPHA:g}"),
            ("sigma", self.sigma, 0 <= self.sigma <= MAX_LOG_ALPHA, f"0 to {MAX_LOG_ALPHA:g}"),
        ):
            if not ok:
                raise InputError(f"CollectionPlan.{field} is {value!r}, expected {expected}")

    def draw_alphas(self, rng: np.random.Generator) -> tuple[float, ...]:
        """The α under which the statements of one subset are picked, ``n_shown`` of them."""
        return tuple(map(float, rng.lognormal(self.mu, self.sigma, self.n_shown)))


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that is to be shown, and why.

    Attributes:
        index: which of its draw's candidates, from 0.
        alpha: the α under which it was picked; None where it was picked at random.
        welfare: its predicted welfare under that α, 1 to 7; None where picked at random.
        rank: its rank among its draw's candidates under that α, 1 is best; likewise.
    """

    index: int
    alpha: float | None = None
    welfare: float | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The candidates written from one subset of the opinions.

    Attributes:
        n_omitted: how many opinions the subset leaves out.
        included: the ids of those in it, in the group's order.
        seed: (the collection's seed, n_omitted): of the subset, the α and the sampling.
        alphas: one for each statement to be shown; None is a pick at random.
        candidates: in the order of generation.
        rejections: every completion that was not made a candidate.
        n_sampled: how many completions were drawn.
        rewards: [n_participants, n_candidates], raw; None without a reward model.
        utilities: likewise, the expected ratings, 1 to 7.
        picks: those to be shown; fewer than ``alphas`` where the candidates did not suffice.
    """

    n_omitted: int
    included: tuple[str, ...]
    seed: tuple[int, int]
    alphas: tuple[float | None, ...]
    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    n_sampled: int
    rewards: FloatArray | None = None
    utilities: FloatArray | None = None
    picks: tuple[Pick, ...] = ()

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates to be shown, in the order of picking."""
        return tuple(self.candidates[pick.index] for pick in self.picks)


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What a collection brought back.

    Attributes:
        question: what was asked.
        opinions: everybody's, in the order of the rows of every draw's arrays.
        plan: what was to be done.
        seed: of all chance.
        draws: one for each number of omitted opinions that the group is large enough for.
        notes: what a reader should know, in plain sentences.
        timings_seconds: what "generate" and "predict" took.
        provenance: versions, models and hashes, and of each draw its seed, subset and α.
    """

    question: Question
    opinions: tuple[Opinion, ...]
    plan: CollectionPlan
    seed: int
    draws: tuple[Draw, ...]
    notes: tuple[str, ...]
    timings_seconds: dict[str, float]
    provenance: dict[str, Any]

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The statements to be shown, by draw and pick: not the order to show them in."""
        return tuple(candidate for draw in self.draws for candidate in draw.shown)

    def shown_to(self, participant_id: str) -> tuple[Candidate, ...]:
        """The statements in this participant's own random order, which the seed determines.

        Raises:
            InputError: there is no such participant.
        """
        if participant_id not in (opinion.id for opinion in self.opinions):
            raise InputError(f"no participant {participant_id!r} wrote an opinion in this round")
        name = int.from_bytes(hashlib.sha256(participant_id.encode()).digest()[:8], "big")
        shown = self.shown
        order = np.random.default_rng([self.seed, name]).permutation(len(shown))
        return tuple(shown[int(index)] for index in order)


def collect(
    question: str | Question,
    opinions: Sequence[str | Opinion],
    *,
    policy: Policy,
    reward: RewardModel | None,
    plan: CollectionPlan | None = None,
    seed: int = 0,
    withheld: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> Collected:
    """The statements that this group is to rate, with everything that led to them.

    Each number of omitted opinions has its own chance, from (seed, number): leaving one out of the
    plan does not change the others.

    Args:
        question: what the group was asked.
        opinions: one a participant, at least two; plain texts get the ids p1, p2, ...
        policy: what writes.
        reward: what predicts agreement; None picks at random.
        plan: by default the paper's.
        seed: of all chance.
        withheld: ids whose opinions the policy must not see, for another reason than the plan's.
            They are scored all the same, and do not count as omitted.
        on_progress: called with ("generate" or "predict", n_done, n_total).

    Raises:
        InputError: the question, the opinions, ``withheld`` or the seed cannot be used.
        EngineError: the language model failed.
        GenerationError: no completion of any draw survived parsing.

    Source: paper 3.4 step 1.
    """
    asked, everybody, notes = check_group(question, opinions)
    plan = plan or CollectionPlan()
    progress = on_progress or no_progress
    if seed < 0:
        raise InputError(f"seed is {seed}, expected a whole number from 0")
    usable = _usable(everybody, withheld)
    sizes = [n for n in plan.omitted if n < len(usable)]
    if not sizes:
        raise InputError(
            f"the plan omits {', '.join(map(str, plan.omitted))} of {len(usable)} opinions; "
            "expected a number that leaves at least one to write from"
        )
    found_notes = [
        *notes,
        *(
            f"no statements with {n} opinions left out: there are only {len(usable)} to write from"
            for n in plan.omitted
            if n not in sizes
        ),
    ]
    started = time.perf_counter()
    draws: list[Draw] = []
    for n_omitted in sizes:
        draw, said = _drawn(
            asked, usable, plan, policy, reward is not None, (seed, n_omitted), draws, progress
        )
        draws.append(draw)
        found_notes.extend(said)
    if not any(draw.candidates for draw in draws):
        raise GenerationError(
            f"no completion can be shown to the group, in {len(draws)} draws from different "
            "numbers of opinions; try another seed, another policy or a larger model",
            [rejection for draw in draws for rejection in draw.rejections],
        )
    generated = time.perf_counter()
    if reward is not None:
        draws = _scored(draws, asked, everybody, reward, progress)
    predicted = time.perf_counter()
    draws = _picked(draws)
    found_notes.extend(
        f"{len(draw.picks)} of {plan.n_shown} statements to show with {draw.n_omitted} opinions "
        "left out: there were no more different ones"
        for draw in draws
        if draw.candidates and len(draw.picks) < plan.n_shown
    )
    return Collected(
        question=asked,
        opinions=everybody,
        plan=plan,
        seed=seed,
        draws=tuple(draws),
        notes=tuple(dict.fromkeys(found_notes)),
        timings_seconds={
            "generate": round(generated - started, 3),
            "predict": round(predicted - generated, 3),
        },
        provenance=_provenance(plan, policy, reward, seed, draws, withheld),
    )


def pick(
    texts: Sequence[str],
    alphas: Iterable[float | None],
    utilities: FloatArray | None,
    *,
    rng: np.random.Generator,
    avoid: Iterable[str] = (),
) -> tuple[Pick, ...]:
    """One different candidate for each α, the best under it that is not taken; fewer if none is.

    Ties go to the candidate generated first.

    Args:
        texts: the candidates', in the order of generation.
        alphas: inequality aversion for each pick; None picks at random.
        utilities: [n_participants, n_candidates]; may be None where every α is.
        rng: the chance of picks at random.
        avoid: texts that are taken or may not be shown. Texts are the same where their words are.

    Raises:
        InputError: an α without utilities to compute a welfare from.
    """
    taken = {tuple(tokens(text)) for text in avoid}
    words = [tuple(tokens(text)) for text in texts]
    picks: list[Pick] = []
    for alpha in alphas if texts else ():
        if alpha is None:
            picked = [Pick(int(index)) for index in rng.permutation(len(texts))]
        elif utilities is None:
            raise InputError(
                f"alpha is {alpha:g} and there are no utilities; expected both or none"
            )
        else:
            welfare = isoelastic(utilities, alpha)
            ranking = rank(welfare)
            picked = [
                Pick(index, alpha, float(welfare[index]), ranking.ranks[index])
                for index in ranking.order
            ]
        best = next((each for each in picked if words[each.index] not in taken), None)
        if best is not None:
            taken.add(words[best.index])
            picks.append(best)
    return tuple(picks)


def _usable(everybody: Sequence[Opinion], withheld: Sequence[str]) -> list[Opinion]:
    """The opinions that the policy may see."""
    ids = [opinion.id for opinion in everybody]
    for name in withheld:
        if name not in ids:
            raise InputError(
                f"cannot withhold {name!r}: no such participant; expected some of {', '.join(ids)}"
            )
    usable = [opinion for opinion in everybody if opinion.id not in withheld]
    if not usable:
        raise InputError("every opinion is withheld; expected at least one to write from")
    return usable


def _drawn(
    question: Question,
    usable: Sequence[Opinion],
    plan: CollectionPlan,
    policy: Policy,
    has_reward: bool,
    seed: tuple[int, int],
    before: Sequence[Draw],
    progress: Progress,
) -> tuple[Draw, tuple[str, ...]]:
    """One draw, not yet scored, and what is to be said of it.

    Where nothing survives parsing the draw is empty, and says so: the other draws are not lost.
    """
    rng = np.random.default_rng(seed)
    n_included = len(usable) - seed[1]
    chosen = np.sort(rng.choice(len(usable), n_included, replace=False))
    subset = [usable[int(index)] for index in chosen]
    alphas = plan.draw_alphas(rng) if has_reward else (None,) * plan.n_shown
    n_before = sum(draw.n_sampled for draw in before)
    draw = Draw(
        n_omitted=seed[1],
        included=tuple(opinion.id for opinion in subset),
        seed=seed,
        alphas=alphas,
        candidates=(),
        rejections=(),
        n_sampled=0,
    )
    try:
        generation = policy.generate(
            question,
            subset,
            n_candidates=plan.n_candidates,
            rng=rng,
            on_done=lambda n_done, n_total: progress(
                "generate", n_before + n_done, n_before + n_total
            ),
        )
    except GenerationError as error:
        rejections = tuple(error.rejections)
        said = (f"no statement with {seed[1]} opinions left out: {error}",)
        return replace(draw, rejections=rejections, n_sampled=len(rejections)), said
    # Named anew: a candidate's id is unique within its round, and each draw begins with c01.
    n_named = sum(len(draw.candidates) for draw in before)
    candidates = tuple(
        replace(candidate, id=f"c{n_named + number:02d}")
        for number, candidate in enumerate(generation.candidates, start=1)
    )
    draw = replace(
        draw,
        candidates=candidates,
        rejections=generation.rejections,
        n_sampled=generation.n_sampled,
    )
    return draw, generation.notes


def _scored(
    draws: Sequence[Draw],
    question: Question,
    opinions: Sequence[Opinion],
    reward: RewardModel,
    progress: Progress,
) -> list[Draw]:
    """The draws with everybody's rewards and expected ratings, all scored in one batch."""
    statements = [candidate.text for draw in draws for candidate in draw.candidates]
    inputs = [
        RewardInput(question.text, opinion.text, statement)
        for opinion in opinions
        for statement in statements
    ]
    given = reward.rewards(
        inputs, on_done=lambda n_done: progress("predict", n_done, len(inputs))
    ).reshape(len(opinions), len(statements))
    expected = reward.calibration.expected_rating(given)
    ends = np.cumsum([len(draw.candidates) for draw in draws])[:-1]
    return [
        replace(draw, rewards=rewards, utilities=utilities)
        for draw, rewards, utilities in zip(
            draws, np.split(given, ends, axis=1), np.split(expected, ends, axis=1), strict=True
        )
    ]


def _picked(draws: Sequence[Draw]) -> list[Draw]:
    """The draws with their picks; what one has picked, the next does not pick again."""
    found: list[Draw] = []
    for draw in draws:
        picks = pick(
            [candidate.text for candidate in draw.candidates],
            draw.alphas,
            draw.utilities,
            rng=np.random.default_rng([*draw.seed, 1]),
            avoid=[candidate.text for before in found for candidate in before.shown],
        )
        found.append(replace(draw, picks=picks))
    return found


def _provenance(
    plan: CollectionPlan,
    policy: Policy,
    reward: RewardModel | None,
    seed: int,
    draws: Sequence[Draw],
    withheld: Sequence[str],
) -> dict[str, Any]:
    return {
        "commonweal_version": __version__,
        "seed": seed,
        "plan": {
            "n_candidates": plan.n_candidates,
            "omitted": list(plan.omitted),
            "n_shown": plan.n_shown,
            "mu": plan.mu,
            "sigma": plan.sigma,
        },
        "withheld": list(withheld),
        "draws": [
            {
                "n_omitted": draw.n_omitted,
                "included": list(draw.included),
                "seed": list(draw.seed),
                "alphas": list(draw.alphas),
                "n_completions_sampled": draw.n_sampled,
                "n_candidates": len(draw.candidates),
            }
            for draw in draws
        ],
        "policy": policy.name,
        "model": policy.model.model_id,
        "model_weights_sha256": policy.model.weights_hash,
        "reward_model": None if reward is None else reward.name,
        "reward_model_weights_sha256": None if reward is None else reward.weights_hash,
    }
