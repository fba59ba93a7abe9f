"""Whether a server read all of a prompt: its own token counts against what was sent.

A server whose context is too small for a prompt may drop the beginning without a word. What it then
writes is a statement without some people's opinions. Nobody but the server knows how its model
counts, so its own counts of two shorter texts say what the whole should come to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commonweal.types import Message, Prompt

PLAUSIBLE_CHARACTERS_PER_TOKEN = 5.5
"""More than this in one token on average is suspicious in any language: English has 4 to 5."""

LEAST_CHARACTERS = 400
"""Shorter prompts fit everywhere."""

LEAST_SHARE = 0.75
"""A count below this share of what it should come to means that text is missing."""

SHARES = (0.125, 0.25)
"""The parts of the prompt that are sent to learn how the server counts."""

_MORE = "Take all of this into account. Nothing here may be left out. " * 6


class Count(NamedTuple):
    """How many tokens a server counted in so many characters."""

    n_characters: int
    n_tokens: int


def n_characters(prompt: Prompt) -> int:
    """The characters of all messages."""
    return sum(len(message.content) for message in prompt)


def is_suspicious(count: Count) -> bool:
    """Whether the count is too low for the text, or is exactly the size of a context.

    Neither proves anything: ``was_cut`` does, with the counts of ``probes``.
    """
    if count.n_characters < LEAST_CHARACTERS or count.n_tokens < 1:
        return False
    return _is_context_size(count.n_tokens) or (
        count.n_characters / count.n_tokens > PLAUSIBLE_CHARACTERS_PER_TOKEN
    )


def probes(prompt: Prompt, nonce: str) -> list[Prompt]:
    """Two beginnings of the prompt, and the whole with more text behind it.

    Each begins with a text of its own (``nonce``): some servers do not count what they have read
    before.
    """
    return [
        *(_with_nonce(_shortened(prompt, share), f"{nonce}{i}") for i, share in enumerate(SHARES)),
        _with_nonce((*prompt[:-1], _longer(prompt[-1])), f"{nonce}{len(SHARES)}"),
    ]


def was_cut(count: Count, probed: Sequence[Count]) -> bool:
    """Whether the server left out part of the prompt.

    Args:
        count: of the prompt itself.
        probed: of its ``probes``, in their order.
    """
    short, middle, longer = probed
    if _is_context_size(count.n_tokens) and longer.n_tokens <= count.n_tokens:
        return True  # more text, and no more tokens
    if middle.n_tokens <= short.n_tokens:
        return False  # it does not count at all: the same number for any text
    tokens_per_character = (middle.n_tokens - short.n_tokens) / (
        middle.n_characters - short.n_characters
    )
    expected = short.n_tokens + tokens_per_character * (longer.n_characters - short.n_characters)
    return longer.n_tokens < LEAST_SHARE * expected


def _is_context_size(n_tokens: int) -> bool:
    return n_tokens >= 512 and n_tokens & (n_tokens - 1) == 0


def _shortened(prompt: Prompt, share: float) -> Prompt:
    text = " ".join(message.content for message in prompt)
    return (Message("user", text[: round(len(text) * share)]),)


def _with_nonce(prompt: Prompt, nonce: str) -> Prompt:
    return (Message(prompt[0].role, f"({nonce}) {prompt[0].content}"), *prompt[1:])


def _longer(message: Message) -> Message:
    return Message(message.role, f"{message.content}\n\n{_MORE}")
