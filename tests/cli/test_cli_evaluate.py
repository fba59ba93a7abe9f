"""``commonweal evaluate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import commonweal

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from known_truth import simulate_study


def made(folder, n_groups):
    import numpy as np

    from commonweal.datasets.dataset import write_dataset

    few = {"n_rounds_per_group": 1, "divisive_share": 1.0}
    rng = np.random.default_rng(51)
    dataset, _ = simulate_study(rng, n_groups=n_groups, human_effect=-0.2, **few)
    write_dataset(dataset, folder)
    return folder


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    return made(tmp_path_factory.mktemp("evaluate") / "rounds", 10)


@pytest.fixture(scope="module")
def few_rounds(tmp_path_factory):
    return made(tmp_path_factory.mktemp("evaluate") / "few", 2)


@pytest.mark.heavy
def test_the_summary_the_page_and_the_json(rounds, tmp_path):
    report, data = tmp_path / "page.html", tmp_path / "figures.json"
    ran = commonweal(
        *("evaluate", rounds, "--report", report, "--json", data, "--resamples", "1000")
    )
    assert ran.returncode == 0, ran.stderr
    assert "known truth (simulated: nobody's ratings)" in ran.stdout
    assert "10 rounds of 10 groups" in ran.stdout
    assert "Intervals rest on 1,000 resamples" in ran.stdout
    assert "65.6 % [61.9, 69.3]" in ran.stdout
    assert f"Wrote {report}" in ran.stdout
    figures = {
        figure["key"]: figure
        for section in json.loads(data.read_text(encoding="utf-8"))["sections"]
        for table in section["tables"]
        for figure in table["figures"]
    }
    value = figures["less_divisive/sft_utilitarian"]["value"]
    assert f"{100 * value:.1f} %" in ran.stdout
    assert f"{100 * value:.1f} %" in report.read_text(encoding="utf-8")


def test_the_options_are_used(few_rounds, tmp_path):
    def values(*options):
        file = tmp_path / "figures.json"
        ran = commonweal("evaluate", few_rounds, "--json", file, "--resamples", "1000", *options)
        assert ran.returncode == 0, ran.stderr
        return json.loads(file.read_text(encoding="utf-8"))

    plain = values()
    assert values()["sections"] == plain["sections"]
    other = values("--seed", "4", "--baseline", "sft_base", "--reliability", "0.5")
    assert other["facts"]["seed"] == 4
    assert other["facts"]["baseline"] == "sft_base"
    assert other["counts"]["people: unreliable"] > plain["counts"]["people: unreliable"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--baseline", "gpt"], "no statement that was shown is by 'gpt'; expected one of"),
        (["--reliability", "3"], "threshold is 3.0, expected a kappa from -1 to 1"),
        (["--resamples", "10"], "1000"),
        (["--report", "no/such/folder.html"], "there is no folder"),
        (["--json", "same.html", "--report", "same.html"], "is the same file as"),
    ],
)
def test_what_the_user_can_mend_is_2(rounds, tmp_path, options, said):
    ran = commonweal("evaluate", rounds, *options, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_no_dataset(tmp_path):
    ran = commonweal("evaluate", tmp_path / "none")
    assert ran.returncode == 2
    assert "no dataset at" in ran.stderr


def test_one_of_a_thing_is_one(tmp_path):
    import numpy as np

    from commonweal.datasets.dataset import write_dataset

    dataset, _ = simulate_study(np.random.default_rng(2), n_groups=1, n_rounds_per_group=1)
    write_dataset(dataset, tmp_path / "one")
    ran = commonweal("evaluate", tmp_path / "one", "--resamples", "1000", "--reliability", "-1")
    assert "1 round of 1 group, 5 people" in ran.stdout


def test_the_dataset_is_not_written_over(rounds):
    before = {path.name: path.read_bytes() for path in rounds.iterdir()}
    for option in ("--report", "--json"):
        ran = commonweal("evaluate", rounds, option, rounds / "dataset.json", "--resamples", "1000")
        assert ran.returncode == 2
        assert "lies in ROUNDS" in ran.stderr
    assert {path.name: path.read_bytes() for path in rounds.iterdir()} == before


def test_the_template_is_evaluated_in_one_command_and_imported(tmp_path):
    ran = commonweal("data", "template", "ratings.csv", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    ran = commonweal(
        *("evaluate", "ratings.csv", "--simulated", "--resamples", "1000"), cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "ratings (simulated: nobody's ratings)" in ran.stdout
    assert "1 round of 1 group, 3 people, 4 statements, 24 ratings" in ran.stdout
    told = "Passes were numbered 1, 2, and are counted from 0"
    assert told in " ".join(ran.stdout.split())
    ran = commonweal("data", "import", "ratings", "ratings.csv", "--out", "made", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert told in ran.stdout
    ran = commonweal("evaluate", "made", "--scale", "vote", cwd=tmp_path)
    assert ran.returncode == 2
    assert "for a table of ratings" in ran.stderr
    ran = commonweal("evaluate", "ratings.csv", "--scale", "vote", cwd=tmp_path)
    assert ran.returncode == 2
    assert "expected a whole number from -1 to 1 (vote)" in ran.stderr
