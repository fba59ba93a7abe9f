"""Config files of training runs: TOML, every field described once, unknown names refused."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.policies.names import TEMPLATE_ENDING
from commonweal.reading.setting import with_set
from commonweal.reading.toml import load_toml
from commonweal.rewards.pair_text import PairText

MAX_FILE_BYTES = 1_000_000
_DEFAULT_TEXT = PairText()


class ConfigTable(BaseModel):
    """A table of a config file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RatedData(ConfigTable):
    """What every ``[data]`` says of the rated rounds that are learned from."""

    datasets: tuple[Path, ...] = Field(
        default=(), description="dataset folders of rated rounds, relative to the config file"
    )
    question_split: Path | None = Field(
        default=None,
        description="a question set with splits: training stops where a test question is in the "
        "data",
    )
    min_kappa: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="leave out people whose two passes agree less than this (quadratic-weighted "
        "kappa); none: keep everybody",
    )


class RewardData(RatedData):
    """``[data]``: what is learned from and what is kept back."""

    datasets: tuple[Path, ...] = Field(
        min_length=1, description="dataset folders, relative to the config file"
    )
    development: tuple[str, ...] = Field(
        default=(),
        description="question ids kept back from the training split for early stopping and the "
        "calibration; empty: a share of the questions, drawn by the seed",
    )
    development_share: float = Field(
        default=0.2, gt=0, lt=1, description="that share, if no ids are named"
    )
    max_pairs_per_person: int = Field(
        default=200, ge=1, description="comparisons of one person in one round, drawn by the seed"
    )
    max_crossed_per_round: int = Field(
        default=5000, ge=0, description="crossed pairs of comparisons in one round, by the seed"
    )
    max_development_comparisons: int = Field(
        default=2000,
        ge=1,
        description="comparisons read at each check during training, drawn by the seed; reading "
        "all can take longer than the training in between",
    )


class RewardModelPart(ConfigTable):
    """``[model]``: the network and what it reads."""

    backbone: str = Field(
        default="all-minilm-l6-v2",
        description="packaged weights by name, a folder of transformers, or an id on the hub",
    )
    template: str = Field(
        default=_DEFAULT_TEXT.template,
        description="the text that is read; {question}, {opinion} and {statement} are filled in",
    )
    max_tokens: int = Field(
        default=_DEFAULT_TEXT.max_tokens, ge=16, description="longer opinions are cut at the end"
    )
    lora_rank: int = Field(
        default=0, ge=0, description="rank of the LoRA adapter (PEFT); 0 trains every weight"
    )


class Training(ConfigTable):
    """``[training]``: how it is learned. Each run is the same for the same seed and machine."""

    seed: int = Field(default=0, ge=0, description="the seed of everything random")
    max_steps: int = Field(default=200, ge=1, description="optimiser steps, as in the paper (3.4)")
    batch_size: int = Field(default=8, ge=1, description="rows a device and step")
    accumulate: int = Field(default=1, ge=1, description="gradient steps accumulated into one")
    learning_rate: float = Field(
        default=2e-5, gt=0, description="the highest, reached after the warm-up"
    )
    warmup_share: float = Field(default=0.05, ge=0, lt=1, description="share of steps to warm up")
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW")
    eval_steps: int = Field(default=100, ge=1, description="steps between evaluations and saves")
    patience: int = Field(
        default=5, ge=1, description="evaluations without a better loss before it stops"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the arithmetic; bfloat16 needs hardware support"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="less memory for more time, for large networks"
    )
    fsdp: str = Field(default="", description="TRL's fsdp option, under torchrun: 'full_shard'")
    tracker: str = Field(default="none", description="a tracker that transformers knows: wandb, …")


class RewardTraining(Training):
    """``[training]`` of a reward model."""

    max_steps: int = Field(default=1500, ge=1, description="optimiser steps, as in the paper (3.4)")
    crossed_weight: float = Field(
        default=1.0, ge=0, description="weight of the crossed loss, added to the loss within people"
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        description="ordinal targets: what a person rated higher should have a reward higher by "
        "this times the share of the scale between the two ratings (TRL's margin); 0: any order "
        "will do",
    )
    centre: float = Field(
        default=0.01, ge=0, description="weight that keeps rewards near zero (TRL)"
    )


class RewardConfig(ConfigTable):
    """A reward model's training run."""

    name: str = Field(description="the model's name", pattern=r"^[\w.-]+$")
    out: Path = Field(description="the run's folder, relative to the config file")
    data: RewardData
    model: RewardModelPart = RewardModelPart()
    training: RewardTraining = RewardTraining()


class SftData(RatedData):
    """``[data]``: the statements that are learned from, and what is kept back."""

    starter_set: bool = Field(
        default=False, description="learn from the starter set written for this project"
    )
    examples: tuple[Path, ...] = Field(
        default=(),
        description="files of your own written examples, in the starter set's form: `[[example]]` "
        "tables with topic, question, opinions and statements; relative to the config file",
    )
    starter_held_out: int = Field(
        default=40,
        ge=1,
        description="examples of the starter set to hold out for judging, in whole topics",
    )
    min_quality: float = Field(
        default=6.0,
        ge=1,
        le=7,
        description="the lowest mean quality of a statement to learn from (the mean over raters of "
        "each one's mean over both passes), as in the paper (3.4); agreement is never used to "
        "filter",
    )
    development: tuple[str, ...] = Field(
        default=(),
        description="question ids kept back from the training split for early stopping; empty: a "
        "share of the questions (of the topics of the starter set), drawn by the seed",
    )
    development_share: float = Field(
        default=0.1, gt=0, lt=1, description="that share, if no ids are named"
    )
    orders: int = Field(
        default=1,
        ge=1,
        description="rows for each statement, each with its opinions in another order",
    )


class SftModelPart(ConfigTable):
    """``[model]``: the network that is fine-tuned and the prompt that it learns to answer."""

    base: str = Field(
        default="smollm2-135m-instruct",
        description="packaged weights by name, a folder of transformers, or an id on the hub",
    )
    template: str = Field(
        default="sft",
        description="the prompt: zero_shot, few_shot, sft, or a .toml of that form",
    )
    start: str = Field(
        default="",
        description="a policy of the same base and rank to continue from: `sft`, which comes with "
        "commonweal, or a policy folder; empty: from the base",
    )
    lora_rank: int = Field(
        default=8, ge=0, description="rank of the LoRA adapter (PEFT); 0 trains every weight"
    )
    merge: bool = Field(
        default=False,
        description="write all weights with the LoRA adapter merged in, for transformers and "
        "servers, instead of the adapter alone",
    )
    lora_last_layers: int = Field(
        default=0,
        ge=0,
        description="only the last so many layers are adapted, which takes less time and a smaller "
        "file; 0: all layers",
    )
    lora_dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout of the LoRA adapter")
    max_tokens: int = Field(
        default=2048, ge=64, description="rows of more tokens are left out and counted"
    )
    padding_free: bool = Field(
        default=False,
        description="rows of a batch one after the other, without padding (FlashAttention 2)",
    )


class SftTraining(Training):
    """``[training]`` of a policy."""

    learning_rate: float = Field(
        default=2e-4, gt=0, description="the highest, reached after the warm-up"
    )
    eval_steps: int = Field(default=20, ge=1, description="steps between evaluations and saves")
    group_by_length: bool = Field(
        default=True, description="batch rows of similar length together, for less padding"
    )


class SftConfig(ConfigTable):
    """A policy's training run."""

    name: str = Field(description="the policy's name", pattern=r"^[\w.-]+$")
    out: Path = Field(description="the run's folder, relative to the config file")
    data: SftData
    model: SftModelPart = SftModelPart()
    training: SftTraining = SftTraining()


Config = TypeVar("Config", bound=ConfigTable)


def read_config(path: Path, kind: type[Config], given: Sequence[str] = ()) -> Config:
    """The config in this TOML file; its relative paths are made to lead from the file's folder.

    Args:
        path: the file.
        kind: what it is to be.
        given: values in the place of the file's, "training.max_steps=20" (``--set``).

    Raises:
        InputError: no such file, not TOML, an unknown field or a value outside its range; the
            message names the field.
    """
    text = read_text(path, expected="a training config as .toml", max_bytes=MAX_FILE_BYTES)
    try:
        raw = load_toml(path, text)
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from None
    try:
        config = kind.model_validate(with_set(raw, given))
    except ValidationError as error:
        raise InputError(f"{path}: {_explained(error, kind)}") from None
    return _rooted(config, path.parent)


def published(config: ConfigTable) -> dict[str, Any]:
    """The config for what is shared: where things lay on this machine is no part of it.

    The folders of run and data are left out, and of other paths the last part is left.
    """

    def shortened(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shortened(each) for name, each in value.items()}
        is_path = isinstance(value, str) and Path(value).is_absolute() and "{" not in value
        return Path(value).name if is_path else value

    result: dict[str, Any] = shortened(
        config.model_dump(mode="json", exclude={"out": True, "data": {"datasets", "examples"}})
    )
    return result


def described(kind: type[ConfigTable], prefix: str = "") -> list[tuple[str, str, str]]:
    """(field, default, description) of every field, tables after their parents: for the docs."""
    rows: list[tuple[str, str, str]] = []
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, ConfigTable):
            rows += described(inner, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else repr(field.default)
            rows.append((prefix + name, default, field.description or ""))
    return rows


def _explained(error: ValidationError, kind: type[ConfigTable]) -> str:
    # A misspelt field is both unknown and missing; the first of these says what to mend.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    known = [name for name, _, _ in described(kind)]
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, known, n=1, cutoff=0.4)
        meant = f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(known)}"
        return f"unknown field {where!r}{meant}"
    if first["type"] == "missing":
        return f"field {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if isinstance(first["input"], dict):  # of several fields together: the message names them
        return f"[{where}] {message}" if where else message
    return f"field {where!r} is {first['input']!r}: {message}"


def _rooted(config: Config, folder: Path) -> Config:
    def rooted(value: Any, field: str = "") -> Any:
        if isinstance(value, ConfigTable):
            fields = type(value).model_fields
            return value.model_copy(
                update={name: rooted(getattr(value, name), name) for name in fields}
            )
        if isinstance(value, tuple):
            return tuple(map(rooted, value))
        if isinstance(value, str) and _is_path(field, value):
            return str((folder / Path(value).expanduser()).resolve())
        return (folder / value.expanduser()).resolve() if isinstance(value, Path) else value

    result: Config = rooted(config)
    return result


def _is_path(field: str, text: str) -> bool:
    """Whether a field's text leads to a file or folder; a network may be a hub id with a slash."""
    return (
        text.startswith(("./", "../", "~/"))
        or (field == "template" and text.lower().endswith(TEMPLATE_ENDING))
        or (field == "start" and "/" in text)
    )
