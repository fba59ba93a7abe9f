"""What a policy's statements are like: copying, length, coverage of opinions, distinctness.

Form and nearness only. None of it says whether a statement is fair or whether anybody would agree
with it: that is for people's ratings (paper 4). The measures are ours; the paper reports none of
them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.words import tokens
from commonweal.errors import InputError
from commonweal.policies.parsing import (
    SPEAKS_AS_GROUP,
    copied_share,
    count_words,
    longest_shared_run,
)
from commonweal.types import Generation, RejectionReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Embed = Callable[[Sequence[str]], "Vectors"]
"""Texts to unit vectors, float32 [n_texts, n_dimensions]: ``SentenceEncoder.encode``."""

RUN_WORDS = 4
"""Words in a run whose distinctness is counted, as in the parser."""

# Thai and Lao have no mark for the end of a sentence: there a text is one sentence.
_BETWEEN_SENTENCES = re.compile(
    r"(?<=[.!?…؟۔।॥])\s+|(?<=[.!?…؟۔।॥]['\"”’»)\]])\s+|(?<=[。！？｡])(?![」』）】])"
)


@dataclass(frozen=True, slots=True)
class Parsing:
    """What became of the completions of one round or of several.

    Attributes:
        n_drawn: completions that were drawn.
        n_judged: those that the parser looked at; the others came after the last candidate.
        n_accepted: those that became candidates.
        n_rejected: the others, by reason.
    """

    n_drawn: int
    n_judged: int
    n_accepted: int
    n_rejected: Mapping[RejectionReason, int]

    @property
    def accepted_share(self) -> float:
        """Share of the judged completions that became candidates; nan where none was judged."""
        return self.n_accepted / self.n_judged if self.n_judged else math.nan


@dataclass(frozen=True, slots=True)
class Statements:
    """What the statements written for one group are like; means over them where not said otherwise.

    Attributes:
        n_statements: how many there are.
        n_words: words in a statement.
        longest_copied_run: words in the longest run that a statement shares with one opinion.
        copied_share: share of a statement's words in runs of four or more from any opinion.
        speaks_as_group: share of the statements that say we, us or our.
        coverage: for each opinion the cosine to the nearest sentence of the statement, mean over
            opinions; 1 is the same, about 0 unrelated.
        least_coverage: that cosine for the opinion that is farthest from the statement.
        chance_coverage: ``coverage`` of opinions on other questions: what is reached without
            having read anybody.
        distinct_runs: share of the runs of four words in all statements together that are
            different (Li et al. 2016, distinct-n). It falls with the number of statements and
            their length, so compare like with like; nan where there are no two statements.
        distance: mean over pairs of statements of one minus their cosine; nan likewise.
    """

    n_statements: int
    n_words: float
    longest_copied_run: float
    copied_share: float
    speaks_as_group: float
    coverage: float
    least_coverage: float
    chance_coverage: float
    distinct_runs: float
    distance: float

    @property
    def coverage_above_chance(self) -> float:
        """``coverage`` less ``chance_coverage``: both rise with the number of sentences."""
        return self.coverage - self.chance_coverage


def measure_parsing(generations: Sequence[Generation]) -> Parsing:
    """What became of all the completions of these rounds, summed.

    A round without any candidate counts as well: its rejections are in the ``GenerationError``.
    """
    n_rejected: dict[RejectionReason, int] = {}
    for generation in generations:
        for rejection in generation.rejections:
            n_rejected[rejection.reason] = n_rejected.get(rejection.reason, 0) + 1
    n_accepted = sum(len(generation.candidates) for generation in generations)
    return Parsing(
        n_drawn=sum(generation.n_sampled for generation in generations),
        n_judged=n_accepted + sum(n_rejected.values()),
        n_accepted=n_accepted,
        n_rejected=n_rejected,
    )


def measure_statements(
    statements: Sequence[str],
    opinions: Sequence[str],
    opinions_elsewhere: Sequence[str],
    embed: Embed,
) -> Statements:
    """What these statements for one group are like.

    Args:
        statements: the candidates' texts, or the one that was picked.
        opinions: the group's.
        opinions_elsewhere: of other groups on other questions, for the level of chance.
        embed: texts to unit vectors.

    Raises:
        InputError: one of the three is empty, or a statement has no words.
    """
    for name, given in (
        ("statements", statements),
        ("opinions", opinions),
        ("opinions_elsewhere", opinions_elsewhere),
    ):
        if not given:
            raise InputError(f"{name} is empty; expected at least one text")
    words = [tokens(text) for text in statements]
    if not all(words):
        raise InputError(f"statement {words.index([]) + 1} has no words; expected a statement")
    theirs = [tokens(text) for text in opinions]
    own = nearest_sentence(statements, opinions, embed)
    elsewhere = nearest_sentence(statements, opinions_elsewhere, embed)
    return Statements(
        n_statements=len(statements),
        n_words=_mean([count_words(each) for each in words]),
        longest_copied_run=_mean(
            [
                max(count_words(longest_shared_run(each, opinion)) for opinion in theirs)
                for each in words
            ]
        ),
        copied_share=_mean([copied_share(each, theirs) for each in words]),
        speaks_as_group=_mean([bool(SPEAKS_AS_GROUP.search(text)) for text in statements]),
        coverage=float(own.mean()),
        least_coverage=float(own.min(axis=1).mean()),
        chance_coverage=float(elsewhere.mean()),
        distinct_runs=distinct_runs(statements),
        distance=mean_distance(embed(statements)),
    )


def nearest_sentence(statements: Sequence[str], opinions: Sequence[str], embed: Embed) -> Vectors:
    """Cosines of each opinion to the nearest sentence of each statement [n_statements, n_opinions].

    From -1 to 1, higher is nearer.
    """
    sentences = [split_sentences(text) for text in statements]
    vectors = embed([sentence for each in sentences for sentence in each])
    cosines = vectors @ embed(opinions).T
    starts = np.cumsum([0, *(len(each) for each in sentences[:-1])])
    nearest: Vectors = np.maximum.reduceat(cosines, starts, axis=0)
    return nearest


def split_sentences(text: str) -> list[str]:
    """The sentences of a text that hold words, or the whole text where none does.

    Example:
        >>> split_sentences("We agree on buses. Do we on fares? (Not yet.)")
        ['We agree on buses.', 'Do we on fares?', '(Not yet.)']
    """
    return [part for part in _BETWEEN_SENTENCES.split(text) if part and tokens(part)] or [text]


def distinct_runs(texts: Sequence[str]) -> float:
    """Share of the runs of four words in all texts together that are different from each other.

    From above 0 to 1, higher is more varied; nan for fewer than two texts, or without a run.
    """
    runs = [
        tuple(words[i : i + RUN_WORDS])
        for words in map(tokens, texts)
        for i in range(len(words) - RUN_WORDS + 1)
    ]
    return len(set(runs)) / len(runs) if len(texts) > 1 and runs else math.nan


def mean_distance(vectors: Vectors) -> float:
    """Mean over pairs of one minus their cosine, 0 to 2, higher is more varied; nan without a pair.

    Args:
        vectors: unit vectors [n_texts, n_dimensions].
    """
    n = len(vectors)
    if n < 2:
        return math.nan
    # The squared length of the sum is n plus twice the sum of all pairs' cosines.
    total = vectors.sum(axis=0, dtype=np.float64)
    return 1 - (float(total @ total) - n) / (n * (n - 1))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
