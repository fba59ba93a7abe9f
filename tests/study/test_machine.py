"""How a group moves: whole rounds, shortfall, lateness, pauses, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError
from study_making import OPINION, Place, ScriptedWriter, small_study

from commonweal.study.domain import answers, machine, people, rounds
from commonweal.study.domain.pages import current_page
from commonweal.study.storage.tables import (
    DraftRow,
    EventRow,
    GroupRow,
    JobRow,
    MemberRow,
    ParticipantRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
)
from commonweal.study.writing.jobs import Worker


@pytest.fixture
def place(database_url):
    made = Place(database_url)
    yield made
    made.store.close()


def play(place, ids, writer=None, until="end", limit=400):
    """Everybody acts in turn until all are at ``until``."""
    worker = Worker(place.store, place.study_id, writer or ScriptedWriter())
    for _ in range(limit):
        kinds = [place.act(person) for person in ids]
        worker.run_once()
        place.clock.move_to(place.clock.now() + 1)
        if all(kind == until for kind in kinds):
            return
    raise AssertionError(f"still at {kinds}")


def outcomes(place, ids):
    with place.store.read() as db:
        return [db.get(ParticipantRow, i).outcome for i in ids]


def count(place, what, *where):
    with place.store.read() as db:
        return db.scalar(select(func.count()).select_from(what).where(*where))


@pytest.mark.heavy
def test_two_whole_rounds(place):
    ids = place.join(4)
    writer = ScriptedWriter()
    play(place, ids, writer)
    assert outcomes(place, ids) == ["complete"] * 4
    assert count(place, RoundRow) == 2
    # Two arms a round, three statements shown, two passes of four people, and the position.
    assert len(writer.tasks) == 4
    assert count(place, RatingRow) == 2 * (4 * 3 * 2 + 4)
    assert count(place, StatementRow, StatementRow.shown) == 6
    with place.store.read() as db:
        questions = db.scalars(select(RoundRow.question_id)).all()
        assert len(set(questions)) == 2
        for row in db.scalars(select(RoundRow)):
            assert row.statement_id is not None
            assert set(row.provenance) == {"first", "second"}
        for shown in db.scalars(select(StatementRow).where(StatementRow.shown)):
            assert shown.alpha is not None
            assert shown.rank is not None


def test_the_same_statement_is_picked_once_and_the_next_best_after_it(place):
    ids = place.join(4)
    play(place, ids, until="rate")
    with place.store.read() as db:
        picked = db.scalars(
            select(StatementRow).where(StatementRow.pick.is_not(None)).order_by(StatementRow.pick)
        ).all()
    # The writer's predictions rise with the number: c04 and c03 of the first arm, c08 of the other.
    assert [(each.name, each.rank) for each in picked] == [("c04", 1), ("c03", 2), ("c08", 1)]


def test_a_late_joiner_waits_for_the_next_group(place):
    ids = place.join(4)
    (late,) = place.join(1)
    play(place, ids, until="rate")
    assert place.page(late).kind == "lobby"
    assert count(place, MemberRow, MemberRow.participant_id == late) == 0
    others = place.join(3)
    assert [place.page(i).kind for i in (late, *others)] == ["position"] * 4


def test_at_the_waiting_rooms_deadline_a_smaller_group_will_do(place):
    ids = place.join(3)
    place.clock.move_to(place.clock.now() + 560)
    assert [place.page(i).kind for i in ids] == ["lobby"] * 3
    place.clock.move_to(place.clock.now() + 41)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert [place.page(i).kind for i in ids] == ["position"] * 3


def test_who_has_closed_the_page_is_put_into_no_group(place):
    gone = place.join(2)
    place.clock.move_to(place.clock.now() + 100)
    there = place.join(3)
    assert [place.page(i).kind for i in there] == ["lobby"] * 3
    assert place.page(gone[0]).kind == "position"  # is back, and makes the group of four
    assert place.page(there[0]).kind == "position"


def test_too_few_at_the_waiting_rooms_deadline_are_released(place):
    ids = place.join(2)
    place.clock.move_to(place.clock.now() + 601)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert outcomes(place, ids) == ["no_group"] * 2


def test_whoever_is_late_with_the_opinion_is_released_and_three_go_on(place):
    ids = place.join(4)
    for person in ids[:3]:
        place.act(person)
        place.act(person)
    place.clock.move_to(place.clock.now() + 481)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert outcomes(place, ids) == [None, None, None, "timed_out"]
    assert place.page(ids[0]).waiting_for == "generating"
    assert place.page(ids[3]).kind == "end"


@pytest.mark.heavy
def test_two_that_are_left_are_regrouped_and_get_no_question_twice(place):
    ids = place.join(4)
    play(place, ids, until="result")
    for person in ids[:2]:
        with place.transaction() as tx:
            people.leave(tx, tx.db.get(ParticipantRow, person))
    for person in ids[2:]:
        place.act(person)
    assert [place.page(i).kind for i in ids[2:]] == ["lobby"] * 2
    others = place.join(2)
    play(place, [*ids[2:], *others], until="result")
    for person in (*ids[2:], *others):
        place.act(person)
    # The first two have their two rounds after one more; the others then lack a group.
    assert outcomes(place, ids[2:]) == ["complete"] * 2
    assert [place.page(i).kind for i in others] == ["lobby"] * 2
    with place.store.read() as db:
        had = db.scalars(
            select(RoundRow.question_id).join(MemberRow).where(MemberRow.participant_id == ids[2])
        ).all()
    assert len(had) == len(set(had))


def test_who_leaves_after_a_round_gets_the_partial_code(place):
    ids = place.join(4)
    play(place, ids, until="result")
    for person in ids:
        place.act(person)
    assert place.page(ids[0]).round_number == 2
    with place.transaction() as tx:
        people.leave(tx, tx.db.get(ParticipantRow, ids[0]))
    assert outcomes(place, ids)[0] == "partial"


def test_everybody_waits_only_for_those_who_are_there(place):
    ids = place.join(4)
    for person in ids[:3]:
        place.act(person)
        place.act(person)
    with place.transaction() as tx:
        people.leave(tx, tx.db.get(ParticipantRow, ids[3]), outcome="removed", actor="ada")
    assert place.page(ids[0]).waiting_for == "generating"
    assert outcomes(place, ids)[3] == "removed"


def test_more_time_is_given_ten_times(place):
    ids = place.join(4)
    before = place.page(ids[0]).deadline
    with place.transaction() as tx:
        person = tx.db.get(ParticipantRow, ids[0])
        given = [people.more_time(tx, person) for _ in range(12)]
    assert given == [True] * 10 + [False] * 2
    assert place.page(ids[1]).deadline == before + 600


def test_a_paused_group_stands_still(place):
    ids = place.join(4)
    with place.transaction() as tx:
        group = tx.db.scalars(select(GroupRow)).one()
        group.paused_at = tx.now
    place.clock.move_to(place.clock.now() + 10_000)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert [place.page(i).kind for i in ids] == ["position"] * 4


def test_dead_models_strand_nobody(place):
    ids = place.join(4)
    play(place, ids, ScriptedWriter(failures=["dead"] * 10), until="result")
    page = place.page(ids[0])
    assert page.results == ()
    assert page.round.statement_id is None
    with place.store.read() as db:
        job = db.scalars(select(JobRow)).one()
        assert (job.status, job.n_attempts) == ("failed", 2)
        assert job.error == "first: dead; second: dead"


def test_a_worker_that_hangs_for_ever_strands_nobody(place):
    ids = place.join(4)
    for person in ids:
        place.act(person)
        place.act(person)
    page = place.page(ids[0])
    place.clock.move_to(page.deadline)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert [place.page(i).kind for i in ids] == ["result"] * 4


def test_the_fallback_arm_writes_after_the_last_attempt(database_url):
    place = Place(database_url, small_study(generation={"attempts": 1, "fallback": "second"}))
    ids = place.join(4)
    writer = ScriptedWriter(failures=["dead"] * 2)
    play(place, ids, writer, until="rate")
    assert [task.arm.name for task in writer.tasks] == ["first", "second", "second"]
    assert count(place, StatementRow, StatementRow.shown) == 1


@pytest.mark.parametrize(
    ("n_rated", "notes"),
    [
        ([3, 3, 3, 1], []),
        ([2, 2, 2, 2], ["the mean decided, not schulze: nobody rated every statement"]),
    ],
)
def test_a_missing_rating_does_not_take_the_choice_from_the_rule(
    tmp_path, monkeypatch, n_rated, notes
):
    # The same order of statements for each person every time.
    monkeypatch.setattr(rounds.secrets, "randbits", lambda _n: 1)
    config = small_study(
        group={"size": 4, "minimum": 2, "late": "keep"},
        rounds={"count": 1, "passes": 1, "welfare": "schulze"},
        arms=[{"name": "first", "candidates": 3, "shown": 3}],
    )
    place = Place(f"sqlite:///{tmp_path}/study.db", config)
    ids = place.join(4)
    for person in ids:
        place.act(person)
        place.act(person)
    Worker(place.store, place.study_id, ScriptedWriter()).run_once()
    # Everybody prefers the last to the middle one, and that to the first.
    with place.store.read() as db:
        shown = db.scalars(select(StatementRow).order_by(StatementRow.id)).all()
        by_text = {each.text: (3, 5, 6)[n] for n, each in enumerate(shown)}
        last = shown[-1].id
    for person, n in zip(ids, n_rated, strict=True):
        for _ in range(n):
            place.act(person, agreement=by_text[place.page(person).statement.text])
    place.clock.move_to(place.clock.now() + 1000)
    with place.transaction() as tx:
        machine.sweep(tx)
        row = tx.db.scalars(select(RoundRow)).one()
        assert (row.statement_id, row.notes) == (last, notes)
    place.store.close()


def test_answers_to_other_pages_change_nothing(place):
    ids = place.join(4)
    page = place.page(ids[0])
    with place.transaction() as tx:
        me, other = (tx.db.get(ParticipantRow, i) for i in ids[:2])
        of_another = answers.rate(tx, other, page.presentation.id, 4, None)
        assert of_another == "not_asked"
        assert answers.write_opinion(tx, me, page.round.id, OPINION) == "not_asked"  # not yet
        assert answers.rate(tx, me, page.presentation.id, 4, None) is None
        assert answers.rate(tx, me, page.presentation.id, 1, None) == "not_asked"  # sent twice
        assert not answers.leave_result(tx, me, page.round.id)
    asked = place.page(ids[1]).presentation.id
    with place.transaction() as tx:
        other = tx.db.get(ParticipantRow, ids[1])
        for value in (0, 8, -1, None):
            assert answers.rate(tx, other, asked, value, None) == "missing_one"
    assert count(place, RatingRow) == 1
    assert place.page(ids[0]).kind == "opinion"


def test_an_opinion_of_the_wrong_length_stays_as_a_draft(place):
    ids = place.join(4)
    place.act(ids[0])
    page = place.page(ids[0])
    with place.transaction() as tx:
        person = tx.db.get(ParticipantRow, ids[0])
        assert answers.write_opinion(tx, person, page.round.id, "Short.") == "too_short"
        assert answers.write_opinion(tx, person, page.round.id, "x" * 1501) == "too_long"
        tx.db.flush()
        assert current_page(tx, person).draft == "x" * 1501


def test_a_draft_that_arrives_after_its_opinion_is_not_a_mistake(place):
    ids = place.join(4)
    place.act(ids[0])
    round_id = place.page(ids[0]).round.id
    with place.transaction() as tx:
        person = tx.db.get(ParticipantRow, ids[0])
        assert answers.write_opinion(tx, person, round_id, "word " * 20) is None
        tx.db.flush()
        assert answers.save_draft(tx, person, round_id, "word " * 19)
        assert not answers.save_draft(tx, person, round_id + 1, "another round's")
        tx.db.flush()
        assert tx.db.scalar(select(func.count()).select_from(DraftRow)) == 0


def test_ratings_and_events_cannot_be_changed(place):
    ids = place.join(4)
    place.act(ids[0])
    for statement in (
        update(RatingRow).values(agreement=1),
        update(EventRow).values(actor="nobody"),
        update(PresentationRow).values(shown_at=0.0),
    ):
        with pytest.raises(DBAPIError, match="append-only"), place.transaction() as tx:
            tx.db.execute(statement)


@pytest.mark.heavy
def test_every_rating_has_its_times(place):
    ids = place.join(4)
    play(place, ids)
    with place.store.read() as db:
        rows = db.execute(select(PresentationRow, RatingRow).join(RatingRow)).all()
        assert rows
        for presentation, rating in rows:
            assert presentation.written_at <= presentation.shown_at == rating.shown_at
            assert rating.shown_at <= rating.submitted_at


@pytest.mark.heavy
def test_people_at_once(database_url):
    """Threads, one a person, as fast as they can: nobody is lost, nothing is stored twice."""
    place = Place(database_url)
    ids = place.join(8)
    worker = Worker(place.store, place.study_id, ScriptedWriter())
    failed = []

    def live(person):
        try:
            for _ in range(300):
                if place.act(person) == "end":
                    return
            failed.append(f"{person} is at {place.page(person).kind}")
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=live, args=(i,)) for i in ids]
    done = threading.Event()

    def work():
        while not done.is_set():
            if not worker.run_once():
                done.wait(0.005)

    threads.append(writing := threading.Thread(target=work))
    for thread in threads:
        thread.start()
    for thread in threads[:-1]:
        thread.join(60)
    done.set()
    writing.join(10)
    assert not failed
    assert outcomes(place, ids) == ["complete"] * 8
    assert count(place, RatingRow) == 4 * (4 * 3 * 2 + 4)
