"""The results of a batch as a dataset in the record format: rounds that nobody has rated yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from commonweal.batch.reading import Given
from commonweal.datasets.dataset import About, Dataset, Step, frame, write_dataset
from commonweal.datasets.schema import scale_named
from commonweal.datasets.words import question_id
from commonweal.frames import pl
from commonweal.groups import Group
from commonweal.participants.rounds import candidate_rows, prediction_rows
from commonweal.result import Agreement

_TABLES = ("rounds", "opinions", "candidates", "predictions")
_BLOCK = 1_000
"""Rounds whose rows are collected before they become frames."""


def write_rounds(
    results: Iterable[tuple[Given, Group, Agreement]],
    folder: Path,
    *,
    asked: Mapping[str, Any],
    source: str,
    counts: Counter[str],
) -> None:
    """Writes a round for each result, in their order, over the dataset of an earlier call.

    Of a dataset's rounds everything is kept that they and their opinions said; its statements and
    ratings are not.

    Args:
        results: with the group that each is of.
        folder: the dataset's.
        asked: what was asked for.
        source: where the groups come from, in words.
        counts: of outcomes; added to.

    Raises:
        InputError: it cannot be written.
    """
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
    blocks: dict[str, list[pl.DataFrame]] = {name: [] for name in _TABLES}

    def pack() -> None:
        # A row in a frame takes a tenth of the memory of one in a list.
        for name, rows in tables.items():
            blocks[name].append(frame(name, rows))
            rows.clear()

    before: About | None = None
    for given, group, result in results:
        known: Mapping[str, Any] = {}
        rows: Mapping[str, Mapping[str, Any]] = {}
        if given.origin is not None:
            before, known, rows = given.origin.about, given.origin.round, given.origin.opinions
        people = {
            each.id: rows[each.id]["participant_id"]
            if each.id in rows
            else _person(given.name, each.id)
            for each in group.opinions
        }
        counts[result.outcome.value] += 1
        name, question = given.name, result.question
        tables["rounds"].append(
            {
                **known,
                "round_id": name,
                "group_id": known.get("group_id") or name,
                "question_id": question.id or question_id(question.text),
                "question": question.text,
                "topic": group.about.get("topic") or known.get("topic"),
            }
        )
        tables["opinions"] += [
            {
                "source": "written",
                **rows.get(each.id, {}),
                "round_id": name,
                "opinion_id": each.id,
                "participant_id": people[each.id],
                "text": each.text,
            }
            for each in group.opinions
        ]
        tables["candidates"] += candidate_rows(name, result)
        model = result.provenance["reward_model"]
        tables["predictions"] += [
            {**row, "participant_id": people[row["participant_id"]], "reward_model": model}
            for row in prediction_rows(name, result)
        ]
        if len(tables["rounds"]) == _BLOCK:
            pack()
    pack()
    about = About(
        name=source,
        people="simulated",
        scale=scale_named("likert-7"),
        source=f"{before.source if before else source}; statements by a policy, agreement "
        "predicted; nobody has rated them",
        licence=before.licence if before else "",
        attribution=before.attribution if before else "",
        steps=(
            *(before.steps if before else ()),
            Step(
                what="a batch: candidates written, agreement predicted, one picked in each group",
                options={name: asked[name] for name in sorted(asked) if name != "version"},
                counts=dict(sorted(counts.items())),
            ),
        ),
    )
    dataset = Dataset(
        about, **{name: pl.concat(parts, rechunk=True) for name, parts in blocks.items()}
    )
    write_dataset(dataset, folder, overwrite=True)


def _person(group: str, name: str) -> str:
    """A person's name everywhere: p1 of one group is not p1 of another."""
    return f"{group}/{name}"
