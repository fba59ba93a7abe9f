"""Several datasets as one."""

from __future__ import annotations

from collections.abc import Sequence

from commonweal.datasets.arms import apart
from commonweal.datasets.dataset import About, Dataset, Step, completed
from commonweal.datasets.schema import TABLES
from commonweal.errors import InputError
from commonweal.frames import pl


def merge(datasets: Sequence[Dataset], *, name: str) -> Dataset:
    """All rounds of several datasets under one name; each keeps the steps it came by.

    Their licences and attributions are all named. Arms of studies that have one name and are not
    the same are told apart by their study's name (``arms.apart``).

    Raises:
        InputError: there are none, two differ in scale or in whose ratings they are, a round is
            in two of them, or an arm of one name is not the same in two studies of one name.
    """
    if not datasets:
        raise InputError("no datasets to merge, expected one or more")
    first = datasets[0].about
    for other in datasets[1:]:
        for what, ours, theirs in (
            ("rated on the scale", first.scale.name, other.about.scale.name),
            ("of people who are", first.people, other.about.people),
        ):
            if ours != theirs:
                raise InputError(
                    f"{first.name} is {what} {ours} and {other.about.name} {theirs}; expected the "
                    "same: ratings on two scales, or of two kinds, do not make one dataset"
                )
    datasets = apart(datasets)
    tables = {
        table: completed(
            table,
            pl.concat([getattr(dataset, table) for dataset in datasets], how="diagonal_relaxed"),
        )
        for table in TABLES
    }
    twice = tables["rounds"].filter(pl.col("round_id").is_duplicated())
    if not twice.is_empty():
        raise InputError(
            f"round_id {twice[0, 'round_id']!r} is in two of the datasets; expected each round "
            "once. Where folders, files or groups of one name are two conversations, import each "
            "by itself with a --name of its own, and then all of them as `rounds`"
        )
    steps = [
        step.model_copy(update={"options": {"dataset": dataset.about.name} | step.options})
        for dataset in datasets
        for step in dataset.about.steps
    ]
    merged = Step(
        what="merged",
        options={"datasets": [dataset.about.name for dataset in datasets]},
        counts={table: rows.height for table, rows in tables.items() if rows.height},
    )

    def joined(what: str) -> str:
        return "; ".join(dict.fromkeys(filter(None, (getattr(d.about, what) for d in datasets))))

    return Dataset(
        About(
            name=name,
            people=first.people,
            scale=first.scale,
            source=joined("source"),
            licence=joined("licence"),
            attribution=joined("attribution"),
            steps=(*steps, merged),
        ),
        **tables,
    )
