"""The report holds what was found, loads nothing, runs nothing, and can be read by everybody."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from commonweal.cli.agree_screen import print_result
from commonweal.report import _cell, render_report, write_report
from commonweal.types import Question
from test_result import SPLIT, made_agreement

HOSTILE = '<script>window.ran = 1</script>"><img src=x onerror="window.ran = 1">\'&{{ 7*7 }}'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """The tags with their attributes, the texts, and the tables of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._in_cell = False

    def handle_data(self, data):
        self.texts.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def big_agreement():
    rng = np.random.default_rng(0)
    profile = 1.05 + 5.9 * rng.random((30, 40))
    return made_agreement(
        profile,
        ids=[f"participant-with-a-long-name-{i}" if i % 7 == 0 else f"p{i}" for i in range(30)],
        texts=["word " * 200 + "x" * 300 if i % 5 == 0 else f"Opinion {i}. 💚" for i in range(30)],
        statements=[f"We agree on {i}. " + "y" * 200 * (i % 9 == 0) for i in range(40)],
        omitted=("p1", "p2"),
        question=Question("Should everything be better, " + "z" * 200 + "?"),
    )


def hostile_agreement():
    return made_agreement(
        SPLIT,
        ids=[HOSTILE, "p2"],
        texts=[HOSTILE, f"</dd></dl>{HOSTILE}"],
        statements=[HOSTILE, f"</blockquote>{HOSTILE}", "We agree."],
        question=Question(f"</title>{HOSTILE}"),
        notes=(HOSTILE,),
        omitted=(HOSTILE,),
        provenance={"commonweal_version": HOSTILE, "n_completions_sampled": 3, HOSTILE: HOSTILE},
    )


# --------------------------------------------------------------------------------- what it holds


def test_the_numbers_of_the_heat_map_are_the_utilities():
    result = made_agreement(SPLIT, ids=["asha", "gus"], omitted=("gus",))
    heat = Page(render_report(result)).tables[0]
    # By welfare: c01 (mean 4), c03 (3.75), c02 (3.5).
    assert heat == [
        ["Participant", "c01 chosen", "c03", "c02"],
        ["asha", "7.0", "5.5", "3.0"],
        ["gus (omitted)", "1.0", "2.0", "4.0"],
        ["Welfare", "4.00", "3.75", "3.50"],
    ]


def test_a_large_heat_map_is_complete_and_in_the_order_of_welfare():
    result = big_agreement()
    head, *rows, foot = Page(render_report(result)).tables[0]
    order = np.argsort(-result.utilities.mean(axis=0), kind="stable")
    assert [name.split()[0] for name in head[1:]] == [f"c{i + 1:02d}" for i in order]
    shown = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_allclose(shown, result.utilities[:, order], atol=0.05 + 1e-9)
    welfare = [float(cell) for cell in foot[1:]]
    assert welfare == sorted(welfare, reverse=True)


def test_it_holds_the_question_the_opinions_the_statement_and_the_candidates():
    result = made_agreement(SPLIT)
    page = Page(render_report(result))
    for text in (
        result.question.text,
        result.statement,
        *(opinion.text for opinion in result.opinions),
        *(candidate.text for candidate in result.candidates),
        "3 candidates",
        "4 completions were drawn; 1 were rejected: 1 refusal",
    ):
        assert text in page.text, text


def test_it_says_what_other_welfare_functions_would_pick():
    others = Page(render_report(made_agreement(SPLIT))).tables[1]
    assert [(row[0], row[2], row[3], row[4]) for row in others[1:]] == [
        ("utilitarian", "c01 (the same)", "4.00", "1.0"),
        ("bernoulli_nash", "c02", "3.46", "3.0"),
        ("rawlsian", "c02", "3.00", "3.0"),
    ]


def test_it_says_what_this_is_not_and_who_dissents():
    page = Page(render_report(made_agreement([[6.0], [3.25], [1.5]], ids=["ana", "ben", "cid"])))
    assert "Not a vote. Nobody has rated anything." in page.text
    assert "may misrepresent a minority" in page.text
    assert "The facts and figures in it are not verified." in page.text
    said = page.text.split("Expected to rate the text above", 1)[1].split(". Of those", 1)[0]
    assert re.findall(r"(\w+) \((\d\.\d)\)", said) == [("cid", "1.5"), ("ben", "3.2")]
    assert "ana" not in said


def test_the_first_part_has_words_and_no_numbers_and_no_names_of_models():
    result = made_agreement(
        [[5.5, 4.1], [2.5, 4.1], [4.4, 4.1]],
        ids=["ana", "ben", "cid"],
        low=np.array([[4.5, 4.0], [1.2, 4.0], [3.0, 4.1]]),
        high=np.array([[6.5, 6.0], [3.5, 6.0], [6.0, 6.1]]),
        statements=["We agree on buses.", "Something else altogether is wanted here."],
    )
    first, folded = render_report(result).split("<details>")
    said = Page(first.split("<main>")[1])
    for name, verdict in (("ana", "likely agrees"), ("ben", "likely disagrees")):
        assert f"{name} {verdict}" in said.text
    assert "cid can't tell" in said.text
    assert "Likely to disagree: ben" in said.text
    assert "Something else altogether" in said.text  # an alternative of another kind
    assert not re.search(r"\d\.\d|utilitarian|scripted", said.text)
    assert "utilitarian" in folded


def test_where_nothing_can_be_told_of_anybody_it_is_said_once():
    result = made_agreement(
        [[4.3, 4.2], [4.1, 4.2]],
        low=np.array([[3.0, 3.0], [2.8, 3.0]]),
        high=np.array([[5.6, 5.6], [5.2, 5.6]]),
        statements=["We agree on buses.", "Something else altogether is wanted here."],
    )
    page = Page(render_report(result)).text
    assert "Something else altogether" in page.split("All candidates, all numbers")[0]
    told = "The model can't tell of anybody whether they would agree. Ask them."
    assert page.count(told) == page.count("Ask them.") == 1
    assert "Likely to disagree" not in page
    screen = Console(file=StringIO(), width=100)
    print_result(screen, result)
    assert "The model can't tell whether anybody would agree. Ask them." in screen.file.getvalue()


def test_no_agreement_and_no_statement_are_not_called_the_statement():
    none = replace(made_agreement([[5.0], [3.5], [3.5]]), min_agreeing=0.5)
    page = Page(render_report(none)).text
    assert "No agreement found" in page
    assert "Only 1 of 3 people" in page
    assert "The statement We agree" not in page
    nothing = made_agreement(SPLIT, qualities=np.array([1.0, 1.0, 1.0]), min_quality=3.5)
    page = Page(render_report(nothing)).text
    assert "No statement worth showing" in page
    assert page.count("too low to be chosen") == 3
    assert "We agree on statement" not in page.split("All candidates, all numbers")[0]


def test_it_says_so_when_nobody_dissents():
    page = Page(render_report(made_agreement([[6.0], [5.0]])))
    assert (
        "Nobody is clearly predicted to disagree. The model may be wrong about that." in page.text
    )
    assert "Expected to rate" not in page.text


def test_a_dissenter_just_below_neutral_is_not_shown_as_neutral():
    page = Page(render_report(made_agreement([[6.0], [3.98]], ids=["ana", "ben"])))
    assert "below 4, neutral: ben (3.98)." in page.text


def test_a_tie_is_told():
    tied = Page(render_report(made_agreement([[5.0, 5.0], [5.0, 5.0]])))
    assert "There was a tie : c01, c02 have the same welfare, and c01 was written first." in (
        tied.text
    )
    assert "There was a tie" not in render_report(made_agreement(SPLIT))


def test_only_the_embedded_model_is_called_very_small():
    assert "very small" not in render_report(made_agreement(SPLIT))


# -------------------------------------------------------------------------------------- hostility


def test_whatever_people_or_models_wrote_is_text():
    plain = render_report(made_agreement(SPLIT, omitted=("p1",)))
    html = render_report(hostile_agreement())
    page = Page(html)
    kinds = {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not kinds & {"img", "iframe", "object", "embed", "form", "base", "svg"}
    assert kinds == {tag for tag, _ in Page(plain).tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert html.count("<script>") == html.count("<script") == 1  # our own
    assert "49" not in "".join(text for text in page.texts if "&" in text)
    assert unescape(html).count(HOSTILE) >= 10


def test_nothing_points_elsewhere():
    html = render_report(hostile_agreement())
    addresses = [
        value
        for _, attributes in Page(html).tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset", "poster", "data", "background")
    ]
    assert addresses == ["data:,"]
    styles = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in styles
    assert "@import" not in styles


def test_it_is_written_whole(tmp_path):
    path = tmp_path / "report.html"
    write_report(made_agreement(SPLIT), path)
    assert path.read_text(encoding="utf-8") == render_report(made_agreement(SPLIT))
    assert list(tmp_path.iterdir()) == [path]


# --------------------------------------------------------------------------------------- contrast


def luminance(colour: str) -> float:
    """WCAG 2.2: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    total = 0.0
    for weight, start in ((0.2126, 1), (0.7152, 3), (0.0722, 5)):
        value = int(colour[start : start + 2], 16) / 255
        linear = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        total += weight * linear
    return total


@pytest.mark.parametrize("rating", [round(1 + 0.05 * i, 2) for i in range(121)])
def test_every_number_of_the_heat_map_can_be_read(rating):
    cell = _cell(rating)
    light, dark = sorted((luminance(cell["background"]), luminance(cell["ink"])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def colour_seen(colour: str, matrix: np.ndarray) -> np.ndarray:
    """The colour as linear RGB after a simulation of a colour-vision deficiency."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.clip(matrix @ linear, 0, 1)


# Machado, Oliveira and Fernandes 2009, severity 1.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("name", DEFICIENCIES)
def test_agreement_and_disagreement_look_different_to_colour_blind_people(name):
    matrix = np.array(DEFICIENCIES[name])
    for rating in (1.0, 2.0, 3.0):
        low, high = (colour_seen(_cell(r)["background"], matrix) for r in (rating, 8.0 - rating))
        gap = np.abs(low**0.45 - high**0.45).max()
        assert gap > 0.15, (rating, gap)


# ------------------------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens the report about a result; the page keeps its requests and its console."""
    opened = []

    def open_(result, *, width: int = 1000):
        path: Path = tmp_path / "report.html"
        write_report(result, path)
        page = browser.new_page(viewport={"width": width, "height": 800})
        opened.append(page)
        page.requests, page.said = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("dialog", lambda dialog: page.said.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        page.own_url = path.as_uri()
        return page

    yield open_
    for page in opened:
        page.close()


AGREEMENTS = {
    "normal": lambda: made_agreement(SPLIT),
    "tied": lambda: made_agreement([[5.0, 5.0], [5.0, 5.0]]),
    "hostile": hostile_agreement,
    "big": big_agreement,
}


@pytest.mark.parametrize("kind", ["normal", "hostile"])
def test_nothing_is_loaded_and_nothing_runs(show, kind):
    page = show(AGREEMENTS[kind]())
    assert [url for url in page.requests if url != "data:,"] == [page.own_url]
    assert page.evaluate("window.ran") is None
    assert page.said == []
    assert page.locator("img, iframe").count() == 0
    assert page.locator("script").count() == 1


@pytest.mark.parametrize("kind", ["normal", "big"])
def test_axe_finds_no_violation(show, kind):
    """WCAG 2.2 A and AA, and axe's best practices."""
    from axe_playwright_python.sync_playwright import Axe

    page = show(AGREEMENTS[kind]())
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()
    assert len(found.response["passes"]) > 10


@pytest.mark.parametrize("kind", AGREEMENTS)
@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_does_not_scroll_sideways(show, kind, width):
    page = show(AGREEMENTS[kind](), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider scrolls in a frame of its own, which a keyboard can reach.
    frames = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map(e => e.tabIndex)"
    )
    assert set(frames) <= {0}


def test_every_number_of_the_large_heat_map_is_in_the_page(show):
    page = show(big_agreement())
    cells = page.locator("table.heat tbody td")
    assert cells.count() == 30 * 40


def test_the_path_may_be_a_text(tmp_path):
    write_report(made_agreement(SPLIT), str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!")


def test_who_is_not_in_the_statement_is_quoted_and_where_that_is_most_only_named():
    said = [
        "Cheaper fares would please everybody here.",
        "Horses gallop faster through narrow streets.",
        "Fares again, says whoever travels daily.",
    ]
    result = made_agreement(
        [[6.0]] * 3, texts=said, statements=["We would make the fares cheaper."]
    )
    shown = Page(render_report(result)).text
    assert not result.takes_up_little
    assert "p2 wrote: Horses gallop faster through narrow streets." in shown
    bare = made_agreement(
        [[6.0]] * 3, texts=said, statements=["We would rather begin after the winter."]
    )
    shown = Page(render_report(bare)).text
    assert re.search("p2 ?, p3 ?: the statement takes up little of what people wrote.", shown)
    assert "wrote: Horses" not in shown
