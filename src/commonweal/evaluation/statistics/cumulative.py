"""The cumulative logit model with crossed random effects, fitted by its restricted likelihood.

    P(rating <= j) = 1 / (1 + exp(-(threshold_j - x beta - sum of random effects)))

With two categories it is the mixed logistic regression. Two steps, both by Laplace's approximation
(Tierney and Kadane 1986). With fixed and random effects integrated out together, the standard
deviations of the random effects maximise what is left, as REML does in a linear model. Given them,
thresholds and effects maximise the likelihood with the random effects integrated out, as in lme4's
glmer and R's ordinal::clmm. No package for Python fits an ordinal model with crossed random
effects by its likelihood; scipy's sparse matrices do the work here. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, sparse
from scipy.sparse.linalg import splu
from scipy.special import expit

from commonweal.errors import CommonwealError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from commonweal.types import FloatArray

    BoolArray = NDArray[np.bool_]
    IntArray = NDArray[np.int64]

_FIRST_SPREAD = 0.5
_LEAST_SPREAD, _LARGEST_SPREAD = 0.01, 20.0
_STEP, _CLOSE_SPREADS = 5e-3, 1e-7
_FAR = 1e3
_MOST_STEPS, _MOST_HALVINGS, _CLOSE = 100, 40, 1e-7
_N_CHORDS = 4
"""Steps with the factors of the spreads before: these are near, and a step costs a tenth."""


class NoFitError(CommonwealError):
    """The likelihood has no maximum that was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The model at its maximum.

    Attributes:
        thresholds: float [n_categories - 1], rising, in log-odds.
        effects: float [k], of the columns of ``x``, in log-odds.
        covariance: float [k, k], of the effects, given the spreads.
        spreads: float [n_terms], the standard deviation of each random effect, in log-odds.
        log_likelihood: restricted, by Laplace's approximation.
    """

    thresholds: FloatArray
    effects: FloatArray
    covariance: FloatArray
    spreads: FloatArray
    log_likelihood: float


def fit_cumulative(y: IntArray, x: FloatArray, levels: Sequence[IntArray]) -> Fit:
    """The fit of ratings to ``x`` and to random intercepts of each of ``levels``.

    Args:
        y: each rating's category, counted from 0 without gaps [n].
        x: fixed effects [n, k], without an intercept: the thresholds are it.
        levels: for each random effect the level of each rating, from 0 without gaps [n].

    Raises:
        NoFitError: no maximum was found, as where a column of ``x`` tells the rating without fail.
    """
    model = _Model(y, x, levels)

    start = np.full(len(levels), np.log(_FIRST_SPREAD))
    first = -model.restricted(np.exp(start))

    def minus(log_spreads: FloatArray) -> float:
        try:
            return -model.restricted(np.exp(log_spreads))
        except NoFitError:  # a step that went to spreads with which no number holds the ratings
            model.restart()
            return first + _FAR

    fitted = optimize.minimize(
        minus,
        start,
        method="L-BFGS-B",
        bounds=[(np.log(_LEAST_SPREAD), np.log(_LARGEST_SPREAD))] * len(levels),
        options={"eps": _STEP, "ftol": _CLOSE_SPREADS, "gtol": 1e-2},
    )
    spreads = np.exp(fitted.x)
    log_likelihood = model.restricted(spreads)
    n, n_fixed = model.n_thresholds, model.n_fixed
    columns = np.eye(model.n_parameters, n_fixed)
    covariance = model.factors.solve(columns)[:n_fixed]
    covariance = (covariance + covariance.T) / 2
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise NoFitError("the effects cannot be told apart in these ratings") from None
    fixed = model.mode[:n_fixed].copy()

    def minus_at(moved: FloatArray) -> float:
        return -model.marginal(spreads, fixed + root @ moved)

    # In units of the standard errors the likelihood is nearly a sphere: a few steps are enough.
    best = optimize.minimize(
        minus_at,
        np.zeros(n_fixed),
        method="L-BFGS-B",
        options={"eps": _STEP, "ftol": 1e-10, "gtol": 5e-3},
    )
    fixed = fixed + root @ best.x
    return Fit(
        thresholds=fixed[:n],
        effects=fixed[n:],
        covariance=covariance[n:, n:],
        spreads=spreads,
        log_likelihood=log_likelihood,
    )


class _Model:
    """The penalised log-likelihood of thresholds, effects and standard-normal random effects.

    It is concave in all of them together (Burridge 1981), so that Newton's steps, halved where
    they go too far, end at its one maximum. ``mode`` and ``factors`` are those of the last call.
    """

    def __init__(self, y: IntArray, x: FloatArray, levels: Sequence[IntArray]) -> None:
        n = len(y)
        self.n_thresholds = int(y.max())
        sizes = [int(level.max()) + 1 for level in levels]
        self.n_fixed = self.n_thresholds + x.shape[1]
        self.n_parameters = self.n_fixed + sum(sizes)
        self._term = np.repeat(np.arange(len(sizes)), sizes)
        self._is_random = np.arange(self.n_parameters) >= self.n_fixed
        self._is_top, self._is_bottom = y == self.n_thresholds, y == 0
        rows, ones = np.arange(n), np.ones(n)

        def one_in(where: BoolArray, column: IntArray, n_columns: int) -> Any:
            return sparse.csr_matrix(
                (ones[where], (rows[where], column[where])), shape=(n, n_columns)
            )

        everywhere = np.ones(n, dtype=bool)
        # The thresholds above and below each rating; the ends have none.
        self._above = one_in(~self._is_top, y, self.n_thresholds)
        self._below = one_in(~self._is_bottom, y - 1, self.n_thresholds)
        random = [
            one_in(everywhere, level, size) for level, size in zip(levels, sizes, strict=True)
        ]
        self._columns = sparse.hstack([sparse.csr_matrix(x), *random], format="csr")
        self._above_t, self._below_t = self._above.T.tocsr(), self._below.T.tocsr()
        self._columns_t = self._columns.T.tocsr()
        self._shares = np.bincount(y).cumsum()[:-1] / n
        # The parameters that a rating is about, and how its a and b move with each: [n, entries].
        offsets = self.n_fixed + np.cumsum([0, *sizes[:-1]])
        of_columns = np.hstack([x, np.ones((n, len(sizes)))])
        self._entries = np.column_stack(
            [
                np.where(self._is_top, 0, y),
                np.where(self._is_bottom, 0, y - 1),
                np.tile(np.arange(self.n_thresholds, self.n_fixed), (n, 1)),
                *(level + offset for level, offset in zip(levels, offsets, strict=True)),
            ]
        )
        zeros = np.zeros(n)
        self._of_above = np.column_stack([~self._is_top, zeros, -of_columns])
        self._of_below = np.column_stack([zeros, ~self._is_bottom, -of_columns])
        self._patterns: dict[int, _Pattern] = {}
        self._n_terms = len(sizes)
        self.restart()

    def restart(self) -> None:
        """Begins again where nothing but the thresholds is known."""
        self.mode = np.zeros(self.n_parameters)
        self.mode[: self.n_thresholds] = np.log(self._shares / (1 - self._shares))
        self.factors: Any = None
        self._first = 0
        self._spreads = np.ones(self._n_terms)

    def restricted(self, spreads: FloatArray) -> float:
        """The log-likelihood of these spreads, all effects integrated out."""
        return self._integrated(spreads, 0)

    def marginal(self, spreads: FloatArray, fixed: FloatArray) -> float:
        """The log-likelihood of spreads, thresholds and effects, random effects integrated out.

        Minus infinity where thresholds do not rise.
        """
        if (np.diff(fixed[: self.n_thresholds]) <= 0).any():
            return -np.inf
        if self._first != self.n_fixed:
            self.factors = None
        self.mode[: self.n_fixed] = fixed
        return self._integrated(spreads, self.n_fixed)

    def _integrated(self, spreads: FloatArray, first: int) -> float:
        """Laplace's approximation over the parameters from ``first`` on, the others held."""
        t = self.n_thresholds
        scale = np.ones(self.n_parameters - t)
        scale[self._is_random[t:]] = spreads[self._term]
        free = np.arange(self.n_parameters) >= first
        # What the random effects add to a rating stays as it was: where spreads grow many times
        # over, the same standard-normal values would put ratings beyond any number.
        start = self.mode.copy()
        start[self._is_random] *= (self._spreads / spreads)[self._term]

        def between(mode: FloatArray) -> tuple[FloatArray, FloatArray]:
            along = self._columns @ (scale * mode[t:])
            return self._above @ mode[:t] - along, self._below @ mode[:t] - along

        def value_at(mode: FloatArray) -> float:
            if (np.diff(mode[:t]) <= 0).any():
                return -np.inf  # beyond, shares would be negative, and there are false maxima
            with np.errstate(divide="ignore"):
                log_shares = np.log(self._share(*between(mode)))
            return float(log_shares.sum() - 0.5 * (mode[self._is_random] ** 2).sum())

        def gradient_at(mode: FloatArray, da: FloatArray, db: FloatArray) -> FloatArray:
            of_thresholds = self._above_t @ da + self._below_t @ db
            of_columns = -scale * (self._columns_t @ (da + db))
            whole = np.concatenate([of_thresholds, of_columns]) - self._is_random * mode
            part: FloatArray = whole[first:]
            return part

        def moved(mode: FloatArray, step: FloatArray) -> FloatArray:
            tried = mode.copy()
            tried[free] += step
            return tried

        mode, value = start, value_at(start)
        if self.factors is not None:
            for _ in range(_N_CHORDS):
                da, db, *_ = self._derivatives(*between(mode))
                tried = moved(mode, self.factors.solve(gradient_at(mode, da, db)))
                if not (at := value_at(tried)) > value + _CLOSE:
                    break
                mode, value = tried, at
        for _ in range(_MOST_STEPS):
            da, db, aa, bb, ab = self._derivatives(*between(mode))
            gradient = gradient_at(mode, da, db)
            self.factors = _factors(self._curvature(scale, aa, bb, ab, first))
            step = self.factors.solve(gradient)
            close = float(gradient @ step) < _CLOSE
            for halving in range(_MOST_HALVINGS):
                tried = moved(mode, step / 2**halving)
                if (at := value_at(tried)) >= value:
                    mode, value = tried, at
                    break
            else:
                close = True
            if close:
                break
        else:
            raise NoFitError(f"no maximum after {_MOST_STEPS} steps")
        self.mode, self._first, self._spreads = mode, first, spreads
        log_determinant = float(np.log(np.abs(self.factors.U.diagonal())).sum())
        return value - 0.5 * log_determinant

    def _curvature(
        self, scale: FloatArray, aa: FloatArray, bb: FloatArray, ab: FloatArray, first: int
    ) -> Any:
        """Minus the second derivatives of what ``value_at`` gives, from ``first`` on, sparse.

        Which numbers are not 0 is the same at every call: it is found once, and then filled in.
        """
        begin = 0 if first == 0 else self._entries.shape[1] - self._n_terms
        entries = self._entries[:, begin:]
        if first not in self._patterns:
            self._patterns[first] = _Pattern.of(
                entries - first, self.n_parameters - first, self._is_random[first:]
            )
        scales = np.concatenate([np.ones(self.n_thresholds), scale])[entries]
        a, b = self._of_above[:, begin:] * scales, self._of_below[:, begin:] * scales
        aa, bb, ab = aa[:, None], bb[:, None], ab[:, None]
        parts = a[:, :, None] * (a * aa + b * ab)[:, None, :]
        parts += b[:, :, None] * (a * ab + b * bb)[:, None, :]
        return self._patterns[first].filled(-parts)

    def _share(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """The probability of each rating: between its thresholds ``a`` above and ``b`` below."""
        turn = a + b > 0  # differences of small numbers lose less than of numbers near 1
        high = np.where(self._is_top, 1.0, expit(np.where(turn, -a, a)))
        low = np.where(self._is_bottom, 0.0, expit(np.where(turn, -b, b)))
        high = np.where(self._is_top & turn, 0.0, high)
        low = np.where(self._is_bottom & turn, 1.0, low)
        share: FloatArray = np.abs(high - low)
        return share

    def _derivatives(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, ...]:
        """Of each rating's log-probability by a, b, a twice, b twice, and both."""
        share = np.maximum(self._share(a, b), 1e-300)
        fa = np.where(self._is_top, 0.0, expit(a) * expit(-a))
        fb = np.where(self._is_bottom, 0.0, expit(b) * expit(-b))
        da, db = fa / share, -fb / share
        aa = fa * (1 - 2 * expit(a)) / share - da**2
        bb = -fb * (1 - 2 * expit(b)) / share - db**2
        return da, db, aa, bb, -da * db


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """Where a symmetric sparse matrix that is a sum over ratings has numbers.

    Attributes:
        indices, indptr: as in scipy's ``csc_matrix``.
        places: of each rating's parts the place among these numbers, flat.
        diagonal: the places to which a random effect adds its own 1.
    """

    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    places: IntArray
    diagonal: IntArray

    @classmethod
    def of(cls, entries: IntArray, size: int, is_random: BoolArray) -> _Pattern:
        """That of ratings which are about these parameters each [n, entries]."""
        cells = (entries[:, :, None] * size + entries[:, None, :]).ravel()
        cells, places = np.unique(cells, return_inverse=True)
        starts = np.searchsorted(cells, np.arange(size + 1) * size)
        own = np.flatnonzero(is_random) * (size + 1)
        return cls(
            (cells % size).astype(np.int32),
            starts.astype(np.int32),
            places.ravel(),
            np.searchsorted(cells, own),
        )

    def filled(self, parts: FloatArray) -> Any:
        """The matrix of these parts [n, entries, entries]."""
        n = len(self.indices)
        data = np.bincount(self.places, parts.ravel(), minlength=n).astype(np.float64, copy=False)
        data[self.diagonal] += 1.0
        size = len(self.indptr) - 1
        return sparse.csc_matrix((data, self.indices, self.indptr), shape=(size, size))


def _factors(curved: Any) -> Any:
    try:
        return splu(
            curved,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError:  # exactly singular
        raise NoFitError("the effects cannot be told apart in these ratings") from None
