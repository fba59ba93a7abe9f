"""Rounds of people who are not there, in the record format, up to where they rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import numpy as np

from commonweal.datasets.dataset import About, Dataset, Step, frame
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.participants import Crowd, WantedAnswer
from commonweal.participants.seating import check_counts
from commonweal.selection import Selection
from commonweal.types import Candidate, Opinion, Progress, Question, Round, no_progress

Row = dict[str, Any]
T = TypeVar("T")


def new_rounds(
    crowd: Crowd,
    *,
    n_groups: int,
    group_size: int,
    rng: np.random.Generator,
    rounds_per_group: int = 1,
    split: str | None = None,
    iteration: int | None = None,
    name: str = "rounds",
    on_progress: Progress = no_progress,
) -> Dataset:
    """Groups with their questions and opinions; no ratings yet.

    Candidates there are only where the crowd brings statements of its own (``replay``).

    Args:
        crowd: who takes part.
        n_groups: groups.
        group_size: people in each.
        rng: draws people and questions.
        rounds_per_group: questions that each group is asked.
        split: only questions of this split; None for any.
        iteration: the turn of the training loop; it begins the names of groups and rounds, so that
            the rounds of two turns can be merged.
        name: the dataset's.
        on_progress: called with ("opinions", n_done, n_total) and what the crowd reports.

    Raises:
        InputError: a count is below 1, or the crowd has not as many people or questions.
    """
    check_counts(n_groups=n_groups, group_size=group_size, rounds_per_group=rounds_per_group)
    sittings = crowd.sit(
        n_groups=n_groups,
        group_size=group_size,
        rounds_per_group=rounds_per_group,
        rng=rng,
        split=split,
    )
    prefix = "" if iteration is None else f"i{iteration}-"
    wanted = [
        WantedAnswer(person, sitting.asked.question, "opinion")
        for sitting in sittings
        for person in sitting.participant_ids
    ]
    crowd.prepare(wanted, on_progress=on_progress)
    rounds: list[Row] = []
    opinions: list[Row] = []
    statements: list[Row] = []
    for sitting in sittings:
        asked, question = sitting.asked, sitting.asked.question
        group_id = prefix + sitting.group_id
        round_id = f"{group_id}-{question.id}"
        rounds.append(
            {
                "round_id": round_id,
                "group_id": group_id,
                "question_id": question.id,
                "question": question.text,
                "position_statement": asked.position_statement,
                "topic": asked.topic,
                "split": asked.split,
                "iteration": iteration,
            }
        )
        for person in sitting.participant_ids:
            opinions.append(
                {
                    "round_id": round_id,
                    "opinion_id": person,
                    "participant_id": person,
                    "text": crowd.participant(person).opinion(question),
                    "source": crowd.source_of(person),
                }
            )
            on_progress("opinions", len(opinions), len(wanted))
        statements += [candidate_row(round_id, each, shown=True) for each in sitting.statements]
    origin = crowd.origin
    about = About(
        name=name,
        people=origin.people,
        scale=crowd.scale,
        source=origin.source,
        licence=origin.licence,
        attribution=origin.attribution,
        steps=(
            Step(
                what=f"groups of {origin.people} participants",
                options=origin.options
                | {
                    "group_size": group_size,
                    "rounds_per_group": rounds_per_group,
                    "split": split,
                    "iteration": iteration,
                },
                counts={
                    "groups": n_groups,
                    "rounds": len(rounds),
                    "people": len({row["participant_id"] for row in opinions}),
                    "opinions": len(opinions),
                },
            ),
        ),
    )
    return Dataset(
        about,
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", statements),
    )


def rounds_of(dataset: Dataset) -> list[Round]:
    """The dataset's rounds as records, without ratings: what a policy writes from.

    An opinion's id is its ``opinion_id``. Of statements whose origin is not known in full (people's
    own, for instance) what is unknown is empty, 0 for a seed.
    """
    opinions = by_round(dataset.opinions, lambda row: Opinion(row["opinion_id"], row["text"]))
    candidates = by_round(
        dataset.candidates,
        lambda row: Candidate(
            row["candidate_id"],
            row["text"],
            tuple(row["included_opinion_ids"] or ()),
            row["policy"],
            row["model"] or "",
            row["prompt_hash"] or "",
            row["seed"] or 0,
            row["attempt"] or 0,
        ),
    )
    return [
        Round(
            row["round_id"],
            row["group_id"],
            Question(row["question"], row["question_id"]),
            tuple(opinions.get(row["round_id"], ())),
            tuple(candidates.get(row["round_id"], ())),
        )
        for row in dataset.rounds.iter_rows(named=True)
    ]


def with_candidates(
    dataset: Dataset,
    candidates: Mapping[str, Sequence[Candidate]],
    *,
    shown: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """The dataset with these candidates added.

    Args:
        dataset: rounds with opinions.
        candidates: of each round, by its id.
        shown: the ids of those to be rated, by round; None shows all.

    Raises:
        InputError: a round or a shown candidate is not there.
    """
    unknown = [
        *(set(candidates) - set(dataset.rounds["round_id"])),
        *(set(shown or {}) - set(candidates)),
    ]
    if unknown:
        raise InputError(f"no round named {sorted(unknown)[0]!r} to add candidates to or show")
    rows = []
    for round_id, written in candidates.items():
        wanted = None if shown is None else set(shown.get(round_id, ()))
        lost = (wanted or set()) - {each.id for each in written}
        if lost:
            raise InputError(f"round {round_id!r} has no candidate {sorted(lost)[0]!r} to show")
        rows += [
            candidate_row(round_id, each, shown=wanted is None or each.id in wanted)
            for each in written
        ]
    added = pl.concat([dataset.candidates, frame("candidates", rows)], how="diagonal")
    return replace(dataset, candidates=added)


def candidate_row(round_id: str, candidate: Candidate, *, shown: bool) -> Row:
    """The candidate as a row of the record format."""
    row = asdict(candidate)
    written = bool(candidate.included_opinion_ids)
    return {
        "round_id": round_id,
        "candidate_id": row.pop("id"),
        "shown": shown,
        # A statement that no policy wrote was written from opinions that nobody knows.
        **(row if written else {"text": candidate.text, "policy": candidate.policy}),
    }


def candidate_rows(round_id: str, selection: Selection) -> list[Row]:
    """The selection's candidates as rows of the record format; what was picked is shown.

    A candidate that is not shown has α, welfare and rank where one rule ranks it; where several do,
    they follow from the predictions.
    """
    rows = []
    picks = {each.index: each for each in selection.picks}
    (only,) = selection.ranked if len(selection.ranked) == 1 else (None,)
    for index, candidate in enumerate(selection.candidates):
        row = candidate_row(round_id, candidate, shown=index in picks)
        if index in picks:
            pick = picks[index]
            row |= {"alpha": pick.alpha, "welfare": pick.welfare, "rank": pick.rank}
        elif only is not None:
            row |= {"alpha": only.rule.alpha, "welfare": float(only.welfare[index])}
            row |= {"rank": only.ranking.ranks[index]}
        rows.append(row)
    return rows


def prediction_rows(round_id: str, selection: Selection) -> list[Row]:
    """What was predicted of each person and candidate, as rows without the reward model's name."""
    return [
        {
            "round_id": round_id,
            "participant_id": each.participant_id,
            "candidate_id": selection.candidates[each.column].id,
            "reward": each.reward,
            "expected_rating": each.expected_rating,
        }
        for each in selection.predictions()
    ]


def by_round(table: pl.DataFrame, make: Callable[[Row], T]) -> dict[str, list[T]]:
    """What ``make`` makes of each row, in order, by round id."""
    rows_of: dict[str, list[T]] = {}
    for row in table.iter_rows(named=True):
        rows_of.setdefault(row["round_id"], []).append(make(row))
    return rows_of
