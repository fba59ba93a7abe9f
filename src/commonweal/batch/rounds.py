"""The results of a batch as a dataset in the record format: rounds that nobody has rated yet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from commonweal.batch.reading import Given
from commonweal.datasets.dataset import About, Dataset, Step, frame, write_dataset
from commonweal.datasets.schema import scale_named
from commonweal.groups import Group
from commonweal.participants.rounds import candidate_rows, prediction_rows
from commonweal.result import Agreement


def write_rounds(
    results: Iterable[tuple[Given, Group, Agreement]],
    folder: Path,
    *,
    asked: Mapping[str, Any],
    source: str,
    counts: Counter[str],
) -> None:
    """Writes a round for each result, in their order, over the dataset of an earlier call.

    Args:
        results: with the group that each is of.
        folder: the dataset's.
        asked: what was asked for.
        source: where the groups come from, in words.
        counts: of outcomes; added to.

    Raises:
        InputError: it cannot be written.
    """
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("rounds", "opinions", "candidates", "predictions")
    }
    for given, group, found in results:
        counts[found.outcome.value] += 1
        name, question = given.name, found.question
        tables["rounds"].append(
            {
                "round_id": name,
                "group_id": name,
                "question_id": question.id or _question_id(question.text),
                "question": question.text,
                "topic": group.about.get("topic") or None,
            }
        )
        tables["opinions"] += [
            {
                "round_id": name,
                "opinion_id": each.id,
                "participant_id": _person(name, each.id),
                "text": each.text,
                "source": "written",
            }
            for each in group.opinions
        ]
        tables["candidates"] += candidate_rows(name, found)
        model = found.provenance["reward_model"]
        tables["predictions"] += [
            {**row, "participant_id": _person(name, row["participant_id"]), "reward_model": model}
            for row in prediction_rows(name, found)
        ]
    about = About(
        name=source,
        people="simulated",
        scale=scale_named("likert-7"),
        source=f"{source}; statements by a policy, agreement predicted; nobody has rated them",
        steps=(
            Step(
                what="a batch: candidates written, agreement predicted, one picked in each group",
                options={name: asked[name] for name in sorted(asked) if name != "version"},
                counts=dict(sorted(counts.items())),
            ),
        ),
    )
    dataset = Dataset(about, **{name: frame(name, rows) for name, rows in tables.items()})
    write_dataset(dataset, folder, overwrite=True)


def _person(group: str, name: str) -> str:
    """A person's name everywhere: p1 of one group is not p1 of another."""
    return f"{group}/{name}"


def _question_id(text: str) -> str:
    """The same for the same words, in every group that is asked them."""
    return "q-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
