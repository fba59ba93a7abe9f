"""Topics: questions whose sentence vectors lie together (paper 3.1: k-means, 110 topics).

scikit-learn is loaded here only, behind the extra ``questions``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.datasets.words import tokens, word_set
from commonweal.errors import InputError
from commonweal.extras import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.questions.similar import FloatArray32

N_CLUSTERS = 110
"""Topics in the paper (3.1)."""
N_STARTS = 3
"""Times that k-means begins anew from other centres; the tightest result is taken."""
MOST_FOR_WHOLE_SILHOUETTE = 6000
"""Above this many questions the silhouette is that of a seeded sample of as many."""
N_CENTRAL = 8
"""Questions nearest to a topic's centre, from which its name is taken."""
N_NAME_WORDS = 3

_STOP_WORDS = word_set(
    """
    a about able all allowed also an and any are as at available bad be because been being better
    but by can change continue could cost country do does doing done each enough ever every
    everyone fair for from get give given good government has have having how i idea if in into
    introduce is it its keep let like made make makes making many more most much must need new no
    not of ok okay on one only or other our out over own people person provide put reduce require
    required right should so some stop such take than that the their them there these they thing
    things this those time to too uk use used using very want was way we were what when where
    whether which who will with without would wrong year years you your britain england increase
    decrease allow ban less law
    """
)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Questions in topics.

    Attributes:
        labels: the topic of each question, int [n_questions], from 0; topic 0 is the largest, ties
            by the first question that they hold.
        centres: the mean vector of each topic, [n_topics, n_dimensions].
        silhouette: the mean silhouette by cosine distance, from -1 to 1: how much nearer a question
            is to its own topic than to the next. ``None`` where every topic has one question.
        n_in_silhouette: questions that it was computed over.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float64]
    silhouette: float | None
    n_in_silhouette: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of questions in each topic."""
        return tuple(int(n) for n in np.bincount(self.labels, minlength=len(self.centres)))

    def members(self, topic: int) -> NDArray[np.int64]:
        """The rows of the questions of a topic, in order."""
        rows: NDArray[np.int64] = np.flatnonzero(self.labels == topic)
        return rows


def cluster(vectors: FloatArray32, *, n_clusters: int = N_CLUSTERS, seed: int = 0) -> Clusters:
    """The questions in ``n_clusters`` topics by k-means, the same for the same seed.

    Args:
        vectors: unit vectors, [n_questions, n_dimensions].
        n_clusters: the number of topics k.
        seed: where the first centres are drawn from.

    Raises:
        InputError: fewer different questions than topics, all identical, or fewer than two topics.
        MissingExtraError: scikit-learn is not installed.
    """
    n_different = len(np.unique(np.round(vectors, 5), axis=0))
    if n_clusters < 2:
        raise InputError(f"n_clusters is {n_clusters}, expected at least 2")
    if n_different == 1 and len(vectors) > 1:
        raise InputError(
            f"all {len(vectors)} questions are the same question; there are no topics in them"
        )
    if n_different < n_clusters:
        raise InputError(
            f"got {n_different} different questions and {n_clusters} clusters; expected at least "
            "as many questions as clusters: take more questions or a smaller k"
        )
    kmeans = load_sklearn("cluster").KMeans(n_clusters, n_init=N_STARTS, random_state=seed)
    raw = kmeans.fit_predict(np.asarray(vectors, dtype=np.float64))
    labels = _by_size(raw)
    centres = np.stack([vectors[labels == topic].mean(axis=0) for topic in range(n_clusters)])
    silhouette, n_scored = _silhouette(vectors, labels, seed)
    return Clusters(labels, centres.astype(np.float64), silhouette, n_scored)


def topic_names(questions: Sequence[str], vectors: FloatArray32, clusters: Clusters) -> list[str]:
    """A name for each topic: a number and the words that mark its most central questions.

    Words are weighed by how often the central questions hold them against how many questions of the
    whole set do. The number makes the name unique.
    """
    words = [_content_words(question) for question in questions]
    n_with = Counter(stem for each in words for stem in each)
    names = []
    width = len(str(len(clusters.centres)))
    for topic in range(len(clusters.centres)):
        central = [words[row] for row in central_rows(vectors, clusters, topic)[:N_CENTRAL]]
        n_here = Counter(stem for each in central for stem in each)
        weight = {
            stem: n / len(central) * math.log(len(questions) / n_with[stem] + 1)
            for stem, n in n_here.items()
        }
        best = sorted(weight, key=lambda stem: (-weight[stem], stem))[:N_NAME_WORDS]
        shown = [next(each[stem] for each in central if stem in each) for stem in best]
        number = f"{topic + 1:0{width}d}"
        names.append(f"{number} {', '.join(shown)}" if shown else number)
    return names


def central_rows(vectors: FloatArray32, clusters: Clusters, topic: int) -> list[int]:
    """The rows of a topic's questions, nearest to its centre first."""
    rows = clusters.members(topic)
    closeness = vectors[rows] @ clusters.centres[topic]
    return [int(rows[i]) for i in np.argsort(-closeness, kind="stable")]


def _content_words(question: str) -> dict[str, str]:
    """The words that say what a question is about, by stem: "tax" and "taxes" are one."""
    return {
        re.sub(r"(?:es|s)$", "", word): word
        for word in tokens(question)
        if word not in _STOP_WORDS and len(word) > 2
    }


def _by_size(raw: NDArray[np.int32]) -> NDArray[np.int64]:
    """The labels renamed so that they do not depend on the order in which centres were drawn."""
    names, first, counts = np.unique(raw, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    renamed = np.empty(int(names.max()) + 1, dtype=np.int64)
    renamed[names[order]] = np.arange(len(names))
    return renamed[raw]


def _silhouette(
    vectors: FloatArray32, labels: NDArray[np.int64], seed: int
) -> tuple[float | None, int]:
    rows = np.arange(len(labels))
    if len(rows) > MOST_FOR_WHOLE_SILHOUETTE:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(rows), MOST_FOR_WHOLE_SILHOUETTE, replace=False))
    n_labels = len(np.unique(labels[rows]))
    if not 2 <= n_labels < len(rows):
        return None, len(rows)
    score = load_sklearn("metrics").silhouette_score(vectors[rows], labels[rows], metric="cosine")
    return float(score), len(rows)


def load_sklearn(module: str) -> Any:
    """The module of scikit-learn of this name.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    import importlib

    with needs("questions", "finding topics"):
        return importlib.import_module(f"sklearn.{module}")
