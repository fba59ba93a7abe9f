"""One group under many rules: what each picks, whom it serves least, where majorities turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.rules import PAPERS_RULES, described, resolve_rule
from commonweal.rules.pairwise import top_cycle

if TYPE_CHECKING:
    from commonweal.result import Agreement

OTHER_RULES = (
    *("quantile", "approval", "veto_core"),
    *("schulze", "ranked_pairs", "maximal_lotteries"),
)
"""Those of ours that stand beside the paper's three."""

_NEAR = 0.005
"""Ratings that show the same two decimals are the same when the least served are named."""


@dataclass(frozen=True, slots=True)
class RulePick:
    """What one rule picks.

    Attributes:
        name: the rule's.
        means: what counts as best under it, in a few words.
        index: the candidate's column; None where none is worth showing.
        tied: columns of all that tie with it, itself first.
        welfare: its welfare, in the rule's unit.
        mean: the mean expected rating of it.
        lowest: the lowest expected rating of it.
        least_served: ids of those who are expected to give it.
    """

    name: str
    means: str
    index: int | None
    tied: tuple[int, ...] = ()
    welfare: float = float("nan")
    mean: float = float("nan")
    lowest: float = float("nan")
    least_served: tuple[str, ...] = ()


def compare_rules(result: Agreement, names: tuple[str, ...] = OTHER_RULES) -> tuple[RulePick, ...]:
    """What each rule picks of the same candidates and predictions: nothing is written anew.

    First the paper's three, then those named, then the rule of the result where it is none of
    them.

    Raises:
        InputError: an unknown rule.
    """
    rules = [*PAPERS_RULES, *map(resolve_rule, names)]
    if result.rule.name not in {rule.name for rule in rules}:
        rules.append(result.rule)
    found = []
    for rule in rules:
        other = result.under(rule)
        index = other.closest_index
        if index is None:
            found.append(RulePick(rule.name, described(rule), None))
            continue
        ratings = result.utilities[:, index]
        lowest = float(ratings.min())
        tied = [each for each in other.tied if each.id != other.candidates[index].id]
        columns = {each.id: column for column, each in enumerate(result.candidates)}
        found.append(
            RulePick(
                rule.name,
                described(rule),
                index,
                (index, *(columns[each.id] for each in tied)),
                float(other.welfare[index]),
                float(ratings.mean()),
                lowest,
                tuple(
                    opinion.id
                    for opinion, rating in zip(result.opinions, ratings, strict=True)
                    if rating <= lowest + _NEAR
                ),
            )
        )
    return tuple(found)


def majorities(result: Agreement) -> str:
    """Whether one candidate beats every other one to one, in a sentence; "" without candidates."""
    shown = list(result.choosable)
    if not shown:
        return ""
    cycle = [shown[at] for at in top_cycle(result.utilities[:, shown])]
    names = ", ".join(result.candidates[column].id for column in cycle)
    if len(cycle) == 1:
        return f"{names} is predicted to beat every other candidate one to one."
    utilities = result.utilities[:, cycle]
    ahead = utilities[:, :, None] > utilities[:, None, :]
    margin = ahead.sum(axis=0) - ahead.sum(axis=0).T
    if not margin.any():
        return f"No candidate beats every other one to one: {names} tie with each other."
    n_ties = int((np.triu(margin == 0, 1)).sum())
    ties = f", {n_ties} of them tied" if n_ties else ""
    return (
        "No candidate beats every other one to one: majorities go in a circle or tie among "
        f"{names} "
        f"({len(cycle) * (len(cycle) - 1) // 2} pairs{ties})."
    )
