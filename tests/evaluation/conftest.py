"""What the tests of the evaluation share."""

from __future__ import annotations

import pytest

from commonweal.errors import InputError
from commonweal.evaluation.sections import effects, groups_needed


@pytest.fixture
def quick_power(monkeypatch):
    """One win rate and few simulations of power, and no mixed models: both have their own tests."""

    def left_out(*_, **__):
        raise InputError("not fitted in this test")

    monkeypatch.setattr(effects, "fit_likelihood", left_out)
    monkeypatch.setattr(groups_needed, "WIN_RATES", (0.75,))
    monkeypatch.setattr(groups_needed, "N_SIMULATIONS", 100)
