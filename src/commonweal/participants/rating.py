"""People who are not there rate rounds: the step between writing and training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from commonweal.datasets.dataset import Dataset, Step, frame
from commonweal.errors import InputError
from commonweal.participants import Crowd, Participant, WantedAnswer
from commonweal.participants.rounds import by_round
from commonweal.types import Progress, Question, no_progress

REPORT_EVERY = 100
"""Ratings between two reports of progress."""


class _Task(NamedTuple):
    """One statement that one person is to rate in one pass."""

    round_id: str
    question: Question
    participant_id: str
    candidate_id: str
    text: str
    pass_index: int
    position: int

    def wanted(self) -> tuple[WantedAnswer, WantedAnswer]:
        who, what, when = self.participant_id, self.text, self.pass_index
        return (
            WantedAnswer(who, self.question, "agreement", what, when),
            WantedAnswer(who, self.question, "quality", what, when),
        )


def rate_rounds(
    crowd: Crowd,
    dataset: Dataset,
    *,
    rng: np.random.Generator,
    on_progress: Progress = no_progress,
) -> Dataset:
    """The same rounds with everybody's ratings of the position statement and of what is shown.

    Everybody with an opinion in a round rates each shown candidate in each pass, in an order drawn
    by ``rng``; the ratings themselves hang on the crowd's seed alone. An answer that the crowd does
    not have is null, and counted in the step. Ratings that were there are replaced.

    Args:
        crowd: of the settings and seed that made the rounds.
        dataset: rounds, opinions and candidates.
        rng: draws the orders.
        on_progress: called with ("rate", n_done, n_total) and what the crowd reports.

    Raises:
        InputError: the dataset is other people's (its kind or scale differs, or the crowd has none
            of these names), or nothing is shown.
    """
    _check_fits(crowd, dataset)
    positions, tasks = _to_rate(crowd, dataset, rng)
    wanted = [
        WantedAnswer(who, question, "agreement", text) for _, who, question, text in positions
    ]
    crowd.prepare([*wanted, *(w for task in tasks for w in task.wanted())], on_progress=on_progress)
    people: dict[str, Participant] = {
        name: crowd.participant(name) for name in dataset.opinions["participant_id"].unique()
    }
    position_rows: list[dict[str, Any]] = [
        {
            "round_id": round_id,
            "participant_id": who,
            "agreement": people[who].rate_position(question, text),
        }
        for round_id, who, question, text in positions
    ]
    rows: list[dict[str, Any]] = []
    for task in tasks:
        rating = people[task.participant_id].rate(task.question, task.text, task.pass_index)
        kept = task._asdict() | rating._asdict()
        rows.append({name: kept[name] for name in kept if name not in ("question", "text")})
        if len(rows) % REPORT_EVERY == 0 or len(rows) == len(tasks):
            on_progress("rate", len(rows), len(tasks))
    origin = crowd.origin
    step = Step(
        what=f"rated by {origin.people} participants",
        options=origin.options | {"passes": crowd.n_passes},
        counts={
            "ratings asked for": len(rows),
            "ratings missing: agreement": sum(row["agreement"] is None for row in rows),
            "ratings missing: quality": sum(row["quality"] is None for row in rows),
            "position ratings asked for": len(position_rows),
            "position ratings missing": sum(row["agreement"] is None for row in position_rows),
            **crowd.counts,
        },
    )
    return replace(
        dataset,
        ratings=frame("ratings", rows),
        position_ratings=frame("position_ratings", position_rows),
    ).with_step(step)


def _check_fits(crowd: Crowd, dataset: Dataset) -> None:
    about, origin = dataset.about, crowd.origin
    for what, got, expected in (
        ("people", about.people, origin.people),
        ("scale", about.scale.name, crowd.scale.name),
    ):
        if got != expected:
            raise InputError(
                f"{about.name}: its {what}: {got}; the crowd's: {expected}; expected rounds that "
                "this crowd was seated in (new_rounds)"
            )
    if not dataset.candidates["shown"].any():
        raise InputError(f"{about.name}: no candidate is shown; nothing to rate")


def _to_rate(
    crowd: Crowd, dataset: Dataset, rng: np.random.Generator
) -> tuple[list[tuple[str, str, Question, str]], list[_Task]]:
    """(round, person, question, position statement) of each position rating; each rating's task."""
    shown = by_round(
        dataset.candidates.filter("shown"), lambda row: (row["candidate_id"], row["text"])
    )
    people = by_round(dataset.opinions, lambda row: str(row["participant_id"]))
    positions, tasks = [], []
    for row in dataset.rounds.iter_rows(named=True):
        round_id, question = row["round_id"], Question(row["question"], row["question_id"])
        statements = shown.get(round_id, [])
        for who in people.get(round_id, []):
            if row["position_statement"] is not None:
                positions.append((round_id, who, question, row["position_statement"]))
            for pass_index in range(crowd.n_passes):
                order = rng.permutation(len(statements))
                for place, (name, text) in enumerate(statements[int(at)] for at in order):
                    tasks.append(_Task(round_id, question, who, name, text, pass_index, place))
    return positions, tasks
