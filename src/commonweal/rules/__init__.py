"""Welfare rules by name: which of a group's candidates is best, given everybody's utilities.

A rule is a function from utilities [n_participants, n_candidates], expected ratings from 1 to 7, to
welfare [n_candidates], where higher is better for the group. The isoelastic family of the paper
(``welfare.Isoelastic``) has names for three of its members; other rules come with installed
packages or as functions (docs/plugins.md).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from commonweal import registry
from commonweal.errors import CommonwealError, InputError, PluginError
from commonweal.registry import FAMILY, WELFARE_RULES
from commonweal.welfare import FloatArray, Isoelastic, WelfareRule

DEFAULT_RULE = "utilitarian"

Welfare = str | WelfareRule | Callable[[FloatArray], ArrayLike]
"""How a rule may be given: by name, as a rule, or as a function of the utilities."""

UTILITARIAN = Isoelastic(0.0)
BERNOULLI_NASH = Isoelastic(1.0)
RAWLSIAN = Isoelastic(math.inf)
PAPERS_RULES = (UTILITARIAN, BERNOULLI_NASH, RAWLSIAN)
"""The members of the isoelastic family that have a name (paper 3.3)."""

MEANS = {
    UTILITARIAN: "the highest mean",
    BERNOULLI_NASH: "a high product: gains count more for people who agree less",
    RAWLSIAN: "the least-agreeing person to agree as much as possible",
}
"""What counts as best under each, in a few words."""


@dataclass(frozen=True, slots=True)
class FunctionRule:
    """A welfare rule that is not ours (the protocol ``WelfareRule``).

    Attributes:
        name: as recorded: "median".
        function: from utilities [n_participants, n_candidates] to welfare [n_candidates].
    """

    name: str
    function: Callable[[FloatArray], ArrayLike] = field(compare=False, repr=False)

    @property
    def alpha(self) -> None:
        """None: it is outside the isoelastic family."""
        return

    def welfare(self, utilities: FloatArray) -> FloatArray:
        """The welfare of each candidate, float64 [n_candidates], higher is better.

        Its unit is the function's own.

        Args:
            utilities: [n_participants, n_candidates], expected ratings from 1 to 7.

        Raises:
            PluginError: the function failed, or gave something else.
        """
        u = np.array(utilities, dtype=np.float64)
        u.setflags(write=False)  # a rule looks; what it saw is stored
        try:
            values = np.asarray(self.function(u), dtype=np.float64)
        except CommonwealError:
            raise
        except Exception as error:
            raise PluginError(
                f"the welfare rule {self.name!r} failed on utilities of shape {u.shape}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if values.shape != u.shape[1:] or not np.isfinite(values).all():
            got = f"shape {values.shape}" if values.shape != u.shape[1:] else f"{values.tolist()}"
            raise PluginError(
                f"the welfare rule {self.name!r} gave {got} for {u.shape[0]} participants and "
                f"{u.shape[1]} candidates; expected a finite number for each candidate"
            )
        return values


def isoelastic_from_spec(alpha: str) -> Isoelastic:
    """The member of the family with the α that follows the colon, as in "isoelastic:2".

    Raises:
        InputError: that is no number.
        WelfareDomainError: it is negative.
    """
    try:
        value = float(alpha)
    except ValueError:
        raise InputError(
            f"{FAMILY}:{alpha}: {alpha!r} is not a number; expected an alpha from 0 (utilitarian) "
            "up to inf (rawlsian)"
        ) from None
    return Isoelastic(value)


def resolve_rule(welfare: Welfare | None = None, alpha: float | None = None) -> WelfareRule:
    """The rule that is meant by a name, a function, or an alpha of the isoelastic family.

    Args:
        welfare: a name in ``registry.WELFARE_RULES`` or another name of one of ours ("nash"), a
            function, or a rule; utilitarian where nothing is said.
        alpha: inequality aversion. It overrides a member of the family, and contradicts any other
            rule.

    Raises:
        InputError: an unknown name, or an alpha beside a rule that has none.
        WelfareDomainError: ``alpha`` is negative or not a number.
        PluginError: the rule cannot be imported, or is no function.

    Example:
        >>> resolve_rule("nash").name, resolve_rule(alpha=2).name
        ('bernoulli_nash', 'isoelastic, α = 2')
    """
    if welfare is None:
        welfare = DEFAULT_RULE
    if alpha is None:
        return _rule(welfare)
    if welfare != FAMILY and (rule := _rule(welfare)).alpha is None:
        raise InputError(
            f"alpha is {alpha:g}, and the welfare rule {rule.name!r} has none; expected one of the "
            "two"
        )
    return Isoelastic(alpha)


def _rule(welfare: Welfare) -> WelfareRule:
    if isinstance(welfare, str):
        return _named(welfare)
    if isinstance(welfare, (Isoelastic, FunctionRule)):
        return welfare
    if isinstance(welfare, WelfareRule):
        return FunctionRule(welfare.name, welfare.welfare)
    if not callable(welfare):
        known = ", ".join(registry.names(WELFARE_RULES))
        raise InputError(
            f"welfare is {welfare!r}; expected a name ({known}) or a function of the utilities"
        )
    return FunctionRule(getattr(welfare, "__name__", type(welfare).__name__), welfare)


def _named(spec: str) -> WelfareRule:
    name, part = registry.split(spec)
    entry = registry.find(WELFARE_RULES, name, also="an alpha")
    if entry.name == FAMILY:
        if not part:
            raise InputError(f"{FAMILY} welfare needs an alpha; expected one, or {FAMILY}:2")
        return isoelastic_from_spec(part)
    if hasattr(entry.loaded, "from_spec"):
        loaded: Any = registry.make(WELFARE_RULES, spec)
    elif part:
        raise InputError(
            f"the welfare rule {entry.name!r} takes nothing after the colon, got {spec!r}"
        )
    else:
        loaded = entry.loaded
    if isinstance(loaded, Isoelastic):
        return loaded
    function = loaded.welfare if isinstance(loaded, WelfareRule) else loaded
    if not callable(function):
        raise PluginError(
            f"{entry.title} is a {type(loaded).__name__}; expected a function of the utilities"
        )
    return FunctionRule(f"{entry.name}:{part}" if part else entry.name, function)


def stored_rule(name: str, alpha: float | None) -> WelfareRule:
    """The rule that a record names, also where it is no longer installed: then it cannot be used
    again, and what it chose stands in the record.
    """
    if alpha is not None:
        return Isoelastic(alpha)
    try:
        return resolve_rule(name)
    except CommonwealError as error:
        return FunctionRule(name, _Gone(f"the welfare rule {name!r} of a stored record: {error}"))


@dataclass(frozen=True, slots=True)
class _Gone:
    """In the place of a function that is not there."""

    why: str

    def __call__(self, _utilities: FloatArray) -> FloatArray:
        raise InputError(self.why)


def described(rule: WelfareRule) -> str:
    """What counts as best under the rule, in a few words; of a function its docstring's begin."""
    if isinstance(rule, Isoelastic):
        return MEANS.get(rule, "")
    function = rule.function if isinstance(rule, FunctionRule) else rule
    lines = (inspect.getdoc(function) or "").splitlines() if inspect.isroutine(function) else []
    return lines[0].rstrip(".") if lines else ""
