"""``commonweal agree``: from a file of opinions to the statement that the group can agree on."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commonweal.cli.progress import StageBars
from commonweal.models import DEFAULT_MODEL
from commonweal.rewards import DEFAULT_REWARD_MODEL
from commonweal.rules import PAPERS_RULES

if TYPE_CHECKING:
    from rich.console import Console

    from commonweal.policies.prompts import WorkedExample
    from commonweal.result import Agreement

EXAMPLE = (
    "Example: commonweal agree examples/groups/bus-fares.toml --welfare rawlsian "
    "--report report.html"
)
STAGES = {"load": "Loading models", "generate": "Writing candidates", "predict": "Predicting"}
WIDTH = 100
"""Most columns that the result takes; fewer in a narrower terminal."""
N_SHOWN = 5
"""Candidates shown on screen; all are in --json and --report."""


def agree(
    group: Annotated[
        Path,
        typer.Argument(help="The question and the opinions: a .toml, .json or .csv file."),
    ],
    welfare: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What counts as best for the group: utilitarian (where nothing is said), "
            "bernoulli_nash, rawlsian, or an installed rule (commonweal plugins).",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Inequality aversion instead of --welfare: 0 up to inf."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many candidates to write: 16, where the policy does not say 1."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml|FOLDER",
            help="What writes them: sft (with the embedded model the default), few_shot or "
            "zero_shot; with a rule, as sft_rawlsian or sft_base; a prompt template; or a folder "
            "from train sft.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="The language model: embedded, embedded:PATH.gguf, openai:BASE_URL#MODEL, hf:PATH."
        ),
    ] = DEFAULT_MODEL,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="Rated rounds, whose best statements are few_shot's worked examples.",
        ),
    ] = None,
    reward_model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER", help="What predicts agreement: first, or an exported model."
        ),
    ] = DEFAULT_REWARD_MODEL,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same result.")] = 0,
    omit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A participant whose opinion is not shown to the policy, but scored. Repeatable.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write everything as JSON (- for the screen)."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page of HTML to read and share.")
    ] = None,
) -> None:
    """Find the statement that a group is predicted to agree on best.

    A policy writes candidates from the opinions, a reward model predicts each person's agreement
    with each from that person's own opinion, and a welfare function picks one. Predictions are
    not votes.
    """
    from rich.console import Console

    from commonweal.agreement import find_agreement
    from commonweal.files import check_outputs, write_whole
    from commonweal.groups import read_group

    json_on_screen = json_file is not None and str(json_file) == "-"
    check_outputs(
        {"--json": None if json_on_screen else json_file, "--report": report},
        inputs={"the group's file": group},
    )
    read = read_group(group)
    # Markup is off: an opinion may hold square brackets.
    console = Console(stderr=json_on_screen, markup=False, highlight=False, emoji=False)
    console.width = min(console.width, WIDTH)
    with StageBars(STAGES) as bars:
        result = find_agreement(
            read.question,
            read.opinions,
            policy=policy,
            model=model,
            examples=_worked_examples(examples) if examples else (),
            reward=reward_model,
            welfare=welfare,
            alpha=alpha,
            n_candidates=candidates,
            seed=seed,
            omit=omit or (),
            on_progress=bars.update,
        )
    result = replace(result, notes=tuple(dict.fromkeys((*read.notes, *result.notes))))
    _print_result(console, result)
    if json_file is not None:
        # On a screen without UTF-8 JSON's own escapes: a program must be able to read it.
        ascii_only = json_on_screen and "utf" not in sys.stdout.encoding.lower()
        text = json.dumps(result.to_dict(), ensure_ascii=ascii_only, indent=2, allow_nan=False)
        if json_on_screen:
            sys.stdout.write(text + "\n")
        else:
            write_whole(json_file, text + "\n")
            console.print(f"Wrote {json_file}", soft_wrap=True)
    if report is not None:
        from commonweal.report import write_report

        write_report(result, report)
        console.print(f"Wrote {report}", soft_wrap=True)


def _worked_examples(dataset: Path) -> tuple[WorkedExample, ...]:
    from commonweal.datasets.dataset import read_dataset
    from commonweal.policies.collected_examples import worked_examples

    return worked_examples(read_dataset(dataset))


def _print_result(console: Console, result: Agreement) -> None:
    from rich.panel import Panel
    from rich.text import Text

    print_ = console.print
    print_()
    print_(Text(result.question.text, style="bold"))
    print_()
    print_(Panel(Text(result.statement), title="The statement", padding=(1, 2)))
    others = [
        f"{rule.name} would pick {other.id}"
        if (other := result.under(rule).chosen).id != result.chosen.id
        else f"{rule.name} picks it too"
        for rule in PAPERS_RULES
        if rule != result.rule
    ]
    # Outside the isoelastic family a rule may have a unit of its own.
    unit = "" if result.alpha is None else " of 7"
    welfare = f"{result.welfare[result.chosen_index]:.2f}{unit}"
    if len(result.candidates) == 1:
        name = result.welfare_name
        print_(f"One candidate was written; its {name} welfare is {welfare}.")
    else:
        print_(
            f"{result.chosen.id} of {len(result.candidates)} candidates, chosen by "
            f"{result.welfare_name} welfare ({welfare}); {', '.join(others)}."
        )
    if result.is_tie:
        tied = ", ".join(result.candidates[i].id for i in result.ranking.tied_best)
        print_(f"There was a tie ({tied}): the one written first was taken.")
    print_()
    print_(_people_table(result))
    print_(_candidates_table(result))
    for note in result.notes:
        print_(f"Note: {note.removesuffix('.')}.")
    if result.dissent:
        who = ", ".join(f"{d.participant_id} ({d.shown_rating})" for d in result.dissent)
        print_(f"Predicted to disagree: {who}.", style="bold")
    else:
        print_("Nobody is predicted to disagree, which the model may have wrong.", style="bold")
    print_(
        "These are predictions by a model, not votes. The statement may misrepresent a minority, "
        "and the facts in it are not checked. Ask the people."
    )
    print_()


def _people_table(result: Agreement) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title="Predicted agreement (1 to 7, neutral is 4)", expand=True)
    table.add_column("Participant", no_wrap=True, max_width=18)
    table.add_column("Expected", justify="right")
    table.add_column("", width=14, no_wrap=True)
    table.add_column("Their opinion", no_wrap=True, overflow="ellipsis", ratio=1)
    for opinion, row in zip(result.opinions, result.utilities, strict=True):
        rating = float(row[result.chosen_index])
        bar = "█" * round((rating - 1) / 6 * 14)
        # Blue and yellow: told apart with any of the common colour-vision deficiencies.
        colour = "yellow" if rating < 4 else "blue"
        name = f"{opinion.id} (omitted)" if opinion.id in result.omitted else opinion.id
        table.add_row(
            Text(name),
            f"{rating:.1f}",
            Text(bar, style=colour),
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
    table.add_column("Rank", justify="right")
    table.add_column("Welfare", justify="right")
    table.add_column("Lowest", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("Candidate", ratio=1)
    for index in result.ranking.order[:n_shown]:
        table.add_row(
            str(result.ranking.ranks[index]),
            f"{result.welfare[index]:.2f}",
            f"{result.utilities[:, index].min():.1f}",
            result.candidates[index].id,
            Text(result.candidates[index].text),
        )
    return table
