"""The two prompts of this folder, kept in readable files and named by their hash."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from commonweal.policies.prompts import sampling_of
from commonweal.reading.quoting import as_data, template_hash
from commonweal.types import Message, Prompt, Sampling

N_EXAMPLES = 10
"""Seed questions in one prompt (paper 3.1)."""


@dataclass(frozen=True, slots=True)
class TurnsTemplate:
    """A prompt made of turns: what was asked and answered before, then what is asked now."""

    system: str
    user: str
    sampling: Sampling
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """The sha256 of everything in the template, first 16 hex digits."""
        return template_hash(asdict(self))

    def render(self, question: str = "", turns: Sequence[tuple[str, str]] = ()) -> Prompt:
        """The chat prompt: the template's own examples, these turns, then ``question``."""
        messages = [Message("system", self.system)]
        for asked, answered in (*self.examples, *turns):
            messages.append(Message("user", self.user.format(question=as_data(asked))))
            messages.append(Message("assistant", as_data(answered)))
        messages.append(Message("user", self.user.format(question=as_data(question))))
        return tuple(messages)


def load_template(name: str) -> TurnsTemplate:
    """The template in ``questions/NAME.toml``."""
    file = resources.files("commonweal.questions") / f"{name}.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    sampling = sampling_of(data.pop("sampling"))
    examples = tuple((e["question"], e["answer"]) for e in data.pop("examples", ()))
    return TurnsTemplate(**data, sampling=sampling, examples=examples)
