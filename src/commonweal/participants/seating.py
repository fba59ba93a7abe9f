"""Who sits with whom on which question, where anybody can be asked anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from commonweal.errors import InputError
from commonweal.participants import Asked, Sitting


def check_counts(**counts: int) -> None:
    """Raises ``InputError`` where one of these is below 1.

    Raises:
        InputError: it names the count.
    """
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}, expected at least 1")


def draw_names(prefix: str, n_names: int, rng: np.random.Generator) -> list[str]:
    """New names, ``prefix`` and ten hex digits each: two draws do not meet by chance."""
    names: dict[str, None] = {}
    while len(names) < n_names:
        names[f"{prefix}{int(rng.integers(16**10)):010x}"] = None
    return list(names)


def draw_sittings(
    questions: Sequence[Asked],
    participant_ids: Sequence[str],
    *,
    group_size: int,
    rounds_per_group: int,
    rng: np.random.Generator,
    split: str | None,
) -> list[Sitting]:
    """The people in groups, each on ``rounds_per_group`` questions of this split.

    Every question is asked before any is asked again, so that questions are used evenly; no group
    has one twice.

    Raises:
        InputError: there are too few questions.
    """
    usable = [asked for asked in questions if split is None or asked.split == split]
    if len(usable) < rounds_per_group:
        raise InputError(
            f"{len(usable)} questions{f' in the split {split!r}' if split else ''}, expected at "
            f"least {rounds_per_group}: one for each round of a group"
        )
    sittings: list[Sitting] = []
    queue: list[int] = []
    for n, start in enumerate(range(0, len(participant_ids), group_size), start=1):
        members = tuple(participant_ids[start : start + group_size])
        for _ in range(rounds_per_group):
            had = [each.asked for each in sittings if each.group_id == f"g{n:04d}"]
            open_ = [row for row in queue if usable[row] not in had]
            if not open_:
                fresh = [int(row) for row in rng.permutation(len(usable))]
                open_ = [row for row in fresh if usable[row] not in had]
                queue += fresh
            queue.remove(open_[0])
            sittings.append(Sitting(f"g{n:04d}", usable[open_[0]], members))
    return sittings
