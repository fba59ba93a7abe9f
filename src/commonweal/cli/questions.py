"""``commonweal questions``: seeds, generate, screen, split (paper 3.1)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli import workers as options
from commonweal.cli.options import Model, seed_option
from commonweal.cli.progress import StageBars
from commonweal.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.console import Console

    from commonweal.questions.records import QuestionRecord
    from commonweal.questions.screen import Decision
    from commonweal.questions.split import Split

app = typer.Typer(
    name="questions",
    help="Write debate questions from seed questions, screen them, and split them into train "
    "and test.",
    epilog="Example: commonweal questions generate questions.csv --target 60",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

STAGES = {
    "write": "Writing questions",
    "positions": "Position statements",
    "split": "Embedding, topics, split",
}
ENCODER = "all-minilm-l6-v2"

Set = Annotated[Path, typer.Argument(metavar="FILE", help="The question set, a .csv file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]
Unreviewed = Annotated[
    bool, typer.Option("--unreviewed", help="Also take questions that nobody has decided on.")
]


@app.command(epilog="Example: commonweal questions seeds uk --out seeds.csv")
def seeds(
    name: Annotated[
        str | None, typer.Argument(help="A packaged set or a file. Default: all packaged sets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the set as CSV, to edit it.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the seed questions that come with commonweal, or write them to a file of your own."""
    from commonweal.errors import InputError
    from commonweal.files import check_new
    from commonweal.questions.records import write_questions
    from commonweal.questions.seeds import SEED_SETS, load_seeds

    if name is None:
        if out is not None:
            raise InputError(f"--out needs a set; expected one of {', '.join(SEED_SETS)}")
        for each, what in SEED_SETS.items():
            typer.echo(f"{each}: {what}")
        return
    records = load_seeds(name)
    if out is None:
        for record in records:
            typer.echo(record.question)
        return
    check_new(out, overwrite=overwrite)
    write_questions(out, records)
    typer.echo(f"Wrote {len(records)} questions to {out}")


@app.command(
    epilog="Example: commonweal questions generate questions.csv --seeds uk --target 100 --seed 1"
)
def generate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The .csv file to write.")],
    seed_set: Annotated[
        str, typer.Option("--seeds", help="uk, india, or a .toml or .csv file of your own.")
    ] = "uk",
    target: Annotated[int, typer.Option(min=1, help="How many new questions to write.")] = 3500,
    with_seeds: Annotated[
        bool, typer.Option("--with-seeds", help="Put the seed questions into the file as well.")
    ] = False,
    model: Model = DEFAULT_MODEL,
    near_duplicate: Annotated[
        float,
        typer.Option(
            help="Treat two questions as one if their cosine is at least this; 1.01 never does."
        ),
    ] = 0.92,
    seed: Annotated[int, seed_option("the same questions")] = 0,
    workers: options.N = None,
    ray: options.Ray = None,
    threads: options.Threads = 1,
    gpus_per_worker: options.Gpus = 0.0,
    in_flight: options.InFlight = None,
    overwrite: Overwrite = False,
) -> None:
    """Write new debate questions with a language model, from seed questions.

    The model's answers are saved as they come, in NAME.journal.jsonl beside OUT. Run the same
    command again to continue an interrupted run. It should end in the same set; with the
    embedded engine, rounding after a warm cache may change some questions. Several workers share
    the writing (docs/scale.md); without an option for them, the model has all processors.
    """
    from commonweal.batch.asking import asking
    from commonweal.files import check_new
    from commonweal.models import load_language_model
    from commonweal.models.encoder import SentenceEncoder
    from commonweal.models.store import require
    from commonweal.questions.generate import GenerationConfig, generate_questions
    from commonweal.questions.journal import Journal
    from commonweal.questions.provenance import generation_step
    from commonweal.questions.records import write_with_provenance
    from commonweal.questions.seeds import load_seeds

    check_new(out, overwrite=overwrite)
    config = GenerationConfig(n_target=target, seed=seed, near_duplicate=near_duplicate)
    start = load_seeds(seed_set)
    engine = load_language_model(model)
    encoder = SentenceEncoder(require(ENCODER))
    with StageBars(STAGES) as bars:
        crew = options.asked_for(workers, ray, threads, gpus_per_worker, in_flight, bars.say)
        journal = Journal(
            engine,
            out.with_name(f"{out.stem}.journal.jsonl"),
            ask_all=None if crew is None else asking(model, crew),
        )
        result = generate_questions(
            start,
            journal,
            encoder.encode,
            config=config,
            source=engine.model_id,
            on_progress=bars.update,
        )
    records = (*start, *result.records) if with_seeds else result.records
    step = generation_step(result, start, engine, config, seed_set=seed_set, encoder=ENCODER)
    write_with_provenance(out, records, step)

    typer.echo(f"Wrote {len(records)} questions to {out}")
    typer.echo(
        f"{result.n_drawn} drawn, {len(result.records)} new, {len(result.rejected)} rejected"
    )
    for reason, n in result.reasons.items():
        typer.echo(f"  {n:6} {reason}")
    positions = result.positions
    typer.echo(
        f"Position statements: {positions.n_by_rule} by rule, {positions.n_by_model} by the model, "
        f"{len(positions.missing)} left blank for you to write"
    )
    if journal.n_remembered:
        typer.echo(f"{journal.n_remembered} completions were remembered from an earlier run")
    typer.echo("Nobody has read them yet. Next: commonweal questions screen")
    if result.stopped == "exhausted":
        typer.echo(
            f"The model no longer finds new questions: of the last {config.n_window} drawn, fewer "
            f"than {config.min_new_share:.0%} were new. {len(result.records)} of {target} were "
            "reached; a larger model or more seeds find more",
            err=True,
        )
        raise typer.Exit(1)


@app.command(epilog='Example: commonweal questions screen questions.csv --by "Ana" --out kept.csv')
def screen(
    file: Set,
    by: Annotated[
        str | None,
        typer.Option(help="Who decides. Opens the queue and shows one question at a time."),
    ] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Show only flagged questions in the queue.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the queue as CSV, to fill it in.")
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Read decisions from a filled-in queue."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the questions that were kept.")
    ] = None,
    unreviewed: Unreviewed = False,
    overwrite: Overwrite = False,
) -> None:
    """Decide which questions to keep. Flags show where to look; people decide.

    Each decision is added to NAME.decisions.jsonl beside FILE, with who made it and when. The last
    one on a question counts. Without options, the command says how far the screening has come.
    """
    from rich.console import Console

    from commonweal.errors import InputError
    from commonweal.questions import screen as screening
    from commonweal.questions.provenance import screening_step
    from commonweal.questions.records import read_questions, read_steps, write_with_provenance

    records = read_questions(file)
    kept_at = screening.decisions_path(file)
    if import_ is not None and by is None:
        raise InputError("--import needs --by NAME: every decision needs a name")
    if flagged and (by is None or import_ is not None):
        raise InputError("--flagged is for the queue in the terminal; expected --by NAME alone")
    if unreviewed and out is None:
        raise InputError("--unreviewed needs --out FILE, the file to write the questions to")
    _check_outputs(overwrite, export=export, out=out)
    if out is not None:
        read_steps(file)  # a provenance that cannot be read is said before the work
    held = screening.standing(records, screening.read_decisions(kept_at))
    if import_ is not None and by is not None:
        new = screening.read_queue(import_, records, held, by=by)
        screening.append_decisions(kept_at, new)
        typer.echo(f"{len(new)} decisions by {by} read from {import_}")
    elif by is not None:
        console = Console(markup=False, highlight=False, emoji=False)
        _queue(console, records, held, kept_at, by, flagged)
    held = screening.standing(records, screening.read_decisions(kept_at))
    _say_state(records, held)
    if export is not None:
        screening.write_queue(export, records, held)
        typer.echo(f"Wrote the queue to {export}; fill in the column decision (keep or drop)")
    if out is not None:
        released = screening.released(file, records, unreviewed=unreviewed)
        step = screening_step(records, held, released)
        write_with_provenance(out, released, step, source=file)
        # The decisions go with the questions, so that the next step finds them.
        going = [held[record.id] for record in released if record.id in held]
        there = screening.read_decisions(screening.decisions_path(out))
        screening.append_decisions(
            screening.decisions_path(out), [each for each in going if each not in there]
        )
        typer.echo(f"Wrote {len(released)} questions to {out}")


@app.command(
    epilog="Example: commonweal questions split kept.csv --out split.csv --report split.html"
)
def split(
    file: Set,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .csv file to write.")],
    clusters: Annotated[
        int, typer.Option("--clusters", "-k", help="How many topics to find.")
    ] = 110,
    n_ood: Annotated[
        int | None,
        typer.Option(
            help="How many questions to hold out for the out-of-distribution test, as closely as "
            "whole topics allow. Default: the paper's share (302 of 2,922)."
        ),
    ] = None,
    n_iid: Annotated[
        int | None,
        typer.Option(
            help="How many questions to hold out for the within-distribution test. Default: the "
            "paper's share (300 of 2,922)."
        ),
    ] = None,
    seed: Annotated[int, seed_option("the same split")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with a map.")
    ] = None,
    unreviewed: Unreviewed = False,
    overwrite: Overwrite = False,
) -> None:
    r"""Group the questions into topics and split them: whole topics are held out.

    Needs scikit-learn: pip install "commonweal\[questions]".
    """
    from commonweal.models.encoder import SentenceEncoder
    from commonweal.models.store import require
    from commonweal.questions.provenance import split_step
    from commonweal.questions.records import read_questions, read_steps, write_with_provenance
    from commonweal.questions.screen import released
    from commonweal.questions.split import SplitConfig, split_questions

    _check_outputs(overwrite, out=out, report=report)
    read_steps(file)  # a provenance that cannot be read is said before the work
    records = released(file, read_questions(file), unreviewed=unreviewed)
    config = SplitConfig(clusters, n_ood, n_iid, seed)
    encoder = SentenceEncoder(require(ENCODER))
    with StageBars(STAGES) as bars:
        result = split_questions(records, encoder.encode, config=config, on_progress=bars.update)
    step = split_step(result, config, encoder=ENCODER)
    write_with_provenance(out, result.records, step, source=file)
    _say_split(result)
    typer.echo(f"Wrote {out}")
    if report is not None:
        from commonweal.questions.split_report import write_split_report

        write_split_report(result, report, seed=seed, facts=step)
        typer.echo(f"Wrote {report}")


def _check_outputs(overwrite: bool, **paths: Path | None) -> None:
    from commonweal.errors import InputError
    from commonweal.files import check_new

    options: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        check_new(path, overwrite=overwrite)
        other = options.setdefault(path.resolve(), option)
        if other != option:
            raise InputError(f"--{other} and --{option} both name {path}; name two files")


def _queue(
    console: Console,
    records: tuple[QuestionRecord, ...],
    held: dict[str, Decision],
    kept_at: Path,
    by: str,
    flagged: bool,
) -> None:
    """Shows one undecided question at a time and appends each decision as it is made."""
    from commonweal.questions.flags import flags_of
    from commonweal.questions.screen import append_decisions, decide, undecided

    queue = [r for r in undecided(records, held) if not flagged or flags_of(r)]
    console.print("k keep, d drop (a reason may follow: d names a person), s skip, q quit")
    for n, record in enumerate(queue, start=1):
        console.print(f"\n[{n} of {len(queue)}] {record.id}")
        console.print(record.question, style="bold")
        console.print(record.position_statement or "(no position statement)")
        for flag in flags_of(record):
            quoted = f" — {flag.found!r}" if flag.found else ""
            console.print(f"  flag: {flag.name}{quoted}: {flag.reason}", style="yellow")
        while True:
            console.print("keep, drop, skip or quit? ", end="")
            line = sys.stdin.readline()
            word, _, reason = line.strip().partition(" ")
            command = word.lower()
            if not line or command in ("q", "quit"):  # the end of piped input is the end of work
                console.print()
                return
            if command in ("s", "skip"):
                break
            choice = {"k": "keep", "d": "drop"}.get(command, command)
            if choice in ("keep", "drop"):
                append_decisions(kept_at, [decide(record, choice, by=by, reason=reason.strip())])
                break
            console.print(f"got {line.strip()!r}; expected k, d, s or q")


def _say_state(records: tuple[QuestionRecord, ...], held: dict[str, Decision]) -> None:
    from collections import Counter

    from commonweal.questions.flags import flags_of

    n_dropped = sum(each.decision == "drop" for each in held.values())
    open_ = [record for record in records if record.id not in held]
    counts = Counter(flag.name for record in open_ for flag in flags_of(record))
    typer.echo(
        f"{len(records)} questions: {len(held) - n_dropped} kept, {n_dropped} dropped, "
        f"{len(open_)} without a decision"
    )
    for name, n in counts.most_common():
        typer.echo(f"  {n:6} flagged: {name}")


def _say_split(result: Split) -> None:
    counts, sizes, silhouette = result.counts, result.clusters.sizes, result.clusters.silhouette
    typer.echo(
        f"{len(result.records)} questions in {len(sizes)} topics of {min(sizes)} to {max(sizes)}"
        + (f"; silhouette {silhouette:.3f}" if silhouette is not None else "")
    )
    held_out = "; ".join(result.names[topic] for topic in result.held_out)
    typer.echo(
        f"train {counts['train']}, within-distribution test {counts['iid_test']}, "
        f"out-of-distribution test {counts['ood_test']} (asked for {result.n_ood_wanted}) in "
        f"{len(result.held_out)} whole topics: {held_out}"
    )
    for (ours, theirs), leak in result.leaks.items():
        if leak.nearest:
            pair = leak.nearest[0]
            typer.echo(
                f"{ours} / {theirs}: {leak.n_near} near-duplicates; nearest ({pair.cosine:.3f}) "
                f"{pair.first.question!r} and {pair.second.question!r}"
            )
