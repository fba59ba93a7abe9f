"""Training a reward model: rated rounds in, a calibrated model that runs without torch out."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, EarlyStoppingCallback
from trl import RewardConfig as TrlRewardConfig

from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.rewards.pair_text import PairText
from commonweal.training import run_folder, trainers
from commonweal.training.backbones import backbone_source
from commonweal.training.config import RewardConfig
from commonweal.training.reward.data import RewardSplit, as_tokens, read_split
from commonweal.training.reward.trainer import CrossedCollator, CrossedRewardTrainer
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
    split: RewardSplit
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
    trainers.quiet()
    split = read_split(config.data, config.training.seed)
    model, done = config.out / run_folder.MODEL, config.out / run_folder.FIT
    if done.is_file():
        best_step = json.loads(done.read_text(encoding="utf-8"))["best_step"]
        return Trained(model, split, best_step, trainers.read_metrics(config.out))
    trainer = _trainer(config, split, on_progress)
    is_first = trainer.is_world_process_zero()
    with trainers.stops_explained(config.out):
        if is_first:
            split.training.rows.write_parquet(config.out / run_folder.ROWS)
        best_step = trainers.train(trainer, config.out)
        history = trainer.state.log_history
        network = trainer.model.merge_and_unload() if config.model.lora_rank else trainer.model
        if config.training.fsdp:
            trainer.save_model(str(model))  # gathers what the processes hold
        elif is_first:
            network.save_pretrained(model)
        if is_first:
            trainer.processing_class.save_pretrained(model)
            trainers.write_metrics(config.out, history)
            write_whole(done, json.dumps({"best_step": best_step}))
    return Trained(model, split, best_step, history)


def pair_text(config: RewardConfig) -> PairText:
    """What the config's model reads."""
    return PairText(config.model.template, config.model.max_tokens)


def _trainer(
    config: RewardConfig, split: RewardSplit, on_progress: Progress
) -> CrossedRewardTrainer:
    source = backbone_source(config.model.backbone)
    training = config.training
    torch.manual_seed(training.seed)  # the new head is drawn before the trainer sets the seed
    tokenizer = trainers.loaded(AutoTokenizer, source, "model.backbone")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    network = trainers.loaded(
        AutoModelForSequenceClassification,
        source,
        "model.backbone",
        num_labels=1,
        dtype=torch.float32,
    )
    network.config.pad_token_id = tokenizer.pad_token_id
    _check(config, network)
    plain = getattr(tokenizer, "backend_tokenizer", None)
    if plain is None:
        raise InputError(
            f"model.backbone is {config.model.backbone!r}, and its tokenizer "
            f"({type(tokenizer).__name__}) has no tokenizer.json, on which the export runs; "
            "expected a backbone with a fast tokenizer"
        )
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
    with warnings.catch_warnings(), trainers.mistakes_explained():
        warnings.simplefilter("ignore", FutureWarning)
        options = TrlRewardConfig(**trainers.common_options(training, config.out, config.name))
        trainer = CrossedRewardTrainer(
            crossed_weight=training.crossed_weight,
            margin=training.margin,
            centre=training.centre,
            model=network,
            args=options,
            processing_class=tokenizer,
            data_collator=CrossedCollator(tokenizer.pad_token_id),
            train_dataset=as_tokens(split.training, plain, text, margins=training.margin > 0),
            eval_dataset=as_tokens(split.development, plain, text, margins=training.margin > 0),
            peft_config=peft,
            callbacks=[
                EarlyStoppingCallback(training.patience),
                trainers.Keeper(config.out, on_progress),
            ],
        )
    trainers.say_nothing(trainer)
    return trainer


def _check(config: RewardConfig, network: Any) -> None:
    """Raises ``InputError`` where config, backbone and machine do not go together."""
    limit = getattr(network.config, "max_position_embeddings", None)
    if limit is not None and config.model.max_tokens > limit:
        raise InputError(
            f"model.max_tokens is {config.model.max_tokens}, and {config.model.backbone} reads at "
            f"most {limit}; expected no more"
        )
    trainers.check_fsdp(config.training)
    if config.training.fsdp and config.model.lora_rank:
        raise InputError(
            "training.fsdp with model.lora_rank was never tried, and its export would hold the "
            "LoRA adapter alone; leave one of them out"
        )
