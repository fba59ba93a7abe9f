"""A browser that is refused: what somebody writes stays, and nobody is told that it was kept."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from sqlalchemy import select
from study_making import OPINION, Place, ScriptedWriter, small_study

from commonweal.study.simulation.simulate import served as really_served
from commonweal.study.storage.tables import DraftRow, OpinionRow, ParticipantRow
from commonweal.study.web.app import App


@pytest.mark.slow
@pytest.mark.attack("drafts", "429 on looks, drafts and the opinion itself, in a real browser")
def test_what_is_written_outlives_refusals(chromium, tmp_path, record_property):
    place = Place(
        f"sqlite:///{tmp_path}/study.db",
        small_study(checks=[], group={"size": 2, "minimum": 2}),
    )
    app = App(place.store, place.study_id, writer=ScriptedWriter(), in_background=False)
    with really_served(app) as address:
        page = chromium.new_context(locale="en-GB").new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/join")
        page.click("button[value=agree]")
        page.wait_for_selector("form[action='/here/instructions']")
        page.click("form[action='/here/instructions'] button")
        place.join(1)
        page.goto(f"{address}/here")
        page.check("input[name=agreement][value='5']")
        page.click("form[data-rating] button:not([formaction])")
        page.wait_for_selector("textarea")
        page.fill("textarea", "A first half")
        page.wait_for_selector("text=Draft saved")
        app.limits.per_token = 0
        page.fill("textarea", OPINION)
        page.wait_for_selector("text=Not saved yet")
        assert page.locator("text=Draft saved").count() == 0
        with page.expect_response(lambda got: got.status == 429 and got.url.endswith("/here")):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert page.input_value("textarea") == OPINION
        page.click("form[action='/here/opinion'] button:not([formaction])")
        page.wait_for_selector("text=Not sent yet")
        assert page.input_value("textarea") == OPINION
        with place.store.read() as db:
            assert db.scalars(select(DraftRow.text)).one() == "A first half"
        app.limits.per_token = 180
        page.wait_for_selector("h1:has-text('Waiting for the others')")
        page.context.close()
    with place.store.read() as db:
        assert db.scalars(select(OpinionRow.text)).one() == OPINION
        assert len(db.scalars(select(ParticipantRow)).all()) == 2
    record_property("tried", 3)
    place.store.close()
