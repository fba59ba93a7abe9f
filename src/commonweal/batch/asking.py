"""Calls of a language model that any number of workers share."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass

from commonweal.batch.working import Result, Workers
from commonweal.errors import CommonwealError
from commonweal.models import load_language_model
from commonweal.questions.journal import AskAll, ModelCall, NamedCalls
from commonweal.types import Completion

N_PROMPTS = 16
"""Of one call, about: the prompts of a batch of questions."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The job of asking a language model: a call's completions, one for each prompt.

    Attributes:
        model: its name.
    """

    model: str
    what = "call of the language model"

    def loaded(self) -> Callable[[ModelCall], Result]:
        """What makes of a call its completions as JSON, or the error that ended it.

        Raises:
            CommonwealError: the model cannot be loaded.
        """
        engine = load_language_model(self.model)

        def ask(call: ModelCall) -> Result:
            try:
                answers = engine.generate(call.prompts, seeds=call.seeds, sampling=call.sampling)
            except CommonwealError as error:
                return error
            return json.dumps([asdict(completions[0]) for completions in answers])

        return ask


def asking(model: str, workers: Workers) -> AskAll:
    """What asks the model of that name for several calls at once."""

    def ask_all(
        calls: NamedCalls,
    ) -> Generator[tuple[str, list[Completion]], None, None]:
        arriving = workers.results(Asking(model), calls, models=[model], n_calls=N_PROMPTS)
        with closing(arriving) as results:
            for (key, _), result in results:
                if isinstance(result, CommonwealError):
                    raise result
                yield key, [Completion(**each) for each in json.loads(result)]

    return ask_all
