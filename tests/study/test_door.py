"""Who gets into a quick session: codes that change, a crowd of one phone, removal, who is there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from starlette.testclient import TestClient
from study_making import OPINION, ScriptedWriter

from commonweal.study.domain import door, people
from commonweal.study.domain.door import BURST, CODE_SECONDS, MAX_WAITING, Arrivals
from commonweal.study.domain.lobby import ROOM_SECONDS
from commonweal.study.domain.quick import open_session, quick_study
from commonweal.study.simulation.bots import Browser
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import EventRow, GroupRow, ParticipantRow
from commonweal.study.web.app import App
from commonweal.study.web.limits import Limits
from commonweal.study.web.routes import asgi


class Room:
    """A quick session in a room: its facilitator's browser, and phones with addresses."""

    def __init__(self, folder, *, has_door=False):
        self.clock = ManualClock()
        self.store = Store(f"sqlite:///{folder}/quick.db", clock=self.clock)
        config = quick_study(["Should buses be free?"])
        self.study_id, token = open_session(self.store, config)
        self.app = App(
            self.store,
            self.study_id,
            writer=ScriptedWriter(),
            in_background=False,
            has_door=has_door,
        )
        self.app.limits = Limits(clock=lambda: 0.0)
        self.seconds = 0.0
        self.app.arrivals = Arrivals(lambda: self.seconds)
        self.facilitator = self.phone("192.0.2.1")
        self.facilitator.get(f"/f/{token}")

    def phone(self, address):
        client = TestClient(asgi(self.app))
        client._transport.client = (address, 5000)
        return Browser(client)

    def pass_time(self, seconds):
        self.seconds += seconds
        self.clock.move_to(self.clock.now() + seconds)

    def join(self, address, path="/join"):
        phone = self.phone(address)
        phone.get(path)
        phone.send("/join", button="agree")
        return phone

    def codes(self):
        """The code on the screen, and the link to send."""
        with self.store.transaction(self.study_id) as tx:
            return door.code_now(tx), f"/join?code={door.link_code(tx)}"

    def press(self, what, value="", **more):
        self.facilitator.get("/facilitator/people")
        fields = self.facilitator.forms["/facilitator/people"].fields
        self.facilitator.post(
            "/facilitator/people", {**fields, "what": what, "value": value, **more}
        )

    def seats_of(self, what):
        """The seats that the first such button on the page stands for, with blanks between."""
        self.facilitator.get("/facilitator/people")
        shown = f'name="what" value="{what}"><input type="hidden" name="value" value="'
        return self.facilitator.html.split(shown)[1].split('"')[0]

    def start(self):
        self.facilitator.get("/facilitator")
        self.facilitator.send("/facilitator/start")

    def in_group(self):
        """The seats of those who are in the group."""
        with self.store.read() as db:
            found = select(ParticipantRow.seat).where(ParticipantRow.group_id.is_not(None))
            return sorted(db.scalars(found.where(ParticipantRow.outcome.is_(None))))

    def count(self):
        with self.store.read() as db:
            return len(db.scalars(select(ParticipantRow.id)).all())


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def closed_room(tmp_path):
    made = Room(tmp_path, has_door=True)
    yield made
    made.store.close()


def number_of(phone):
    """The number that a phone shows its person."""
    return int(re.search(r"You are person (\d+)", phone.html).group(1))


# ------------------------------------------------------------------------- one phone, many people


@pytest.mark.heavy
@pytest.mark.attack(
    "a room", "one phone joins 49 times in a second, ten honest people come after it"
)
def test_one_phone_does_not_take_a_session_over(room, record_property):
    statuses = [room.join("198.51.100.9").status for _ in range(49)]
    assert statuses == [200] * BURST + [429] * (49 - BURST)
    honest = [room.join(f"192.0.2.{n}") for n in range(10, 20)]
    assert {each.status for each in honest} == {200}
    room.facilitator.get("/facilitator")
    assert f"{BURST} people joined from one address" in room.facilitator.html
    room.facilitator.get("/facilitator/people")
    assert f"{BURST} people from one address (A)" in room.facilitator.html
    room.press("shut")
    room.press("network", room.seats_of("network"))
    room.start()
    assert room.in_group() == sorted(number_of(each) for each in honest)
    late = room.phone("198.51.100.9")
    late.get("/join")
    assert late.headings == ["The door is closed"]
    record_property("tried", 49)


@pytest.mark.attack("a room", "more join than a group holds: everybody's address has a place")
def test_a_crowd_takes_nobodys_place(room):
    with room.store.transaction(room.study_id) as tx:
        for _ in range(60):  # over some minutes, and with all its pages open
            person = people.join(tx)
            people.consent(tx, person, "the text")
            people.read_instructions(tx, person)
            room.app.came_from[person.id] = "198.51.100.9"
    honest = [room.join(f"192.0.2.{n}") for n in range(10, 15)]
    room.start()
    inside = room.in_group()
    assert len(inside) == 50
    assert set(inside) >= {number_of(each) for each in honest}


@pytest.mark.attack("a room", "30 phones behind one address, and a script beside them")
def test_a_room_behind_one_address_comes_in_while_a_script_floods_it(room, record_property):
    phones = []
    for _ in range(30):
        phone = room.phone("192.0.2.7")
        phone.get("/join")
        phones.append(phone)
    fields = [{**each.forms["/join"].fields, "decision": "agree"} for each in phones]
    inside, seconds = set(), 0
    while len(inside) < 30:
        assert seconds < 200
        for n, phone in enumerate(phones):
            if n not in inside and (seconds + n) % 4 == 0:  # as the page's script tries again
                phone.post("/join", fields[n])
                if phone.status == 200:
                    inside.add(n)
                else:
                    assert "Many people are joining" in phone.html
        # Each of them with a cookie of its own, which it does not use twice.
        for n in range(10):
            room.app.arrivals.admits("192.0.2.7", f"made up {seconds} {n}")
        room.pass_time(1)
        seconds += 1
    record_property("tried", 30)
    record_property("figure", f"all in after {seconds} s")


def test_a_full_queue_keeps_who_comes_again():
    now = [0.0]
    arrivals = Arrivals(lambda: now[0])
    while arrivals.admits("a", f"first {now[0]}"):
        pass
    assert not arrivals.admits("a", "honest")
    now[0] += 0.1
    assert not arrivals.admits("a", "honest")  # comes again, and is safe from now on
    for n in range(3 * MAX_WAITING):
        assert not arrivals.admits("a", f"flood {n}")
    now[0] += 4
    assert arrivals.admits("a", "honest")
    assert arrivals.admits("another address", "anybody")


# -------------------------------------------------------------------------------- codes and links


@pytest.mark.attack("a room", "joining without the code, with an old, a wrong and a guessed one")
def test_only_who_sees_the_screen_joins(closed_room, record_property):
    room = closed_room
    code, link = room.codes()
    room.facilitator.get("/facilitator")
    assert f"{code[:3]} {code[3:]}" in room.facilitator.html
    outside = room.phone("192.0.2.9")
    outside.get("/join")
    assert outside.headings == ["Join the session"]
    assert "/join" in outside.forms
    assert outside.forms["/join"].method == "get"
    for wrong in ("000000" if code != "000000" else "000001", "x", "é", "0" * 200):
        outside.get(f"/join?code={wrong}")
        assert outside.status == 403
    # A pass of another browser, a made-up one and none.
    other = room.phone("192.0.2.10")
    other.get(link)
    fields = other.forms["/join"].fields
    mine = room.phone("192.0.2.11")
    mine.get(link)
    for stolen in (fields["door"], "1-" + "0" * 32, "é", ""):
        mine.post("/join", {**mine.forms["/join"].fields, "door": stolen, "decision": "agree"})
        assert mine.status == 403
        mine.get(link)
    assert room.count() == 0
    # Who has no pass takes nobody's place in the queue either.
    for _ in range(BURST):
        fields = {**mine.forms["/join"].fields, "door": "", "decision": "agree"}
        mine._client.post("/join", data=fields)
    assert room.app.arrivals.admits("192.0.2.11", "somebody")
    # Typed with a blank, a minute later, and read slowly: in time.
    room.pass_time(CODE_SECONDS)
    assert room.codes()[0] != code
    inside = room.phone("192.0.2.12")
    inside.get(f"/join?code={code[:3]}+{code[3:]}")
    room.pass_time(15 * 60)
    inside.send("/join", button="agree")
    assert number_of(inside) == 1
    late = room.phone("192.0.2.13")
    late.get(f"/join?code={code}")
    assert late.status == 403
    guesses = [room.phone("203.0.113.1").get(f"/join?code={n:06d}").status_code for n in range(60)]
    assert guesses[-20:] == [429] * 20
    # Guesses of a neighbour spoil nobody's right code.
    neighbour = room.phone("203.0.113.1")
    neighbour.get(f"/join?code={room.codes()[0]}")
    assert neighbour.status == 200
    record_property("tried", 70)


@pytest.mark.attack("a room", "the code as phones of other languages type it, and what is none")
def test_a_code_is_read_in_any_digits(closed_room):
    room = closed_room
    code, _ = room.codes()
    wide, arabic, hindi = (
        "".join(chr(ord(zero) + int(digit)) for digit in code) for zero in ("０", "٠", "०")
    )
    typed = [wide, arabic, hindi, f"{code[:3]}-{code[3:]}", f" {code}\u200f\n", ".".join(code)]
    for each in typed:
        phone = room.phone("192.0.2.9")
        assert phone._client.get("/join", params={"code": each}).status_code == 200, each
    for each in (code[:5], code + "0", "", code[::-1] if code != code[::-1] else "x", "①" * 6):
        answer = room.phone("192.0.2.10")._client.get("/join", params={"code": each or "x"})
        assert answer.status_code == 403, each


@pytest.mark.attack("a room", "a link that was passed on, after new codes were made")
def test_new_codes_make_the_old_ones_useless(closed_room):
    room = closed_room
    code, link = room.codes()
    slow = room.phone("192.0.2.9")
    slow.get(link)
    room.press("code")
    for path in (link, f"/join?code={code}"):
        assert room.phone("192.0.2.9").get(path).status_code == 403
    slow.send("/join", button="agree")
    assert slow.status == 403
    assert "code has changed" in slow.html
    room.facilitator.get("/facilitator/people")
    (link,) = re.findall(r"http://\S+?/join\?code=\w+", room.facilitator.html)
    parts = urlsplit(link)
    assert number_of(room.join("192.0.2.9", f"{parts.path}?{parts.query}")) == 1


# ------------------------------------------------------------------------------------ who is there


@pytest.mark.attack("a room", "people who joined and are gone do not begin")
def test_only_who_is_present_begins_and_a_sleeping_phone_comes_back(room):
    phones = [room.join(f"192.0.2.{n}") for n in range(10, 15)]
    room.pass_time(ROOM_SECONDS + 1)
    for phone in phones[:3]:
        phone.get("/here")
    room.facilitator.get("/facilitator")
    assert "Begin with 3 people" in room.facilitator.html
    room.start()
    assert room.in_group() == [1, 2, 3]
    # Its person looks at it again: it is in, under the number that it showed before.
    phones[3].get("/here")
    assert phones[3].headings == ["What do you think?"]
    assert room.in_group() == [1, 2, 3, 4]
    # Whoever comes only now is told so.
    late = room.join("192.0.2.30")
    assert "others have already begun" in late.html
    assert "/here/opinion" not in late.forms
    for phone in phones[:4]:
        phone.get("/here")
        phone.send("/here/opinion", text=OPINION)
    room.app.worker.run_once()
    phones[4].get("/here")  # too late: the others rate
    assert "others have already begun" in phones[4].html
    with room.store.read() as db:
        assert db.scalars(select(GroupRow)).one().stage == "rating"


def test_a_button_removes_those_for_whom_it_stood_and_nobody_else(room):
    for address in ["198.51.100.9"] * 3 + ["192.0.2.10"] * 2:
        room.join(address)
    shown = room.seats_of("network")
    assert shown == "1 2 3"
    # Meanwhile others are more from one address, and would now be the first on the page.
    for _ in range(2):
        room.join("192.0.2.10")
    assert room.seats_of("network") == "4 5 6 7"
    room.press("network", shown)
    room.start()
    assert room.in_group() == [4, 5, 6, 7]


@pytest.mark.attack(
    "a room", "removal: of one, of all who are gone, by a stranger, of one who works"
)
def test_the_facilitator_removes_people(room):
    phones = [room.join(f"192.0.2.{n}") for n in range(10, 16)]
    room.press("person", "2")
    phones[1].get("/here")
    assert "Your facilitator ended your part" in phones[1].html
    room.pass_time(ROOM_SECONDS + 1)
    for phone in phones[2:]:
        phone.get("/here")
    gone = room.seats_of("away")
    assert gone == "1"
    room.press("away", gone)
    room.start()
    assert room.in_group() == [3, 4, 5, 6]
    # While the group works it asks once more, and takes nobody who is only away.
    room.pass_time(ROOM_SECONDS + 1)
    room.press("away", "3 4 5 6")
    room.press("network", "3 4 5 6")
    room.press("person", "4")
    assert "Remove person 4 for good" in room.facilitator.html
    assert room.in_group() == [3, 4, 5, 6]
    room.press("person", "4", sure="yes")
    assert room.in_group() == [3, 5, 6]
    for path in ("/facilitator/people", "/facilitator"):
        assert phones[2]._client.get(path).status_code == 404
    csrf = {"csrf": "0" * 64, "what": "person", "value": "3", "sure": "yes"}
    assert phones[2]._client.post("/facilitator/people", data=csrf).status_code in (403, 404)
    for value in ("", "-1", "99", "é", "1" * 400):
        room.press("person", value, sure="yes")
        assert room.facilitator.status == 200
    assert room.in_group() == [3, 5, 6]
    with room.store.read() as db:
        ended = db.scalars(select(EventRow).where(EventRow.kind == "ended")).all()
    assert [each.actor for each in ended] == ["facilitator"] * 3


def test_where_people_came_from_is_stored_nowhere(room):
    phone = room.join("192.0.2.123")
    assert room.app.came_from == {1: "192.0.2.123"}
    assert "192.0.2.123" not in phone.get("/here/data.json").text
    room.store.close()
    for path in room.store.engine.url.database, f"{room.store.engine.url.database}-wal":
        assert not Path(path).exists() or b"192.0.2.123" not in Path(path).read_bytes()
