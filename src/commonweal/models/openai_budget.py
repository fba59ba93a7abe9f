"""How many tokens a model gets for reasoning, beside those for its answer.

Nobody says beforehand whether a model reasons. It gets the answer's tokens at first; once reasoning
shows, or has used up all without an answer, it gets more, and so do all requests after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commonweal.models.openai_answer import Reply
from commonweal.models.openai_parameters import TOO_LONG, names_limit
from commonweal.models.openai_wire import Answer
from commonweal.models.reasoning import has_line_stop
from commonweal.types import Sampling

STEPS = (4096, 16384)
LEAST = 256


class ReasoningBudget:
    """The budget of one server's model, as learnt from its replies.

    Args:
        fixed: the user's own number of tokens, None where it is to be found out.

    Attributes:
        is_reasoning: whether the model is known to reason.
        has_answered: whether it has answered at all.
    """

    def __init__(self, fixed: int | None) -> None:
        self._steps = STEPS if fixed is None else ()
        self._n_tokens = fixed or 0
        self._most = STEPS[-1]
        self._is_known_not_to = fixed is not None
        self._limit_worked = False
        self.is_reasoning = self.has_answered = False

    def note(self, owner: str) -> str:
        """What a user should know of it, in a sentence; "" for nothing."""
        if not self.is_reasoning or not self._n_tokens:
            return ""
        return (
            f"{owner} reasons before it answers: it got {self._n_tokens:,} tokens for that, and "
            "what it thought is set apart."
        )

    def n_tokens(self, *, is_trial: bool) -> int:
        """The tokens for reasoning in the next request."""
        return max(self._n_tokens, min(STEPS[0], self._most)) if is_trial else self._n_tokens

    def worked(self, payload: Mapping[str, Any]) -> None:
        """Learns that the server takes the limit under the name in the payload."""
        self.has_answered = True
        self._limit_worked = self._limit_worked or any("max" in name for name in payload)

    def has_no_reasoning(self) -> None:
        """Learns that more tokens bring no reasoning to light."""
        self._is_known_not_to = True

    def asks_again(self, reply: Reply, payload: Mapping[str, Any], n_used: int) -> bool:
        """Whether the same is to be asked again with another budget, or without stops."""
        if reply.shows_reasoning:
            self.is_reasoning = True
        if reply.finish_reason == "length" and (reply.shows_reasoning or not reply.answer):
            steps = (min(step, self._most) for step in self._steps)
            more = next((step for step in steps if step > n_used), None)
            if more is not None:
                self.is_reasoning = True
                self._n_tokens = max(self._n_tokens, more)
            return more is not None
        return not reply.answer and reply.shows_reasoning and "stop" in payload

    def asks_for_trial(self, reply: Reply, sampling: Sampling) -> bool:
        """Whether the reply may be the beginning of reasoning without a mark.

        Where the prompt opens the reasoning, only its end is marked, and a text that was cut off
        before does not show what it is. So it is asked for once with more tokens.
        """
        return (
            reply.finish_reason == "length"
            and has_line_stop(sampling.stop)
            and not self.is_reasoning
            and not self._is_known_not_to
        )

    def shrinks(self, answer: Answer, payload: Mapping[str, Any], n_used: int) -> bool:
        """Whether the refusal is one of too many tokens, and fewer can be asked for."""
        if n_used <= LEAST or not self._limit_worked:
            return False
        if not TOO_LONG.search(answer.told) and not names_limit(answer, payload):
            return False
        self._most = min(self._most, n_used // 2)
        self._n_tokens = min(self._n_tokens, self._most)
        return True
