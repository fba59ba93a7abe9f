"""Writes a small study's database as SQL, and its export, under the version of the tables.

Run once for each version, by the code that is released with it; then both stay as they are:

    PYTHONPATH=tests:tests/study python tests/study/make_released.py

The people are programs, and so is the writer.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from study_making import Place, small_study
from test_machine import play

from commonweal.datasets.dataset import read_dataset
from commonweal.study.export.dataset import export_study
from commonweal.study.storage.schema import HEAD

RELEASED = Path(__file__).parent / "released"
TABLES = (
    *("rounds", "opinions", "critiques", "candidates", "ratings", "position_ratings"),
    "predictions",
)


def rows_of(store, study_id, folder):
    """The rows of each table of the study's export, as JSON has them."""
    export_study(store, study_id, folder)
    dataset = read_dataset(folder)
    rows = {name: getattr(dataset, name).to_dicts() for name in TABLES}
    return json.loads(json.dumps(rows, default=str))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        study = small_study(rounds={"count": 1, "revise": 1, "revisions": 1})
        place = Place(f"sqlite:///{folder}/study.db", study)
        play(place, place.join(4, is_simulated=True))
        rows = rows_of(place.store, place.study_id, Path(folder) / "data")
        place.store.close()
        with closing(sqlite3.connect(f"{folder}/study.db")) as db:
            sql = "\n".join(db.iterdump()).replace(",Inf,", ",9e999,")  # as SQLite reads it
    (RELEASED / f"{HEAD}.sql").write_text(sql + "\n", encoding="utf-8")
    lines = json.dumps(rows, ensure_ascii=False, indent=1, sort_keys=True)
    (RELEASED / f"{HEAD}.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
