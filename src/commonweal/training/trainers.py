"""What every training run has in common: options, loading, checkpoints that are marked whole."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from polars.exceptions import PolarsError
from safetensors import SafetensorError
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from commonweal.errors import InputError, TrainingError
from commonweal.training import run_folder
from commonweal.training.config import Training
from commonweal.types import Progress


def common_options(training: Training, out: Path, name: str) -> dict[str, Any]:
    """The arguments that every trainer of TRL takes, from the config's ``[training]``."""
    return {
        "output_dir": str(out / run_folder.CHECKPOINTS),
        "seed": training.seed,
        "data_seed": training.seed,
        "max_steps": training.max_steps,
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.accumulate,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(training.warmup_share * training.max_steps),
        "weight_decay": training.weight_decay,
        "max_length": None,  # what is too long was cut already, where it says least
        "eval_strategy": "steps",
        "eval_steps": training.eval_steps,
        "save_strategy": "steps",
        "save_steps": training.eval_steps,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": max(1, training.eval_steps // 10),
        "logging_nan_inf_filter": False,
        "bf16": training.precision == "bfloat16",
        "gradient_checkpointing": training.gradient_checkpointing,
        "fsdp": training.fsdp,
        "report_to": training.tracker,
        "restore_callback_states_from_checkpoint": True,  # patience goes on where it was
        "disable_tqdm": True,
        "run_name": name,
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def train(trainer: Any, out: Path) -> int:
    """Trains from the last whole checkpoint on, and returns the best step.

    The trainer holds the network of that step afterwards.
    """
    if trainer.is_world_process_zero():
        run_folder.remove_partial_checkpoints(out)
    trainer.accelerator.wait_for_everyone()
    resume = run_folder.last_checkpoint(out)
    if resume is not None and _is_over(resume):
        # The trainer forgets that it was to stop, and would go on to its next evaluation. With no
        # epoch to run, it wraps the network and takes the best checkpoint, as at any end.
        trainer._run_epoch = lambda **_: None
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    best = trainer.state.best_model_checkpoint
    return int(Path(best).name.split("-")[1]) if best else int(trainer.state.global_step)


def _is_over(checkpoint: Path) -> bool:
    """Whether training was to stop when this checkpoint was written: no step or patience left."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    return bool(state.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"])


class Keeper(TrainerCallback):  # type: ignore[misc]
    """After each save: marks the checkpoint as whole and writes the metrics. Tells of progress."""

    def __init__(self, folder: Path, on_progress: Progress) -> None:
        self._folder, self._on_progress = folder, on_progress

    def on_step_end(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Tells how far training is."""
        if state.is_world_process_zero:
            self._on_progress("train", state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Marks the checkpoint as whole: each process calls this when its part is written."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            run_folder.mark_whole(checkpoint)
            write_metrics(self._folder, state.log_history)


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """Writes what was logged, a line of JSON an entry."""
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    (folder / run_folder.METRICS).write_text(lines, encoding="utf-8")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """What a run logged."""
    text = (folder / run_folder.METRICS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def quiet() -> None:
    """Keeps transformers from talking: what a user should do is for us to say."""
    import datasets

    warnings.filterwarnings("ignore", module=r"(transformers|peft|trl|torch)\b")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def say_nothing(trainer: Any) -> None:
    """Takes the printing of logs away: the metrics are in a file."""
    trainer.remove_callback(PrinterCallback)


def check_fsdp(training: Training) -> None:
    """Raises ``InputError`` where sharding is asked for and there is nothing to shard over."""
    if training.fsdp and "RANK" not in os.environ:
        raise InputError(
            "training.fsdp shards a network over processes; run it under torchrun, or leave it out"
        )


@contextmanager
def mistakes_explained() -> Iterator[None]:
    """What the trainer refuses (an unknown tracker, too many devices) as the user's to mend."""
    try:
        yield
    except (ValueError, ImportError, RuntimeError) as error:
        raise InputError(f"the training settings do not work here: {_short(error)}") from error


_TORCH_CANNOT_WRITE = re.compile("inline_container|PytorchStreamWriter|PytorchFileWriter")
"""What `torch.save` says in a ``RuntimeError`` where a file cannot be written to its end."""


@contextmanager
def stops_explained(out: Path) -> Iterator[None]:
    """What the disk refuses as a ``TrainingError`` that says which checkpoint is kept."""
    try:
        yield
    except (OSError, SafetensorError, PolarsError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _TORCH_CANNOT_WRITE.search(str(error)):
            raise
        last = run_folder.last_checkpoint(out)
        kept = f"{last.name} is kept" if last else "nothing was kept yet"
        raise TrainingError(
            f"training in {out} stopped: {_short(error)}; {kept}. If the disk is full, make room, "
            "and run the same command again"
        ) from error


def loaded(kind: Any, source: str, field: str, **options: Any) -> Any:
    """What transformers reads from ``source``, which the config's ``field`` names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return kind.from_pretrained(source, **options)
    except (OSError, ValueError) as error:  # what transformers raises for what it cannot read
        raise InputError(
            f"{field} is {source!r}, and transformers could not load it ({_short(error)}); "
            "expected a folder, a hub id that can be reached, or packaged weights"
        ) from error


def _short(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:300]
