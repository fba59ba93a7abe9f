"""Questions and an encoder made for these tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from commonweal.questions.records import QuestionRecord, content_id


class WordEncoder:
    """Unit vectors from the words of a text: the same words, the same vector. Counts its calls."""

    n_dimensions = 64

    def __init__(self) -> None:
        self.n_texts = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.n_texts += len(texts)
        vectors = np.zeros((len(texts), self.n_dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().rstrip("?").split():
                digest = hashlib.sha256(word.encode()).digest()
                vectors[row] += np.frombuffer(digest * 2, dtype=np.int8)
            vectors[row] /= np.linalg.norm(vectors[row]) or 1
        return vectors


def make_records(*questions: str) -> tuple[QuestionRecord, ...]:
    return tuple(QuestionRecord(content_id(q), q, source="test") for q in questions)
