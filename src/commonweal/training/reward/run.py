"""A whole reward-model run: fit, export, calibrate, measure, card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from commonweal.datasets.agreements import matrices
from commonweal.datasets.dataset import Dataset, read_dataset
from commonweal.errors import InputError, WeightsError
from commonweal.files import write_whole
from commonweal.models import store
from commonweal.questions.records import IID_TEST, OOD_TEST
from commonweal.rewards import REWARD_WEIGHTS
from commonweal.rewards.baselines import baselines_for
from commonweal.rewards.calibration import ReverseRewardError
from commonweal.rewards.card import CardText, write_card
from commonweal.rewards.exported import ExportedRewardModel
from commonweal.rewards.measurement_plot import plot_measurement
from commonweal.rewards.measuring import Measurement, measure
from commonweal.rewards.scoring import rated_rounds
from commonweal.training import run_folder
from commonweal.training.config import RewardConfig, published
from commonweal.training.reward.calibration import calibrated_on, raters_of
from commonweal.training.reward.data import inputs_of
from commonweal.training.reward.export import Export, calibrate_export, export_smallest
from commonweal.training.reward.fitting import Trained, fit_reward_model, pair_text
from commonweal.types import Progress, RewardModel, no_progress

_N_COMPARED = 300
_REVERSE = (
    " **It predicts the reverse of agreement and must not be used**: in the questions kept back, "
    "ratings fall as rewards rise. It was not calibrated, its export was deleted, and expected "
    "ratings and picks here are those of a calibration that was fitted to nothing."
)


def run_reward(
    config: RewardConfig, *, overwrite: bool = False, on_progress: Progress = no_progress
) -> Iterator[str]:
    """Does the run of this config, and says in lines what was done and where it lies.

    Raises:
        InputError: the data, the backbone or the folder cannot be used.
        ReverseRewardError: it predicts the reverse of agreement; its card says so, and nothing is
            left that could be used.
        TrainingError: training or export went wrong; the same command goes on where it stopped.
    """
    runtime = config.out / run_folder.RUNTIME
    is_first = int(os.environ.get("RANK", "0")) == 0  # torchrun's number of this process
    data = (*config.data.datasets, *filter(None, [config.data.question_split]))
    with run_folder.opened(config.out, config, data=data, overwrite=overwrite, hold=is_first):
        if (card := config.out / run_folder.CARD).is_file():
            if not runtime.is_dir():
                raise ReverseRewardError(f"{config.name} predicts the reverse of agreement: {card}")
            yield f"{config.out} is done already"
            return
        trained = fit_reward_model(config, on_progress=on_progress)
        if not is_first:
            return
        yield f"Trained: step {trained.best_step} of {config.training.max_steps} was best"
        on_progress("export", 0, 1)
        compared = inputs_of(trained.split.development)[:_N_COMPARED]
        export = export_smallest(
            trained.model,
            runtime,
            name=config.name,
            pair_text=pair_text(config),
            compare_on=compared,
            metadata={
                "config": published(config),
                "best_step": trained.best_step,
                "counts": trained.split.counts,
                "development_questions": trained.split.development_questions,
                "questions_learned_from": trained.split.questions,
            },
        )
        on_progress("export", 1, 1)
        yield f"Exported: {export.in_words}"
        raters = raters_of(trained.split)
        note = f"The calibration is fitted to ratings by {raters.in_words}."
        try:
            calibration = calibrated_on(export.model, raters)
        except ReverseRewardError:
            shutil.rmtree(runtime)
            text = _card_text(config, trained, export, note, what_it_is_more=_REVERSE)
            yield from _measured(config, trained, export.model, text, on_progress)
            raise
        model = calibrate_export(runtime, calibration)
        yield f"Calibrated on {calibration.fitted_to}"
        text = _card_text(config, trained, export, note)
        yield from _measured(config, trained, model, text, on_progress)
        yield f"Use it: commonweal agree GROUP.toml --reward-model {runtime}"


def _measured(
    config: RewardConfig,
    trained: Trained,
    model: ExportedRewardModel,
    text: CardText,
    on_progress: Progress,
) -> Iterator[str]:
    """Measures model and baselines on the test splits of its datasets; writes card and pictures."""
    tested, sets, not_measured = _test_sets(config, trained)
    models, left_out = _baselines(trained)
    models.append(model)
    jobs = [(one, name, dataset) for name, dataset in sets for one in models]
    measured: list[Measurement] = []
    for number, (one, name, dataset) in enumerate(jobs):
        report = partial(_report, on_progress, number, len(jobs))
        measured.append(measure(one, dataset, name=name, on_done=report))
    own = [one for one in measured if one.model == model.name]
    (config.out / run_folder.PICTURES).mkdir(exist_ok=True)
    plots = [f"{run_folder.PICTURES}/{number}.svg" for number in range(1, len(own) + 1)]
    for plot, each in zip(plots, own, strict=True):
        write_whole(config.out / plot, plot_measurement(each))
    card = config.out / run_folder.CARD
    text = replace(
        text,
        how_made=(*text.how_made, f"Measured {tested}."),
        knowing=(*text.knowing, *not_measured, *left_out),
    )
    write_card(card, model, measured, text, plots=plots)
    yield f"Measured {tested}; crossed accuracy (a guess gets 0.500):"
    for each in own:
        crossed = each.own.crossed
        yield f"  {each.data}: {crossed.value:.3f} ({crossed.low:.3f} to {crossed.high:.3f})"
    yield f"Wrote {card}"


def _report(on_progress: Progress, n_before: int, n_jobs: int, n_done: int, n_total: int) -> None:
    on_progress("measure", n_before * n_total + n_done, n_jobs * n_total)


def _test_sets(
    config: RewardConfig, trained: Trained
) -> tuple[str, list[tuple[str, Dataset]], tuple[str, ...]]:
    """On what it is measured in words, these rounds with their names, and what is left out why."""
    sets: list[tuple[str, Dataset]] = []
    left_out: list[str] = []
    for dataset in map(read_dataset, config.data.datasets):
        for split in (IID_TEST, OOD_TEST):
            if not (dataset.rounds["split"] == split).any():
                continue
            name, rounds = f"{dataset.about.name} ({split})", dataset.of_split(split)
            if _is_rated(rounds):
                sets.append((name, rounds))
            else:
                left_out.append(
                    f"{name} was not measured: nobody who has an opinion there rated a statement "
                    "of somebody else."
                )
    if sets:
        return "on the test splits of its datasets", sets, tuple(left_out)
    # Better than no figure, and called what it is.
    return (
        "on the questions kept back, which decided when training stopped: too good to be "
        "expected of other questions. No dataset has a test split with ratings",
        [
            (f"{rounds.about.name} (kept back)", rounds)
            for rounds in trained.split.development.rounds
            if _is_rated(rounds)
        ],
        tuple(left_out),
    )


def _is_rated(dataset: Dataset) -> bool:
    """Whether there is a rating to measure a reward model by (``rated_rounds``)."""
    return any(np.isfinite(matrix.agreement).any() for matrix in matrices(dataset))


def _baselines(trained: Trained) -> tuple[list[RewardModel], tuple[str, ...]]:
    """What the model has to beat, fitted on what it learned from; and why there is nothing."""
    try:
        rounds = [
            rated
            for dataset in trained.split.training.rounds
            if _is_rated(dataset)
            for rated in rated_rounds(dataset)
        ]
        return baselines_for(store.require(REWARD_WEIGHTS), rounds), ()
    except (InputError, WeightsError) as error:
        return [], (f"Baselines were not measured: {error}",)


def _card_text(
    config: RewardConfig, trained: Trained, export: Export, note: str, *, what_it_is_more: str = ""
) -> CardText:
    """What there is to say before anything is measured."""
    told = published(config)
    backbone = told["model"]["backbone"]
    settings = json.dumps({part: told[part] for part in ("model", "training")})
    about = [rounds.about for rounds in trained.split.training.rounds]
    counts = "; ".join(f"{what}: {n:,}" for what, n in trained.split.counts.items())
    return CardText(
        written_by="commonweal train reward",
        what_it_is=(
            f"A network ({backbone}) with a final linear layer that reads the "
            "question, one person's opinion and a statement, and gives one number (paper 3.3). "
            "Trained on comparisons within a person and, with a weight of "
            f"{config.training.crossed_weight:g}, on crossed ones.{what_it_is_more}"
        ),
        how_made=(
            f"Data: {', '.join(one.name for one in about)} (their training splits).",
            f"Counts: {counts}.",
            f"Kept back, for early stopping and the calibration: "
            f"{', '.join(trained.split.development_questions)}.",
            f"Seed {config.training.seed}; settings: {settings}.",
            f"Step {trained.best_step} had the lowest loss on what was kept back.",
            f"Exported: {export.in_words} (largest difference of two rewards of the same input "
            f"{export.largest_difference:.2g}).",
        ),
        knowing=(note,),
        licences=(
            *(
                f"{one.name} ({one.people}): {one.licence or 'licence not stated'}. "
                f"{one.attribution}"
                for one in about
            ),
            f"Backbone {backbone}: under its own licence.",
        ),
    )
