"""The seed questions that ship with the package: their number, form and range, and that they are
our own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "src" / "commonweal" / "questions" / "seeds"
PUBLISHED = ROOT.parent / "shared" / "data" / "debate_questions" / "questions.json"
COUNTS = {"uk": 152, "india": 60}
QUESTION_OPENINGS = {
    *("are", "can", "could", "did", "do", "does", "has", "have", "is", "may", "might", "must"),
    *("ought", "shall", "should", "was", "were", "will", "would"),
}


def _load(name: str) -> list[dict[str, str]]:
    document = tomllib.loads((SEEDS / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(document) == {"questions"}
    return document["questions"]


def _plain(text: str) -> str:
    """Lower case, without punctuation, words one space apart."""
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


def _four_grams(text: str) -> set[tuple[str, ...]]:
    words = _plain(text).split()
    return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}


def _opening(text: str) -> str:
    return _plain(text).split()[0]


@pytest.fixture(params=sorted(COUNTS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def seeds(name: str) -> list[dict[str, str]]:
    return _load(name)


def test_first_line_says_that_they_were_written_for_this_project(name: str) -> None:
    first = (SEEDS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# Written for this project.")


def test_number_and_fields(name: str, seeds: list[dict[str, str]]) -> None:
    assert len(seeds) == COUNTS[name]
    for seed in seeds:
        assert set(seed) == {"question", "position", "topic"}
        assert all(value and value == " ".join(value.split()) for value in seed.values())


def test_questions_are_yes_or_no_questions_of_5_to_30_words(seeds: list[dict[str, str]]) -> None:
    for seed in seeds:
        question = seed["question"]
        assert question.endswith("?"), question
        assert question.count("?") == 1, question
        assert 5 <= len(question.split()) <= 30, question
        assert _opening(question) in QUESTION_OPENINGS, question


def test_positions_are_declarative(seeds: list[dict[str, str]]) -> None:
    for seed in seeds:
        position = seed["position"]
        assert position.endswith("."), position
        assert "?" not in position, position
        assert position[0].isupper(), position
        assert _opening(position) not in QUESTION_OPENINGS, position


def test_positions_affirm_with_the_words_of_the_question(seeds: list[dict[str, str]]) -> None:
    for seed in seeds:
        asked = Counter(_plain(seed["question"]).split())
        said = Counter(_plain(seed["position"]).split())
        opening = _opening(seed["question"])
        if opening in {"do", "does"}:
            del asked[opening]
            asked = Counter(word.rstrip("s") for word in asked.elements())
            said = Counter(word.rstrip("s") for word in said.elements())
        assert said == asked, seed["position"]


def test_no_question_repeats_another(seeds: list[dict[str, str]]) -> None:
    assert len({_plain(seed["question"]) for seed in seeds}) == len(seeds)
    assert len({_plain(seed["position"]) for seed in seeds}) == len(seeds)


def test_no_two_questions_share_most_of_their_words() -> None:
    questions = [seed["question"] for name in COUNTS for seed in _load(name)]
    grams = {question: _four_grams(question) for question in questions}
    assert len(grams) == len(questions)
    for one, other in combinations(questions, 2):
        shared = len(grams[one] & grams[other]) / len(grams[one] | grams[other])
        assert shared < 0.6, (one, other)


def test_topics(name: str, seeds: list[dict[str, str]]) -> None:
    topics = Counter(seed["topic"] for seed in seeds)
    assert len(topics) <= 35
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)?", topic) for topic in topics)
    if name == "uk":
        assert len(topics) >= 25
        assert min(topics.values()) >= 3


def test_at_least_half_ask_what_the_government_or_we_should_do(seeds: list[dict[str, str]]) -> None:
    share = sum(
        seed["question"].startswith(("Should the government ", "Should we ")) for seed in seeds
    ) / len(seeds)
    assert 0.5 <= share < 1


def test_none_is_one_of_the_published_questions(seeds: list[dict[str, str]]) -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"the published questions are not on this machine: {PUBLISHED}")
    published = {
        _plain(entry["question"]) for entry in json.loads(PUBLISHED.read_text(encoding="utf-8"))
    }
    assert not published & {_plain(seed["question"]) for seed in seeds}
