"""Figures that other modules work out: reliability, regressions and power arrive as they are."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from functools import cache
from statistics import mean

import numpy as np
import polars as pl
import pytest
from known_truth import simulate_study

from commonweal.errors import InputError
from commonweal.evaluation.evaluate import evaluate, plots
from commonweal.evaluation.page import render_page
from commonweal.evaluation.sections import effects as effects_module
from commonweal.evaluation.sections.effects import effects
from commonweal.evaluation.sections.groups_needed import power
from commonweal.evaluation.statistics import mixed_posterior
from commonweal.evaluation.statistics.convergence import Diagnostics, NotConvergedError
from commonweal.evaluation.statistics.group_outcomes import pilot_groups
from commonweal.evaluation.statistics.mixed_models import Difference, MixedModel
from commonweal.evaluation.statistics.power import groups_needed
from commonweal.evaluation.statistics.regression import policy_effects

pytestmark = pytest.mark.usefixtures("quick_power")


@cache
def dataset():
    return simulate_study(
        np.random.default_rng(61), n_groups=20, unreliable_share=0.2, missing_share=0.1
    )[0]


def weighted_kappa(pairs):
    """Cohen's kappa with quadratic weights from the table of counts, cell by cell."""
    table = np.zeros((7, 7))
    for a, b in pairs:
        table[a - 1, b - 1] += 1
    table /= table.sum()
    weight = [[(i - j) ** 2 for j in range(7)] for i in range(7)]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    return 1 - (weight * table).sum() / (weight * expected).sum()


def test_kappa_and_who_is_left_out():
    cells = defaultdict(dict)
    for row in dataset().ratings.iter_rows(named=True):
        key = (row["participant_id"], row["round_id"], row["candidate_id"])
        cells[key][row["pass_index"]] = row
    kappas = {}
    for outcome in ("agreement", "quality"):
        pairs = defaultdict(list)
        for (person, *_), both in cells.items():
            values = [both[k][outcome] for k in (0, 1)]
            if None not in values:
                pairs[person].append(values)
        kappas[outcome] = {p: weighted_kappa(some) for p, some in pairs.items() if len(some) > 3}
    figures = evaluate(dataset(), n_resamples=1000).figures
    for outcome, by_person in kappas.items():
        assert figures[f"kappa/{outcome}"].value == pytest.approx(mean(by_person.values()))
    out = [kappa < 0.2 for kappa in kappas["agreement"].values()]
    assert figures["unreliable"].value == pytest.approx(np.mean(out))
    assert figures["unreliable"].n == len(out)
    assert 0.05 < figures["unreliable"].low < figures["unreliable"].value


def test_the_regressions_are_shown_as_they_are():
    figures = {one.key: one for one in effects(dataset(), "zero_shot").figures}
    for outcome in ("agreement", "agrees", "quality"):
        for control in (False, True):
            found = policy_effects(
                dataset(), outcome=outcome, baseline="zero_shot", control_length=control
            )
            key = f"effect/{outcome}" + ("/equal_length" if control else "")
            for effect in found.effects:
                figure = figures[f"{key}/{effect.name}"]
                assert (figure.value, figure.low, figure.high, figure.p_value) == (
                    effect.estimate,
                    effect.low,
                    effect.high,
                    effect.p_value,
                )
            assert (f"{key}/length" in figures) == control
    assert "percentage points" in figures["effect/agrees/sft_base"].says
    assert " %" not in figures["effect/agrees/sft_base"].says


def test_power_is_shown_as_it_is():
    figures = {one.key: one for one in power(dataset(), "sft_base", "zero_shot", seed=3).figures}
    groups = pilot_groups(dataset(), policy="sft_base", baseline="zero_shot", statistic="mean")
    found = groups_needed(groups, win_rate=0.75, n_simulations=100, seed=3)
    figure = figures["power/pilot/0.75"]
    assert (figure.value, figure.low, figure.high) == (
        found.n_groups,
        found.n_groups_low,
        found.n_groups_high,
    )
    assert figure.n_groups == 20


def test_mixed_models_that_do_not_converge_are_figures_without_a_value(monkeypatch):
    diagnostics = Diagnostics(1.2, 10, 10, 0, 100, 4, "policy")

    def fit(*args, **more):
        raise NotConvergedError("R-hat of policy is 1.200, expected at most 1.01", diagnostics)

    monkeypatch.setattr(effects_module, "fit_posterior", fit)
    figures = {
        one.key: one for one in effects(dataset(), "zero_shot", sample_mixed_models=True).figures
    }
    assert "R-hat of policy is 1.200" in figures["mixed/logistic"].unavailable
    assert figures["effect/agreement/sft_base"].value is not None


def test_mixed_models_without_their_library_are_the_users_to_mend(monkeypatch):
    monkeypatch.setitem(sys.modules, "bambi", None)
    with pytest.raises(InputError, match=r'pip install "commonweal\[stats\]"'):
        evaluate(dataset(), n_resamples=1000, sample_mixed_models=True)


@pytest.mark.heavy
def test_mixed_models_are_shown_as_they_are(monkeypatch):
    """What they find is tested in ``test_mixed_models``; here, that it arrives."""
    model = MixedModel(
        kind="ordinal",
        fit="posterior",
        differences=(Difference("sft_base", "zero_shot", 0.5, 0.2, 0.8),),
        spreads={"group": 0.4},
        formula="agreement ~ policy + (1|group)",
        n_ratings=1044,
        n_missing=0,
        n_levels={"group": 20},
        prior="the log-odds between any two policies normal (0, 2)",
        diagnostics=Diagnostics(1.002, 1560, 1400, 1, 8000, 4, "policy"),
        software="bambi 0.17",
        warnings=("1 of 8000 draws diverged.",),
    )
    monkeypatch.setattr(effects_module, "fit_posterior", lambda *_, **__: model)
    section = effects(dataset(), "zero_shot", sample_mixed_models=True)
    figure = next(one for one in section.figures if one.key == "mixed/ordinal/sft_base")
    assert (figure.value, figure.low, figure.high, figure.n, figure.n_groups) == (
        *(0.5, 0.2, 0.8),
        *(1044, 20),
    )
    assert figure.warning == "1 of 8000 draws diverged."
    how = section.tables[-1].how
    assert "agreement ~ policy + (1|group)" in how
    assert "R-hat at most 1.002, effective sample size at least 1400" in how
    assert "Priors: the log-odds between any two policies normal (0, 2)." in how
    assert "random effects: group 0.40." in how
    drawn = plots(replace(evaluate(dataset(), n_resamples=1000), sections=(section,)))
    assert "Log-odds" in drawn["regression"][-1].svg
    assert "ordinal" in page_of(section)
    assert "How it was computed." in page_of(section)


def page_of(section):
    return render_page(replace(evaluate(dataset(), n_resamples=1000), sections=(section,)))


def test_one_mixed_model_that_cannot_be_fitted_costs_no_other_figure(monkeypatch):
    """All agree: logistic has nothing to explain, and the ordinal one is fitted all the same."""
    fitted = []
    real = mixed_posterior.fit_posterior

    def fit(data, *, kind, **more):
        fitted.append(kind)
        if kind == "ordinal":
            raise NotConvergedError("not tried here", Diagnostics(1, 1, 1, 0, 1, 1, ""))
        return real(data, kind=kind, **more)

    monkeypatch.setattr(effects_module, "fit_posterior", fit)
    agreed = replace(
        dataset(), ratings=dataset().ratings.with_columns(pl.col("agreement").clip(5, 7))
    )
    figures = {
        one.key: one for one in effects(agreed, "zero_shot", sample_mixed_models=True).figures
    }
    assert "all agree" in figures["mixed/logistic"].unavailable
    assert fitted == ["logistic", "ordinal"]
    assert figures["effect/agreement/sft_base"].value is not None


@pytest.mark.parametrize(
    ("design", "baseline", "said"),
    [
        ({"policies": {"few_shot": 0.0}}, "few_shot", "two policies"),
        ({"policies": {}, "human_effect": 0.0}, None, "no statement was written by a policy"),
        ({"n_groups": 1}, "zero_shot", "one group"),
    ],
)
def test_studies_that_no_mixed_model_fits_keep_their_other_figures(design, baseline, said):
    study = simulate_study(np.random.default_rng(3), **{"n_groups": 6, **design})[0]
    found = evaluate(study, n_resamples=1000, sample_mixed_models=True)
    assert found.facts["baseline"] == (baseline or "none")
    for kind in ("logistic", "ordinal"):
        assert said in found.figures[f"mixed/{kind}"].unavailable
    assert any(figure.value is not None for figure in found.figures.values())
