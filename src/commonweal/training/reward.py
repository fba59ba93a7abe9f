"""Training a reward model: rated rounds in, a calibrated model that runs without torch out."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from polars.exceptions import PolarsError
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
)
from trl import RewardConfig as TrlRewardConfig

from commonweal.errors import InputError, TrainingError
from commonweal.rewards.pair_text import PairText
from commonweal.training import run_folder
from commonweal.training.backbones import backbone_source
from commonweal.training.config import RewardConfig
from commonweal.training.reward_data import Split, as_tokens, read_split
from commonweal.training.reward_trainer import CrossedCollator, CrossedRewardTrainer
from commonweal.types import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Trained:
    """Where a finished run left its work.

    Attributes:
        model: the network as transformers reads it.
        split: what it was trained on.
        best_step: the step that was kept, by the loss on the development questions.
        history: what was logged.
    """

    model: Path
    split: Split
    best_step: int
    history: list[dict[str, float]]


def fit_reward_model(config: RewardConfig, *, on_progress: Progress = no_progress) -> Trained:
    """The fine-tuned network of this config, in the run's folder (paper 3.4 step 3).

    Goes on from the last whole checkpoint where there is one; the result is that of a run that was
    never broken off. The caller holds the folder (``run_folder.opened``).

    Raises:
        InputError: the data or the backbone cannot be used.
        TrainingError: a loss was not finite, or a checkpoint could not be written.
    """
    split = read_split(config.data, config.training.seed)
    model, done = config.out / run_folder.MODEL, config.out / run_folder.FIT
    if done.is_file():
        lines = (config.out / run_folder.METRICS).read_text(encoding="utf-8").splitlines()
        best_step = json.loads(done.read_text(encoding="utf-8"))["best_step"]
        return Trained(model, split, best_step, [json.loads(line) for line in lines])
    # What a user should do about something we say ourselves, and the progress is the caller's.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    trainer = _trainer(config, split, on_progress)
    is_first = trainer.is_world_process_zero()
    try:
        if is_first:
            split.training.rows.write_parquet(config.out / run_folder.ROWS)
            run_folder.remove_partial_checkpoints(config.out)
        trainer.accelerator.wait_for_everyone()
        resume = run_folder.last_checkpoint(config.out)
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        history = trainer.state.log_history
        network = trainer.model.merge_and_unload() if config.model.lora_rank else trainer.model
        if config.training.fsdp:
            trainer.save_model(str(model))  # gathers what the processes hold
        elif is_first:
            network.save_pretrained(model)
        best = trainer.state.best_model_checkpoint
        best_step = int(Path(best).name.split("-")[1]) if best else trainer.state.global_step
        if is_first:
            trainer.processing_class.save_pretrained(model)
            _write_metrics(config.out, history)
            done.write_text(json.dumps({"best_step": best_step}), encoding="utf-8")
    except (OSError, SafetensorError, PolarsError) as error:
        last = run_folder.last_checkpoint(config.out)
        kept = f"{last.name} is kept" if last else "nothing was kept yet"
        raise TrainingError(
            f"training in {config.out} stopped: {error}; {kept}. Where the disk is full make room, "
            "and run the same command again"
        ) from error
    return Trained(model, split, best_step, history)


def pair_text(config: RewardConfig) -> PairText:
    """What the config's model reads."""
    return PairText(config.model.template, config.model.max_tokens)


def _trainer(config: RewardConfig, split: Split, on_progress: Progress) -> CrossedRewardTrainer:
    source = backbone_source(config.model.backbone)
    training = config.training
    torch.manual_seed(training.seed)  # the new head is drawn before the trainer sets the seed
    tokenizer = _loaded(AutoTokenizer, source)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    network = _loaded(AutoModelForSequenceClassification, source, num_labels=1, dtype=torch.float32)
    network.config.pad_token_id = tokenizer.pad_token_id
    _check(config, network)
    plain = tokenizer.backend_tokenizer
    plain.no_truncation()
    plain.no_padding()
    text = pair_text(config)
    peft = None
    if config.model.lora_rank:
        from peft import LoraConfig, TaskType

        peft = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=config.model.lora_rank,
            lora_alpha=2 * config.model.lora_rank,
            target_modules="all-linear",
        )
    options = TrlRewardConfig(
        output_dir=str(config.out / run_folder.CHECKPOINTS),
        seed=training.seed,
        data_seed=training.seed,
        max_steps=training.max_steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(training.warmup_share * training.max_steps),
        weight_decay=training.weight_decay,
        max_length=None,  # PairText has cut already
        eval_strategy="steps",
        eval_steps=training.eval_steps,
        save_strategy="steps",
        save_steps=training.eval_steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, training.eval_steps // 10),
        logging_nan_inf_filter=False,
        bf16=training.precision == "bfloat16",
        **({"gradient_checkpointing": True} if training.gradient_checkpointing else {}),
        fsdp=training.fsdp,
        report_to=training.tracker,
        restore_callback_states_from_checkpoint=True,  # patience goes on where it was
        disable_tqdm=True,
        run_name=config.name,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    with warnings.catch_warnings(), _mistakes_explained():
        warnings.simplefilter("ignore", FutureWarning)
        trainer = CrossedRewardTrainer(
            crossed_weight=training.crossed_weight,
            centre=training.centre,
            model=network,
            args=options,
            processing_class=tokenizer,
            data_collator=CrossedCollator(tokenizer.pad_token_id),
            train_dataset=as_tokens(split.training, plain, text),
            eval_dataset=as_tokens(split.development, plain, text),
            peft_config=peft,
            callbacks=[EarlyStoppingCallback(training.patience), _Keeper(config.out, on_progress)],
        )
    trainer.remove_callback(PrinterCallback)  # the metrics are in a file, the progress is ours
    return trainer


def _check(config: RewardConfig, network: Any) -> None:
    """Raises ``InputError`` where config, backbone and machine do not go together."""
    limit = getattr(network.config, "max_position_embeddings", None)
    if limit is not None and config.model.max_tokens > limit:
        raise InputError(
            f"model.max_tokens is {config.model.max_tokens}, and {config.model.backbone} reads at "
            f"most {limit}; expected no more"
        )
    if config.training.fsdp and "RANK" not in os.environ:
        raise InputError(
            "training.fsdp shards a network over processes; run it under torchrun, or leave it out"
        )
    if config.training.fsdp and config.model.lora_rank:
        raise InputError(
            "training.fsdp with model.lora_rank was never tried, and its export would hold the "
            "updates alone; leave one of them out"
        )


class _Keeper(TrainerCallback):  # type: ignore[misc]
    """After each save: marks the checkpoint as whole and writes the metrics. Tells of progress."""

    def __init__(self, folder: Path, on_progress: Progress) -> None:
        self._folder, self._on_progress = folder, on_progress

    def on_step_end(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        if state.is_world_process_zero:
            self._on_progress("train", state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            run_folder.mark_whole(checkpoint)
            _write_metrics(self._folder, state.log_history)


def _write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    (folder / run_folder.METRICS).write_text(lines, encoding="utf-8")


@contextmanager
def _mistakes_explained() -> Iterator[None]:
    """What the trainer refuses (an unknown tracker, too many devices) as the user's to mend."""
    try:
        yield
    except (ValueError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the training settings do not work here: {reason}") from error


def _loaded(kind: Any, source: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(source, **options)
    except (OSError, ValueError) as error:  # what transformers raises for what it cannot read
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"model.backbone is {source!r}, and transformers could not load it ({reason}); "
            "expected a folder, a hub id that can be reached, or packaged weights"
        ) from error
