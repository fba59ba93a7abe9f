"""Missing ratings make no statement look less divisive, and no round unanimous (D.6, D.7)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from known_truth import simulate_study
from rounds_by_hand import hand_study

from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.sections.divisiveness import divisiveness
from commonweal.measures.bootstrap import Resampler


def figures(dataset):
    found = rated(dataset)
    section = divisiveness(found, Resampler(found.n_groups, 1000, np.random.default_rng(0)))
    return {one.key: one for one in section.figures} | {"extra": section.extra}


def test_a_statement_that_one_person_did_not_rate_is_left_out():
    """Round 1 (positions 6 2 5) without ana, who is against: c3 (2 7 6) would look unanimous."""
    dataset = hand_study()
    is_ana = (pl.col("participant_id") == "ana") & (pl.col("candidate_id") == "c3")
    fewer = replace(dataset, ratings=dataset.ratings.filter(~is_ana))
    found = figures(fewer)
    # c1 and c2 are as they were: 2 of 2. Of three candidates one is left out.
    assert found["less_divisive/all"].value == 1
    assert found["less_divisive/all"].n == 2
    assert "Left out: 1 of 3 candidates" in found["less_divisive/all"].warning
    assert found["less_divisive/zero"].value is None
    assert "everybody who rated the position" in found["less_divisive/zero"].unavailable
    # Whether zero has a unanimous one is not known: what it is at least and at most is.
    assert found["unanimous/zero"].value is None
    assert "at least 0.0 % and at most 100.0 %" in found["unanimous/zero"].unavailable
    assert found["unanimous/sft"].value == 1
    assert found["extra"]["n_candidates_left_out"] == 1


def test_somebody_who_came_late_is_no_part_of_the_comparison():
    """cleo did not rate the position (6 2: one of two against), and rated all candidates."""
    dataset = hand_study()
    cleo = pl.col("participant_id") == "cleo"
    found = figures(replace(dataset, position_ratings=dataset.position_ratings.filter(~cleo)))
    # Of ana and ben: c1 6 5 (0 of 2, less), c2 4 6 (0 of 2, less), c3 2 7 (1 of 2, the same).
    assert found["less_divisive/all"].value == pytest.approx(2 / 3)
    assert not found["less_divisive/all"].warning


@pytest.mark.parametrize("missing", [0.1, 0.3])
def test_ratings_missing_by_chance_do_not_move_the_figures(missing):
    design = {"n_groups": 700, "n_passes": 1, "group_size": 3, "sd_slant": 1.5, "n_statements": 1}
    whole, some = (
        simulate_study(np.random.default_rng(5), missing_share=share, **design)[0]
        for share in (0.0, missing)
    )
    full, patchy = figures(whole), figures(some)
    for key in ("less_divisive/all", "unanimous/zero_shot", "unanimous/sft_utilitarian"):
        before, after = full[key], patchy[key]
        error = np.hypot(before.high - before.low, after.high - after.low) / 3.92
        assert abs(after.value - before.value) < 4 * error, key
        assert after.n < before.n
        assert "eft out" in after.warning
    # What counting every statement that two people rated says, which these ratings do move.
    naive = {share: _by_whoever_rated(data) for share, data in ((0, whole), (missing, some))}
    n = full["less_divisive/all"].n
    assert naive[0] == pytest.approx(full["less_divisive/all"].value)
    if missing == 0.3:
        assert naive[missing] - naive[0] > 6 * np.sqrt(0.25 / n)


def _by_whoever_rated(dataset) -> float:
    """The share of less divisive candidates, each side over its own raters."""
    found = rated(dataset)
    n = len(found.words)
    agree, disagree, raters = (
        np.bincount(found.cell_statement[where], minlength=n)
        for where in (found.agreement > 4, found.agreement < 4, found.agreement > 0)
    )
    position = np.minimum(found.position_agree, found.position_disagree) / found.position_raters
    counted = (found.is_divisive[found.statement_round] == 1) & (raters > 1)
    share = np.minimum(agree, disagree)[counted] / raters[counted]
    return float((share < position[found.statement_round][counted] - 1e-9).mean())
