"""The page and the JSON: the same figures, self-contained, escaped, and honest about whose."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from known_truth import simulate_study
from rounds_by_hand import hand_study

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import WHOSE
from commonweal.evaluation.evaluate import Evaluation, evaluate, plots
from commonweal.evaluation.metrics import shown
from commonweal.evaluation.page import as_json, headlines, render_page, write_json, write_page

pytestmark = pytest.mark.usefixtures("quick_power")

HOSTILE = "<script>alert('1')</script>\"&]]>--><b>$x_{2}$ {value} %s </svg></style>"


@cache
def study() -> Dataset:
    return simulate_study(
        np.random.default_rng(31), n_groups=12, human_effect=-0.2, n_statements=3, n_unshown=1
    )[0]


@cache
def found() -> Evaluation:
    return evaluate(study(), n_resamples=1000)


@cache
def drawn():
    return plots(found())


@cache
def page() -> str:
    with pytest.MonkeyPatch.context() as patched:  # what is drawn already is not drawn again
        patched.setattr("commonweal.evaluation.page.render.plots", lambda _: drawn())
        return render_page(found())


class _Reader(HTMLParser):
    """Tags, ids and links of a page; raises where a tag is closed that was not open."""

    VOID = ("meta", "link", "br", "img", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self._attributes(tag, attributes)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self._attributes(tag, attributes)

    def _attributes(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name == "src" or (name in ("href", "xlink:href") and tag != "a"):
                self.loaded.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            assert not name.startswith("on"), name

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.heavy
def test_the_page_loads_nothing_and_runs_nothing():
    reader = _Reader(page())
    assert reader.open == []
    assert "script" not in reader.tags
    assert all(link.startswith(("#", "data:")) for link in reader.loaded)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links} <= set(reader.ids)
    assert "default-src 'none'" in page()
    references = re.findall(r"url\(#([^)]+)\)", page()) + [
        x[1:] for x in reader.loaded if x[0] == "#"
    ]
    assert set(references) <= set(reader.ids)


def test_no_label_is_left_in_tex():
    assert "mathdefault" not in page()


def test_the_sections_stand_in_the_order_of_the_paper():
    assert [section.key for section in found().sections] == [
        "win_rates",
        "divisiveness",
        "distributions",
        "regression",
        "against_human",
        "exclusion",
        "raters",
        "reward_model",
        "welfare",
        "confounds",
        "best_of_n",
        "power",
    ]
    places = [page().index(f'<h2 id="{section.key}">') for section in found().sections]
    assert places == sorted(places)


def test_every_figure_is_on_the_page_with_its_sentence_n_and_interval():
    for section in found().sections:
        for table in section.tables:
            assert table.caution or all(f.value is None for f in table.figures), table.title
    for figure in found().figures.values():
        assert html.escape(figure.says, quote=True).replace("&#x27;", "&#39;") in page(), figure.key
        if figure.value is not None:
            assert figure.n > 0
            assert figure.unit
            assert figure.interval or figure.no_interval
            assert figure.interval in page()
            assert "{value}" not in figure.says
        else:
            assert figure.unavailable in figure.says


def test_every_section_has_a_plot_and_each_says_whose_ratings_they_are():
    assert drawn().keys() == {section.key for section in found().sections}
    for made in drawn().values():
        for plot in made:
            assert plot.svg.startswith("<svg ")
            assert "simulated: nobody&#39;s ratings" in plot.svg.split(">", 1)[0]
            assert "Ratings: simulated: nobody's ratings" in plot.svg
            assert "<text" in plot.svg  # text stays text


@pytest.mark.parametrize("people", ["human", "replayed", "simulated"])
def test_whose_ratings_they_are_is_in_the_title(people):
    about = replace(found().about, people=people)
    made = render_page(replace(found(), about=about, sections=found().sections[:1]))
    title = html.unescape(re.search("<title>(.*)</title>", made)[1])
    assert WHOSE[people] in title
    assert ("Nobody rated anything" in made) == (people == "simulated")
    assert ("Nobody rated these statements in these rounds" in made) == (people == "replayed")


def test_hostile_names_and_texts_stay_text():
    def rename(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(pl.col("policy").replace("sft_base", HOSTILE))

    dataset = replace(
        study(),
        about=replace(study().about, name=HOSTILE, source=HOSTILE, licence=HOSTILE),
        candidates=rename(study().candidates),
        predictions=study().predictions.with_columns(reward_model=pl.lit(HOSTILE)),
    )
    made = render_page(evaluate(dataset, n_resamples=1000))
    reader = _Reader(made)
    assert reader.open == []
    assert {"script", "b"}.isdisjoint(reader.tags)
    for tag in ("svg", "style"):
        assert reader.tags.count(tag) == _Reader(page()).tags.count(tag)
    assert made.count(html.escape("<script>alert")) > 20


def test_the_json_holds_the_same_figures():
    data = json.loads(as_json(found()))
    assert data["schema"] == "commonweal/evaluation/1"
    assert data["about"]["people"] == "simulated"
    figures = [
        figure
        for section in data["sections"]
        for table in section["tables"]
        for figure in table["figures"]
    ]
    assert [figure["key"] for figure in figures] == list(found().figures)
    assert len(figures) == sum(len(section.figures) for section in found().sections)
    for figure in figures:
        there = found().figures[figure["key"]]
        assert (figure["value"], figure["low"], figure["says"]) == (
            there.value,
            there.low,
            there.says,
        )
    key = "less_divisive/sft_utilitarian"
    published = next(figure["published"] for figure in figures if figure["key"] == key)
    assert published == {
        "text": "65.6 % [61.9, 69.3]",
        "section": "D.6",
        "value": 0.656,
        "low": 0.619,
        "high": 0.693,
    }


def test_the_papers_figures_stand_beside_ours():
    for text in (
        "above 70 %",
        "65.6 % [61.9, 69.3]",
        "40.8 % [35.4, 46.2]",
        "78 % [75, 80]",
        "65 % [61, 69]",
        "0.47 [0.21, 0.73]",
        "0.10 [−0.05, 0.25]",
    ):
        assert text in page()
    assert {figure.key.split("/")[0] for figure in headlines(found())} >= {
        "win_rate",
        "less_divisive",
        "unanimous",
        "against_human",
        "inclusion",
    }


@pytest.mark.heavy
def test_a_p_value_at_its_floor_says_so(quick_power):
    clear, _ = simulate_study(
        np.random.default_rng(1), n_groups=6, inclusion_effect_agreement=4.0, human_effect=None
    )
    page = html.unescape(render_page(evaluate(clear)))
    assert "p ≤ 0.019" in page
    assert "so few groups can show no smaller p (6 groups: 0.019)" in page
    assert "so few groups can show no smaller p" not in render_page(found())


def test_the_best_of_n_stands_beside_its_bounds():
    """Three stored and rated: the best of two over the third, at most 2 in 3."""
    plot = drawn()["best_of_n"][1]
    assert "n / (n + 1)" in plot.svg
    assert "KL ≤ 0.19" in plot.svg  # log 2 - 1 / 2
    section = page()[page().index('<h2 id="best_of_n">') : page().index('<h2 id="power">')]
    assert '<th scope="col" class="n">At most</th>' in section
    assert re.search(r"66\.7 %<br><small>KL 0\.19 nats", section)
    assert "n stops below the number stored" in section


def test_few_resamples_are_said_on_the_page():
    assert "1,000 resamples" in page()
    few = replace(found(), sections=found().sections[:1])
    assert "should be used for a report" in render_page(few)
    many = replace(few, facts=found().facts | {"resamples of groups": 10_000})
    assert "should be used for a report" not in render_page(many)


def test_votes_without_policies_have_headlines():
    about = replace(study().about, people="replayed")
    candidates = study().candidates.with_columns(policy=pl.lit("human"))
    made = evaluate(
        replace(
            study(), about=about, candidates=candidates, predictions=study().predictions.clear()
        ),
        n_resamples=1000,
    )
    there = {one.key for one in headlines(made) if one.value is not None}
    assert {"distribution/human/1", "krippendorff/agreement/ordinal"} <= there


def test_the_selectors_own_score_is_called_so():
    own = [key for key in found().figures if key.startswith("best_of_n/predicted/")]
    assert own
    table = next(
        table
        for section in found().sections
        for table in section.tables
        if any(figure.key in own for figure in table.figures)
    )
    assert "The selector is the grader here" in table.caution
    assert {figure.key for figure in table.figures} == set(own)


@pytest.mark.heavy
def test_what_was_repaired_stands_on_a_page_of_few_groups_unfolded_and_in_the_json():
    study = hand_study()
    late = study.ratings.with_columns(pl.col("pass_index") + 1)
    evaluation = evaluate(replace(study, ratings=late), n_resamples=1000)
    (note,) = (one for one in evaluation.notes if one.startswith("Passes were numbered"))
    unfolded, _ = render_page(evaluation).split('<details class="all">')
    assert note in unfolded
    assert note in json.loads(as_json(evaluation))["notes"]


@pytest.mark.heavy
def test_a_study_of_two_groups_has_a_page_too(tmp_path):
    evaluation = evaluate(hand_study(), n_resamples=1000)
    write_page(evaluation, tmp_path / "page.html")
    write_json(evaluation, tmp_path / "page.json")
    made = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "resampling groups needs at least 6" in made
    assert "Not available: " in made
    json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))


@pytest.mark.heavy
def test_one_of_anything_is_called_so():
    made = render_page(evaluate(hand_study(), n_resamples=1000))
    text = " ".join(re.sub(r"<[^>]*>", " ", made).split())
    assert "1 round" in text
    many = r"(?<![\d.,])1 ((less )?divisive )?(people|rounds|ratings|candidates|statements)\b"
    assert not re.search(many, text)


@pytest.mark.heavy
def test_the_same_evaluation_is_the_same_page():
    short = replace(found(), sections=found().sections[:2])
    assert render_page(short) == render_page(short)


def test_numbers_for_reading():
    assert shown(0.5, "share") == "50.0 %"
    assert shown(-0.001, "points") == "0.00"
    assert shown(-1.005, "points") == "−1.01"
    assert shown(12345.0, "count") == "12,345"


@pytest.mark.heavy
def test_the_papers_figures_stand_beside_none_without_an_interval():
    made = evaluate(simulate_study(np.random.default_rng(31), n_groups=3)[0], n_resamples=1000)
    could = [one for one in made.figures.values() if one.published and one.value is not None]
    assert len(could) > 3
    assert all(one.beside is None for one in could)
    shown_there = render_page(made)
    for text in ("the paper's figure<", "65.6 %", "40.8 %", "above 70 %"):
        assert text not in html.unescape(shown_there)
