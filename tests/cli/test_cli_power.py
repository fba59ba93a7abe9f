"""``commonweal power``."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import polars as pl
import pytest
from command_line import commonweal

from commonweal.datasets.dataset import About, Dataset, frame, write_dataset
from commonweal.datasets.schema import LIKERT_7
from commonweal.evaluation.statistics.group_outcomes import pilot_groups
from commonweal.evaluation.statistics.power import groups_needed


@pytest.fixture
def pilot(tmp_path):
    """Eight groups of three on two questions each; which policy wins differs by group."""
    rng = np.random.default_rng(1)
    rounds, candidates, ratings = [], [], []
    for group, question in product(range(8), range(2)):
        r = {"round_id": f"g{group}-q{question}"}
        asked = {"question_id": f"q{question}", "question": f"Should we do {question}?"}
        rounds.append(r | asked | {"group_id": f"g{group}"})
        for policy in ("sft_base", "zero_shot"):
            of = r | {"candidate_id": policy}
            candidates.append(of | {"text": "We agree.", "policy": policy, "shown": True})
            for person in range(3):
                given = {"participant_id": f"g{group}-p{person}", "pass_index": 0}
                ratings.append(of | given | {"agreement": int(rng.integers(1, 8))})
    dataset = Dataset(
        About(name="made", people="simulated", scale=LIKERT_7, source="made for the tests"),
        rounds=frame("rounds", rounds),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
    )
    write_dataset(dataset, tmp_path / "pilot")
    return dataset, str(tmp_path / "pilot")


def test_without_a_pilot_the_assumptions_are_said():
    ran = commonweal("power", "--win-rate", "0.7", "--ties", "0.2", "--seed", "3")
    assert ran.returncode == 0, ran.stderr
    assert "Assumed, without a pilot: 3 rounds a group, 20% of rounds tied" in ran.stdout
    needed = re.search(r"^(\d+) groups detect it in 80% of studies", ran.stdout, re.MULTILINE)
    assert needed is not None
    rows = re.findall(r"^ +(\d+) +([\d.]+)% +([\d.]+)% to ([\d.]+)%", ran.stdout, re.MULTILINE)
    sizes = [int(row[0]) for row in rows]
    assert sizes == sorted(sizes)
    assert sizes[0] < int(needed[1]) < sizes[-1]
    assert all(float(low) < float(power) < float(high) for _, power, low, high in rows)
    assert re.search(r"[\d.]+% of such studies still detect something; 5% is right", ran.stdout)


def test_a_pilot_that_one_policy_wins_in_each_group(pilot, tmp_path):
    """Six rounds won of six, or five of six: no group stands for 0.5, and 0.95 can be planned."""
    dataset, _ = pilot
    parts: dict[str, list[pl.DataFrame]] = {"rounds": [], "candidates": [], "ratings": []}
    for again in range(3):
        for name, tables in parts.items():
            table = getattr(dataset, name).with_columns(pl.col("round_id") + f"-{again}")
            if name == "rounds":
                table = table.with_columns(pl.col("question_id") + f"-{again}")
            tables.append(table)
    lost = pl.col("round_id").is_in([f"g{group}-q1-2" for group in (1, 3, 5)])
    won = (pl.col("candidate_id") == "sft_base") != lost
    strong = replace(dataset, **{name: pl.concat(tables) for name, tables in parts.items()})
    rating = pl.when(won).then(7).otherwise(1).cast(pl.Int64).alias("agreement")
    strong = replace(strong, ratings=strong.ratings.with_columns(rating))
    write_dataset(strong, tmp_path / "strong")
    ran = commonweal(
        *("power", tmp_path / "strong", "--policy", "sft_base", "--baseline", "zero_shot"),
        *("--win-rate", "0.9"),
    )
    assert ran.returncode == 0, ran.stderr
    assert "groups detect it in 80% of studies" in ran.stdout
    assert "Note: False alarms were not simulated" in ran.stdout
    assert "of such studies still detect" not in ran.stdout


def test_a_pilot_is_read_and_its_people_are_named(pilot):
    dataset, folder = pilot
    policies = {"policy": "sft_base", "baseline": "zero_shot"}
    ran = commonweal(
        "power", folder, "--policy", "sft_base", "--baseline", "zero_shot", "--win-rate", "0.7"
    )
    assert ran.returncode == 0, ran.stderr
    assert "Pilot made (simulated ratings): sft_base against zero_shot by the mean" in ran.stdout
    found = groups_needed(pilot_groups(dataset, **policies), win_rate=0.7)
    assert f"\n{found.n_groups} groups detect it in 80% of studies" in ran.stdout
    for warning in found.warnings:
        assert warning in ran.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--win-rate", "0.5"], "the win rate is 0.5"),
        (["--power", "1"], "the power is 1.0"),
        (["--icc", "1"], "icc is 1.0"),
        (["--policy", "a"], "--policy is for a pilot"),
        (["{pilot}", "--ties", "0.1"], "--ties is an assumption"),
        (["{pilot}", "--policy", "sft_base"], "a pilot needs --policy and --baseline"),
        (["{pilot}", "--policy", "a", "--baseline", "zero_shot"], "no rated statement is by 'a'"),
        (["nowhere", "--policy", "a", "--baseline", "b"], "no dataset at nowhere"),
    ],
)
def test_mistakes_are_the_users_to_mend(options, expected, pilot):
    ran = commonweal("power", *(option.format(pilot=pilot[1]) for option in options))
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
