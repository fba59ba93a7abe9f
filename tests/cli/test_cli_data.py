"""``commonweal data`` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from command_line import commonweal

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from habermas_making import position_rows, put_files
from polis_making import small_export
from rounds_making import small_dataset

from commonweal.datasets.dataset import read_dataset, write_dataset


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return [small_export(folder / name, topic=f"More {name}") for name in ("buses", "trains")]


@pytest.fixture(scope="module")
def votes(exports, tmp_path_factory):
    """Two conversations as one dataset."""
    out = tmp_path_factory.mktemp("imported") / "votes"
    ran = commonweal("data", "import", "polis", *exports, "--out", out, "--licence", "CC BY 4.0")
    assert ran.returncode == 0, ran.stderr
    assert "buses: imported from Polis" in ran.stdout
    assert "2  votes dropped: on a comment dropped" in ran.stdout
    assert "votes: merged" in ran.stdout
    assert ran.stdout.endswith(f"Wrote {out}\n")
    return out


def test_several_conversations_become_one_dataset(votes):
    dataset = read_dataset(votes)
    assert dataset.about.name == "votes"
    assert dataset.rounds["round_id"].to_list() == ["buses", "trains"]


def test_two_exports_of_one_name_become_one_dataset(tmp_path):
    parts = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        parts.append(small_export(tmp_path / place / "export", topic=f"About {place}"))
    refused = commonweal("data", "import", "polis", *parts, "--out", tmp_path / "both")
    assert refused.returncode == 2
    assert "import each by itself with a --name of its own" in refused.stderr
    for part, name in zip(parts, ("town-a", "town-b"), strict=True):
        ran = commonweal("data", "import", "polis", part, "--out", tmp_path / name, "--name", name)
        assert ran.returncode == 0, ran.stderr
    named = (tmp_path / "town-a", tmp_path / "town-b")
    ran = commonweal("data", "import", "rounds", *named, "--out", tmp_path / "both")
    assert ran.returncode == 0, ran.stderr
    both = read_dataset(tmp_path / "both")
    assert both.rounds["round_id"].to_list() == ["town-a", "town-b"]
    assert both.ratings.height == 18
    assert both.ratings["participant_id"].n_unique() == 8


def test_a_name_that_is_not_utf8_is_said(exports, tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    ran = commonweal("data", "import", "polis", exports[0], "--out", tmp_path / "d", "--name", name)
    assert ran.returncode == 2
    assert r"'caf\udce9' is not UTF-8" in ran.stderr


def test_opinions_made_from_votes(exports, tmp_path):
    out = tmp_path / "d"
    more = ("--opinions", "votes", "--votes", 2, "--seed", 3)
    ran = commonweal("data", "import", "polis", exports[0], "--out", out, *more)
    assert ran.returncode == 0, ran.stderr
    assert "No licence is given" in ran.stdout
    assert set(read_dataset(out).opinions["source"]) == {"votes"}


def test_the_habermas_machines_files(tmp_path):
    put_files(tmp_path / "files", positions=position_rows())
    out = tmp_path / "d"
    ran = commonweal("data", "import", "habermas-machine", tmp_path / "files", "--out", out)
    assert ran.returncode == 0, ran.stderr
    assert read_dataset(out).about.licence == "CC BY 4.0"


def test_a_dataset_is_imported_as_it_is(votes, tmp_path):
    ran = commonweal("data", "import", "rounds", votes, "--out", tmp_path / "again")
    assert ran.returncode == 0, ran.stderr
    assert read_dataset(tmp_path / "again").ratings.equals(read_dataset(votes).ratings)


def test_a_studys_data_get_a_licence_and_keep_one_that_they_have(tmp_path):
    study = Path(__file__).parents[2] / "examples" / "study"
    said = ("--licence", "CC BY 4.0", "--attribution", "Ada's group")
    ran = commonweal("data", "import", "rounds", study, "--out", tmp_path / "public", *said)
    assert ran.returncode == 0, ran.stderr
    about = read_dataset(tmp_path / "public").about
    assert (about.licence, about.attribution) == ("CC BY 4.0", "Ada's group")
    again = ("data", "import", "rounds", tmp_path / "public", "--out", tmp_path / "other")
    ran = commonweal(*again, "--licence", "CC0")
    assert ran.returncode == 2
    assert "has 'CC BY 4.0' already; expected the same, or none" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["import", "kialo", "x", "--out", "OUT"],
            "no kind 'kialo' to import; expected one of: po",
        ),
        (["import", "polis", "nowhere", "--out", "OUT"], "no folder nowhere; expected a Polis"),
        (["import", "rounds", "nowhere", "--out", "OUT"], "no dataset at nowhere"),
        (["import", "polis", "x", "--out", "no/where/d"], "there is no folder no/where"),
        (["fetch", "imdb"], "no dataset 'imdb' to fetch"),
        (["check", "nowhere"], "no dataset at nowhere"),
        (["describe", "nowhere"], "no dataset at nowhere"),
        (["describe", "nowhere", "--out", "sheet.doc"], "ends in '.doc', expected .md or .json"),
        (["split", "nowhere", "--out", "OUT", "--rest", "train"], "--rest is for the questions"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, expected, tmp_path):
    arguments = [str(tmp_path / "out") if each == "OUT" else each for each in arguments]
    ran = commonweal("data", *arguments, cwd=tmp_path)
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "option", "taken_by"),
    [
        ("remesh", ["--simulated"], "polis, ratings, otree, simulated-jury"),
        ("graded", ["--scale", "vote"], "ratings, otree, deliberate-lab"),
        ("ratings", ["--leave-out", "q"], "remesh"),
        ("polis", ["--column", "policy=arm"], "ratings, otree"),
        ("habermas-machine", ["--licence", "CC0"], "polis, "),
    ],
)
def test_an_option_that_a_kind_has_no_use_for_is_refused(kind, option, taken_by, tmp_path):
    ran = commonweal("data", "import", kind, "x", *option, "--out", tmp_path / "out")
    assert ran.returncode == 2
    assert f"{option[0]} has no effect for {kind}; leave it out (it is for {taken_by}" in ran.stderr


def test_nothing_is_overwritten_unasked(votes, exports):
    arguments = ("data", "import", "polis", *exports, "--out", votes)
    refused = commonweal(*arguments)
    assert refused.returncode == 2
    assert "already exists; give --overwrite" in refused.stderr
    assert commonweal(*arguments, "--overwrite").returncode == 0


def test_check_lists_every_problem(votes, tmp_path):
    ran = commonweal("data", "check", votes)
    assert (ran.returncode, ran.stdout) == (
        0,
        f"{votes} keeps the format: 2 rounds, 4 opinions, 6 candidates, 18 ratings\n",
    )
    folder = tmp_path / "broken"
    write_dataset(small_dataset(), folder)
    break_table(folder, "ratings", pl.lit(9).alias("agreement"), pl.lit(0).alias("quality"))
    broken = commonweal("data", "check", folder)
    assert broken.returncode == 2
    assert "ratings.parquet, row 1: agreement is 9, expected likert-7" in broken.stdout
    assert "ratings.parquet, row 1: quality is 0, expected likert-7" in broken.stdout


def break_table(folder: Path, name: str, *columns: pl.Expr) -> None:
    """Other values in a table, with a manifest that says so."""
    from commonweal.files import sha256_of

    path = folder / f"{name}.parquet"
    schema = pl.read_parquet_schema(path)
    rows = pl.read_parquet(path).with_columns(*columns).cast(dict(schema))
    rows.write_parquet(path)
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["tables"][name]["sha256"] = sha256_of(path)
    (folder / "dataset.json").write_text(json.dumps(manifest))


def test_splits_by_name_and_describes(votes, tmp_path):
    out = tmp_path / "split"
    more = ("--to", "trains=ood_test", "--rest", "train")
    ran = commonweal("data", "split", votes, "--out", out, *more)
    assert ran.returncode == 0, ran.stderr
    assert dict(read_dataset(out).rounds.select("round_id", "split").iter_rows()) == {
        "buses": "train",
        "trains": "ood_test",
    }
    shown = commonweal("data", "describe", out)
    assert shown.stdout.startswith("# Datasheet: votes\n")
    sheet = tmp_path / "sheet.md"
    assert commonweal("data", "describe", out, "--out", sheet).returncode == 0
    assert sheet.read_text() == shown.stdout
    as_json = tmp_path / "sheet.json"
    assert commonweal("data", "describe", out, "--out", as_json).returncode == 0
    assert json.loads(as_json.read_text())["counts"]["all"]["rounds"] == 2
    again = commonweal("data", "describe", out, "--out", sheet)
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_a_leak_is_refused_and_split_anew(tmp_path):
    folder, out = tmp_path / "d", tmp_path / "again"
    write_dataset(small_dataset(), folder)
    break_table(folder, "rounds", pl.lit("Should we do it?").alias("question"))
    leaks = commonweal("data", "describe", folder)
    assert leaks.returncode == 2
    assert "'Should we do it?' is asked as q1, q2 in the splits train, ood_test" in leaks.stderr
    some = ("--to", "q1=train", "--rest", "train", "--again")
    ran = commonweal("data", "split", folder, "--out", out, *some)
    assert ran.returncode == 0, ran.stderr
    assert set(read_dataset(out).rounds["split"]) == {"train"}


def test_describe_says_what_filters_would_leave(tmp_path):
    folder = tmp_path / "d"
    write_dataset(small_dataset(), folder)
    filters = ("--min-kappa", -1, "--max-pairs-per-person", 1)
    shown = commonweal("data", "describe", folder, *filters)
    assert shown.returncode == 0, shown.stderr
    assert "## Without people whose kappa is below -1.0" in shown.stdout
    assert shown.stdout.count("| of them at most 1 a person | 6 | 3 | 3 |") == 2
    refused = commonweal("data", "describe", folder, "--min-kappa", 3)
    assert refused.returncode == 2
    assert "threshold is 3.0, expected a kappa from -1 to 1" in refused.stderr


def test_splits_by_share_and_not_twice(votes, tmp_path):
    out = tmp_path / "split"
    ran = commonweal("data", "split", votes, "--out", out, "--iid-test", 0.5, "--seed", 1)
    assert ran.returncode == 0, ran.stderr
    assert "1  questions in iid_test" in ran.stdout
    assert set(read_dataset(out).rounds["split"]) == {"train", "iid_test"}
    again = commonweal("data", "split", out, "--out", tmp_path / "again", "--iid-test", 0.5)
    assert again.returncode == 2
    assert "2 rounds have a split already" in again.stderr
