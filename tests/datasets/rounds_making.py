"""A small dataset, made by rule, that keeps the format."""

from __future__ import annotations

from typing import Any

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.schema import LIKERT_7, Scale


def about(scale: Scale = LIKERT_7, **more: Any) -> About:
    return About(
        **{
            "name": "made",
            "people": "simulated",
            "scale": scale,
            "source": "made by rule for the tests",
            **more,
        }
    )


def small_dataset() -> Dataset:
    """Two groups of three people, one question each, two candidates rated twice."""
    rounds = [
        {
            "round_id": f"r{n}",
            "group_id": f"g{n}",
            "question_id": f"q{n}",
            "question": f"Should we do {n}?",
            "split": split,
        }
        for n, split in ((1, "train"), (2, "ood_test"))
    ]
    opinions, candidates, ratings, positions, predictions = [], [], [], [], []
    critiques = []
    for r in ("r1", "r2"):
        people = [f"{r}-p{n}" for n in (1, 2, 3)]
        for n, person in enumerate(people, start=1):
            opinions.append(
                {
                    "round_id": r,
                    "opinion_id": f"o{n}",
                    "participant_id": person,
                    "text": f"Opinion {n}, naïve 💚",
                    "source": "written",
                }
            )
            positions.append({"round_id": r, "participant_id": person, "agreement": 2 * n})
            text = "Say more." if n == 1 else None
            critiques.append({"round_id": r, "participant_id": person, "text": text})
        for c, policy in (("c1", "sft_base"), ("c2", "zero_shot")):
            candidates.append(
                {
                    "round_id": r,
                    "candidate_id": c,
                    "text": f"We agree on {c}.",
                    "policy": policy,
                    "shown": True,
                    "included_opinion_ids": ["o1", "o2"] if c == "c1" else None,
                }
            )
            for n, person in enumerate(people, start=1):
                predictions.append(
                    {
                        "round_id": r,
                        "participant_id": person,
                        "candidate_id": c,
                        "reward_model": "made",
                        "reward": n / 2,
                    }
                )
                for again in (0, 1):
                    ratings.append(
                        {
                            "round_id": r,
                            "participant_id": person,
                            "candidate_id": c,
                            "pass_index": again,
                            "agreement": None if n == 3 and again else n + (c == "c1"),
                            "quality": 5,
                        }
                    )
    return Dataset(
        about(),
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
        position_ratings=frame("position_ratings", positions),
        predictions=frame("predictions", predictions),
        critiques=frame("critiques", critiques),
    )
