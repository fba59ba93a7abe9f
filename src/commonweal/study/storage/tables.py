"""What a study stores. Times are seconds since 1970, UTC; tokens are stored as sha256 only.

Ratings, presentations and events are append-only: triggers refuse changes (a presentation's
``shown_at`` is filled once). Who a recruiter's person is stands in a table of its own.

Classes end in ``Row``: a model's ``Opinion`` is no row. A change here comes with a step in
``migrations/versions`` (decision 044).
"""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import DDL, JSON, Double, ForeignKey, Index, Text, UniqueConstraint, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, synonym


class Base(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {float: Double, str: Text, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class StudyRow(Base):
    """A study, or a facilitator's quick session. Its row is the lock of every move."""

    __tablename__ = "studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]  # "study", "quick"
    config: Mapped[str]
    config_sha256: Mapped[str]
    created_at: Mapped[float]
    lobby_version: Mapped[int] = mapped_column(default=0)
    facilitator_hash: Mapped[str | None] = mapped_column(default=None)
    closed_at: Mapped[float | None] = mapped_column(default=None)
    beat_at: Mapped[float | None] = mapped_column(default=None)  # see ``gaps``; null: not served
    export_key: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(32))
    door_key: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(32))  # see ``door``
    is_shut: Mapped[bool] = mapped_column(default=False)
    keeps_nothing: Mapped[bool] = mapped_column(default=False)  # deleted when it is stopped


class GroupRow(Base):
    """People who go through rounds together."""

    __tablename__ = "groups"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    stage: Mapped[str] = mapped_column(index=True)
    stage_since: Mapped[float]
    deadline: Mapped[float]
    paused_at: Mapped[float | None] = mapped_column(default=None)
    round_id: Mapped[int | None] = mapped_column(default=None)
    version: Mapped[int] = mapped_column(default=1)
    message: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float]


class ParticipantRow(Base):
    """A person. ``outcome`` is null while they take part."""

    __tablename__ = "participants"
    __table_args__ = (UniqueConstraint("study_id", "browser_hash"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    group_id: Mapped[int | None] = mapped_column(ForeignKey("groups.id"), index=True, default=None)
    seat: Mapped[int] = mapped_column(default=0)  # of a quick session from the waiting room on
    stage: Mapped[str]  # consent, instructions, check, lobby, group
    stage_since: Mapped[float]
    outcome: Mapped[str | None] = mapped_column(default=None)
    ended_at: Mapped[float | None] = mapped_column(default=None)
    language: Mapped[str] = mapped_column(default="en")
    is_simulated: Mapped[bool] = mapped_column(default=False)
    browser_hash: Mapped[str | None] = mapped_column(default=None)
    joined_at: Mapped[float]
    last_seen_at: Mapped[float]
    consented_at: Mapped[float | None] = mapped_column(default=None)
    consent_sha256: Mapped[str | None] = mapped_column(default=None)
    n_check_attempts: Mapped[int] = mapped_column(default=0)
    n_rounds_entered: Mapped[int] = mapped_column(default=0)
    n_rounds_completed: Mapped[int] = mapped_column(default=0)
    n_extensions: Mapped[int] = mapped_column(default=0)


class ConsentTextRow(Base):
    """A text that people of a study agreed to, for ``ParticipantRow.consent_sha256``."""

    __tablename__ = "consent_texts"
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


def _person(**more: Any) -> Mapped[int]:
    return mapped_column(ForeignKey("participants.id", ondelete="CASCADE"), index=True, **more)


class RecruiterIdsRow(Base):
    """Who a participant is to the recruiter: for payment, and in no export of data.

    Two people may give one number, since anybody can type one: that is for researchers to judge.
    """

    __tablename__ = "recruiter_ids"
    __table_args__ = (Index("recruiter_ids_by_number", "study_id", "recruiter_participant"),)
    participant_id: Mapped[int] = _person(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    recruiter_participant: Mapped[str]
    recruiter_study: Mapped[str] = mapped_column(default="")
    recruiter_session: Mapped[str] = mapped_column(default="")


class LinkRow(Base):
    """A private link, which is exchanged once for a cookie."""

    __tablename__ = "links"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    participant_id: Mapped[int] = _person()
    created_at: Mapped[float]
    used_at: Mapped[float | None] = mapped_column(default=None)
    browser_hash: Mapped[str | None] = mapped_column(default=None)


class LoginSessionRow(Base):
    """A browser that holds a participant's cookie."""

    __tablename__ = "login_sessions"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    participant_id: Mapped[int] = _person()
    created_at: Mapped[float]


class RoundRow(Base):
    """One group on one question; or, with ``revises_id``, on the statement of the round before.

    A revision has the number of its question's first round, and that one's opinions.
    """

    __tablename__ = "rounds"
    __table_args__ = (UniqueConstraint("group_id", "number", "revision"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), index=True)
    number: Mapped[int]
    revision: Mapped[int] = mapped_column(default=0)  # counts the revisions of a question
    revises_id: Mapped[int | None] = mapped_column(default=None)
    first_id: Mapped[int | None] = mapped_column(default=None)
    edited: Mapped[str] = mapped_column(default="")  # the facilitator's own version, to be rated
    question_id: Mapped[str]
    question: Mapped[str]
    position: Mapped[str]
    seed: Mapped[int]
    started_at: Mapped[float]
    ended_at: Mapped[float | None] = mapped_column(default=None)
    statement_id: Mapped[int | None] = mapped_column(default=None)
    fell_short: Mapped[bool] = mapped_column(default=False)  # too few wrote: as if never asked
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)  # ``results.freeze``
    notes: Mapped[list[str]] = mapped_column(default=list)
    provenance: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def opinions_id(self) -> int:
        """The round whose opinions are written from: the question's first."""
        return self.id if self.first_id is None else self.first_id


class MemberRow(Base):
    """Who was in a round when it began, and when each was done with its result."""

    __tablename__ = "members"
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    participant_id: Mapped[int] = _person(primary_key=True)
    result_shown_at: Mapped[float | None] = mapped_column(default=None)
    result_left_at: Mapped[float | None] = mapped_column(default=None)


class DraftRow(Base):
    """An opinion or a critique that is being written."""

    __tablename__ = "drafts"
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    participant_id: Mapped[int] = _person(primary_key=True)
    text: Mapped[str]
    saved_at: Mapped[float]


class OpinionRow(Base):
    """What one person wrote. ``screening``: clear, held, approved, rejected."""

    __tablename__ = "opinions"
    __table_args__ = (
        UniqueConstraint("round_id", "participant_id"),
        UniqueConstraint("round_id", "name"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    participant_id: Mapped[int] = _person()
    name: Mapped[str]  # within its round: o1, o2, ...
    text: Mapped[str]
    submitted_at: Mapped[float]
    screening: Mapped[str]
    flags: Mapped[list[str]] = mapped_column(default=list)


class CritiqueRow(Base):
    """What one person would change about the statement that their round revises; "" is nothing.
    ``screening`` as of an opinion.
    """

    __tablename__ = "critiques"
    __table_args__ = (UniqueConstraint("round_id", "participant_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    participant_id: Mapped[int] = _person()
    text: Mapped[str]
    submitted_at: Mapped[float]
    screening: Mapped[str]
    flags: Mapped[list[str]] = mapped_column(default=list)


class StatementRow(Base):
    """A candidate. ``pick`` orders those to be shown, from 0; null is not picked. ``draw`` counts
    the arm's draws from 0, each from other opinions. What replaces a rejected one has its ``pick``.
    ``same_as_id``: the statement that is revised, which stands among its revisions as it was.
    """

    __tablename__ = "statements"
    __table_args__ = (UniqueConstraint("round_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    name: Mapped[str]
    arm: Mapped[str]
    draw: Mapped[int]
    text: Mapped[str]
    policy: Mapped[str]
    model: Mapped[str]
    prompt_hash: Mapped[str]
    seed: Mapped[int]
    attempt: Mapped[int]
    included: Mapped[list[str]]
    same_as_id: Mapped[int | None] = mapped_column(default=None)
    pick: Mapped[int | None] = mapped_column(default=None)
    alpha: Mapped[float | None] = mapped_column(default=None)
    welfare: Mapped[float | None] = mapped_column(default=None)
    rank: Mapped[int | None] = mapped_column(default=None)
    shown: Mapped[bool] = mapped_column(default=False)
    screening: Mapped[str]
    flags: Mapped[list[str]] = mapped_column(default=list)


class MinorityRow(Base):
    """The minority's own sentence beside a round's result. ``basis``: "found" by ratings or
    "predicted" to disagree. ``why`` there is no ``text``: "nobody", "nothing", "failed", "deleted".
    """

    __tablename__ = "minorities"
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    id: Mapped[int] = synonym("round_id")
    basis: Mapped[str]
    included: Mapped[list[str]]  # the names of the opinions that it is written from
    text: Mapped[str] = mapped_column(default="")
    why: Mapped[str] = mapped_column(default="")
    model: Mapped[str] = mapped_column(default="")
    screening: Mapped[str] = mapped_column(default="clear")
    flags: Mapped[list[str]] = mapped_column(default=list)


class PredictionRow(Base):
    """What the reward model predicted of one person and one candidate."""

    __tablename__ = "predictions"
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), primary_key=True)
    participant_id: Mapped[int] = _person(primary_key=True)
    reward_model: Mapped[str]
    reward: Mapped[float]
    expected_rating: Mapped[float]


class PresentationRow(Base):
    """A statement that a person is to rate, written before it is shown. Without a candidate it is
    the position statement.
    """

    __tablename__ = "presentations"
    __table_args__ = (UniqueConstraint("round_id", "participant_id", "pass_index", "place"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    participant_id: Mapped[int] = _person()
    statement_id: Mapped[int | None] = mapped_column(ForeignKey("statements.id"), default=None)
    pass_index: Mapped[int]  # -1 for the position statement
    place: Mapped[int]
    written_at: Mapped[float]
    shown_at: Mapped[float | None] = mapped_column(default=None)


class RatingRow(Base):
    """One answer to one presentation."""

    __tablename__ = "ratings"
    presentation_id: Mapped[int] = mapped_column(
        ForeignKey("presentations.id", ondelete="CASCADE"), primary_key=True
    )
    agreement: Mapped[int]
    quality: Mapped[int | None]
    shown_at: Mapped[float]
    first_input_at: Mapped[float | None]
    submitted_at: Mapped[float]
    n_changes: Mapped[int | None]


class JobRow(Base):
    """The writing of a round's statements, and after them (``what``) of the minority's sentence.
    ``status``: queued, running, done, failed.
    """

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), unique=True)
    what: Mapped[str] = mapped_column(default="statements")  # or "minority"
    status: Mapped[str] = mapped_column(index=True)
    claim: Mapped[str | None] = mapped_column(default=None)
    lease_until: Mapped[float] = mapped_column(default=0.0)
    n_attempts: Mapped[int] = mapped_column(default=0)
    queued_at: Mapped[float]
    started_at: Mapped[float | None] = mapped_column(default=None)
    finished_at: Mapped[float | None] = mapped_column(default=None)
    error: Mapped[str] = mapped_column(default="")


ACTORS = ("participant", "machine", "facilitator", "command line")
"""Who does things besides the researchers who are logged in."""


class EventRow(Base):
    """Who did what, when: the audit. Holds no text that a participant wrote."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    at: Mapped[float]
    actor: Mapped[str]  # one of ``ACTORS``, or a researcher's name
    kind: Mapped[str]
    group_id: Mapped[int | None] = mapped_column(default=None, index=True)
    participant_id: Mapped[int | None] = _person(nullable=True, default=None)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ResearcherRow(Base):
    """Somebody who may log in. ``role``: "owner", "researcher", "moderator"."""

    __tablename__ = "researchers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[float]


class ResearcherSessionRow(Base):
    """A browser in which a researcher is logged in."""

    __tablename__ = "researcher_sessions"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    researcher_id: Mapped[int] = mapped_column(ForeignKey("researchers.id", ondelete="CASCADE"))
    created_at: Mapped[float]
    expires_at: Mapped[float]


# SQLite would give the id of a deleted row to the next one, and an old form would then fit it.
for _table in Base.metadata.tables.values():
    if [column.name for column in _table.primary_key] == ["id"]:
        _table.dialect_options["sqlite"]["autoincrement"] = True


def _forbid_update(table: str, *, allowed: str = "") -> None:
    """Triggers that refuse an UPDATE of the table, except where ``allowed`` says so."""
    when = f"WHEN NOT ({allowed}) " if allowed else ""
    says = f"{table} is append-only"
    sqlite = (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{says}'); END"
    )
    function = (
        f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger AS "
        f"$$ BEGIN RAISE EXCEPTION '{says}'; END $$ LANGUAGE plpgsql"
    )
    postgres = (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
        f"FOR EACH ROW {f'WHEN (NOT ({allowed})) ' if allowed else ''}"
        f"EXECUTE FUNCTION {table}_append_only()"
    )
    target = Base.metadata.tables[table]
    for dialect, statement in (
        ("sqlite", sqlite),
        ("postgresql", function),
        ("postgresql", postgres),
    ):
        ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
        event.listen(target, "after_create", ddl)


_forbid_update("ratings")
_forbid_update("events")
_forbid_update(
    "presentations",
    allowed="OLD.shown_at IS NULL AND NEW.id = OLD.id AND NEW.participant_id = OLD.participant_id "
    "AND NEW.round_id = OLD.round_id AND NEW.pass_index = OLD.pass_index "
    "AND NEW.place = OLD.place",
)
