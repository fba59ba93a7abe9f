"""What may be chosen where there are many people."""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.errors import InputError
from commonweal.large.writing import writer_named

MANY = 100
"""More people than this are many: their opinions do not go into one prompt, and of more than the
panel not everybody is asked for."""

N_PANEL = 200
"""People of whom all candidates are judged: a share is then known to within 7 per cent."""

N_SLATE = 3


@dataclass(frozen=True, slots=True)
class ManyOptions:
    """What may be chosen where there are many people.

    Attributes:
        writing: "sampled" or "recursive": see ``writing``.
        n_panel: people of whom all candidates are judged.
        n_slate: statements in a slate.
        slate_rule: "greedy" or "pav".

    Raises:
        InputError: a number or name that cannot be used.
    """

    writing: str = "sampled"
    n_panel: int = N_PANEL
    n_slate: int = N_SLATE
    slate_rule: str = "greedy"

    def __post_init__(self) -> None:
        writer_named(self.writing)
        if self.n_panel < 20:
            raise InputError(f"n_panel is {self.n_panel}, expected at least 20 people")
        if self.n_slate < 1:
            raise InputError(f"n_slate is {self.n_slate}, expected at least 1 statement")
        if self.slate_rule not in ("greedy", "pav"):
            raise InputError(f"slate_rule is {self.slate_rule!r}, expected greedy or pav")
