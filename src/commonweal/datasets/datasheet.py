"""The datasheet: what a dataset is, how it came to be, and what can be made of it, in counts."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from commonweal.datasets.comparisons import count_comparisons
from commonweal.datasets.dataset import Dataset
from commonweal.datasets.reliability import reliability

_PEOPLE = {
    "human": "people rated these statements in these rounds",
    "replayed": "replayed: real people's votes or ratings, given elsewhere, stand in for ratings",
    "simulated": "simulated: nobody gave these ratings",
}
_ALL = "all"


def describe(dataset: Dataset) -> dict[str, Any]:
    """The datasheet as what JSON can hold: about, scale, steps, and counts for each split."""
    about = dataset.about
    splits = dataset.rounds["split"].drop_nulls().unique().sort().to_list()
    sheet: dict[str, Any] = {
        "name": about.name,
        "people": about.people,
        "source": about.source,
        "licence": about.licence or None,
        "attribution": about.attribution or None,
        "scale": {
            "name": about.scale.name,
            "low": about.scale.low,
            "high": about.scale.high,
            "neutral": about.scale.neutral,
        },
        "steps": [step.model_dump() for step in about.steps],
        "counts": {_ALL: _counts(dataset)}
        | {split: _counts(dataset.of_split(split)) for split in splits},
        "agreement": {
            str(value): n
            for value, n in dataset.ratings["agreement"]
            .drop_nulls()
            .value_counts()
            .sort("agreement")
            .iter_rows()
        },
    }
    if dataset.ratings.select((pl.col("pass_index") > 0).any()).item():
        kappas = reliability(dataset)["kappa"].drop_nulls()
        sheet["kappa"] = {
            "people": len(kappas),
            "quartiles": [kappas.quantile(q, "linear") for q in (0.25, 0.5, 0.75)],
        }
    return sheet


def as_markdown(sheet: dict[str, Any]) -> str:
    """The datasheet to be read."""
    scale = sheet["scale"]
    lines = [
        f"# Datasheet: {sheet['name']}",
        "",
        f"- **Ratings:** {_PEOPLE[sheet['people']]}.",
        f"- **Scale:** {scale['name']}, whole numbers from {scale['low']} to {scale['high']}; "
        f"above {scale['neutral']} people agree, below it they disagree.",
        f"- **Source:** {sheet['source']}.",
        f"- **Licence:** {sheet['licence'] or 'not given; find out before you share it'}.",
        f"- **Attribution:** {sheet['attribution'] or 'not given'}.",
        "",
        "## How it came to be",
        "",
    ]
    for number, step in enumerate(sheet["steps"], start=1):
        options = ", ".join(f"{name} = {_shown(value)}" for name, value in step["options"].items())
        lines += [f"{number}. **{step['what']}**{f' ({options})' if options else ''}", ""]
        lines += [f"   - {what}: {n:,}" for what, n in step["counts"].items()]
        lines += [""]
    splits = list(sheet["counts"])
    lines += [
        "## What is in it, and what can be made of it",
        "",
        "Comparisons are counted without a cap, of people who have an opinion, and never of a "
        "person's own statement.",
        "",
        f"| | {' | '.join(splits)} |",
        f"|---|{'---:|' * len(splits)}",
    ]
    for what in sheet["counts"][_ALL]:
        cells = " | ".join(f"{sheet['counts'][split].get(what, 0):,}" for split in splits)
        lines.append(f"| {what} | {cells} |")
    total = sum(sheet["agreement"].values())
    lines += ["", "## Agreement", "", "| rating | ratings | share |", "|---:|---:|---:|"]
    lines += [f"| {value} | {n:,} | {n / total:.1%} |" for value, n in sheet["agreement"].items()]
    if "kappa" in sheet:
        low, middle, high = (f"{value:.2f}" for value in sheet["kappa"]["quartiles"])
        lines += [
            "",
            f"Quadratic-weighted kappa between a person's two passes: median {middle}, quartiles "
            f"{low} and {high}, of {sheet['kappa']['people']:,} people.",
        ]
    return "\n".join(lines) + "\n"


def _counts(dataset: Dataset) -> dict[str, int]:
    return {
        "rounds": dataset.rounds.height,
        "questions": dataset.rounds["question_id"].n_unique(),
        "people who rated": dataset.ratings["participant_id"].n_unique(),
        "opinions": dataset.opinions.height,
        "of them made from votes": dataset.opinions.filter(pl.col("source") == "votes").height,
        "statements shown": dataset.candidates.filter("shown").height,
        "statements not shown": dataset.candidates.filter(~pl.col("shown")).height,
        "predictions by a reward model": dataset.predictions.height,
        **count_comparisons(dataset),
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
