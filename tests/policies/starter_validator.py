"""What is wrong with a starter set, as far as form shows it.

Fairness, truth to what each person said and good sense were judged by reading: no rule here sees
them. The limits are ours; the paper shows good statements (Table 1) and sets none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations

from commonweal.datasets.words import tokens
from commonweal.policies.parsing import SPEAKS_AS_GROUP, Parser
from commonweal.policies.starter import StarterExample
from commonweal.policies.templates import load_template
from commonweal.types import Completion, Opinion, Rejection

MIN_EXAMPLES, MIN_TOPICS = 250, 60
MAX_TOPIC_SHARE = 0.05
"""Share of the examples that one topic may have."""
MIN_LITTLE_SHARED = 0.05
"""Share of the examples in which little is shared: else a model learns that people always agree."""
N_OPINIONS, N_STATEMENTS = (3, 5), (1, 3)
OPINION_WORDS, STATEMENT_WORDS = (10, 80), (40, 120)
COPIED_RUN = 6
"""Words in a row that a statement may not share with an opinion or the question."""
FORMULA_RUN, MAX_FORMULA_USES = 6, 3
"""The same run of words in the statements of more examples than this is a formula."""
MAX_OPENING_SHARE = 0.1
"""Share of the statements that may begin with the same three words."""
NEAR_QUESTION, NEAR_TEXT = 0.5, 0.5
"""Content words that two questions, or two texts, share of all that they hold (Jaccard)."""

_TASK = re.compile(
    r"\b(?:the group|group members?|participants?|respondents?|opinions?|the question|statements?"
    r"|consensus)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^Should .+\?$")
_STOP_WORDS = frozenset(
    re.findall(
        r"\S+",
        "a about all also an and any are as at be been but by can do does for from get go had has "
        "have he her his how i if in is it it's its just like made make me more most much my no "
        "not of on one only or other our own people she should so some such than that the their "
        "them then there these they this those to too up us want was we were what when where "
        "which who whole will with would you your",
    )
)
# "One", "two" and "twice" are turns of phrase more often than figures.
_NUMBERS = frozenset(
    re.findall(
        r"\w+",
        "three four five six seven eight nine ten eleven twelve fifteen sixteen eighteen twenty "
        "thirty forty fifty sixty hundred thousand million billion half quarter percent majority",
    )
)


def problems(
    examples: Sequence[StarterExample],
    *,
    elsewhere: Mapping[str, str] | None = None,
    min_examples: int = MIN_EXAMPLES,
    min_topics: int = MIN_TOPICS,
) -> list[str]:
    """What is wrong with the set, one sentence each; an empty list where nothing is.

    Args:
        examples: the set.
        elsewhere: questions that other parts of the project use (to its tests, its reward model),
            to where they stand; the worked examples in prompts are always looked at.
        min_examples: the fewest examples that do.
        min_topics: the fewest topics that do.
    """
    few_shot, zero_shot = load_template("few_shot"), load_template("zero_shot")
    used = {example.question: "worked_examples.toml" for example in few_shot.examples}
    used.update(elsewhere or {})
    own_texts = (*few_shot.own_texts(), *zero_shot.own_texts())
    found = list(_of_the_set(examples, min_examples, min_topics))
    for example in examples:
        name = f"{example.id} ({example.question!r})"
        found += [f"{name}: {fault}" for fault in _of_one(example, own_texts)]
    found += _repetitions(examples)
    found += _overlaps(examples, used)
    return found


def _of_the_set(
    examples: Sequence[StarterExample], min_examples: int, min_topics: int
) -> Iterator[str]:
    n_in_topic = Counter(example.topic for example in examples)
    if len(examples) < min_examples:
        yield f"{len(examples)} examples, expected at least {min_examples}"
    if len(n_in_topic) < min_topics:
        yield f"{len(n_in_topic)} topics, expected at least {min_topics}"
    for topic, n in n_in_topic.items():
        if n > max(1, MAX_TOPIC_SHARE * len(examples)):
            yield (
                f"topic {topic!r} has {n} of {len(examples)} examples, at most "
                f"{MAX_TOPIC_SHARE:.0%}"
            )
    n_little = sum(example.little_shared for example in examples)
    if n_little < MIN_LITTLE_SHARED * len(examples):
        yield (
            f"little is shared in {n_little} of {len(examples)} examples, expected at least "
            f"{MIN_LITTLE_SHARED:.0%}"
        )


@cache  # a set broken on purpose is the sound one but for an example
def _of_one(example: StarterExample, own_texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_faults(example, own_texts))


def _faults(example: StarterExample, own_texts: Sequence[str]) -> Iterator[str]:
    if not example.topic.strip():
        yield "has no topic"
    if not _QUESTION.search(example.question):
        yield 'is not a question of the form "Should ...?"'
    for what, texts, (fewest, most), (shortest, longest) in (
        ("opinion", example.opinions, N_OPINIONS, OPINION_WORDS),
        ("statement", example.statements, N_STATEMENTS, STATEMENT_WORDS),
    ):
        if not fewest <= len(texts) <= most:
            yield f"{len(texts)} {what}s, expected {fewest} to {most}"
        for text in texts:
            n_words = len(tokens(text))
            if not shortest <= n_words <= longest:
                yield (
                    f"{what} {_start(text)} has {n_words} words, expected {shortest} to {longest}"
                )
            if "\n" in text:
                yield f"{what} {_start(text)} has a line break, expected one paragraph"
    parser = Parser(
        example.question,
        [Opinion(f"opinion {n}", text) for n, text in enumerate(example.opinions, start=1)],
        own_texts,
    )
    for n, statement in enumerate(example.statements):
        yield from (
            f"statement {_start(statement)} {fault}" for fault in _of_statement(example, statement)
        )
        parsed = parser.parse(Completion(statement, "stop", seed=0), example.statements[:n])
        if isinstance(parsed, Rejection):
            yield f"statement {_start(statement)} is rejected: {parsed.reason}, {parsed.detail}"


def _of_statement(example: StarterExample, statement: str) -> Iterator[str]:
    if not SPEAKS_AS_GROUP.search(statement):
        yield "does not say we, us or our"
    if task := _TASK.search(statement):
        yield f"talks about the task: {task[0]!r}"
    runs = set(_runs(statement, COPIED_RUN))
    for source in (example.question, *example.opinions):
        if copied := [run for run in _runs(source, COPIED_RUN) if run in runs]:
            yield f"copies {' '.join(copied[0])!r} from {_start(source)}"
    # Figures in digits are the parser's business.
    given = set(tokens(" ".join((example.question, *example.opinions))))
    for word in sorted(_NUMBERS.intersection(tokens(statement)) - given):
        yield f"has a number that nobody gave: {word!r}"


def _repetitions(examples: Sequence[StarterExample]) -> Iterator[str]:
    """Texts and turns of phrase that come again: templates would leave many."""
    statements = [text for example in examples for text in example.statements]
    openings = Counter(tuple(tokens(text)[:3]) for text in statements)
    for opening, n in openings.items():
        if n > max(2, MAX_OPENING_SHARE * len(statements)):
            yield (
                f"{n} of {len(statements)} statements begin with {' '.join(opening)!r}, at most "
                f"{MAX_OPENING_SHARE:.0%}"
            )
    uses = Counter(
        run
        for example in examples
        for run in {run for text in example.statements for run in _runs(text, FORMULA_RUN)}
    )
    for run, n in uses.items():
        if n > MAX_FORMULA_USES:
            yield (
                f"{' '.join(run)!r} stands in statements of {n} examples, at most "
                f"{MAX_FORMULA_USES}"
            )
    opinions = [text for example in examples for text in example.opinions]
    questions = [example.question for example in examples]
    for what, texts, limit in (
        ("question", questions, NEAR_QUESTION),
        ("opinion", opinions, NEAR_TEXT),
        ("statement", statements, NEAR_TEXT),
    ):
        contents = [_content(text) for text in texts]
        for (one, ours), (other, theirs) in combinations(zip(texts, contents, strict=True), 2):
            if _near(ours, theirs, limit):
                yield f"{what}s are nearly the same: {one!r} and {other!r}"


def _overlaps(examples: Sequence[StarterExample], used: Mapping[str, str]) -> Iterator[str]:
    taken = [(question, where, _content(question)) for question, where in used.items()]
    for example in examples:
        ours = _content(example.question)
        for question, where, theirs in taken:
            if _near(ours, theirs, NEAR_QUESTION):
                yield (
                    f"{example.question!r} is nearly {question!r} in {where}, expected a question "
                    "of its own"
                )


def _runs(text: str, length: int) -> list[tuple[str, ...]]:
    words = tokens(text)
    return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]


def _content(text: str) -> frozenset[str]:
    """The words that carry the matter, with plurals as singulars."""
    return frozenset(word.removesuffix("s") for word in tokens(text) if word not in _STOP_WORDS)


def _near(one: frozenset[str], other: frozenset[str], limit: float) -> bool:
    n_common = len(one & other)
    return n_common >= limit * (len(one) + len(other) - n_common)


def _start(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
