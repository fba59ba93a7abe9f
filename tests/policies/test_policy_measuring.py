"""Measures of what a policy wrote, against counts by hand and brute-force twins."""

from __future__ import annotations

import math
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonweal.errors import InputError
from commonweal.models.encoder import SentenceEncoder
from commonweal.policies.parsing import copied_share, longest_shared_run
from commonweal.policies.starter import load_starter_set
from commonweal.types import Candidate, Generation, Rejection, RejectionReason

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "lib"))
from policy_measures import (
    Parsing,
    distinct_runs,
    mean_distance,
    measure_parsing,
    measure_statements,
    nearest_sentence,
    split_sentences,
)

WORDS = ("buses", "free", "we", "want", "fares", "for", "all")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)


def by_words(texts):
    """An embedding that can be checked by hand: how often each of seven words occurs, and 1."""
    counts = [
        [text.lower().replace(".", "").split().count(word) for word in WORDS] for text in texts
    ]
    rows = np.column_stack([np.array(counts, dtype=np.float32), np.full(len(texts), 1e-3)])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def candidate(n):
    return Candidate(f"c{n:02d}", "We agree.", ("p1",), "zero_shot", "made", "hash", n)


def rejection(reason):
    return Rejection("raw", reason, "detail", 0)


def runs_of_four(words):
    return [tuple(words[i : i + 4]) for i in range(len(words) - 3)]


# ---------------------------------------------------------------------------------------- parsing


def test_what_became_of_the_completions_counts_also_a_round_without_candidates():
    echo, figure = RejectionReason.ECHO_OPINION, RejectionReason.INVENTED_FIGURE
    whole = Generation((candidate(1), candidate(2)), (rejection(echo),), 2, 5)
    failed = Generation((), (rejection(echo), rejection(figure)), 2, 2)
    assert measure_parsing([whole, failed]) == Parsing(7, 5, 2, {echo: 2, figure: 1})
    assert measure_parsing([whole, failed]).accepted_share == 2 / 5
    assert math.isnan(measure_parsing([]).accepted_share)


# ---------------------------------------------------------------------------------------- copying


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_copying_is_what_trying_every_run_finds(text, sources):
    words, theirs = text.split(), [source.split() for source in sources]
    copied = set()
    for i in range(len(words) - 3):
        if any(words[i : i + 4] == each[j : j + 4] for each in theirs for j in range(len(each))):
            copied |= {i, i + 1, i + 2, i + 3}
    assert copied_share(words, theirs) == len(copied) / len(words)
    longest = max(
        length
        for length in range(len(words) + 1)
        for i in range(len(words) - length + 1)
        if any(words[i : i + length] == theirs[0][j : j + length] for j in range(len(theirs[0])))
        or length == 0
    )
    run = longest_shared_run(words, theirs[0])
    assert len(run) == longest


def test_a_statement_measured_by_hand():
    found = measure_statements(
        ["We want free buses for some. Fares pay.", "Nobody knows what Bromley wants."],
        ["I want free buses for everyone.", "We fares."],
        ["all"],
        by_words,
    )
    assert found.n_statements == 2
    assert found.n_words == (8 + 5) / 2
    # "want free buses for" is four words; nothing of the second statement is in an opinion.
    assert found.longest_copied_run == (4 + 0) / 2
    assert found.copied_share == (4 / 8 + 0) / 2
    assert found.speaks_as_group == 1 / 2
    # Sentence 1 (buses, free, we, want, for) and opinion 1 (buses, free, want, for) have
    # the cosine 4 / sqrt(5 * 4), nearer than sentence 2 (fares), which has 1 / sqrt(2) with
    # opinion 2 (we, fares).
    own = 4 / math.sqrt(20), 1 / math.sqrt(2)
    tiny = nearest_sentence(
        ["Nobody knows."], ["I want free buses for everyone.", "We fares."], by_words
    )
    assert found.coverage == pytest.approx((np.mean(own) + tiny.mean()) / 2, abs=1e-3)
    assert found.least_coverage == pytest.approx((min(own) + tiny.min()) / 2, abs=1e-3)
    assert found.chance_coverage < 0.01
    assert found.coverage_above_chance == found.coverage - found.chance_coverage


def test_we_is_not_found_in_other_words_nor_in_the_us():
    def share(text):
        return measure_statements([text], ["all"], ["all"], by_words).speaks_as_group

    assert share("Some of us think so.") == share("Our town is one.") == share("we agree") == 1
    assert share("The US went west and were just.") == 0


# --------------------------------------------------------------------------------------- coverage


@given(
    st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(TEXTS, min_size=1, max_size=3),
)
def test_the_nearest_sentence_is_the_best_of_all_pairs(statements, opinions):
    texts = [" ".join(f"{sentence}." for sentence in each) for each in statements]
    found = nearest_sentence(texts, opinions, by_words)
    assert found.shape == (len(texts), len(opinions))
    for i, sentences in enumerate(statements):
        for j, opinion in enumerate(opinions):
            best = max(float(by_words([one])[0] @ by_words([opinion])[0]) for one in sentences)
            assert found[i, j] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("We agree on buses. Do we on fares?", ["We agree on buses.", "Do we on fares?"]),
        ("No end", ["No end"]),
        ("We say “never.” We mean it.", ["We say “never.”", "We mean it."]),
        ("We pay 2.50 now.", ["We pay 2.50 now."]),
        ("無料にします。賛成です。", ["無料にします。", "賛成です。"]),
        ("We wait ... and see.", ["We wait ...", "and see."]),
        ("!?", ["!?"]),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def test_with_the_real_encoder_a_group_is_nearer_to_its_own_statements_than_chance(encoder_folder):
    encode = SentenceEncoder(encoder_folder).encode
    whole = load_starter_set()
    examples = [whole[i] for i in (0, 60, 120, 180, 240)]
    assert len({example.topic for example in examples}) == len(examples)
    for example in examples:
        elsewhere = [text for other in examples if other is not example for text in other.opinions]
        found = measure_statements(example.statements, example.opinions, elsewhere, encode)
        assert found.coverage_above_chance > 0.05
        assert found.chance_coverage < found.coverage <= 1
        assert found.least_coverage <= found.coverage
        echo = measure_statements(example.opinions, example.opinions, elsewhere, encode)
        assert echo.longest_copied_run > found.longest_copied_run
        assert echo.copied_share == 1


# ----------------------------------------------------------------------------------- distinctness


def test_distinct_runs_by_hand():
    # Two runs each, one of them in both: three different of four.
    assert distinct_runs(["we want free buses now", "so we want free buses"]) == 3 / 4
    assert distinct_runs(["we want free buses", "We want FREE buses!"]) == 1 / 2
    assert math.isnan(distinct_runs(["we want free buses now"]))
    assert math.isnan(distinct_runs(["too short", "for a run"]))


@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_distinct_runs_are_those_that_stand_nowhere_before(texts):
    runs = [run for text in texts for run in runs_of_four(text.split())]
    n_new = sum(run not in runs[:i] for i, run in enumerate(runs))
    assert distinct_runs(texts) == pytest.approx(
        n_new / len(runs) if runs else math.nan, nan_ok=True
    )


@settings(max_examples=50)
@given(st.integers(2, 16), st.integers(0, 2**32 - 1))
def test_the_mean_distance_is_that_over_all_pairs(n_texts, seed):
    vectors = np.random.default_rng(seed).normal(size=(n_texts, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    pairs = [1 - float(one @ other) for one, other in combinations(vectors, 2)]
    assert mean_distance(vectors) == pytest.approx(np.mean(pairs), abs=1e-5)


def test_one_statement_has_no_distance():
    assert math.isnan(mean_distance(by_words(["buses"])))
    assert mean_distance(by_words(["buses", "buses"])) == pytest.approx(0, abs=1e-6)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        (([], ["all"], ["all"]), "^statements is empty"),
        ((["We."], [], ["all"]), "^opinions is empty"),
        ((["We."], ["all"], []), "^opinions_elsewhere is empty"),
        ((["We.", "?!"], ["all"], ["all"]), "statement 2 has no words"),
    ],
)
def test_nothing_to_measure_is_refused(given_, named):
    with pytest.raises(InputError, match=named):
        measure_statements(*given_, by_words)
