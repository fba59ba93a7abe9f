"""docs/published.md and ``published.CLAIMS`` say the same, and every key is computed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from known_truth import simulate_study

from commonweal.evaluation.evaluate import evaluate
from commonweal.evaluation.published import CLAIMS

DOC = Path(__file__).parents[2] / "docs" / "published.md"


def rows() -> list[list[str]]:
    lines = [line for line in DOC.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "paper" and not row[0].startswith("---")]


def test_the_table_lists_each_published_number_and_where_it_stands():
    in_docs = [
        (section, number, quantity, rounds, tuple(re.findall(r"`([^`]+)`", where)) or where)
        for section, number, quantity, rounds, where in rows()
    ]
    assert in_docs == [
        (
            claim.published.section,
            claim.published.text,
            claim.quantity,
            claim.rounds,
            claim.keys or f"nowhere: {claim.why_nowhere}",
        )
        for claim in CLAIMS
    ]


def test_a_number_as_printed_is_the_number_that_is_drawn():
    for claim in CLAIMS:
        one = claim.published
        if one.value is None:
            continue
        printed = [float(x.replace("−", "-")) for x in re.findall(r"[−\d.]+", one.text)]
        scale = 100 if "%" in one.text else 1
        drawn = [x * scale for x in (one.value, one.low, one.high) if x is not None]
        assert printed == pytest.approx(drawn), one.text


@pytest.mark.usefixtures("quick_power")
def test_each_key_is_a_figure_of_a_study_like_the_papers_and_stands_nowhere_else():
    policies = {"sft_utilitarian": 0.5, "sft_base": 0.4, "few_shot": 0.1, "zero_shot": 0.0}
    study, _ = simulate_study(
        np.random.default_rng(5), n_groups=8, policies=policies, human_effect=0.0
    )
    figures = evaluate(study, n_resamples=1000).figures
    shown = {key: one.published for key, one in figures.items() if one.published is not None}
    assert shown == {key: claim.published for claim in CLAIMS for key in claim.keys}
