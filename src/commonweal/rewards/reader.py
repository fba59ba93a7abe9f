"""The reader: one small network that reads question, one person's opinion and a statement together.

A vector of each text alone cannot tell "we should, if …" from "we should not, even if …", and hears
no "not". The reader is a cross-encoder (all-MiniLM-L6-v2 with all layers fine-tuned): every word of
the statement sees every word of the opinion. The network has two outputs: how far a person would
agree, read beside that person's opinion, and how good a statement is as a group's, whatever one
thinks of it, read beside all opinions at once.

What it was trained on and how good it is: ``reader_card.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import CommonwealError, WeightsError
from commonweal.extras import needs
from commonweal.files import sha256_of
from commonweal.models import bert_graph, store
from commonweal.models.batching import batches_by_length, padded_width
from commonweal.models.fitted import fitted_arrays, from_steps, in_steps
from commonweal.models.inference import Inference, compiled
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.ranges import around
from commonweal.types import RewardInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    FloatArray32 = NDArray[np.float32]

WEIGHTS_PATH = Path(__file__).with_name("reader.npz")
SCHEMA_VERSION = 2
BACKBONE = "all-minilm-l6-v2"
BACKBONE_FILES = ("model.safetensors", "tokenizer.json")

MAX_QUESTION_TOKENS, MAX_OPINION_TOKENS, MAX_STATEMENT_TOKENS = 40, 190, 190
"""Longer texts lose their end: people say first what matters to them most."""

MAX_GROUP, MAX_GROUP_TOKENS = 8, 250
"""Opinions read at once, and their tokens together, where quality is judged."""

_AGREEMENT, _QUALITY = 0, 1
PRODUCT_SCALE = 20.0
_BATCH_TOKENS = 4096
_BATCH_ROWS = 64
_BLOCK = 2000
_PAD_TO = 16


Reading = tuple[str, tuple[str, ...], str]
"""Question, opinions and statement that are read together: one opinion, or all of a group."""


def opinions_as_one(opinions: Sequence[Sequence[int]], separator: int) -> list[int]:
    """Token ids of the opinions one after the other, with the separator between them, cut.

    One opinion keeps ``MAX_OPINION_TOKENS``; several share ``MAX_GROUP_TOKENS``, and the longest
    are cut to the same length until they fit.
    """
    if len(opinions) == 1:
        return list(opinions[0][:MAX_OPINION_TOKENS])
    longest = max(map(len, opinions), default=0)
    while longest > 1 and sum(min(len(each), longest) for each in opinions) > MAX_GROUP_TOKENS:
        longest -= 1
    joined: list[int] = []
    for place, each in enumerate(opinions):
        joined += [*([separator] if place else []), *each[:longest]]
    return joined


@dataclass(frozen=True)
class ReaderWeights:
    """Everything that was fitted, as it is stored beside this module.

    Attributes:
        updates: what fine-tuning adds to the backbone: tensor name to an array to be added, or to a
            pair (up [n_out, rank], down [rank, n_in]) whose product is (Hu et al. 2021). Stored as
            whole numbers from -127 to 127 of a step a row.
        head: ``hidden.weight`` [128, 4 · width], ``hidden.bias``, ``out.weight`` [2, 128] and
            ``out.bias``: from the pooled states to agreement and quality.
        calibration: from rewards to expected ratings.
        quality_calibration: from the second output to the quality that a reader would give.
        interval: as of ``ranges.interval_of``.
        metadata: how it was made; ``backbone_sha256`` names the files that it belongs to.
    """

    updates: Mapping[str, FloatArray32 | tuple[FloatArray32, FloatArray32]]
    head: Mapping[str, FloatArray32]
    calibration: LogisticCalibration
    quality_calibration: LogisticCalibration
    interval: FloatArray
    metadata: Mapping[str, Any]

    def added(self) -> Iterator[tuple[str, FloatArray32]]:
        """What is to be added to each of the backbone's tensors that was fine-tuned, by name."""
        for name, update in self.updates.items():
            yield name, update[0] @ update[1] if isinstance(update, tuple) else update

    def save(self, path: Path) -> None:
        """Writes them, compressed."""
        arrays: dict[str, Any] = {
            "schema_version": np.array(SCHEMA_VERSION),
            "metadata": np.array(json.dumps(dict(self.metadata), ensure_ascii=False)),
            "interval": self.interval,
        }
        for name, one in (
            ("calibration", self.calibration),
            ("quality_calibration", self.quality_calibration),
        ):
            arrays[name] = np.array([one.slope, one.intercept])
            arrays[f"{name}_fitted_to"] = np.array(one.fitted_to)
        for name, values in self.head.items():
            arrays[f"head/{name}"] = values.astype(np.float32)
        for name, update in self.updates.items():
            parts = {f"up/{name}": update[0], f"down/{name}": update[1]}
            for part, values in (
                parts if isinstance(update, tuple) else {f"whole/{name}": update}
            ).items():
                arrays |= in_steps(part, values)
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path = WEIGHTS_PATH) -> ReaderWeights:
        """The weights in this file.

        Raises:
            WeightsError: the file is missing, truncated, changed, or of another schema.
        """
        with fitted_arrays(
            path, what="reader", schema=SCHEMA_VERSION, recipe="recipes/reader/train.py"
        ) as arrays:
            metadata = json.loads(str(arrays["metadata"]))
            if set(metadata["backbone_sha256"]) != set(BACKBONE_FILES):
                raise ValueError(f"it does not name the sha256 of {' and '.join(BACKBONE_FILES)}")
            return cls(
                updates=_updates(arrays),
                head={
                    name.removeprefix("head/"): array
                    for name, array in arrays.items()
                    if name.startswith("head/")
                },
                interval=arrays["interval"],
                metadata=metadata,
                calibration=_calibration(arrays, "calibration"),
                quality_calibration=_calibration(arrays, "quality_calibration"),
            )


class Reader:
    """Predicts from a person's own opinion how far they would agree, and how good a statement is.

    Safe to share between threads.

    Args:
        encoder_folder: holds all-MiniLM-L6-v2 (``model.safetensors``, ``tokenizer.json``); by
            default the weights store's.
        weights_path: what was fitted.

    Raises:
        WeightsError: weights or backbone are missing, damaged, or do not belong together.
    """

    name = "reader"

    def __init__(
        self, encoder_folder: Path | None = None, *, weights_path: Path = WEIGHTS_PATH
    ) -> None:
        # Imported here: importing commonweal must not load these.
        with needs("embedded", "the reward model reader"):
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

        folder = store.require(BACKBONE) if encoder_folder is None else encoder_folder
        self._weights = ReaderWeights.load(weights_path)
        digest = hashlib.sha256(sha256_of(weights_path).encode())
        for file_name, expected in sorted(self._weights.metadata["backbone_sha256"].items()):
            got = _sha256(folder / file_name)
            if got != expected:
                raise WeightsError(
                    f"{folder / file_name} has sha256 {got}, and this reader was fitted "
                    f"to {expected}; run `commonweal models verify`, then `commonweal models pull "
                    f"{BACKBONE}`"
                )
            digest.update(expected.encode())
        self._weights_hash = digest.hexdigest()
        tensors: dict[str, FloatArray32] = load_file(folder / "model.safetensors")
        for name, added in self._weights.added():
            if name not in tensors or tensors[name].shape != added.shape:
                raise WeightsError(f"{weights_path}: an update does not fit the tensor {name!r}")
            tensors[name] = tensors[name] + added
        tensors.update({f"head.{name}": array for name, array in self._weights.head.items()})
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        vocabulary = self._tokenizer.get_vocab()
        self._cls_id, self._sep_id = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._graph = Inference(_compile(tensors))

    @property
    def weights_hash(self) -> str:
        """The sha256, in hex, over what was fitted and the backbone's files."""
        return self._weights_hash

    @property
    def calibration(self) -> LogisticCalibration:
        """From its rewards to expected ratings."""
        return self._weights.calibration

    @property
    def metadata(self) -> Mapping[str, Any]:
        """How it was made: data, seed, settings."""
        return self._weights.metadata

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Raw rewards, float64 [n_inputs], higher is more agreement.

        Deterministic, and the same for an input whatever else is in the batch (to rounding).
        ``on_done`` is called with the number of inputs read so far.

        Raises:
            CommonwealError: a reward came out that is not a finite number.
        """
        readings = [(each.question, (each.opinion,), each.statement) for each in inputs]
        return self._read(readings, on_done)[:, _AGREEMENT]

    def qualities(
        self, question: str, opinions: Sequence[str], statements: Sequence[str]
    ) -> FloatArray:
        """The quality from 1 to 7 of each as a group's statement, float64 [n_statements].

        Sense, wording and whether it says what these people said, whatever one thinks of it. Each
        is read beside all opinions at once; beside so many as fit, several times, if there are
        more than ``MAX_GROUP``.
        """
        n_parts = max(1, -(-len(opinions) // MAX_GROUP))
        parts = [tuple(opinions[start::n_parts]) for start in range(n_parts)]
        readings = [(question, part, statement) for part in parts for statement in statements]
        logits = self._read(readings, None)[:, _QUALITY].reshape(n_parts, len(statements))
        return self._weights.quality_calibration.expected_rating(logits.mean(axis=0))

    def ranges(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Low and high for expected ratings, each of their shape: half of the grades lay
        between them.

        From groups that were kept out of the training.
        """
        return around(expected, self._weights.interval)

    def _read(
        self, readings: Sequence[Reading], on_done: Callable[[int], None] | None
    ) -> FloatArray:
        """Both outputs of each reading, [n_readings, 2]; equal ones are read once."""
        position = {given: row for row, given in enumerate(dict.fromkeys(readings))}
        unique = list(position)
        of_unique = np.zeros((len(unique), 2))
        n_done = 0
        for rows, tokens in self._batches(unique):
            of_unique[rows] = self._infer(tokens)
            n_done += len(rows)
            if on_done is not None:
                on_done(n_done * len(readings) // len(unique))
        if not np.isfinite(of_unique).all():
            raise CommonwealError(
                f"{self.name}: some of {len(of_unique)} outputs are not finite; expected finite "
                "numbers only: run `commonweal models verify`"
            )
        outputs: FloatArray = of_unique[[position[given] for given in readings]]
        return outputs

    def _batches(
        self, unique: Sequence[Reading]
    ) -> Iterator[tuple[list[int], list[tuple[list[int], ...]]]]:
        # By length first, so that a block holds like texts; its tokens alone are in memory.
        order = sorted(range(len(unique)), key=lambda row: sum(map(len, _texts(unique[row]))))
        for start in range(0, len(order), _BLOCK):
            rows = order[start : start + _BLOCK]
            tokens = self._tokens([unique[row] for row in rows])
            lengths = [sum(map(len, three)) + 4 for three in tokens]
            for batch in batches_by_length(lengths, max_rows=_BATCH_ROWS, max_tokens=_BATCH_TOKENS):
                yield [rows[place] for place in batch], [tokens[place] for place in batch]

    def _tokens(self, readings: Sequence[Reading]) -> list[tuple[list[int], ...]]:
        """Ids of question, opinions and statement of each, cut. "[SEP]" in a text is only text."""
        texts = list(dict.fromkeys(text for given in readings for text in _texts(given)))
        encodings = self._tokenizer.encode_batch(
            [_plain(text) for text in texts], add_special_tokens=False
        )
        ids = {text: one.ids for text, one in zip(texts, encodings, strict=True)}
        return [
            (
                ids[question][:MAX_QUESTION_TOKENS],
                opinions_as_one([ids[each] for each in opinions], self._sep_id),
                ids[statement][:MAX_STATEMENT_TOKENS],
            )
            for question, opinions, statement in readings
        ]

    def _infer(self, tokens: Sequence[tuple[list[int], ...]]) -> FloatArray:
        longest = max(sum(map(len, three)) for three in tokens) + 4
        width = padded_width(longest, step=_PAD_TO, limit=512)
        shape = (len(tokens), width)
        ids, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        mask, is_opinion, is_statement = (np.zeros(shape, np.float32) for _ in range(3))
        for row, (question, opinion, statement) in enumerate(tokens):
            sequence = [self._cls_id, *question, self._sep_id, *opinion, self._sep_id]
            second = len(sequence)
            sequence += [*statement, self._sep_id]
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
            segments[row, second : len(sequence)] = 1
            is_opinion[row, second - 1 - len(opinion) : second - 1] = 1
            is_statement[row, second : second + len(statement)] = 1
        out = self._graph((ids, mask, segments, is_opinion, is_statement))
        return np.asarray(out, dtype=np.float64)


def _compile(tensors: Mapping[str, FloatArray32]) -> Any:
    """(ids, mask, segments, is_opinion, is_statement), each [n, t] -> [n, 2]."""
    import openvino as ov
    from openvino import opset13 as op

    names = ("ids", "mask", "segments", "is_opinion", "is_statement")
    kinds = (np.int64, np.float32, np.int64, np.float32, np.float32)
    inputs = [
        op.parameter([-1, -1], kind, name=name) for name, kind in zip(names, kinds, strict=True)
    ]
    ids, mask, segments, is_opinion, is_statement = inputs
    states = bert_graph.hidden_states(tensors, ids, mask, segments)
    first = op.gather(states, op.constant(np.array(0)), op.constant(np.array(1)))
    opinion = bert_graph.mean_over(states, is_opinion)
    statement = bert_graph.mean_over(states, is_statement)
    both = op.multiply(op.multiply(opinion, statement), bert_graph.scalar(PRODUCT_SCALE))
    pooled = op.concat([first, opinion, statement, both], 1)
    hidden = op.tanh(bert_graph.linear(tensors, pooled, "head.hidden"))
    out = bert_graph.linear(tensors, hidden, "head.out")
    return compiled(ov.Model([out], inputs, "reader"))


def _updates(
    arrays: Mapping[str, NDArray[Any]],
) -> dict[str, FloatArray32 | tuple[FloatArray32, FloatArray32]]:
    updates: dict[str, FloatArray32 | tuple[FloatArray32, FloatArray32]] = {}
    for stored in arrays:
        kind, _, name = stored.partition("/")
        if kind == "whole":
            updates[name] = from_steps(stored, arrays)
        elif kind == "up":
            updates[name] = (from_steps(stored, arrays), from_steps(f"down/{name}", arrays))
    return updates


def _calibration(arrays: Mapping[str, NDArray[Any]], name: str) -> LogisticCalibration:
    slope, intercept = map(float, arrays[name])
    return LogisticCalibration(slope, intercept, str(arrays[f"{name}_fitted_to"]))


def _texts(reading: Reading) -> tuple[str, ...]:
    question, opinions, statement = reading
    return (question, *opinions, statement)


def _plain(text: str) -> str:
    """The text without what the tokenizer takes for its own marks, and without lone surrogates."""
    for mark in ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"):
        text = text.replace(mark, mark.strip("[]"))
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(
            f"cannot read {path} ({error.strerror}); run `commonweal models pull {BACKBONE}`"
        ) from error
