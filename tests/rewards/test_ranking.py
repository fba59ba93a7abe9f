"""Statements of a round by welfare, against the same worked out with plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from votes_making import made_rounds, opinion, statement

from commonweal.datasets.agreements import matrix
from commonweal.errors import InputError
from commonweal.rewards import ScriptedRewardModel
from commonweal.rewards.ranking import rank_statements
from commonweal.rewards.warm import warm_profile

VOTES = np.array([[1.0, -1, np.nan, 1], [1, 1, np.nan, -1], [np.nan, 1, np.nan, np.nan]])
MODEL = ScriptedRewardModel(
    {
        (opinion("r1", person), statement("r1", column)): float(person - column)
        for person in range(3)
        for column in range(4)
    }
)


@pytest.mark.parametrize("welfare", ["utilitarian", "rawlsian", "bernoulli_nash"])
def test_the_order_is_that_of_welfare(welfare):
    data, told = made_rounds({"r1": VOTES}), []
    got = rank_statements(
        MODEL, data, welfare=welfare, min_rated=0, on_done=lambda *n: told.append(n)
    )
    found = matrix(data, "r1", with_opinion=False)
    expected = warm_profile(MODEL, found, data.about.scale)
    how = {
        "utilitarian": lambda column: sum(column) / len(column),
        "rawlsian": min,
        "bernoulli_nash": lambda column: np.prod(column) ** (1 / len(column)),
    }[welfare]
    # Votes of -1, 0 and 1 are 2, 4 and 6 of 7.
    worth = {
        text: how([4 + 2 * row[place] for row in expected])
        for place, text in enumerate(found.statements)
    }
    assert [one.text for one in got.statements] == sorted(worth, key=worth.get, reverse=True)
    n_rated = dict(zip(found.statements, np.isfinite(found.agreement).sum(axis=0), strict=True))
    assert {one.text: one.n_rated for one in got.statements} == n_rated
    assert got.n_people == 3
    assert told[-1] == (12, 12)
    rated = rank_statements(MODEL, data, welfare=welfare).statements
    assert rated == tuple(one for one in got.statements if one.n_rated)


def test_votes_without_opinions_are_ranked():
    data = made_rounds({"r1": VOTES})
    data = replace(data, opinions=data.opinions.filter(pl.lit(False)))
    got = rank_statements(ScriptedRewardModel({}), data)
    assert got.statements[0].text == statement("r1", 0)  # two agreed and nobody disagreed
    assert got.statements[-1].text == statement("r1", 3)


def test_which_round_has_to_be_said():
    data = made_rounds({"r1": VOTES, "r2": VOTES})
    with pytest.raises(InputError, match="has 2 rounds; expected --round with one of r1, r2"):
        rank_statements(MODEL, data)
    empty = data.of_rounds([])
    for round_id in (None, "r1"):
        with pytest.raises(InputError, match="has no rounds; expected one with rated statements"):
            rank_statements(MODEL, empty, round_id)
