"""A trained reward model without torch: the folder that ``commonweal train reward`` exports.

The folder holds the network as OpenVINO's files, the tokenizer, and ``reward.json``: the text
template, the calibration, what it was trained on, and the sha256 of the other files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import CommonwealError, WeightsError
from commonweal.extras import needs
from commonweal.files import check_replaceable, sha256_of
from commonweal.models.batching import batches_by_length, padded_width
from commonweal.models.inference import Inference, compiled
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.pair_text import BLOCK, PairText
from commonweal.types import RewardInput

if TYPE_CHECKING:
    from commonweal.types import FloatArray

SCHEMA = "commonweal/reward/1"
DESCRIPTION = "reward.json"
FILES = ("model.xml", "model.bin", "tokenizer.json")

_BATCH_TOKENS = 4096
_BATCH_ROWS = 64
_PAD_TO = 16


@dataclass(frozen=True, slots=True)
class Description:
    """What ``reward.json`` says.

    Attributes:
        name: the model's name, as recorded with what it scores.
        pair_text: how its input is written.
        pad_token_id: fills a batch up to its longest row.
        calibration: from rewards to expected ratings.
        sha256: file name to hash, for ``FILES``.
        metadata: what it was trained on and how.
    """

    name: str
    pair_text: PairText
    pad_token_id: int
    calibration: LogisticCalibration
    sha256: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes it into ``folder``."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, indent=2)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Description:
        """What ``folder`` says of itself, its files compared with their hashes.

        Raises:
            WeightsError: a file is missing, changed or of another schema.
        """
        path = folder / DESCRIPTION
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if (schema := fields.pop("schema", None)) != SCHEMA:
                raise ValueError(f"its schema is {schema!r}, expected {SCHEMA!r}")
            fields["pair_text"] = PairText(**fields["pair_text"])
            fields["calibration"] = LogisticCalibration(**fields["calibration"])
            description = cls(**fields)
            for name in FILES:
                if sha256_of(folder / name) != description.sha256[name]:
                    raise ValueError(f"{name} was changed or cut short")
        except (OSError, ValueError, TypeError, KeyError, CommonwealError) as error:
            raise WeightsError(
                f"{folder} is not a readable reward model ({error}); expected the folder `runtime` "
                "that `commonweal train reward` wrote; export or copy it again"
            ) from None
        return description


def check_export_folder(folder: Path, *, overwrite: bool, inputs: Mapping[str, Path]) -> None:
    """Raises ``InputError`` where no export can be written: asked before the work.

    Args:
        folder: where the export goes.
        overwrite: whether an export that is there may be replaced.
        inputs: what is read, in words, to its folder.

    Raises:
        InputError: as ``files.check_replaceable``.
    """
    check_replaceable(
        folder,
        files=(DESCRIPTION, *FILES),
        what="an exported reward model",
        overwrite=overwrite,
        inputs=inputs,
    )


class ExportedRewardModel:
    """Scores (question, opinion, statement) with an exported network (paper 3.3).

    Safe to share between threads.

    Args:
        folder: what ``commonweal train reward`` exported.

    Raises:
        WeightsError: the folder is not an exported reward model, or was changed.
    """

    def __init__(self, folder: Path) -> None:
        # Imported here: importing commonweal must not load the runtime.
        with needs("embedded", "an exported reward model"):
            from tokenizers import Tokenizer

            self._description = Description.read(folder)
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self._infer = Inference(compiled(folder / "model.xml"))
        ingredients = "".join(self._description.sha256[name] for name in FILES) + json.dumps(
            asdict(self._description.pair_text), sort_keys=True
        )
        self._weights_hash = hashlib.sha256(ingredients.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The name that it was trained under."""
        return self._description.name

    @property
    def weights_hash(self) -> str:
        """The sha256, in hex, over network, tokenizer and template."""
        return self._weights_hash

    @property
    def calibration(self) -> LogisticCalibration:
        """From its rewards to expected ratings."""
        return self._description.calibration

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it was trained on and how."""
        return self._description.metadata

    def rewards(
        self,
        inputs: Sequence[RewardInput],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> FloatArray:
        """Returns one raw scalar for each input, float64 [n_inputs], higher is more agreement.

        Equal inputs are scored once. Memory holds the tokens of ``BLOCK`` inputs, however many
        there are.

        Raises:
            CommonwealError: the network gave a number that is not finite.
        """
        position = {given: row for row, given in enumerate(dict.fromkeys(inputs))}
        unique = list(position)
        scores = np.zeros(len(unique))
        n_done = 0
        # By length first, so that each block is of like texts; its tokens alone are in memory.
        order = sorted(range(len(unique)), key=lambda row: sum(map(len, unique[row])))
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK]
            ids = self._description.pair_text.encode(self._tokenizer, [unique[row] for row in rows])
            for batch in batches_by_length(
                [len(tokens) for tokens in ids], max_rows=_BATCH_ROWS, max_tokens=_BATCH_TOKENS
            ):
                scores[[rows[place] for place in batch]] = self._score(
                    [ids[place] for place in batch]
                )
                n_done += len(batch)
                if on_done is not None:
                    on_done(n_done * len(inputs) // len(unique))
        if not np.isfinite(scores).all():
            raise CommonwealError(
                f"{self.name}: {int((~np.isfinite(scores)).sum())} of {len(scores)} rewards are "
                "not finite; expected finite numbers only: the model is broken, train it again"
            )
        rewards: FloatArray = scores[[position[given] for given in inputs]]
        return rewards

    def _score(self, rows: Sequence[Sequence[int]]) -> FloatArray:
        longest = max(map(len, rows))
        width = padded_width(longest, step=_PAD_TO, limit=self._description.pair_text.max_tokens)
        ids = np.full((len(rows), width), self._description.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        out = self._infer({"input_ids": ids, "attention_mask": mask})
        return np.asarray(out, dtype=np.float64).reshape(len(rows))
