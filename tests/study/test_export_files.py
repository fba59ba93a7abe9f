"""Exports from the dashboard: the same tables in each kind of file, and who may take them."""

from __future__ import annotations

import io
import zipfile

import pytest

pytest.importorskip("starlette", reason="the extra `study` is not installed")
pytest.importorskip("xlsxwriter", reason="the extra `study` is not installed")

import polars as pl
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from study_making import OPINION
from web_making import logged_in, to_opinions

from commonweal.datasets.dataset import read_dataset
from commonweal.study.storage.tables import EventRow

HOSTILE = '=HYPERLINK("http://192.0.2.1";A1) is what I would say about our buses, and why not?'


@pytest.fixture
def rated(served):
    """A study with a round that is rated in part, its researcher, and who has not rated."""
    people = served.joined(4)
    to_opinions(people)
    people[0].send("/here/opinion", text=HOSTILE)
    for each in people[1:]:
        each.send("/here/opinion", text=OPINION)
    served.app.worker.run_once()
    for each in people[:3]:
        each.get("/here")
        each.send("/here/rate", agreement="6", quality="5")
    return served, logged_in(served), people


def exported(researcher, kind):
    researcher.get("/researcher")
    form = {"csrf": researcher.forms["/researcher/export"].fields["csrf"], "kind": kind}
    # Each kind has a form of its own: a browser holds back a second press on the same form.
    assert researcher.html.count('action="/researcher/export"') == 3
    answer = researcher.post("/researcher/export", form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer.content


@pytest.mark.attack("payments", "formulas in opinions, in every kind of export")
def test_every_kind_holds_the_same_tables(rated, tmp_path):
    served, researcher, _ = rated
    zipfile.ZipFile(io.BytesIO(exported(researcher, "parquet"))).extractall(tmp_path)
    dataset = read_dataset(tmp_path / "buses")
    assert dataset.ratings["agreement"].count() == 3
    assert set(dataset.opinions["text"]) == {HOSTILE, OPINION}

    archive = zipfile.ZipFile(io.BytesIO(exported(researcher, "csv")))
    book = CalamineWorkbook.from_filelike(io.BytesIO(exported(researcher, "xlsx")))
    for name, table in dataset.tables().items():
        found = pl.read_csv(archive.read(f"buses/{name}.csv"))
        assert (found.columns, found.height) == (table.columns, table.height)
        sheet = book.get_sheet_by_name(name).to_python()
        assert sheet[0] == table.columns
        assert len(sheet) == table.height + 1
    texts = pl.read_csv(archive.read("buses/opinions.csv"))["text"].to_list()
    assert sum(text.startswith("'=HYPERLINK") for text in texts) == 1
    # In a workbook a text is a text: nothing stands before it, and it is no formula.
    sheet = book.get_sheet_by_name("opinions").to_python()
    at = sheet[0].index("text")
    assert HOSTILE in [row[at] for row in sheet[1:]]
    raw = zipfile.ZipFile(io.BytesIO(exported(researcher, "xlsx")))
    assert not any(b"<f>" in raw.read(each) for each in raw.namelist())
    with served.place.store.read() as db:
        actors = db.scalars(select(EventRow.actor).where(EventRow.kind == "exported")).all()
    assert actors == ["owner"] * 4


@pytest.mark.attack("access", "exports, by others than researchers")
def test_only_researchers_take_data_home(rated):
    served, researcher, _ = rated
    researcher.get("/researcher")
    form = {"csrf": researcher.forms["/researcher/export"].fields["csrf"], "kind": "exe"}
    assert researcher.post("/researcher/export", form).status_code == 404
    moderator = logged_in(served, "moderator")
    csrf = next(iter(moderator.forms.values())).fields["csrf"]
    answer = moderator.post("/researcher/export", {"csrf": csrf, "kind": "csv"})
    assert answer.status_code == 403
    assert served.browser().post("/researcher/export", {"kind": "csv"}).status_code in (403, 404)


def test_a_groups_page_shows_everything_as_it_comes(rated):
    _, researcher, people = rated
    researcher.get("/researcher")
    path = next(
        part.split('"')[0] for part in researcher.html.split('href="') if "/groups/" in part[:30]
    )
    researcher.get(path)
    assert "HYPERLINK" in researcher.html
    assert researcher.html.count(OPINION) == 3
    assert "We agree on plan" in researcher.html
    # Each of three has rated the one that chance showed them first.
    assert 1 <= researcher.html.count("6.0") <= 3
    assert "4 of 4" not in researcher.html
    for each in people:
        each.get("/here")
        while each.key and "-rate-" in each.key:
            each.send("/here/rate", agreement="6", quality="5")
    researcher.get(path)
    assert researcher.html.count("4 of 4") == 3
    assert "The group's statement" in researcher.html
