"""Statements that a policy learns from: what people rated high, and what was written for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.quality import mean_quality
from commonweal.datasets.schema import LIKERT_7
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.models.chat_text import ChatText
from commonweal.policies.parsing import Parser
from commonweal.policies.prompts import PromptTemplate, fit_opinions
from commonweal.policies.starter import StarterExample, load_starter_set, read_starter_file
from commonweal.policies.starter import split as split_starter_set
from commonweal.questions.guard import refuse_test_questions
from commonweal.training.config import SftData
from commonweal.training.training_rounds import (
    draw_share,
    named_questions,
    read_training_rounds,
)
from commonweal.types import Completion, Opinion, Prompt, Question, Rejection

MIN_EXAMPLES, MIN_DEVELOPMENT = 20, 2
"""Fewer statements teach nothing, or cannot say when to stop. Ours."""


@dataclass(frozen=True, slots=True)
class Example:
    """A statement, and what its writer saw.

    Attributes:
        topic: examples of one topic are kept back together: a question, or a topic of the starter
            set.
        opinions: those that the statement was written from, in the prompt's order.
    """

    topic: str
    question: str
    opinions: tuple[Opinion, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class SftSplit:
    """What a run learns from, and what it keeps back for early stopping.

    Attributes:
        sources: name, people, licence and attribution of each source.
        counts: what came in and what was left out, in the order of the work.
    """

    training: tuple[Example, ...]
    development: tuple[Example, ...]
    sources: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)


def read_sft_split(config: SftData, seed: int) -> SftSplit:
    """The statements of the config's data, with whole questions or topics of them kept back.

    Rounds of a test split are never read.

    Raises:
        InputError: a dataset cannot be read, a question is held out for testing, a development
            question is unknown, or too few statements are good enough; the message says how many
            are at each threshold.
    """
    if not config.datasets and not config.starter_set and not config.examples:
        raise InputError(
            "data names nothing to learn from; expected data.datasets, data.examples, "
            "data.starter_set = true, or several of them"
        )
    counts: dict[str, int] = {}
    sources: list[str] = []
    examples: list[Example] = []
    if config.starter_set:
        starter_set = load_starter_set()
        learn, held_out = starter_split(config, starter_set)
        sources.append(
            "the starter set (written for this project; nobody said or rated any of it): part of "
            "commonweal, under its licence"
        )
        counts["starter set: examples"] = len(starter_set)
        counts["starter set: held out in whole topics, never seen"] = len(held_out)
        examples += _written("starter", learn)
    for path in config.examples:
        written = read_starter_file(path)
        sources.append(f"{path.name}: written examples, which nobody rated")
        named = f"{path.name}: examples"  # two files may have one name
        counts[named] = counts.get(named, 0) + len(written)
        examples += _written(path.stem, written)
    datasets, asked, with_splits = read_training_rounds(config, counts)
    # What is written by hand may ask what a dataset tests on.
    for tested_on in (with_splits, config.question_split):
        if examples and tested_on:
            refuse_test_questions(dict.fromkeys(each.question for each in examples), tested_on)
    sources += [
        f"{about.name} ({about.people}): {about.licence or 'licence not stated'}. "
        f"{about.attribution}"
        for about in (dataset.about for dataset in datasets)
    ]
    if datasets:
        examples += _of_datasets(datasets, config, counts)
    counts["statements"] = len(examples)
    examples = list(dict.fromkeys(examples))
    counts["statements that are different"] = len(examples)
    kept_back = _development_topics(examples, asked, config, seed)
    development = tuple(each for each in examples if each.topic in kept_back)
    others = [each for each in examples if each.topic not in kept_back]
    # Two files, or a file and a dataset, may ask one question under two topics.
    asked_of_development = {normal_form(each.question) for each in development}
    training = tuple(e for e in others if normal_form(e.question) not in asked_of_development)
    counts["of these, left out: their question is kept back"] = len(others) - len(training)
    counts["training statements"] = len(training)
    counts["development statements"] = len(development)
    for part, name, least in (
        (training, "training", MIN_EXAMPLES),
        (development, "development", MIN_DEVELOPMENT),
    ):
        if len(part) < least:
            raise InputError(
                f"there are {len(part)} {name} statements, expected at least {least}: add rated "
                "rounds, lower data.min_quality, or change data.development_share"
            )
    return SftSplit(training, development, tuple(sources), counts)


def starter_split(
    config: SftData, examples: Sequence[StarterExample]
) -> tuple[tuple[StarterExample, ...], tuple[StarterExample, ...]]:
    """The starter set's examples to learn from, and those that no run ever sees.

    The same topics whatever the run's seed: what is held out for judging stays held out.
    """
    return split_starter_set(examples, n_held_out=config.starter_held_out, seed=0)


def as_rows(
    examples: Iterable[Example],
    template: PromptTemplate,
    tokenizer: Any,
    *,
    max_tokens: int,
    n_orders: int,
    rng: np.random.Generator,
) -> tuple[dict[str, list[list[int]]], int]:
    """Token ids and completion masks as TRL reads them, and how many rows were too long.

    The prompt is made by the same template and the same engine-side rules as at inference
    (``ChatText``), up to the opening of the assistant's turn; the statement and the end
    of the turn follow, and only they are learned. The first order of the opinions is the
    example's own, further ones are drawn. An example of more opinions than fit a prompt is too
    long with all its rows.

    Raises:
        InputError: the chat template refuses the prompt, or changes it once it is answered.
    """
    rows: dict[str, list[list[int]]] = {"input_ids": [], "completion_mask": []}
    n_too_long = 0

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    chat = ChatText(tokenizer)
    delimiters = template.opinion.format(text="") + "\n"
    for example in examples:
        try:
            texts, _ = fit_opinions(example.opinions, count_tokens, delimiters=delimiters)
        except InputError:
            n_too_long += n_orders
            continue
        names = list(texts)  # without whoever wrote nothing but orders to the software
        for n_before in range(n_orders):
            order = names if n_before == 0 else [names[i] for i in rng.permutation(len(names))]
            prompt = template.render(example.question, [texts[name] for name in order])
            before, token_ids = _tokens(tokenizer, chat, prompt, example.statement)
            if len(token_ids) > max_tokens:
                n_too_long += 1
                continue
            rows["input_ids"].append(token_ids)
            rows["completion_mask"].append([0] * len(before) + [1] * (len(token_ids) - len(before)))
    return rows, n_too_long


def _tokens(
    tokenizer: Any, chat: ChatText, prompt: Prompt, statement: str
) -> tuple[list[int], list[int]]:
    """Ids of the prompt with the assistant's turn opened, and of both with the statement."""
    try:
        (opened, _), (answered, _) = chat.filled(prompt), chat.filled(prompt, statement)
    except ValueError as error:
        raise InputError(
            f"model.base: {error}; expected a template that takes system, user and assistant "
            "messages, or user and assistant alone"
        ) from None
    if not answered.startswith(opened):
        raise InputError(
            "the model's chat template writes a prompt differently once it is answered, so the "
            "policy would learn another prompt than it is given; expected a template whose answer "
            "follows the prompt"
        )
    before = tokenizer(opened, add_special_tokens=False)["input_ids"]
    after = tokenizer(answered[len(opened) :], add_special_tokens=False)["input_ids"]
    return before, [*before, *after]


def _written(source: str, examples: Iterable[StarterExample]) -> list[Example]:
    return [
        Example(
            f"{source}: {each.topic}",
            each.question,
            tuple(Opinion(f"p{n}", text) for n, text in enumerate(each.opinions, start=1)),
            statement,
        )
        for each in examples
        for statement in each.statements
    ]


def _of_datasets(
    datasets: Sequence[Dataset], config: SftData, counts: dict[str, int]
) -> list[Example]:
    """The statements that were rated high enough and that the parser takes."""

    def count(what: str, n: int) -> None:
        counts[what] = counts.get(what, 0) + n

    taken: list[Example] = []
    qualities: list[float] = []
    for path, dataset in zip(config.datasets, datasets, strict=True):
        if dataset.about.scale != LIKERT_7:
            raise InputError(
                f"{path}: its scale is {dataset.about.scale.name!r}; expected ratings of quality "
                f"on {LIKERT_7.name!r}, which data.min_quality is about"
            )
        dataset = dataset.first_rounds()
        rated = mean_quality(dataset)
        qualities += rated["quality"].to_list()
        good = rated.filter(pl.col("quality") >= config.min_quality)
        count("statements rated for quality", rated.height)
        count(f"statements of mean quality from {config.min_quality:g}", good.height)
        examples, n_refused = _examples(dataset, good)
        count("of these, left out: the parser does not take them", n_refused)
        count(
            "of these, left out: nobody knows whose opinions they saw",
            good.height - n_refused - len(examples),
        )
        taken += examples
    if len(taken) < MIN_EXAMPLES and not config.starter_set and not config.examples:
        raise InputError(
            f"{len(taken)} statements can be learned from at data.min_quality = "
            f"{config.min_quality:g}, expected at least {MIN_EXAMPLES}. "
            f"{_at_each_threshold(qualities)}"
        )
    return taken


def _at_each_threshold(qualities: Sequence[float]) -> str:
    if not qualities:
        return "Nobody rated quality in these rounds"
    steps = [f"{sum(q >= t for q in qualities)} at {t:g}" for t in (4, 4.5, 5, 5.5, 6, 6.5)]
    return f"Statements of at least that mean quality: {', '.join(steps)}"


def _examples(dataset: Dataset, good: pl.DataFrame) -> tuple[list[Example], int]:
    """The statements with what they were written from, and how many the parser would not take."""
    questions = dict(dataset.rounds.select("round_id", "question").iter_rows())
    opinions = {
        (round_id, name): Opinion(name, text)
        for round_id, name, text in dataset.opinions.select(
            "round_id", "opinion_id", "text"
        ).iter_rows()
    }
    kept = dataset.candidates.join(good, on=["round_id", "candidate_id"], maintain_order="left")
    examples, n_refused = [], 0
    for round_id, text, included in kept.select(
        "round_id", "text", "included_opinion_ids"
    ).iter_rows():
        if not included:
            continue
        seen = tuple(opinions[round_id, name] for name in included)
        question = questions[round_id]
        parsed = Parser(question, seen, ()).parse(Completion(text, "stop", 0))
        if isinstance(parsed, Rejection):
            n_refused += 1
        else:
            examples.append(Example(normal_form(question), question, seen, parsed))
    return examples, n_refused


def _development_topics(
    examples: Sequence[Example], asked: Sequence[Question], config: SftData, seed: int
) -> frozenset[str]:
    topics = sorted({each.topic for each in examples})
    if config.development:
        named = named_questions(config.development, asked)
        if not named & set(topics):
            raise InputError(
                f"data.development names {', '.join(config.development)}, and no statement that "
                "is learned from is about any of them; expected question ids of the datasets"
            )
        return named
    if len(topics) < 2:
        raise InputError(
            f"the statements are about {len(topics)} question; expected at least 2, so that one "
            "can be kept back to say when to stop"
        )
    return draw_share(topics, config.development_share, seed)
