"""``commonweal agree``: from a file of opinions to the statement that the group can agree on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commonweal.cli.options import Model, seed_option
from commonweal.cli.progress import StageBars
from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from commonweal.policies.prompts import WorkedExample

EXAMPLE = (
    "Example: commonweal agree examples/groups/bus-fares.toml --report report.html "
    "--json first.json"
)
STAGES = {
    "load": "Loading models",
    "group": "Finding opinion groups",
    "generate": "Writing candidates",
    "predict": "Predicting",
    "refine": "Predicting more",
}
MOST_LOOKED_AT = 1_000
"""Opinions whose language is looked at before the work begins."""

WIDTH = 100
"""Most columns that the result takes; fewer in a narrower terminal."""


def agree(
    group: Annotated[
        Path,
        typer.Argument(
            help="A file with the question and any number of opinions: .toml, .json, .jsonl, "
            ".parquet, a table (.csv, .xlsx, .ods), a Polis export or a dataset. Or a "
            "result that --json wrote, to continue from it."
        ),
    ],
    question: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What the group was asked, if the file does not say."),
    ] = None,
    opinion_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The table column with the opinions, by name or letter (for a form's export).",
        ),
    ] = None,
    welfare: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What counts as best for the group: utilitarian (the default), bernoulli_nash, "
            "rawlsian, or an installed rule (see commonweal plugins).",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Inequality aversion, from 0 to inf, instead of --welfare."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many candidates to write. Default: 16, or 1 with a policy such as sft_base.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml|FOLDER",
            help="What writes the candidates: few_shot (the default with embedded models), sft "
            "(the default with embedded:small) or zero_shot (the default with others). Add "
            "a rule to the name, as in sft_rawlsian or sft_base, or give a prompt template "
            "or a folder from train sft.",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="A dataset of rated rounds. few_shot takes its best statements as worked "
            "examples.",
        ),
    ] = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="What predicts agreement: probe, reader, first, prompted (the language model "
            "that writes), prompted:ENGINE, or the folder of an exported model. Default: probe "
            "if the default model writes for at most 12 people, otherwise reader; with a stored "
            "result, what predicted it.",
        ),
    ] = None,
    seed: Annotated[int, seed_option("the same result")] = 0,
    omit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Hide this participant's opinion from the policy, but predict their agreement "
            "all the same. Repeatable.",
        ),
    ] = None,
    min_quality: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=7,
            help="The lowest quality, from 1 to 7, that a chosen candidate may have. Applies if "
            "the reward model judges quality. Default: 3.5; 2 with the default model, where its "
            "own layers order the shortlist.",
        ),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Choose among this many of the most sensible candidates; 0 for all. Default: 1 "
            "with the default model, 2 if you name a rule (--welfare, --alpha); 2 with other "
            "embedded models of 1 to 2 GB; otherwise all.",
        ),
    ] = None,
    own_words: Annotated[
        bool | None,
        typer.Option(
            "--own-words/--no-own-words",
            help="Let what people proposed themselves, in a sentence of their opinion, compete "
            "with what the model writes. Default: with the default model and its own policy.",
            show_default=False,
        ),
    ] = None,
    min_agreeing: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="The smallest share of the group that must be predicted to agree. With less, "
            "with nobody who may agree, or with more than half likely to disagree, the outcome is "
            "that there is no agreement. Default: 0, or what a stored result was asked.",
        ),
    ] = None,
    critiques: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What people would change: a table with id and critique, or .toml or .json. The "
            "model writes revisions; the old statement stays among the candidates.",
        ),
    ] = None,
    minority: Annotated[
        bool,
        typer.Option(
            "--minority",
            help="Also write a short statement for the people who are predicted to disagree, "
            "from their opinions alone.",
        ),
    ] = False,
    minority_of: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Write that statement for this person, who disagreed by a rating or in the "
            "room. Repeatable. Predictions are then ignored.",
        ),
    ] = None,
    edited: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add a text that people wrote as one more candidate, and predict agreement with "
            "it.",
        ),
    ] = None,
    author: Annotated[
        str, typer.Option(metavar="NAME", help="Who wrote the edited text.")
    ] = "facilitator",
    take: Annotated[
        bool, typer.Option("--take", help="Choose the edited text, whatever the rule says.")
    ] = False,
    compare_rules: Annotated[
        bool,
        typer.Option(
            "--compare-rules", help="Show what each rule chooses and whom it serves least."
        ),
    ] = False,
    rankings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="After people ranked the candidates of a stored result: a table with id and a "
            "column for each candidate, 1 for the best. Shows what each rule chooses.",
        ),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same, if people rated the candidates from 1 to 7."),
    ] = None,
    what_if: Annotated[
        bool,
        typer.Option(
            "--what-if",
            help="Show whose opinion decides the choice, and how inequality aversion changes it.",
        ),
    ] = False,
    what_if_anew: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Write and choose again as if this person had never been asked. Calls the "
            "models again. Repeatable.",
        ),
    ] = None,
    what_if_plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw how inequality aversion changes the choice: .svg, .png or .pdf.",
        ),
    ] = None,
    writing: Annotated[
        str,
        typer.Option(
            metavar="sampled|recursive",
            help="Over 100 people: write each candidate from a sample of opinions, or from "
            "statements of the opinion groups.",
        ),
    ] = "sampled",
    panel: Annotated[
        int,
        typer.Option(
            min=20, help="Over 100 people: for how many to predict agreement with every candidate."
        ),
    ] = 200,
    slate: Annotated[
        int,
        typer.Option(
            min=1,
            help="Over 100 people: how many statements to put on the slate, chosen so that as "
            "many people as possible agree with one.",
        ),
    ] = 3,
    slate_rule: Annotated[
        str, typer.Option(metavar="greedy|pav", help="How to choose the statements of the slate.")
    ] = "greedy",
    round_id: Annotated[
        str | None,
        typer.Option(
            "--round", metavar="ID", help="Which round to take from a dataset with several."
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Also show numbers, models and candidates.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the whole result as JSON (- prints it)."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page to read and share.")
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="FILE.svg", help="Over 100 people: draw a map of the people."
        ),
    ] = None,
) -> None:
    """Find the statement that a group is predicted to agree on best.

    A policy writes candidate statements from the opinions. A reward model reads each person's
    opinion and predicts how much that person agrees with each candidate. A welfare function chooses
    one. It may also turn out that there is no agreement, or no statement worth showing. Predictions
    are not votes.
    """
    from rich.console import Console

    from commonweal.agreement import find_agreement
    from commonweal.cli.agree_again import (
        check_names,
        check_stored,
        print_edited,
        read_result,
        writing_as_before,
    )
    from commonweal.cli.agree_compared import (
        print_ballots,
        print_rules,
        print_what_if,
        print_without,
    )
    from commonweal.cli.agree_screen import print_result
    from commonweal.editing import checked_text, with_text
    from commonweal.files import check_outputs, read_text, write_whole
    from commonweal.flagging import flags_of
    from commonweal.large.options import MANY, ManyOptions
    from commonweal.large.reading import read_people

    many = ManyOptions(writing, panel, slate, slate_rule)
    voted: dict[Literal["rankings", "ratings"], Path | None]
    voted = {"rankings": rankings, "ratings": ratings}
    json_on_screen = json_file is not None and str(json_file) == "-"
    check_outputs(
        {
            "--json": None if json_on_screen else json_file,
            "--report": report,
            "--what-if-plot": what_if_plot,
            "--map": map_file,
        },
        inputs={"the group's file": group}
        | ({"the critiques": critiques} if critiques is not None else {})
        | ({"the edited text": edited} if edited is not None else {})
        | {f"the {kind}": path for kind, path in voted.items() if path is not None},
    )
    from commonweal.minority import with_minority
    from commonweal.policies.languages import language_warning
    from commonweal.reading.ballots import read_ballots
    from commonweal.reading.critiques import read_critiques
    from commonweal.rehearsing import check_plot, write_alpha_plot, written_without
    from commonweal.revising import check_critiques
    from commonweal.rewards.choosing import loaded_as_before
    from commonweal.selection import MIN_QUALITY, N_CANDIDATES

    if what_if_plot is not None:
        check_plot(what_if_plot)
    named = {"--minority-of": minority_of, "--what-if-anew": what_if_anew}
    if take and edited is None:
        raise InputError("--take is for a text given with --edited; take it out, or give one")
    edited_text = "" if edited is None else read_text(edited, expected="a text", max_bytes=100_000)
    if edited is not None:
        checked_text(edited_text, author, [])  # refused before anything is written
    critiques_read, how_read = read_critiques(critiques) if critiques is not None else ((), ())
    stored = read_result(group)
    ballots = []
    for kind, path in voted.items():
        if path is not None and stored is None:
            raise InputError(
                f"{group} is not a stored result, and --{kind} is about the candidates of one; "
                "expected the file that commonweal agree --json wrote"
            )
        if path is not None and stored is not None:
            ballots.append(read_ballots(path, [each.id for each in stored.candidates], kind))
    if stored is not None:
        check_names(named, (each.id for each in stored.opinions))
        check_stored(
            group,
            {
                "--question": question,
                "--opinion-column": opinion_column,
                "--policy": policy,
                "--examples": examples,
                "--omit": omit,
                "--round": round_id,
                "--shortlist": shortlist is not None,
                "--own-words": own_words is not None,
                "--min-quality": min_quality is not None
                and not (critiques or minority or minority_of),
            },
        )
    worked = _worked_examples(examples) if examples else ()
    # Markup is off: an opinion may hold square brackets.
    console = Console(stderr=json_on_screen, markup=False, highlight=False, emoji=False)
    console.width = min(console.width, WIDTH)
    if stored is None:
        read = read_people(
            group, question=question, opinion_column=opinion_column, round_id=round_id
        )
        is_many = read.votes is not None or len(read.opinions) > MANY
        _check_options(group, len(read.opinions), is_many, map_file, critiques or edited)
        check_names(named, (each.id for each in read.opinions))
        if critiques_read:
            check_critiques(critiques_read, read.opinions)  # refused before anything is written
        if warning := language_warning(read.question, read.opinions[:MOST_LOOKED_AT], model):
            sys.stderr.write(f"warning: {warning}\n")
        with StageBars(STAGES) as bars:
            result = find_agreement(
                read.question,
                read.opinions,
                policy=policy,
                model=model,
                examples=worked,
                reward=reward_model,
                welfare=welfare,
                alpha=alpha,
                n_candidates=candidates,
                seed=seed,
                omit=omit or (),
                min_quality="auto" if min_quality is None else min_quality,
                min_agreeing=min_agreeing or 0.0,
                shortlist="auto" if shortlist is None else shortlist or None,
                own_words=own_words,
                many=many,
                votes=read.votes,
                on_progress=bars.update,
                on_cost=bars.say,
            )
        result = replace(result, notes=tuple(dict.fromkeys((*read.notes, *result.notes))))
    elif welfare is not None or alpha is not None:
        result = stored.under(welfare, alpha=alpha)
    else:
        result = stored
    if critiques is not None:
        with StageBars(STAGES) as bars:
            result = result.revise(
                critiques_read,
                model=model,
                reward=reward_model,
                n_candidates=candidates or N_CANDIDATES,
                seed=seed,
                min_quality="auto" if min_quality is None else min_quality,
                on_progress=bars.update,
                on_cost=bars.say,
            )
        result = replace(result, notes=tuple(dict.fromkeys((*how_read, *result.notes))))
    if stored is not None and min_agreeing is not None:
        result = replace(result, min_agreeing=min_agreeing)
    if edited is not None:
        before = result.closest
        result = with_text(result, edited_text, author=author, take=take, reward=reward_model)
    if (minority or minority_of) and result.closest is not None:
        with StageBars(STAGES) as bars:
            result = with_minority(
                result,
                who=minority_of,
                model=model,
                reward=reward_model,
                seed=seed,
                min_quality=MIN_QUALITY if min_quality is None else min_quality,
                on_progress=bars.update,
                on_cost=bars.say,
            )
    print_result(console, result, details=details)
    if edited is not None:
        print_edited(console, result, before, is_taken=take)
    if result.is_sample and (compare_rules or what_if):
        console.print(
            f"The numbers below are for the {len(result.opinions)} people judged; the lowest of "
            "them may not be the lowest of all."
        )
    if compare_rules and result.candidates:
        print_rules(console, result)
    if stored is not None:  # people voted on what was shown to them, not on what is written since
        for each in ballots:
            print_ballots(console, stored, each)
    if what_if:
        print_what_if(console, result)
    if what_if_plot is not None and result.closest is not None:
        write_alpha_plot(result, what_if_plot)
        console.print(f"Wrote {what_if_plot}", soft_wrap=True)
    if json_file is not None:
        # On a screen without UTF-8 JSON's own escapes: a program must be able to read it.
        ascii_only = json_on_screen and "utf" not in sys.stdout.encoding.lower()
        fields = result.to_dict() | {"flags": [asdict(flag) for flag in flags_of(result)]}
        text = json.dumps(fields, ensure_ascii=ascii_only, indent=2, allow_nan=False)
        if json_on_screen:
            sys.stdout.write(text + "\n")
        else:
            write_whole(json_file, text + "\n")
            console.print(f"Wrote {json_file}", soft_wrap=True)
    if report is not None:
        from commonweal.report import write_report

        write_report(result, report)
        console.print(f"Wrote {report}", soft_wrap=True)
    if map_file is not None:
        from commonweal.large.picture import map_svg

        write_whole(map_file, map_svg(result))
        console.print(f"Wrote {map_file}", soft_wrap=True)
    if what_if_anew:  # last: it takes as long as all the rest, which is kept if it fails
        writer, n_written, seed_before = writing_as_before(
            result, model=model, examples=worked, n_candidates=candidates, seed=seed
        )
        predictor = loaded_as_before(reward_model, result.provenance, writer=writer.model)
        for name in what_if_anew:
            with StageBars(STAGES) as bars:
                without = written_without(
                    result,
                    name,
                    policy=writer,
                    reward=predictor,
                    n_candidates=n_written,
                    seed=seed_before,
                    on_progress=bars.update,
                )
            print_without(console, without)


def _check_options(
    group: Path, n_people: int, is_many: bool, map_file: Path | None, changes: Path | None
) -> None:
    """Refuses what is for few people beside many, and the other way round, before the work."""
    from commonweal.large.options import MANY

    if map_file is not None and not is_many:
        raise InputError(
            f"--map needs more than {MANY} people, or votes, and {group} has {n_people}; leave it "
            "out"
        )
    if changes is not None and is_many:
        raise InputError(
            f"--critiques and --edited work with up to {MANY} people, and {group} has "
            f"{n_people:,}; leave {changes} out"
        )


def _worked_examples(dataset: Path) -> tuple[WorkedExample, ...]:
    from commonweal.datasets.dataset import read_dataset
    from commonweal.policies.collected_examples import worked_examples

    return worked_examples(read_dataset(dataset))
