"""Sequences laid out in slices, against computing each alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonweal.models.prefix_tree import Tokens, chunks, slices

# Few different tokens, so that beginnings are shared at many places and some contain others.
SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple), min_size=1, max_size=12
)


def computed(ordered: list[Tokens], overhead: int, max_tokens: int) -> tuple[list[Tokens], int]:
    """(All that was fed for each sequence, tokens computed): row by row through parents."""
    n_computed = 0
    fed: dict[int, Tokens] = {}
    rows: list[Tokens] = [()]
    for part in slices(ordered, overhead=overhead, max_tokens=max_tokens):
        width = part.stop - part.start
        assert len(part.rows) == 1 or len(part.rows) * width <= max_tokens or width == 1
        rows = [
            rows[parent] + ordered[index][part.start : part.stop]
            for parent, index in zip(part.parents, part.rows, strict=True)
        ]
        n_computed += len(rows) * width
        for index, row in part.row_of.items():
            fed[index] = rows[row][: len(ordered[index])]
    return [fed[index] for index in range(len(ordered))], n_computed


@given(SEQUENCES, st.integers(0, 30), st.integers(1, 40))
def test_every_sequence_is_fed_whole(
    sequences: list[Tokens], overhead: int, max_tokens: int
) -> None:
    [ordered] = chunks(sequences, 10_000)
    assert ordered == sorted(set(sequences))
    fed, n_computed = computed(ordered, overhead, max_tokens)
    assert fed == ordered
    n_nodes = len({each[:n] for each in ordered for n in range(1, len(each) + 1)})
    assert n_computed >= n_nodes
    if overhead == 0:  # every cut is free: each token of the tree is computed once
        assert n_computed == n_nodes


def test_what_is_shared_is_computed_once() -> None:
    question, opinions = tuple(range(50)), [(100 + i,) * (20 + i) for i in range(5)]
    statements = [tuple(range(200 + 40 * j, 230 + 41 * j)) for j in range(16)]
    ordered = sorted(question + o + s for o in opinions for s in statements)
    _, n_computed = computed(ordered, 24, 1024)
    n_alone = sum(map(len, ordered))
    n_nodes = 50 + sum(map(len, opinions)) + 5 * sum(map(len, statements))
    assert n_nodes <= n_computed < 1.2 * n_nodes < 0.5 * n_alone


@given(SEQUENCES, st.integers(1, 60))
def test_chunks_hold_each_sequence_once_and_no_more_than_they_may(
    sequences: list[Tokens], max_tokens: int
) -> None:
    found = list(chunks(sequences, max_tokens))
    assert [each for chunk in found for each in chunk] == sorted(set(sequences))
    for chunk in found:
        assert len(chunk) == 1 or len(chunk) * max(map(len, chunk)) <= max_tokens
