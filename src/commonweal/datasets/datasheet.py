"""The datasheet: what a dataset is, how it came to be, and what can be made of it, in counts."""

from __future__ import annotations

import json
from typing import Any

from commonweal.datasets.comparisons import count_comparisons
from commonweal.datasets.dataset import Dataset
from commonweal.datasets.reliability import MIN_REPEATED, reliability, without_unreliable
from commonweal.frames import pl

_PEOPLE = {
    "human": "people rated these statements in these rounds",
    "replayed": "replayed: real people's votes or ratings, given elsewhere, stand in for ratings",
    "simulated": "simulated: nobody gave these ratings",
}
_ALL = "all"


def describe(
    dataset: Dataset, *, min_kappa: float | None = None, max_pairs_per_person: int | None = None
) -> dict[str, Any]:
    """The datasheet as what JSON can hold: about, scale, steps, and counts for each split.

    Args:
        dataset: what is described.
        min_kappa: also count what is left without people whose kappa is lower.
        max_pairs_per_person: also count the within-person pairs that this cap leaves of a person
            and round.

    Raises:
        InputError: ``min_kappa`` is not from -1 to 1, or the cap is below 1.
    """
    about = dataset.about
    splits = dataset.rounds["split"].drop_nulls().unique().sort().to_list()
    parts = {_ALL: dataset} | {split: dataset.of_split(split) for split in splits}
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
        "counts": {name: _counts(part, max_pairs_per_person) for name, part in parts.items()},
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
        people = reliability(dataset)
        is_judged = pl.col("verdict").is_in(["reliable", "unreliable"])
        kappas = people.filter(is_judged)["kappa"]
        sheet["kappa"] = {
            "people": len(kappas),
            "people_with_too_few_repeated": people.filter(verdict="too few repeated").height,
            "quartiles": [kappas.quantile(q, "linear") for q in (0.25, 0.5, 0.75)]
            if len(kappas)
            else None,
        }
    if min_kappa is not None:
        sheet["min_kappa"] = min_kappa
        sheet["counts_of_reliable"] = {
            name: _counts_of_reliable(part, min_kappa, max_pairs_per_person)
            for name, part in parts.items()
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
    lines += [
        "## What is in it, and what it can be used for",
        "",
        "Comparisons are by people who have an opinion, and never about their own statement; a cap "
        "applies only in the row that names it.",
        "",
        *_table(sheet["counts"]),
    ]
    total = sum(sheet["agreement"].values())
    lines += ["", "## Agreement", "", "| rating | ratings | share |", "|---:|---:|---:|"]
    lines += [f"| {value} | {n:,} | {n / total:.1%} |" for value, n in sheet["agreement"].items()]
    n_few = sheet.get("kappa", {}).get("people_with_too_few_repeated", 0)
    few = f" ({n_few:,} more rated fewer than {MIN_REPEATED} statements twice)" if n_few else ""
    if "kappa" in sheet and sheet["kappa"]["quartiles"] is None:
        lines += ["", f"There are second passes, but nobody has a kappa between the two{few}."]
    elif "kappa" in sheet:
        low, middle, high = (f"{value:.2f}" for value in sheet["kappa"]["quartiles"])
        lines += [
            "",
            f"Quadratic-weighted kappa between a person's two passes: median {middle}, quartiles "
            f"{low} and {high}, of {sheet['kappa']['people']:,} people{few}.",
        ]
    if "min_kappa" in sheet:
        lines += [
            "",
            f"## Without people whose kappa is below {sheet['min_kappa']}",
            "",
            "What the reliability filter would leave; the dataset itself is unchanged.",
            "",
            *_table(sheet["counts_of_reliable"]),
        ]
    return "\n".join(lines) + "\n"


def _table(counts: dict[str, dict[str, int]]) -> list[str]:
    """A row a count, a column a split."""
    return [
        f"| | {' | '.join(counts)} |",
        f"|---|{'---:|' * len(counts)}",
        *(
            f"| {what} | {' | '.join(f'{part.get(what, 0):,}' for part in counts.values())} |"
            for what in counts[_ALL]
        ),
    ]


def _counts_of_reliable(dataset: Dataset, min_kappa: float, cap: int | None) -> dict[str, int]:
    kept = without_unreliable(dataset, threshold=min_kappa)
    return kept.about.steps[-1].counts | count_comparisons(kept, cap=cap)


def _counts(dataset: Dataset, cap: int | None) -> dict[str, int]:
    return {
        "rounds": dataset.rounds.height,
        "questions": dataset.rounds["question_id"].n_unique(),
        "people who rated": dataset.ratings["participant_id"].n_unique(),
        "opinions": dataset.opinions.height,
        "of them made from votes": dataset.opinions.filter(pl.col("source") == "votes").height,
        "statements shown": dataset.candidates.filter("shown").height,
        "statements not shown": dataset.candidates.filter(~pl.col("shown")).height,
        "predictions by a reward model": dataset.predictions.height,
        **count_comparisons(dataset, cap=cap),
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
