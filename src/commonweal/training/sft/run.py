"""A whole fine-tuning run: fit, export as LoRA adapter and as GGUF, card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from commonweal.files import write_whole
from commonweal.models import store
from commonweal.policies.files import policy_files
from commonweal.policies.folder import WEIGHTS, read_policy_folder, write_policy_file
from commonweal.training import run_folder
from commonweal.training.config import SftConfig, published
from commonweal.training.sft.fitting import TrainedPolicy, fit_policy
from commonweal.types import Progress, no_progress


def run_sft(
    config: SftConfig, *, overwrite: bool = False, on_progress: Progress = no_progress
) -> Iterator[str]:
    """Does the run of this config, and says in lines what was done and where it lies.

    Raises:
        InputError: the data, the base or the folder cannot be used.
        TrainingError: training went wrong; the same command goes on where it stopped.
    """
    policy = config.out / run_folder.POLICY
    is_first = int(os.environ.get("RANK", "0")) == 0  # torchrun's number of this process
    data = (
        *config.data.datasets,
        *config.data.examples,
        *filter(None, [config.data.question_split]),
        *policy_files(config.model.template, config.model.start),
    )
    with run_folder.opened(config.out, config, data=data, overwrite=overwrite, hold=is_first):
        if (config.out / run_folder.CARD).is_file():
            yield f"{config.out} is done already"
            return
        trained = fit_policy(config, on_progress=on_progress)
        if not is_first:
            return
        yield (
            f"Trained on {len(trained.split.training)} statements: step {trained.best_step} of "
            f"{config.training.max_steps} was best"
        )
        write_policy(config, trained, policy)
        kind = "LoRA adapter" if _is_lora(config) else "all weights"
        n_bytes = sum(path.stat().st_size for path in policy.iterdir())
        yield f"Exported: {policy} ({kind}, {n_bytes / 1e6:.1f} MB)"
        if _is_lora(config) and config.model.base in store.WEIGHTS:
            from commonweal.policies.writers import merged_file

            merged = merged_file(read_policy_folder(policy), on_progress=on_progress)
            yield f"Merged for the embedded engine: {merged}"
        write_whole(config.out / run_folder.CARD, _card(config, trained))
        write_whole(policy / "README.md", _card(config, trained))
        yield f"Wrote {config.out / run_folder.CARD}"
        yield f"Use it: commonweal agree GROUP.toml --policy {policy}"


def write_policy(config: SftConfig, trained: TrainedPolicy, folder: Path) -> None:
    """The policy folder of a trained policy: weights, PEFT's config, ``policy.json``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if _is_lora(config):
        _copy_adapter(trained.weights, folder, config.model.base)
    else:
        shutil.copytree(trained.weights, folder, dirs_exist_ok=True)
    write_policy_file(
        folder,
        name=config.name,
        base=config.model.base,
        weights="lora" if _is_lora(config) else "whole",
        template=trained.template,
        made={
            "config": published(config),
            "best_step": trained.best_step,
            "counts": trained.split.counts,
        },
    )


def _is_lora(config: SftConfig) -> bool:
    """Whether the LoRA adapter alone is the policy's weights."""
    return config.model.lora_rank > 0 and not config.model.merge


def _copy_adapter(weights: Path, folder: Path, base: str) -> None:
    """The adapter at half precision: what is lost is far below what it was learned to."""
    import torch
    from safetensors.torch import load_file, save_file

    (name,) = WEIGHTS["lora"]
    tensors = load_file(weights / name)
    halved = {key: tensor.to(torch.float16).contiguous() for key, tensor in tensors.items()}
    save_file(halved, folder / name)
    adapter_config = json.loads((weights / "adapter_config.json").read_text(encoding="utf-8"))
    # Not where it lay on the machine that trained it.
    adapter_config["base_model_name_or_path"] = base
    write_whole(
        folder / "adapter_config.json", json.dumps(adapter_config, indent=2, sort_keys=True) + "\n"
    )


def _card(config: SftConfig, trained: TrainedPolicy) -> str:
    split, training = trained.split, config.training
    told = published(config)
    base, start, template = (told["model"][name] for name in ("base", "start", "template"))
    losses = [
        (int(entry["step"]), entry["eval_loss"])
        for entry in trained.history
        if "eval_loss" in entry
    ]
    curve = "\n".join(f"| {step} | {loss:.3f} |" for step, loss in losses)
    counts = "\n".join(f"- {what}: {n:,}" for what, n in split.counts.items())
    sources = "\n".join(f"- {source}" for source in split.sources)
    on = f", going on from {start}" if start else ""
    kind = (
        f"a LoRA adapter of rank {config.model.lora_rank} (PEFT){on}"
        if config.model.lora_rank
        else "every weight"
    )
    fields = "\n".join(
        f"- {part}.{name}: {value}"
        for part in ("model", "training")
        for name, value in told[part].items()
    )
    return f"""\
---
library_name: peft
pipeline_tag: text-generation
base_model: {base}
tags: [deliberation, consensus, commonweal]
---
# {config.name}

Written by `commonweal train sft`.

A policy: `{base}`, fine-tuned to write a statement that a group could stand
behind, from the group's question and opinions (Bakker et al. 2022, 3.4 step 2). What was trained:
{kind}. The loss was taken on the statements alone.

## Learned from

{sources}

Of rated statements, only those of a mean quality of at least {config.data.min_quality:g} of 7 were
used. Agreement was not used. Counts:

{counts}

## How

Seed {training.seed}; prompt template `{template}` (hash `{trained.template.hash}`).
The policy refuses to be used without this template. Step {trained.best_step} had the lowest loss on
the statements kept back (whole questions or topics):

| step | loss on the statements kept back |
|---:|---:|
{curve}

Settings:

{fields}

## How far to trust it

A lower loss is no proof that people like its statements better: only people who rate them can say.
The policy may leave out a person, misstate a view, or add what nobody said. `commonweal evaluate`
measures it beside other policies, on rated rounds.

## Licence

The base `{base}` is under its own licence; so is each source above.
"""
