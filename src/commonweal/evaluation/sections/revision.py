"""What a revision gained: the statement before it and the best revision, rated side by side.

Source: Tessler et al. 2024 add critique and revision to the paper's one round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.metrics import VALUE, Metric, MetricTable, Subject, metric
from commonweal.evaluation.rounds.rated import sign, won
from commonweal.evaluation.rounds.revised import OUTCOMES, side_by_side
from commonweal.evaluation.section import Section
from commonweal.frames import pl
from commonweal.measures.bootstrap import Resampler

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset
    from commonweal.types import FloatArray

WHO = {
    "all": "everybody",
    "critics": "those who said what they would change",
    "others": "those who would change nothing, or did not answer",
}


@dataclass(frozen=True)
class Gain(Subject):
    """What a revision gained ("gain"), or how many prefer it ("preferred"), among whom."""

    measure: str
    outcome: str
    who: str
    form = "revision/{measure}/{outcome}/{who}"

    def is_headline(self, _baseline: str, /) -> bool:
        """The gains in agreement."""
        return (self.measure, self.outcome) == ("gain", "agreement")


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
    subjects: list[Gain] = []
    for outcome in OUTCOMES:
        for who, mask in masks.items():
            subjects.append(Gain("gain", outcome, who))
            columns.append(np.where(mask, gains[outcome], np.nan))
    for who, mask in masks.items():
        subjects.append(Gain("preferred", "agreement", who))
        columns.append(np.where(mask, won(sign(gains["agreement"])), np.nan))
    means = resampler.means(np.stack(columns, axis=1), group)
    metrics: dict[str, list[Metric[Gain]]] = {"gain": [], "preferred": []}
    for of, (estimate, n) in zip(subjects, means, strict=True):
        is_gain, who = of.measure == "gain", WHO[of.who]
        metrics[of.measure].append(
            metric(
                estimate,
                of,
                f"{'Gain in ' + of.outcome if is_gain else 'The revision rated higher'}, {who}",
                kind="points" if is_gain else "share",
                n=n,
                unit="people in rounds" if is_gain else "people in rounds who rated them otherwise",
                says=f"On average {who} rated the revision {VALUE} points higher for {of.outcome} "
                "than the statement before it."
                if is_gain
                else f"Of {who}, {VALUE} agreed more with the revision than with the statement "
                "before.",
                nothing=f"nobody among {who} rated both texts" + ("" if is_gain else " otherwise"),
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
            MetricTable("Revision less statement before", tuple(metrics["gain"]), _CAUTION),
            MetricTable(
                "Who rated the revision higher",
                tuple(metrics["preferred"]),
                "People who rated both texts alike are left out.",
            ),
        ),
        {"n_rounds": pairs["round_id"].n_unique(), "n_groups": len(groups)},
    )


_CAUTION = (
    "People have read and rated the statement before; the revision is new to them, and that alone "
    "may move a rating. The statement was chosen by the group's first ratings and is rated again "
    "here, so that the luck of the first ratings does not count against the revision's. People "
    "choose whether to criticise: those who do and those who do not may differ in other ways, "
    "too."
)
