"""A facilitator who pauses, resumes, extends and closes in any order destroys no round."""

from __future__ import annotations

import tempfile

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from study_making import Place, ScriptedWriter

from commonweal.study.domain import lobby, machine, people, quick, revisions
from commonweal.study.domain.researchers import extend
from commonweal.study.storage.tables import (
    GroupRow,
    JobRow,
    OpinionRow,
    ParticipantRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.writing import jobs

NEXT = {
    "opinions": {"opinion_check", "generating"},
    "critique": {"critique_check", "generating", "result"},
    "rating": {"result"},
    "result": {"opinions", "finished"},
}
"""What a closed stage may be followed by, at once, and nothing after it."""


class Session(RuleBasedStateMachine):
    """Three people, two questions, a facilitator who presses everything."""

    @initialize(n=st.integers(2, 3))
    def begin(self, n):
        self.folder = tempfile.TemporaryDirectory()
        config = quick.quick_study(["Should buses be free?", "Should shops be shut?"])
        self.place = Place(f"sqlite:///{self.folder.name}/quick.db", config, "quick")
        self.people = self.place.join(n)
        with self.place.transaction() as tx:
            assert lobby.start_by_facilitator(tx)
        self.texts: dict[int, str] = {}

    def teardown(self):
        if hasattr(self, "place"):
            self.place.store.close()
            self.folder.cleanup()

    def group(self, tx):
        return tx.db.scalars(select(GroupRow)).one()

    @rule(n=st.integers(1, 5), only=st.integers(0, 3))
    def people_go_on(self, n, only):
        for _ in range(n):
            for person in self.people[: only or None]:
                self.place.act(person)

    @rule(fails=st.integers(0, 2))
    def the_worker_works(self, fails):
        writer = ScriptedWriter(["dead"] * fails)
        worker = jobs.Worker(self.place.store, self.place.study_id, writer)
        while worker.run_once():
            pass

    @rule()
    def pause(self):
        with self.place.transaction() as tx:
            machine.pause(tx, self.group(tx), actor="facilitator")

    @rule()
    def resume(self):
        with self.place.transaction() as tx:
            group = self.group(tx)
            paused, stage, round_id = group.paused_at, group.stage, group.round_id
            left = group.deadline - (paused or tx.now)
            machine.resume(tx, group, actor="facilitator")
            if paused and (group.stage, group.round_id) == (stage, round_id):
                assert group.deadline - tx.now == pytest.approx(left)

    @rule(seconds=st.sampled_from([120.0, 600.0]))
    def put_off(self, seconds):
        with self.place.transaction() as tx:
            group = self.group(tx)
            if group.stage in machine.EXTENDABLE:
                extend(tx, group, seconds, actor="facilitator")

    @rule()
    def close(self):
        with self.place.transaction() as tx:
            group = self.group(tx)
            stage, before = group.stage, group.round_id
            if not quick.close_stage(tx, group):
                assert group.stage == stage
                return
            assert group.paused_at is None
            assert group.stage in NEXT[stage], f"{stage} was closed, and {group.stage} came"
            assert (group.round_id == before) == (group.stage != "opinions")

    @rule()
    def ask_what_people_would_change(self):
        with self.place.transaction() as tx:
            group = self.group(tx)
            row = tx.db.get(RoundRow, group.round_id)
            can = group.stage == "result" and row.statement_id is not None and row.revision < 3
            assert machine.revise(tx, group, actor="facilitator") == can
            if can:
                after = tx.db.get(RoundRow, group.round_id)
                assert (group.stage, after.revises_id) == ("critique", row.id)
                assert after.number == row.number

    @rule(text=st.sampled_from(["", "We agree on what the facilitator wrote."]))
    def change_the_statement_by_hand(self, text):
        with self.place.transaction() as tx:
            group = self.group(tx)
            taken = revisions.edit(tx, group, text, actor="facilitator") is None
            assert taken == (group.stage == "critique")

    @rule(model=st.booleans())
    def write_again(self, model):
        with self.place.transaction() as tx:
            group = self.group(tx)
            why = quick.failure(tx, group)
            assert machine.write_again(tx, group, actor="facilitator") == bool(why)
            if why and model:
                quick.use_model(tx, "openai:http://127.0.0.1:9/v1#other")

    @rule(seconds=st.sampled_from([30, 400, 2000]))
    def time_passes(self, seconds):
        self.place.clock.move_to(self.place.clock.now() + seconds)
        with self.place.transaction() as tx:
            machine.sweep(tx)

    @rule()
    def the_last_leaves(self):
        if len(self.people) > 2:
            with self.place.transaction() as tx:
                people.leave(tx, tx.db.get(ParticipantRow, self.people.pop()), outcome="left")

    @invariant()
    def nothing_is_given_up_that_had_time(self):
        if not hasattr(self, "place"):
            return
        with self.place.store.read() as db:
            for job in db.scalars(select(JobRow).where(JobRow.status == "failed")):
                assert job.error
                assert job.n_attempts or job.finished_at - job.queued_at > 300, job.error
            ended = RoundRow.ended_at.is_not(None), RoundRow.revises_id.is_(None)
            for row in db.scalars(select(RoundRow).where(*ended)):
                shown = select(StatementRow.id).where(
                    StatementRow.round_id == row.id, StatementRow.shown
                )
                assert db.scalars(shown).first(), "a round ended without what could be written"

    @invariant()
    def no_text_is_lost(self):
        if not hasattr(self, "place"):
            return
        with self.place.store.read() as db:
            now = dict(db.execute(select(OpinionRow.id, OpinionRow.text)).all())
        assert self.texts.items() <= now.items()
        self.texts = now

    @invariant()
    def a_paused_stage_stays(self):
        if not hasattr(self, "place"):
            return
        with self.place.transaction() as tx:
            group = self.group(tx)
            if group.paused_at is not None:
                before = (group.stage, group.round_id)
                machine.sweep(tx)
                machine.advance(tx, group)
                assert (group.stage, group.round_id) == before


TestSession = Session.TestCase
# Fewer while somebody waits, ten in CI.
N_SESSIONS = min(10, settings.default.max_examples // 3)
TestSession.settings = settings(max_examples=N_SESSIONS, stateful_step_count=25, deadline=None)


class LongSession(Session):
    """The same, for longer."""


TestLongSession = pytest.mark.slow(LongSession.TestCase)
TestLongSession.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
