"""Selections made: candidates are written, scored and picked, in this one place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from commonweal._version import __version__
from commonweal.errors import GenerationError, InputError
from commonweal.rewards import predictions
from commonweal.selection.record import Selection
from commonweal.types import Generation, Opinion, Policy, Progress, Question, RewardModel
from commonweal.welfare import WelfareRule


@dataclass(frozen=True, slots=True)
class Wanted:
    """One selection that is to be made.

    Attributes:
        omitted: ids of those whose opinion the policy must not see.
        n_candidates: how many to write.
        rules: one for each statement to pick; None picks at random.
        seed: of all its chance.
        rng: the chance of writing; by default from the seed.
        named: what tells it from the others in a sentence, "with 1 opinions left out"; "" for the
            only one, whose failure is an error.
    """

    omitted: tuple[str, ...]
    n_candidates: int
    rules: tuple[WelfareRule | None, ...]
    seed: tuple[int, ...]
    rng: np.random.Generator | None = None
    named: str = ""


def select(
    question: Question,
    opinions: Sequence[Opinion],
    wanted: Sequence[Wanted],
    *,
    policy: Policy,
    reward: RewardModel | None,
    on_progress: Progress,
) -> tuple[Selection, ...]:
    """The selections that are wanted: written one by one, scored all in one batch, then picked.

    What one has picked, the next does not pick again. One of several for which nothing survives
    parsing is empty, and says so: the others are not lost.

    Args:
        question: what was asked.
        opinions: everybody's; all are scored.
        wanted: at least one.
        policy: what writes.
        reward: what predicts agreement; None where every rule is None.
        on_progress: called with ("generate" or "predict", n_done, n_total).

    Raises:
        EngineError: the language model failed.
        GenerationError: no completion of any survived parsing.

    Source: paper 3.4 steps 1 and 3.
    """
    made: list[Selection] = []
    for each in wanted:
        made.append(_written(question, opinions, each, made, policy, reward, on_progress))
    if not any(each.candidates for each in made):
        raise GenerationError(
            f"no completion can be shown to the group, in {len(made)} draws from different "
            "numbers of opinions; try another seed, another policy or a larger model",
            [rejection for each in made for rejection in each.rejections],
        )
    if reward is not None:
        made = _scored(made, reward, on_progress)
    found: list[Selection] = []
    for selection, each in zip(made, wanted, strict=True):
        taken = [candidate.text for before in found for candidate in before.shown]
        found.append(selection.picked(each.rules, avoid=taken))
    return tuple(found)


def included(
    opinions: Sequence[Opinion], omit: Sequence[str], *, verb: str = "omit"
) -> list[Opinion]:
    """The opinions that the policy may see: all but those with the ids in ``omit``.

    Raises:
        InputError: an id that nobody has, or nobody is left.
    """
    past = {"omit": "omitted", "withhold": "withheld"}[verb]
    if isinstance(omit, str):
        raise InputError(f"{past} is the text {omit!r}; expected a list of participant ids")
    ids = [opinion.id for opinion in opinions]
    for name in omit:
        if name not in ids:
            raise InputError(
                f"cannot {verb} {name!r}: no such participant; expected some of {', '.join(ids)}"
            )
    left = [opinion for opinion in opinions if opinion.id not in omit]
    if not left:
        raise InputError(f"every opinion is {past}; expected at least one to write from")
    return left


def check_seed(seed: int) -> None:
    """Refuses a seed that numpy would refuse later, after models are loaded.

    Raises:
        InputError: it is negative.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}, expected a whole number from 0")


def _written(
    question: Question,
    opinions: Sequence[Opinion],
    wanted: Wanted,
    before: Sequence[Selection],
    policy: Policy,
    reward: RewardModel | None,
    progress: Progress,
) -> Selection:
    """The selection that is wanted, not yet scored; without candidates where none survived."""
    n_before = sum(each.n_sampled for each in before)
    n_named = sum(len(each.candidates) for each in before)
    began = time.perf_counter()
    try:
        generation = policy.generate(
            question,
            included(opinions, wanted.omitted),
            n_candidates=wanted.n_candidates,
            rng=wanted.rng or np.random.default_rng(wanted.seed),
            on_done=lambda n_done, n_total: progress(
                "generate", n_before + n_done, n_before + n_total
            ),
        )
    except GenerationError as error:
        if not wanted.named:
            raise
        rejected = error.rejections
        said = (f"no statement {wanted.named}: {error}",)
        generation = Generation((), rejected, wanted.n_candidates, len(rejected), said)
    return Selection(
        question=question,
        opinions=tuple(opinions),
        omitted=tuple(each.id for each in opinions if each.id in wanted.omitted),
        # Named anew: a candidate's id is unique within its round, and each draw begins with c01.
        candidates=tuple(
            replace(candidate, id=f"c{number:02d}")
            for number, candidate in enumerate(generation.candidates, start=n_named + 1)
        ),
        rejections=generation.rejections,
        n_sampled=generation.n_sampled,
        seed=wanted.seed,
        notes=generation.notes,
        timings_seconds={"generate": round(time.perf_counter() - began, 3)},
        provenance={
            "commonweal_version": __version__,
            "seed": wanted.seed[0] if len(wanted.seed) == 1 else list(wanted.seed),
            "n_candidates_requested": wanted.n_candidates,
            "n_completions_sampled": generation.n_sampled,
            "policy": policy.name,
            "model": policy.model.model_id,
            "model_weights_sha256": policy.model.weights_hash,
            "reward_model": None if reward is None else reward.name,
            "reward_model_weights_sha256": None if reward is None else reward.weights_hash,
            "participants": "real or as given by the caller; agreement is predicted, nobody voted",
        },
    )


def _scored(made: Sequence[Selection], reward: RewardModel, progress: Progress) -> list[Selection]:
    """The selections with everybody's rewards and expected ratings, all scored in one batch."""
    opinions = [opinion.text for opinion in made[0].opinions]
    statements = [candidate.text for each in made for candidate in each.candidates]
    n_pairs = len(opinions) * len(statements)
    began = time.perf_counter()
    rewards, utilities = predictions(
        reward,
        made[0].question.text,
        opinions,
        statements,
        on_done=lambda n_done: progress("predict", n_done, n_pairs),
    )
    seconds = time.perf_counter() - began
    ends = np.cumsum([len(each.candidates) for each in made])[:-1]
    return [
        replace(
            each,
            rewards=given,
            utilities=expected,
            timings_seconds={
                **each.timings_seconds,
                "predict": round(seconds * len(each.candidates) / len(statements), 3),
            },
        )
        for each, given, expected in zip(
            made, np.split(rewards, ends, axis=1), np.split(utilities, ends, axis=1), strict=True
        )
    ]
