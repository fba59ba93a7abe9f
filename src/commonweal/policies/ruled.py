"""A policy whose name says how one of its candidates is picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonweal.policies.names import NamedPolicy
from commonweal.types import Generation, LanguageModel, Opinion, Policy, Question

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class RuledPolicy:
    """A writer with the rule that the policy's name holds (the protocol ``Policy``).

    Whoever picks among its candidates picks by that rule: ``find_agreement`` does, and refuses
    another.
    """

    writer: Policy
    named: NamedPolicy

    @property
    def name(self) -> str:
        """The policy's name, with its rule. The candidates have the writer's."""
        return self.named.name

    @property
    def model(self) -> LanguageModel:
        """The language model that writes."""
        return self.writer.model

    def generate(
        self,
        question: Question,
        opinions: Sequence[Opinion],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """What the writer writes: see ``Policy``.

        Raises:
            InputError: more than one candidate is asked of a policy that is one sample.
        """
        self.named.check_count(n_candidates)
        return self.writer.generate(
            question, opinions, n_candidates=n_candidates, rng=rng, on_done=on_done
        )
