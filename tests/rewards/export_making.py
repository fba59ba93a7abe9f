"""A small network as ``commonweal train reward`` would export it, with known weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from tokenizers import Tokenizer, models, pre_tokenizers

from commonweal.files import sha256_of
from commonweal.rewards import LogisticCalibration
from commonweal.rewards.exported import FILES, Description
from commonweal.rewards.pair_text import PairText

WORDS = [f"w{number}" for number in range(200)]
PAIR_TEXT = PairText("{opinion} / {statement}", max_tokens=64)


def write_export(folder: Path) -> np.ndarray:
    """A network that adds up a weight for each token, and these weights [n_tokens]."""
    weights = np.random.default_rng(0).normal(size=len(WORDS) + 2).astype(np.float32)
    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
    each = ops.multiply(ops.gather(weights, ids, 0), ops.convert(mask, np.float32))
    total = ops.reduce_sum(each, 1, keep_dims=True)
    for node in (ids, mask):
        node.output(0).tensor.set_names({node.friendly_name})
    ov.save_model(
        ov.Model([total], [ids, mask], "sum"), folder / "model.xml", compress_to_fp16=False
    )
    vocabulary = {word: place for place, word in enumerate(["[UNK]", "/", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    Description(
        name="sum",
        pair_text=PAIR_TEXT,
        pad_token_id=0,
        calibration=LogisticCalibration(1.0, 0.0, "nothing"),
        sha256={name: sha256_of(folder / name) for name in FILES},
    ).write(folder)
    return weights
