"""``commonweal reward``: reward models measured, calibrated and exported; statements ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commonweal.cli.options import Overwrite, seed_option
from commonweal.cli.progress import StageBars
from commonweal.cli.reward_measure import EXAMPLE, STAGES, Model, measure

app = typer.Typer(
    name="reward",
    help="Measure how well reward models predict agreement, and rank statements with them.",
    epilog=EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Rated = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset with ratings.")]
Split = Annotated[
    str | None, typer.Option(help="Use only rounds of this split: train, iid_test or ood_test.")
]


@app.callback()
def _group() -> None:
    """Measure how well reward models predict agreement, and rank statements with them."""


app.command(epilog=EXAMPLE)(measure)


@app.command(epilog="Example: commonweal reward calibrate prompted:embedded rounds/ --split train")
def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The reward model: prompted:ENGINE.")
    ],
    dataset: Rated,
    split: Split = None,
    max_people: Annotated[
        int,
        typer.Option(
            min=2,
            help="Predict for at most this many people in a round; of more, a sample is drawn.",
        ),
    ] = 100,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the fit to this file, to copy it to another machine."
        ),
    ] = None,
) -> None:
    """Fit a language model's ratings to people's, and keep the fit for this engine and prompt.

    The fit is stored in the user's data folder (COMMONWEAL_DATA) and looked up by its hash.
    """
    from commonweal.datasets.dataset import read_dataset
    from commonweal.errors import InputError
    from commonweal.files import check_outputs
    from commonweal.rewards import load_reward_model
    from commonweal.rewards.prompted import PromptedRewardModel
    from commonweal.rewards.prompted_calibration import calibration_path, write_calibration
    from commonweal.rewards.prompted_fitting import fit_reading

    check_outputs({"--out": out}, inputs={"DATASET": dataset})
    data = read_dataset(dataset)
    data = data if split is None else data.of_split(split)
    loaded = load_reward_model(model, on_cost=lambda cost: typer.echo(cost, err=True))
    if not isinstance(loaded, PromptedRewardModel):
        raise InputError(
            f"{model} has a calibration of its own; expected prompted:ENGINE, as prompted:embedded"
        )
    with StageBars(STAGES) as bars:
        fitted = fit_reading(
            loaded,
            data,
            max_people=max_people,
            on_done=lambda n_done, n_total: bars.update("score", n_done, n_total),
        )
    about = {"reward_model": loaded.name, "weights_hash": loaded.weights_hash}
    for path in (calibration_path(loaded.weights_hash), *([] if out is None else [out])):
        write_calibration(path, fitted, about)
        typer.echo(f"Wrote {path}")
    one = fitted.agreement
    typer.echo(
        f"{loaded.name}, fitted to {fitted.fitted_to}: expected rating = 1 + 6 / (1 + exp(-("
        f"{one.slope:.3f} * rating {one.intercept:+.3f})))"
    )


@app.command(epilog="Example: commonweal reward export trained/ rounds/ --split train --out mine")
def export(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="What TRL's RewardTrainer saved: a transformers folder or a PEFT adapter.",
        ),
    ],
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A dataset with ratings to calibrate on.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
    split: Split = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The text that the model was trained to read, with {question}, {opinion} and "
            "{statement}. Default: what `commonweal train reward` trains on.",
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longer opinions lose their end.")] = 256,
    eos: Annotated[
        bool,
        typer.Option(
            help="Whether the tokenizer's end-of-text token ended what it was trained on, "
            "as TRL's RewardTrainer does by itself with plain texts. No for conversations, and for "
            "what `commonweal train reward` trained."
        ),
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Make a reward model that was trained elsewhere usable as --reward-model.

    Its rewards are calibrated on the dataset's ratings. Take people and questions that it was not
    trained on. Needs the extra train.
    """
    from commonweal.datasets.dataset import read_dataset
    from commonweal.extras import needs
    from commonweal.rewards.exported import check_export_folder
    from commonweal.rewards.pair_text import PairText

    check_export_folder(out, overwrite=overwrite, inputs={"network": network, "dataset": dataset})
    with needs("train", "exporting a reward model"):
        from commonweal.training.reward.export import export_trained

    data = read_dataset(dataset)
    data = data if split is None else data.of_split(split)
    text = PairText(max_tokens=max_tokens) if template is None else PairText(template, max_tokens)
    name = network.resolve().name
    exported = export_trained(network, data, out, name=name, pair_text=text, eos=eos)
    typer.echo(f"Exported: {exported.in_words}")
    typer.echo(f"Calibrated on {exported.model.calibration.fitted_to}")
    typer.echo(f"Use it: commonweal agree GROUP.toml --reward-model {out}")


@app.command(epilog="Example: commonweal reward rank first rounds/ --round buses")
def rank(
    model: Model,
    dataset: Rated,
    round_id: Annotated[
        str | None, typer.Option("--round", help="Which round, if there are several.")
    ] = None,
    welfare: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="utilitarian, bernoulli_nash, rawlsian, or an installed rule (see commonweal "
            "plugins).",
        ),
    ] = "utilitarian",
    top: Annotated[int, typer.Option(min=1, help="How many statements to show.")] = 10,
    min_rated: Annotated[
        int,
        typer.Option(min=0, help="Rank only statements that at least this many people have rated."),
    ] = 1,
    seed: Annotated[int, seed_option("the same ranking")] = 0,
) -> None:
    """Rank a round's statements by welfare, from ratings and, where there are none, predictions.

    Predictions use both the opinions and the ratings given so far (extra `warm`).
    """
    from rich.console import Console
    from rich.table import Table

    from commonweal.datasets.dataset import read_dataset
    from commonweal.rewards import load_reward_model
    from commonweal.rewards.ranking import rank_statements

    rated = read_dataset(dataset)
    with StageBars(STAGES) as bars:
        ranking = rank_statements(
            load_reward_model(model),
            rated,
            round_id,
            welfare=welfare,
            min_rated=min_rated,
            seed=seed,
            on_done=lambda n_done, n_total: bars.update("score", n_done, n_total),
        )
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(f"{ranking.question}\n{rated.about.people} ratings; {welfare} welfare, 1 to 7\n")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("welfare", "rated by", "least satisfied", "statement"):
        table.add_column(heading)
    for one in ranking.statements[:top]:
        table.add_row(
            f"{one.welfare:.2f}",
            f"{one.n_rated} of {ranking.n_people}",
            f"{one.least:.1f}",
            one.text,
        )
    console.print(table)
    console.print("\nIf somebody has not rated a statement, this is a guess. Ask them.")
