"""How often the 95 % intervals hold the truth, over simulated studies whose truth is known.

    python tests/evaluation/interval_coverage.py [--studies 500] [--groups 6 10 20 40 80]
        [--rounds-a-question 3]

Prints, for each number of groups, the share of studies whose interval holds the population's value
(``known_figures``), with its Monte-Carlo standard error, beside what another interval would give:
plain percentiles, or, where rounds share questions, the wider of drawing groups and of drawing
questions, and drawing groups alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from known_figures import figures as true_figures
from known_truth import Design, simulate_study

from commonweal.evaluation.metrics import Metric
from commonweal.evaluation.rounds.predicted import predicted
from commonweal.evaluation.rounds.rated import rated
from commonweal.evaluation.sections.best_of_n import best_of_n
from commonweal.evaluation.sections.distributions import distributions
from commonweal.evaluation.sections.divisiveness import divisiveness
from commonweal.evaluation.sections.exclusion import exclusion
from commonweal.evaluation.sections.human_opinions import against_human_opinions
from commonweal.evaluation.sections.raters import raters
from commonweal.evaluation.sections.reward_model import reward_model
from commonweal.evaluation.sections.win_rates import win_rates
from commonweal.evaluation.statistics.shared_questions import Drawing, drawing
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
SHARED = replace(DESIGN, sd_slope_question=0.4, sd_slope_group=0.3)
"""Where rounds share questions, these matter: a question suits one policy more than another, and
so does a group."""
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


Held = dict[str, tuple[int, int]]
"""For each figure: how many intervals held the truth, and how many there were."""


def estimated(n_groups: int, seed: int, n_resamples: int = N_RESAMPLES) -> dict[str, Metric]:
    """The figures of one simulated study whose rounds have questions of their own."""
    rng = np.random.default_rng([seed, n_groups])
    dataset = simulate_study(rng, **vars(replace(DESIGN, n_groups=n_groups)))[0]
    drawn = drawing(dataset, rated(dataset), n_resamples, seed)
    rng = np.random.default_rng([seed, n_groups, 1])
    dataset = simulate_study(rng, **vars(replace(WITH_PREDICTIONS, n_groups=n_groups)))[0]
    found = rated(dataset)
    resampler = Resampler(found.n_groups, n_resamples, rng)
    sections = (
        divisiveness(found, resampler),
        raters(dataset, found, resampler, threshold=-1),
        reward_model(dataset, found, resampler),
        best_of_n(found, predicted(dataset, found, "simulated"), resampler),
    )
    others = {one.key: one for section in sections for one in section.figures}
    return _first_ten(drawn) | {key: others[key] for key in OTHER_FIGURES if key in others}


def _first_ten(drawn: Drawing) -> dict[str, Metric]:
    sections = (
        drawn.section(lambda some, resampler: win_rates(some, resampler, "zero_shot")),
        drawn.section(distributions),
        drawn.section(against_human_opinions),
        drawn.section(exclusion),
    )
    return {one.key: one for part in sections for one in part.figures if one.key in FIGURES}


def coverage(n_groups: int, n_studies: int, n_resamples: int = N_RESAMPLES) -> Held:
    """How often intervals hold the truth where each round has a question of its own."""
    truth = {key: true_figures(DESIGN)[name].value for key, name in FIGURES.items()}
    others = true_figures(WITH_PREDICTIONS)
    truth |= {key: others[name].value for key, name in OTHER_FIGURES.items()}
    return _held(truth, (estimated(n_groups, seed, n_resamples) for seed in range(n_studies)))


def coverage_shared(
    n_groups: int, n_studies: int, rounds_a_question: int, n_resamples: int = N_RESAMPLES
) -> tuple[Held, Held, Held]:
    """How often intervals hold the truth where rounds share questions.

    Ours, the wider of groups and questions, and groups alone.
    """
    truth = {key: true_figures(SHARED)[name].value for key, name in FIGURES.items()}
    n_questions = max(1, n_groups * SHARED.n_rounds_per_group // rounds_a_question)
    design = replace(SHARED, n_groups=n_groups, n_questions=n_questions)
    ours, wider, alone = [], [], []
    for seed in range(n_studies):
        dataset = simulate_study(np.random.default_rng([seed, n_groups]), **vars(design))[0]
        drawn = drawing(dataset, rated(dataset), n_resamples, seed)
        ours.append(_first_ten(drawn))
        wider.append(_first_ten(replace(drawn, by_round=None)))
        alone.append(_first_ten(replace(drawn, by_question=None)))
    return _held(truth, ours), _held(truth, wider), _held(truth, alone)


def _held(truth: Mapping[str, float], studies: Iterable[Mapping[str, Metric]]) -> Held:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for study in studies:
        for key, one in study.items():
            if one.low is not None and one.high is not None:
                counts[key][0] += one.low <= truth[key] <= one.high
                counts[key][1] += 1
    return {key: (held, n) for key, (held, n) in counts.items()}


def rows(n_groups: int, n_studies: int, rounds_a_question: int = 1) -> Iterator[str]:
    """The lines of the table for one number of groups."""
    start = time.perf_counter()
    if rounds_a_question > 1:
        found = coverage_shared(n_groups, n_studies, rounds_a_question)
    else:
        ours = coverage(n_groups, n_studies)
        with patch.object(intervals, "tail", lambda _: 0.025):
            found = ours, coverage(n_groups, n_studies)
    for key, (_, n) in found[0].items():
        shares = [f"{one[key][0] / one[key][1]:.1%}" for one in found]
        error = math.sqrt(0.95 * 0.05 / n)
        yield f"| {n_groups} | {key} | {n} | {' | '.join(shares)} | {error:.1%} |"
    sums = [[sum(one[key][i] for key in FIGURES) for i in (0, 1)] for one in found]
    together = " | ".join(f"**{held / n:.1%}**" for held, n in sums)
    yield f"| {n_groups} | **the first ten** | | {together} | |"
    print(f"{n_groups} groups: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--groups", type=int, nargs="+", default=[6, 10, 20, 40, 80])
    parser.add_argument("--rounds-a-question", type=int, default=1)
    args = parser.parse_args()
    others = (
        ("wider of both", "groups alone") if args.rounds_a_question > 1 else ("plain percentiles",)
    )
    columns = ["groups", "figure", "studies", "holds the truth", *others, "Monte-Carlo error"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for n_groups in args.groups:
        for row in rows(n_groups, args.studies, args.rounds_a_question):
            print(row, flush=True)


if __name__ == "__main__":
    main()
