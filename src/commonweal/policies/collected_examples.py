"""Worked examples for the few-shot prompt, chosen from rounds that people rated (paper 4.1).

The paper takes examples of high quality and high agreement and says no more; the order of the two,
one example a question and the length are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonweal.datasets.quality import mean_agreement, mean_quality
from commonweal.datasets.schema import LIKERT_7
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.policies.parsing import Parser
from commonweal.policies.prompts import WorkedExample
from commonweal.reading.orders import without_orders
from commonweal.types import SPLITS, Completion, Opinion, Rejection

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

N_EXAMPLES = 3
"""As many as the worked examples that come with commonweal; the paper does not say."""

MAX_CHARACTERS = 9000
"""Most characters of all examples together: about 3,000 tokens, so that they fit the embedded
model's context beside the group's own opinions."""

_STATEMENT = ["round_id", "candidate_id"]


def worked_examples(dataset: Dataset, *, n_examples: int = N_EXAMPLES) -> tuple[WorkedExample, ...]:
    """The best rated statements with what they were written from, best first.

    Highest mean quality first, then highest mean agreement (both the mean over raters of each
    rater's mean of both passes), then by round and candidate id. Only rounds in the training split,
    one statement a question, and only what the parser takes. Of an opinion, what follows an order
    to the software is left out, as in every prompt. The people in the rounds should know
    that their opinions may be shown to language models again.

    Args:
        dataset: rated rounds with splits.
        n_examples: how many to choose.

    Raises:
        InputError: ratings on another scale, no round in the training split, a question of it that
            is also in a test split, nobody rated quality, or too few statements that can be used;
            the message says how many fell out where.

    Source: paper 4.1.
    """
    about = dataset.about
    if n_examples < 1:
        raise InputError(f"n_examples is {n_examples}, expected at least 1")
    if about.scale != LIKERT_7:
        raise InputError(
            f"{about.name}: its scale is {about.scale.name!r}; expected ratings of quality and "
            f"agreement on {LIKERT_7.name!r}, by which examples are chosen"
        )
    training = dataset.of_split(SPLITS[0]).first_rounds()
    _refuse_test_questions(dataset)
    ranked = _ranked(training)
    if ranked.is_empty():
        raise InputError(
            f"{about.name}: nobody rated quality in the {training.rounds.height} rounds of the "
            "training split; expected rated rounds"
        )
    opinions = {
        (round_id, name): Opinion(name, text)
        for round_id, name, text in training.opinions.select(
            "round_id", "opinion_id", "text"
        ).iter_rows()
    }
    chosen: dict[str, WorkedExample] = {}
    n_unknown = n_orders = n_refused = n_long = 0
    for round_id, question, text, included in ranked.iter_rows():
        form = normal_form(question)
        if form in chosen:
            continue
        if not included:
            n_unknown += 1
            continue
        seen = tuple(opinions[round_id, name] for name in included)
        # An order in an example would stand in the prompts of every group after.
        shown = tuple(without_orders(opinion.text) for opinion in seen)
        if not all(shown):
            n_orders += 1
            continue
        parsed = Parser(question, seen, ()).parse(Completion(text, "stop", 0))
        if isinstance(parsed, Rejection):
            n_refused += 1
            continue
        example = WorkedExample(question, shown, parsed)
        if _n_characters(example) > MAX_CHARACTERS // n_examples:
            n_long += 1
            continue
        chosen[form] = example
        if len(chosen) == n_examples:
            return tuple(chosen.values())
    raise InputError(
        f"{about.name}: {len(chosen)} examples can be had, on {len(chosen)} questions, expected "
        f"{n_examples}. Of {ranked.height} statements rated for quality in the training split, "
        f"{n_unknown} were left out because it is not known whose opinions they "
        f"saw, {n_orders} because an opinion gives nothing but orders to the software, {n_refused} "
        f"because the parser does not take them, {n_long} because they are longer than "
        f"{MAX_CHARACTERS // n_examples:,} characters with their opinions; one a question is used. "
        "Give rounds on more questions, or ask for fewer examples"
    )


def _ranked(training: Dataset) -> pl.DataFrame:
    """Statements rated for quality, best first: round_id, question, text, included_opinion_ids."""
    return (
        training.candidates.join(mean_quality(training), on=_STATEMENT)
        .join(mean_agreement(training), on=_STATEMENT, how="left")
        .join(training.rounds.select("round_id", "question"), on="round_id")
        # Sums of the same ratings in another order differ in the last bit, which is no rank.
        .with_columns(pl.col("quality", "agreement").round(9))
        .sort(
            "quality",
            "agreement",
            *_STATEMENT,
            descending=[True, True, False, False],
            nulls_last=True,
        )
        .select("round_id", "question", "text", "included_opinion_ids")
    )


def _refuse_test_questions(dataset: Dataset) -> None:
    """Raises where a question of the training split stands in a test split under another id."""
    asked = dataset.rounds.select("question", "question_id", "split")
    forms = {
        normal_form(question): (name, split)
        for question, name, split in asked.iter_rows()
        if split in SPLITS[1:]
    }
    for question, name, split in asked.iter_rows():
        if split == SPLITS[0] and (test := forms.get(normal_form(question))):
            raise InputError(
                f"{dataset.about.name}: question_id {name!r} is in the training split, and the "
                f"same question is {test[0]!r} in {test[1]}; a policy that is shown a test "
                "question cannot be tested on it: split the questions anew (`commonweal data "
                "split`)"
            )


def _n_characters(example: WorkedExample) -> int:
    return sum(map(len, (example.question, *example.opinions, example.statement)))
