"""Orders of events at random, with clocks that jump, pauses and gaps: nobody is stuck or robbed."""

from __future__ import annotations

import random
from functools import cache

import pytest
from sqlalchemy import event, select
from study_making import OPINION, ScriptedWriter, small_study

from commonweal.study.domain import answers, machine, people, privacy
from commonweal.study.domain.pages import current_page
from commonweal.study.storage import gaps
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import DraftRow, GroupRow, JobRow, OpinionRow, ParticipantRow
from commonweal.study.writing import jobs

WAITS = ("waiting", "lobby", "end")
A_STUDY = {"checks": [], "arms": [{"name": "one", "candidates": 2}]}


class Clock:
    """A clock that goes, and may jump."""

    def __init__(self):
        self.at = 1_700_000_000.0

    def now(self):
        return self.at

    def behind(self):
        return 0.0


@cache
def study(seed):
    """One of a few kinds of study, under a name of its own."""
    late, shortfall, passes = [
        ("release", "regroup", 1),
        ("keep", "release", 1),
        ("release", "release", 2),
    ][seed % 3]
    return small_study(
        **A_STUDY,
        group={"size": 3, "minimum": 2, "late": late, "shortfall": shortfall},
        rounds={"count": 1 + seed % 2, "passes": passes},
        questions=small_study().model_dump()["questions"][: 2 + seed % 2],
    )


class Interleaving:
    """One order of events in a study of its own. Each step is one transaction."""

    def __init__(self, store, number):
        self.store, self.clock = store, store.clock
        self.rng = random.Random(number)
        config = study(number % 6)
        self.config = config.model_copy(update={"name": f"study-{number}"})
        self.study_id = store.open_study(self.config)
        self.acknowledged = {}
        self.writer = jobs.Worker(store, self.study_id, ScriptedWriter())
        self.steps = []

    def transaction(self):
        return self.store.transaction(self.study_id)

    def everybody(self, tx):
        return list(
            tx.db.scalars(
                select(ParticipantRow)
                .where(ParticipantRow.study_id == self.study_id, ParticipantRow.outcome.is_(None))
                .order_by(ParticipantRow.id)
            )
        )

    def do(self, tx, person):
        """Does what the person's page asks for, as it would send it; says which page it was."""
        people.saw(tx, person)
        tx.db.flush()
        page = current_page(tx, person)
        if page.unseen is not None:
            answers.show(tx.db, page.unseen, tx.now)
            tx.db.refresh(page.unseen)
        if page.kind in ("position", "rate"):
            assert answers.rate(tx, person, page.presentation.id, 6, 5) is None
        elif page.kind == "opinion":
            if self.rng.random() < 0.3:
                text = f"{OPINION} Draft {self.rng.random()}"
                assert answers.save_draft(tx, person, page.round.id, text)
                self.acknowledged["draft", page.round.id, person.id] = text
            else:
                assert answers.write_opinion(tx, person, page.round.id, OPINION) is None
                self.acknowledged.pop(("draft", page.round.id, person.id), None)
                self.acknowledged["opinion", page.round.id, person.id] = OPINION
        elif page.kind == "result":
            assert answers.leave_result(tx, person, page.round.id)
        return page.kind

    # ------------------------------------------------------------------------------- the events

    def join(self):
        with self.transaction() as tx:
            for _ in range(self.rng.randint(1, 3)):
                person = people.join(tx)
                people.consent(tx, person, "the text")
                if self.rng.random() < 0.9:
                    people.read_instructions(tx, person)

    def act(self):
        with self.transaction() as tx:
            for person in self.everybody(tx):
                if self.rng.random() < 0.7 and person.outcome is None:
                    self.do(tx, person)

    def leave(self):
        with self.transaction() as tx:
            if found := self.everybody(tx):
                person = self.rng.choice(found)
                if self.rng.random() < 0.5:
                    people.leave(tx, person)
                else:
                    number = person.id
                    privacy.delete_data(tx, person)
                    for key in [each for each in self.acknowledged if each[2] == number]:
                        del self.acknowledged[key]

    def pass_time(self):
        """The server is there: it beats, and moves what is due."""
        for _ in range(self.rng.choice([1, 3])):
            self.clock.at += self.rng.uniform(1, 14)
            self.sweep()

    def long_wait(self):
        """Time in which the server is there and nobody else."""
        with self.transaction() as tx:
            seconds = self.rng.choice([30, 200, 700])
            self.clock.at += seconds
            tx.study.beat_at = (tx.study.beat_at or tx.now) + seconds
        self.sweep()

    def gap(self):
        """Killed, asleep, or the clock was set: to any time, back or forth."""
        before = self.left()
        slept = self.rng.choice([-86_400, -3600, -20, -2, 2, 27, 600, 86_400])
        self.clock.at += slept
        after = self.left()
        for group_id, seconds in before.items():
            lost = seconds - after[group_id]
            # What is no gap yet is time as it passes; before the last beat time stands.
            assert lost <= gaps.GAP_SECONDS + 1e-3, f"{lost} s lost in {slept} s"
            assert lost >= -gaps.GAP_SECONDS - 1e-3
        self.sweep()

    def left(self):
        """The seconds that each group has, before anything moves."""
        with self.transaction() as tx:
            return {
                group.id: group.deadline - (group.paused_at or tx.now)
                for group in tx.db.scalars(
                    select(GroupRow).where(
                        GroupRow.study_id == self.study_id, GroupRow.stage.not_in(machine.ENDED)
                    )
                )
            }

    def pause(self):
        with self.transaction() as tx:
            for group in tx.db.scalars(
                select(GroupRow).where(
                    GroupRow.study_id == self.study_id, GroupRow.stage.not_in(machine.ENDED)
                )
            ).all():
                change = machine.pause if group.paused_at is None else machine.resume
                change(tx, group, actor="ada")

    def more_time(self):
        with self.transaction() as tx:
            for person in self.everybody(tx)[:1]:
                people.more_time(tx, person)

    def dies_writing(self):
        with self.transaction() as tx:
            jobs.claim(tx)

    def write(self):
        self.writer.run_once()

    def sweep(self):
        with self.transaction() as tx:
            gaps.beat(tx)
            machine.sweep(tx)

    # --------------------------------------------------------------------------------- the whole

    EVENTS = (
        *("act", "act", "act", "join", "pass_time", "gap", "gap", "write"),
        *("leave", "pause", "more_time", "dies_writing", "long_wait"),
    )

    def run(self, n_events):
        self.sweep()
        self.join()
        for _ in range(n_events):
            self.steps.append(self.rng.choice(self.EVENTS))
            getattr(self, self.steps[-1])()
            self.nothing_acknowledged_is_lost()
        self.everybody_comes_to_an_end()
        self.nothing_acknowledged_is_lost()

    def nothing_acknowledged_is_lost(self):
        with self.store.read() as db:
            kept = {
                (kind, round_id, person_id): text
                for kind, table in (("draft", DraftRow), ("opinion", OpinionRow))
                for round_id, person_id, text in db.execute(
                    select(table.round_id, table.participant_id, table.text)
                    .join(ParticipantRow)
                    .where(ParticipantRow.study_id == self.study_id)
                )
            }
            assert self.acknowledged.items() <= kept.items()

    def everybody_comes_to_an_end(self):
        """With those who are there acting, the server beating and time passing."""
        with self.transaction() as tx:
            for group in tx.db.scalars(
                select(GroupRow).where(
                    GroupRow.study_id == self.study_id, GroupRow.paused_at.is_not(None)
                )
            ).all():
                machine.resume(tx, group, actor="ada")
        for _ in range(30):
            with self.transaction() as tx:
                found = self.everybody(tx)
                for person in found:
                    for _ in range(3):
                        # Whoever waits now waits for the others, or for time.
                        if person.outcome is not None or self.do(tx, person) in WAITS:
                            break
            if not found:
                break
            self.write()
            self.long_wait()
        with self.transaction() as tx:
            left = self.everybody(tx)
            assert not left, f"stuck: {[(each.stage, each.group_id) for each in left]}"
            assert not tx.db.scalars(
                select(JobRow.id)
                .join(GroupRow, GroupRow.round_id == JobRow.round_id)
                .where(
                    GroupRow.study_id == self.study_id,
                    GroupRow.stage == "generating",
                )
            ).all()


def interleavings(folder, numbers, n_events):
    """Runs them, many in one database: a new one now and then keeps it small."""
    store = None
    for place, number in enumerate(numbers):
        if place % 200 == 0:
            if store is not None:
                store.close()
            store = Store(f"sqlite:///{folder}/{place}.db", clock=Clock())
            event.listen(store.engine, "connect", _quick)
            store.engine.dispose()
        one = Interleaving(store, number)
        try:
            one.run(n_events)
        except BaseException as error:
            error.add_note(f"interleaving {number}: {', '.join(one.steps)}")
            raise
    store.close()


def _quick(connection, _record):
    connection.execute("PRAGMA synchronous=OFF")  # durability is tested elsewhere


def test_some_interleavings(tmp_path):
    interleavings(tmp_path, range(12), n_events=10)


@pytest.mark.heavy
def test_more_interleavings(tmp_path):
    interleavings(tmp_path, range(12, 40), n_events=10)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.attack("downtime", "interleavings at random, with jumps, pauses, gaps and crashes")
@pytest.mark.parametrize("part", range(20))
def test_ten_thousand_interleavings(tmp_path, record_property, part):
    interleavings(tmp_path, range(100 + 500 * part, 100 + 500 * (part + 1)), n_events=8)
    record_property("tried", 500)
