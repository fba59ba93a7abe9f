"""The one tree of errors: what was got, where, what was expected, how to fix it.

Whatever commonweal raises on purpose is a ``CommonwealError``. At the command line an
``InputError`` (the user can mend it) exits with 2, any other ``CommonwealError`` with 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commonweal.types import Rejection

__all__ = [
    "CommonwealError",
    "EngineError",
    "GenerationError",
    "InputError",
    "MissingExtraError",
    "PluginError",
    "StoppedError",
    "TimeLimitError",
    "TrainingError",
    "UnsupportedByEngineError",
    "WeightsError",
    "WelfareDomainError",
]


class CommonwealError(Exception):
    """The base of every error that commonweal raises on purpose.

    It pickles with all its data, so that it passes through a pool of processes.
    """

    # An exception is made again from its arguments, which some of ours do not keep.
    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(
    kind: type[CommonwealError], args: tuple[Any, ...], held: dict[str, Any]
) -> CommonwealError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(held)
    return error


class InputError(CommonwealError):
    """Something the user gave (a file, an option, an argument) cannot be used as it is."""


class MissingExtraError(InputError):
    """What was asked for needs an extra that is not installed; the message says how to get it."""


class WelfareDomainError(InputError):
    """Utilities or an alpha outside the domain of the welfare functions (paper 3.3, eq. 1)."""


class WeightsError(CommonwealError):
    """Model weights are missing, truncated, changed, or could not be fetched or stored."""


class EngineError(CommonwealError):
    """A language-model engine could not be reached, refused, or answered with nonsense."""


class PluginError(CommonwealError):
    """A plugin, or an object that a caller passed in, cannot be used, failed, or does not keep to
    its protocol; the message names it.
    """


class StoppedError(CommonwealError):
    """A call was ended before it was done, because its caller no longer waits for it."""


class TimeLimitError(StoppedError):
    """A call was ended because it took longer than its ``timeout_seconds``."""


class UnsupportedByEngineError(EngineError):
    """This engine has no way to do what was asked (for example log-probabilities)."""


class TrainingError(CommonwealError):
    """A training run had to stop: a loss that is not finite, a checkpoint that cannot be kept."""


class GenerationError(CommonwealError):
    """No completion survived parsing. The raw texts are kept, with the reason for each."""

    def __init__(self, message: str, rejections: Sequence[Rejection]) -> None:
        super().__init__(message)
        self.rejections = tuple(rejections)
