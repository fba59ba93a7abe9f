"""One group under many rules: what each picks, whom it serves least, where majorities turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.rules import PAPERS_RULES, described, resolve_rule
from commonweal.rules.pairwise import top_cycle, utilities_of_ranks
from commonweal.welfare import rank

if TYPE_CHECKING:
    from commonweal.reading.ballots import Ballots
    from commonweal.result import Agreement
    from commonweal.welfare import FloatArray, WelfareRule

OTHER_RULES = (
    *("quantile", "approval", "veto_core"),
    *("schulze", "ranked_pairs", "maximal_lotteries"),
)
"""Those of ours that stand beside the paper's three."""

RULES_OF_ORDER = ("veto_core", "schulze", "ranked_pairs", "maximal_lotteries")
"""Those that look at the order of each person's utilities alone, and so take rankings."""

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
    people = [each.id for each in result.opinions]
    choosable = result.open_to_rules().choosable
    return tuple(_pick(rule, result.utilities, people, choosable) for rule in rules)


def compare_ballots(ballots: Ballots, names: tuple[str, ...] | None = None) -> tuple[RulePick, ...]:
    """What each rule picks of the candidates that people rated or ranked: nothing is predicted.

    Indexes are columns of the ballots, every one of which may be picked. ``welfare``, ``mean`` and
    ``lowest`` of ratings are on their scale; of rankings they count places from the last, so that
    higher is better there, too.

    Args:
        ballots: what people said.
        names: the rules; by default all of ours for ratings, and ``RULES_OF_ORDER`` for rankings.

    Raises:
        InputError: an unknown rule.
    """
    is_rated = ballots.kind == "ratings"
    utilities = ballots.values if is_rated else utilities_of_ranks(ballots.values)
    if names is None:
        names = (
            (*(each.name for each in PAPERS_RULES), *OTHER_RULES) if is_rated else RULES_OF_ORDER
        )
    columns = range(len(ballots.candidates))
    return tuple(_pick(resolve_rule(name), utilities, ballots.people, columns) for name in names)


def _pick(
    rule: WelfareRule, utilities: FloatArray, people: Sequence[str], choosable: Sequence[int]
) -> RulePick:
    """What a rule picks of the columns that may be chosen; all of them count for the welfare."""
    if not choosable:
        return RulePick(rule.name, described(rule), None)
    welfare = rule.welfare(utilities)
    ranking = rank(welfare)
    index = next(column for column in ranking.order if column in choosable)
    best = ranking.ranks[index]
    ratings = utilities[:, index]
    lowest = float(ratings.min())
    return RulePick(
        rule.name,
        described(rule),
        index,
        (index, *(c for c in choosable if c != index and ranking.ranks[c] == best)),
        float(welfare[index]),
        float(ratings.mean()),
        lowest,
        tuple(
            person
            for person, rating in zip(people, ratings, strict=True)
            if rating <= lowest + _NEAR
        ),
    )


def majorities(result: Agreement) -> str:
    """Whether one candidate is predicted to beat every other one to one, in a sentence; "" without
    candidates.
    """
    shown = list(result.open_to_rules().choosable)
    ids = [result.candidates[column].id for column in shown]
    return _majorities(result.utilities[:, shown], ids, "is predicted to beat")


def majorities_of_ballots(ballots: Ballots) -> str:
    """Whether one candidate beats every other one to one by what people said, in a sentence."""
    higher_is_better = ballots.values if ballots.kind == "ratings" else -ballots.values
    return _majorities(higher_is_better, ballots.candidates, "beats")


def _majorities(utilities: FloatArray, ids: Sequence[str], beats: str) -> str:
    if not ids:
        return ""
    cycle = top_cycle(utilities)
    names = ", ".join(ids[column] for column in cycle)
    if len(cycle) == 1:
        return f"{names} {beats} every other candidate one to one."
    own = utilities[:, cycle]
    ahead = own[:, :, None] > own[:, None, :]
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
