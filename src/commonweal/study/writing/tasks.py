"""What a job asks each arm to write from."""

from __future__ import annotations

from sqlalchemy import select

from commonweal import types
from commonweal.minority import N_CANDIDATES
from commonweal.study.config import NO_REWARD, ArmConfig
from commonweal.study.domain import minority, revisions
from commonweal.study.storage.tables import JobRow, OpinionRow, RoundRow, StatementRow
from commonweal.study.storage.transaction import Transaction
from commonweal.study.writing.writer import Revises, Task


def tasks_of(tx: Transaction, job: JobRow) -> tuple[Task, ...]:
    """A task for each arm; of a revision one, for the arm whose statement it revises; of a
    minority's sentence likewise, from their opinions alone.
    """
    row = tx.db.get_one(RoundRow, job.round_id)
    opinions = list(
        tx.db.scalars(
            select(OpinionRow).where(OpinionRow.round_id == row.opinions_id).order_by(OpinionRow.id)
        )
    )
    if job.what == minority.WRITING:
        return (_of_minority(tx, job, row, opinions),)
    arms, revises = tx.config.arms, None
    fallback = tx.config.generation.fallback
    revised = revisions.revised_by(tx.db, row)
    if revised is not None:
        arms = [revising_arm(tx, revised[1])]
        revises = _revises(tx, row, opinions, revised[1])
    elif fallback and job.n_attempts >= tx.config.generation.attempts:
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


def _of_minority(tx: Transaction, job: JobRow, row: RoundRow, opinions: list[OpinionRow]) -> Task:
    kept, statement = minority.of(tx.db, row), minority.about(tx.db, row)
    assert kept is not None  # noqa: S101 - for the type checker: the job was made with both
    assert statement is not None  # noqa: S101
    theirs = [each for each in opinions if each.name in kept.included]
    arm = next(each for each in tx.config.arms if each.name == statement.arm)
    return Task(
        arm=arm.model_copy(update={"plan": "best", "shown": 1, "candidates": N_CANDIDATES}),
        question=row.question,
        opinions=tuple(types.Opinion(each.name, each.text) for each in theirs),
        omit=(),
        seed=(row.seed + 15_485_863 + 104_729 * job.n_attempts) % 2**31,
        for_minority=True,
    )


def revising_arm(tx: Transaction, statement: StatementRow) -> ArmConfig:
    """The arm that wrote the statement, as it writes revisions: from everybody, and the best of
    them are shown.
    """
    arm = next(each for each in tx.config.arms if each.name == statement.arm)
    shown = tx.config.rounds.revisions
    n_written = shown if arm.reward == NO_REWARD else max(arm.candidates, shown)
    changed = {"plan": "best", "shown": shown, "candidates": n_written}
    if arm.plan == "collection":
        changed["alpha"] = None
    return arm.model_copy(update=changed)


def _revises(
    tx: Transaction, row: RoundRow, opinions: list[OpinionRow], statement: StatementRow
) -> Revises:
    names = {each.participant_id: each.name for each in opinions}

    def critiques_in(one: RoundRow) -> tuple[types.Critique, ...]:
        # Whoever wrote no opinion has no name among the opinions.
        return tuple(
            types.Critique(names.get(each.participant_id, f"p{each.participant_id}"), each.text)
            for each in revisions.critiques_of(tx.db, one.id)
        )

    earlier = revisions.chain(tx.db, row)[1:-1]
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
