"""A whole reward-model run: fit, export, calibrate, measure, card."""

from __future__ import annotations

import os
from collections.abc import Iterator

from commonweal.datasets.dataset import Dataset, read_dataset
from commonweal.questions.records import IID_TEST, OOD_TEST
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.card import CardText, write_card
from commonweal.rewards.exported import ExportedRewardModel
from commonweal.rewards.measuring import Measurement, measure
from commonweal.rewards.scoring import (
    MAX_PEOPLE,
    SEED,
    UNITS,
    fit_calibration,
    rated_rounds,
    rng_of,
)
from commonweal.training import run_folder
from commonweal.training.config import RewardConfig
from commonweal.training.reward import Trained, fit_reward_model, pair_text
from commonweal.training.reward_data import inputs_of
from commonweal.training.reward_export import calibrate_export, export_smallest
from commonweal.types import Progress, no_progress

_N_COMPARED = 300


def run_reward(
    config: RewardConfig, *, overwrite: bool = False, on_progress: Progress = no_progress
) -> Iterator[str]:
    """Does the run of this config, and says in lines what was done and where it lies.

    Raises:
        InputError: the data, the backbone or the folder cannot be used.
        TrainingError: training or export went wrong; the same command goes on where it stopped.
    """
    runtime = config.out / run_folder.RUNTIME
    is_first = int(os.environ.get("RANK", "0")) == 0  # torchrun's number of this process
    with run_folder.opened(
        config.out, config, datasets=config.data.datasets, overwrite=overwrite, hold=is_first
    ):
        if (config.out / run_folder.CARD).is_file():
            yield f"{config.out} is done already"
            return
        trained = fit_reward_model(config, on_progress=on_progress)
        if not is_first:
            return
        yield f"Trained: step {trained.best_step} of {config.training.max_steps} was best"
        compared = inputs_of(trained.split.development)[:_N_COMPARED]
        export = export_smallest(
            trained.model,
            runtime,
            name=config.name,
            pair_text=pair_text(config),
            compare_on=compared,
            metadata={
                "config": config.model_dump(mode="json"),
                "best_step": trained.best_step,
                "counts": trained.split.counts,
                "development_questions": trained.split.development_questions,
            },
        )
        yield (
            f"Exported: {export.weights}, {export.n_bytes / 1e6:.1f} MB, the same order as the "
            f"network for {export.order_agreement:.2%} of pairs of {export.n_inputs} inputs"
        )
        calibration = calibrated_on(export.model, trained.split.development.rounds)
        model = calibrate_export(runtime, calibration)
        yield f"Calibrated on {calibration.fitted_to}"
        yield from _measured(config, trained, model)
        yield f"Use it: commonweal agree GROUP.toml --reward-model {runtime}"


def calibrated_on(model: ExportedRewardModel, rounds: tuple[Dataset, ...]) -> LogisticCalibration:
    """The calibration to what people said of these questions, none of which was trained on.

    Each person of a round counts the same, however many statements they rated.

    Raises:
        InputError: their ratings fall as the rewards rise, or there are too few.
    """
    rated = [
        one.of_raters(MAX_PEOPLE, rng_of(SEED, "people", one.round_id))
        for dataset in rounds
        if not dataset.ratings.is_empty()
        for one in rated_rounds(dataset)
    ]
    units = sorted({UNITS[dataset.about.scale.name] for dataset in rounds})
    return fit_calibration(
        model.rewards,
        [rated],
        fitted_to=f"ratings by people of questions that were kept back ({'; '.join(units)})",
        by_person=True,
    )


def _measured(config: RewardConfig, trained: Trained, model: ExportedRewardModel) -> Iterator[str]:
    """Measures the model on the test splits of its datasets, and writes the card."""
    found: list[Measurement] = []
    for path in config.data.datasets:
        dataset = read_dataset(path)
        for split in (IID_TEST, OOD_TEST):
            if (dataset.rounds["split"] == split).any():
                name = f"{dataset.about.name} ({split})"
                found.append(measure(model, dataset.of_split(split), name=name))
    tested = "on the test splits of its datasets"
    if not found:  # better than no figure, and called what it is
        tested = (
            "on the questions kept back, which decided when training stopped: too good to be "
            "expected of other questions. No dataset has a test split"
        )
        found = [
            measure(model, rounds, name=f"{rounds.about.name} (kept back)")
            for rounds in trained.split.development.rounds
            if not rounds.ratings.is_empty()
        ]
    card = config.out / run_folder.CARD
    write_card(card, model, found, _card_text(config, trained, tested))
    yield f"Measured {tested}; crossed accuracy (a guess gets 0.500):"
    for one in found:
        crossed = one.own.crossed
        yield f"  {one.data}: {crossed.value:.3f} ({crossed.low:.3f} to {crossed.high:.3f})"
    yield f"Wrote {card}"


def _card_text(config: RewardConfig, trained: Trained, tested: str) -> CardText:
    about = [rounds.about for rounds in trained.split.training.rounds]
    counts = "; ".join(f"{what}: {n:,}" for what, n in trained.split.counts.items())
    return CardText(
        written_by="commonweal train reward",
        what_it_is=(
            f"A network ({config.model.backbone}) with a final linear layer that reads the "
            "question, one person's opinion and a statement, and gives one number (paper 3.3). "
            "Trained on comparisons within a person and, with a weight of "
            f"{config.training.crossed_weight:g}, on crossed ones."
        ),
        how_made=(
            f"Data: {', '.join(one.name for one in about)} (their training splits).",
            f"Counts: {counts}.",
            f"Kept back, for early stopping and the calibration: "
            f"{', '.join(trained.split.development_questions)}.",
            f"Measured {tested}.",
            f"Seed {config.training.seed}; settings: "
            f"{config.model_dump_json(include={'model', 'training'})}.",
            f"Step {trained.best_step} had the lowest loss on what was kept back.",
        ),
        licences=(
            *(
                f"{one.name} ({one.people}): {one.licence or 'licence not stated'}. "
                f"{one.attribution}"
                for one in about
            ),
            f"Backbone {config.model.backbone}: under its own licence.",
        ),
    )
