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
    MAX_OPINION_TOKENS,
    MAX_QUESTION_TOKENS,
    MAX_STATEMENT_TOKENS,
    PRODUCT_SCALE,
)

N_HIDDEN = 128
LIMITS = (MAX_QUESTION_TOKENS, MAX_OPINION_TOKENS, MAX_STATEMENT_TOKENS)

Texts = tuple[str, str, str]
"""Question, opinion, statement."""


class Network(nn.Module):
    """One pass over the three texts; out come agreement and quality, each as (grade - 4) / 3."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        shape = BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
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


def _mean(states, mask):
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


class Batches:
    """Texts to padded tensors. Tokens of a text are kept, since it comes again in other pairs."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._cls, self._sep = map(self._tokenizer.token_to_id, ("[CLS]", "[SEP]"))
        self._known: dict[tuple[str, int], list[int]] = {}

    def _ids(self, text: str, limit: int) -> list[int]:
        if (text, limit) not in self._known:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            self._known[text, limit] = ids[:limit]
        return self._known[text, limit]

    def length(self, texts: Texts) -> int:
        """Tokens of the three texts."""
        return sum(len(self._ids(t, limit)) for t, limit in zip(texts, LIMITS, strict=True))

    def __call__(self, rows: Sequence[Texts]) -> tuple[torch.Tensor, ...]:
        shape = (len(rows), max(map(self.length, rows)) + 4)
        ids, mask, segments = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
        is_opinion, is_statement = torch.zeros(shape), torch.zeros(shape)
        for row, texts in enumerate(rows):
            question, opinion, statement = (
                self._ids(text, limit) for text, limit in zip(texts, LIMITS, strict=True)
            )
            first = [self._cls, *question, self._sep, *opinion, self._sep]
            whole = [*first, *statement, self._sep]
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
            segments[row, len(first) : len(whole)] = 1
            is_opinion[row, len(first) - 1 - len(opinion) : len(first) - 1] = 1
            is_statement[row, len(first) : len(first) + len(statement)] = 1
        return ids, mask, segments, is_opinion, is_statement

    def by_length(self, rows: Sequence[Texts], size: int) -> list[list[int]]:
        """Row numbers in batches of like length: less padding to compute."""
        order = sorted(range(len(rows)), key=lambda row: self.length(rows[row]))
        return [order[start : start + size] for start in range(0, len(order), size)]


def outputs(network: Network, batches: Batches, rows: Sequence[Texts], size: int):
    """Both outputs of each row, a tensor [n_rows, 2], computed in batches of like length."""
    groups = batches.by_length(rows, size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.cat([network(*batches([rows[i] for i in group])).float() for group in groups])
    places = torch.tensor([i for group in groups for i in group])
    return found[torch.argsort(places)]


def predict(network: Network, batches: Batches, rows: Sequence[Texts]) -> np.ndarray:
    """Both outputs of each row, float64 [n_rows, 2], without gradients."""
    network.eval()
    with torch.inference_mode():
        found = outputs(network, batches, rows, 64).double().numpy()
    network.train()
    return found
