"""A language model for tests and offline examples: it says what it was told to, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonweal.errors import EngineError, UnsupportedByEngineError
from commonweal.types import Completion, Prompt, Sampling


class ScriptedModel:
    """Gives the completions of its script in order and raises when they are used up.

    Attributes:
        prompts: every prompt that it was given, in order.
    """

    model_id = "scripted"
    weights_hash = None
    notes: tuple[str, ...] = ()

    def __init__(self, completions: Sequence[str | Completion]) -> None:
        self._script = list(completions)
        self._n_used = 0
        self.prompts: list[Prompt] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        n_samples: int = 1,
        sampling: Sampling | None = None,  # noqa: ARG002 - the protocol's; a script has no chance
        on_done: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """The next completions of the script; see ``LanguageModel.generate``.

        Raises:
            EngineError: the script is exhausted.
        """
        answers: list[list[Completion]] = []
        n_done = 0
        for prompt, seed in zip(prompts, seeds, strict=True):
            self.prompts.append(prompt)
            answers.append([])
            for sample in range(n_samples):
                if self._n_used == len(self._script):
                    raise EngineError(
                        f"the script is exhausted: it held {len(self._script)} completions and "
                        "one more was asked for"
                    )
                next_answer = self._script[self._n_used]
                self._n_used += 1
                if isinstance(next_answer, str):
                    next_answer = Completion(next_answer, "stop", seed + sample)
                answers[-1].append(next_answer)
                n_done += 1
                if on_done is not None:
                    on_done(n_done)
        return answers

    def count_tokens(self, text: str) -> int:
        """The number of words in ``text``."""
        return len(text.split())

    def log_probabilities(
        self, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[list[float]]:
        """Nothing: a script has no probabilities.

        Raises:
            UnsupportedByEngineError: always.
        """
        raise UnsupportedByEngineError(
            f"a scripted model has no log-probabilities ({len(prompts)} prompts, "
            f"{len(continuations)} continuations)"
        )
