"""Whether people agree more with statements that were written with their opinion (paper 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.evaluation.figures import (
    VALUE,
    Figure,
    Published,
    Section,
    Table,
    figure,
    unavailable,
)
from commonweal.evaluation.rated import Rated, over_people
from commonweal.measures.bootstrap import Resampler, by_group

if TYPE_CHECKING:
    from commonweal.types import FloatArray

PUBLISHED = {
    "agreement": Published("0.47 [0.21, 0.73]", "4.3", 0.47, 0.21, 0.73),
    "quality": Published("0.10 [−0.05, 0.25]", "4.3", 0.10, -0.05, 0.25),
}


def differences(rated: Rated, outcome: str) -> FloatArray:
    """Per statement: median rating of included people minus that of excluded ones, [S].

    ``outcome`` is "agreement" or "quality"; nan where one side has no rating. People without an
    opinion in the round are on neither side.
    """
    values = rated.agreement if outcome == "agreement" else rated.quality
    inside, outside = (
        over_people(
            np.where(rated.included == side, values, np.nan),
            rated.cell_statement,
            len(rated.words),
            "median",
        )
        for side in (1, 0)
    )
    return np.where(rated.is_human, np.nan, inside - outside)


def exclusion(rated: Rated, resampler: Resampler) -> Section:
    """The difference for agreement and for quality, and the test between the two."""
    reason = nothing_excluded(rated)
    if reason:
        tables = (
            Table(
                "Included minus excluded",
                tuple(
                    unavailable(
                        f"inclusion/{outcome}",
                        f"Included minus excluded, {outcome}",
                        reason,
                        published=published,
                    )
                    for outcome, published in PUBLISHED.items()
                ),
                "",
            ),
        )
    else:
        tables = (_table(rated, resampler),)
    return Section(
        "exclusion",
        "People whose opinion was left out",
        "Paper 4.3",
        "For each candidate that was written without some of the group's opinions: the median "
        "rating of the people whose opinion the policy saw, minus that of the people whose opinion "
        "it did not see. The mean of these differences over candidates.",
        tables,
    )


def nothing_excluded(rated: Rated) -> str:
    """Why included and excluded people cannot be compared; empty where they can."""
    if (rated.included == -1).all():
        return "which opinions a policy saw is not recorded for any candidate"
    if not (rated.included == 0).any():
        return "every candidate was written with the opinions of all who rated it"
    if np.isnan(differences(rated, "agreement")).all():
        return "no candidate was rated by somebody included and by somebody excluded"
    return ""


def _table(rated: Rated, resampler: Resampler) -> Table:
    agreement, quality = (differences(rated, outcome) for outcome in PUBLISHED)
    both = ~(np.isnan(agreement) | np.isnan(quality))
    gap = np.where(both, agreement - quality, np.nan)
    values = np.stack([agreement, quality, gap], axis=1)
    known = ~np.isnan(values)
    estimates = resampler.ratios(
        by_group(values, rated.statement_group, rated.n_groups),
        by_group(known, rated.statement_group, rated.n_groups),
    )
    figures: list[Figure] = []
    for i, outcome in enumerate(PUBLISHED):
        figures.append(
            figure(
                estimates[i],
                f"inclusion/{outcome}",
                f"Included minus excluded, {outcome}",
                kind="points",
                n=int(known[:, i].sum()),
                unit="candidates",
                says=f"People whose opinion the policy saw gave its candidates {VALUE} points more "
                f"for {outcome} than people whose opinion it did not see.",
                nothing=f"no candidate has ratings of {outcome} from both sides",
                of={"outcome": outcome},
                published=PUBLISHED[outcome],
                test=True,
            )
        )
    figures.append(
        figure(
            estimates[2],
            "inclusion/agreement_minus_quality",
            "Agreement minus quality",
            kind="points",
            n=int(both.sum()),
            unit="candidates with both",
            says=f"Being left out takes {VALUE} points more from agreement than from quality: "
            "above 0, it is not only that people like better what they had a part in.",
            nothing="no candidate has ratings of both agreement and quality from both sides",
            of={"outcome": "agreement minus quality"},
            test=True,
        )
    )
    return Table(
        "Included minus excluded",
        tuple(figures),
        "The effect is causal only where who was left out was drawn by lot, as in the paper. "
        "The p values are two-sided and come from the same resamples as the intervals.",
    )
