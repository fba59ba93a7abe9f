"""The text that a reward model reads: filled once, never too long, the statement whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from commonweal.errors import InputError
from commonweal.rewards.pair_text import PairText
from commonweal.types import RewardInput


@pytest.fixture(scope="module")
def tokenizer(encoder_folder) -> Tokenizer:
    found = Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


def test_braces_in_an_opinion_are_only_text():
    given_ = RewardInput("Q", "{statement} {question} {0}", "S")
    assert (
        PairText().fill(given_) == "Question: Q\nOpinion: {statement} {question} {0}\nStatement: S"
    )


def test_the_question_may_be_left_out():
    assert PairText("{opinion} / {statement}").fill(RewardInput("Q", "O", "S")) == "O / S"


def test_a_token_at_the_end_is_there_once():
    ended = PairText("{opinion} {statement}", 32).ended_by("</s>")
    assert ended == PairText("{opinion} {statement}</s>", 32)
    assert ended.ended_by("</s>") == ended


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"template": "{opinion}"}, r"does not have \{statement\}"),
        ({"max_tokens": 3}, "max_tokens is 3, expected at least 16"),
    ],
)
def test_what_cannot_be_read_is_refused(arguments, expected):
    with pytest.raises(InputError, match=expected):
        PairText(**arguments)


def test_a_long_opinion_loses_its_end_and_the_statement_nothing(tokenizer):
    text = PairText(max_tokens=32)
    long = RewardInput("Buses?", "early words " + "and more words " * 500, "The last words stay.")
    (ids,) = text.encode(tokenizer, [long])
    read = tokenizer.decode(ids)
    assert 30 <= len(ids) <= 32
    assert "opinion : early words and more words" in read
    assert read.endswith("statement : the last words stay.")


def test_a_statement_that_is_too_long_by_itself_is_cut(tokenizer):
    (ids,) = PairText(max_tokens=32).encode(tokenizer, [RewardInput("Q", "O", "word " * 50_000)])
    assert len(ids) == 32


@pytest.mark.parametrize("n_words", [1, 20, 5000])
@pytest.mark.parametrize("question", ["Buses?", "Why not " * 100])
def test_what_is_cut_keeps_the_token_at_its_end(tokenizer, n_words, question):
    text = PairText(max_tokens=32).ended_by("[SEP]")
    long = RewardInput(question, "and more words " * 500, "word " * n_words)
    (ids,) = text.encode(tokenizer, [long])
    end = tokenizer.token_to_id("[SEP]")
    assert 30 <= len(ids) <= 32
    assert ids[-2:] == [end, end]  # the template's, and the one that this tokenizer adds


@given(st.text(max_size=300), st.text(max_size=300), st.integers(16, 64))
def test_no_text_is_longer_than_allowed(tokenizer, opinion, statement, limit):
    text = PairText(max_tokens=limit)
    given_ = RewardInput("Why?", opinion, statement)
    (ids,) = text.encode(tokenizer, [given_])
    assert len(ids) <= limit
    whole = tokenizer.encode(text.fill(given_)).ids
    assert ids == whole or len(whole) > limit
