"""The researchers' pages: who comes in, and what each may do."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from study_making import OPINION, small_study
from web_making import PASSWORD, Served, logged_in, to_opinions, to_ratings

from commonweal.errors import InputError
from commonweal.study.domain import researchers
from commonweal.study.domain.researchers import log_in, set_researcher
from commonweal.study.storage.tables import EventRow, GroupRow, ParticipantRow, ResearcherRow
from commonweal.study.web import researcher
from commonweal.study.writing import jobs


def cells(row):
    """What a reader sees in each cell of a table's row."""
    return [re.sub(r"<[^>]*>", "", each) for each in re.findall(r"<td[^>]*>(.*?)</td>", row)]


@pytest.mark.attack("access", "researchers' pages without a password, or as a moderator")
def test_nobody_comes_in_without_a_password(served):
    browser = served.browser()
    for path in ("/researcher/audit", "/researcher/moderation", "/researcher/groups/g-1"):
        assert browser.get(path).status_code == 404
    browser.get("/researcher")
    assert browser.headings == ["Log in"]
    for name, password in (("", ""), ("ada", ""), ("ada", PASSWORD)):
        browser.send("/researcher/login", name=name, password=password)
        assert browser.status == 403
    with pytest.raises(InputError, match="at least 12"):
        set_researcher(served.place.store, "ada", "short", "owner")


def test_passwords_are_argon2(served, argon2_hasher, monkeypatch):
    monkeypatch.setattr(researchers, "_hasher", argon2_hasher)
    set_researcher(served.place.store, "ada", PASSWORD, "owner")
    with served.place.store.read() as db:
        kept = db.scalars(select(ResearcherRow.password_hash)).one()
    # RFC 9106's second choice: 3 passes over 64 MiB.
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert log_in(served.place.store, "ada", PASSWORD)
    assert log_in(served.place.store, "ada", PASSWORD + "!") is None


@pytest.mark.attack("login", "guesses one after the other")
def test_guesses_are_few(served):
    set_researcher(served.place.store, "ada", PASSWORD, "owner")
    assert log_in(served.place.store, "ada", PASSWORD)
    assert log_in(served.place.store, "ada", PASSWORD + "!") is None
    browser = served.browser()
    browser.get("/researcher/login")
    csrf = browser.forms["/researcher/login"].fields["csrf"]
    statuses = []
    for _ in range(10):
        browser.post("/researcher/login", {"csrf": csrf, "name": "ada", "password": "wrong"})
        statuses.append(browser.status)
    assert statuses == [403] * 8 + [429] * 2
    browser.post("/researcher/login", {"csrf": csrf, "name": "ada", "password": PASSWORD})
    assert browser.status == 429


def test_pause_extend_message_remove_release_are_done_and_audited(served):
    people = served.joined(4)
    owner = logged_in(served)
    owner.get("/researcher")
    (path,) = set(re.findall(r"/researcher/groups/g-\w+", owner.html))
    for action, says in (
        ("pause", "The study is paused"),
        ("resume", "Time until"),
        ("message", "Message from the team"),
    ):
        owner.get(path)
        fields = {"text": "Hello <b>all</b>"} if action == "message" else {}
        owner.send(f"{path}/{action}", **fields)
        people[0].get("/here")
        assert says in people[0].html
    assert "Hello &lt;b&gt;all&lt;/b&gt;" in people[0].html
    owner.get(path)
    owner.send(f"{path}/extend")
    owner.send(f"{path}/remove")
    owner.get(path)
    owner.send(f"{path}/release", sure="yes")
    ends = []
    for each in people:
        each.get("/here")
        ends.append(each.key)
    assert sorted(ends) == ["end-partial"] * 3 + ["end-removed"]
    owner.get("/researcher/audit")
    for kind in ("paused", "resumed", "extended", "message", "released"):
        assert f"<td>{kind}</td>" in owner.html


def test_logins_are_in_the_audit_without_passwords_or_unknown_names(served):
    owner = logged_in(served)
    other = served.browser()
    other.get("/researcher/login")
    for name in ("owner", "my secret password"):
        other.send("/researcher/login", name=name, password="wrong word here")
    owner.get("/researcher/audit")
    rows = [cells(row) for row in re.findall(r"<tr>(<td.*?)</tr>", owner.html)]
    assert [(who, what) for _, who, what, *_ in rows] == [
        ("nobody known", "login refused"),
        ("owner", "login refused"),
        ("owner", "logged in"),
        ("command line", "account set"),
    ]
    assert "wrong word" not in owner.html
    assert "my secret" not in owner.html


def test_the_audit_names_groups_and_people_and_has_all_its_pages(served, monkeypatch):
    served.joined(4)
    owner = logged_in(served)
    with served.place.store.read() as db:
        person = db.scalars(select(ParticipantRow.public_id).order_by(ParticipantRow.id)).first()
        group = db.scalars(select(GroupRow.public_id)).one()
        kinds = db.scalars(select(EventRow.kind).order_by(EventRow.id.desc())).all()
    monkeypatch.setattr(researcher, "N_EVENTS", 7)
    seen, path = [], "/researcher/audit"
    while path:
        html = owner.get(path).text
        seen += re.findall(r"<tr>(<td.*?)</tr>", html)
        older = re.findall(r'href="(\?before=\d+)"', html)
        path = f"/researcher/audit{older[0]}" if older else ""
    assert [cells(row)[2] for row in seen] == kinds
    (formed,) = [row for row in seen if "<td>group formed</td>" in row]
    assert f">{group[:8]}</a>" in formed
    assert any("<td>joined</td>" in row and f">{person[:8]}</td>" in row for row in seen)
    owner.get("/researcher/audit?before=99999999999999")
    assert owner.status == 200


def test_failed_writing_raises_an_alarm(served):
    people = served.joined(4)
    served.app.worker._writer.failures = ["the model is not there"] * 20
    to_ratings(served, people)
    while served.app.worker.run_once():
        pass
    people[0].get("/here")
    assert people[0].headings[0] == "No statement this time"
    owner = logged_in(served)
    owner.get("/researcher")
    assert re.search(r"Alarm: writing failed: \w+: the model is not there", owner.html)
    assert "Writing failed in 1 round, for all arms or for some." in owner.html
    for each in people:
        each.get("/here")
        each.send("/here/continue")
    owner.get("/researcher")
    assert "Alarm:" not in owner.html
    assert "Writing failed in 1 round, for all arms or for some." in owner.html


def test_a_group_that_nobody_writes_for_raises_an_alarm(served):
    people = served.joined(4)
    to_opinions(people)
    for each in people:
        each.send("/here/opinion", text=OPINION)
    owner, clock = logged_in(served), served.place.clock

    def alarms_after(seconds):
        clock.move_to(clock.now() + seconds)
        owner.get("/researcher")
        is_said = "1 group has waited for statements for over 2 minutes" in owner.html
        assert ("Alarm: nobody writes for it" in owner.html) == is_said
        return is_said

    assert not alarms_after(jobs.UNATTENDED_SECONDS - 1)
    assert alarms_after(1)
    assert "commonweal study work STUDY" in owner.html
    with served.place.transaction() as tx:
        assert jobs.claim(tx) is not None
    assert not alarms_after(0)  # a worker holds it
    assert not alarms_after(jobs.LEASE_SECONDS + 1)  # and may have given it back
    assert alarms_after(jobs.UNATTENDED_SECONDS)  # or has died
    assert served.app.worker.run_once()
    assert not alarms_after(0)


OTHER = "openai:http://127.0.0.1:9/v1#other"


@pytest.fixture
def held(tmp_path):
    """A study whose group waits since nothing could be written; its researcher's browser."""
    served = Served(tmp_path, small_study(generation={"attempts": 2, "hold_seconds": 600}))
    served.app.spare_models = (OTHER,)
    people = served.joined(4)
    served.app.worker._writer.failures = ["it is not there"] * 4
    to_ratings(served, people)
    while served.app.worker.run_once():
        pass
    with served.place.store.read() as db:
        group = db.scalars(select(GroupRow.public_id)).one()
    owner = logged_in(served)
    owner.get(f"/researcher/groups/{group}")
    return served, people, owner, f"/researcher/groups/{group}"


def test_a_study_whose_writing_failed_is_tried_again_with_what_people_wrote(held):
    served, people, owner, page = held
    assert "Nothing could be written" in owner.html
    assert "it is not there" in owner.html
    served.app.sweep()
    people[0].get("/here")
    assert people[0].headings[0] != "No statement this time"
    # A key must not be sent to an address that somebody types into a page.
    served.place.clock.move_to(served.place.clock.now() + jobs.UNATTENDED_SECONDS + 1)
    owner.send(f"{page}/again", arm="second", model="openai:http://192.0.2.1/v1#mine")
    assert "Nothing could be written" not in owner.html
    assert "nobody writes" not in owner.html
    served.app.worker.run_once()
    assert not any("192.0.2.1" in task.arm.model for task in served.app.worker._writer.tasks)
    people[0].get("/here")
    assert people[0].headings[0] == "Statement 1 of 6"


def test_a_groups_page_is_another_one_where_something_else_can_be_done(held):
    _, _, owner, page = held
    keys = []
    for act in (None, "again", "pause", "resume"):
        if act is not None:
            owner.send(f"{page}/{act}")
        keys.append(re.search(r'data-key="([^"]*)"', owner.html)[1])
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_where_only_the_minoritys_sentence_failed_the_page_says_so(tmp_path):
    config = small_study(
        rounds={"count": 1, "passes": 1, "minority": True},
        arms=[{"name": "first", "candidates": 4, "shown": 1}],
        generation={"attempts": 1, "hold_seconds": 600},
    )
    served = Served(tmp_path, config)
    people = served.joined(4)
    to_ratings(served, people)
    for each in people:
        each.send("/here/rate", agreement="2", quality="5")
    served.app.worker._writer.failures = ["dead"] * 9
    served.app.worker.run_once()
    with served.place.store.read() as db:
        group = db.scalars(select(GroupRow.public_id)).one()
    owner = logged_in(served)
    owner.get(f"/researcher/groups/{group}")
    assert "What those who disagree would add could not be written" in owner.html
    assert "Then its result is shown without that." in owner.html
    assert "without statements" not in owner.html.replace("went on without statements", "")
    people[0].get("/here")
    assert "at the latest" not in people[0].html


def test_another_model_for_one_arm_is_kept_and_the_study_starts_again_with_its_file(held):
    served, _, owner, page = held
    before = small_study(generation={"attempts": 2, "hold_seconds": 600})
    owner.send(f"{page}/again", arm="second", model=OTHER)
    served.app.worker.run_once()
    first, second = (task.arm for task in served.app.worker._writer.tasks[-2:])
    assert (first.model, second.model) == (before.arms[0].model, OTHER)
    assert second.policy == before.arms[1].policy
    owner.get("/researcher/audit")
    assert "model changed" in owner.html
    assert served.place.store.open_study(before) == served.app.study_id
    changed = before.model_copy(update={"title": "Another"})
    with pytest.raises(InputError, match="changed after people joined"):
        served.place.store.open_study(changed)


def test_a_study_that_nobody_helps_goes_on(held):
    served, people, owner, page = held
    served.app.store.clock.move_to(served.app.store.clock.now() + 601)
    served.app.sweep()
    people[0].get("/here")
    assert people[0].headings[0] == "No statement this time"
    owner.get(page)
    assert "Nothing could be written" not in owner.html


def test_the_dashboard_looks_again_by_itself(served):
    owner = logged_in(served)
    assert '<main id="content" class="wide" data-key="page" data-refresh="15">' in owner.html
    assert 'http-equiv="refresh" content="15; url=/researcher">' in owner.html


@pytest.mark.attack("access", "researchers' pages without a password, or as a moderator")
def test_a_moderator_moderates_and_nothing_else(tmp_path):
    served = Served(tmp_path, small_study(moderation={"mode": "review"}))
    people = served.joined(4)
    to_opinions(people)
    for each in people[1:]:
        each.send("/here/opinion", text=OPINION)
    people[0].send("/here/opinion", text=f"{OPINION} Write to me at jane@example.org, please.")
    people[0].get("/here")
    assert people[0].headings[0] == "A person is looking at an opinion"
    moderator = logged_in(served, "moderator")
    moderator.get("/researcher")
    assert moderator.headings[0] == "Moderation"
    assert "personal data" in moderator.headings[1]
    assert moderator.get("/researcher/audit").status_code == 403
    moderator.get("/researcher/moderation")
    moderator.send("/researcher/moderation", button="rejected")
    served.app.worker.run_once()
    writer = served.app.worker._writer
    assert len(writer.tasks[0].omit) == 1
    people[0].get("/here")
    assert people[0].headings[0] == "A person is looking at the statements"
    for _ in range(3):
        moderator.get("/researcher/moderation")
        moderator.send("/researcher/moderation", button="approved")
    people[0].get("/here")
    assert people[0].headings[0] == "Statement 1 of 6"
