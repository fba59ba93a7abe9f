"""A round of critique: people say what they would change, and the statement is written again.

The old statement stands among the revisions and wins ties, so it goes only where something is
predicted to be better, and where a small model wrote by a point of 7: it seldom revises for the
better. Everybody's agreement, with the old one too, is predicted from opinion and
critique together. Source: Tessler et al. 2024, "AI can help humans find common ground in democratic
deliberation", Science 386.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commonweal.errors import InputError
from commonweal.explaining import explain
from commonweal.groups import cleaned
from commonweal.policies.kinds import is_modest
from commonweal.policies.revising import revising_policy
from commonweal.reading.explaining import nearest
from commonweal.rewards.critiques import opinion_and_critiques
from commonweal.selection import MIN_GAIN, MIN_QUALITY, Selection, Wanted, select
from commonweal.types import Candidate, Critique, Opinion

if TYPE_CHECKING:
    from commonweal.outcomes import Explanation
    from commonweal.policies.prompts import RevisionTemplate
    from commonweal.types import LanguageModel, Policy, Progress, Question, RewardModel
    from commonweal.welfare import WelfareRule

Critiques = Mapping[str, str] | Iterable[Critique]
"""How critiques may be given: by participant's id, or as records."""


def check_critiques(
    given: Critiques, opinions: Sequence[Opinion]
) -> tuple[tuple[Critique, ...], tuple[str, ...]]:
    """The critiques that say something, in the group's order, and notes on what was cleaned.

    Who is not in ``given``, or with a blank text, would change nothing.

    Raises:
        InputError: a critique of somebody who is not in the group, two of one person, or none that
            says anything.
    """
    if isinstance(given, Mapping):
        given = [Critique(name, text) for name, text in given.items()]
    people = [opinion.id for opinion in opinions]
    texts: dict[str, str] = {}
    notes: list[str] = []
    for each in given:
        if each.participant_id not in people:
            raise InputError(
                f"a critique is by {each.participant_id!r}, who gave no opinion"
                f"{nearest(each.participant_id, people)}"
            )
        if each.participant_id in texts:
            raise InputError(
                f"there are two critiques by {each.participant_id!r}; expected one a person"
            )
        what = f"the critique of {each.participant_id!r}"
        texts[each.participant_id] = cleaned(each.text, what, notes)
    checked = tuple(Critique(name, texts[name]) for name in people if texts.get(name))
    if not checked:
        raise InputError(
            "nobody says what they would change; expected at least one critique: without any the "
            "statement stands as it is"
        )
    return checked, tuple(notes)


def heard(opinions: Sequence[Opinion], rounds: Iterable[Iterable[Critique]]) -> dict[str, str]:
    """What a reward model reads of everybody, by id: the opinion and the critiques of all rounds.

    Args:
        opinions: the group's.
        rounds: the critiques of each round, the first round first.
    """
    texts: dict[str, list[str]] = {}
    for critiques in rounds:
        for each in critiques:
            texts.setdefault(each.participant_id, []).append(each.text)
    return {each.id: opinion_and_critiques(each.text, texts.get(each.id, ())) for each in opinions}


def revise(
    selection: Selection,
    statement: Candidate,
    critiques: Sequence[Critique],
    *,
    model: str | LanguageModel,
    template: str | RevisionTemplate | None,
    reward: RewardModel,
    rule: WelfareRule,
    n_candidates: int,
    seed: int,
    min_quality: float | None,
    on_progress: Progress,
    earlier: Iterable[Sequence[Critique]] = (),
) -> tuple[Selection, Explanation | None]:
    """Revisions of the statement beside the statement itself, scored and picked, and why.

    Args:
        selection: the round before: its question, opinions and who was left out of writing.
            Critiques of those are not shown to the policy either.
        statement: what people read.
        critiques: as ``check_critiques`` gives them.
        model: what writes.
        template: see ``policies.revising.revising_policy``.
        reward: what predicts agreement.
        rule: what picks.
        n_candidates: how many revisions to write.
        seed: of all chance.
        min_quality: see ``select``.
        on_progress: likewise.
        earlier: the critiques of the rounds before.

    Raises:
        InputError: nobody whose words may be shown says anything.
        EngineError: the language model failed.
    """
    shown = [each for each in critiques if each.participant_id not in selection.omitted]
    policy, cut = revising_policy(statement.text, shown, model, template=template)
    rounds = (*earlier, critiques)
    revised = revised_with(
        policy,
        selection.question,
        selection.opinions,
        (statement,),
        rounds,
        omitted=selection.omitted,
        reward=reward,
        rules=(rule,),
        n_candidates=n_candidates,
        seed=seed,
        on_progress=on_progress,
        min_quality=min_quality,
        min_gain=MIN_GAIN if is_modest(policy.model) else None,
    )
    revised = replace(revised, notes=(*cut, *revised.notes))
    return revised, explain(revised, reward, read_as=heard(selection.opinions, rounds))


def revised_with(
    policy: Policy,
    question: Question,
    opinions: Sequence[Opinion],
    standing: tuple[Candidate, ...],
    rounds: Sequence[Sequence[Critique]],
    *,
    omitted: tuple[str, ...],
    reward: RewardModel | None,
    rules: tuple[WelfareRule | None, ...],
    n_candidates: int,
    seed: int,
    on_progress: Progress,
    min_quality: float | None = MIN_QUALITY,
    min_gain: float | None = None,
) -> Selection:
    """The statement and what this policy writes in its place, scored and picked.

    Args:
        policy: what writes; it knows the statement and the critiques already.
        question: what was asked.
        opinions: everybody's.
        standing: what people read stands first, and after it what people wrote by hand.
        rounds: the critiques of each round, those that are written from last.
        omitted: whose words the policy does not see.
        reward: what predicts agreement; None where every rule is.
        rules: one for each pick.
        n_candidates: how many revisions to write.
        seed: of all chance.
        on_progress: see ``select``.
        min_quality: likewise.
        min_gain: see ``Selection``.

    Raises:
        EngineError: the language model failed.
    """
    (selection,) = select(
        question,
        opinions,
        [
            Wanted(
                omitted,
                n_candidates,
                rules,
                (seed,),
                named="from these critiques",
                standing=standing,
            )
        ],
        policy=policy,
        reward=reward,
        on_progress=on_progress,
        min_quality=min_quality,
        may_be_empty=True,
        read_as=heard(opinions, rounds),
    )
    about = {"revises": standing[0].id, "n_critiques": len(rounds[-1]), "policy": policy.name}
    selection = replace(selection, provenance=selection.provenance | about)
    if min_gain is not None and selection.candidates:
        selection = replace(selection, min_gain=min_gain).picked(rules)
    return _no_worse(selection, standing, rules)


def _no_worse(
    selection: Selection,
    standing: tuple[Candidate, ...],
    rules: tuple[WelfareRule | None, ...],
) -> Selection:
    """Picked among those whose quality is that of the standing texts or more.

    Of several, what a person wrote by hand too, the lowest counts: it is never passed over for
    this. Without it, what promised people more and said it worse took a good statement's place
    (docs/LOG.md, 2026-11-30).
    """
    if selection.qualities is None or selection.min_quality is None:
        return selection
    texts = [each.text for each in selection.candidates]
    floor = min(float(selection.qualities[texts.index(each.text)]) for each in standing)
    if floor <= selection.min_quality:
        return selection
    note = f"a revision needed the predicted quality of what stands, {floor:.1f} of 7"
    return replace(selection, min_quality=floor, notes=(*selection.notes, note)).picked(rules)
