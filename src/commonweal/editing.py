"""A text that people changed by hand: a candidate with its author, predicted as the others are."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import InputError
from commonweal.explaining import explain
from commonweal.groups import cleaned
from commonweal.revising import heard
from commonweal.rewards import DEFAULT_REWARD_MODEL, load_reward_model
from commonweal.selection import Pick, scored
from commonweal.types import Candidate

if TYPE_CHECKING:
    from commonweal.result import Agreement
    from commonweal.types import RewardModel

HUMAN = "human"
"""The policy of a text that a person wrote, as in the record format."""

MAX_CHARACTERS = 5000


def with_text(
    found: Agreement,
    text: str,
    *,
    author: str,
    take: bool = False,
    reward: str | RewardModel = DEFAULT_REWARD_MODEL,
) -> Agreement:
    """The result with one candidate more, which a person wrote or changed.

    It is predicted with everybody's opinion (and critiques) as the others are, and picked where the
    rule finds it best.

    Args:
        found: a result.
        text: the whole text.
        author: who wrote it: a participant's id, or "facilitator".
        take: pick it, whatever the rule says: a person decides. The floor of quality, too, is a
            model's view and does not count then.
        reward: the model that predicted the others; another's numbers do not compare.

    Raises:
        InputError: text or author is blank or too long, the text is there already, or the reward
            model is another.
    """
    if found.population is not None:
        raise InputError(
            f"this is a result of {found.population.n_people:,} people, of whom a sample was "
            "judged; a text is edited with a group of up to 100"
        )
    notes: list[str] = []
    said = " ".join(cleaned(text, "the edited text", notes).split())
    if not said or not author.strip():
        raise InputError("the edited text or its author is blank; expected both")
    if len(said) > MAX_CHARACTERS:
        raise InputError(
            f"the edited text has {len(said):,} characters; expected at most {MAX_CHARACTERS:,}"
        )
    for each in found.candidates:
        if each.text == said:
            raise InputError(f"the edited text is that of {each.id}; expected another")
    predictor = load_reward_model(reward) if isinstance(reward, str) else reward
    scored_by = found.provenance.get("reward_model_weights_sha256")
    if predictor.weights_hash != scored_by:
        raise InputError(
            f"the others were predicted by {found.provenance.get('reward_model')!r} (weights "
            f"{str(scored_by)[:12]}) and this text would be by {predictor.name!r} (weights "
            f"{predictor.weights_hash[:12]}), whose numbers do not compare; give the former, or "
            "find the statement anew where it is gone"
        )
    numbers = [int(each.id[1:]) for each in found.candidates if each.id[1:].isdigit()]
    new = Candidate(
        id=f"c{max(numbers, default=0) + 1:02d}",
        text=said,
        included_opinion_ids=(),
        policy=HUMAN,
        model="",
        prompt_hash="",
        seed=0,
        author=author.strip(),
    )
    read_as = heard(found.opinions, found.all_critiques)
    (own,) = scored([replace(found, candidates=(new,))], predictor, read_as=read_as)
    tables: dict[str, Any] = {"candidates": (*found.candidates, new)}
    for name in ("rewards", "utilities", "low", "high", "qualities"):
        two = getattr(found, name), getattr(own, name)
        tables[name] = None if two[0] is None or two[1] is None else np.concatenate(two, axis=-1)
    known = {each.name: getattr(found, each.name) for each in fields(found)} | tables
    made = type(found)(**known).picked([found.rule])
    if take:
        column = len(found.candidates)
        ranked = made.ranked[0]
        assert ranked is not None  # noqa: S101 - for the type checker: an agreement has a rule
        pick = Pick(column, found.rule, float(ranked.welfare[column]), ranked.ranking.ranks[column])
        notes.append(f"{new.id} was taken by {new.author}, not by the rule")
        made = replace(made, picks=(pick,))
    return replace(
        made,
        notes=(*found.notes, *notes),
        explanation=explain(made, predictor, read_as=read_as),
    )
