"""Whether chains have converged, and the libraries that sample them (extra `stats`)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import CommonwealError
from commonweal.extras import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

MAX_R_HAT, MIN_ESS, MAX_DIVERGENT_SHARE = 1.01, 400, 0.001
"""Beyond these a fit is not to be used. R-hat and effective sample size: Vehtari et al. (2021)."""


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How the sampling went, over every parameter that is reported: effects, thresholds, spreads.

    Attributes:
        max_r_hat: the largest rank-normalised split R-hat; 1 is converged.
        min_ess_bulk: the smallest effective sample size of a centre.
        min_ess_tail: the smallest effective sample size of the 5 % and 95 % quantiles.
        n_divergent: draws after tuning whose trajectory diverged.
        n_draws: draws kept, all chains.
        n_chains: chains.
        worst: the parameter with the largest R-hat.
    """

    max_r_hat: float
    min_ess_bulk: float
    min_ess_tail: float
    n_divergent: int
    n_draws: int
    n_chains: int
    worst: str

    def problems(self) -> tuple[str, ...]:
        """Why the fit is not to be used, in sentences; none where it may be."""
        problems = []
        # Written so that NaN, which a chain that never moved gives, is a problem too.
        if not self.max_r_hat <= MAX_R_HAT:
            problems.append(
                f"R-hat of {self.worst} is {self.max_r_hat:.3f}, expected at most {MAX_R_HAT}: "
                "the chains disagree"
            )
        for name, size in (("bulk", self.min_ess_bulk), ("tail", self.min_ess_tail)):
            if not size >= MIN_ESS:
                problems.append(
                    f"the smallest {name} effective sample size is {size:.0f}, expected at least "
                    f"{MIN_ESS}: too few independent draws"
                )
        if self.n_divergent > MAX_DIVERGENT_SHARE * self.n_draws:
            problems.append(
                f"{self.n_divergent} of {self.n_draws} draws diverged, expected at most "
                f"{MAX_DIVERGENT_SHARE:.1%}: part of the posterior was not reached"
            )
        return tuple(problems)


class NotConvergedError(CommonwealError):
    """A mixed model's chains have not converged; there is no result. ``diagnostics`` says how."""

    def __init__(self, message: str, diagnostics: Diagnostics) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


def diagnose(draws: Mapping[str, FloatArray], divergent: NDArray[np.bool_]) -> Diagnostics:
    """How the sampling of these parameters went.

    Args:
        draws: parameter to draws [n_chains, n_draws, ...].
        divergent: whether each draw's trajectory diverged [n_chains, n_draws].
    """
    arviz = library("arviz")
    worst, max_r_hat, bulk, tail = "", -np.inf, np.inf, np.inf
    for name, values in draws.items():
        flat = np.asarray(values, dtype=float).reshape(*divergent.shape, -1)
        for one in np.moveaxis(flat, -1, 0):
            with quiet():  # a chain that never moved divides by 0
                r_hat = float(arviz.rhat(one))
                bulk = np.minimum(bulk, float(arviz.ess(one, method="bulk")))  # NaN stays NaN
                tail = np.minimum(tail, float(arviz.ess(one, method="tail")))
            if not np.isnan(max_r_hat) and not r_hat <= max_r_hat:  # NaN is the worst
                worst, max_r_hat = name, r_hat
    return Diagnostics(
        max_r_hat=max_r_hat,
        min_ess_bulk=float(bulk),
        min_ess_tail=float(tail),
        n_divergent=int(divergent.sum()),
        n_draws=divergent.size,
        n_chains=divergent.shape[0],
        worst=worst,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' own reports on convergence: ours are louder, see ``Diagnostics``."""
    loggers = [logging.getLogger(name) for name in ("pymc", "bambi")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def library(name: str) -> Any:
    """A library of the extra `stats`: bambi, or what came with it.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needs("stats", "the sampled mixed model"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # arviz-plots 0.8, the last for Python 3.11, reaches for this module without importing it,
        # and matplotlib 3.11 no longer does so itself.
        with suppress(ImportError):
            import_module("matplotlib.style.core")
        return import_module(name)
