"""Topics, near-duplicates and growth of the question split, on real public questions.

    python benchmarks/questions_clusters.py [--data ../shared/data] [--pairs 50] [--largest 10000]

The 5,645 questions of `debate_questions` come with topics made by the paper's method from another
embedding. Agreement with them (adjusted Rand, normalised mutual information) is printed beside
chance (the same sizes, shuffled) and beside k-means on TF-IDF, with the same k and seeds. Growth
is measured on variations of the real questions, in one run, as ratios to the size before.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from commonweal.datasets.words import normal_form
from commonweal.models.encoder import SentenceEncoder
from commonweal.models.store import require
from commonweal.questions.clusters import N_STARTS, cluster
from commonweal.questions.positions import position_by_rule
from commonweal.questions.similar import NEAR_DUPLICATE, SimilarityIndex, near_pairs, nearest_across
from commonweal.questions.split import choose_stratified, choose_topics

K_PUBLISHED = 105
SEEDS = range(5)
GROWTH = (1000, 3000, 10_000, 30_000, 100_000)
K_GROWTH = 110
# What a question can begin and end with instead: variations for growth, not for anything else.
BEGINNINGS = ("", "By next year, ", "In our cities, ", "In the countryside, ", "After a vote, ")
ENDINGS = ("?", " before 2030?", " for a trial period?", " in every region?", " step by step?")


def main() -> None:
    """Prints every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", type=int, default=50, help="nearest pairs to print")
    parser.add_argument("--largest", type=int, default=10_000, help="growth up to this many")
    args = parser.parse_args()
    path = args.data / "debate_questions" / "questions.json"
    if not path.is_file():
        print(f"no {path}: nothing to measure; give --data FOLDER")
        return
    entries = json.loads(path.read_text(encoding="utf-8"))
    encoder = SentenceEncoder(require("all-minilm-l6-v2"))
    vectors = encoder.encode([entry["question"] for entry in entries])
    positions(entries)
    agreement(entries, vectors)
    near_duplicates(entries, vectors, args.pairs)
    growth(entries, encoder, args.largest)


def positions(entries: Sequence[dict[str, Any]]) -> None:
    """How often the rule for position statements answers, and says what the published one says."""
    print("\nPosition statements by rule, against the published ones")
    for name, chosen in (
        ("train (the rule was tuned on these)", lambda e: e["split"] == "train"),
        ("both tests (not tuned on)", lambda e: e["split"] != "train"),
    ):
        pairs = [(position_by_rule(e["question"]), e) for e in entries if chosen(e)]
        answered = [(text, e["affirming_statement"]) for text, e in pairs if text is not None]
        same = sum(normal_form(text) == normal_form(theirs) for text, theirs in answered)
        print(
            f"  {name}: {len(answered)} of {len(pairs)} answered ({len(answered) / len(pairs):.1%})"
            f", {same} of these word for word ({same / len(answered):.1%})"
        )


def agreement(entries: Sequence[dict[str, Any]], vectors: np.ndarray) -> None:
    """Agreement with the published topics, beside chance and TF-IDF."""
    published = np.array([entry["topic"] for entry in entries])
    ood = {entry["topic"] for entry in entries if entry["split"] == "ood_test"}
    tfidf = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(
        entry["question"] for entry in entries
    )
    ours = [cluster(vectors, n_clusters=K_PUBLISHED, seed=seed) for seed in SEEDS]
    found = {
        "MiniLM, ours": [each.labels for each in ours],
        "TF-IDF, k-means": [
            KMeans(K_PUBLISHED, n_init=N_STARTS, random_state=seed).fit_predict(tfidf)
            for seed in SEEDS
        ],
        "chance (ours, shuffled)": [
            np.random.default_rng(seed).permutation(each.labels)
            for seed, each in zip(SEEDS, ours, strict=True)
        ],
    }
    print(f"\nAgreement with the published {K_PUBLISHED} topics, {len(SEEDS)} seeds (mean, range)")
    for name, runs in found.items():
        rand = [adjusted_rand_score(published, labels) for labels in runs]
        mutual = [normalized_mutual_info_score(published, labels) for labels in runs]
        whole = [_kept_whole(published, labels, ood) for labels in runs]
        print(
            f"  {name:24} adjusted Rand {_range(rand)}  NMI {_range(mutual)}\n"
            f"  {'':24} of {len(ood)} published out-of-distribution topics: whole in one cluster "
            f"{_range([w[0] for w in whole])}, 90% in one {_range([w[1] for w in whole])}, "
            f"largest share in one {_range([w[2] for w in whole])}"
        )
    print(f"  silhouette of ours {_range([each.silhouette or 0 for each in ours])}")
    again = [
        adjusted_rand_score(a.labels, b.labels) for i, a in enumerate(ours) for b in ours[i + 1 :]
    ]
    print(f"  ours against ours with another seed: adjusted Rand {_range(again)}")


def _kept_whole(
    published: np.ndarray, labels: np.ndarray, ood: set[int]
) -> tuple[float, float, float]:
    largest = np.array(
        [
            np.bincount(labels[published == topic]).max() / (published == topic).sum()
            for topic in ood
        ]
    )
    return float((largest == 1).mean()), float((largest >= 0.9).mean()), float(largest.mean())


def near_duplicates(entries: Sequence[dict[str, Any]], vectors: np.ndarray, n_pairs: int) -> None:
    """Pairs at the threshold, within and across the published splits; the nearest."""
    pairs = near_pairs(vectors, NEAR_DUPLICATE)
    across: dict[str, int] = defaultdict(int)
    for _, i, j in pairs:
        across[" / ".join(sorted((entries[i]["split"], entries[j]["split"])))] += 1
    touched = {row for pair in pairs for row in (pair.first, pair.second)}
    print(
        f"\nNear-duplicates at cosine {NEAR_DUPLICATE}: {len(pairs)} pairs over {len(touched)} of "
        f"{len(entries)} questions; by published split: {dict(across)}"
    )
    for split in ("ood_test", "iid_test"):
        test = np.flatnonzero([e["split"] == split for e in entries])
        train = np.flatnonzero([e["split"] == "train" for e in entries])
        near = nearest_across(vectors[test], vectors[train])
        n_near = sum(pair.cosine >= NEAR_DUPLICATE for pair in near)
        print(f"  {n_near} of {len(test)} published {split} questions have one in train")
    for cosine, i, j in pairs[:n_pairs]:
        print(
            f"  {cosine:.4f} {entries[i]['split']:8} {entries[j]['split']:8} "
            f"{entries[i]['question']} | {entries[j]['question']}"
        )


def growth(entries: Sequence[dict[str, Any]], encoder: SentenceEncoder, largest: int) -> None:
    """Time and peak memory by stage and number of questions, as ratios to the size before."""
    print("\nGrowth (variations of the real questions): time and peak memory, x the size before")
    before: dict[str, tuple[float, float]] = {}
    for n in (n for n in GROWTH if n <= largest):
        measured = _stages(_variations(entries, n), encoder)
        line = [f"  {n:>7,}"]
        for name, (seconds, mebibytes) in measured.items():
            past = before.get(name, (seconds, mebibytes))
            line.append(
                f"{name} {seconds:.1f} s (x{seconds / past[0]:.1f}), "
                f"{mebibytes:,.0f} MiB (x{mebibytes / past[1]:.1f})"
            )
        before = measured
        print("; ".join(line), flush=True)


def _stages(texts: Sequence[str], encoder: SentenceEncoder) -> dict[str, tuple[float, float]]:
    """Seconds and peak memory of each stage on these questions."""
    vectors = np.zeros((0, 0), dtype=np.float32)
    labels = np.zeros(0, dtype=np.int64)

    def embed() -> None:
        nonlocal vectors
        vectors = encoder.encode(texts)

    def compare() -> None:
        index = SimilarityIndex(vectors.shape[1])
        for start in range(0, len(vectors), 16):
            if start:
                index.nearest(vectors[start : start + 16])
            for vector in vectors[start : start + 16]:
                index.add(vector)

    def topics() -> None:
        nonlocal labels
        labels = cluster(vectors, n_clusters=K_GROWTH).labels

    def split() -> None:
        rng = np.random.default_rng(0)
        n_test = round(0.1 * len(labels))
        held_out = choose_topics(np.bincount(labels).tolist(), n_test, rng)
        rest = np.where(np.isin(labels, held_out), -1, labels)
        test = choose_stratified(rest, n_test, rng)
        nearest_across(vectors[test], vectors[~test])

    return {
        "embed": _measured(embed),
        "near-duplicates": _measured(compare),
        "topics": _measured(topics),
        "split and leaks": _measured(split),
    }


def _variations(entries: Sequence[dict[str, Any]], n: int) -> list[str]:
    """``n`` different questions: the real ones, then the real ones with other ends."""
    texts = (
        f"{begin}{text[0].lower() if begin else text[0]}{text[1:].rstrip('? ')}{end}"
        for begin, end in product(BEGINNINGS, ENDINGS)
        for text in (entry["question"] for entry in entries)
    )
    return list(islice(dict.fromkeys(texts), n))


def _measured(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and the highest resident memory while it ran in MiB."""
    refs = Path("/proc/self/clear_refs")
    with suppress(OSError):
        refs.write_text("5")  # Linux: sets the high-water mark back to what is in use now
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return seconds, int(peak.split()[1]) / 1024


def _range(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
