"""What ``commonweal agree`` shows: first what a group needs, behind ``--details`` how it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commonweal.cli.agree_again import print_revision
from commonweal.cli.agree_many import print_judged, print_population
from commonweal.outcomes import Outcome, Verdict
from commonweal.rules import PAPERS_RULES, RAWLSIAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from commonweal.result import Agreement

N_SHOWN = 5
"""Candidates shown with --details; all are in --json and --report."""

N_PROPOSED = 2
"""Texts in people's own words shown beside the statement; all are in --json and --report."""

N_NAMED = 12
"""People named in one line; the report names all."""

_TITLES = {
    Outcome.FOUND: "The statement",
    Outcome.NO_AGREEMENT: "What comes closest (not the group's statement)",
}
# Blue and yellow: told apart with any of the common colour-vision deficiencies.
_STYLES = {Verdict.AGREES: "blue", Verdict.UNSURE: "", Verdict.DISAGREES: "yellow"}


def print_result(console: Console, result: Agreement, *, details: bool = False) -> None:
    """Prints the outcome in plain words; with ``details`` the numbers and how they came to be."""
    from rich.panel import Panel
    from rich.text import Text

    print_ = console.print
    print_()
    print_(Text(result.question.text, style="bold"))
    print_()
    if result.outcome is not Outcome.FOUND:
        print_(f"{_sentence_case(result.outcome)}. {result.reason}", style="bold")
    if result.closest is not None:
        title = _TITLES[result.outcome]
        if result.author:
            title += f", in the words of {result.author}"
        print_(Panel(Text(result.closest.text), title=Text(title), padding=(1, 2)))
        _print_minority(console, result)
        if result.population is None:
            _print_people(console, result)
            print_revision(console, result)
            _print_why(console, result)
        else:
            print_population(console, result, result.population)
    else:
        print_("Try another --seed, or a larger model (--model): see commonweal doctor.")
    _print_flags(console, result)
    print_()
    if details:
        _print_details(console, result)
    for note in result.notes:
        print_(f"Note: {note.removesuffix('.')}.")
    print_(
        "These are predictions by a model, not votes. The statement may misrepresent a minority, "
        "and the facts in it are not checked. Ask the people."
        if result.closest is not None
        else "Nobody was asked: a model judged what it had written."
    )
    if not details:
        print_(
            "More: --details for the numbers, --report FILE for a page with all of it, --json FILE "
            "to go on from with what people would change, with a text of your own, or with votes.",
            style="dim",
        )
    print_()


def _print_minority(console: Console, result: Agreement) -> None:
    """The minority's own sentence, with whose it is."""
    from rich.panel import Panel
    from rich.text import Text

    if result.minority is not None and (text := result.minority_statement) is not None:
        whose = _listed([opinion.id for opinion in result.minority.opinions])
        how = "found" if result.is_minority_found else "predicted"
        title = Text(f"A minority would add (written from {whose}, {how} to disagree)")
        console.print(Panel(Text(text), title=title, padding=(1, 2)))


def _print_flags(console: Console, result: Agreement) -> None:
    """What the facilitator should look at before reading the text out."""
    from rich.text import Text

    from commonweal.flagging import flags_of

    flags = flags_of(result)
    if not flags:
        return
    console.print()
    console.print("Look at this before you read it out", style="bold")
    for flag in flags:
        console.print(Text(f"  “{flag.text}”: {flag.means}."))


def _sentence_case(outcome: Outcome) -> str:
    return outcome.value[0].upper() + outcome.value[1:]


def _print_people(console: Console, result: Agreement) -> None:
    """Who likely agrees, who does not, and of whom that cannot be told."""
    from rich.table import Table
    from rich.text import Text

    assert result.closest_index is not None  # noqa: S101 - for the type checker: it was looked at
    verdicts = result.verdicts(result.closest_index)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    for verdict in Verdict:
        names = [
            _named(result, opinion.id)
            for opinion, its in zip(result.opinions, verdicts, strict=True)
            if its is verdict
        ]
        label = Text(_sentence_case_of(verdict, len(names)), style=_STYLES[verdict])
        table.add_row(label, str(len(names)), Text(_listed(names)))
    console.print(table)
    if set(verdicts) == {Verdict.UNSURE}:
        console.print("The model can't tell whether anybody would agree. Ask them.", style="bold")
    elif Verdict.DISAGREES not in verdicts:
        console.print(
            "Nobody is clearly predicted to disagree. The model may be wrong about that.",
            style="bold",
        )


def _sentence_case_of(verdict: Verdict, n: int) -> str:
    words = {Verdict.AGREES: "Likely agree", Verdict.DISAGREES: "Likely disagree"}
    one = {Verdict.AGREES: "Likely agrees", Verdict.DISAGREES: "Likely disagrees"}
    return (one if n == 1 else words).get(verdict, "Can't tell")


def _named(result: Agreement, name: str) -> str:
    return f"{name} (omitted)" if name in result.omitted else name


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nobody"
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join(names[:N_NAMED]) + more


def _print_why(console: Console, result: Agreement) -> None:
    """What the text may go against, what divides the group, and who is not in it."""
    others = [result.candidates[column] for column in result.also_proposed]
    proposed = [f"{each.author}: “{each.text}”" for each in others]
    written = []
    if result.author:
        texts = (result.candidates[column] for column in result.written)
        written = [f"“{each.text}”" for each in texts if not each.author][:1]
    parts: list[tuple[str, list[str]]] = [
        ("What the model wrote", written),
        ("Also proposed, in their own words", proposed[:N_PROPOSED]),
    ]
    if result.explanation is not None:
        parts.append(("What is shared", [f"“{text}”" for text in result.explanation.shared]))
        parts.append(
            (
                "What it may go against",
                [f"{o.participant_id}: “{o.sentence}”" for o in result.explanation.objections],
            )
        )
        parts.append(
            (
                "What divides the group",
                [
                    f"“{d.text}” For it: {_listed(d.for_it)}. Against it: {_listed(d.against_it)}."
                    for d in result.explanation.divisions
                ],
            )
        )
    parts.append(("None of their words is in the statement", _left_out(result)))
    from rich.padding import Padding
    from rich.text import Text

    for title, lines in parts:
        if not lines:
            continue
        console.print()
        console.print(title, style="bold")
        for line in lines[:N_SHOWN]:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
        if len(lines) > N_SHOWN:
            console.print(f"  and {len(lines) - N_SHOWN} more, in the report")


def _left_out(result: Agreement) -> list[str]:
    """Who is not in the text, with a sentence of theirs; names alone where most are not."""
    if result.takes_up_little:
        names = _listed([each.participant_id for each in result.left_out])
        return [f"{names}: the statement takes up little of what people wrote"]
    return [f"{each.participant_id}: “{each.sentence}”" for each in result.left_out]


# ---------------------------------------------------------------------------------- the details


def _print_details(console: Console, result: Agreement) -> None:
    if result.closest_index is not None:
        console.print(_how(result, result.closest_index))
        if result.is_tie and result.is_rules_pick:
            tied = ", ".join(each.id for each in result.tied)
            console.print(f"There was a tie ({tied}): the one written first was taken.")
        console.print()
        if result.population is None:
            console.print(_people_table(result, result.closest_index))
        else:
            print_judged(console, result, result.population)
    console.print(_candidates_table(result))
    writer, reader = result.provenance.get("model"), result.provenance.get("reward_model")
    console.print(f"Written by {writer}; agreement predicted by {reader}.")


def _how(result: Agreement, index: int) -> str:
    """By which rule or order it was chosen, and what the paper's other rules would choose."""
    by_order = result.is_by_order
    chosen = result.candidates[index].id
    others = [
        f"{rule.name} would pick {other.id}"
        if (other := result.under(rule).closest) is not None and other.id != chosen
        else f"{rule.name} picks it too"
        for rule in PAPERS_RULES
        if (by_order or rule != result.rule) and not (result.is_sample and rule == RAWLSIAN)
    ]
    # Outside the isoelastic family a rule may have a unit of its own.
    unit = "" if result.alpha is None else " of 7"
    welfare = f"{result.welfare[index]:.2f}{unit}"
    if len(result.candidates) == 1:
        return f"One candidate was written; its {result.welfare_name} welfare is {welfare}."
    if result.taken_by:
        how = f"taken by {result.taken_by} ({result.welfare_name} welfare {welfare});"
    elif by_order:
        how = f"the most sensible ({result.welfare_name} welfare {welfare}); of the first two,"
    elif index in result.proposed and result.written:
        how = (
            f"a sentence that {result.author} wrote, predicted to please far more than what the "
            f"model wrote ({result.welfare_name} welfare {welfare});"
        )
    elif result.before is not None and not result.is_revised:
        how = f"it stands, since no revision is {result.better} ({result.welfare_name} {welfare});"
    else:
        how = f"chosen by {result.welfare_name} welfare ({welfare});"
    return f"{chosen} of {len(result.candidates)} candidates, {how} {', '.join(others)}."


def _people_table(result: Agreement, index: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title="Predicted agreement (1 to 7, neutral is 4)", expand=True)
    table.add_column("Participant", no_wrap=True, max_width=18)
    table.add_column("Expected", justify="right")
    table.add_column("half between", justify="right", no_wrap=True)
    table.add_column("", width=14, no_wrap=True)
    table.add_column("Their opinion", no_wrap=True, overflow="ellipsis", ratio=1)
    for row, (opinion, verdict) in enumerate(
        zip(result.opinions, result.verdicts(index), strict=True)
    ):
        rating = float(result.utilities[row, index])
        table.add_row(
            Text(_named(result, opinion.id)),
            f"{rating:.1f}",
            "not known"
            if result.low is None or result.high is None
            else f"{result.low[row, index]:.1f} to {result.high[row, index]:.1f}",
            Text("█" * round((rating - 1) / 6 * 14), style=_STYLES[verdict] or "dim"),
            Text(" ".join(opinion.text.split())),
        )
    return table


def _candidates_table(result: Agreement) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    n_shown = min(N_SHOWN, len(result.candidates))
    title = f"Candidates by {result.welfare_name} welfare"
    if n_shown < len(result.candidates):
        title += f", the first {n_shown} of {len(result.candidates)}"
    table = Table(box=box.SIMPLE, title=title, expand=True)
    for name in ("Rank", "Welfare", "Lowest", "Quality"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("Candidate", ratio=1)
    set_aside, no_better = result.set_aside, result.revised_no_better()
    for index in result.ranking.order[:n_shown]:
        quality = "" if result.qualities is None else f"{result.qualities[index]:.1f}"
        mark = " too low" if index in result.weak else ""
        mark = mark or (" own words" if index in result.proposed else "")
        mark = mark or (" no better" if index in no_better else "")
        mark = mark or (" not listed" if index in set_aside else "")
        table.add_row(
            str(result.ranking.ranks[index]),
            f"{result.welfare[index]:.2f}",
            f"{result.utilities[:, index].min():.1f}",
            quality + mark,
            result.candidates[index].id,
            Text(result.candidates[index].text),
        )
    return table
