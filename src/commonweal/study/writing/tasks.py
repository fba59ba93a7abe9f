"""What a job asks each arm to write from."""

from __future__ import annotations

from sqlalchemy import select

from commonweal import types
from commonweal.minority import N_CANDIDATES
from commonweal.study.config import NO_REWARD, ArmConfig
from commonweal.study.domain import minority, revisions
from commonweal.study.storage.tables import Job, Opinion, Round, Statement
from commonweal.study.storage.transaction import Turn
from commonweal.study.writing.writer import Revises, Task


def tasks_of(turn: Turn, job: Job) -> tuple[Task, ...]:
    """A task for each arm; of a revision one, for the arm whose statement it revises; of a
    minority's sentence likewise, from their opinions alone.
    """
    row = turn.db.get_one(Round, job.round_id)
    opinions = list(
        turn.db.scalars(
            select(Opinion).where(Opinion.round_id == row.opinions_id).order_by(Opinion.id)
        )
    )
    if job.what == minority.WRITING:
        return (_of_minority(turn, job, row, opinions),)
    arms, revises = turn.config.arms, None
    fallback = turn.config.generation.fallback
    found = revisions.revised_by(turn.db, row)
    if found is not None:
        arms = [revising_arm(turn, found[1])]
        revises = _revises(turn, row, opinions, found[1])
    elif fallback and job.n_attempts >= turn.config.generation.attempts:
        arms = [arm for arm in arms if arm.name == fallback]
    return tuple(
        Task(
            arm=arm,
            question=row.question,
            opinions=tuple(types.Opinion(each.name, each.text) for each in opinions),
            omit=tuple(each.name for each in opinions if each.screening not in revisions.USABLE),
            # Another attempt draws anew; an arm's chance does not depend on the arms before it.
            seed=(row.seed + 7919 * index + 104_729 * job.n_attempts) % 2**31,
            revises=revises,
        )
        for index, arm in enumerate(arms)
    )


def _of_minority(turn: Turn, job: Job, row: Round, opinions: list[Opinion]) -> Task:
    kept, statement = minority.of(turn.db, row), minority.about(turn.db, row)
    assert kept is not None  # noqa: S101 - for the type checker: the job was made with both
    assert statement is not None  # noqa: S101
    theirs = [each for each in opinions if each.name in kept.included]
    arm = next(each for each in turn.config.arms if each.name == statement.arm)
    return Task(
        arm=arm.model_copy(update={"plan": "best", "shown": 1, "candidates": N_CANDIDATES}),
        question=row.question,
        opinions=tuple(types.Opinion(each.name, each.text) for each in theirs),
        omit=(),
        seed=(row.seed + 15_485_863 + 104_729 * job.n_attempts) % 2**31,
        speaks=True,
    )


def revising_arm(turn: Turn, statement: Statement) -> ArmConfig:
    """The arm that wrote the statement, as it writes revisions: from everybody, and the best of
    them are shown.
    """
    arm = next(each for each in turn.config.arms if each.name == statement.arm)
    shown = turn.config.rounds.revisions
    n_written = shown if arm.reward == NO_REWARD else max(arm.candidates, shown)
    changed = {"plan": "best", "shown": shown, "candidates": n_written}
    if arm.plan == "collection":
        changed["alpha"] = None
    return arm.model_copy(update=changed)


def _revises(turn: Turn, row: Round, opinions: list[Opinion], statement: Statement) -> Revises:
    names = {each.participant_id: each.name for each in opinions}

    def critiques_in(one: Round) -> tuple[types.Critique, ...]:
        # Whoever wrote no opinion has no name among the opinions.
        return tuple(
            types.Critique(names.get(each.participant_id, f"p{each.participant_id}"), each.text)
            for each in revisions.said(turn.db, one.id)
        )

    earlier = revisions.chain(turn.db, row)[1:-1]
    return Revises(
        statement=types.Candidate(
            statement.name,
            statement.text,
            tuple(statement.included),
            statement.policy,
            statement.model,
            statement.prompt_hash,
            statement.seed,
        ),
        critiques=critiques_in(row),
        earlier=tuple(critiques_in(each) for each in earlier),
        edited=_by_hand(row.edited) if row.edited else None,
    )


def _by_hand(text: str) -> types.Candidate:
    return types.Candidate("", text, (), revisions.EDITED, "", "", 0, author="facilitator")
