"""Files of the Habermas Machine's published schema, made by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from commonweal.datasets.importers.habermas_files import COMPARISONS, POSITIONS

AGREE = ["STRONGLY_DISAGREE", "DISAGREE", "SOMEWHAT_DISAGREE", "NEUTRAL", "SOMEWHAT_AGREE"]
AGREE += ["AGREE", "STRONGLY_AGREE"]
QUALITY = ["TERRIBLE_QUALITY", "POOR_QUALITY", "SOMEWHAT_POOR_QUALITY", "NEUTRAL"]
QUALITY += ["SOMEWHAT_GOOD_QUALITY", "GOOD_QUALITY", "EXCELLENT_QUALITY"]
N_SAMPLES = 16


def agreement(person: int, shown: int, again: int = 0) -> int:
    """Index of the name: what person 0, 1, ... says of statement 0, 1, ... in a pass."""
    return (3 * person + 2 * shown + again) % 7


def comparison_rows(
    n_groups: int = 2, n_people: int = 4, n_shown: int = 3, *, repeats: bool = True
) -> list[dict[str, Any]]:
    """One row a participant, round and iteration; one round of two iterations a group."""
    rows = []
    for g in range(n_groups):
        opinions = [f"g{g}-o{p}" for p in range(n_people)]
        for iteration in (0, 1):
            ids = [f"g{g}-i{iteration}-c{c}" for c in range(n_shown)]
            runs = [
                [f"Sample {k} of {name}." for k in range(N_SAMPLES - 1)] + [f"Statement {name}."]
                for name in ids
            ]
            parents = opinions if iteration == 0 else [*opinions, f"g{g}-critique"]
            for p in range(n_people):
                passes = (0, 1) if repeats else (0,)
                others = [o for o in range(n_people) if o != p]
                rows.append(
                    {
                        "launch_id": f"launch-{g}",
                        "round_id": f"round-{g}",
                        "iteration_id": f"iteration-{g}-{iteration}",
                        "iteration_index": iteration,
                        "worker_id": f"w{g}-{p}",
                        "question.id": f"question-{g}",
                        "question.text": f"Should we do {g}?",
                        "question.affirming_statement": f"We should do {g}.",
                        "question.negating_statement": f"We should NOT do {g}.",
                        "question.topic": g,
                        "question.split": g % 4 + 1,
                        "own_opinion.text": f"Opinion of {p} in {g}.",
                        "own_opinion.metadata.id": opinions[p],
                        "own_opinion.metadata.participant_id": f"p{g}-{p}",
                        "other_opinions.text": [f"Opinion of {o} in {g}." for o in others],
                        "other_opinions.metadata.id": [opinions[o] for o in others],
                        "other_opinions.metadata.participant_id": [f"p{g}-{o}" for o in others],
                        "candidates.text": [f"Statement {name}." for name in ids],
                        "candidates.metadata.id": ids,
                        "candidates.metadata.provenance": ["MODEL_MEDIATOR"] * n_shown,
                        "candidates.metadata.generative_model.template_name": ["base"] * n_shown,
                        "candidates.parent_statement_ids": [parents] * n_shown,
                        "candidates.all_texts": runs,
                        "candidates.all_reward_predictions": [
                            [k / 10 + p for k in range(N_SAMPLES)] for _ in ids
                        ],
                        "ratings.agreement": [
                            [AGREE[agreement(p, c, again)] for again in passes]
                            for c in range(n_shown)
                        ],
                        "ratings.quality": [[QUALITY[c] for _ in passes] for c in range(n_shown)],
                        "rankings.candidate_ids": ids[::-1],
                        "rankings.numerical_ranks": [*range(n_shown - 1), -1],
                        "critique.text": "Too long." if iteration else None,
                        "metadata.response_duration": 12.5,
                        "metadata.provenance": "HUMAN_CITIZEN",
                    }
                )
    return rows


def position_rows(n_groups: int = 2, n_people: int = 4) -> list[dict[str, Any]]:
    """A rating before (index 0) and one after (index 1) of each person."""
    return [
        {
            "launch_id": f"launch-{g}",
            "worker_id": f"w{g}-{p}",
            "question.id": f"question-{g}",
            "rating_index": index,
            "ratings.agreement": [AGREE[(p + index) % 7]],
        }
        for g in range(n_groups)
        for p in range(n_people)
        for index in (0, 1)
    ]


def put_files(
    folder: Path,
    comparisons: list[dict[str, Any]] | None = None,
    positions: list[dict[str, Any]] | None = None,
) -> Path:
    folder.mkdir(exist_ok=True)
    pl.DataFrame(comparisons or comparison_rows(), infer_schema_length=None).write_parquet(
        folder / COMPARISONS
    )
    if positions is not None:
        pl.DataFrame(positions, infer_schema_length=None).write_parquet(folder / POSITIONS)
    return folder
