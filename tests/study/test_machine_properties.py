"""Many people in any order of events: the promises of the state machine hold after each."""

from __future__ import annotations

import itertools
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import func, select
from study_making import OPINION, Place, ScriptedWriter, empty_database, small_study

from commonweal.datasets.dataset import read_dataset
from commonweal.errors import EngineError
from commonweal.study.domain import answers, faults, machine, people, privacy
from commonweal.study.domain.lobby import PRESENT_SECONDS
from commonweal.study.export.dataset import export_study
from commonweal.study.storage.tables import (
    CritiqueRow,
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
from commonweal.study.writing import held_texts, jobs

MODES = st.sampled_from(["automatic", "review"])


class Loud(logging.Handler):
    """Raises what the code logs as an error and outlives: nothing of it may happen here."""

    def emit(self, record):
        if record.levelno >= logging.ERROR:
            raise AssertionError(record.getMessage()) from (record.exc_info or (None,) * 2)[1]


class Groups(RuleBasedStateMachine):
    """People join, act, act twice, leave, delete; workers write, fail, die and return."""

    server: Path | None = None  # the socket folder of a PostgreSQL; None is SQLite

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place: Place | None = None
        self.people: list[int] = []
        self.seen: dict[int, list[str]] = {}
        self.ranks: dict[int, tuple[int, int, int]] = {}
        self.ratings: dict[int, tuple] = {}
        self.members: dict[int, set[int]] = {}
        self.old_forms: dict[int, list[tuple]] = {}
        self.claimed: list[jobs.Claimed] = []
        self.finished_rounds: set[int] = set()
        self.loud = Loud()
        faults.log.addHandler(self.loud)
        machine._faults._told.clear()  # so that what one run has told is told in the next, too

    def teardown(self) -> None:
        faults.log.removeHandler(self.loud)
        if self.place is not None:
            self.everything_can_be_exported()
            self.place.store.close()
        self.folder.cleanup()

    def everything_can_be_exported(self) -> None:
        """Whatever happened: what is stored is a valid dataset, and all of it."""
        folder = Path(self.folder.name) / "data"
        export_study(self.place.store, self.place.study_id, folder)
        dataset = read_dataset(folder)
        with self.place.store.read() as db:
            first = dataset.rounds.filter(dataset.rounds["revises_round_id"].is_null())["round_id"]
            written = dataset.opinions.filter(dataset.opinions["round_id"].is_in(first.implode()))
            for table, rows in (
                (OpinionRow, written),
                (RoundRow, dataset.rounds),
                (CritiqueRow, dataset.critiques),
            ):
                assert rows.height == db.scalar(select(func.count()).select_from(table))

    @precondition(lambda self: self.place is None)
    @rule(
        mode=MODES,
        late=st.sampled_from(["release", "keep"]),
        shortfall=st.booleans(),
        n_acts=st.integers(0, 9),
        written=st.booleans(),
        n_questions=st.sampled_from([2, 3, 6]),
        revise=st.sampled_from([0, 1, 2]),
    )
    def begin(self, mode, late, shortfall, n_acts, written, n_questions, revise):
        config = small_study(
            group={
                "size": 4,
                "minimum": 3,
                "late": late,
                "shortfall": "regroup" if shortfall else "release",
            },
            rounds={"count": 2, "passes": 2 if not revise else 1, "revise": revise},
            arms=[{"name": "first", "candidates": 2}],
            moderation={"mode": mode},
            # Few questions: people who have had different ones meet in the waiting room.
            questions=small_study().model_dump()["questions"][:n_questions],
        )
        if self.server is not None:
            self.place = Place(empty_database(self.server), config)
        else:
            self.place = Place(f"sqlite:///{Path(self.folder.name)}/study.db", config)
        self.join(4)
        # Some begin in the middle of a round, so that every stage is come to often.
        self.everybody_acts(n_acts)
        if written:
            self.a_worker_does_all_there_is()
            self.a_moderator_decides(approved=True)

    @precondition(lambda self: self.place is not None and len(self.people) < 14)
    @rule(n=st.integers(1, 4))
    def join(self, n):
        for person in self.place.join(n):
            self.people.append(person)
            self.seen[person] = []

    def _person(self, data):
        return data.draw(st.sampled_from(self.people))

    @precondition(lambda self: self.people)
    @rule(data=st.data(), n=st.integers(1, 12))
    def act(self, data, n):
        person = self._person(data)
        for _ in range(n):
            page = self._look(person)
            if page.presentation is not None:
                self.old_forms.setdefault(person, []).append(("rate", page.presentation.id))
            elif page.kind in ("opinion", "critique", "result"):
                self.old_forms.setdefault(person, []).append((page.kind, page.round.id))
            self.place.act(person)

    @precondition(lambda self: self.people)
    @rule(n=st.integers(1, 12))
    def everybody_acts(self, n):
        for _ in range(n):
            for person in self.people:
                self._look(person)
                self.place.act(person)

    @precondition(lambda self: any(self.old_forms.values()))
    @rule(data=st.data())
    def send_an_old_form_again(self, data):
        person = data.draw(st.sampled_from([p for p, old in self.old_forms.items() if old]))
        kind, number = data.draw(st.sampled_from(self.old_forms[person]))
        page = self._look(person)
        with self.place.transaction() as tx:
            row = tx.db.get(ParticipantRow, person)
            before = tx.db.scalar(select(func.count()).select_from(RatingRow))
            if kind == "rate" and not (page.presentation and page.presentation.id == number):
                assert answers.rate(tx, row, number, 1, 1) == "not_asked"
                assert tx.db.scalar(select(func.count()).select_from(RatingRow)) == before
            elif kind == "opinion" and not (page.kind == kind and page.round.id == number):
                n_before = tx.db.scalar(select(func.count()).select_from(OpinionRow))
                assert answers.write_opinion(tx, row, number, OPINION) == "not_asked"
                assert tx.db.scalar(select(func.count()).select_from(OpinionRow)) == n_before
            elif kind == "critique" and not (page.kind == kind and page.round.id == number):
                n_before = tx.db.scalar(select(func.count()).select_from(CritiqueRow))
                assert answers.write_critique(tx, row, number, "Again.") == "not_asked"
                assert tx.db.scalar(select(func.count()).select_from(CritiqueRow)) == n_before
            elif kind == "result" and not (page.kind == kind and page.round.id == number):
                assert not answers.leave_result(tx, row, number)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), removed=st.booleans())
    def leave(self, data, removed):
        with self.place.transaction() as tx:
            row = tx.db.get(ParticipantRow, self._person(data))
            people.leave(tx, row, outcome="removed" if removed else "left")

    @precondition(lambda self: len(self.people) > 3)
    @rule(data=st.data())
    def delete(self, data):
        person = self._person(data)
        with self.place.transaction() as tx:
            gone = set(
                tx.db.scalars(
                    select(PresentationRow.id).where(PresentationRow.participant_id == person)
                )
            )
            privacy.delete_data(tx, tx.db.get(ParticipantRow, person))
        self.people.remove(person)
        self.old_forms.pop(person, None)
        for each in gone:
            self.ratings.pop(each, None)

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def more_time(self, data):
        with self.place.transaction() as tx:
            people.more_time(tx, tx.db.get(ParticipantRow, self._person(data)))

    @precondition(lambda self: self.place is not None)
    @rule(seconds=st.sampled_from([1, 20, 60, 200, 500, 1000]))
    def time_passes(self, seconds):
        self.place.clock.move_to(self.place.clock.now() + seconds)
        with self.place.transaction() as tx:
            machine.sweep(tx)

    @precondition(lambda self: self.place is not None)
    @rule()
    def pause_or_go_on(self):
        with self.place.transaction() as tx:
            for group in tx.db.scalars(
                select(GroupRow).where(GroupRow.stage.not_in(machine.ENDED))
            ):
                if group.paused_at is None:
                    machine.pause(tx, group, actor="ada")
                else:
                    machine.resume(tx, group, actor="ada")

    @precondition(lambda self: self.place is not None)
    @rule()
    def a_worker_claims(self):
        with self.place.transaction() as tx:
            if (found := jobs.claim(tx)) is not None:
                self.claimed.append(found)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), failing=st.integers(0, 3))
    def a_worker_returns(self, data, failing):
        """Also one whose lease ran out long ago, and one that returns twice."""
        claimed = data.draw(st.sampled_from(self.claimed))
        with self.place.transaction() as tx:
            try:
                writer = ScriptedWriter(["dead"] if failing == 0 else [])
                written = {
                    task.arm.name: writer.write(task, timeout_seconds=1) for task in claimed.tasks
                }
            except EngineError as error:
                failure = jobs.ArmFailure(type(error).__name__, str(error))
                jobs.fail(tx, claimed, {"first": failure})
                return
            round_id = tx.db.get(JobRow, claimed.job_id).round_id
            if jobs.finish(tx, claimed, written):
                assert round_id not in self.finished_rounds
                self.finished_rounds.add(round_id)

    @precondition(lambda self: self.place is not None)
    @rule()
    def a_worker_does_all_there_is(self):
        worker = jobs.Worker(self.place.store, self.place.study_id, ScriptedWriter())
        while worker.run_once():
            pass
        with self.place.store.read() as db:
            self.finished_rounds |= set(
                db.scalars(select(JobRow.round_id).where(JobRow.status == "done"))
            )

    @precondition(lambda self: self.place is not None)
    @rule(approved=st.booleans())
    def a_moderator_decides(self, approved):
        with self.place.transaction() as tx:
            for kind, row, _ in held_texts.waiting_texts(tx):
                decision = "approved" if approved else "rejected"
                assert held_texts.decide(tx, kind, row.id, decision, actor="ada")
                tx.db.flush()

    # ------------------------------------------------------------------------- what must hold

    def _look(self, person):
        page = self.place.page(person)
        assert page.rank >= self.ranks.get(person, (-1, 0, 0)), "a stage out of order"
        self.ranks[person] = page.rank
        keys = self.seen[person]
        if not keys or keys[-1] != page.key:
            assert page.key not in keys, f"{page.key} is seen twice"
            keys.append(page.key)
        if page.presentation is not None:
            # The page that shows it is made after the row is written.
            assert page.presentation.shown_at is not None
        return page

    @invariant()
    def nobody_waits_past_a_deadline(self):
        if self.place is None:
            return
        now = self.place.clock.now()
        lobby = self.place.config.timings_seconds.lobby
        with self.place.transaction() as tx:
            machine.sweep(tx)
        with self.place.store.read() as db:
            for group in db.scalars(select(GroupRow).where(GroupRow.stage.not_in(machine.ENDED))):
                assert group.paused_at is not None or group.deadline > now
                active = db.scalars(
                    select(ParticipantRow.id).where(
                        ParticipantRow.group_id == group.id, ParticipantRow.outcome.is_(None)
                    )
                ).all()
                assert active or group.paused_at is not None, "a group of nobody goes on"
            for person in db.scalars(
                select(ParticipantRow).where(
                    ParticipantRow.stage == "lobby", ParticipantRow.outcome.is_(None)
                )
            ):
                assert person.stage_since + lobby > now
            for person in db.scalars(
                select(ParticipantRow).where(
                    ParticipantRow.stage == "group", ParticipantRow.outcome.is_(None)
                )
            ):
                assert db.get(GroupRow, person.group_id).stage not in machine.ENDED, "stranded"

    @invariant()
    def who_could_make_a_group_does_not_wait(self):
        """By trying all groups of the people who are there."""
        if self.place is None:
            return
        now, questions = self.place.clock.now(), {q.key for q in self.place.config.questions}
        with self.place.store.read() as db:
            there = db.scalars(
                select(ParticipantRow.id).where(
                    ParticipantRow.stage == "lobby",
                    ParticipantRow.outcome.is_(None),
                    ParticipantRow.last_seen_at >= now - PRESENT_SECONDS,
                )
            ).all()
            had = {
                person: set(
                    db.scalars(
                        select(RoundRow.question_id)
                        .join(MemberRow)
                        .where(MemberRow.participant_id == person)
                    )
                )
                for person in there
            }
        for group in itertools.combinations(there, self.place.config.group.size):
            assert not questions - set().union(*(had[person] for person in group))

    @invariant()
    def ratings_are_append_only_and_were_shown(self):
        if self.place is None:
            return
        with self.place.store.read() as db:
            now = {}
            for rating, shown in db.execute(
                select(RatingRow, PresentationRow).join(PresentationRow)
            ):
                assert shown.written_at <= shown.shown_at <= rating.submitted_at
                if shown.statement_id is not None:
                    statement = db.get(StatementRow, shown.statement_id)
                    assert statement.shown
                    assert statement.screening in ("clear", "approved")
                now[rating.presentation_id] = (rating.agreement, rating.quality)
        for key, value in self.ratings.items():
            assert now[key] == value
        self.ratings = now

    @invariant()
    def rounds_keep_their_people(self):
        if self.place is None:
            return
        with self.place.store.read() as db:
            for row in db.scalars(select(RoundRow)):
                there = set(
                    db.scalars(select(MemberRow.participant_id).where(MemberRow.round_id == row.id))
                )
                before = self.members.setdefault(row.id, there)
                assert there <= before, "somebody entered a running round"
                self.members[row.id] = there
            n_jobs = db.execute(
                select(JobRow.round_id, func.count()).group_by(JobRow.round_id)
            ).all()
            assert all(n == 1 for _, n in n_jobs)
            twice = db.execute(
                select(MemberRow.participant_id, RoundRow.question_id)
                .join(RoundRow)
                .where(RoundRow.revises_id.is_(None))
                .where(RoundRow.fell_short.is_(False))  # whoever was left by others has it again
                .group_by(MemberRow.participant_id, RoundRow.question_id)
                .having(func.count() > 1)
            ).all()
            assert not twice, "a question twice"


class SlowGroups(Groups):
    """The same, for longer."""


TestGroups = Groups.TestCase
# Fewer while somebody waits, six in CI.
N_GROUPS = min(6, settings.default.max_examples // 5)
TestGroups.settings = settings(max_examples=N_GROUPS, stateful_step_count=40, deadline=None)
TestSlowGroups = pytest.mark.slow(SlowGroups.TestCase)
TestSlowGroups.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


class PostgresGroups(Groups):
    """The same, fewer of them, on PostgreSQL."""


@pytest.fixture(scope="class")
def on_postgres(postgres_server):
    PostgresGroups.server = postgres_server


TestPostgresGroups = pytest.mark.usefixtures("on_postgres")(PostgresGroups.TestCase)
TestPostgresGroups.settings = settings(max_examples=2, stateful_step_count=30, deadline=None)


class SlowPostgresGroups(PostgresGroups):
    """The same, more of them."""


TestSlowPostgresGroups = pytest.mark.slow(
    pytest.mark.usefixtures("on_postgres")(SlowPostgresGroups.TestCase)
)
TestSlowPostgresGroups.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
