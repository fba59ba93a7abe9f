"""The starter set is fit to learn from, and the validator catches a set that is not."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starter_validator import MIN_EXAMPLES, MIN_TOPICS, problems

from commonweal.errors import InputError
from commonweal.policies.starter import (
    StarterExample,
    load_starter_set,
    read_starter_file,
    split,
)
from commonweal.policies.templates import load_template

REPOSITORY = Path(__file__).parents[2]
STARTER = load_starter_set()


def questions_elsewhere() -> dict[str, str]:
    """The questions of the example groups and of the pairs that the reward model is tested on."""
    found = {}
    for path in (REPOSITORY / "examples" / "groups").glob("*.toml"):
        found[tomllib.loads(path.read_text(encoding="utf-8"))["question"]] = path.name
    for path in (REPOSITORY / "recipes" / "first_reward").glob("*.toml"):
        for pair in tomllib.loads(path.read_text(encoding="utf-8"))["pair"]:
            found[pair["question"]] = path.name
    assert len(found) > 60
    return found


ELSEWHERE = questions_elsewhere()


def plain_words(text: str) -> list[str]:
    """Words by a rule of the tests' own, to check the validator's against."""
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("’", "'")).split()


# ------------------------------------------------------------------------------ the set as it is


@pytest.mark.heavy
def test_nothing_is_wrong_with_the_set():
    assert problems(STARTER, elsewhere=ELSEWHERE) == []


def test_the_set_is_as_large_as_it_says():
    assert len(STARTER) >= 250
    assert len({example.topic for example in STARTER}) >= 60
    assert (MIN_EXAMPLES, MIN_TOPICS) == (250, 60)


def test_every_text_reads_as_its_docs_say():
    for example in STARTER:
        assert 3 <= len(example.opinions) <= 5
        assert 1 <= len(example.statements) <= 3
        for statement in example.statements:
            words = plain_words(statement)
            assert {"we", "us", "our", "ours", "ourselves"} & set(words), statement
            assert 38 <= len(words) <= 125, statement


def test_no_statement_copies_a_run_of_six_words():
    for example in STARTER:
        for statement in example.statements:
            text = f" {' '.join(plain_words(statement))} "
            for source in (example.question, *example.opinions):
                words = plain_words(source)
                for i in range(len(words) - 5):
                    assert f" {' '.join(words[i : i + 6])} " not in text, (statement, source)


def test_ids_are_distinct_and_come_from_the_question_and_the_opinions():
    assert len({example.id for example in STARTER}) == len(STARTER)
    first = STARTER[0]
    assert replace(first, topic="another", statements=("Another.",)).id == first.id
    assert replace(first, question=first.question + " Why?").id != first.id
    assert replace(first, opinions=first.opinions[::-1]).id != first.id


def test_every_file_says_whose_words_these_are():
    folder = REPOSITORY / "src" / "commonweal" / "policies" / "starter"
    files = sorted(folder.glob("*.toml"))
    assert sum(len(read_starter_file(file)) for file in files) == len(STARTER)
    for file in files:
        assert file.name.startswith("part_")
        first_line = file.read_text(encoding="utf-8").splitlines()[0].lower()
        assert "for this project" in first_line
        assert "no real pe" in first_line  # "no real person", "no real people"


# ------------------------------------------------------------------- sets broken on purpose

# Statements of forty words and more that pass, about nothing else in the set.
SOUND = StarterExample(
    topic="clocktowers",
    question="Should the clocktower chime through breakfast?",
    opinions=(
        "The bells wake my baby and I have not slept properly since they mended that thing.",
        "My late husband wound it for 30 years, and when it rings I put the kettle on for him.",
        "I set no store by it either way, though visitors do seem to take pictures of it.",
    ),
    statements=(
        "We are fond of the tower and of what its sound means to a widow in our street, and we "
        "also know how precious sleep is to young parents. Chiming later in the morning might "
        "serve everybody, although for one of us the matter is small.",
    ),
)


def test_the_sound_example_is_sound():
    assert problems([*STARTER, SOUND], elsewhere=ELSEWHERE) == []


def _statement(text: str) -> StarterExample:
    return replace(SOUND, statements=(text,))


def _with(words: str) -> StarterExample:
    return _statement(f"{SOUND.statements[0]} {words}")


BROKEN: dict[str, tuple[StarterExample, str]] = {
    "no topic": (replace(SOUND, topic=" "), "has no topic"),
    "not a debate question": (
        replace(SOUND, question="What about the clocktower?"),
        "is not a question of the form",
    ),
    "two opinions": (replace(SOUND, opinions=SOUND.opinions[:2]), "2 opinions, expected 3 to 5"),
    "six opinions": (
        replace(SOUND, opinions=SOUND.opinions * 2),
        "6 opinions, expected 3 to 5",
    ),
    "no statement": (replace(SOUND, statements=()), "0 statements, expected 1 to 3"),
    "an opinion of nine words": (
        replace(
            SOUND, opinions=("It rings too early for those of us asleep.", *SOUND.opinions[1:])
        ),
        "has 9 words, expected 10 to 80",
    ),
    "an opinion of 81 words": (
        replace(SOUND, opinions=(" ".join(["bong"] * 81), *SOUND.opinions[1:])),
        "has 81 words, expected 10 to 80",
    ),
    "a statement of 39 words": (
        _statement(" ".join(SOUND.statements[0].split()[:39]) + "."),
        "has 39 words, expected 40 to 120",
    ),
    "a statement of 121 words": (
        _statement(
            " ".join(["we", *(f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(120))]) + "."
        ),
        "has 121 words, expected 40 to 120",
    ),
    "two paragraphs": (_with("\n\nWe also like it."), "has a line break"),
    "nobody speaks": (
        _statement(
            re.sub(r"\b[Ww]e\b", "they", SOUND.statements[0])
            .replace("our street", "the street")
            .replace("one of us", "one of them")
        ),
        "does not say we, us or our",
    ),
    "the country for the pronoun": (
        _statement(
            re.sub(r"\b[Ww]e\b", "they", SOUND.statements[0])
            .replace("our street", "the US")
            .replace("one of us", "one of them")
        ),
        "does not say we, us or our",
    ),
    "talk about the task": (_with("The participants differ."), "talks about the task"),
    "talk about a group": (_with("The group is happy with that."), "talks about the task"),
    "an opinion copied": (
        _with("None of us has slept properly since they mended that thing."),
        "copies 'slept properly since they mended that' from",
    ),
    "the question copied": (
        _with("So should the clocktower chime through breakfast, we ask."),
        "copies 'should the clocktower chime through breakfast'",
    ),
    "one person speaks": (_with("I like it."), "is rejected: not a statement for the group"),
    "somebody is spoken to": (_with("Would you like it too?"), "is rejected"),
    "an invented figure": (_with("It has rung since 1887."), "is rejected: a figure that nobody"),
    "an invented number": (_with("It has rung for sixty years."), "nobody gave: 'sixty'"),
    "cut off": (_statement(SOUND.statements[0].rstrip(".") + " and"), "unfinished sentence"),
    "the same statement twice": (
        replace(SOUND, statements=SOUND.statements * 2),
        "is rejected: duplicate",
    ),
    "an opinion twice": (
        replace(SOUND, opinions=(*SOUND.opinions, SOUND.opinions[0])),
        "opinions are nearly the same",
    ),
    "a worked example's question": (
        replace(SOUND, question=load_template("few_shot").examples[0].question),
        "worked_examples.toml, expected a question of its own",
    ),
    "an example group's question, reworded": (
        replace(SOUND, question="Should local buses be made free for everyone?"),
        "expected a question of its own",
    ),
    "a question of the set, reworded": (
        replace(SOUND, question=STARTER[0].question.replace("Should ", "Should all ")),
        "questions are nearly the same",
    ),
    "an opinion of the set, a word changed": (
        replace(SOUND, opinions=(*SOUND.opinions, STARTER[0].opinions[0] + " Really.")),
        "opinions are nearly the same",
    ),
    "a statement of the set": (
        _statement(STARTER[0].statements[0] + " We mean it."),
        "statements are nearly the same",
    ),
}


@pytest.mark.parametrize(("example", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_example_is_caught(example, expected):
    found = problems([*STARTER[:20], example], elsewhere=ELSEWHERE)
    assert any(expected in problem for problem in found), found


BROKEN_SETS: dict[str, tuple[Callable[[], list[StarterExample]], str]] = {
    "too few examples": (lambda: list(STARTER[:249]), "249 examples, expected at least 250"),
    "too few topics": (
        lambda: [replace(each, topic=f"t{n % 59}") for n, each in enumerate(STARTER)],
        "59 topics, expected at least 60",
    ),
    "one topic too broad": (
        lambda: [
            replace(each, topic="things") if n % 15 == 0 else each for n, each in enumerate(STARTER)
        ],
        "topic 'things' has",
    ),
    "people always agree": (
        lambda: [replace(each, little_shared=False) for each in STARTER],
        "little is shared in 0 of",
    ),
    "one opening": (
        lambda: [
            replace(each, statements=("In our view, " + each.statements[0],))
            if n % 5 == 0
            else each
            for n, each in enumerate(STARTER)
        ],
        "begin with 'in our view'",
    ),
    "a formula": (
        lambda: [
            replace(each, statements=(each.statements[0] + " This is as far as we can go.",))
            if n < 4
            else each
            for n, each in enumerate(STARTER)
        ],
        "'this is as far as we' stands in statements of 4 examples, at most 3",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize(("broken", "expected"), BROKEN_SETS.values(), ids=BROKEN_SETS)
def test_a_broken_set_is_caught(broken, expected):
    found = problems(broken(), elsewhere=ELSEWHERE)
    assert any(expected in problem for problem in found), found


# Words that every rule counts alike: no digits, hyphens or accents.
PLAIN = [
    (example, opinion)
    for example in STARTER
    for opinion in example.opinions
    if re.fullmatch(r"[A-Za-z ,.!?]+", opinion) and len(opinion.split()) >= 10
]


@given(st.sampled_from(PLAIN), st.data())
def test_six_words_of_any_opinion_are_caught_and_five_are_not(plain, data):
    example, opinion = plain
    words = opinion.split()
    start = data.draw(st.integers(0, len(words) - 6))
    for n_copied, caught in ((6, True), (5, False)):
        # Nonsense on both sides, so that no run goes on by chance.
        copied = " ".join(["zzz", *words[start : start + n_copied], "zzz"])
        statement = f"{example.statements[0]} {copied}."
        found = problems([replace(example, statements=(statement,))])
        assert any(" copies '" in problem for problem in found) is caught, (copied, found)


# ----------------------------------------------------------------------------------- files, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[example]", "not valid TOML"),
        ("", "example: Field required"),
        (
            '[[example]]\ntopic = "a"\nquestion = "Should b?"\nopinions = ["c"]\n',
            "example, number 1, statements: Field required",
        ),
        (
            '[[example]]\ntopic = "a"\nquestion = "Should b?"\nopinions = ["c", 4]\n'
            'statements = ["d"]\n',
            "opinions, number 2: Input should be a valid string, got 4",
        ),
        (
            '[[example]]\ntopic = "a"\nquestion = "Should b?"\nopinions = ["c"]\n'
            'statements = ["d"]\nshared = "much"\n',
            "shared: Input should be 'little', got 'much'",
        ),
        (
            '[[example]]\ntopic = "a"\nquestion = "Should b?"\nopinions = ["c"]\n'
            'statements = ["d"]\ncolour = "red"\n',
            "colour: Extra inputs are not permitted",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, text, expected):
    path = tmp_path / "part_x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"part_x\.toml") as caught:
        read_starter_file(path)
    assert expected in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="expected a starter set"):
        read_starter_file(tmp_path / "part_x.toml")


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_topics_are_held_out_whole(n_held_out, seed):
    kept, held_out = split(STARTER, n_held_out=n_held_out, seed=seed)
    assert not {each.topic for each in kept} & {each.topic for each in held_out}
    assert sorted(each.id for each in (*kept, *held_out)) == sorted(each.id for each in STARTER)
    place = {each.id: n for n, each in enumerate(STARTER)}
    for part in (kept, held_out):
        places = [place[each.id] for each in part]
        assert places == sorted(places)
    largest = max(Counter(each.topic for each in STARTER).values())
    assert n_held_out <= len(held_out) < n_held_out + largest


def test_the_seed_chooses_the_topics():
    def topics(seed: int) -> set[str]:
        return {each.topic for each in split(STARTER, n_held_out=30, seed=seed)[1]}

    assert topics(1) == topics(1)
    assert len({frozenset(topics(seed)) for seed in range(5)}) == 5
    # Nothing but the seed and the topics' names counts, so a set in another order splits alike.
    assert {each.topic for each in split(STARTER[::-1], n_held_out=30, seed=1)[1]} == topics(1)


@pytest.mark.parametrize("n_held_out", [0, -1, 100_000])
def test_a_split_that_leaves_nothing_is_refused(n_held_out):
    with pytest.raises(InputError, match=f"cannot hold out {n_held_out} of"):
        split(STARTER, n_held_out=n_held_out, seed=0)
