"""Whether a server read all of a prompt: its own token counts against what was sent.

A server whose context is too small for a prompt may drop some of it without a word. What it then
writes is a statement without some people's opinions. Nobody but the server knows how its model
counts, but counts add up: the two halves of a prompt come to the whole, but for what the server
puts around each. So even one missing opinion shows, where the server counts what it read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from commonweal.types import Message, Prompt

LEAST_CHARACTERS = 400
"""Shorter prompts fit everywhere."""

SLACK_TOKENS = 2
SLACK_SHARE = 0.0025
"""What the halves may come to more than the whole: some tokens a message, where a word or a line
end was cut in two, and a little of the rest."""

_MORE = "Take all of this into account. Nothing here may be left out. " * 6

Ask = Callable[[Prompt], Awaitable[int | None]]
"""Sends a prompt, and returns how many tokens the server says that it read; None for nothing."""


def n_characters(prompt: Prompt) -> int:
    """The characters of all messages."""
    return sum(len(message.content) for message in prompt)


async def was_cut(prompt: Prompt, n_tokens: int, ask: Ask) -> bool | None:
    """Whether the server left out part of the prompt; None where its counts do not tell.

    Three short requests say what the prompt should come to. Only where it came to less are all four
    asked for again, one after another, each with a beginning of its own: some servers do not count
    what they have read before.

    Args:
        prompt: what was sent.
        n_tokens: the tokens that the server counted in it.
        ask: sends another.
    """
    counts = await asyncio.gather(*(ask(each) for each in _parts(prompt)))
    expected = _sum(counts)
    if expected is None:
        if _is_context_size(n_tokens) and None not in counts:  # always the same, and a size
            longer = await ask(_begun(_longer(prompt)))
            return longer is not None and longer <= n_tokens
        return None
    if not _falls_short(n_tokens, expected, prompt):
        return False
    again = [await ask(each) for each in (*_parts(prompt), _begun(prompt))]
    count, expected = again.pop(), _sum(again)
    if count is None or expected is None:
        return None
    return _falls_short(count, expected, prompt)


def _sum(counts: list[int | None]) -> int | None:
    """What the whole should come to: first half and second, what stands around them once."""
    first, second, around = counts
    if first is None or second is None or around is None or min(first, second) <= around:
        return None  # it does not count at all: the same number for any text
    return first + second - around


def _falls_short(n_tokens: int, expected: int, prompt: Prompt) -> bool:
    return n_tokens < expected - SLACK_SHARE * expected - SLACK_TOKENS * (len(prompt) + 1)


def _is_context_size(n_tokens: int) -> bool:
    return n_tokens >= 512 and n_tokens & (n_tokens - 1) == 0


def _parts(prompt: Prompt) -> list[Prompt]:
    """The first half of each message, the second, and messages of one word, roles as they are."""
    at = [_middle(message.content) for message in prompt]
    pairs = list(zip(prompt, at, strict=True))
    return [
        _begun(tuple(Message(m.role, m.content[:i] or ".") for m, i in pairs)),
        _begun(tuple(Message(m.role, m.content[i:] or ".") for m, i in pairs)),
        _begun(tuple(Message(m.role, ".") for m in prompt)),
    ]


def _middle(text: str) -> int:
    """The place of a blank near the middle, where a token mostly begins."""
    middle = len(text) // 2
    blank = text.find(" ", middle)
    return blank if 0 <= blank < middle + 100 else middle


def _begun(prompt: Prompt) -> Prompt:
    """The prompt with a beginning that no other has."""
    nonce = f"{secrets.token_hex(2)} "  # of as many tokens as the words of ``around``, about
    return (Message(prompt[0].role, nonce + prompt[0].content), *prompt[1:])


def _longer(prompt: Prompt) -> Prompt:
    return (*prompt[:-1], Message(prompt[-1].role, f"{prompt[-1].content}\n\n{_MORE}"))
