"""A policy that is a prompt template over a language model: zero_shot and few_shot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from commonweal.calling import current
from commonweal.errors import GenerationError, InputError
from commonweal.models.empties import why_all_empty
from commonweal.policies.parsing import Parser
from commonweal.policies.prompts import BoundRevision, PromptTemplate, fit_opinions
from commonweal.types import (
    Candidate,
    Completion,
    Generation,
    LanguageModel,
    Opinion,
    Question,
    Rejection,
    RejectionReason,
    Sampling,
)

if TYPE_CHECKING:
    import numpy as np

MAX_ATTEMPTS = 4
"""How often completions are drawn: once, and up to three times more for those rejected."""

N_ORDERS = 4
"""Orders of the opinions in one call. An engine computes a prompt once for all that is drawn from
it, and on a processor reading 16 orders takes longer than writing 16 answers."""

TAKEN_OVER = 0.5
"""Share of the first draw that copies one opinion, or the statement to be revised, from which on
that is left out of the prompt: it gives the model orders, or is all that the model hears."""

HOTTER, HOTTEST = 0.2, 1.0
"""What is added to the temperature for the next draw where most of what was rejected had been
written before or was too short, and up to where. A sure model says the same each time: where that
does not help either, fewer candidates are enough. Ours (docs/decisions/047-plain-answers.md)."""

ROOM = 4
"""Times the template's tokens that a completion gets where the first draw was all too long."""


@dataclass(frozen=True, slots=True)
class _Sources:
    """Opinions as they stand in a prompt, and what is held against what is written from them."""

    texts: dict[str, str]
    parser: Parser


@dataclass(frozen=True, slots=True)
class _Draw:
    """One completion to come: its seed, and whose opinions its prompt holds in which order."""

    seed: int
    order: tuple[str, ...]
    sources: _Sources

    def without(self, name: str | None) -> _Draw:
        """The draw with this opinion left out of its prompt, where others are left."""
        order = tuple(each for each in self.order if each != name)
        return replace(self, order=order) if order else self


@dataclass(frozen=True, slots=True)
class PromptedPolicy:
    """A language model with a prompt template (the protocol ``Policy``).

    The opinions stand in up to ``N_ORDERS`` orders, one after another by turns, each beginning
    with somebody else, so that none is always first (docs/decisions/007-randomness.md).
    """

    name: str
    model: LanguageModel
    template: PromptTemplate | BoundRevision

    def generate(
        self,
        question: Question,
        opinions: Sequence[Opinion],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """Up to ``n_candidates`` candidates, fewer where too many completions were rejected.

        ``on_done`` is called with (n_completions_drawn, n_completions_to_draw).

        Raises:
            InputError: no opinions, or fewer than one candidate asked for.
            GenerationError: no completion became a candidate.
            EngineError: the language model failed.
        """
        if not opinions:
            raise InputError("no opinion is left to write from; expected at least one")
        sources, notes = self._sources(question, opinions)
        orders = _orders(list(sources.texts), rng)

        def draw(number: int) -> _Draw:
            return _Draw(int(rng.integers(2**31)), orders[number % len(orders)], sources)

        generation = self._generate(question, draw, n_candidates=n_candidates, on_done=on_done)
        return generation.with_notes_first(notes)

    def generate_from(
        self,
        question: Question,
        sample: Callable[[np.random.Generator], Sequence[Opinion]],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """As ``generate``, each candidate from a sample of its own (``WritesFromSamples``)."""
        notes: list[str] = []

        def draw(_number: int) -> _Draw:
            opinions = sample(rng)
            sources, more = self._sources(question, opinions)
            notes.extend(more)
            (order, *_) = _orders(list(sources.texts), rng)
            return _Draw(int(rng.integers(2**31)), order, sources)

        generation = self._generate(question, draw, n_candidates=n_candidates, on_done=on_done)
        return generation.with_notes_first(tuple(dict.fromkeys(notes)))

    def _sources(
        self, question: Question, opinions: Sequence[Opinion]
    ) -> tuple[_Sources, tuple[str, ...]]:
        delimiters = self.template.opinion.format(text="") + "\n"
        texts, notes = fit_opinions(opinions, self.model.count_tokens, delimiters=delimiters)
        return _Sources(texts, _parser(question.text, opinions, self.template)), notes

    def _generate(
        self,
        question: Question,
        draw_one: Callable[[int], _Draw],
        *,
        n_candidates: int,
        on_done: Callable[[int, int], None] | None,
    ) -> Generation:
        """As ``generate``; ``draw_one`` is called with the number of the completion, from 0."""
        if n_candidates < 1:
            raise InputError(f"n_candidates is {n_candidates}, expected at least 1")
        notes: tuple[str, ...] = ()
        candidates: list[Candidate] = []
        rejections: list[Rejection] = []
        n_sampled = 0
        before = (0, 0)  # candidates and completions of another prompt, whose share says nothing
        template, sampling = self.template, self.template.sampling
        completions: list[Completion] = []
        left_out: str | None = None
        is_hotter = False
        for attempt in range(MAX_ATTEMPTS):
            if attempt == 1 and all(each.finish_reason == "length" for each in completions):
                sampling = replace(sampling, max_tokens=ROOM * self.template.sampling.max_tokens)
                notes += (
                    f"every completion reached the limit of {self.template.sampling.max_tokens} "
                    f"tokens, so up to {sampling.max_tokens} were allowed",
                )
            share = (len(candidates) - before[0], n_sampled - before[1])
            n_rejected = len(rejections)
            n_draws = _n_draws(n_candidates, n_candidates - len(candidates), *share)
            draws = [draw_one(n_sampled + i).without(left_out) for i in range(n_draws)]
            completions = self._complete(question, draws, n_sampled, template, sampling, on_done)
            n_sampled += n_draws
            for draw, completion in zip(draws, completions, strict=True):
                if len(candidates) == n_candidates:
                    break
                accepted = [candidate.text for candidate in candidates]
                parsed = draw.sources.parser.parse(completion, accepted)
                if isinstance(parsed, Rejection):
                    rejections.append(parsed)
                else:
                    candidates.append(self._candidate(parsed, draw, len(candidates), attempt))
            if len(candidates) == n_candidates:
                break
            is_other_prompt = False
            copied = _taken_over_by(draws, completions) if attempt == 0 else None
            if copied and any(len(draw.order) > 1 for draw in draws):
                left_out = copied
                notes += (
                    f"most of the first {n_draws} texts copied the opinion of {left_out}, so the "
                    "others were written without showing it to the model; it is scored like all",
                )
                before, is_other_prompt = (len(candidates), n_sampled), True
            if attempt == 0 and (without := _without_statement(template, draws, completions)):
                template = without
                notes += (
                    f"most of the first {n_draws} texts repeated the statement that was to be "
                    "revised, so the others were written from opinions and critiques without "
                    "showing it to the model; it stands among the candidates",
                )
                before, is_other_prompt = (len(candidates), n_sampled), True
            if attempt == 0 and (why := why_all_empty(completions)):
                raise GenerationError(
                    f"{self.model.model_id}: all {n_draws} completions of the first draw are "
                    f"empty: {why}",
                    rejections,
                )
            if not is_other_prompt and _is_stuck(rejections[n_rejected:]):
                if candidates and is_hotter:
                    break
                sampling, is_hotter = _hotter(sampling), sampling.temperature > 0
        if not candidates:
            raise GenerationError(
                f"none of {n_sampled} completions by {self.model.model_id} can be shown to the "
                f"group ({_counted(rejections)}); try another seed, another policy or a larger "
                "model",
                rejections,
            )
        if len(candidates) < n_candidates:
            notes += (
                f"{len(candidates)} candidates instead of {n_candidates}: "
                f"{len(rejections)} of {n_sampled} completions were rejected "
                f"({_counted(rejections)})",
            )
        notes += self.model.notes
        return Generation(tuple(candidates), tuple(rejections), n_candidates, n_sampled, notes)

    def _complete(
        self,
        question: Question,
        draws: Sequence[_Draw],
        n_before: int,
        template: PromptTemplate | BoundRevision,
        sampling: Sampling,
        on_done: Callable[[int, int], None] | None,
    ) -> list[Completion]:
        prompts = [
            template.render(question.text, [draw.sources.texts[name] for name in draw.order])
            for draw in draws
        ]

        def report(n_done: int) -> None:
            if on_done is not None:
                on_done(n_before + n_done, n_before + len(draws))

        call = current()

        def arrived(index: int, completion: Completion) -> None:
            parsed = draws[index].sources.parser.parse(completion, [])
            if isinstance(parsed, str):
                call.tell_draft(parsed)

        more: dict[str, Any] = {}
        if call.wants_draft and getattr(self.model, "tells_completions", False):
            more = {"on_completion": arrived}
        report(0)
        answers = self.model.generate(
            prompts,
            seeds=[draw.seed for draw in draws],
            sampling=sampling,
            on_done=report,
            **more,
        )
        return [samples[0] for samples in answers]

    def _candidate(self, text: str, draw: _Draw, index: int, attempt: int) -> Candidate:
        return Candidate(
            id=f"c{index + 1:02d}",
            text=text,
            included_opinion_ids=draw.order,
            policy=self.name,
            model=self.model.model_id,
            prompt_hash=self.template.hash,
            seed=draw.seed,
            attempt=attempt,
        )


def _parser(
    question: str, opinions: Sequence[Opinion], template: PromptTemplate | BoundRevision
) -> Parser:
    if not isinstance(template, BoundRevision):
        return Parser(question, opinions, template.own_texts())
    given = (template.statement, *template.critiques)
    return Parser(question, opinions, template.own_texts(), given, template.statement)


def _n_draws(n_candidates: int, n_missing: int, n_accepted: int, n_sampled: int) -> int:
    """How many completions to draw next: as many as the share accepted so far makes likely to do,
    but no more than twice the number of candidates.
    """
    if n_sampled == 0:
        return n_missing
    share = max(n_accepted / n_sampled, 0.1)
    return min(math.ceil(n_missing / share), 2 * n_candidates)


def _hotter(sampling: Sampling) -> Sampling:
    """As it is where nothing is left to chance, or where it is as hot already."""
    cold = sampling.temperature
    return replace(sampling, temperature=max(cold, min(cold + HOTTER, HOTTEST)) if cold else 0.0)


def _is_stuck(rejections: Sequence[Rejection]) -> bool:
    """Whether more than half of these were written before, or say next to nothing."""
    stuck = (RejectionReason.DUPLICATE, RejectionReason.UNDER_LENGTH)
    return sum(each.reason in stuck for each in rejections) > len(rejections) / 2


def _taken_over_by(draws: Sequence[_Draw], completions: Sequence[Completion]) -> str | None:
    """The id of an opinion that most completions copy; None where there is none."""
    copied = Counter(
        draw.sources.parser.copied_from(completion.text)
        for draw, completion in zip(draws, completions, strict=True)
    )
    del copied[None]
    if not copied:
        return None
    ((name, n_copies),) = copied.most_common(1)
    return name if n_copies > TAKEN_OVER * len(draws) else None


def _without_statement(
    template: PromptTemplate | BoundRevision,
    draws: Sequence[_Draw],
    completions: Sequence[Completion],
) -> BoundRevision | None:
    """The prompt without the statement where most completions only repeat it; None elsewhere."""
    if not isinstance(template, BoundRevision) or not template.template.anew:
        return None
    repeated = [
        draw.sources.parser.repeats(completion.text)
        for draw, completion in zip(draws, completions, strict=True)
    ]
    return replace(template, anew=True) if sum(repeated) > TAKEN_OVER * len(draws) else None


def _orders(ids: Sequence[str], rng: np.random.Generator) -> list[tuple[str, ...]]:
    """A random order and turns of it, spread evenly over who comes first."""
    drawn = [ids[int(i)] for i in rng.permutation(len(ids))]
    n_orders = min(N_ORDERS, len(ids))
    starts = [turn * len(ids) // n_orders for turn in range(n_orders)]
    return [(*drawn[start:], *drawn[:start]) for start in starts]


def _counted(rejections: Sequence[Rejection]) -> str:
    counts = Counter(rejection.reason for rejection in rejections)
    return ", ".join(f"{n} {reason}" for reason, n in counts.most_common())
