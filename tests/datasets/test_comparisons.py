"""Comparisons against brute force over every pair and quadruple, whole and capped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_making import about, small_dataset

from commonweal.datasets.agreements import agreements, matrices, matrix
from commonweal.datasets.comparisons import (
    count_comparisons,
    crossed_quadruples,
    same_statement_pairs,
    within_person_pairs,
)
from commonweal.datasets.dataset import Dataset, completed, frame
from commonweal.datasets.schema import VOTE
from commonweal.errors import InputError


def made(seed: int, *, scale=VOTE, n_rounds=2, n_people=6, n_candidates=5) -> Dataset:
    """Random ratings, some missing, some twice; some people without an opinion; some authors."""
    rng = np.random.default_rng(seed)
    rounds, opinions, candidates, ratings = [], [], [], []
    for r in range(n_rounds):
        name = f"r{r}"
        rounds.append({"round_id": name, "group_id": name, "question_id": name, "question": name})
        for p in range(n_people):
            if rng.random() < 0.8:
                opinions.append(
                    {
                        "round_id": name,
                        "opinion_id": f"o{p}",
                        "participant_id": f"p{p}",
                        "text": f"Opinion {p}",
                        "source": "written",
                    }
                )
        for c in range(n_candidates):
            candidates.append(
                {
                    "round_id": name,
                    "candidate_id": f"c{c}",
                    "text": f"Statement {c}",
                    "policy": "human",
                    "shown": True,
                    "author_id": f"p{c}" if rng.random() < 0.5 else None,
                }
            )
            for p in range(n_people):
                for again in (0, 1):
                    if rng.random() < 0.6:
                        value = int(rng.integers(scale.low, scale.high + 1))
                        ratings.append(
                            {
                                "round_id": name,
                                "participant_id": f"p{p}",
                                "candidate_id": f"c{c}",
                                "pass_index": again,
                                "agreement": value if rng.random() < 0.9 else None,
                            }
                        )
    return Dataset(
        about(scale),
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
    )


def brute_force(dataset: Dataset, with_opinion: bool = True):
    """{round: {person: {candidate: mean agreement}}}, by loops."""
    authors = {
        (r, c): a
        for r, c, a in dataset.candidates.select(
            "round_id", "candidate_id", "author_id"
        ).iter_rows()
    }
    has = set(dataset.opinions.select("round_id", "participant_id").iter_rows())
    found: dict = {}
    for row in dataset.ratings.iter_rows(named=True):
        r, p, c = row["round_id"], row["participant_id"], row["candidate_id"]
        if row["agreement"] is None or authors[r, c] == p:
            continue
        if with_opinion and (r, p) not in has:
            continue
        found.setdefault(r, {}).setdefault(p, {}).setdefault(c, []).append(row["agreement"])
    return {
        r: {p: {c: float(np.mean(v)) for c, v in cs.items()} for p, cs in ps.items()}
        for r, ps in found.items()
    }


def brute_within(dataset, strict=False, with_opinion=True):
    neutral = dataset.about.scale.neutral
    return {
        (r, p, x, y, mine[x] - mine[y])
        for r, people in brute_force(dataset, with_opinion).items()
        for p, mine in people.items()
        for x, y in permutations(mine, 2)
        if mine[x] > mine[y] and (not strict or mine[x] > neutral > mine[y])
    }


def brute_same(dataset):
    neutral = dataset.about.scale.neutral
    return {
        (r, c, a, b)
        for r, people in brute_force(dataset).items()
        for a, b in permutations(people, 2)
        for c in people[a].keys() & people[b].keys()
        if people[a][c] > neutral > people[b][c]
    }


def brute_crossed(dataset):
    neutral = dataset.about.scale.neutral
    return {
        (r, a, b, x, y)
        for r, people in brute_force(dataset).items()
        for a, b in permutations(people, 2)
        for x, y in combinations(sorted(people[a].keys() & people[b].keys()), 2)
        if people[a][x] > neutral > people[a][y] and people[b][y] > neutral > people[b][x]
    }


def rows_of(frames) -> list[tuple]:
    return [row for frame in frames for row in frame.iter_rows()]


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([1, 3, 1000]))
def test_all_kinds_are_those_of_brute_force(seed, chunk_rows):
    dataset = made(seed, scale=VOTE if seed % 2 else small_dataset().about.scale)
    kinds = (
        (within_person_pairs, {}, brute_within(dataset)),
        (within_person_pairs, {"strict": True}, brute_within(dataset, strict=True)),
        (
            within_person_pairs,
            {"with_opinion": False},
            brute_within(dataset, with_opinion=False),
        ),
        (same_statement_pairs, {}, brute_same(dataset)),
        (crossed_quadruples, {}, brute_crossed(dataset)),
    )
    for make, options, expected in kinds:
        frames = list(make(dataset, chunk_rows=chunk_rows, **options))
        found = rows_of(frames)
        assert len(found) == len(set(found))
        assert set(found) == expected
        assert all(0 < each.height <= chunk_rows for each in frames)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_totals_are_those_of_brute_force(seed):
    dataset = made(seed)
    counts = count_comparisons(dataset)
    assert counts["within-person pairs"] == len(brute_within(dataset))
    assert counts["of them agreed against disagreed"] == len(brute_within(dataset, strict=True))
    assert counts["same-statement pairs"] == len(brute_same(dataset))
    assert counts["crossed quadruples"] == len(brute_crossed(dataset))
    people = [mine for people in brute_force(dataset).values() for mine in people.values()]
    assert counts["agreements"] == sum(map(len, people))
    assert counts["ratings"] == counts["agreements"] + sum(
        n
        for what, n in counts.items()
        if "dropped:" in what or "joined" in what
        if "pairs" not in what
    )
    n_pairs = sum(len(mine) * (len(mine) - 1) // 2 for mine in people)
    assert counts["pairs within a person and round"] == n_pairs
    assert counts["pairs dropped: rated the same"] == n_pairs - len(brute_within(dataset))


@pytest.mark.heavy
@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 5, 40]))
def test_a_cap_keeps_so_many_of_each(seed, cap):
    dataset = made(seed, n_people=9, n_candidates=9)
    for make, brute, key in (
        (within_person_pairs, brute_within, slice(0, 2)),
        (same_statement_pairs, brute_same, slice(0, 2)),
        (crossed_quadruples, brute_crossed, lambda row: (row[0], row[3], row[4])),
    ):
        of = key if callable(key) else lambda row, key=key: row[key]
        found = rows_of(make(dataset, cap=cap, seed=seed, chunk_rows=50))
        assert len(found) == len(set(found))
        assert set(found) <= brute(dataset)
        wanted = {k: min(n, cap) for k, n in Counter(map(of, brute(dataset))).items()}
        assert Counter(map(of, found)) == wanted
        assert found == rows_of(make(dataset, cap=cap, seed=seed, chunk_rows=50))


@pytest.mark.parametrize("n_candidates", [6, 12])  # all listed; drawn
def test_what_a_cap_keeps_is_drawn_evenly(n_candidates):
    """Each pair of a person is as likely as any other: chi-squared within 5 deviations."""
    n_people, cap = 3000, 4
    ratings = pl.DataFrame({"participant_id": [f"p{n}" for n in range(n_people)]}).join(
        pl.DataFrame(
            {
                "candidate_id": [f"c{c}" for c in range(n_candidates)],
                "agreement": [1 + c % 7 for c in range(n_candidates)],
            }
        ),
        how="cross",
    )
    dataset = replace(
        made(0, n_rounds=1),
        about=about(),
        candidates=made(0).candidates.clear(),
        ratings=completed("ratings", ratings.with_columns(round_id=pl.lit("r"), pass_index=0)),
    )
    drawn = pl.concat(within_person_pairs(dataset, with_opinion=False, cap=cap))
    assert drawn.height == cap * n_people
    one = dataset.ratings.filter(pl.col("participant_id") == "p0")
    n_pairs = len(rows_of(within_person_pairs(replace(dataset, ratings=one), with_opinion=False)))
    seen = drawn.group_by("chosen_id", "rejected_id").len()["len"].to_numpy()
    expected = cap * n_people / n_pairs
    assert len(seen) == n_pairs
    assert abs(((seen - expected) ** 2 / expected).sum() - n_pairs) < 5 * np.sqrt(2 * n_pairs)


def test_people_whose_opinion_was_left_out_of_generation_are_kept():
    """Paper 3.4 step 3: their pairs tell what an opinion that the policy did not see asks for."""
    dataset = small_dataset()
    seen = dataset.candidates.filter(candidate_id="c1")["included_opinion_ids"].to_list()
    assert seen == [["o1", "o2"]] * 2  # of three people
    pairs = set(rows_of(within_person_pairs(dataset)))
    assert pairs == {(r, f"{r}-p{n}", "c1", "c2", 1.0) for r in ("r1", "r2") for n in (1, 2, 3)}


def test_no_ratings_make_no_comparisons():
    dataset = made(1)
    nothing = replace(dataset, ratings=dataset.ratings.clear())
    for make in (within_person_pairs, same_statement_pairs, crossed_quadruples):
        assert list(make(nothing)) == []
        assert list(make(nothing, cap=3)) == []
    assert count_comparisons(nothing)["crossed quadruples"] == 0


@pytest.mark.parametrize("options", [{"cap": 0}, {"chunk_rows": 0}])
def test_a_cap_of_nothing_is_refused(options):
    (name,) = options
    for make in (within_person_pairs, same_statement_pairs, crossed_quadruples):
        with pytest.raises(InputError, match=f"{name} is 0, expected at least 1"):
            list(make(made(1), **options))


# --------------------------------------------------------------------------------------- matrices


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.booleans())
def test_matrices_are_those_of_brute_force(seed, with_opinion):
    dataset = made(seed)
    expected = brute_force(dataset, with_opinion)
    for found in matrices(dataset, with_opinion=with_opinion):
        mine = expected.get(found.round_id, {})
        cells = {
            (p, c): value
            for p, row in zip(found.participant_ids, found.agreement, strict=True)
            for c, value in zip(found.candidate_ids, row, strict=True)
            if not np.isnan(value)
        }
        assert cells == {(p, c): v for p, row in mine.items() for c, v in row.items()}
        texts = dict(
            dataset.opinions.filter(pl.col("round_id") == found.round_id)
            .select("participant_id", "text")
            .iter_rows()
        )
        assert [texts.get(p) for p in found.participant_ids] == list(found.opinions)
        if with_opinion:
            assert set(found.participant_ids) == set(texts)
        assert found.statements == tuple(f"Statement {c[1:]}" for c in found.candidate_ids)


def test_one_round_as_a_matrix():
    found = matrix(small_dataset(), "r1")
    assert found.participant_ids == ("r1-p1", "r1-p2", "r1-p3")
    assert found.candidate_ids == ("c1", "c2")
    np.testing.assert_array_equal(found.agreement, [[2, 1], [3, 2], [4, 3]])
    with pytest.raises(InputError, match="made has no round 'r9'; expected one of 2, for example"):
        matrix(small_dataset(), "r9")


def test_what_is_left_out_of_agreements_is_counted():
    counts = agreements(small_dataset()).counts
    assert counts == {
        "ratings": 24,
        "ratings dropped: no answer on agreement": 4,
        "ratings joined with the same person's other pass": 8,
        "dropped: of people without an opinion": 0,
        "agreements": 12,
    }
