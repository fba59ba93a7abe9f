"""What a participant sees now: a function of what is stored, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from commonweal.study.domain import minority, revisions, rounds
from commonweal.study.domain.answers import next_presentation
from commonweal.study.domain.lobby import PRESENT_SECONDS
from commonweal.study.domain.outcome import RoundOutcome, outcome_of
from commonweal.study.domain.results import RatedStatement
from commonweal.study.storage.tables import (
    CritiqueRow,
    DraftRow,
    GroupRow,
    JobRow,
    MemberRow,
    OpinionRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.storage.transaction import Transaction

_RANKS = {"consent": 0, "instructions": 1, "check": 2, "lobby": 90} | {
    "position": 10,
    "opinion": 11,
    "critique": 11,
    "rate": 15,
    "result": 19,
}
_WAITING_RANKS = {
    "opinions": 12,
    "opinion_check": 12,
    "critique": 12,
    "critique_check": 12,
    "generating": 13,
    "statement_check": 14,
    "rating": 16,
    "result": 20,
}
_MINORITY_RANKS = {"generating": 17, "statement_check": 18}
"""Of the wait for the minority's sentence, which comes after the ratings."""

_PER_REVISION = 20
"""How much higher all pages of a revision rank than those of the round that it revises."""

_PLACE = (
    select(func.count(PresentationRow.id), func.count(RatingRow.presentation_id))
    .select_from(PresentationRow)
    .outerjoin(RatingRow)
    .where(
        PresentationRow.round_id == bindparam("round"),
        PresentationRow.participant_id == bindparam("participant"),
        PresentationRow.pass_index >= 0,
    )
)


@dataclass(frozen=True, slots=True)
class Companion:
    """Somebody of the group as the others see them: a seat, whether there, whether done."""

    seat: int
    is_you: bool
    is_present: bool
    is_done: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What to show.

    Attributes:
        kind: consent, instructions, check, lobby, position, opinion, waiting, critique, rate,
            result, end.
        key: names the page; a form carries it, and the browser reloads when it changes.
        rank: never becomes smaller for a person: (rounds entered, stage, place in the stage).
        waiting_for: the group's stage, on a waiting page.
        round_number, n_rounds: "round 1 of 2".
        outcome: how the question came out, on its result; of a critique how the round came out
            whose statement is to be revised.
        is_of_minority: whether what is waited for is the sentence of those who disagree.
        has_failed: whether nothing could be written, and somebody is deciding what to do.
        place, n_places: "statement 3 of 8".
        deadline: when this stage ends, seconds since 1970.
        draft: what was written and not sent; at the end too, where it was not sent in time.
        unseen: what the page shows for the first time; None where it was shown before.
    """

    kind: str
    key: str
    rank: tuple[int, int, int]
    person: ParticipantRow
    group: GroupRow | None = None
    round: RoundRow | None = None
    waiting_for: str = ""
    round_number: int = 0
    n_rounds: int = 0
    presentation: PresentationRow | None = None
    statement: StatementRow | None = None
    place: int = 0
    n_places: int = 0
    deadline: float | None = None
    draft: str = ""
    own_opinion: OpinionRow | None = None
    own_critique: CritiqueRow | None = None
    companions: tuple[Companion, ...] = ()
    n_waiting: int = 0
    outcome: RoundOutcome | None = None
    is_of_minority: bool = False
    has_failed: bool = False
    unseen: PresentationRow | MemberRow | None = None

    @property
    def results(self) -> tuple[RatedStatement, ...]:
        """The statements of ``found`` as they were rated."""
        return self.outcome.results if self.outcome else ()

    @property
    def n_asked(self) -> int:
        """How many were asked to rate them."""
        return self.outcome.n_asked if self.outcome else 0

    @property
    def is_paused(self) -> bool:
        """Whether the clock stands."""
        return self.group is not None and self.group.paused_at is not None


def current_page(tx: Transaction, person: ParticipantRow) -> Page:
    """The page that this person is on. Changes nothing."""
    entered = person.n_rounds_entered
    if person.outcome is not None:
        unsent = select(DraftRow.text).where(DraftRow.participant_id == person.id)
        return Page(
            "end",
            f"end-{person.outcome}",
            (10**6, 0, 0),
            person,
            group=_group(tx, person),
            draft=tx.db.scalars(unsent.order_by(DraftRow.round_id.desc())).first() or "",
        )
    if person.stage == "lobby":
        return Page(
            "lobby",
            f"lobby-{entered}",
            (entered, _RANKS["lobby"], 0),
            person,
            deadline=person.stage_since + tx.config.timings_seconds.lobby,
            n_waiting=_n_in_lobby(tx),
        )
    group = _group(tx, person)
    if group is None or group.round_id is None:
        return Page(person.stage, person.stage, (entered, _RANKS[person.stage], 0), person)
    return _round_page(tx, person, group, tx.db.get_one(RoundRow, group.round_id))


def _round_page(tx: Transaction, person: ParticipantRow, group: GroupRow, row: RoundRow) -> Page:
    presentation = next_presentation(tx, person)
    kind, place, n_places, draft, own, statement = "waiting", 0, 0, "", None, None
    outcome: RoundOutcome | None = None
    unseen: PresentationRow | MemberRow | None = None
    if presentation is None:
        own = tx.db.scalars(
            select(OpinionRow).where(
                OpinionRow.round_id == row.opinions_id, OpinionRow.participant_id == person.id
            )
        ).one_or_none()
    elif presentation.shown_at is None:
        unseen = presentation
    if group.stage == "opinions" and presentation is not None:
        kind = "position"
    elif group.stage == "opinions" and own is None:
        kind = "opinion"
        kept = tx.db.get(DraftRow, (row.id, person.id))
        draft = kept.text if kept else ""
    elif group.stage == "critique" and person.id not in revisions.answered(tx.db, row.id):
        kind = "critique"
        kept = tx.db.get(DraftRow, (row.id, person.id))
        draft = kept.text if kept else ""
        if (revised := revisions.revised_by(tx.db, row)) is not None:
            statement, outcome = revised[1], outcome_of(tx, revised[0])
    elif group.stage == "rating" and presentation is not None:
        kind = "rate"
        statement = tx.db.get(StatementRow, presentation.statement_id)
        place, n_places = _place(tx, person, row)
    elif group.stage == "result":
        member = tx.db.get(MemberRow, (row.id, person.id))
        if member is not None and member.result_left_at is None:
            kind = "result"
            unseen = member if member.result_shown_at is None else None
            outcome = outcome_of(tx, row)
    for_minority = group.stage in _MINORITY_RANKS and minority.of(tx.db, row) is not None
    waiting = _MINORITY_RANKS if for_minority else _WAITING_RANKS
    rank = _RANKS[kind] if kind != "waiting" else waiting[group.stage]
    return Page(
        kind=kind,
        key=f"{row.public_id}-{kind}-{place if kind == 'rate' else group.stage}"
        + ("-minority" if for_minority else ""),
        rank=(person.n_rounds_entered, _PER_REVISION * row.revision + rank, place),
        person=person,
        group=group,
        round=row,
        waiting_for=group.stage if kind == "waiting" else "",
        round_number=person.n_rounds_entered,
        n_rounds=max(tx.config.rounds.count, person.n_rounds_entered),
        presentation=presentation,
        statement=statement,
        place=place,
        n_places=n_places,
        deadline=group.deadline,
        draft=draft,
        own_opinion=own,
        own_critique=_own_critique(tx, person, row) if kind == "waiting" else None,
        companions=companions(tx, group, you=person) if kind == "waiting" else (),
        outcome=outcome,
        is_of_minority=for_minority,
        has_failed=group.stage == "generating" and _has_failed(tx, row),
        unseen=unseen,
    )


def _own_critique(tx: Transaction, person: ParticipantRow, row: RoundRow) -> CritiqueRow | None:
    if row.revises_id is None:
        return None
    own = select(CritiqueRow).where(
        CritiqueRow.round_id == row.id, CritiqueRow.participant_id == person.id
    )
    return tx.db.scalars(own).one_or_none()


def _has_failed(tx: Transaction, row: RoundRow) -> bool:
    status = select(JobRow.status).where(JobRow.round_id == row.id)
    return tx.db.scalar(status) == "failed"


def companions(
    tx: Transaction, group: GroupRow, *, you: ParticipantRow | None = None
) -> tuple[Companion, ...]:
    """Who is in the group now, by seat."""
    people = tx.db.scalars(
        select(ParticipantRow)
        .where(ParticipantRow.group_id == group.id, ParticipantRow.outcome.is_(None))
        .order_by(ParticipantRow.seat)
    ).all()
    busy = _busy(tx, group)
    return tuple(
        Companion(
            seat=person.seat,
            is_you=you is not None and person.id == you.id,
            is_present=person.last_seen_at >= tx.now - PRESENT_SECONDS,
            is_done=person.id not in busy,
        )
        for person in people
    )


def _busy(tx: Transaction, group: GroupRow) -> set[int]:
    """Whom the group waits for."""
    if group.stage == "opinions":
        everybody = set(
            tx.db.scalars(select(ParticipantRow.id).where(ParticipantRow.group_id == group.id))
        )
        return everybody - set(
            tx.db.scalars(
                select(OpinionRow.participant_id).where(OpinionRow.round_id == group.round_id)
            )
        )
    if group.stage == "critique":
        members = select(MemberRow.participant_id).where(MemberRow.round_id == group.round_id)
        return set(tx.db.scalars(members)) - revisions.answered(tx.db, group.round_id)
    if group.stage == "rating":
        return rounds.still_rating(tx, group)
    if group.stage == "result":
        return set(
            tx.db.scalars(
                select(MemberRow.participant_id).where(
                    MemberRow.round_id == group.round_id, MemberRow.result_left_at.is_(None)
                )
            )
        )
    return set()


def _place(tx: Transaction, person: ParticipantRow, row: RoundRow) -> tuple[int, int]:
    """(The number of the statement that comes now, how many there are), over both passes."""
    asked = {"round": row.id, "participant": person.id}
    n_places, n_rated = tx.db.execute(_PLACE, asked).one()
    return n_rated + 1, n_places


def _n_in_lobby(tx: Transaction) -> int:
    return (
        tx.db.scalar(
            select(func.count(ParticipantRow.id)).where(
                ParticipantRow.study_id == tx.study.id,
                ParticipantRow.stage == "lobby",
                ParticipantRow.outcome.is_(None),
                ParticipantRow.last_seen_at >= tx.now - PRESENT_SECONDS,
            )
        )
        or 0
    )


def _group(tx: Transaction, person: ParticipantRow) -> GroupRow | None:
    return tx.db.get(GroupRow, person.group_id) if person.group_id else None
