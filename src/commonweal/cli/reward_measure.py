"""``commonweal reward measure``: a reward model's figures on people's answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commonweal.cli.options import seed_option
from commonweal.cli.progress import StageBars

if TYPE_CHECKING:
    from rich.console import Console

    from commonweal.datasets.dataset import Dataset
    from commonweal.rewards.card import CardText
    from commonweal.rewards.measuring import Measurement
    from commonweal.types import RewardModel

EXAMPLE = "Example: commonweal reward measure first rounds/ --split ood_test"
STAGES = {"score": "Scoring"}

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The reward model: reader, probe, first, prompted:ENGINE, or the folder of an "
        "exported model.",
    ),
]


def measure(
    model: Model,
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="The folder of a dataset with ratings.")
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Use only rounds of this split: train, iid_test or ood_test. Required if the "
            "data have splits."
        ),
    ] = None,
    baselines: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="Also measure baselines, fitted on this dataset (on its train split, if it has "
            "splits).",
        ),
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every figure as JSON.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a model card (Markdown).")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the main figures.")
    ] = None,
    score_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep rewards in this file, by weights, so that no pair is scored twice.",
        ),
    ] = None,
    max_people: Annotated[
        int,
        typer.Option(
            min=2, help="Measure at most this many people in a round; of more, a sample is drawn."
        ),
    ] = 500,
    reliability: Annotated[
        float,
        typer.Option(
            metavar="KAPPA",
            help="Leave out people whose two ratings agree less than this, as evaluate does.",
        ),
    ] = 0.2,
    seed: Annotated[int, seed_option("the same swaps, groups and intervals")] = 20221128,
) -> None:
    """Measure a reward model on rounds that it was not fitted to.

    docs/reward_model.md explains each figure. If predictions are stored with the rounds, `evaluate`
    prints the same accuracies.
    """
    import json
    import os

    from commonweal.datasets.dataset import read_dataset
    from commonweal.datasets.reliability import drop_unreliable
    from commonweal.files import check_outputs, write_whole
    from commonweal.rewards import CachedRewardModel, load_reward_model, measuring
    from commonweal.rewards.card import as_dict, write_card
    from commonweal.rewards.measurement_plot import plot_measurement

    check_outputs({"--json": json_, "--card": card, "--plot": plot}, inputs={"DATASET": dataset})
    loaded = load_reward_model(model, on_cost=lambda cost: typer.echo(cost, err=True))
    chosen = _unseen(loaded, read_dataset(dataset), split)
    chosen = drop_unreliable(chosen, threshold=reliability)
    models: list[RewardModel] = [] if baselines is None else _baselines(baselines, chosen)
    models.append(loaded if score_cache is None else CachedRewardModel(loaded, score_cache))
    name = chosen.about.name if split is None else f"{chosen.about.name} ({split})"
    with StageBars(STAGES) as bars:
        measured = [
            measuring.measure(
                one,
                chosen,
                name=name,
                seed=seed,
                max_people=max_people,
                on_done=lambda n_done, n_total: bars.update("score", n_done, n_total),
            )
            for one in models
        ]
    _show(measured)
    if json_ is not None:
        text = json.dumps([as_dict(one) for one in measured], ensure_ascii=False, indent=2)
        write_whole(json_, text + "\n")
        typer.echo(f"Wrote {json_}")
    if plot is not None:
        write_whole(plot, plot_measurement(measured[-1]))
        typer.echo(f"Wrote {plot}")
    if card is not None:
        shown = () if plot is None else (os.path.relpath(plot, card.parent),)
        write_card(card, loaded, measured, _card_text(loaded, chosen), plots=shown)
        typer.echo(f"Wrote {card}")


def _unseen(model: RewardModel, dataset: Dataset, split: str | None) -> Dataset:
    """The rounds to measure: no figure on what a model has learned from is worth anything.

    Raises:
        InputError: the dataset has splits and none is named, or the model was fitted to one of its
            questions.
    """
    from commonweal.datasets.words import normal_form
    from commonweal.errors import InputError

    there = sorted(dataset.rounds["split"].drop_nulls().unique())
    if split is None and there:
        raise InputError(
            f"{dataset.about.name} has rounds of the splits {', '.join(there)}; expected --split "
            "with one of them that the model has not learned from: figures on what it was fitted "
            "to say nothing about other questions"
        )
    chosen = dataset if split is None else dataset.of_split(split)
    metadata = getattr(model, "metadata", {})
    names = {*metadata.get("train", ()), *metadata.get("tune_and_calibrate", ())}
    seen = {normal_form(text) for text in metadata.get("questions_learned_from", ())}
    for round_id, text in chosen.rounds.select("round_id", "question").iter_rows():
        if round_id in names or normal_form(text) in seen:
            raise InputError(
                f"{model.name} was fitted to the round {round_id!r} or its question, {text!r}; "
                "expected rounds that it has not seen: give --split, or another dataset"
            )
    return chosen


def _baselines(path: Path, measured: Dataset) -> list[RewardModel]:
    """The baselines, fitted on rounds of other questions than those that are measured."""
    from commonweal.datasets.dataset import read_dataset
    from commonweal.datasets.words import normal_form
    from commonweal.errors import InputError
    from commonweal.models import store
    from commonweal.rewards import REWARD_WEIGHTS
    from commonweal.rewards.baselines import baselines_for
    from commonweal.rewards.scoring import rated_rounds

    train = read_dataset(path)
    if train.rounds["split"].is_not_null().any():
        train = train.of_split("train")
    tested = {normal_form(text) for text in measured.rounds["question"]}
    shared = sorted({text for text in train.rounds["question"] if normal_form(text) in tested})
    if shared:
        raise InputError(
            f"--baselines {path}: the question {shared[0]!r} is also measured "
            f"({len(shared)} such questions); expected other questions: a baseline that has seen "
            "the test proves nothing. Give --split, or another dataset"
        )
    return baselines_for(store.require(REWARD_WEIGHTS), rated_rounds(train))


def _card_text(model: RewardModel, measured: Dataset) -> CardText:
    """What can be said of any model: what it says of itself, and what it was measured on."""
    from commonweal.rewards.card import CardText

    about = measured.about
    metadata = getattr(model, "metadata", {})
    return CardText(
        written_by="commonweal reward measure",
        what_it_is="It predicts from what one person wrote how far that person would agree with a "
        "statement (Bakker et al. 2022, 3.3).",
        how_made=tuple(
            f"{name}: {value}"
            for name, value in metadata.items()
            if name != "questions_learned_from"  # a list as long as the data
        )
        or ("Not recorded with the model: ask the people who made it.",),
        licences=(
            f"Measured on {about.name}: {about.source}; licence {about.licence or 'not recorded'}. "
            f"{about.attribution}".rstrip(),
            "What it was made from: see above, or ask the people who made it.",
        ),
    )


def _show(measurements: list[Measurement]) -> None:
    from rich.console import Console
    from rich.table import Table

    from commonweal.rewards.card import signed, verdict, with_interval

    console = Console(markup=False, highlight=False, emoji=False)
    one = measurements[-1]
    console.print(
        f"{one.data}: {one.whose}. {one.n_people} people with an opinion, "
        f"{one.n_statements} statements, {one.n_ratings} ratings, {one.n_rounds} "
        f"round{'' if one.n_rounds == 1 else 's'}."
    )
    if one.n_missing:
        console.print(
            f"{one.n_missing} more ratings are left out: the model gave no answer that could be "
            "read for them, or for another's opinion in their place."
        )
    console.print(f"\nOrdered correctly (a guess: 0.5; 95% intervals resample {one.resampled})")
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("", "crossed", "within person", "same statement"):
        table.add_column(heading)
    rows = [(measured.model, measured.own) for measured in measurements[:-1]]
    rows += [
        (one.model, one.own),
        ("  another's opinion", one.swapped),
        ("  no opinion", one.statement_only),
    ]
    for label, metrics in rows:
        table.add_row(
            label,
            with_interval(metrics.crossed, 2),
            with_interval(metrics.within_person, 2),
            with_interval(metrics.same_statement, 2),
        )
    if one.leniency.n_comparisons:
        table.add_row("how often they agree", "", "", with_interval(one.leniency, 2))
    console.print(table)
    console.print(
        f"\nCalibration error {with_interval(one.reliability.error, 2)} points of 7; predicted "
        f"minus observed {signed(one.reliability.bias, 2)} ({one.reliability.unit})."
    )
    length = one.by_length
    console.print(
        f"Within person, agreed with the longer statement "
        f"{with_interval(length.longer_agreed, 2)}, with the shorter "
        f"{with_interval(length.shorter_agreed, 2)}."
    )
    if one.own.correlation.n_comparisons:
        console.print(f"Rank correlation within a question {signed(one.own.correlation, 2)}.")
    _show_selection(console, one)
    console.print("\n" + verdict([one]).replace("**", ""))


def _show_selection(console: Console, one: Measurement) -> None:
    from rich.table import Table

    from commonweal.rewards.card import with_interval

    if one.selection is None:
        console.print(
            "Selection not measured: no five people with an opinion rated the same 16 statements."
        )
        return
    console.print(
        f"\nPicks of 16 statements for {one.selection.n_groups} overlapping groups of five "
        f"({one.selection.n_people} people), by their real answers"
    )
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("pick by predicted", "real mean", "wins over random", "real minimum"):
        table.add_column(heading)
    rows = [("(at random)", one.selection.random)]
    rows += list(one.selection.picks["own"].items())
    rows += [
        ("  another's opinion", one.selection.picks["swapped"]["utilitarian"]),
        ("  no opinion", one.selection.picks["statement only"]["utilitarian"]),
        ("(best there was)", one.selection.best),
    ]
    for label, pick in rows:
        table.add_row(
            label,
            with_interval(pick.mean, 2),
            with_interval(pick.mean_wins, 2),
            f"{pick.minimum.value:.2f}",
        )
    console.print(table)
