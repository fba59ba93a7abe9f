"""Browsers that several people use, answers that were lost, numbers and cookies of others."""

from __future__ import annotations

import csv
import io
import re

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")

from sqlalchemy import select
from study_making import small_study
from web_making import Served, to_opinions

from commonweal.study.domain import people
from commonweal.study.domain.people import AGAIN_SECONDS, ENDED_DAYS, PRESSED_SECONDS
from commonweal.study.export.payments import payments
from commonweal.study.storage.tables import EventRow, ParticipantRow
from commonweal.study.web.person import DONE_SECONDS

SECRET = "Only Zebulon would ever say this about the buses of our town."


def invited(served):
    """The path of a private link for somebody new."""
    with served.place.transaction() as tx:
        return f"/i/{people.invite(tx)}"


def with_opinion(served):
    """Four browsers; the first has written something."""
    browsers = served.joined(4)
    to_opinions(browsers)
    browsers[0].send("/here/opinion", text=SECRET)
    return browsers


def reads_of(browser):
    """Everything of its person that this browser can read."""
    return "".join(browser._client.get(f"/here{each}").text for each in ("", "/data", "/data.json"))


def leave(browser):
    browser.get("/here/leave")
    browser.send("/here/leave")
    browser.get("/here")


@pytest.mark.attack("shared devices", "the next person's private link, recruiter's link, or join")
@pytest.mark.parametrize("is_over", [False, True])
def test_the_next_persons_link_does_not_open_the_first_ones_page(tmp_path, is_over):
    served = Served(tmp_path, small_study(recruiter={"participant": "PID"}))
    for path in [invited(served), "/join?PID=second"] + (["/join"] if is_over else []):
        first = served.joined(1, f"/join?PID=first-{len(path)}")[0]
        if is_over:
            leave(first)
        first.get(path)
        assert first.headings == ["Who is here?"]
        first.send("/here/finish")
        # On to where they wanted to go, and nobody is known there.
        assert path.partition("?")[0] in first.forms
        assert first._client.get("/here").status_code == 401
    served.place.store.close()


@pytest.mark.attack("shared devices", "a link sent straight to where somebody else sits")
def test_a_link_is_not_used_up_where_somebody_else_sits(served):
    path, browser = invited(served), served.browser()
    browser.get(path)
    with served.place.transaction() as tx:
        browser._client.cookies.set("cw_here", people.start_login_session(tx, people.join(tx)))
    browser.send(path)
    assert browser.headings == ["Who is here?"]
    browser.send("/here/finish")
    browser.send(path)
    assert browser.headings == ["Before you begin"]


def test_ones_own_link_leads_to_ones_own_page(served):
    first = served.joined(1)[0]
    first.get("/here/device")
    first.send("/here/device")
    (path,) = set(re.findall(r"/i/[\w-]+", first.html))
    first.get(path)
    assert first.headings == ["Waiting for your group"]
    first.get("/join")
    assert first.headings == ["Waiting for your group"]


@pytest.mark.attack("shared devices", "after 'finish on this device': old cookies, pages, forms")
def test_a_device_that_was_finished_on_knows_nobody(served):
    first = with_opinion(served)[0]
    assert "Zebulon" in reads_of(first)
    old = dict(first._client.cookies)
    first.get("/here/finish")
    answer = first.send("/here/finish")
    assert first.headings == ["This device has forgotten you"]
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert not {"cw_here", "cw_form", "cw_done"} & set(first._client.cookies)
    for name, value in old.items():  # as a browser would that kept them
        first._client.cookies.set(name, value)
    assert "Zebulon" not in reads_of(first)
    assert first._client.get("/here").status_code == 401
    # The person goes on, and the answers stay.
    with served.place.store.read() as db:
        assert db.scalars(select(ParticipantRow)).first().outcome is None


@pytest.mark.attack("shared devices", "where 'finish' may lead: to no other site")
@pytest.mark.parametrize(
    "onward", ["//evil.example", "https://evil.example", "/\\evil", "/i/../..//x", "/join\n//x", ""]
)
def test_finishing_leads_to_no_other_site(served, onward):
    first = served.joined(1)[0]
    first.get("/here/finish")
    answer = first._client.post(
        "/here/finish",
        data={**first.forms["/here/finish"].fields, "onward": onward},
        follow_redirects=False,
    )
    assert answer.status_code == 200
    assert "location" not in answer.headers


@pytest.mark.attack("shared devices", "the cookie of somebody whose part has ended")
def test_a_browser_forgets_whose_part_has_ended(served):
    first = with_opinion(served)[0]
    leave(first)
    first._client.cookies.delete("cw_done")
    answer = first._client.get("/here")
    (cookie,) = [
        each for each in answer.headers.get_list("set-cookie") if each.startswith("cw_here=")
    ]
    assert f"Max-Age={DONE_SECONDS}" in cookie
    # The hour is not begun anew by looking again.
    again = first._client.get("/here/data")
    assert not [each for each in again.headers.get_list("set-cookie") if "cw_here" in each]
    # Whoever took the cookie along has it for a week, and a link made before gives another.
    first.get("/here/device")
    first.send("/here/device")
    (path,) = set(re.findall(r"/i/[\w-]+", first.html))
    served.place.clock.move_to(served.place.clock.now() + 86_400 * ENDED_DAYS + 1)
    assert first._client.get("/here").status_code == 401
    later = served.browser()
    later.get(path)
    later.send(path)
    assert "Zebulon" in reads_of(later)


# ---------------------------------------------------------------------------------- lost answers


@pytest.mark.attack("lost answers", "a private link whose answer was lost, pressed again")
def test_a_link_whose_answer_was_lost_works_again_for_a_minute(served):
    path, browser = invited(served), served.browser()
    browser.get(path)
    fields, client = browser.forms[path].fields, browser._client
    for again in range(3):
        client.cookies.pop("cw_here", None)
        assert client.post(path, data=fields, follow_redirects=False).status_code == 303
        client.cookies.pop("cw_here", None)
        browser.get(path)  # or the page is fetched anew
        assert path in browser.forms, again
    # Nobody else's browser, not even within the minute.
    other = served.browser()
    other.get(path)
    assert other.status == 410
    served.place.clock.move_to(served.place.clock.now() + AGAIN_SECONDS + 1)
    client.cookies.pop("cw_here", None)
    assert client.post(path, data=fields).status_code == 410
    with served.place.store.read() as db:
        used = db.scalars(select(EventRow).where(EventRow.kind == "link used")).all()
        assert len(used) == 1


@pytest.mark.attack("lost answers", "a join whose answer was lost, pressed again")
def test_a_join_whose_answer_was_lost_is_one_person(served):
    browser = served.browser()
    browser.get("/join")
    fields = {**browser.forms["/join"].fields, "decision": "agree"}
    for seconds, n_people in ((0, 1), (60, 1), (PRESSED_SECONDS, 2)):
        served.place.clock.move_to(served.place.clock.now() + seconds)
        browser._client.cookies.pop("cw_here", None)
        browser._client.post("/join", data=fields, follow_redirects=False)
        assert served.count(ParticipantRow) == n_people


# ------------------------------------------------------------------------ what others have planted


@pytest.mark.attack("shared devices", "a planted form cookie: who planted it becomes the person")
def test_a_planted_form_cookie_does_not_become_a_person(served):
    attacker, victim = served.browser(), served.browser()
    attacker.get("/join")
    planted = attacker._client.cookies["cw_form"]
    victim._client.cookies.set("cw_form", planted)
    victim.get("/join")
    assert victim._client.cookies["cw_form"] == planted
    victim.send("/join", button="agree")
    # With the cookie and a page of their own, now and again.
    for _ in range(2):
        attacker.get("/join")
        attacker.send("/join", button="agree")
        attacker._client.cookies.pop("cw_here", None)
    assert served.count(ParticipantRow) == 3
    with served.place.store.read() as db:
        mine = db.scalars(select(ParticipantRow).order_by(ParticipantRow.id)).first()
    assert mine.public_id in victim.get("/here/data").text
    attacker.get("/join")
    attacker.send("/join", button="agree")
    assert mine.public_id not in attacker.get("/here/data").text


@pytest.mark.attack("payments", "joining with another's recruiter number")
def test_joining_with_anothers_number_shuts_nobody_out(tmp_path):
    served = Served(tmp_path, small_study(recruiter={"participant": "PID"}))
    served.joined(1, "/join?PID=victim")
    victim = served.browser()
    victim.get("/join?PID=victim")
    victim.send("/join", button="agree")
    assert victim.status == 409
    assert victim.headings == ["Somebody has begun with your number"]
    victim.send("/join")
    assert victim.headings == ["How it works"]
    other = served.joined(1, "/join?PID=other")[0]
    assert other.headings == ["Waiting for your group"]
    rows = list(csv.DictReader(io.StringIO(payments(served.place.store, served.place.study_id))))
    counts = [(row["recruiter_participant"], row["n_with_this_number"]) for row in rows]
    assert counts == [("other", "1"), ("victim", "2"), ("victim", "2")]
    with served.place.store.read() as db:
        (told,) = db.scalars(
            select(EventRow).where(EventRow.kind == "recruiter's number used again")
        ).all()
        assert told.details == {"n_before": 1}
    served.place.store.close()


@pytest.mark.attack("small groups", "what people are told before they join")
@pytest.mark.parametrize(("minimum", "is_told"), [(2, True), (4, True), (5, False)])
def test_small_groups_are_told_what_may_be_guessed(tmp_path, minimum, is_told):
    served = Served(tmp_path, small_study(group={"size": 6, "minimum": minimum}))
    assert ("may still guess" in served.client().get("/join").text) == is_told
    served.place.store.close()
