"""What ``commonweal agree`` shows of many people: shares, opinion groups, slates."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from commonweal.outcomes import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from commonweal.population import Population, Slate
    from commonweal.result import Agreement

_N_QUOTES = 1


def print_population(console: Console, result: Agreement, population: Population) -> None:
    """Prints how many are predicted to agree, each opinion group, what divides them, and slates."""
    from rich.padding import Padding
    from rich.text import Text

    def indented(text: str, by: int = 2, style: str = "") -> None:
        console.print(Padding(Text(text, style=style), (0, 0, 0, by)))

    texts = {each.id: each.text for each in result.candidates}
    closest = None if result.closest is None else result.closest.id
    if population.agreeing is not None:
        of = (
            f", estimated from {population.n_agreeing_of:,}"
            if population.n_agreeing_of < population.n_people
            else ""
        )
        console.print(
            f"Predicted to agree: {population.agreeing} of {population.n_people:,} people{of}.",
            style="bold",
        )
        assert result.closest_index is not None  # noqa: S101 - for the type checker: it is shared
        counts = Counter(result.verdicts(result.closest_index))
        n = len(result.opinions)
        console.print(
            "By the ratings with which the model was checked: "
            f"{counts[Verdict.AGREES] / n:.0%} of the panel likely agree, "
            f"{counts[Verdict.DISAGREES] / n:.0%} likely disagree; for "
            f"{counts[Verdict.UNSURE] / n:.0%} the model can't tell."
        )
    console.print()
    console.print(
        "Opinion groups, by how people voted"
        if population.groups_from == "votes"
        else "Opinion groups, by what people wrote",
        style="bold",
    )
    for group in population.groups:
        agreeing = "" if group.agreeing is None else f", {group.agreeing} predicted to agree"
        indented(f"{group.name}  {group.n_people:,} people{agreeing}")
        for quote in group.quotes[:_N_QUOTES]:
            indented(f"“{quote}”", 5, "italic")
        if group.statement is not None and group.statement != closest:
            indented(
                f"Better for {group.name} ({group.statement_expected:.1f} of 7): "
                f"{texts[group.statement]}",
                5,
            )
    if population.divides:
        console.print()
        console.print("What divides them (expected ratings, 1 to 7)", style="bold")
        for each in population.divides:
            ratings = ", ".join(f"{name} {rating:.1f}" for name, rating in each.by_group.items())
            indented(f"“{each.text}” {ratings}")
    elif result.candidates:
        console.print()
        console.print(population.undivided)
    for slate in population.slates:
        _print_slate(console, slate, population)
    if population.without is not None:
        console.print()
        n = round(population.without.value * population.n_people)
        console.print(
            f"Left out: {population.without}, about {n:,} people, are predicted to agree with none "
            "of the statements in the first list.",
        )


def _print_slate(console: Console, slate: Slate, population: Population) -> None:
    from rich.padding import Padding
    from rich.text import Text

    k = len(slate.texts)
    console.print()
    whose = "" if slate.of == "candidates" else ", among those that people wrote"
    console.print(f"{k} statements for as many people as possible{whose}", style="bold")
    for number, text in enumerate(slate.texts, start=1):
        console.print(Padding(Text(f"{number}. {text}"), (0, 0, 0, 2)))
    how = (
        f"by {slate.n_votes:,} votes given and {slate.n_predicted:,} predicted from votes"
        if slate.n_votes
        else "as predicted"
    )
    n_people = population.n_people if slate.of == "candidates" else slate.n_people
    sentence = (
        f"{slate.covered} of {n_people:,} agree with at least one, {how}; the {k} most "
        f"liked statements would reach {100 * slate.top_covered:.0f} %."
    )
    if slate.unrepresented:
        sentence += (
            f" {100 * slate.unrepresented:.0f} % agree with another, but with none of these."
        )
    console.print(Padding(Text(sentence), (0, 0, 0, 2)))


def print_judged(console: Console, result: Agreement, population: Population) -> None:
    """Prints how surely each candidate's welfare is known, the best first."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, title="Welfare of all, estimated")
    for name in ("", "Welfare", "95 % interval", "Judged by", "Then"):
        table.add_column(name, justify="left" if name in ("", "Then") else "right")
    for index in result.ranking.order:
        each = population.judged[index]
        table.add_row(
            result.candidates[index].id,
            f"{each.welfare:.2f}",
            f"{each.low:.2f} to {each.high:.2f}",
            f"{each.n_people:,}",
            each.dropped,
        )
    console.print(table)
