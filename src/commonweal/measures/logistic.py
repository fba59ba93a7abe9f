"""Logistic regression with one slope, by Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commonweal.extras import needs

if TYPE_CHECKING:
    from commonweal.types import FloatArray

_MAX_STEPS, _MAX_STEP, _MAX_LOGIT = 100, 2.0, 50.0
_SAME = 1e-12


def logistic(
    x: FloatArray, y: FloatArray, *, weights: FloatArray | None = None, ridge: float = 0.0
) -> tuple[float, float] | None:
    """Intercept and slope of the regression of ``y`` on ``x``: E(y) = expit(intercept + slope x).

    Where ``y`` is not 0 or 1 but a share between them, this is the fractional regression of Papke
    and Wooldridge (1996): its mean is right whatever the spread of the shares.

    Args:
        x: float64 [n].
        y: from 0 to 1 [n].
        weights: how much each counts [n]; None counts all the same.
        ridge: penalty on the squared coefficients of the standardised x, as a share of the weight
            in all: a small one keeps them finite where x divides y without fail.

    Returns:
        None where there is no finite fit: x is the same throughout, or divides y without fail.
    """
    with needs("data", "a logistic fit"):
        from scipy.special import expit

    if not len(x) or np.ptp(x) <= 1e-9 * max(1.0, float(np.abs(x).max())):
        return None
    weights = np.ones_like(x) if weights is None else weights
    centre, spread = x.mean(), x.std()
    design = np.stack([np.ones_like(x), (x - centre) / spread], axis=1)
    total = weights.sum()
    penalty = ridge * total * np.eye(2)
    beta = np.zeros(2)
    for _ in range(_MAX_STEPS):
        mean = expit(design @ beta)
        gradient = design.T @ (weights * (y - mean)) - penalty @ beta
        curvature = (design * (weights * mean * (1 - mean))[:, None]).T @ design + penalty
        if np.linalg.det(curvature) <= _SAME * total**2:
            return None
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, _MAX_STEP / max(np.abs(step).max(), _SAME))
        beta += step
        if np.abs(beta).max() > _MAX_LOGIT:
            return None
        if np.abs(step).max() < 1e-10:
            return float(beta[0] - beta[1] * centre / spread), float(beta[1] / spread)
    return None
