"""What results show in a notebook: frames as the arrays, pages that escape what people wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from commonweal import Opinion, find_agreement, load_policy
from commonweal.datasets.dataset import About, Dataset
from commonweal.datasets.importers.polis import import_polis
from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate
from commonweal.models.scripted import ScriptedModel
from commonweal.rewards import ScriptedRewardModel
from commonweal.showing import Plot, html_table

ROOT = Path(__file__).parents[1]
EVIL = "<script>alert('x')</script> & $5"
TEXTS = (
    "We want buses that people can afford, and we differ on who should pay for them.",
    "We would make buses free for children first, and look again in a year from now.",
)


@pytest.fixture(scope="module")
def result():
    return find_agreement(
        f"Free buses? {EVIL}",
        [Opinion("ana", "Yes, please."), Opinion(f"ben {EVIL}", "No, thanks.")],
        policy=load_policy("zero_shot", ScriptedModel(list(TEXTS))),
        reward=ScriptedRewardModel([1.0, 0.2, -1.0, -0.5]),
        n_candidates=2,
    )


@pytest.fixture(scope="module")
def votes():
    return import_polis(ROOT / "examples/polis/bus-fares", simulated=True)


def test_an_agreements_frame_holds_what_its_arrays_hold(result):
    rows = result.to_frame().to_dicts()
    assert len(rows) == result.utilities.size
    ids = [each.id for each in result.candidates]
    people = [each.id for each in result.opinions]
    for row in rows:
        c, p = ids.index(row["candidate_id"]), people.index(row["participant_id"])
        assert row["expected_rating"] == result.utilities[p, c]
        assert row["welfare"] == result.welfare[c]
        assert row["text"] == result.candidates[c].text
        assert row["is_statement"] == (result.chosen is result.candidates[c])
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)


def test_pandas_has_the_same_where_it_is_installed(result, votes):
    pytest.importorskip("pandas")
    assert result.to_frame("pandas").to_dict("list") == result.to_frame().to_dict(as_series=False)
    ratings = votes.to_frame("ratings", "pandas")
    assert ratings["agreement"].tolist() == votes.ratings["agreement"].to_list()


def test_without_pandas_the_error_says_what_to_do(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        result.to_frame("pandas")
    with pytest.raises(InputError, match="'polars' or 'pandas'"):
        result.to_frame("arrow")


def test_a_datasets_frame_says_what_was_rated(votes):
    frame = votes.to_frame()
    assert frame.height == votes.ratings.height
    texts = {
        (row["round_id"], row["candidate_id"]): row["text"] for row in votes.candidates.to_dicts()
    }
    for row in frame.head(50).to_dicts():
        assert row["text"] == texts[row["round_id"], row["candidate_id"]]
    with pytest.raises(InputError, match="expected one of rounds"):
        votes.to_frame("votes")


def test_an_evaluations_frame_has_every_figure(votes):
    found = evaluate(votes, n_resamples=1000)
    frame = found.to_frame()
    assert frame["key"].to_list() == list(found.figures)
    for row in frame.to_dicts():
        one = found.figures[row["key"]]
        assert (row["value"], row["n"], row["says"]) == (one.value, one.n, one.says)
    assert isinstance(found.plot("raters"), Plot)
    with pytest.raises(InputError, match=r"these have plots: .*raters"):
        found.plot("win_rates")
    assert "simulated" in found._repr_html_()


def test_what_people_wrote_is_escaped(result, votes):
    pages = [result._repr_html_(), html_table(EVIL, [(EVIL, EVIL)], header=[EVIL, EVIL])]
    pages += [result.plot()._repr_html_(), votes._repr_html_()]
    for page in pages:
        assert "<script" not in page
    assert "&lt;script&gt;" in pages[0]
    assert "ben" in pages[0]
    assert "nobody has voted" in pages[0]
    assert "simulated: nobody" in pages[-1]


def test_plots_are_pictures_with_a_mark_for_each_person(result, votes, tmp_path):
    plot = result.plot()
    assert plot == result.plot()
    picture = ElementTree.fromstring(plot.svg)
    marks = [each for each in picture.iter() if each.tag.endswith("use")]
    assert len(marks) >= result.utilities.size + len(result.candidates)
    plot.save(tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8") == plot.svg
    with pytest.raises(InputError, match=r"\.svg"):
        plot.save(tmp_path / "plot.png")
    assert "−1" in votes.plot().svg


def test_shares_of_a_bar_are_those_of_the_ratings(votes, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "commonweal.datasets.dataset.plot_shares",
        lambda names, shares, steps, caption: drawn.update(names=names, shares=shares, steps=steps),
    )
    votes.plot()
    agreement = votes.ratings["agreement"].drop_nulls().to_numpy()
    assert drawn["steps"] == ["−1", "0", "1"]
    assert drawn["shares"][0] == pytest.approx([np.mean(agreement == k) for k in (-1, 0, 1)])


def test_nothing_to_draw_is_said(votes):
    about = About("empty", people="simulated", scale=votes.about.scale, source="made up")
    with pytest.raises(InputError, match="nobody rated anything"):
        Dataset(about, rounds=votes.rounds).plot()
