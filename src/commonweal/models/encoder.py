"""Sentence embeddings from MiniLM weights, run by OpenVINO, without torch.

The pooling is that of all-MiniLM-L6-v2 (Reimers & Gurevych 2019): the mean over tokens, then unit
length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import WeightsError
from commonweal.extras import needs
from commonweal.models import bert_graph
from commonweal.models.batching import batches_by_length, padded_width
from commonweal.models.inference import Inference, compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray32 = NDArray[np.float32]

WINDOW_TOKENS = 254
"""Tokens of text in one window. With [CLS] and [SEP] that is 256, the length that the model was
trained at; its position table would go to 512, but nothing beyond 256 was ever trained."""

_BATCH_TOKENS = 4096
_BATCH_ROWS = 64
_PAD_TO = 16


class SentenceEncoder:
    """Texts in, unit vectors of 384 numbers out. Deterministic; not truncating.

    Safe to share between threads.

    A text longer than one window is split into consecutive windows of ``WINDOW_TOKENS`` tokens,
    each is embedded, and the mean of their vectors, weighted by their number of tokens, is brought
    back to unit length. So the end of a long text counts as much as its beginning.

    Args:
        folder: holds ``model.safetensors`` and ``tokenizer.json`` of all-MiniLM-L6-v2.
        updates: what fine-tuning adds to the weights, by tensor name, in each tensor's shape.

    Raises:
        WeightsError: a file is missing or is not what its name says, or an update does not fit.
    """

    def __init__(self, folder: Path, *, updates: Mapping[str, FloatArray32] | None = None) -> None:
        # Imported here: together these take most of a second, and importing commonweal must not.
        with needs("embedded", "the sentence encoder"):
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

        weights_path, tokenizer_path = folder / "model.safetensors", folder / "tokenizer.json"
        for path in (weights_path, tokenizer_path):
            if not path.is_file():
                raise WeightsError(
                    f"no {path.name} in {folder}: expected the all-MiniLM-L6-v2 folder with "
                    "model.safetensors and tokenizer.json; pull the weights again"
                )
        try:
            tensors: dict[str, FloatArray32] = load_file(weights_path)
            self._tokenizer: Any = Tokenizer.from_file(str(tokenizer_path))
            vocabulary = self._tokenizer.get_vocab()
            self._cls_id, self._sep_id = vocabulary["[CLS]"], vocabulary["[SEP]"]
            for name, update in (updates or {}).items():
                if name not in tensors or tensors[name].shape != update.shape:
                    raise ValueError(f"an update of shape {update.shape} does not fit {name!r}")
                tensors[name] = tensors[name] + update
            self._infer = Inference(_compile(tensors))
        except Exception as error:  # each of the three libraries raises its own kinds
            raise WeightsError(
                f"{folder} does not hold a readable all-MiniLM-L6-v2 ({error}); "
                "pull the weights again"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.n_dimensions = int(tensors["embeddings.word_embeddings.weight"].shape[1])

    def encode(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray32:
        """Returns unit vectors, float32 [n_texts, 384]; equal texts are embedded once.

        ``on_done`` is called with the number of windows embedded so far, after each batch.
        A text of nothing but blanks or control characters is embedded as the empty text.
        """
        if not texts:
            return np.zeros((0, self.n_dimensions), dtype=np.float32)
        position = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        encodings = self._tokenizer.encode_batch(
            [encodable(text) for text in position], add_special_tokens=False
        )
        windows: list[list[int]] = []
        owners: list[int] = []
        for row, encoding in enumerate(encodings):
            ids = encoding.ids
            for start in range(0, max(1, len(ids)), WINDOW_TOKENS):
                windows.append(ids[start : start + WINDOW_TOKENS])
                owners.append(row)
        vectors = self._encode_windows(windows, on_done)
        # An empty window still counts as one token, so that its text gets a vector.
        weights = np.array([[max(1, len(window))] for window in windows], dtype=np.float32)
        sums = np.zeros((len(position), self.n_dimensions), dtype=np.float32)
        np.add.at(sums, owners, vectors * weights)
        unique = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        result: FloatArray32 = unique[[position[text] for text in texts]]
        return result

    def _encode_windows(
        self, windows: Sequence[list[int]], on_done: Callable[[int], None] | None
    ) -> FloatArray32:
        vectors = np.zeros((len(windows), self.n_dimensions), dtype=np.float32)
        n_done = 0
        for batch in batches_by_length(
            [len(window) + 2 for window in windows], max_rows=_BATCH_ROWS, max_tokens=_BATCH_TOKENS
        ):
            ids, mask = self._pad([windows[i] for i in batch])
            vectors[batch] = self._infer((ids, mask))
            n_done += len(batch)
            if on_done is not None:
                on_done(n_done)
        return vectors

    def _pad(self, windows: Sequence[list[int]]) -> tuple[NDArray[np.int64], FloatArray32]:
        longest = max(len(window) for window in windows) + 2
        width = padded_width(longest, step=_PAD_TO, limit=WINDOW_TOKENS + 2)
        ids = np.zeros((len(windows), width), dtype=np.int64)
        mask = np.zeros((len(windows), width), dtype=np.float32)
        for row, window in enumerate(windows):
            n_tokens = len(window) + 2
            ids[row, :n_tokens] = [self._cls_id, *window, self._sep_id]
            mask[row, :n_tokens] = 1
        return ids, mask


def encodable(text: str) -> str:
    """The text with lone surrogates (which no UTF-8 tokeniser takes) as replacement characters."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _compile(tensors: dict[str, FloatArray32]) -> Any:
    """The compiled graph: (ids int64 [n, t], mask float32 [n, t]) -> unit vectors [n, 384]."""
    import openvino as ov
    from openvino import opset13 as op

    ids = op.parameter([-1, -1], np.int64, name="ids")
    mask = op.parameter([-1, -1], np.float32, name="mask")
    pooled = bert_graph.mean_over(bert_graph.hidden_states(tensors, ids, mask), mask)
    unit = op.normalize_l2(pooled, op.constant(np.array(1)), 1e-24, "max")
    return compiled(ov.Model([unit], [ids, mask], "sentence_encoder"))
