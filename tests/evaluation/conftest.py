"""What the tests of the evaluation share."""

from __future__ import annotations

import pytest

from commonweal.evaluation import groups_needed


@pytest.fixture
def quick_power(monkeypatch):
    """One win rate and few simulations in the section on power, which has tests of its own."""
    monkeypatch.setattr(groups_needed, "WIN_RATES", (0.75,))
    monkeypatch.setattr(groups_needed, "N_SIMULATIONS", 100)
