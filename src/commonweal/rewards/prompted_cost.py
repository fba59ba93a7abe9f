"""What it costs to ask a language model for ratings, said before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commonweal.rewards.prompted_prompts import RatingRequest, ReadingPrompt
from commonweal.types import LanguageModel

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_RATING = 6
"""In a structured answer: a number, a colon, a rating, quotation marks and a comma."""
_EXACT_UP_TO = 2000
"""Texts that are counted by the engine; of more, characters are, which takes no time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What is going to be asked of an engine.

    Attributes:
        engine: its name.
        n_asked: ratings that are wanted.
        n_known: those of them that are kept from before.
        n_calls: requests to a server, or prompts that are scored; answers that cannot be read are
            asked for again and come on top.
        n_prompt_tokens: about so many tokens to read; what prompts share is counted once where the
            engine computes it once.
        n_answer_tokens: about so many tokens to write.
    """

    engine: str
    n_asked: int
    n_known: int
    n_calls: int
    n_prompt_tokens: int
    n_answer_tokens: int

    def __str__(self) -> str:
        known = f" ({self.n_known:,} known from before)" if self.n_known else ""
        written = f" and {self.n_answer_tokens:,} written" if self.n_answer_tokens else ""
        return (
            f"{self.n_asked:,} ratings{known} by {self.engine}: {self.n_calls:,} calls, about "
            f"{self.n_prompt_tokens:,} tokens read{written}."
        )


def cost_of(
    model: LanguageModel,
    prompt: ReadingPrompt,
    new: Sequence[RatingRequest],
    *,
    n_asked: int,
    chunks: Sequence[int] | None,
) -> Cost:
    """The cost of these ratings.

    Args:
        model: what is asked.
        prompt: how.
        new: what has to be asked.
        n_asked: ratings wanted, with those that are known.
        chunks: the number of statements in each structured answer; None for log-probabilities.
    """
    abouts = dict.fromkeys(each.about for each in new)
    counts = len(abouts) + len(new) <= _EXACT_UP_TO

    def n_tokens(text: str) -> int:
        counted = model.count_tokens(text) if counts else None
        return -(-len(text) // _CHARACTERS_PER_TOKEN) if counted is None else counted

    n_texts = sum(n_tokens(each.statement) for each in new)
    about_tokens = {about: n_tokens(about) for about in abouts}
    system = n_tokens(prompt.system)
    if chunks is None:
        n_read = system + sum(about_tokens.values()) + n_texts + len(new) * n_tokens(prompt.one)
        n_calls, n_written = len(new), 0
    else:
        n_orders = [1 if size == 1 else 2 for size in chunks]
        n_calls = sum(n_orders)
        # Each list has the shared part in front; lists of one person have the same.
        mean_about = sum(about_tokens.values()) / max(1, len(abouts))
        around = len(new) * n_tokens(prompt.listed)
        n_read = round(
            n_calls * (system + mean_about + n_tokens(prompt.many)) + 2 * (n_texts + around)
        )
        n_written = sum(
            orders * (4 + _TOKENS_PER_RATING * size)
            for orders, size in zip(n_orders, chunks, strict=True)
        )
    return Cost(model.model_id, n_asked, n_asked - len(new), n_calls, n_read, n_written)
