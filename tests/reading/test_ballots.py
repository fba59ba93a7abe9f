"""What people said of the candidates: read from a table, and what each rule makes of it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.comparing import RULES_OF_ORDER, compare_ballots, majorities_of_ballots
from commonweal.errors import InputError
from commonweal.reading.ballots import Ballots, read_ballots

IDS = ("c01", "c02", "c03", "own")


def read(folder, text, kind="rankings", name="ballots.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_ballots(path, IDS, kind)


def test_columns_by_id_or_number_in_any_order_and_empty_places_come_last(tmp_path):
    found = read(tmp_path, "Name;C3;1;own\nana;1;2;\nben;;;1\ncem;2;2;1\n")
    assert found.people == ("ana", "ben", "cem")
    assert found.candidates == ("c01", "c03", "own")  # as written: that order breaks ties
    assert found.values.tolist() == [[2, 1, 3], [2, 2, 1], [2, 2, 1]]


def test_a_row_of_ratings_is_no_header_though_numbers_name_candidates(tmp_path):
    """As pandas writes a table with its index."""
    path = tmp_path / "b.csv"
    path.write_text(",id,c01,c02,c03,c04\n0,1,1,2,3,4\n1,2,4,3,2,1\n", encoding="utf-8")
    found = read_ballots(path, ["c01", "c02", "c03", "c04"], "ratings")
    assert found.people == ("1", "2")
    assert found.values.tolist() == [[1, 2, 3, 4], [4, 3, 2, 1]]


def test_ratings_take_a_decimal_comma_and_need_every_cell(tmp_path):
    found = read(tmp_path, "id;c01;c02\nana;6,5;2\n", "ratings")
    assert found.values.tolist() == [[6.5, 2]]
    with pytest.raises(InputError, match=r"row 2, column C \(c02\): got 'nothing'; expected a rat"):
        read(tmp_path, "id;c01;c02\nana;6,5;\n", "ratings")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("c01,c02\n1,2\n", "rankings", "no column is called id"),
        ("id,c01,c99\nana,1,2\n", "rankings", r"column C \(c99\): no candidate is called 'c99'"),
        ("id,c01,1\nana,1,2\n", "rankings", "a second column of candidate c01"),
        ("id,c01\nana,1\n", "rankings", "nothing to choose between"),
        ("id,c01,c02\n", "rankings", "nobody below it"),
        ("id,c01,c02\n,1,2\n", "rankings", r"row 2, column A \(id\): no id"),
        ("id,c01,c02\nana,1,2\nana,2,1\n", "rankings", r"a second row of 'ana' \(the first: "),
        ("id,c01,c02\nana,0,2\n", "rankings", "got '0'; expected a place from 1"),
        ("id,c01,c02\nana,first,2\n", "rankings", "got 'first'"),
        ("id,c01,c02\nana,nan,inf\n", "rankings", "got 'nan'"),
        ("id,c01,c02\nana,8,2\n", "ratings", "got '8'; expected a rating from 1 to 7"),
    ],
)
def test_what_is_no_ballot_is_refused_with_its_place(tmp_path, text, kind, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, kind)


# Wikipedia's example of the Schulze method (45 ballots of five candidates, winner E), which is
# example 1 of Schulze 2011, "A new monotonic, clone-independent ... single-winner method".
SCHULZE = {
    "ACBED": 5,
    "ADECB": 5,
    "BEDAC": 8,
    "CABED": 3,
    "CAEBD": 7,
    "CBADE": 2,
    "DCEBA": 7,
    "EBADC": 8,
}


def test_a_published_election_has_its_published_winner():
    rows = [[order.index(c) + 1 for c in "ABCDE"] for order, n in SCHULZE.items() for _ in range(n)]
    ballots = Ballots("rankings", tuple(map(str, range(45))), tuple("ABCDE"), np.array(rows, float))
    found = {each.name: each for each in compare_ballots(ballots)}
    assert tuple(found) == RULES_OF_ORDER
    assert ballots.candidates[found["schulze"].index] == "E"
    assert "majorities go in a circle" in majorities_of_ballots(ballots)


@given(st.lists(st.permutations(range(1, 4)), min_size=1, max_size=9))
def test_whoever_beats_all_others_one_to_one_is_picked_and_said(rows):
    ballots = Ballots("rankings", tuple(map(str, rows)), IDS[:3], np.array(rows, float))
    beaten_by_none = [
        a
        for a in range(3)
        if all(sum(r[a] < r[b] for r in rows) > len(rows) / 2 for b in range(3) if b != a)
    ]
    picked = {each.name: each.index for each in compare_ballots(ballots)}
    if beaten_by_none:
        assert {picked[name] for name in RULES_OF_ORDER[1:]} == set(beaten_by_none)
        said = f"{IDS[beaten_by_none[0]]} beats every other candidate one to one."
        assert majorities_of_ballots(ballots) == said
    else:
        assert majorities_of_ballots(ballots).startswith("No candidate beats")


def test_ratings_turned_into_places_give_the_same_picks_by_order():
    for order in permutations((1.0, 2.0, 3.0)):
        rows = np.array([order, (3.0, 2.0, 1.0), (2.0, 3.0, 1.0)])
        rated = Ballots("ratings", ("a", "b", "c"), IDS[:3], rows)
        ranked = Ballots("rankings", ("a", "b", "c"), IDS[:3], 4 - rows)
        by_order = {each.name: each.tied for each in compare_ballots(rated, RULES_OF_ORDER)}
        assert by_order == {each.name: each.tied for each in compare_ballots(ranked)}
        assert majorities_of_ballots(rated) == majorities_of_ballots(ranked)
