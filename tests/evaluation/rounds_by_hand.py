"""The tiny study of ``test_hand_computed``: its table is there."""

from __future__ import annotations

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.schema import LIKERT_7

# round: (people, position ratings, {statement: (policy, included, ratings)})
ROUNDS = {
    "r1": (
        ("ana", "ben", "cleo"),
        (6, 2, 5),
        {
            "c1": ("sft", ["ana", "cleo"], (6, 5, 5)),
            "c2": ("sft", ["ben", "cleo"], (4, 6, 7)),
            "c3": ("zero", ["ana", "ben", "cleo"], (2, 7, 6)),
        },
    ),
    "r2": (
        ("dan", "eve", "fay"),
        (6, 6, 7),
        {"c1": ("sft", None, (7, 4, None)), "c2": ("zero", None, (6, 6, None))},
    ),
}
REWARDS = {"ana": (1, 2, 3), "ben": (1, 2, 3), "cleo": (3, 2, 2)}


def hand_study() -> Dataset:
    """Two groups, a round each; fay wrote an opinion and rated the position, and no statement."""
    rounds, opinions, candidates, ratings, positions, predictions = [], [], [], [], [], []
    for r, (people, position, statements) in ROUNDS.items():
        rounds.append({"round_id": r, "group_id": f"g{r}", "question_id": r, "question": f"{r}?"})
        for person, rating in zip(people, position, strict=True):
            at = {"round_id": r, "participant_id": person}
            opinions.append(at | {"opinion_id": person, "text": "An opinion.", "source": "written"})
            positions.append(at | {"agreement": rating})
        for n, (c, (policy, included, given)) in enumerate(statements.items()):
            statement = {"round_id": r, "candidate_id": c}
            candidates.append(
                statement
                | {
                    "text": "We agree.",
                    "policy": policy,
                    "shown": True,
                    "included_opinion_ids": included,
                }
            )
            for person, rating in zip(people, given, strict=True):
                for again in (0, 1):
                    # ana's 6 is the mean of 7 and 5; all others repeat themselves.
                    change = (1 - 2 * again) if (r, c, person) == ("r1", "c1", "ana") else 0
                    ratings.append(
                        statement
                        | {
                            "participant_id": person,
                            "pass_index": again,
                            "agreement": None if rating is None else rating + change,
                            "quality": None if rating is None else 5,
                        }
                    )
                if person in REWARDS:
                    predictions.append(
                        statement
                        | {
                            "participant_id": person,
                            "reward_model": "model",
                            "reward": float(REWARDS[person][n]),
                            "expected_rating": float(REWARDS[person][n]),
                        }
                    )
    return Dataset(
        About(name="by hand", people="simulated", scale=LIKERT_7, source="made up for the tests"),
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
        position_ratings=frame("position_ratings", positions),
        predictions=frame("predictions", predictions),
    )
