"""Fine-tuning a policy on statements that people rated high (paper 3.4 step 2)."""

from __future__ import annotations

import json
import math
import re
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from commonweal.errors import InputError, TrainingError
from commonweal.files import write_whole
from commonweal.policies.folder import read_policy_folder, shipped_policy
from commonweal.policies.prompts import PromptTemplate
from commonweal.policies.templates import load_template
from commonweal.training import run_folder, trainers
from commonweal.training.backbones import backbone_source
from commonweal.training.config import SftConfig
from commonweal.training.sft.data import Example, SftSplit, as_rows, read_sft_split
from commonweal.types import Progress, no_progress


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """Where a finished run left its work.

    Attributes:
        weights: PEFT's folder of the LoRA adapter, or all weights where ``lora_rank`` is 0.
        template: the prompt that it was trained to answer.
        split: what it was trained on.
        best_step: the step that was kept, by the loss on the development statements.
        history: what was logged.
    """

    weights: Path
    template: PromptTemplate
    split: SftSplit
    best_step: int
    history: list[dict[str, float]]


def fit_policy(config: SftConfig, *, on_progress: Progress = no_progress) -> TrainedPolicy:
    """The fine-tuned policy of this config, in the run's folder (paper 3.4 step 2).

    Goes on from the last whole checkpoint where there is one; the result is that of a run that was
    never broken off. The caller holds the folder (``run_folder.opened``).

    Raises:
        InputError: the data, the template or the base cannot be used.
        TrainingError: a loss was not finite, or a checkpoint could not be written.
    """
    trainers.quiet()
    template = load_template(config.model.template)
    split = read_sft_split(config.data, config.training.seed)
    weights, done = config.out / run_folder.MODEL, config.out / run_folder.FIT
    if done.is_file():
        fit = json.loads(done.read_text(encoding="utf-8"))
        split.counts.update(fit["counts"])
        history = trainers.read_metrics(config.out)
        return TrainedPolicy(weights, template, split, fit["best_step"], history)
    trainer = _trainer(config, template, split, on_progress)
    with trainers.stops_explained(config.out):
        best_step = trainers.train(trainer, config.out)
        history = trainer.state.log_history
        if config.model.merge and trainer.is_world_process_zero():
            trainer.model.merge_and_unload().save_pretrained(weights)
        elif not config.model.merge:
            trainer.save_model(str(weights))  # gathers what the processes hold
        if trainer.is_world_process_zero():
            trainer.processing_class.save_pretrained(weights)
            trainers.write_metrics(config.out, history)
            write_whole(done, json.dumps({"best_step": best_step, "counts": split.counts}))
    return TrainedPolicy(weights, template, split, best_step, history)


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's, with a loss that is checked to be a number."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        computed = super().compute_loss(model, inputs, *args, **kwargs)
        loss = computed[0] if isinstance(computed, tuple) else computed
        if not math.isfinite(loss.item()):
            texts = self.processing_class.batch_decode(inputs["input_ids"])
            batch = "; ".join(" ".join(text.split())[-80:] for text in texts)
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}, on the statements "
                f"that end: {batch}. Try a lower learning_rate, float32, or take these out"
            )
        return computed


def _trainer(
    config: SftConfig, template: PromptTemplate, split: SftSplit, on_progress: Progress
) -> _Trainer:
    training = config.training
    source = backbone_source(config.model.base)
    _check(config)
    tokenizer = trainers.loaded(AutoTokenizer, source, "model.base")
    if not tokenizer.chat_template:
        raise InputError(
            f"model.base is {config.model.base!r}, and its tokenizer has no chat template; "
            "expected a model that has one (an instruction-tuned one), or a folder to whose "
            "tokenizer one was added"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    half = training.precision == "bfloat16" and config.model.lora_rank > 0
    network = trainers.loaded(
        AutoModelForCausalLM,
        source,
        "model.base",
        # What is not trained needs no more digits than the arithmetic has.
        dtype=torch.bfloat16 if half else torch.float32,
        **({"attn_implementation": "flash_attention_2"} if config.model.padding_free else {}),
    )
    peft = None
    if config.model.start:
        from peft import PeftModel

        start = _start(config, template)
        network = PeftModel.from_pretrained(network, str(start), is_trainable=True)
        # Its folder names the base as users do; PEFT would look for that on the hub.
        network.peft_config["default"].base_model_name_or_path = source
    elif config.model.lora_rank:
        from peft import LoraConfig, TaskType

        torch.manual_seed(training.seed)
        peft = LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=config.model.lora_rank,
            lora_alpha=2 * config.model.lora_rank,
            lora_dropout=config.model.lora_dropout,
            target_modules=_adapted(network, config.model.lora_last_layers),
        )
    with warnings.catch_warnings(), trainers.mistakes_explained():
        warnings.simplefilter("ignore")
        options = TrlSftConfig(
            **trainers.common_options(training, config.out, config.name),
            padding_free=config.model.padding_free,
            completion_only_loss=True,
            train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        )
        trainer = _Trainer(
            model=network,
            args=options,
            processing_class=tokenizer,
            train_dataset=_dataset(config, split.training, template, tokenizer, split.counts),
            eval_dataset=_dataset(config, split.development, template, tokenizer, split.counts),
            peft_config=peft,
            callbacks=[
                EarlyStoppingCallback(training.patience),
                trainers.Keeper(config.out, on_progress),
            ],
        )
    trainers.say_nothing(trainer)
    return trainer


def _adapted(network: Any, n_last_layers: int) -> str | list[str]:
    """The matrices that LoRA adapts, as PEFT takes them: of all layers, or the last."""
    if not n_last_layers:
        return "all-linear"
    first = network.config.num_hidden_layers - n_last_layers
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear)
        and (match := re.search(r"\.layers\.(\d+)\.", name))
        and int(match[1]) >= first
    ]


def _start(config: SftConfig, template: PromptTemplate) -> Path:
    """The folder of the LoRA adapter that training goes on from.

    Raises:
        InputError: it is not of this base, rank or prompt.
    """
    name = config.model.start
    policy = shipped_policy() if name == "sft" else read_policy_folder(Path(name).expanduser())
    if policy.weights != "lora" or policy.base != config.model.base:
        raise InputError(
            f"model.start is {name}, which holds {policy.weights} weights of {policy.base}; "
            f"expected a LoRA adapter of model.base, {config.model.base}"
        )
    adapter = json.loads((policy.path / "adapter_config.json").read_text(encoding="utf-8"))
    if adapter["r"] != config.model.lora_rank:
        raise InputError(
            f"model.start is {name}, whose LoRA adapter has rank {adapter['r']}; expected the same "
            f"in model.lora_rank, which is {config.model.lora_rank}"
        )
    if not policy.template.asks_like(template):
        raise InputError(
            f"model.start is {name}, which was trained with another prompt than model.template, "
            f"{config.model.template}; expected the same"
        )
    return policy.path


def _dataset(
    config: SftConfig,
    examples: tuple[Example, ...],
    template: PromptTemplate,
    tokenizer: Any,
    counts: dict[str, int],
) -> Any:
    import datasets

    rows, n_too_long = as_rows(
        examples,
        template,
        tokenizer,
        max_tokens=config.model.max_tokens,
        n_orders=config.data.orders,
        rng=np.random.default_rng(config.training.seed),
    )
    what = f"rows left out: more than {config.model.max_tokens} tokens, or than fit a prompt"
    counts[what] = counts.get(what, 0) + n_too_long
    if not rows["input_ids"]:
        raise InputError(
            f"every row has more than model.max_tokens = {config.model.max_tokens} tokens; "
            "expected a larger number"
        )
    return datasets.Dataset.from_dict(rows)


def _check(config: SftConfig) -> None:
    """Raises ``InputError`` where config and machine do not go together."""
    trainers.check_fsdp(config.training)
    if config.training.fsdp and config.model.lora_rank:
        raise InputError(
            "training.fsdp with model.lora_rank was never tried; set lora_rank to 0, or leave fsdp "
            "out"
        )
    if config.model.merge and not config.model.lora_rank:
        raise InputError(
            "model.merge is set and model.lora_rank is 0: there is no LoRA adapter to merge; "
            "leave one of them out"
        )
    if config.model.padding_free and find_spec("flash_attn") is None:
        raise InputError(
            "model.padding_free needs FlashAttention (the package flash_attn and a GPU), which is "
            "not installed; leave it out, and batches contain rows of similar length instead"
        )
