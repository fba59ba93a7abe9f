"""Selections made: candidates are written, scored and picked, in this one place."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal._version import __version__
from commonweal.calling import current
from commonweal.datasets.words import tokens
from commonweal.errors import GenerationError, InputError, PluginError
from commonweal.registry import asked
from commonweal.rewards import predictions
from commonweal.selection.own_words import own_words, tells
from commonweal.selection.record import OWN_WORDS, Selection
from commonweal.selection.sense import is_read, sense
from commonweal.types import (
    RATING_MAX,
    RATING_MIN,
    Candidate,
    Generation,
    GivesRanges,
    JudgesQuality,
    Opinion,
    Policy,
    Progress,
    Question,
    RewardModel,
    no_progress,
)
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from commonweal.types import FloatArray

N_CANDIDATES = 16
"""How many candidates a policy writes (paper 3.4 step 1)."""

MIN_QUALITY = 3.5
"""The floor of quality, on the paper's scale: below it "somewhat poor" is nearer than "neutral"
(docs/decisions/023-no-agreement-is-an-outcome.md)."""

SALAD_QUALITY = 2.0
"""The floor where the model that wrote orders its candidates itself (``selection.sense``):
predicted quality tells word salad there, and of what lies between this and 3.5 it drops the good
with the bad (docs/decisions/046-probes.md)."""

MAX_QUALITY_OPINIONS = 40
"""Opinions beside which quality is judged; of more, as many at even distances: it is about the
statement."""

MAX_REDRAWS = 2
"""How often candidates are drawn again where none reaches the floor."""


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
        standing: texts that stand among the candidates, before those that are written: of a tie
            they win.
    """

    omitted: tuple[str, ...]
    n_candidates: int
    rules: tuple[WelfareRule | None, ...]
    seed: tuple[int, ...]
    rng: np.random.Generator | None = None
    named: str = ""
    standing: tuple[Candidate, ...] = ()


def select(
    question: Question,
    opinions: Sequence[Opinion],
    wanted: Sequence[Wanted],
    *,
    policy: Policy,
    reward: RewardModel | None,
    on_progress: Progress,
    min_quality: float | None = MIN_QUALITY,
    shortlist: int | None = None,
    may_be_empty: bool = False,
    read_as: Mapping[str, str] | None = None,
    with_own_words: bool = False,
) -> tuple[Selection, ...]:
    """The selections that are wanted: written one by one, scored all in one batch, then picked.

    What one has picked, the next does not pick again. One of several for which nothing survives
    parsing is empty, and says so: the others are not lost. Where the reward model judges quality
    and no candidate reaches the floor, more are drawn, at most ``MAX_REDRAWS`` times; where there
    is still none, nothing is picked.

    Args:
        question: what was asked.
        opinions: everybody's; all are scored.
        wanted: at least one.
        policy: what writes.
        reward: what predicts agreement; None where every rule is None.
        on_progress: called with ("generate" or "predict", n_done, n_total).
        min_quality: candidates that are judged to be worse are kept, and not picked; None picks
            from all.
        shortlist: how many of the most sensible may be picked (``Selection.shortlist``).
        may_be_empty: whether selections of which nothing survives parsing are a result.
        read_as: by participant's id what the reward model reads of a person instead of the
            opinion: opinion and critique.
        with_own_words: whether what people proposed themselves joins the candidates, where the
            model that writes can tell (``selection.own_words``).

    Raises:
        EngineError: the language model failed.
        GenerationError: no completion of any survived parsing, and something must.
        InputError: ``min_quality`` is off the scale.

    Source: paper 3.4 steps 1 and 3.
    """
    check_min_quality(min_quality)
    chances = [each.rng or np.random.default_rng(each.seed) for each in wanted]
    selections: list[Selection] = []
    for each, rng in zip(wanted, chances, strict=True):
        selections.append(
            _written(question, opinions, each, rng, selections, policy, reward, on_progress)
        )
    if not may_be_empty and not any(each.candidates for each in selections):
        raise GenerationError(
            f"no completion can be shown to the group, in {len(selections)} draws from different "
            "numbers of opinions; try another seed, another policy or a larger model",
            [rejection for each in selections for rejection in each.rejections],
        )
    if reward is not None:
        # Before the reward model reads, which then reads on with what explains the choice: a model
        # that reads at two layers is loaded for one after the other.
        if shortlist is not None:
            selections = [_read_again(each, policy, shortlist) for each in selections]
        if with_own_words:
            selections = [_with_own_words(each, policy) for each in selections]
        selections = [
            replace(each, min_quality=min_quality, shortlist=shortlist)
            for each in scored(selections, reward, on_progress, read_as)
        ]
        for place, rng in enumerate(chances):
            others = [each for each in selections if each is not selections[place]]
            selections[place] = _with_more(
                selections[place], wanted[place], others, rng, policy, reward, on_progress, read_as
            )
        if shortlist is not None:  # what was drawn since
            selections = [_read_again(each, policy, shortlist) for each in selections]
    picked: list[Selection] = []
    for selection, each in zip(selections, wanted, strict=True):
        taken = [candidate.text for before in picked for candidate in before.shown]
        picked.append(selection.picked(each.rules, avoid=taken))
    return tuple(picked)


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


def seed_of(*names: str | int) -> int:
    """A seed made of these names: the same on every machine, and different for different ones."""
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def check_min_quality(min_quality: float | None) -> None:
    """Refuses a floor that is off the 7-point scale.

    Raises:
        InputError: it is.
    """
    if min_quality is not None and not RATING_MIN <= min_quality <= RATING_MAX:
        raise InputError(
            f"min_quality is {min_quality}, expected a number from {RATING_MIN} to {RATING_MAX}"
        )


def floor_for(model: object, *, is_listed: bool) -> float:
    """The floor of quality where nobody says, with a shortlist or without."""
    return SALAD_QUALITY if is_listed and is_read(model) else MIN_QUALITY


def _read_again(selection: Selection, policy: Policy, shortlist: int) -> Selection:
    """The selection with what the model that wrote it makes of each candidate, if that is known.

    Where all have a place on the shortlist, nothing is read: it would change nothing.
    """
    written = [each for each in selection.candidates if not each.author]
    unread = [each for each in written if each.sense is None]
    if not unread or len(written) <= shortlist:
        return selection
    values = sense(
        policy.model,
        selection.question.text,
        [each.text for each in selection.opinions],
        [each.text for each in unread],
    )
    if values is None:
        return selection
    read = dict(zip((each.id for each in unread), map(float, values), strict=True))
    candidates = tuple(
        replace(each, sense=read[each.id]) if each.id in read else each
        for each in selection.candidates
    )
    return replace(selection, candidates=candidates)


def _with_own_words(selection: Selection, policy: Policy) -> Selection:
    """The selection with what those whose opinions the policy saw proposed themselves, where the
    model that writes can tell.
    """
    if not tells(policy.model):
        return selection
    seen = [each for each in selection.opinions if each.id not in selection.omitted]
    found = own_words(policy.model, selection.question.text, seen)
    known = {tuple(tokens(each.text)) for each in selection.candidates}
    own = [each for each in found if tuple(tokens(each.text)) not in known]
    candidates = (
        Candidate(
            f"c{number:02d}",
            each.text,
            (),
            OWN_WORDS,
            "",
            "",
            0,
            author=each.author,
            sense=each.standing,
        )
        for number, each in enumerate(own, start=selection.next_number)
    )
    return replace(
        selection,
        candidates=(*selection.candidates, *candidates),
        provenance=selection.provenance | {"n_own_words": len(own)},
    )


def _with_more(
    selection: Selection,
    wanted: Wanted,
    before: Sequence[Selection],
    rng: np.random.Generator,
    policy: Policy,
    reward: RewardModel,
    progress: Progress,
    read_as: Mapping[str, str] | None,
) -> Selection:
    """The selection with more candidates, as long as none is worth showing and it is allowed."""
    n_first = len(selection.candidates) - len(selection.proposed)
    n_redraws = 0
    while n_first and not selection.written and n_redraws < MAX_REDRAWS:
        n_redraws += 1
        more = _written(
            selection.question,
            selection.opinions,
            # One that fails takes nothing away.
            replace(wanted, named="in another draw", standing=()),
            rng,
            [*before, selection],
            policy,
            reward,
            progress,
        )
        selection = _joined(selection, more, reward, progress, read_as)
    if not n_redraws:
        return selection
    note = (
        f"none of the first {n_first} candidates reached the quality of {selection.min_quality:g} "
        f"of 7 that a statement must have, so more were drawn: {len(selection.candidates)} in all"
    )
    return replace(
        selection,
        notes=(*selection.notes, note),
        provenance=selection.provenance | {"n_redraws": n_redraws},
    )


def _joined(
    selection: Selection,
    more: Selection,
    reward: RewardModel,
    progress: Progress,
    read_as: Mapping[str, str] | None,
) -> Selection:
    """The selection with what another draw brought that it did not have yet."""
    known = {each.text for each in selection.candidates}
    new = tuple(each for each in more.candidates if each.text not in known)
    joined = replace(
        selection,
        rejections=(*selection.rejections, *more.rejections),
        n_sampled=selection.n_sampled + more.n_sampled,
        notes=tuple(dict.fromkeys((*selection.notes, *more.notes))),
        provenance=selection.provenance
        | {"n_completions_sampled": selection.n_sampled + more.n_sampled},
    )
    seconds = more.timings_seconds
    if new:
        (more,) = scored([replace(more, candidates=new)], reward, progress, read_as)
        seconds = more.timings_seconds
        tables: dict[str, Any] = {}
        for name in ("rewards", "utilities", "low", "high", "qualities"):
            two = getattr(selection, name), getattr(more, name)
            tables[name] = None if two[0] is None else np.concatenate(two, axis=-1)
        joined = replace(joined, candidates=(*selection.candidates, *new), **tables)
    return replace(
        joined,
        timings_seconds={
            stage: round(took + seconds.get(stage, 0), 3)
            for stage, took in selection.timings_seconds.items()
        },
    )


def _written(
    question: Question,
    opinions: Sequence[Opinion],
    wanted: Wanted,
    rng: np.random.Generator,
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
        seen = included(opinions, wanted.omitted)
        generation: Generation = asked(
            f"the policy {policy.name!r}",
            policy,
            lambda: policy.generate(
                question,
                seen,
                n_candidates=wanted.n_candidates,
                rng=rng,
                on_done=lambda n_done, n_total: progress(
                    "generate", n_before + n_done, n_before + n_total
                ),
            ),
        )
        _check_generation(policy, generation)
        current().tell_draft(generation.candidates[0].text)
    except GenerationError as error:
        if not wanted.named:
            raise
        rejected = error.rejections
        notes = (f"no statement {wanted.named}: {error}",)
        generation = Generation((), rejected, wanted.n_candidates, len(rejected), notes)
    return Selection(
        question=question,
        opinions=tuple(opinions),
        omitted=tuple(each.id for each in opinions if each.id in wanted.omitted),
        # Named anew: a candidate's id is unique within its round, and each draw begins with c01.
        candidates=tuple(
            replace(candidate, id=f"c{number:02d}")
            for number, candidate in enumerate(
                (*wanted.standing, *generation.candidates), start=n_named + 1
            )
        ),
        n_standing=len(wanted.standing),
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


def scored(
    selections: Sequence[Selection],
    reward: RewardModel,
    progress: Progress = no_progress,
    read_as: Mapping[str, str] | None = None,
) -> list[Selection]:
    """The selections with everybody's rewards and expected ratings, all scored in one batch.

    Args:
        selections: of one group; what they hold of scores is replaced.
        reward: what predicts.
        progress: as of ``select``.
        read_as: likewise.
    """
    heard = read_as or {}
    opinions = [heard.get(opinion.id, opinion.text) for opinion in selections[0].opinions]
    statements = [candidate.text for each in selections for candidate in each.candidates]
    n_pairs = len(opinions) * len(statements)
    if not statements:
        nothing = np.zeros((len(opinions), 0))
        return [replace(each, rewards=nothing, utilities=nothing) for each in selections]
    began = time.perf_counter()
    rewards, utilities = predictions(
        reward,
        selections[0].question.text,
        opinions,
        statements,
        on_done=lambda n_done: progress("predict", n_done, n_pairs),
        people=[opinion.id for opinion in selections[0].opinions],
    )
    seconds = time.perf_counter() - began
    qualities, low, high = judged(
        reward, selections[0].question.text, opinions, statements, utilities
    )
    ends = np.cumsum([len(each.candidates) for each in selections])[:-1]
    columns = [slice(start, stop) for start, stop in zip((0, *ends), (*ends, None), strict=True)]
    return [
        replace(
            each,
            rewards=rewards[:, own],
            utilities=utilities[:, own],
            qualities=None if qualities is None or not each.candidates else qualities[own],
            low=None if low is None or not each.candidates else low[:, own],
            high=None if high is None or not each.candidates else high[:, own],
            timings_seconds={
                **each.timings_seconds,
                "predict": round(seconds * len(each.candidates) / len(statements), 3),
            },
        )
        for each, own in zip(selections, columns, strict=True)
    ]


def judged(
    reward: RewardModel,
    question: str,
    opinions: Sequence[str],
    statements: Sequence[str],
    utilities: FloatArray,
) -> tuple[FloatArray | None, FloatArray | None, FloatArray | None]:
    """Qualities [n_candidates], low and high [n_participants, n_candidates], of models that tell.

    Raises:
        PluginError: they are not what the protocols promise.
    """
    qualities = low = high = None
    if isinstance(reward, JudgesQuality):
        step = -(-len(opinions) // MAX_QUALITY_OPINIONS)
        beside = opinions[::step]
        qualities = asked(
            f"the reward model {reward.name!r}",
            reward,
            lambda: np.asarray(reward.qualities(question, beside, statements), np.float64),
        )
        _check(reward, "qualities", qualities, (len(statements),))
    if isinstance(reward, GivesRanges):
        low, high = asked(
            f"the reward model {reward.name!r}",
            reward,
            lambda: tuple(np.asarray(each, np.float64) for each in reward.ranges(utilities)),
        )
        _check(reward, "ranges", low, utilities.shape)
        _check(reward, "ranges", high, utilities.shape)
        # A range that leaves out what it is around, by rounding, is widened to hold it.
        low, high = np.minimum(low, utilities), np.maximum(high, utilities)
    return qualities, low, high


def _check_generation(policy: Policy, generation: Any) -> None:
    if not isinstance(generation, Generation):
        raise PluginError(
            f"the policy {policy.name!r} gave a {type(generation).__name__}; expected a "
            "commonweal.types.Generation"
        )
    for number, each in enumerate(generation.candidates, start=1):
        text = getattr(each, "text", None)
        if not isinstance(each, Candidate) or not isinstance(text, str) or not text.strip():
            raise PluginError(
                f"the policy {policy.name!r} gave {each!r} as candidate {number}; expected a "
                "commonweal.Candidate with a text"
            )
    if not generation.candidates:
        raise GenerationError(
            f"the policy {policy.name!r} gave no candidate; expected at least one, or a "
            "GenerationError that says why there is none",
            generation.rejections,
        )


def _check(reward: RewardModel, what: str, values: FloatArray, shape: tuple[int, ...]) -> None:
    is_on_scale = values.shape == shape and bool(
        ((values >= RATING_MIN) & (values <= RATING_MAX)).all()
    )
    if not is_on_scale:
        raise PluginError(
            f"the reward model {reward.name} gave {what} of shape {values.shape}, expected numbers "
            f"from {RATING_MIN} to {RATING_MAX} of shape {shape}; mend the model, or choose another"
        )
