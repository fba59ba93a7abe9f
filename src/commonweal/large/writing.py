"""Writers for many: the number of prompts grows with the candidates, not with the opinions.

Both write one candidate (two, where statements are to be written from statements) from each opinion
group first: these are its own statements, and stand among the candidates. Then

- ``Sampled``: each candidate from a stratified sample of its own, in which small groups have more
  than their share (``sampling.chances``);
- ``Recursive``: from the groups' statements, the paper's second pointer (5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from commonweal.datasets.words import tokens
from commonweal.errors import GenerationError, InputError
from commonweal.large.sampling import chances, stratified
from commonweal.policies.ruled import RuledPolicy
from commonweal.types import (
    Candidate,
    Generation,
    LanguageModel,
    Opinion,
    Policy,
    Question,
    Rejection,
    WritesFromSamples,
)

if TYPE_CHECKING:
    from commonweal.large.groups import OpinionGroups

N_IN_PROMPT = 16
"""Opinions in one prompt: small models lose the thread of more."""

Draw = Callable[[np.random.Generator], Sequence[Opinion]]


class Writer(Protocol):
    """How the opinions of a prompt are drawn."""

    @property
    def name(self) -> str:
        """Under which it is chosen and recorded."""
        ...

    @property
    def n_per_group(self) -> int:
        """Statements that are written from each opinion group alone."""
        ...

    def sources(
        self, people: Sequence[Opinion], groups: OpinionGroups, statements: Sequence[Candidate]
    ) -> Draw:
        """Draws what one candidate is written from.

        Args:
            people: everybody.
            groups: whom the groups hold, those left out who may not be seen.
            statements: what was written from groups alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sampled:
    """Each candidate from a stratified sample of opinions; everybody's chance is known."""

    name: str = "sampled"
    n_per_group: int = 1

    def sources(
        self, people: Sequence[Opinion], groups: OpinionGroups, statements: Sequence[Candidate]
    ) -> Draw:
        """See ``Writer``."""
        del statements
        return lambda rng: [
            people[int(groups.rows[place])]
            for place in stratified(groups.labels, N_IN_PROMPT, rng, with_floor=True)
        ]


@dataclass(frozen=True, slots=True)
class Recursive:
    """Each candidate from the opinion groups' statements."""

    name: str = "recursive"
    n_per_group: int = 2

    def sources(
        self, people: Sequence[Opinion], groups: OpinionGroups, statements: Sequence[Candidate]
    ) -> Draw:
        """See ``Writer``; with fewer than two statements to write from as ``Sampled``."""
        if len(statements) < 2:
            return Sampled().sources(people, groups, statements)
        written = [Opinion(each.id, each.text) for each in statements]
        return lambda _: written


WRITERS: dict[str, Writer] = {each.name: each for each in (Sampled(), Recursive())}


def writer_named(name: str) -> Writer:
    """The writer of that name.

    Raises:
        InputError: there is none.
    """
    if name not in WRITERS:
        raise InputError(f"the writing is {name!r}; expected {' or '.join(WRITERS)}")
    return WRITERS[name]


@dataclass(frozen=True, slots=True, eq=False)
class ManyPolicy:
    """A policy that writes for many people with another policy (the protocol ``Policy``).

    The opinions that it is called with are those whose agreement is predicted; it writes from
    everybody's.

    Attributes:
        policy: what writes from a prompt's opinions.
        writer: how these are drawn.
        people: everybody.
        groups: whom the groups hold, those left out who may not be seen.
        own: filled as it writes: the text of a statement to the group whose own it is.
    """

    policy: Policy
    writer: Writer
    people: Sequence[Opinion]
    groups: OpinionGroups
    own: dict[str, int]

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.name

    @property
    def model(self) -> LanguageModel:
        """The language model that writes."""
        return self.policy.model

    def chance(self) -> tuple[float, float]:
        """The least and the greatest chance of a person read to be in one sampled prompt."""
        shares = chances(self.groups.sizes, N_IN_PROMPT)
        return float(shares.min()), float(shares.max())

    def generate(
        self,
        question: Question,
        opinions: Sequence[Opinion],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """``n_candidates`` candidates, and behind them the groups' own statements.

        Raises:
            GenerationError: nothing survived parsing.
        """
        del opinions
        n_groups = len(self.groups.sizes)
        n_own = n_groups * self.writer.n_per_group if n_groups > 1 else 0
        n_done = 0

        def report(n: int, _total: int) -> None:
            if on_done is not None:
                on_done(n_done + n, max(n_done + n, n_own + n_candidates))

        parts = []
        for group in range(n_groups if n_own else 0):
            part = self._of_group(question, group, rng, report)
            n_done += part.n_sampled
            parts.append(part)
        statements = [
            replace(each, id=f"group statement {n + 1}")
            for n, each in enumerate(each for part in parts for each in part.candidates)
        ]
        draw = self.writer.sources(self.people, self.groups, statements)
        rest = self._from(question, draw, n_candidates, rng, report)
        behind = {each.id: each.included_opinion_ids for each in statements}
        candidates = [
            replace(each, included_opinion_ids=_people(each.included_opinion_ids, behind))
            for each in rest.candidates
        ]
        known = {tuple(tokens(each.text)) for each in candidates}
        candidates += [each for each in statements if tuple(tokens(each.text)) not in known]
        rejections = tuple(each for part in (*parts, rest) for each in part.rejections)
        n_sampled = sum(part.n_sampled for part in (*parts, rest))
        if not candidates:
            raise GenerationError(
                f"none of {n_sampled} completions by {self.model.model_id} can be shown to the "
                "group; try another seed, another policy or a larger model",
                list(rejections),
            )
        notes = tuple(dict.fromkeys(note for part in (*parts, rest) for note in part.notes))
        return Generation(tuple(candidates), rejections, n_candidates, n_sampled, notes)

    def _of_group(
        self,
        question: Question,
        group: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None],
    ) -> Generation:
        rows = self.groups.rows[self.groups.labels == group]

        def draw(rng: np.random.Generator) -> list[Opinion]:
            drawn = rng.choice(rows, min(N_IN_PROMPT, len(rows)), replace=False)
            return [self.people[int(row)] for row in drawn]

        generation = self._from(question, draw, self.writer.n_per_group, rng, on_done)
        self.own.update({each.text: group for each in generation.candidates})
        return replace(generation, notes=self.model.notes if generation.candidates else ())

    def _from(
        self,
        question: Question,
        draw: Draw,
        n: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None],
    ) -> Generation:
        """What the policy writes from what is drawn; nothing, where nothing survived parsing."""
        policy = self.policy.writer if isinstance(self.policy, RuledPolicy) else self.policy
        try:
            if isinstance(policy, WritesFromSamples):
                return policy.generate_from(
                    question, draw, n_candidates=n, rng=rng, on_done=on_done
                )
            return _one_by_one(policy, question, draw, n, rng, on_done)
        except GenerationError as error:
            return Generation((), tuple(error.rejections), n, len(error.rejections), ())


def _one_by_one(
    policy: Policy,
    question: Question,
    draw: Draw,
    n: int,
    rng: np.random.Generator,
    on_done: Callable[[int, int], None],
) -> Generation:
    """For a policy of an installed package that cannot write from samples in one batch."""
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    notes: list[str] = []
    n_sampled = 0
    for number in range(n):
        try:
            generation = policy.generate(question, draw(rng), n_candidates=1, rng=rng)
        except GenerationError as error:
            rejections += error.rejections
            n_sampled += len(error.rejections)
            continue
        known = {tuple(tokens(each.text)) for each in candidates}
        candidates += [
            each for each in generation.candidates if tuple(tokens(each.text)) not in known
        ]
        rejections += generation.rejections
        notes += generation.notes
        n_sampled += generation.n_sampled
        on_done(number + 1, n)
    return Generation(
        tuple(candidates), tuple(rejections), n, n_sampled, tuple(dict.fromkeys(notes))
    )


def _people(included: Sequence[str], behind: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The ids of the people behind what a prompt held, each once."""
    return tuple(dict.fromkeys(name for each in included for name in behind.get(each, (each,))))
