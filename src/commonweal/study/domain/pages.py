"""What a participant sees now: a function of what is stored, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from commonweal.study.domain import minority, revisions, rounds
from commonweal.study.domain.answers import next_presentation
from commonweal.study.domain.lobby import PRESENT_SECONDS
from commonweal.study.domain.outcome import Outcome, outcome_of
from commonweal.study.domain.results import Rated
from commonweal.study.storage.tables import (
    Critique,
    Draft,
    Group,
    Job,
    Member,
    Opinion,
    Participant,
    Presentation,
    Rating,
    Round,
    Statement,
)
from commonweal.study.storage.transaction import Turn

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
    select(func.count(Presentation.id), func.count(Rating.presentation_id))
    .select_from(Presentation)
    .outerjoin(Rating)
    .where(
        Presentation.round_id == bindparam("round"),
        Presentation.participant_id == bindparam("participant"),
        Presentation.pass_index >= 0,
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
        found: how the question came out, on its result; of a critique how the round came out whose
            statement is to be revised.
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
    person: Participant
    group: Group | None = None
    round: Round | None = None
    waiting_for: str = ""
    round_number: int = 0
    n_rounds: int = 0
    presentation: Presentation | None = None
    statement: Statement | None = None
    place: int = 0
    n_places: int = 0
    deadline: float | None = None
    draft: str = ""
    own_opinion: Opinion | None = None
    own_critique: Critique | None = None
    companions: tuple[Companion, ...] = ()
    n_waiting: int = 0
    found: Outcome | None = None
    is_of_minority: bool = False
    has_failed: bool = False
    unseen: Presentation | Member | None = None

    @property
    def results(self) -> tuple[Rated, ...]:
        """The statements of ``found`` as they were rated."""
        return self.found.results if self.found else ()

    @property
    def n_asked(self) -> int:
        """How many were asked to rate them."""
        return self.found.n_asked if self.found else 0

    @property
    def is_paused(self) -> bool:
        """Whether the clock stands."""
        return self.group is not None and self.group.paused_at is not None


def current_page(turn: Turn, person: Participant) -> Page:
    """The page that this person is on. Changes nothing."""
    entered = person.n_rounds_entered
    if person.outcome is not None:
        unsent = select(Draft.text).where(Draft.participant_id == person.id)
        return Page(
            "end",
            f"end-{person.outcome}",
            (10**6, 0, 0),
            person,
            group=_group(turn, person),
            draft=turn.db.scalars(unsent.order_by(Draft.round_id.desc())).first() or "",
        )
    if person.stage == "lobby":
        return Page(
            "lobby",
            f"lobby-{entered}",
            (entered, _RANKS["lobby"], 0),
            person,
            deadline=person.stage_since + turn.config.timings_seconds.lobby,
            n_waiting=_n_in_lobby(turn),
        )
    group = _group(turn, person)
    if group is None or group.round_id is None:
        return Page(person.stage, person.stage, (entered, _RANKS[person.stage], 0), person)
    return _round_page(turn, person, group, turn.db.get_one(Round, group.round_id))


def _round_page(turn: Turn, person: Participant, group: Group, row: Round) -> Page:
    presentation = next_presentation(turn, person)
    kind, place, n_places, draft, own, statement = "waiting", 0, 0, "", None, None
    found: Outcome | None = None
    unseen: Presentation | Member | None = None
    if presentation is None:
        own = turn.db.scalars(
            select(Opinion).where(
                Opinion.round_id == row.opinions_id, Opinion.participant_id == person.id
            )
        ).one_or_none()
    elif presentation.shown_at is None:
        unseen = presentation
    if group.stage == "opinions" and presentation is not None:
        kind = "position"
    elif group.stage == "opinions" and own is None:
        kind = "opinion"
        kept = turn.db.get(Draft, (row.id, person.id))
        draft = kept.text if kept else ""
    elif group.stage == "critique" and person.id not in revisions.answered(turn.db, row.id):
        kind = "critique"
        kept = turn.db.get(Draft, (row.id, person.id))
        draft = kept.text if kept else ""
        if (revised := revisions.revised_by(turn.db, row)) is not None:
            statement, found = revised[1], outcome_of(turn, revised[0])
    elif group.stage == "rating" and presentation is not None:
        kind = "rate"
        statement = turn.db.get(Statement, presentation.statement_id)
        place, n_places = _place(turn, person, row)
    elif group.stage == "result":
        member = turn.db.get(Member, (row.id, person.id))
        if member is not None and member.result_left_at is None:
            kind = "result"
            unseen = member if member.result_shown_at is None else None
            found = outcome_of(turn, row)
    speaks = group.stage in _MINORITY_RANKS and minority.of(turn.db, row) is not None
    waiting = _MINORITY_RANKS if speaks else _WAITING_RANKS
    rank = _RANKS[kind] if kind != "waiting" else waiting[group.stage]
    return Page(
        kind=kind,
        key=f"{row.public_id}-{kind}-{place if kind == 'rate' else group.stage}"
        + ("-minority" if speaks else ""),
        rank=(person.n_rounds_entered, _PER_REVISION * row.revision + rank, place),
        person=person,
        group=group,
        round=row,
        waiting_for=group.stage if kind == "waiting" else "",
        round_number=person.n_rounds_entered,
        n_rounds=max(turn.config.rounds.count, person.n_rounds_entered),
        presentation=presentation,
        statement=statement,
        place=place,
        n_places=n_places,
        deadline=group.deadline,
        draft=draft,
        own_opinion=own,
        own_critique=_own_critique(turn, person, row) if kind == "waiting" else None,
        companions=companions(turn, group, you=person) if kind == "waiting" else (),
        found=found,
        is_of_minority=speaks,
        has_failed=group.stage == "generating" and _has_failed(turn, row),
        unseen=unseen,
    )


def _own_critique(turn: Turn, person: Participant, row: Round) -> Critique | None:
    if row.revises_id is None:
        return None
    found = select(Critique).where(
        Critique.round_id == row.id, Critique.participant_id == person.id
    )
    return turn.db.scalars(found).one_or_none()


def _has_failed(turn: Turn, row: Round) -> bool:
    found = select(Job.status).where(Job.round_id == row.id)
    return turn.db.scalar(found) == "failed"


def companions(
    turn: Turn, group: Group, *, you: Participant | None = None
) -> tuple[Companion, ...]:
    """Who is in the group now, by seat."""
    people = turn.db.scalars(
        select(Participant)
        .where(Participant.group_id == group.id, Participant.outcome.is_(None))
        .order_by(Participant.seat)
    ).all()
    busy = _busy(turn, group)
    return tuple(
        Companion(
            seat=person.seat,
            is_you=you is not None and person.id == you.id,
            is_present=person.last_seen_at >= turn.now - PRESENT_SECONDS,
            is_done=person.id not in busy,
        )
        for person in people
    )


def _busy(turn: Turn, group: Group) -> set[int]:
    """Whom the group waits for."""
    if group.stage == "opinions":
        everybody = set(
            turn.db.scalars(select(Participant.id).where(Participant.group_id == group.id))
        )
        return everybody - set(
            turn.db.scalars(
                select(Opinion.participant_id).where(Opinion.round_id == group.round_id)
            )
        )
    if group.stage == "critique":
        members = select(Member.participant_id).where(Member.round_id == group.round_id)
        return set(turn.db.scalars(members)) - revisions.answered(turn.db, group.round_id)
    if group.stage == "rating":
        return rounds.still_rating(turn, group)
    if group.stage == "result":
        return set(
            turn.db.scalars(
                select(Member.participant_id).where(
                    Member.round_id == group.round_id, Member.result_left_at.is_(None)
                )
            )
        )
    return set()


def _place(turn: Turn, person: Participant, row: Round) -> tuple[int, int]:
    """(The number of the statement that comes now, how many there are), over both passes."""
    asked = {"round": row.id, "participant": person.id}
    n_places, n_rated = turn.db.execute(_PLACE, asked).one()
    return n_rated + 1, n_places


def _n_in_lobby(turn: Turn) -> int:
    return (
        turn.db.scalar(
            select(func.count(Participant.id)).where(
                Participant.study_id == turn.study.id,
                Participant.stage == "lobby",
                Participant.outcome.is_(None),
                Participant.last_seen_at >= turn.now - PRESENT_SECONDS,
            )
        )
        or 0
    )


def _group(turn: Turn, person: Participant) -> Group | None:
    return turn.db.get(Group, person.group_id) if person.group_id else None
