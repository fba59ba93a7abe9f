"""What ``--compare-rules``, ``--rankings``, ``--ratings`` and ``--what-if`` show: one group under
many rules, by predictions or by what people said, and without each person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from commonweal.comparing import RulePick
    from commonweal.reading.ballots import Ballots
    from commonweal.rehearsing import WrittenWithout
    from commonweal.result import Agreement
    from commonweal.types import Candidate


def print_rules(console: Console, result: Agreement) -> None:
    """What each rule picks by what is predicted, and whom it serves least."""
    from commonweal.comparing import compare_rules, majorities

    _print_picks(
        console,
        "What each rule picks, by predicted agreement",
        compare_rules(result),
        result.candidates,
        majorities(result),
    )


def print_ballots(console: Console, result: Agreement, ballots: Ballots) -> None:
    """What each rule picks by what people said of the candidates, and whom it serves least."""
    from commonweal.comparing import compare_ballots, majorities_of_ballots

    for note in ballots.notes:
        console.print(note)
    n_people = len(ballots.people)
    candidates = {each.id: each for each in result.candidates}
    _print_picks(
        console,
        f"What each rule picks, by {n_people} {'person' if n_people == 1 else 'people'}'s own "
        f"{ballots.kind}",
        compare_ballots(ballots),
        [candidates[each] for each in ballots.candidates],
        majorities_of_ballots(ballots),
        # A place depends on how many there are, so its mean means little.
        has_ratings=ballots.kind == "ratings",
    )


def _print_picks(
    console: Console,
    title: str,
    picks: Sequence[RulePick],
    candidates: Sequence[Candidate],
    majorities: str,
    *,
    has_ratings: bool = True,
) -> None:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=title, expand=True)
    numbers = ("Mean", "Lowest") if has_ratings else ()
    for name in ("Rule", "Picks", *numbers, "Serves least"):
        table.add_column(
            name,
            justify="right" if name in numbers else "left",
            ratio=1 if name == "Serves least" else None,
        )
    for each in picks:
        if each.index is None:
            table.add_row(each.name, "none", *["" for _ in numbers], "")
            continue
        tied = f" (tie of {len(each.tied)})" if len(each.tied) > 1 else ""
        table.add_row(
            each.name,
            candidates[each.index].id + tied,
            *((f"{each.mean:.1f}", f"{each.lowest:.1f}") if has_ratings else ()),
            Text(", ".join(each.least_served)),
        )
    console.print(table)
    if majorities:
        console.print(majorities)
    console.print("In a tie, the candidate written first is taken.")
    for index in dict.fromkeys(each.index for each in picks if each.index is not None):
        console.print()
        names = ", ".join(each.name for each in picks if each.index == index)
        console.print(f"{candidates[index].id} ({names})", style="bold")
        console.print(Padding(Text(candidates[index].text), (0, 0, 0, 2)))
    console.print()


def print_what_if(console: Console, result: Agreement) -> None:
    """Who is pivotal, and how the choice moves with inequality aversion."""
    from rich.padding import Padding
    from rich.text import Text

    from commonweal.rehearsing import alpha_path, without_each

    if result.closest_index is None:
        return
    chosen = result.candidates[result.closest_index]
    console.print("What if one person had not been asked?", style="bold")
    rehearsals = without_each(result)
    pivotal = [each for each in rehearsals if each.changes]
    for each in pivotal:
        other = "nothing" if each.index is None else result.candidates[each.index].id
        console.print(
            f"  Without {each.participant_id} it would be {other}. Predicted agreement changes by "
            f"{each.others_gain:+.2f} of 7 for the others and by {-each.own_loss:+.2f} for "
            f"{each.participant_id}."
        )
    if not rehearsals and len(result.opinions) > 1:
        console.print(
            f"  That can't be told of {chosen.id}: today's rule would not choose it. A person took "
            "it, or an order of before did."
        )
    elif not pivotal:
        console.print(f"  No single person decides: whoever is left out, it is still {chosen.id}.")
    elif len(pivotal) < len(rehearsals):
        console.print(f"  Whoever else is left out, it is still {chosen.id}.")
    console.print(
        "  From stored scores: the candidates are those written with everybody's opinion."
    )
    console.print()
    console.print("What if the person who agrees least counted more?", style="bold")
    stretches = alpha_path(result)
    for stretch in stretches:
        until = "on" if stretch.stop == math.inf else f"to {stretch.stop:.3g}"
        candidate = result.candidates[stretch.index]
        lowest = float(result.utilities[:, stretch.index].min())
        mean = float(result.utilities[:, stretch.index].mean())
        console.print(
            f"  α from {stretch.start:.3g} {until}: {candidate.id} "
            f"(mean {mean:.2f}, lowest {lowest:.2f} of 7)"
        )
        if candidate.id != chosen.id:
            console.print(Padding(Text(candidate.text), (0, 0, 0, 4)))
    if len(stretches) == 1:
        console.print("  The choice is the same from 0 to infinity.")
    console.print()


def print_without(console: Console, without: WrittenWithout) -> None:
    """What is written and chosen where one person was never asked."""
    from rich.padding import Padding
    from rich.text import Text

    name = without.participant_id
    console.print(f"What if {name} had never been asked? Written again:", style="bold")
    if without.text is None:
        console.print("  Nothing worth showing was written from the others' opinions.")
    else:
        console.print(Padding(Text(without.text), (0, 0, 0, 4)))
        console.print(
            "  Compared with the text from everybody, predicted agreement changes by "
            f"{without.others_gain:+.2f} of 7 for the others and by {-without.own_loss:+.2f} for "
            f"{name}. Part of that is the chance of writing twice."
        )
    console.print()
