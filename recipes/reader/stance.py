"""Pairs of short texts whose stance is known: what agreeing and contradicting look like.

Data: `stance/` of the data folder (ArgKP, Perspectrum, counterfactual and conjunctive NLI). They
are no people's ratings. The grades given to each kind of pair are ours.
"""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from pathlib import Path

ENTAILS, SAME_POINT, SAME_SIDE, NEUTRAL, OTHER_SIDE = 6.6, 6.5, 5.3, 4.0, 1.6

Row = tuple[str, str, str, float]
"""Question, opinion, statement, grade."""


def stance_pairs(data: Path, rng: random.Random) -> list[Row]:
    """All of it, in an order drawn by ``rng``."""
    rows = [*_argkp(data, rng)[:14000], *_perspectrum(data, rng)[:14000], *_nli(data, rng)]
    rng.shuffle(rows)
    return rows


def _table(path: Path, **kwargs: object) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, **kwargs))


def _argkp(data: Path, rng: random.Random) -> list[Row]:
    """Arguments on a topic with key points, which they match, share a side with, or oppose."""
    folder = data / "stance" / "argkp"
    arguments, points, labels = (
        _table(folder / f"{name}_train.csv") for name in ("arguments", "key_points", "labels")
    )
    matches = {(row["arg_id"], row["key_point_id"]): row["label"] for row in labels}
    of_topic: dict[str, list[dict[str, str]]] = defaultdict(list)
    others: dict[str, list[dict[str, str]]] = defaultdict(list)
    for point in points:
        of_topic[point["topic"]].append(point)
    for argument in arguments:
        others[argument["topic"]].append(argument)
    rows: list[Row] = []
    for argument in arguments:
        topic, text, side = argument["topic"], argument["argument"], argument["stance"]
        kinds: dict[float, list[str]] = {SAME_POINT: [], SAME_SIDE: [], OTHER_SIDE: []}
        for point in of_topic[topic]:
            match = matches.get((argument["arg_id"], point["key_point_id"]))
            if point["stance"] != side:
                kinds[OTHER_SIDE].append(point["key_point"])
            elif match is not None:
                kinds[SAME_POINT if match == "1" else SAME_SIDE].append(point["key_point"])
        rows += [(topic, text, rng.choice(found), grade) for grade, found in kinds.items() if found]
        other = rng.choice(others[topic])
        if other is not argument:
            grade = SAME_SIDE if other["stance"] == side else OTHER_SIDE
            rows.append((topic, text, other["argument"], grade))
        plain = topic[0].lower() + topic[1:]
        affirms = rng.choice([f"{topic}.", f"We agree: {plain}."])
        denies = rng.choice([f"It is not true that {plain}.", f"We do not think that {plain}."])
        for statement, its_side in ((affirms, "1"), (denies, "-1")):
            rows.append((topic, text, statement, SAME_POINT if its_side == side else OTHER_SIDE))
    rng.shuffle(rows)
    return rows


def _perspectrum(data: Path, rng: random.Random) -> list[Row]:
    """Perspectives on a claim with paraphrases, others of their side, others against it."""
    folder = data / "stance" / "perspectrum"
    pool = json.loads((folder / "perspective_pool_v1.0.json").read_text(encoding="utf-8"))
    text_of = {row["pId"]: row["text"] for row in pool}
    splits = json.loads((folder / "dataset_split_v1.0.json").read_text(encoding="utf-8"))
    claims = json.loads((folder / "perspectrum_with_answers_v1.0.json").read_text(encoding="utf-8"))
    rows: list[Row] = []
    for claim in claims:
        if splits[str(claim["cId"])] != "train":
            continue
        clusters = [
            (found["stance_label_3"], [text_of[name] for name in found["pids"]])
            for found in claim["perspectives"]
            if found["stance_label_3"] in ("SUPPORT", "UNDERMINE")
        ]
        for side, texts in clusters:
            for text in texts:
                supports = side == "SUPPORT"
                rows.append(
                    (claim["text"], text, claim["text"], SAME_POINT if supports else OTHER_SIDE)
                )
                for other_side, other_texts in rng.sample(clusters, min(3, len(clusters))):
                    if other_texts is not texts:
                        grade = SAME_SIDE if side == other_side else OTHER_SIDE
                        rows.append((claim["text"], text, rng.choice(other_texts), grade))
                    elif len(texts) > 1:
                        said = rng.choice([other for other in texts if other != text])
                        rows.append((claim["text"], text, said, ENTAILS))
    rng.shuffle(rows)
    return rows


def _nli(data: Path, rng: random.Random) -> list[Row]:
    """Premises and hypotheses, many of which differ by a word that turns the meaning."""
    grades = {"entailment": ENTAILS, "neutral": NEUTRAL, "contradiction": OTHER_SIDE}
    rows: list[Row] = []
    for path, premise, hypothesis, label, n_most in (
        ("counterfactual_nli/train.tsv", "sentence1", "sentence2", "gold_label", 8300),
        ("conj_nli/adversarial_train_15k.tsv", "Premise", "Hypothesis", "Label", 4000),
    ):
        table = _table(data / "stance" / path, delimiter="\t", quoting=csv.QUOTE_NONE)
        found = [
            ("", row[premise].strip('"'), row[hypothesis].strip('"'), grades[row[label]])
            for row in table
            if row.get(label) in grades
        ]
        rng.shuffle(found)
        rows += found[:n_most]
    return rows
