"""Pretrained networks to start from: packaged weights by name, folders, hub ids."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from commonweal.errors import InputError
from commonweal.models import store

MINILM = "all-minilm-l6-v2"
SMOLLM2 = "smollm2-135m-instruct"
_MINILM_CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
"""The published configuration of all-MiniLM-L6-v2; the package carries the weights alone."""


def backbone_source(name: str) -> str:
    """What transformers' ``from_pretrained`` takes for this backbone: a folder, or a hub id.

    Packaged weights are written once, as transformers reads them, beside the weights store.

    Raises:
        WeightsError: packaged weights are not pulled.
        InputError: a path that leads to nothing.
    """
    if name in store.WEIGHTS:
        return str(_converted(name))
    if name.startswith((".", "/", "~")) or Path(name).exists():
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise InputError(
                f"no model at {folder}: there is no config.json in it; expected a folder of "
                f"transformers, a hub id, or one of {', '.join(store.WEIGHTS)}"
            )
        return str(folder)
    return name


def _converted(name: str) -> Path:
    weights = store.require(name)
    done = store.cache_folder().parent / "transformers" / name
    done.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(done.with_name(f"{name}.lock")):  # processes of one run begin at once
        if (done / "config.json").is_file():
            return done
        part = done.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        if name == MINILM:
            _write_minilm(weights, part)
        else:
            _write_gguf(weights, part)
        shutil.rmtree(done, ignore_errors=True)
        part.replace(done)
    return done


def _write_minilm(weights: Path, folder: Path) -> None:
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    model = BertModel(BertConfig(**_MINILM_CONFIG), add_pooling_layer=False)
    arrays: dict[str, Any] = load_file(weights / "model.safetensors")
    model.load_state_dict({name: arrays[name] for name in model.state_dict()})
    model.save_pretrained(folder)
    marks = {"unk": "UNK", "cls": "CLS", "sep": "SEP", "pad": "PAD", "mask": "MASK"}
    PreTrainedTokenizerFast(
        tokenizer_file=str(weights / "tokenizer.json"),
        **{f"{role}_token": f"[{mark}]" for role, mark in marks.items()},
    ).save_pretrained(folder)


def _write_gguf(weights: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (file,) = weights.glob("*.gguf")
    options = {"gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(weights, **options)
    # A model read from GGUF counts as quantised and cannot be saved: the same numbers in one that
    # does not know where they came from.
    config = read.config.__class__.from_dict(
        {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    )
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights, **options).save_pretrained(folder)
