"""Rows of tokens put together by length, so that a batch carries little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches_by_length(
    lengths: Sequence[int], *, max_rows: int, max_tokens: int
) -> Iterator[list[int]]:
    """Row numbers, shortest rows first, in batches that hold at most so many rows and tokens.

    Equal lengths keep their order. A row longer than ``max_tokens`` is a batch of its own.

    Args:
        lengths: tokens of each row, [n_rows].
        max_rows: most rows in a batch.
        max_tokens: most rows times tokens of the longest of them.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        # Ascending lengths: this row would set the padded length of the whole batch.
        if batch and (len(batch) == max_rows or (len(batch) + 1) * lengths[row] > max_tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def padded_width(longest: int, *, step: int, limit: int) -> int:
    """The length to pad to: the next multiple of ``step``, at most ``limit``.

    Few distinct shapes, so that an engine prepares its kernels a few times only.
    """
    return min(-(-longest // step) * step, limit)
