"""A text that people changed by hand: a candidate with its author, predicted as the others are."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.explaining import explain
from commonweal.groups import cleaned
from commonweal.revising import heard
from commonweal.rewards.choosing import loaded_as_before
from commonweal.selection import Pick, Ranked, scored
from commonweal.types import Candidate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonweal.result import Agreement
    from commonweal.types import RewardModel

HUMAN = "human"
"""The policy of a text that a person wrote, as in the record format."""

MAX_CHARACTERS = 5000


def with_text(
    result: Agreement,
    text: str,
    *,
    author: str,
    take: bool = False,
    reward: str | RewardModel | None = None,
) -> Agreement:
    """The result with one candidate more, which a person wrote or changed.

    It is predicted with everybody's opinion (and critiques) as the others are, and picked where the
    rule finds it best.

    Args:
        result: a result.
        text: the whole text.
        author: who wrote it: a participant's id, or "facilitator".
        take: pick it, whatever the rule says: a person decides. The floor of quality, too, is a
            model's view and does not count then. A text that is there already may be taken, too:
            one that somebody proposed in their opinion.
        reward: the model that predicted the others, and by default that; another's numbers do not
            compare.

    Raises:
        InputError: text or author is blank or too long, the text is there already and not to be
            taken, or the reward model is another.
    """
    if result.population is not None:
        raise InputError(
            f"this is a result of {result.population.n_people:,} people, of whom a sample was "
            "judged; a text is edited with a group of up to 100"
        )
    notes: list[str] = []
    edited = checked_text(text, author, notes)
    there = [column for column, each in enumerate(result.candidates) if each.text == edited]
    if there and not take:
        raise InputError(
            f"the edited text is that of {result.candidates[there[0]].id}; expected another, or to "
            "take that one (take=True, --take)"
        )
    predictor = loaded_as_before(reward, result.provenance)
    scored_by = result.provenance.get("reward_model_weights_sha256")
    if predictor.weights_hash != scored_by:
        raise InputError(
            f"the others were predicted by {result.provenance.get('reward_model')!r} (weights "
            f"{str(scored_by)[:12]}) and this text would be by {predictor.name!r} (weights "
            f"{predictor.weights_hash[:12]}), and their numbers cannot be compared; use the "
            "former, or find the statement again if it is gone"
        )
    read_as = heard(result.opinions, result.all_critiques)
    if there:
        ranked = result.ranked[0]
        assert ranked is not None  # noqa: S101 - for the type checker: an agreement has a rule
        selection = _with_pick(result, ranked, there[0])
        taken = selection.candidates[there[0]].id
    else:
        selection, taken = _with_new(result, edited, author.strip(), predictor, read_as, take=take)
    if take:
        notes.append(f"{taken} was taken by {author.strip()}, not by the rule")
        told = selection.provenance | {"taken": taken, "taken_by": author.strip()}
        selection = replace(selection, provenance=told)
    if selection.closest_index != result.closest_index:
        selection = replace(selection, minority=None)  # which differs from another text
    return replace(
        selection,
        notes=(*result.notes, *notes),
        explanation=explain(selection, predictor, read_as=read_as),
    )


def checked_text(text: str, author: str, notes: list[str]) -> str:
    """The edited text on one line; what was replaced in it is added to the notes.

    Raises:
        InputError: text or author is blank, or the text is too long.
    """
    edited = " ".join(cleaned(text, "the edited text", notes).split())
    if not edited or not author.strip():
        raise InputError("the edited text or its author is blank; expected both")
    if len(edited) > MAX_CHARACTERS:
        raise InputError(
            f"the edited text has {len(edited):,} characters; expected at most {MAX_CHARACTERS:,}"
        )
    return edited


def _with_pick(result: Agreement, ranked: Ranked, column: int) -> Agreement:
    """The result with this candidate as the closest."""
    welfare, place = float(ranked.welfare[column]), ranked.ranking.ranks[column]
    return replace(result, picks=(Pick(column, result.rule, welfare, place),))


def _with_new(
    result: Agreement,
    text: str,
    author: str,
    predictor: RewardModel,
    read_as: Mapping[str, str],
    *,
    take: bool,
) -> tuple[Agreement, str]:
    """The result with this candidate more, picked where it is taken or better, and its id."""
    new = Candidate(
        id=f"c{result.next_number:02d}",
        text=text,
        included_opinion_ids=(),
        policy=HUMAN,
        model="",
        prompt_hash="",
        seed=0,
        author=author,
    )
    (own,) = scored([replace(result, candidates=(new,))], predictor, read_as=read_as)
    tables: dict[str, Any] = {"candidates": (*result.candidates, new)}
    for name in ("rewards", "utilities", "low", "high", "qualities"):
        two = getattr(result, name), getattr(own, name)
        if not result.candidates:  # of none nothing was predicted
            tables[name] = two[1]
        elif two[0] is None or two[1] is None:
            tables[name] = None
        else:
            tables[name] = np.concatenate(two, axis=-1)
    known = {each.name: getattr(result, each.name) for each in fields(result)} | tables
    selection = type(result)(**known).picked([result.rule])
    column, stands = len(result.candidates), result.closest_index
    ranked = selection.ranked[0]
    assert ranked is not None  # noqa: S101 - for the type checker: an agreement has a rule
    ranks = ranked.ranking.ranks
    # Whatever chose what stands, a person or an order of before: only the new text is on trial.
    is_better = column not in selection.weak and (stands is None or ranks[column] < ranks[stands])
    if take or is_better:
        selection = _with_pick(selection, ranked, column)
    elif stands is None:
        selection = replace(selection, picks=())
    else:
        selection = _with_pick(selection, ranked, stands)
    return selection, new.id
