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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from commonweal.errors import InputError
from commonweal.groups import check_group
from commonweal.policies.ruled import RuledPolicy
from commonweal.selection import Selection, Wanted, check_seed, included, select
from commonweal.types import (
    Candidate,
    Opinion,
    Policy,
    Progress,
    Question,
    RewardModel,
    no_progress,
)
from commonweal.welfare import Isoelastic

ALPHA_MU, ALPHA_SIGMA = 0.0, 1.0
"""Mean and standard deviation of log α. Ours: the paper says log-normal and gives no numbers. Half
of the draws lie on each side of α = 1 (bernoulli_nash), and 95 % between 0.14 and 7.1."""

MAX_LOG_ALPHA = 10.0
"""Bound of |μ| and of σ: beyond it α is 0 or infinity to rounding."""


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """How many candidates are written from how many opinions, and how many are shown.

    Attributes:
        n_candidates: candidates written from each subset.
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


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What a collection brought back.

    Attributes:
        question: what was asked.
        opinions: everybody's, in the order of the rows of every draw's arrays.
        plan: what was to be done.
        seed: of all chance.
        draws: one for each number of omitted opinions that the group is large enough for; its
            ``seed`` is (the collection's, that number), of the subset, the α and the sampling.
        notes: what a reader should know, in plain sentences.
        timings_seconds: what "generate" and "predict" took.
        provenance: versions, models and hashes, and of each draw its seed, subset and α.
    """

    question: Question
    opinions: tuple[Opinion, ...]
    plan: CollectionPlan
    seed: int
    draws: tuple[Selection, ...]
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
        policy: what writes; its name says no rule.
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
    check_seed(seed)
    if isinstance(policy, RuledPolicy):
        raise InputError(
            f"the policy {policy.name} says how one candidate is picked, and the collection plan "
            f"draws its own alphas; expected {policy.named.writer}"
        )
    usable = included(everybody, withheld, verb="withhold")
    sizes = [n for n in plan.omitted if n < len(usable)]
    if not sizes:
        raise InputError(
            f"the plan omits {', '.join(map(str, plan.omitted))} of {len(usable)} opinions; "
            "expected a number that leaves at least one to write from"
        )
    chances = {n: np.random.default_rng((seed, n)) for n in sizes}
    wanted = [
        Wanted(
            omitted=_omitted(everybody, usable, n, chances[n]),
            n_candidates=plan.n_candidates,
            rules=(None,) * plan.n_shown
            if reward is None
            else tuple(map(Isoelastic, plan.draw_alphas(chances[n]))),
            seed=(seed, n),
            rng=chances[n],
            named=f"with {n} opinions left out",
        )
        for n in sizes
    ]
    draws = select(asked, everybody, wanted, policy=policy, reward=reward, on_progress=progress)
    found_notes = [
        *notes,
        *(
            f"no statements with {n} opinions left out: there are only {len(usable)} to write from"
            for n in plan.omitted
            if n not in sizes
        ),
        *(note for draw in draws for note in draw.notes),
        *(
            f"{len(draw.picks)} of {plan.n_shown} statements to show {each.named}: there were no "
            "more different ones"
            for draw, each in zip(draws, wanted, strict=True)
            if draw.candidates and len(draw.picks) < plan.n_shown
        ),
    ]
    return Collected(
        question=asked,
        opinions=everybody,
        plan=plan,
        seed=seed,
        draws=draws,
        notes=tuple(dict.fromkeys(found_notes)),
        timings_seconds={
            stage: round(sum(draw.timings_seconds[stage] for draw in draws), 3)
            for stage in draws[0].timings_seconds
        },
        provenance=_provenance(plan, seed, draws, withheld),
    )


def _omitted(
    everybody: Sequence[Opinion], usable: Sequence[Opinion], n: int, rng: np.random.Generator
) -> tuple[str, ...]:
    """The ids of all but a random subset of the usable opinions, which leaves ``n`` of them out."""
    chosen = rng.choice(len(usable), len(usable) - n, replace=False)
    seen = {usable[int(index)].id for index in chosen}
    return tuple(opinion.id for opinion in everybody if opinion.id not in seen)


def _provenance(
    plan: CollectionPlan, seed: int, draws: Sequence[Selection], withheld: Sequence[str]
) -> dict[str, Any]:
    """What the draws have in common, the plan, and each draw's own."""
    its_own = ("seed", "n_candidates_requested", "n_completions_sampled")
    shared = {name: value for name, value in draws[0].provenance.items() if name not in its_own}
    return {
        **shared,
        "seed": seed,
        "plan": asdict(plan) | {"omitted": list(plan.omitted)},
        "withheld": list(withheld),
        "draws": [
            {
                "n_omitted": draw.seed[1],
                "included": list(draw.included),
                "seed": list(draw.seed),
                "alphas": list(draw.alphas),
                "n_completions_sampled": draw.n_sampled,
                "n_candidates": len(draw.candidates),
            }
            for draw in draws
        ],
    }
