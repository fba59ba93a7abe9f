"""What a revision gained: the statement before it and the best revision, rated side by side.

Source: Tessler et al. 2024 add critique and revision to the paper's one round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from commonweal.errors import InputError
from commonweal.evaluation.metrics import VALUE, Figure, Section, Table, figure
from commonweal.evaluation.rounds.rated import sign
from commonweal.frames import pl
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

WHO = {
    "all": "everybody",
    "critics": "those who said what they would change",
    "others": "those who would change nothing, or did not answer",
}
OUTCOMES = ("agreement", "quality")


def apart(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The rounds in which statements were written first, and those that revise one.

    A revision's statements answer another task, and its group has answered the question before:
    nothing else is computed with them.

    Raises:
        InputError: all rounds are revisions.
    """
    is_revision = dataset.rounds["revises_round_id"].is_not_null()
    if not is_revision.any():
        return dataset, dataset.of_rounds([])
    first, revised = (
        dataset.of_rounds(dataset.rounds.filter(which)["round_id"].to_list())
        for which in (~is_revision, is_revision)
    )
    if first.rounds.is_empty():
        raise InputError(
            f"{dataset.about.name}: every round revises the statement of another; expected the "
            "rounds in which they were written, too"
        )
    return first, revised


def without(revised: Dataset, before: Dataset, after: Dataset) -> Dataset:
    """The revisions without the ratings of people who are in ``before`` and not in ``after``."""
    people = [set(each.ratings["participant_id"]) for each in (before, after)]
    gone = pl.Series(sorted(people[0] - people[1]), dtype=pl.String)
    left = revised.ratings.filter(~pl.col("participant_id").is_in(gone.implode()))
    return replace(revised, ratings=left)


def side_by_side(revised: Dataset) -> pl.DataFrame:
    """One row for each person who rated both texts of a revision.

    Returns:
        group_id, round_id, participant_id, is_critic, and the revision's rating less that of the
        statement before: agreement, quality. Each person's passes are averaged first.
    """
    shown = revised.candidates.filter("shown").sort(
        "round_id", pl.col("rank").fill_null(2**31), "candidate_id"
    )
    old = shown.filter(pl.col("same_as_candidate_id").is_not_null())
    new = shown.filter(pl.col("same_as_candidate_id").is_null())
    # Not the one that was rated best: that would choose by the noise that is measured.
    chosen = new.group_by("round_id", maintain_order=True).first()
    rated = revised.ratings.group_by("round_id", "candidate_id", "participant_id").agg(
        pl.col(OUTCOMES).mean()
    )
    both = [
        rated.join(which.select("round_id", "candidate_id"), on=["round_id", "candidate_id"])
        for which in (old, chosen)
    ]
    critics = revised.critiques.filter(pl.col("text").is_not_null()).select(
        "round_id", "participant_id", is_critic=True
    )
    return (
        both[0]
        .join(both[1], on=["round_id", "participant_id"], suffix="_new")
        .join(revised.rounds.select("round_id", "group_id"), on="round_id")
        .join(critics, on=["round_id", "participant_id"], how="left")
        .select(
            "group_id",
            "round_id",
            "participant_id",
            pl.col("is_critic").fill_null(value=False),
            *((pl.col(f"{each}_new") - pl.col(each)).alias(each) for each in OUTCOMES),
        )
        .sort("round_id", "participant_id")
    )


def revision(revised: Dataset, n_resamples: int, seed: int) -> Section:
    """The gain from revision for everybody, for those who criticised and for the others.

    Raises:
        InputError: too few resamples.
    """
    pairs = side_by_side(revised)
    groups, group = np.unique(pairs["group_id"].to_numpy(), return_inverse=True)
    resampler = Resampler(max(len(groups), 1), n_resamples, np.random.default_rng([seed, 3]))
    is_critic = pairs["is_critic"].to_numpy().astype(bool)
    masks = {"all": np.ones(len(is_critic), bool), "critics": is_critic, "others": ~is_critic}
    scale = revised.about.scale
    gains = {each: pairs[each].cast(pl.Float64).to_numpy() for each in OUTCOMES}
    columns: list[FloatArray] = []
    made: list[tuple[str, str, str]] = []
    for outcome in OUTCOMES:
        for who, mask in masks.items():
            made.append(("gain", outcome, who))
            columns.append(np.where(mask, gains[outcome], np.nan))
    for who, mask in masks.items():
        signs = sign(gains["agreement"])
        made.append(("preferred", "agreement", who))
        columns.append(np.where(mask & (np.abs(signs) == 1), signs > 0, np.nan))
    values = np.stack(columns, axis=1)
    known = ~np.isnan(values)
    estimates = resampler.ratios(
        by_group(values, group, resampler.n_groups), by_group(known, group, resampler.n_groups)
    )
    figures: dict[str, list[Figure]] = {"gain": [], "preferred": []}
    for i, (kind, outcome, who) in enumerate(made):
        n = int(known[:, i].sum())
        is_gain = kind == "gain"
        figures[kind].append(
            figure(
                estimates[i],
                f"revision/{kind}/{outcome}/{who}",
                f"{'Gain in ' + outcome if is_gain else 'The revision rated higher'}, {WHO[who]}",
                kind="points" if is_gain else "share",
                n=n,
                unit="people in rounds" if is_gain else "people in rounds who rated them otherwise",
                says=_says(kind, outcome, who),
                nothing=f"nobody among {WHO[who]} rated both texts"
                + ("" if is_gain else " otherwise"),
                of={"outcome": outcome, "who": who},
                test=is_gain,
            )
        )
    return Section(
        "revision",
        "What revision gained",
        "Tessler et al. 2024",
        "In each round that revises a statement people rate it once more, beside its revisions. "
        "Each person's rating of the revision that was predicted to be best, less their rating of "
        f"the statement before it, on the scale from {scale.low} to {scale.high}; passes are "
        "averaged first. Rounds that revise are in no other section.",
        (
            Table("Revision less statement before", tuple(figures["gain"]), _CAUTION),
            Table(
                "Who rated the revision higher",
                tuple(figures["preferred"]),
                "People who rated both texts alike are left out.",
            ),
        ),
        {"n_rounds": pairs["round_id"].n_unique(), "n_groups": len(groups)},
    )


_CAUTION = (
    "People have read and rated the statement before; the revision is new to them, and that alone "
    "may move a rating. The statement was chosen by the group's first ratings and is rated anew "
    "here, so that the luck of the first ratings does not count against the revision's. Who "
    "criticises is nobody's lot: those who do and those who do not differ in other things, too."
)


def _says(kind: str, outcome: str, who: str) -> str:
    if kind == "gain":
        return (
            f"On average {WHO[who]} rated the revision {VALUE} points higher for {outcome} than "
            "the statement before it."
        )
    return f"Of {WHO[who]}, {VALUE} agreed more with the revision than with the statement before."
