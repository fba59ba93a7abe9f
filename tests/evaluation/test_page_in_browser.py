"""The page as Chromium shows it, on a desk and on a phone: one group, and a study of many."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from known_truth import simulate_study
from rounds_by_hand import hand_study

from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.page import headlines, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (1280, 375)
HEIGHT = 900


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, path, width):
    page = browser.new_page(viewport={"width": width, "height": HEIGHT})
    page.goto(path.as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, "the page scrolls sideways"
    return page


def seen(page, selector="main") -> str:
    """What a reader sees: folded parts are not in it."""
    return " ".join(page.inner_text(selector).split())


def test_one_group_is_two_screens_at_most(browser, tmp_path, quick_power):
    evaluation = evaluate(hand_study(), n_resamples=1000)
    write_page(evaluation, tmp_path / "page.html")
    for width in WIDTHS:
        page = opened(browser, tmp_path / "page.html", width)
        text = seen(page)
        for round_ in evaluation.rounds:
            assert round_.question in text
            assert round_.position is not None
            for sentence in round_.said:
                assert sentence in text
            for one in round_.statements:
                assert f"{one.says}; ratings {one.ratings_shown}" in text
        assert "What can be said." in text
        assert "2 groups say how this went here" in text
        assert "No interval" not in text
        assert "Paper" not in text
        assert page.evaluate("document.documentElement.scrollHeight") <= 2 * HEIGHT
        # Each bar is as long as the people that it stands for.
        bar = page.locator(".statements .sides").first
        parts = bar.locator("span").evaluate_all("all => all.map(one => one.clientWidth)")
        assert sum(parts) == pytest.approx(bar.evaluate("one => one.clientWidth"), abs=3)
        page.get_by_text("All figures, and what could not be computed").click()
        everything = seen(page)
        assert evaluation.figures["unanimous/all"].says in everything
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        found = axe.run(page)
        assert found.response["violations"] == [], found.generate_report()
        page.locator("#missing").click()
        assert "no statement shown is by a person" in seen(page)
        page.close()


@pytest.mark.heavy
def test_a_study_has_contents_headlines_and_every_section(browser, tmp_path, quick_power):
    dataset = simulate_study(np.random.default_rng(5), n_groups=12, n_statements=2)[0]
    evaluation = evaluate(dataset, n_resamples=1000)
    write_page(evaluation, tmp_path / "page.html")
    for width in WIDTHS:
        page = opened(browser, tmp_path / "page.html", width)
        for link in page.locator("nav a").all():
            target = page.locator(link.get_attribute("href"))
            assert target.count() == 1
            assert target.is_visible()
        text = seen(page, "section:has(> #headlines)")
        shown = [one for one in headlines(evaluation) if one.value is not None]
        assert len(shown) > 5
        for one in shown:
            assert " ".join(one.says.split()) in text
            assert one.shown in text
            assert one.interval in text
        assert "65.6 % [61.9, 69.3]" in text
        words = seen(page, "section:has(> #headlines) dl")
        assert "kappa" in words
        assert "divisive" in words
        assert page.locator("figure svg").count() > 5
        assert evaluation.rounds[0].statements[0].text not in text  # folded
        page.locator("#statements").click()
        assert evaluation.rounds[0].statements[0].text in seen(page)
        page.close()
