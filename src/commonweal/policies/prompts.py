"""Prompts: templates in readable files, and a group's words put into them as data.

An opinion is somebody else's text in our prompt. It is delimited, made data (``reading.quoting``)
what follows an order to the software is left out (``reading.orders``), and it is cut where all
together would be too long. This does not keep a model from following an instruction that no pattern
finds: see docs/decisions/006-opinions-are-data.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from commonweal.errors import InputError
from commonweal.reading.orders import without_orders
from commonweal.reading.quoting import as_data, template_hash
from commonweal.types import Message, Opinion, Prompt, Sampling

MAX_OPINION_TOKENS = 4096
"""Most tokens of all opinions together in one prompt: our choice, half the embedded context."""

MOST_CHARACTERS = 8 * MAX_OPINION_TOKENS
"""Of one opinion, what is looked at at all: no text has words so long that more fits a prompt, and
to look for orders and count tokens in a megabyte takes long."""

MIN_OPINION_TOKENS = 20
"""A shorter beginning of an opinion says too little to write from: our choice, a short sentence."""

MAX_QUOTED_ORDER = 80
"""Characters of an order to the software that a note repeats."""

CHARACTERS_PER_TOKEN = 3
"""Where an engine does not count tokens: a cautious guess for English."""


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A question, opinions on it, and a statement that the policy should take as its model."""

    question: str
    opinions: tuple[str, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A way of prompting: what is said around a group's words, and how completions are drawn."""

    system: str
    user: str
    opinion: str
    sampling: Sampling
    examples: tuple[WorkedExample, ...] = ()

    @property
    def hash(self) -> str:
        """The sha256 of everything in the template, first 16 hex digits."""
        return template_hash(asdict(self))

    def asks_like(self, other: PromptTemplate) -> bool:
        """Whether both make the same prompts, however they draw completions."""
        return replace(self, sampling=other.sampling) == other

    def render(self, question: str, opinions: Sequence[str]) -> Prompt:
        """The chat prompt for these opinions, in this order."""
        messages = [Message("system", self.system)]
        for example in self.examples:
            messages.append(Message("user", self._user_text(example.question, example.opinions)))
            messages.append(Message("assistant", example.statement))
        messages.append(Message("user", self._user_text(question, opinions)))
        return tuple(messages)

    def own_texts(self) -> tuple[str, ...]:
        """All that a model might copy from the template itself: instructions and examples."""
        own = [self.system]
        for example in self.examples:
            own += [example.question, *example.opinions, example.statement]
        return tuple(own)

    def _user_text(self, question: str, opinions: Sequence[str]) -> str:
        listed = "\n".join(self.opinion.format(text=as_data(text)) for text in opinions)
        return self.user.format(question=as_data(question), opinions=listed)


@dataclass(frozen=True, slots=True)
class WorkedRevision:
    """A statement, what people would change about it, and the revision to take as a model."""

    question: str
    opinions: tuple[str, ...]
    statement: str
    critiques: tuple[str, ...]
    revision: str


@dataclass(frozen=True, slots=True)
class RevisionTemplate:
    """A way of prompting for revisions: as ``PromptTemplate``, with a statement and critiques.

    ``anew`` is what ``user`` is, without the statement: for a model that would only repeat it.
    """

    system: str
    user: str
    opinion: str
    critique: str
    sampling: Sampling
    examples: tuple[WorkedRevision, ...] = ()
    anew: str = ""

    @property
    def hash(self) -> str:
        """The sha256 of everything in the template, first 16 hex digits."""
        return template_hash(asdict(self))

    def bound(self, statement: str, critiques: Sequence[str]) -> BoundRevision:
        """The prompts about this statement and these critiques."""
        return BoundRevision(self, statement, tuple(critiques))

    def render(
        self, question: str, opinions: Sequence[str], statement: str, critiques: Sequence[str]
    ) -> Prompt:
        """The chat prompt for these opinions and critiques, in this order."""
        messages = [Message("system", self.system)]
        for each in self.examples:
            asked = self._filled(
                self.user, each.question, each.opinions, each.critiques, each.statement
            )
            messages += [Message("user", asked), Message("assistant", each.revision)]
        asked = self._filled(self.user, question, opinions, critiques, statement)
        return (*messages, Message("user", asked))

    def render_anew(
        self, question: str, opinions: Sequence[str], critiques: Sequence[str]
    ) -> Prompt:
        """The chat prompt without the statement, and without examples, which hold statements."""
        asked = self._filled(self.anew, question, opinions, critiques)
        return (Message("system", self.system), Message("user", asked))

    def _filled(
        self,
        form: str,
        question: str,
        opinions: Sequence[str],
        critiques: Sequence[str],
        statement: str = "",
    ) -> str:
        return form.format(
            question=as_data(question),
            opinions="\n".join(self.opinion.format(text=as_data(text)) for text in opinions),
            statement=as_data(statement),
            critiques="\n".join(self.critique.format(text=as_data(text)) for text in critiques),
        )


@dataclass(frozen=True, slots=True)
class BoundRevision:
    """A revision template about one statement: what a ``PromptedPolicy`` writes with.

    Critiques stand in the prompt in the order in which they are given here; the opinions before
    them in an order by chance, as in every prompt. ``anew`` leaves the statement out.
    """

    template: RevisionTemplate
    statement: str
    critiques: tuple[str, ...]
    anew: bool = False

    @property
    def hash(self) -> str:
        """That of the template: statement and critiques are data."""
        return self.template.hash

    @property
    def opinion(self) -> str:
        """What stands around an opinion."""
        return self.template.opinion

    @property
    def sampling(self) -> Sampling:
        """How completions are drawn."""
        return self.template.sampling

    def render(self, question: str, opinions: Sequence[str]) -> Prompt:
        """The chat prompt for these opinions, in this order."""
        if self.anew:
            return self.template.render_anew(question, opinions, self.critiques)
        return self.template.render(question, opinions, self.statement, self.critiques)

    def own_texts(self) -> tuple[str, ...]:
        """All that a model might copy from the template itself: instructions and examples."""
        own = [self.template.system]
        for each in self.template.examples:
            own += [each.question, *each.opinions, each.statement, *each.critiques, each.revision]
        return tuple(own)


def sampling_of(table: dict[str, Any]) -> Sampling:
    """The sampling options in the table ``[sampling]`` of a template's file."""
    return Sampling(**{**table, "stop": tuple(table["stop"])})


def fit_opinions(
    opinions: Sequence[Opinion],
    count_tokens: Callable[[str], int | None],
    *,
    delimiters: str = "",
    max_tokens: int = MAX_OPINION_TOKENS,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The text of each opinion by id, cut so that all fit the prompt, and a note for each cut.

    From the first order to the software on, nothing of an opinion stands in a prompt; who wrote
    nothing else is not among the texts, unless nobody wrote anything else. Nobody's words are cut
    to make room for somebody who wrote more: every opinion may be as long as the longest length at
    which all together, each with its ``delimiters``, fit ``max_tokens``.

    Raises:
        InputError: so many opinions that some would be cut below ``MIN_OPINION_TOKENS``.
    """
    kept, notes = _without_orders([Opinion(o.id, o.text[:MOST_CHARACTERS]) for o in opinions])
    # As they will stand in the prompt: a replaced bracket may take more tokens than the plain one.
    texts = {name: as_data(text) for name, text in kept.items()}
    lengths = {name: _n_tokens(text, count_tokens) for name, text in texts.items()}
    n_around = _n_tokens(delimiters, count_tokens) if delimiters else 0
    room = max_tokens - n_around * len(texts)
    limit = _fair_limit(list(lengths.values()), room)
    if limit < MIN_OPINION_TOKENS and limit < max(lengths.values()):
        raise InputError(
            f"{len(texts):,} opinions do not fit one prompt: {max_tokens:,} tokens for "
            f"all leave {max(limit, 0)} for each, expected at least {MIN_OPINION_TOKENS}; give at "
            f"most about {max_tokens // (MIN_OPINION_TOKENS + n_around)} opinions"
        )
    n_written = {opinion.id: len(opinion.text) for opinion in opinions}
    for name, n_tokens in lengths.items():
        is_beginning = len(kept[name]) == MOST_CHARACTERS < n_written[name]
        n_uncut = n_written[name] if is_beginning else len(texts[name])
        if n_tokens > limit:
            texts[name] = _cut(texts[name], limit, count_tokens)
        if n_tokens > limit or is_beginning:
            notes.append(
                f"the opinion of {name!r} was cut from {n_uncut:,} to {len(texts[name]):,} "
                "characters in the prompt, to leave room for everybody's; the reward model gets it "
                "whole, and reads as much of it as it can"
            )
    return texts, tuple(notes)


def _without_orders(opinions: Sequence[Opinion]) -> tuple[dict[str, str], list[str]]:
    """What each wrote before any order to the software, by id, and a note for each who gave one."""
    kept = {opinion.id: without_orders(opinion.text) for opinion in opinions}
    if not any(kept.values()):
        return {opinion.id: opinion.text for opinion in opinions}, [
            "all that people wrote gives orders to the software from the start, so it was shown "
            "unchanged to the model that writes"
        ]
    notes = []
    for opinion in opinions:
        if kept[opinion.id] == opinion.text:
            continue
        order = " ".join(opinion.text[len(kept[opinion.id]) :].split())
        shown = order if len(order) <= MAX_QUOTED_ORDER else f"{order[:MAX_QUOTED_ORDER]}…"
        notes.append(
            f"the opinion of {opinion.id!r} gives orders to the software ({shown!r}); from there "
            "on it was not shown to the model that writes; the reward model gets it whole"
        )
    return {name: text for name, text in kept.items() if text}, notes


def _n_tokens(text: str, count_tokens: Callable[[str], int | None]) -> int:
    counted = count_tokens(text)
    return len(text) // CHARACTERS_PER_TOKEN + 1 if counted is None else counted


def _fair_limit(lengths: Sequence[int], total: int) -> int:
    """The largest limit at which the lengths, each cut to it, sum to at most ``total``."""
    left, n_left = total, len(lengths)
    for length in sorted(lengths):
        if length * n_left > left:
            return left // n_left
        left -= length
        n_left -= 1
    return max(lengths)


def _cut(text: str, limit: int, count_tokens: Callable[[str], int | None]) -> str:
    """The longest beginning of the text within the limit, to a whole word where there are words."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _n_tokens(text[:middle], count_tokens) <= limit:
            low = middle
        else:
            high = middle - 1
    shortened = text[:low]
    return shortened.rsplit(None, 1)[0] if len(shortened.split()) > 1 else shortened
