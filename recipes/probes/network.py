"""The layers of the default language model in torch, from its GGUF file, with low-rank updates.

One sequence holds a person's prompt once and then statement after statement, each of which sees the
prompt and itself: what the embedded engine computes with shared beginnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import Qwen2Config, Qwen2Model
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from commonweal.models import DEFAULT_MODEL, load_language_model, store
from commonweal.models.gguf_lora import LoraPair
from commonweal.models.packaged import DEFAULT_LANGUAGE_MODEL
from commonweal.rewards.probe import as_text, prompt

MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Matrices that are updated, by their names in the file."""
_NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
RANK, ALPHA = 8, 16


class Packed(NamedTuple):
    """What some people read: one row a person, statements one after the other.

    Attributes:
        ids: of tokens, [n_people, n_tokens].
        positions: of each token after its prompt, likewise.
        seen: which tokens each token sees, [n_people, 1, n_tokens, n_tokens].
        pool: the share of each token in each statement's mean, [n_people, n_statements, n_tokens].
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    pool: torch.Tensor


class Packer:
    """Texts to tensors, with the embedded engine's own tokens."""

    def __init__(self) -> None:
        self.engine: Any = load_language_model(DEFAULT_MODEL)

    def __call__(self, question: str, people: Sequence[tuple[str, Sequence[str]]]) -> Packed:
        """Of each person their opinion and as many statements."""
        rows = [self._row(question, *person) for person in people]
        n_people, n_statements = len(rows), len(people[0][1])
        width = max(len(before) + sum(map(len, parts)) for before, parts, _ in rows)
        ids, positions = (torch.zeros(n_people, width, dtype=torch.long) for _ in range(2))
        seen = torch.zeros(n_people, 1, width, width, dtype=torch.bool)
        pool = torch.zeros(n_people, n_statements, width)
        for row, (before, parts, n_not_own) in enumerate(rows):
            n = end = len(before)
            ids[row, :n], positions[row, :n] = torch.tensor(before), torch.arange(n)
            seen[row, 0, :n, :n] = torch.ones(n, n).tril().bool()
            for column, (part, skipped) in enumerate(zip(parts, n_not_own, strict=True)):
                start, end = end, end + len(part)
                ids[row, start:end] = torch.tensor(part)
                positions[row, start:end] = torch.arange(n, n + len(part))
                seen[row, 0, start:end, :n] = True
                seen[row, 0, start:end, start:end] = torch.ones(len(part), len(part)).tril().bool()
                pool[row, column, start + skipped : end] = 1 / (len(part) - skipped)
            seen[row, 0, end:, 0] = True  # what fills up is not read, but sees something
        return Packed(ids, positions, seen, pool)

    def _row(
        self, question: str, opinion: str, statements: Sequence[str]
    ) -> tuple[list[int], list[list[int]], list[int]]:
        """The tokens that all share, those of each statement, and how many of these begin it that
        are still the prompt's."""
        asked = [prompt(question, opinion)] * len(statements)
        sequences, n_own = self.engine._sequences("", asked, list(map(as_text, statements)))
        n = min(len(ids) - own for ids, own in zip(sequences, n_own, strict=True))
        parts = [list(ids[n:]) for ids in sequences]
        skipped = [len(part) - own for part, own in zip(parts, n_own, strict=True)]
        return list(sequences[0][:n]), parts, skipped


class Network(nn.Module):
    """The model's layers up to ``last``, those from ``first`` on with low-rank updates, and the
    direction that reads a grade off the mean state over a statement.

    Args:
        first: the first layer that is updated, from 0.
        last: after which is read.
        direction: to begin with, [n_hidden].
        constant: likewise: what is added.
    """

    def __init__(self, first: int, last: int, direction: np.ndarray, constant: float) -> None:
        super().__init__()
        self.first = first
        body = _body(last + 1)
        self.body = inject_adapter_in_model(
            LoraConfig(
                r=RANK,
                lora_alpha=ALPHA,
                target_modules=[name.split(".")[1] for name in MODULES.values()],
                layers_to_transform=list(range(first, last + 1)),
                layers_pattern="layers",
            ),
            body,
        )
        for parameter in self.updates():
            parameter.data = parameter.data.float()
        n_hidden = len(direction)
        self.register_buffer("direction", torch.tensor(direction, dtype=torch.float32))
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float32))
        self.register_buffer("middle", torch.zeros(n_hidden))
        self.register_buffer("spread", torch.ones(n_hidden))
        self.turn = nn.Parameter(torch.zeros(n_hidden))
        self.shift = nn.Parameter(torch.zeros(1))

    def begin_with(self, updates: Mapping[str, LoraPair]) -> None:
        """Goes on from the updates of an earlier run, as they are stored."""
        for name, pair in updates.items():
            _, place, kind, _ = name.split(".")
            module = self.body.layers[int(place)].get_submodule(MODULES[kind])
            module.lora_A["default"].weight.data = torch.from_numpy(pair.down.copy())
            module.lora_B["default"].weight.data = torch.from_numpy(pair.up / (ALPHA / RANK))

    def updates(self) -> list[nn.Parameter]:
        """The halves of the updates."""
        return [each for name, each in self.body.named_parameters() if "lora_" in name]

    def below(self, texts: Packed) -> torch.Tensor:
        """What the layers that are not updated make of it, [n_people, n_tokens, n_hidden]."""
        with torch.no_grad():
            return self._through(self.body.embed_tokens(texts.ids).float(), texts, 0, self.first)

    def states(self, below: torch.Tensor, texts: Packed) -> torch.Tensor:
        """The mean state over each statement, [n_people, n_statements, n_hidden]."""
        found = self._through(below, texts, self.first, len(self.body.layers))
        return torch.einsum("pst,pth->psh", texts.pool, found.float())

    def grades(self, states: torch.Tensor) -> torch.Tensor:
        """What is read off them, [n_people, n_statements]."""
        turned = ((states - self.middle) / self.spread) @ self.turn
        return states @ self.direction + self.constant + turned + self.shift

    def read_off(self) -> tuple[np.ndarray, float]:
        """The direction [n_hidden] and the constant that ``grades`` comes to."""
        turn = self.turn / self.spread
        constant = self.constant + self.shift - self.middle @ turn
        return (self.direction + turn).detach().numpy(), float(constant.detach())

    def pairs(self) -> Iterator[tuple[str, LoraPair]]:
        """The updates by the names of their matrices in the file."""
        for place, layer in enumerate(self.body.layers):
            for name, path in MODULES.items() if place >= self.first else ():
                module = layer.get_submodule(path)
                up, down = (
                    half["default"].weight.detach().float().numpy().copy()
                    for half in (module.lora_B, module.lora_A)
                )
                yield f"blk.{place}.{name}.weight", LoraPair(up * (ALPHA / RANK), down)

    def _through(self, hidden: torch.Tensor, texts: Packed, start: int, stop: int) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            turns = self.body.rotary_emb(hidden, texts.positions)
            for layer in self.body.layers[start:stop]:
                hidden = layer(hidden, attention_mask=texts.seen, position_embeddings=turns)
        return hidden


def _body(n_layers: int) -> Any:
    """The first layers of the default model, as they stand in its GGUF file, in bfloat16."""
    weights = store.WEIGHTS[DEFAULT_LANGUAGE_MODEL]
    file = GGUFReader(store.require(DEFAULT_LANGUAGE_MODEL) / weights.gguf)

    def told(key: str) -> Any:
        return file.fields[f"qwen2.{key}"].contents()

    state = {}
    for tensor in file.tensors:
        if (name := _name(tensor.name, n_layers)) is not None:
            values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
            state[name] = values.to(torch.bfloat16)
    shape = Qwen2Config(
        vocab_size=len(state["embed_tokens.weight"]),
        hidden_size=told("embedding_length"),
        intermediate_size=told("feed_forward_length"),
        num_hidden_layers=n_layers,
        num_attention_heads=told("attention.head_count"),
        num_key_value_heads=told("attention.head_count_kv"),
        rms_norm_eps=told("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": told("rope.freq_base")},
        attn_implementation="sdpa",
    )
    with torch.device("meta"):
        body = Qwen2Model(shape)
    body.load_state_dict(state, assign=True)
    body.rotary_emb = Qwen2RotaryEmbedding(shape)  # whose angles bfloat16 would round
    return body.requires_grad_(False)


def _name(name: str, n_layers: int) -> str | None:
    """What transformers calls a tensor of the file; None where it is not needed."""
    if name in ("token_embd.weight", "output_norm.weight"):
        return {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}[
            name
        ]
    kind, place, *rest = name.split(".")
    if kind != "blk" or int(place) >= n_layers:
        return None
    part, which = rest
    return f"layers.{place}.{(MODULES | _NORMS)[part]}.{which}"
