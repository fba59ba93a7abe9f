"""Who is put into a group with whom, and who is released with which code."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from study_making import OPINION, Place, small_study
from test_machine import outcomes, play

from commonweal.study.domain import machine, people
from commonweal.study.export.dataset import LEFT_OUT, export_study
from commonweal.study.storage.tables import EventRow, GroupRow, MemberRow, ParticipantRow, RoundRow

THREE = [{"text": f"Should {what} be free?"} for what in ("buses", "trains", "trams")]


def place_of(url, size=2, minimum=2, **changes):
    group = {"size": size, "minimum": minimum}
    return Place(url, small_study(questions=THREE, group=group, **changes))


def had(place, *questions):
    """The id of a new person in the waiting room who has had these questions (from 0) before."""
    (person,) = place.join(1, upto="instructions")
    with place.transaction() as tx:
        group = GroupRow(
            study_id=place.study_id,
            public_id=f"g{person}",
            stage="dissolved",
            stage_since=0,
            deadline=0,
            created_at=0,
        )
        tx.db.add(group)
        tx.db.flush()
        for number, index in enumerate(questions, start=1):
            row = RoundRow(
                public_id=f"r{person}-{number}",
                group_id=group.id,
                number=number,
                question_id=place.config.questions[index].key,
                question="",
                position="",
                seed=1,
                started_at=0,
            )
            tx.db.add(row)
            tx.db.flush()
            tx.db.add(MemberRow(round_id=row.id, participant_id=person))
        row = tx.db.get(ParticipantRow, person)
        people.read_instructions(tx, row)
        people.answer_check(tx, row, [2])
    return person


def groups(place):
    """The members' ids of each group, by seat, in the order of making."""
    with place.store.read() as db:
        found = {}
        for person in db.scalars(select(ParticipantRow).order_by(ParticipantRow.seat)):
            if person.group_id is not None:
                found.setdefault(person.group_id, []).append(person.id)
        return [found[key] for key in sorted(found)]


def test_two_without_a_common_question_hold_nobody_up(database_url):
    place = place_of(database_url)
    first = had(place, 0, 1)
    second = had(place, 2)
    third, fourth = place.join(2)
    # Each of the two goes with the next who comes: nobody is left over.
    assert groups(place) == [[first, third], [second, fourth]]
    place.store.close()


def test_a_group_is_found_where_taking_the_first_who_fit_would_miss_it(tmp_path):
    place = place_of(f"sqlite:///{tmp_path}/study.db", size=4, minimum=4)
    open_to_two = had(place, 0)
    only_trains = had(place, 0, 2)  # fits the first, and nobody after them
    rest = [had(place, 0, 1) for _ in range(3)]
    assert groups(place) == [[open_to_two, *rest]]
    assert place.page(only_trains).kind == "lobby"
    place.store.close()


def test_only_who_waits_too_long_makes_a_smaller_group(tmp_path):
    place = place_of(f"sqlite:///{tmp_path}/study.db", size=3, minimum=2)
    long = had(place, 0, 1)
    place.clock.move_to(place.clock.now() + 540)
    new = [had(place, 2), had(place, 2)]
    place.clock.move_to(place.clock.now() + 61)
    for person in (long, *new):
        place.page(person)
    # Nobody fits the first, whose time is up; the others still wait for a third.
    assert groups(place) == []
    assert outcomes(place, [long, *new]) == ["no_group", None, None]
    place.store.close()


@pytest.mark.parametrize("n_written", [0, 2])
def test_who_was_in_a_group_that_fell_short_gets_the_partial_code(tmp_path, n_written):
    place = Place(f"sqlite:///{tmp_path}/study.db", small_study())
    ids = place.join(4)
    for person in ids[:n_written]:
        place.act(person)
        place.act(person)
    for person in ids[2:]:
        with place.transaction() as tx:
            people.leave(tx, tx.db.get(ParticipantRow, person))
    assert [place.page(i).kind for i in ids[:2]] == ["lobby"] * 2
    place.clock.move_to(place.clock.now() + 601)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert outcomes(place, ids) == ["partial", "partial", "left", "left"]
    place.store.close()


def test_who_is_late_after_a_whole_round_gets_the_partial_code(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/study.db", small_study())
    ids = place.join(4)
    play(place, ids, until="result")
    for person in ids:
        place.act(person)
    for person in ids[:3]:
        place.act(person)
        place.act(person)
    place.clock.move_to(place.page(ids[0]).deadline)
    with place.transaction() as tx:
        machine.sweep(tx)
    assert outcomes(place, ids) == [None, None, None, "partial"]
    with place.store.read() as db:
        ended = db.scalars(select(EventRow).where(EventRow.kind == "ended")).one()
        assert ended.group_id == db.get(ParticipantRow, ids[3]).group_id
    place.store.close()


@pytest.mark.attack("waiting room", "two who fill a group and leave, again and again")
def test_who_is_left_by_others_keeps_their_turn(database_url, tmp_path, record_property):
    place = place_of(database_url, size=3, minimum=3, rounds={"count": 2, "passes": 1})
    (honest,) = place.join(1)
    for attack in range(6):
        fakes = place.join(2)
        assert place.page(honest).kind == "opinion"
        place.act(honest)
        for fake in fakes:
            with place.transaction() as tx:
                people.leave(tx, tx.db.get(ParticipantRow, fake))
        assert place.page(honest).kind == "lobby", attack
    # In front of those who came later, although the waiting began anew with each group.
    others = place.join(2)
    late = place.join(1)
    for _ in range(2):
        play(place, [honest, *others], until="result")
    assert outcomes(place, [honest, *others]) == ["complete"] * 3
    assert place.page(late[0]).kind == "lobby"
    with place.store.read() as db:
        rated = db.scalars(
            select(RoundRow.question_id)
            .join(MemberRow)
            .where(MemberRow.participant_id == honest, RoundRow.fell_short.is_(False))
        ).all()
    assert len(rated) == len(set(rated)) == 2
    dataset = export_study(place.store, place.study_id, tmp_path / "data")
    assert dataset.about.steps[-1].what != LEFT_OUT
    assert dataset.rounds.height == 8
    record_property("tried", 6)
    place.store.close()


def test_what_was_written_before_the_others_left_is_a_draft(tmp_path):
    config = small_study(questions=THREE[:1], rounds={"count": 1}, group={"size": 2, "minimum": 2})
    place = Place(f"sqlite:///{tmp_path}/study.db", config)
    honest, fake = place.join(2)
    place.act(honest)
    with place.transaction() as tx:
        people.leave(tx, tx.db.get(ParticipantRow, fake))
    assert place.page(honest).kind == "lobby"
    place.join(1)
    page = place.page(honest)
    assert (page.kind, page.draft) == ("opinion", OPINION)
    place.store.close()
