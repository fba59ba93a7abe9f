"""How often the 95 % intervals hold the truth, over simulated studies whose truth is known.

    python tests/evaluation/interval_coverage.py [--studies 500] [--groups 6 10 20 40 80]
        [--rounds-a-question 3]

Prints, for each number of groups, the share of studies whose interval holds the population's value
(``known_figures``), with its Monte-Carlo standard error, beside what plain percentiles would give.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from known_figures import figures as true_figures
from known_truth import Design, simulate_study

from commonweal.evaluation.best_of_n import best_of_n
from commonweal.evaluation.distributions import distributions
from commonweal.evaluation.divisiveness import divisiveness
from commonweal.evaluation.exclusion import exclusion
from commonweal.evaluation.figures import Figure
from commonweal.evaluation.human_opinions import against_human_opinions
from commonweal.evaluation.predicted import predicted
from commonweal.evaluation.rated import rated
from commonweal.evaluation.raters import raters
from commonweal.evaluation.reward_model import reward_model
from commonweal.evaluation.shared_questions import drawing
from commonweal.evaluation.win_rates import win_rates
from commonweal.measures import intervals
from commonweal.measures.bootstrap import Resampler

DESIGN = Design(
    n_rounds_per_group=2,
    group_size=(4, 5),
    policies=(("sft_base", 0.4), ("zero_shot", 0.0)),
    human_effect=-0.3,
    inclusion_effect_agreement=0.5,
    inclusion_effect_quality=0.1,
    missing_share=0.05,
    sd_prediction=None,
)
WITH_PREDICTIONS = replace(
    DESIGN, n_statements=3, human_effect=None, sd_prediction=0.8, missing_share=0.02
)
N_RESAMPLES = 2000

# The figure's key, and the name of its truth.
FIGURES = {
    "win_rate/mean/all/sft_base/zero_shot": ("win", "mean", "sft_base", "zero_shot"),
    "win_rate/median/all/sft_base/zero_shot": ("win", "median", "sft_base", "zero_shot"),
    "win_rate/min/all/sft_base/zero_shot": ("win", "min", "sft_base", "zero_shot"),
    "win_rate/person/all/sft_base/zero_shot": ("person_win", "sft_base", "zero_shot"),
    "distribution/sft_base/agree": ("agrees", "sft_base"),
    "distribution/zero_shot/4": ("share", "zero_shot", "4"),
    "against_human/mean/all/sft_base": ("against_human", "mean", "sft_base"),
    "against_human/best/all/zero_shot": ("against_human", "best", "zero_shot"),
    "inclusion/agreement": ("inclusion", "agreement"),
    "inclusion/quality": ("inclusion", "quality"),
}
OTHER_FIGURES = {
    "less_divisive/all": ("less_divisive",),
    "unanimous/all": ("unanimous",),
    "kappa/agreement": ("kappa",),
    "krippendorff/agreement/ordinal": ("alpha", "agreement", "ordinal"),
    "krippendorff/agreement/interval": ("alpha", "agreement", "interval"),
    "krippendorff/quality/ordinal": ("alpha", "quality", "ordinal"),
    "accuracy/within/simulated": ("accuracy",),
    "accuracy/crossed/simulated": ("crossed",),
    "calibration/bias/simulated": ("bias",),
    "best_of_n/realised/mean/zero_shot/2": ("best_of", "zero_shot"),
    "best_of_n/win_rate/mean/zero_shot/2": ("best_of_wins", "zero_shot"),
}
"""Of studies with predictions and without people's statements. The expected calibration error is
not here: it is biased upwards and has no interval."""
TRUTHS = FIGURES | OTHER_FIGURES


def estimated(
    n_groups: int, seed: int, n_resamples: int = N_RESAMPLES, rounds_a_question: int = 1
) -> dict[str, Figure]:
    """The figures of one simulated study; of more rounds a question, the first ten alone."""
    rng = np.random.default_rng([seed, n_groups])
    design = replace(DESIGN, n_groups=n_groups)
    if rounds_a_question > 1:
        n_rounds = n_groups * design.n_rounds_per_group
        design = replace(design, n_questions=max(1, n_rounds // rounds_a_question))
    dataset = simulate_study(rng, **vars(design))[0]
    found = rated(dataset)
    drawn = drawing(dataset, found, n_resamples, seed)
    sections = (
        drawn.section(lambda some, resampler: win_rates(some, resampler, "zero_shot")),
        drawn.section(distributions),
        drawn.section(against_human_opinions),
        drawn.section(exclusion),
    )
    if rounds_a_question > 1:
        return {one.key: one for part in sections for one in part.figures if one.key in FIGURES}
    rng = np.random.default_rng([seed, n_groups, 1])
    dataset = simulate_study(rng, **vars(replace(WITH_PREDICTIONS, n_groups=n_groups)))[0]
    found = rated(dataset)
    resampler = Resampler(found.n_groups, n_resamples, rng)
    sections += (
        divisiveness(found, resampler),
        raters(dataset, found, resampler, threshold=-1),
        reward_model(dataset, found, resampler),
        best_of_n(found, predicted(dataset, found, "simulated"), resampler),
    )
    return {one.key: one for section in sections for one in section.figures if one.key in TRUTHS}


def coverage(
    n_groups: int,
    n_studies: int,
    n_resamples: int = N_RESAMPLES,
    rounds_a_question: int = 1,
) -> dict[str, tuple[int, int]]:
    """For each figure: how many intervals held the truth, and how many there were."""
    truth = {key: true_figures(DESIGN)[name].value for key, name in FIGURES.items()}
    others = true_figures(WITH_PREDICTIONS)
    truth |= {key: others[name].value for key, name in OTHER_FIGURES.items()}
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for seed in range(n_studies):
        for key, one in estimated(n_groups, seed, n_resamples, rounds_a_question).items():
            if one.low is not None and one.high is not None:
                counts[key][0] += one.low <= truth[key] <= one.high
                counts[key][1] += 1
    return {key: (held, n) for key, (held, n) in counts.items()}


def rows(n_groups: int, n_studies: int, rounds_a_question: int = 1) -> Iterator[str]:
    start = time.perf_counter()
    ours = coverage(n_groups, n_studies, rounds_a_question=rounds_a_question)
    with patch.object(intervals, "tail", lambda _: 0.025):
        plain = coverage(n_groups, n_studies, rounds_a_question=rounds_a_question)
    for key, (held, n) in ours.items():
        error = math.sqrt(0.95 * 0.05 / n)
        yield (
            f"| {n_groups} | {key} | {held / n:.1%} (of {n}) | {plain[key][0] / plain[key][1]:.1%} "
            f"| {error:.1%} |"
        )
    held, n = (sum(ours[key][i] for key in FIGURES) for i in (0, 1))
    plain_held, plain_n = (sum(plain[key][i] for key in FIGURES) for i in (0, 1))
    yield (
        f"| {n_groups} | **the first ten** | **{held / n:.1%}** "
        f"| **{plain_held / plain_n:.1%}** | |"
    )
    print(f"{n_groups} groups: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--groups", type=int, nargs="+", default=[6, 10, 20, 40, 80])
    parser.add_argument("--rounds-a-question", type=int, default=1)
    args = parser.parse_args()
    print("| groups | figure | holds the truth | plain percentiles | Monte-Carlo error |")
    print("|---|---|---|---|---|")
    for n_groups in args.groups:
        for row in rows(n_groups, args.studies, args.rounds_a_question):
            print(row, flush=True)


if __name__ == "__main__":
    main()
