"""The minority's own sentence, shown beside the group's statement and never instead of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.policies.kinds import is_modest, kind_of
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.templates import load_template
from commonweal.reading.explaining import nearest
from commonweal.rewards.choosing import loaded_as_before
from commonweal.rules import RAWLSIAN
from commonweal.selection import MIN_QUALITY, Selection, Wanted, check_seed, select
from commonweal.types import no_progress

if TYPE_CHECKING:
    from commonweal.result import Agreement
    from commonweal.rewards.prompted_cost import Cost
    from commonweal.types import LanguageModel, Opinion, Policy, Progress, Question, RewardModel

N_CANDIDATES = 8
"""Sentences written to choose from: fewer people, fewer ways to say it; our choice."""

NAME = "minority"

MAY_TURN_ROUND = (
    "a model of this size may say the reverse of what the minority wrote: compare its sentence "
    "with their opinions before anybody sees it"
)
"""Said of small embedded models: two of them turned two opinions round (docs/LOG.md)."""

PREDICTED, FOUND = "predicted", "found"
"""How it is known who disagrees: what ``provenance["basis"]`` of the selection says."""


def with_minority(
    result: Agreement,
    *,
    who: Sequence[str] | None = None,
    model: str | LanguageModel = DEFAULT_MODEL,
    reward: str | RewardModel | None = None,
    n_candidates: int = N_CANDIDATES,
    seed: int = 0,
    min_quality: float | None = MIN_QUALITY,
    on_progress: Progress | None = None,
    on_cost: Callable[[Cost], None] | None = None,
) -> Agreement:
    """The result with a sentence of those who disagree with its text, written from theirs alone.

    Of what is written that is taken with which the least-agreeing of them is predicted to agree
    most. It is a selection of its own, over these people. Where nobody disagrees the result comes
    back with a note, and nothing is loaded.

    Args:
        result: a result with a text.
        who: ids of those found to disagree; by default those predicted to.
        model: what writes, by name or as an object.
        reward: what predicts agreement, likewise; by default what did in the result.
        n_candidates: how many to choose from.
        seed: of all chance.
        min_quality: see ``select``.
        on_progress: likewise.
        on_cost: as of ``find_agreement``.

    Raises:
        InputError: there is no text to disagree with, or somebody is not in the group.
        WeightsError, EngineError: as ``find_agreement``.
    """
    if result.closest is None:
        raise InputError(f"there is no text to disagree with: {result.reason}")
    check_seed(seed)
    people = [opinion.id for opinion in result.opinions]
    for name in who or ():
        if name not in people:
            raise InputError(f"{name!r} is not in the group{nearest(name, people)}")
    chosen = set(who) if who is not None else {each.participant_id for each in result.dissent}
    # Whose opinion no policy may see has no part in this text either.
    chosen -= set(result.omitted)
    theirs = tuple(opinion for opinion in result.opinions if opinion.id in chosen)
    if not theirs:
        note = "nobody is predicted to disagree, so there is no minority statement"
        return replace(result, minority=None, notes=(*result.notes, note))
    writer = load_language_model(model) if isinstance(model, str) else model
    predictor = loaded_as_before(reward, result.provenance, writer=writer, on_cost=on_cost)
    minority = written_for(
        result.question,
        theirs,
        policy=minority_policy(writer),
        reward=predictor,
        n_candidates=n_candidates,
        seed=seed,
        min_quality=min_quality,
        on_progress=on_progress,
    )
    basis = PREDICTED if who is None else FOUND
    minority = replace(minority, provenance=minority.provenance | {"basis": basis})
    notes = result.notes
    if not minority.picks:
        notes = (*notes, "no minority statement worth showing was written")
    elif is_modest(writer):
        notes = (*notes, MAY_TURN_ROUND)
    return replace(result, minority=minority, notes=notes)


def minority_policy(writer: LanguageModel) -> Policy:
    """What writes a minority's sentences with this model, from their opinions alone."""
    template = "zero_shot_small" if kind_of(writer) == "small" else NAME
    return PromptedPolicy(NAME, writer, load_template(template))


def written_for(
    question: Question,
    theirs: tuple[Opinion, ...],
    *,
    policy: Policy,
    reward: RewardModel | None,
    n_candidates: int = N_CANDIDATES,
    seed: int = 0,
    min_quality: float | None = MIN_QUALITY,
    on_progress: Progress | None = None,
) -> Selection:
    """A selection over these people alone: their least-agreeing decides; perhaps of nothing.

    Args:
        question: what was asked.
        theirs: the opinions of those who disagree, and nobody else's.
        policy: what writes.
        reward: what predicts their agreement; None picks by chance.
        n_candidates: how many to choose from.
        seed: of all chance.
        min_quality: see ``select``.
        on_progress: likewise.

    Raises:
        EngineError: the language model failed.
    """
    rule = None if reward is None else RAWLSIAN
    (selection,) = select(
        question,
        theirs,
        [Wanted((), n_candidates, (rule,), (seed,), named="of the minority")],
        policy=policy,
        reward=reward,
        on_progress=on_progress or no_progress,
        min_quality=min_quality,
        may_be_empty=True,
    )
    if is_modest(policy.model):
        selection = replace(selection, notes=(*selection.notes, MAY_TURN_ROUND))
    return selection
