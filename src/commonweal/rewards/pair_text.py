"""The text that a language-model reward model reads: question, one opinion, one statement.

Training and inference make their tokens here, with the same tokenizer file, so that what a model
was trained on is what it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from commonweal.errors import InputError
from commonweal.types import RewardInput

BLOCK = 2000
"""Texts that are tokenised at a time."""

_FIELD = re.compile(r"\{(question|opinion|statement)\}")


@dataclass(frozen=True, slots=True)
class PairText:
    """How question, opinion and statement become one text, and how long it may be.

    Attributes:
        template: holds ``{opinion}`` and ``{statement}``, and ``{question}`` unless the model is
            not to read it.
        max_tokens: a longer text loses the end of the opinion: the statement is what is judged,
            and people say first what matters to them most.
    """

    template: str = "Question: {question}\nOpinion: {opinion}\nStatement: {statement}"
    max_tokens: int = 256

    def __post_init__(self) -> None:
        missing = {"opinion", "statement"} - set(_FIELD.findall(self.template))
        if missing:
            raise InputError(
                f"the template {self.template!r} does not have {{{missing.pop()}}}; expected "
                "{opinion} and {statement}"
            )
        if self.max_tokens < 16:
            raise InputError(f"max_tokens is {self.max_tokens}, expected at least 16")

    def ended_by(self, token: str) -> PairText:
        """The same text with this token at its end, unless it is there."""
        return (
            self if self.template.endswith(token) else replace(self, template=self.template + token)
        )

    def fill(self, given: RewardInput) -> str:
        """The whole text, not cut."""
        values = given._asdict()
        # In one pass, so that braces in an opinion are only text.
        return re.sub(_FIELD, lambda match: str(values[match[1]]), self.template)

    def encode(self, tokenizer: Any, inputs: Sequence[RewardInput]) -> list[list[int]]:
        """Token ids of each text, special tokens included: [n_inputs][at most max_tokens].

        Args:
            tokenizer: a ``tokenizers.Tokenizer`` that neither truncates nor pads.
            inputs: what is to be judged.
        """
        encoded: list[list[int]] = []
        # What a tokenizer returns is many times its ids, which alone are kept.
        for start in range(0, len(inputs), BLOCK):
            block = inputs[start : start + BLOCK]
            encodings = tokenizer.encode_batch([self.fill(given) for given in block])
            for given, encoding in zip(block, encodings, strict=True):
                ids = encoding.ids
                encoded.append(ids if len(ids) <= self.max_tokens else self._cut(tokenizer, given))
        return encoded

    def _cut(self, tokenizer: Any, given: RewardInput) -> list[int]:
        # The end of the opinion goes, and only where that is not enough the question's, and the
        # statement's.
        ids: list[int] = []
        for field in ("opinion", "question", "statement"):
            text = getattr(given, field)
            offsets = tokenizer.encode(text, add_special_tokens=False).offsets
            n_others = len(tokenizer.encode(self.fill(given._replace(**{field: ""}))).ids)
            # Tokens can join or part where texts meet, so the first guess may be a few too long.
            for n_kept in range(max(0, min(len(offsets), self.max_tokens - n_others)), -1, -1):
                short = text[: offsets[n_kept - 1][1]] if n_kept else ""
                ids = tokenizer.encode(self.fill(given._replace(**{field: short}))).ids
                if len(ids) <= self.max_tokens:
                    return ids
            given = given._replace(**{field: ""})
        # The template alone is too long.
        return ids[: self.max_tokens]
