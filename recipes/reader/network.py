"""The reader's network in torch, and the batches that it reads; ``rewards/reader.py`` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import BertConfig, BertModel

from commonweal.rewards.reader import (
    MAX_QUESTION_TOKENS,
    MAX_STATEMENT_TOKENS,
    PRODUCT_SCALE,
    ReaderWeights,
    Reading,
    opinions_as_one,
)

N_HIDDEN = 128

Texts = tuple[str, str, str]
"""Question, opinion, statement."""


class Network(nn.Module):
    """One pass over the three texts; out come agreement and quality, each as (grade - 4) / 3."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        shape = BertConfig(
            hidden_size=384,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
            # On a CPU the plain attention with dropout is quicker than the fused one.
            attn_implementation="eager",
        )
        self.bert = BertModel(shape, add_pooling_layer=False)
        missing = self.bert.load_state_dict(
            load_file(folder / "model.safetensors"), strict=False
        ).missing_keys
        if missing:
            raise SystemExit(f"{folder} lacks {missing[0]}; expected all-MiniLM-L6-v2")
        # Half of all weights; tuned on so few texts they would only learn these texts' words.
        self.bert.embeddings.word_embeddings.requires_grad_(False)
        self.hidden = nn.Linear(4 * 384, N_HIDDEN)
        self.out = nn.Linear(N_HIDDEN, 2)
        for layer in (self.hidden, self.out):
            nn.init.normal_(layer.weight, std=0.03)
            nn.init.zeros_(layer.bias)

    def forward(self, ids, mask, segments, is_opinion, is_statement):
        states = self.bert(
            input_ids=ids, attention_mask=mask, token_type_ids=segments
        ).last_hidden_state.float()
        opinion, statement = _mean(states, is_opinion), _mean(states, is_statement)
        both = opinion * statement * PRODUCT_SCALE
        pooled = torch.cat([states[:, 0], opinion, statement, both], 1)
        return self.out(torch.tanh(self.hidden(pooled)))

    def begin_with(self, fitted: ReaderWeights) -> None:
        """Goes on from an earlier run's weights, as they are stored."""
        state = self.state_dict()
        for name, added in fitted.added():
            state[f"bert.{name}"] += torch.from_numpy(added)
        for name, values in fitted.head.items():
            state[name] = torch.from_numpy(values)
        self.load_state_dict(state)


def _mean(states, mask):
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


class Batches:
    """Texts to padded tensors. Tokens of a text are kept, since it comes again in other pairs."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._cls, self._sep = map(self._tokenizer.token_to_id, ("[CLS]", "[SEP]"))
        self._known: dict[str, list[int]] = {}

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._known[text]

    def _tokens(self, row: Texts | Reading) -> tuple[list[int], list[int], list[int]]:
        question, opinions, statement = row
        texts = (opinions,) if isinstance(opinions, str) else opinions
        return (
            self._ids(question)[:MAX_QUESTION_TOKENS],
            opinions_as_one([self._ids(text) for text in texts], self._sep),
            self._ids(statement)[:MAX_STATEMENT_TOKENS],
        )

    def length(self, row: Texts | Reading) -> int:
        """Tokens of the texts."""
        return sum(map(len, self._tokens(row)))

    def __call__(self, rows: Sequence[Texts | Reading]) -> tuple[torch.Tensor, ...]:
        tokens = [self._tokens(row) for row in rows]
        shape = (len(rows), max(sum(map(len, three)) for three in tokens) + 4)
        ids, mask, segments = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
        is_opinion, is_statement = torch.zeros(shape), torch.zeros(shape)
        for row, (question, opinion, statement) in enumerate(tokens):
            first = [self._cls, *question, self._sep, *opinion, self._sep]
            whole = [*first, *statement, self._sep]
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
            segments[row, len(first) : len(whole)] = 1
            is_opinion[row, len(first) - 1 - len(opinion) : len(first) - 1] = 1
            is_statement[row, len(first) : len(first) + len(statement)] = 1
        return ids, mask, segments, is_opinion, is_statement

    def by_length(self, rows: Sequence[Texts | Reading], size: int) -> list[list[int]]:
        """Row numbers in batches of like length: less padding to compute."""
        order = sorted(range(len(rows)), key=lambda row: self.length(rows[row]))
        return [order[start : start + size] for start in range(0, len(order), size)]


def outputs(network: Network, batches: Batches, rows: Sequence[Texts | Reading], size: int):
    """Both outputs of each row, a tensor [n_rows, 2], computed in batches of like length."""
    groups = batches.by_length(rows, size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.cat([network(*batches([rows[i] for i in group])).float() for group in groups])
    places = torch.tensor([i for group in groups for i in group])
    return found[torch.argsort(places)]


def predict(network: Network, batches: Batches, rows: Sequence[Texts | Reading]) -> np.ndarray:
    """Both outputs of each row, float64 [n_rows, 2], without gradients."""
    network.eval()
    with torch.inference_mode():
        found = outputs(network, batches, rows, 64).double().numpy()
    network.train()
    return found
