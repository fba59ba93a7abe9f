"""Many rules on one group, and what if somebody had not been asked: from stored scores."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.agreement import find_agreement
from commonweal.comparing import compare_rules, majorities
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.rehearsing import alpha_path, without_each, write_alpha_plot, written_without
from commonweal.result import Agreement
from commonweal.rules import UTILITARIAN, resolve_rule
from commonweal.selection import Selection
from commonweal.types import Candidate, Opinion, Question
from commonweal.welfare import isoelastic, rank
from reading_model import ScriptedReader


def result(utilities, rule=UTILITARIAN, **changes) -> Agreement:
    u = np.array(utilities, float)
    names = ("ana", "ben", "cem", "dee", "eve", "fay")[: len(u)]
    made = Selection(
        question=Question("Free buses?"),
        opinions=tuple(Opinion(name, f"I am {name}.") for name in names),
        candidates=tuple(
            Candidate(f"c{n + 1:02d}", f"We want number {n}.", (), "p", "m", "h", n)
            for n in range(u.shape[1])
        ),
        n_sampled=u.shape[1],
        rewards=u,
        utilities=u,
        seed=(0,),
        timings_seconds={},
        provenance={},
        **changes,
    )
    return Agreement.of(made.picked([rule]))


# c01 has the highest mean, c02 the highest minimum, c03 is what most prefer to each other one.
SPLIT = [[7.0, 4.4, 5.0], [7.0, 4.4, 5.0], [1.0, 4.4, 5.0], [5.9, 4.4, 6.0], [5.9, 4.4, 2.0]]


def test_one_row_a_rule_with_whom_it_serves_least():
    found = {each.name: each for each in compare_rules(result(SPLIT))}
    assert list(found)[:3] == ["utilitarian", "bernoulli_nash", "rawlsian"]
    for each in found.values():
        welfare = resolve_rule(each.name).welfare(np.array(SPLIT))
        assert each.index == rank(welfare).best
        assert set(each.tied) == set(rank(welfare).tied_best)
        column = [row[each.index] for row in SPLIT]
        assert each.lowest == min(column)
        assert each.mean == pytest.approx(np.mean(column))
    assert found["utilitarian"].index == 0
    assert found["utilitarian"].least_served == ("cem",)
    assert found["rawlsian"].index == 1
    assert found["rawlsian"].least_served == ("ana", "ben", "cem", "dee", "eve")
    assert found["approval"].index == 1
    assert found["schulze"].index == 0


def test_the_rule_of_the_result_is_among_them_and_weak_candidates_are_picked_by_none():
    weak = result(
        SPLIT, resolve_rule(alpha=2), qualities=np.array([1.0, 6.0, 6.0]), min_quality=3.5
    )
    found = compare_rules(weak)
    assert found[-1].name == "isoelastic, α = 2"
    assert all(each.index in (1, 2) for each in found)
    nothing = result(SPLIT, qualities=np.array([1.0, 1.0, 1.0]), min_quality=3.5)
    assert {each.index for each in compare_rules(nothing)} == {None}
    assert majorities(nothing) == ""


def test_cycles_and_ties_of_majorities_are_said():
    assert majorities(result(SPLIT)).startswith("c01 is predicted to beat every other")
    cycle = majorities(result([[3, 2, 1], [1, 3, 2], [2, 1, 3]]))
    assert "in a circle or tie among c01, c02, c03 (3 pairs)" in cycle
    assert "c01, c02 tie with each other" in majorities(result([[3, 2], [2, 3]]))
    # The beaten candidate that is not worth showing takes no part.
    weak = result([[3, 2, 9], [2, 3, 9]], qualities=np.array([6, 6, 1.0]), min_quality=3.5)
    assert "c01, c02 tie" in majorities(weak)


def test_who_changes_the_choice_is_pivotal_and_what_it_costs_is_by_hand():
    found = {each.participant_id: each for each in without_each(result([[7, 2], [3, 5], [3, 5.5]]))}
    # Means: 4.33 and 4.17. Without ana it is c02; without ben 5 and 3.75, without cem 5 and 3.5.
    assert [name for name, each in found.items() if each.changes] == ["ana"]
    assert found["ana"].index == 1
    assert found["ana"].others_gain == pytest.approx(5.25 - 3)
    assert found["ana"].own_loss == pytest.approx(5)
    assert found["ben"].others_gain == found["ben"].own_loss == 0
    assert without_each(result([[3.0, 4.0]])) == ()


def test_written_without_somebody_neither_reads_nor_counts_them():
    said = {"ana": "Free for all.", "ben": "Nothing is free.", "cem": "Somebody pays."}
    old = "We want cheaper fares, and we differ on who should pay for them."
    new = "We ask that whoever pays is named before anything is given away."
    points = {old: {"ana": 2.0, "ben": -2.0, "cem": -1.0}, new: {"ana": -2.0, "ben": 1.0, "cem": 2}}
    who = {text: name for name, text in said.items()}
    reader = ScriptedReader(lambda o, s: float(points.get(s, {}).get(who.get(o), 0)))
    opinions = [Opinion(name, text) for name, text in said.items()]
    first = find_agreement(
        "Should buses be free?",
        opinions,
        policy=load_policy("zero_shot", ScriptedModel([old])),
        reward=reader,
        n_candidates=1,
        welfare="rawlsian",
        min_agreeing=None,
    )
    writer = ScriptedModel([new])
    found = written_without(
        first, "ana", policy=load_policy("zero_shot", writer), reward=reader, n_candidates=1
    )
    assert found.text == new
    assert all(said["ana"] not in prompt[-1].content for prompt in writer.prompts)
    assert all(said["ben"] in prompt[-1].content for prompt in writer.prompts)
    to_7 = reader.calibration.expected_rating
    rating = {
        (text, name): float(to_7(np.array([value]))[0])
        for text, each in points.items()
        for name, value in each.items()
    }
    gains = [rating[new, name] - rating[old, name] for name in ("ben", "cem")]
    assert found.others_gain == pytest.approx(np.mean(gains))
    assert found.own_loss == pytest.approx(rating[old, "ana"] - rating[new, "ana"])
    with pytest.raises(InputError, match="did you mean 'ana'"):
        written_without(first, "anna", policy=load_policy("zero_shot", writer), reward=reader)


PROFILES = st.lists(
    st.lists(st.integers(10, 70), min_size=3, max_size=3), min_size=2, max_size=5
).map(lambda rows: np.array(rows) / 10)


@given(PROFILES)
def test_each_stretch_of_alpha_has_its_best_candidate_and_they_cover_everything(utilities):
    stretches = alpha_path(result(utilities))
    assert stretches[0].start == 0
    assert stretches[-1].stop == math.inf
    for one, other in pairwise(stretches):
        assert one.stop == other.start
        assert one.index != other.index
    assert stretches[-1].index == rank(utilities.min(axis=0)).best
    for alpha in (0.0, 0.3, 1.0, 2.7, 9.0):
        best = rank(isoelastic(utilities, alpha)).best
        (at,) = [s for s in stretches if s.start <= alpha < s.stop]
        near = any(abs(alpha - s.start) < 1e-6 for s in stretches)
        assert at.index == best or near


def test_a_turning_point_is_where_two_welfares_meet():
    profile = [[6.8, 4.4], [6.8, 4.4], [1.2, 4.4]]
    first, second = alpha_path(result(profile))
    assert (first.index, second.index) == (0, 1)
    welfare = isoelastic(profile, second.start)
    assert welfare[0] == pytest.approx(welfare[1], abs=1e-6)


def test_the_plot_is_drawn(tmp_path):
    write_alpha_plot(result(SPLIT), tmp_path / "alpha.svg")
    assert (
        "inequality aversion" in (tmp_path / "alpha.svg").read_text(encoding="utf-8")
        or (tmp_path / "alpha.svg").stat().st_size > 5000
    )


@pytest.mark.parametrize("name", ["alpha.html", "alpha"])
def test_a_plot_of_no_kind_that_can_be_drawn_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"expected \.svg, \.png, \.pdf"):
        write_alpha_plot(result(SPLIT), tmp_path / name)
    assert not (tmp_path / name).exists()
