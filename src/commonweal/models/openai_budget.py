"""How many tokens a model gets for reasoning, beside those for its answer.

Nobody says beforehand whether a model reasons. It gets the answer's tokens at first; once reasoning
shows, or has used up all without an answer, it gets more, and so do all requests after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from commonweal.models.openai_answer import Reply
from commonweal.models.openai_parameters import TOO_LONG, names_limit
from commonweal.models.openai_wire import Answer
from commonweal.types import Message, Prompt

STEPS = (4096, 16384)
LEAST = 256

TRIAL: Prompt = (Message("user", "Answer with the one word yes, and with nothing else."),)
TRIAL_TOKENS = 2048
_YES = re.compile(r"[\W_]*yes\b", re.IGNORECASE)


class ReasoningBudget:
    """The budget of one server's model, as learnt from its replies.

    Where the prompt's template opens the reasoning, only its end is marked, and a text that was cut
    off before shows no mark at all. So at the first text that was cut off and has none, the model
    is asked for one word (``TRIAL``): what stands before that word is reasoning.

    Args:
        fixed: the user's own number of tokens, None where it is to be found out.

    Attributes:
        is_reasoning: whether the model is known to reason.
        has_answered: whether it has answered at all.
        n_tokens: the tokens for reasoning in the next request.
    """

    def __init__(self, fixed: int | None) -> None:
        self._steps = STEPS if fixed is None else ()
        self.n_tokens = fixed or 0
        self._most = STEPS[-1]
        self._is_opened_before: bool | None = False if fixed == 0 else None
        self._ends_unmarked = self._limit_worked = False
        self.is_reasoning = self.has_answered = False

    def note(self, owner: str) -> str:
        """What a user should know of it, in a sentence; "" for nothing."""
        if not self.is_reasoning or not self.n_tokens:
            return ""
        return (
            f"{owner} reasons before it answers: it got {self.n_tokens:,} tokens for that, and its "
            "reasoning is kept apart."
        )

    def worked(self, payload: Mapping[str, Any]) -> None:
        """Learns that the server takes the limit under the name in the payload."""
        self.has_answered = True
        self._limit_worked = self._limit_worked or any("max" in name for name in payload)

    def is_unsure_of(self, reply: Reply) -> bool:
        """Whether the reply may be the beginning of reasoning without a mark."""
        return (
            reply.finish_reason == "length"
            and bool(reply.answer)
            and not reply.is_closed_only
            and not reply.shows_reasoning
            and self._is_opened_before is None
        )

    def learn(self, trial: Reply | None) -> None:
        """Learns from the reply to ``TRIAL`` whether texts begin within the reasoning."""
        if trial is None or trial.is_closed_only or not trial.answer:
            self._is_opened_before = trial is not None and trial.is_closed_only
        else:
            ended = trial.finish_reason == "stop" or trial.shows_reasoning
            self._is_opened_before = not ended and not _YES.match(trial.answer)

    def told_apart(self, reply: Reply, payload: Mapping[str, Any]) -> Reply:
        """The reply, all of it reasoning where its text began within and may be cut off there.

        A text that ended by itself without a mark shows that texts do not begin within. A mark that
        closes reasoning says no more after that: the model may repeat one from an opinion.
        """
        may_be_cut = reply.finish_reason == "length" or "stop" in payload
        if reply.is_closed_only:
            self._is_opened_before = not self._ends_unmarked
        elif self._is_opened_before and may_be_cut and reply.answer and not reply.shows_reasoning:
            return reply._replace(answer="", reasoning=reply.answer)
        elif reply.answer and reply.finish_reason == "stop":
            self._is_opened_before, self._ends_unmarked = False, True
        return reply

    def asks_again(self, reply: Reply, n_used: int, *, sent_stops: bool) -> bool:
        """Whether the same is to be asked again with another budget, or without our stops."""
        if reply.shows_reasoning:
            self.is_reasoning = True
        if reply.finish_reason == "length" and (reply.shows_reasoning or not reply.answer):
            steps = (min(step, self._most) for step in self._steps)
            more = next((step for step in steps if step > n_used), None)
            if more is not None:
                self.is_reasoning = True
                self.n_tokens = max(self.n_tokens, more)
            return more is not None
        return not reply.answer and reply.shows_reasoning and sent_stops

    def shrinks(self, answer: Answer, payload: Mapping[str, Any], n_used: int) -> bool:
        """Whether the refusal is one of too many tokens, and fewer can be asked for."""
        if n_used <= LEAST or not self._limit_worked:
            return False
        if not TOO_LONG.search(answer.error_text) and not names_limit(answer, payload):
            return False
        self._most = min(self._most, n_used // 2)
        self.n_tokens = min(self.n_tokens, self._most)
        return True
