"""A prompt in a model's own chat template: one text for who trains a model and who writes with it.

A model that is trained on one text and then given another has learned for nothing, so both come
from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from commonweal.models.system_role import fold_system
from commonweal.types import Message, Prompt


class ChatText:
    """Fills in the chat template of a tokenizer.

    Args:
        tokenizer: of transformers, with a chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def filled(self, prompt: Prompt, answer: str | None = None) -> tuple[str, bool]:
        """The prompt with the opening of the assistant's turn, and whether the instructions stand
        before the first user message, as in a template that refuses a system message.

        Args:
            prompt: its texts are data: the template's own marks in them are broken.
            answer: what the assistant said, as it is: then its turn is whole.

        Raises:
            ValueError: the template refuses the prompt either way.
        """
        prompt = tuple(Message(role, self._as_data(text)) for role, text in prompt)
        try:
            return self._templated(prompt, answer), False
        except Exception as error:  # a template is a program, and says no in its own way
            try:
                if prompt[0].role != "system":
                    raise
                return self._templated(fold_system(prompt), answer), True  # many refuse only that
            except Exception:
                roles = ", ".join(role for role, _ in prompt)
                raise ValueError(
                    f"the model's chat template refused a prompt with the roles {roles}: {error}"
                ) from error

    def _templated(self, messages: Sequence[tuple[str, str]], answer: str | None) -> str:
        """The messages in the model's own chat template; where it can reason first, it does not.

        Its tokens are those of the answer, and stops would end the reasoning.
        """
        answered = [] if answer is None else [("assistant", answer)]
        return self._tokenizer.apply_chat_template(  # type: ignore[no-any-return]
            [{"role": role, "content": text} for role, text in (*messages, *answered)],
            add_generation_prompt=answer is None,
            tokenize=False,
            enable_thinking=False,
        )

    def _as_data(self, text: str) -> str:
        """Returns ``text`` with the template's own marks broken, so that no opinion ends a turn."""
        for mark in self._marks:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text

    @cached_property
    def _marks(self) -> list[str]:
        special = (t for t in self._tokenizer.added_tokens_decoder.values() if t.special)
        marks = {str(token) for token in special} | set(self._tokenizer.all_special_tokens)
        return sorted((mark for mark in marks if len(mark) > 1), key=len, reverse=True)
