"""Train, within-distribution test, out-of-distribution test (paper 3.1).

Whole topics are held out as the out-of-distribution set, so that a model that is tested there has
seen no question of the topic. The rest is split topic by topic into train and within-distribution
test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.questions.clusters import N_CLUSTERS, Clusters, cluster, topic_names
from commonweal.questions.records import IID_TEST, OOD_TEST, TRAIN, QuestionRecord
from commonweal.questions.similar import NEAR_DUPLICATE, nearest_across
from commonweal.types import SPLITS, Progress, no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.questions.similar import Encode, FloatArray32

PAPER_N, PAPER_N_OOD, PAPER_N_IID = 2922, 302, 300
"""Sizes in the paper (3.1), from which the default shares come."""
N_NEAREST = 20
"""Pairs across the split that a leak check shows."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How a question set is split.

    Attributes:
        n_clusters: topics (paper 3.1: 110).
        n_ood: out-of-distribution questions wanted; ``None`` for the paper's share. Topics are held
            out whole, so the nearest number that whole topics make is taken.
        n_iid: within-distribution test questions, exactly; ``None`` for the paper's share.
        seed: everything random follows from it.
    """

    n_clusters: int = N_CLUSTERS
    n_ood: int | None = None
    n_iid: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CrossPair:
    """Two questions on different sides of the split and the cosine of their vectors."""

    cosine: float
    first: QuestionRecord
    second: QuestionRecord


@dataclass(frozen=True, slots=True)
class Leaks:
    """How near two splits lie to each other.

    Attributes:
        n_near: questions of the first split that are near-duplicates of one in the second.
        n_questions: questions in the first split.
        nearest: the pairs that lie nearest, the nearest first; at most ``N_NEAREST``.
    """

    n_near: int
    n_questions: int
    nearest: tuple[CrossPair, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A split question set.

    Attributes:
        records: the questions in their order, each with its topic and split.
        clusters: the topics.
        names: the topics' names.
        vectors: the questions' unit vectors, [n_questions, n_dimensions].
        held_out: the topics of the out-of-distribution set.
        n_ood_wanted: what was asked for.
        leaks: by pair of splits, how near the first lies to the second.
    """

    records: tuple[QuestionRecord, ...]
    clusters: Clusters
    names: tuple[str, ...]
    vectors: FloatArray32
    held_out: tuple[int, ...]
    n_ood_wanted: int
    leaks: dict[tuple[str, str], Leaks]

    @property
    def counts(self) -> dict[str, int]:
        """The number of questions in each split."""
        counts = Counter(record.split for record in self.records)
        return {split: counts[split] for split in SPLITS}


def split_questions(
    records: Sequence[QuestionRecord],
    encode: Encode,
    *,
    config: SplitConfig | None = None,
    on_progress: Progress = no_progress,
) -> Split:
    """The questions with a topic and a split each, and how near the splits lie to each other.

    Args:
        records: different questions.
        encode: texts to unit vectors.
        config: sizes and seed.
        on_progress: called with ("split", n_stages_done, 4).

    Raises:
        InputError: the same question twice, too few questions for the topics or the sizes.
    """
    config = config or SplitConfig()
    _check_different(records)
    n_ood = _size("n_ood", config.n_ood, PAPER_N_OOD, len(records))
    n_iid = _size("n_iid", config.n_iid, PAPER_N_IID, len(records))
    questions = [record.question for record in records]
    on_progress("split", 0, 4)
    vectors = encode(questions)
    on_progress("split", 1, 4)
    clusters = cluster(vectors, n_clusters=config.n_clusters, seed=config.seed)
    on_progress("split", 2, 4)
    rng = np.random.default_rng(config.seed)
    held_out = choose_topics(clusters.sizes, n_ood, rng)
    is_ood = np.isin(clusters.labels, held_out)
    is_iid = choose_stratified(np.where(is_ood, -1, clusters.labels), n_iid, rng)
    names = topic_names(questions, vectors, clusters)
    marked = tuple(
        replace(
            record,
            topic=names[clusters.labels[row]],
            split=OOD_TEST if is_ood[row] else IID_TEST if is_iid[row] else TRAIN,
        )
        for row, record in enumerate(records)
    )
    on_progress("split", 3, 4)
    leaks = find_leaks(marked, vectors)
    on_progress("split", 4, 4)
    return Split(marked, clusters, tuple(names), vectors, held_out, n_ood, leaks)


def choose_topics(sizes: Sequence[int], n_wanted: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Topics whose sizes add up as nearly as any can to ``n_wanted``; a smaller sum on a tie.

    Topics are gone through in random order and taken wherever the best sum can still be reached, so
    chance decides which are taken and the target decides when to stop.

    Raises:
        InputError: no choice leaves anything, or takes anything where something is wanted.
    """
    if n_wanted == 0:
        return ()
    order = [int(i) for i in rng.permutation(len(sizes))]
    # Bit s of reachable[i] says whether topics order[i:] have a subset of size s.
    reachable = [1]
    for topic in reversed(order):
        reachable.append(reachable[-1] | reachable[-1] << sizes[topic])
    reachable.reverse()
    sums = [s for s in range(1, sum(sizes)) if reachable[0] >> s & 1]
    if not sums:
        raise InputError(f"got {len(sizes)} topics; expected at least two to hold one out")
    left = min(sums, key=lambda s: (abs(s - n_wanted), s))
    taken = []
    for place, topic in enumerate(order):
        if sizes[topic] <= left and reachable[place + 1] >> (left - sizes[topic]) & 1:
            taken.append(topic)
            left -= sizes[topic]
    return tuple(sorted(taken))


def choose_stratified(
    labels: NDArray[np.int64], n_wanted: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which questions are taken: ``n_wanted`` of those with a label of at least 0, over all labels.

    Each label gives its share, rounded so that the sum is exact (largest remainder), and keeps at
    least one question.

    Raises:
        InputError: the labels cannot give so many and keep one each.
    """
    topics, sizes = np.unique(labels[labels >= 0], return_counts=True)
    n_most = int((sizes - 1).sum())
    if n_wanted > n_most:
        raise InputError(
            f"{n_wanted} within-distribution test questions are wanted, but the {len(topics)} "
            f"topics that are not held out can give {n_most} and keep one each for training; take "
            "a smaller n_iid, n_ood or k"
        )
    taken = np.zeros(len(labels), dtype=np.bool_)
    if not n_wanted:
        return taken
    exact = sizes * (n_wanted / sizes.sum())
    shares = np.minimum(np.floor(exact).astype(int), sizes - 1)
    # Ties in the remainder are broken by chance, not by the topics' order, which is by size.
    chance = rng.random(len(topics))
    while shares.sum() < n_wanted:
        remainder = np.where(shares < sizes - 1, exact - shares, -np.inf)
        shares[np.lexsort((chance, -remainder))[0]] += 1
    for topic, share in zip(topics, shares, strict=True):
        taken[rng.choice(np.flatnonzero(labels == topic), share, replace=False)] = True
    return taken


def find_leaks(
    records: Sequence[QuestionRecord], vectors: FloatArray32
) -> dict[tuple[str, str], Leaks]:
    """For each two splits, how near the questions of the first lie to those of the second."""
    rows = {
        split: np.flatnonzero([record.split == split for record in records]) for split in SPLITS
    }
    leaks = {}
    for ours, theirs in ((OOD_TEST, TRAIN), (IID_TEST, TRAIN), (OOD_TEST, IID_TEST)):
        pairs = nearest_across(vectors[rows[ours]], vectors[rows[theirs]])
        shown = tuple(
            CrossPair(cosine, records[rows[ours][first]], records[rows[theirs][second]])
            for cosine, first, second in pairs[:N_NEAREST]
        )
        n_near = sum(pair.cosine >= NEAR_DUPLICATE for pair in pairs)
        leaks[ours, theirs] = Leaks(n_near, len(rows[ours]), shown)
    return leaks


def _check_different(records: Sequence[QuestionRecord]) -> None:
    seen: dict[str, QuestionRecord] = {}
    twins = [
        (other, record)
        for record in records
        if (other := seen.setdefault(normal_form(record.question), record)) is not record
    ]
    if twins and len(seen) == 1:
        raise InputError(
            f"all {len(records)} questions are the same ({records[0].question!r}); there is "
            "nothing to split"
        )
    if twins:
        first, second = twins[0]
        raise InputError(
            f"questions {first.id!r} and {second.id!r} are the same ({second.question!r}); "
            "expected each once, or it could stand on both sides of the split"
        )


def _size(name: str, wanted: int | None, paper_n: int, n: int) -> int:
    size = round(paper_n / PAPER_N * n) if wanted is None else wanted
    if not 0 <= size < n:
        raise InputError(f"{name} is {size}, expected from 0 to fewer than the {n} questions")
    return size
