"""A language model that plays described people: what it answers is simulated, and called so.

The description comes from a file, or is made from a latent person's hidden position. Opinions are
what the model writes; a rating is a digit that it answers. What cannot be read as one is asked for
again, and is missing after ``MAX_ATTEMPTS``.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from commonweal.datasets.schema import LIKERT_7, Scale
from commonweal.errors import CommonwealError, EngineError, InputError
from commonweal.files import read_text
from commonweal.models.empties import why_all_empty
from commonweal.participants import AgreementAndQuality, Asked, CrowdOrigin, Sitting, WantedAnswer
from commonweal.participants.chance import seed_of
from commonweal.participants.latent import LatentCrowd
from commonweal.participants.seating import draw_names, draw_sittings
from commonweal.policies.prompts import sampling_of
from commonweal.reading.quoting import as_data, template_hash
from commonweal.reading.toml import load_toml
from commonweal.types import (
    LanguageModel,
    Message,
    Progress,
    Prompt,
    Question,
    Sampling,
    no_progress,
)

PREFIX = "llm-"

MAX_ATTEMPTS = 3
"""How often one answer is asked for before it counts as missing."""

BATCH = 32
"""Prompts given to the engine at once."""

MAX_FILE_BYTES = 5_000_000

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OUT_OF = re.compile(r"(?:/|\bout of|\bof)\s*7\b(?!\.\d)", re.IGNORECASE)


class Cast(Protocol):
    """Who is played: names, and a description of each."""

    def names(self, n_people: int, rng: np.random.Generator) -> list[str]:
        """Names of so many people, drawn by ``rng``.

        Raises:
            InputError: there are not as many.
        """
        ...

    def describe(self, participant_id: str, question: Question) -> str:
        """Who the person is, and what bears on this question.

        Raises:
            InputError: there is nobody of that name.
        """
        ...

    def source(self) -> str:
        """Where the descriptions come from, in words."""
        ...


@dataclass(frozen=True)
class LatentCast:
    """Descriptions made from latent people's positions: their heaviest considerations in words."""

    crowd: LatentCrowd

    def names(self, n_people: int, rng: np.random.Generator) -> list[str]:
        """New names; there are always enough."""
        return draw_names(PREFIX, n_people, rng)

    def describe(self, participant_id: str, question: Question) -> str:
        """Up to four arguments that the person holds, the heaviest first."""
        person = self.crowd.participant(participant_id.replace(PREFIX, "latent-", 1))
        position = person.position(question)
        considerations = self.crowd.question(question).considerations
        held = []
        for row in np.argsort(-np.abs(position))[:4]:
            strength = "strongly" if abs(position[row]) > 0.6 else "somewhat"
            sentence = considerations[row].arguments[0 if position[row] >= 0 else 1][0]
            held.append(f'{strength} feels: "{sentence}"')
        return "A member of the public who " + "; ".join(held)

    def source(self) -> str:
        """That they are made from latent people."""
        return f"made from latent people of seed {self.crowd.seed}"


class _PersonRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: Annotated[str, StringConstraints(pattern=r"^[\w-]+$")]
    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _PeopleRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    person: Annotated[list[_PersonRecord], Field(min_length=1)]


class FileCast:
    """Descriptions from a TOML file: ``[[person]]`` tables with ``id`` and ``description``.

    Raises:
        InputError: there is no such file, or it holds something else; the message says where.
    """

    def __init__(self, path: Path) -> None:
        text = read_text(path, expected="described people as .toml", max_bytes=MAX_FILE_BYTES)
        try:
            people = _PeopleRecord.model_validate(load_toml(path, text)).person
        except ValidationError as error:
            first = error.errors()[0]
            where = ", ".join(
                f"number {at + 1}" if isinstance(at, int) else at for at in first["loc"]
            )
            raise InputError(
                f"{path}: {where}: {first['msg']}; expected [[person]] tables with id and "
                "description"
            ) from None
        self._path = path
        self._described = {PREFIX + each.id: each.description for each in people}
        if len(self._described) < len(people):
            again = Counter(each.id for each in people).most_common(1)[0][0]
            raise InputError(f"{path}: two people have the id {again!r}; expected one each")

    def names(self, n_people: int, rng: np.random.Generator) -> list[str]:
        """So many of the file's people, none twice; see ``Cast.names``."""
        if n_people > len(self._described):
            raise InputError(
                f"{self._path} describes {len(self._described)} people and {n_people} are to be "
                "seated; expected fewer or smaller groups, or more descriptions"
            )
        everybody = list(self._described)
        return [everybody[int(at)] for at in rng.permutation(len(everybody))[:n_people]]

    def describe(self, participant_id: str, question: Question) -> str:  # noqa: ARG002
        """The file's description, the same for every question; see ``Cast.describe``."""
        if participant_id not in self._described:
            raise InputError(f"{self._path} describes nobody named {participant_id!r}")
        return self._described[participant_id]

    def source(self) -> str:
        """The file's name."""
        return f"from {self._path.name}"


@dataclass(frozen=True, slots=True)
class PersonTemplate:
    """How the model is asked: the texts of ``person.toml``."""

    system: str
    opinion: str
    agreement: str
    quality: str
    opinion_sampling: Sampling
    rating_sampling: Sampling

    @property
    def hash(self) -> str:
        """The sha256 of everything in the template, first 16 hex digits."""
        return template_hash(asdict(self))

    def render(self, wanted: WantedAnswer, description: str) -> Prompt:
        """The chat prompt for one answer."""
        asked = {"opinion": self.opinion, "agreement": self.agreement, "quality": self.quality}
        return (
            Message("system", self.system.format(description=as_data(description))),
            Message(
                "user",
                asked[wanted.what].format(
                    question=as_data(wanted.question.text), text=as_data(wanted.text)
                ),
            ),
        )


def load_person_template() -> PersonTemplate:
    """The packaged template."""
    file = resources.files("commonweal.participants") / "person.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    for name in ("opinion_sampling", "rating_sampling"):
        data[name] = sampling_of(data[name])
    return PersonTemplate(**data)


def read_rating(answer: str) -> int | None:
    """The rating that an answer gives, or None where it gives none or more than one.

    Example:
        >>> [read_rating(text) for text in ("5", "Rating: 6/7.", "**3**", "5 or 6", "10", "4.5")]
        [5, 6, 3, None, None, None]
    """
    numbers = set(_NUMBER.findall(_OUT_OF.sub(" ", answer)))
    if len(numbers) != 1:
        return None
    number = numbers.pop()
    return int(number) if number in set("1234567") else None


class LlmCrowd:
    """People played by a language model. Everything about them is simulated.

    Answers are kept by what was asked, so that nothing is asked twice in one process. Another
    process gets the same answers where the model gives the same completions for a seed.

    Args:
        model: who plays.
        cast: whom it plays.
        questions: what they can be asked.
        seed: of the sampling.
        template: how it is asked; by default the packaged one.

    Attributes:
        n_retries: answers asked for again, since they could not be used.
        n_missing: ratings that could not be read after all attempts.
    """

    scale: Scale = LIKERT_7
    n_passes = 2

    def __init__(
        self,
        model: LanguageModel,
        cast: Cast,
        questions: Sequence[Asked],
        *,
        seed: int,
        template: PersonTemplate | None = None,
    ) -> None:
        self._model, self._cast, self._questions, self._seed = model, cast, questions, seed
        self._template = template or load_person_template()
        self._answers: dict[WantedAnswer, str | int | None] = {}
        self.n_retries = self.n_missing = 0

    @property
    def origin(self) -> CrowdOrigin:
        """Simulated; see ``Crowd``."""
        return CrowdOrigin(
            people="simulated",
            source=f"simulated: {self._model.model_id} played described people, no person wrote or "
            "rated",
            options={
                "participants": "llm",
                "model": self._model.model_id,
                "weights_hash": self._model.weights_hash,
                "descriptions": self._cast.source(),
                "prompt_hash": self._template.hash,
                "crowd_seed": self._seed,
            },
        )

    def sit(
        self,
        *,
        n_groups: int,
        group_size: int,
        rounds_per_group: int,
        rng: np.random.Generator,
        split: str | None,
    ) -> list[Sitting]:
        """Groups of the cast; see ``Crowd.sit``."""
        return draw_sittings(
            self._questions,
            self._cast.names(n_groups * group_size, rng),
            group_size=group_size,
            rounds_per_group=rounds_per_group,
            rng=rng,
            split=split,
        )

    def participant(self, participant_id: str) -> PlayedPerson:
        """The person of that name; whether there is one shows when they are described."""
        return PlayedPerson(participant_id, self)

    def prepare(self, wanted: Sequence[WantedAnswer], *, on_progress: Progress) -> None:
        """Asks the model for all of these, in batches."""
        new = [each for each in dict.fromkeys(wanted) if each not in self._answers]
        self._ask(new, on_progress)

    @property
    def counts(self) -> dict[str, int]:
        """How often the model had to be asked again, over all that it was asked."""
        return {"answers asked for again": self.n_retries}

    def source_of(self, participant_id: str) -> Literal["written", "votes"]:  # noqa: ARG002
        """Always "written": by the model."""
        return "written"

    def answer(self, wanted: WantedAnswer) -> str | int | None:
        """The model's answer: an opinion's text, or a rating, None where it cannot be read.

        Raises:
            CommonwealError: it wrote no opinion in any attempt.
        """
        if wanted not in self._answers:
            self._ask([wanted], no_progress)
        return self._answers[wanted]

    def _ask(self, wanted: Sequence[WantedAnswer], on_progress: Progress) -> None:
        left = list(wanted)
        n_done = 0
        on_progress("play", 0, len(wanted))
        for attempt in range(MAX_ATTEMPTS):
            self.n_retries += len(left) if attempt else 0
            unread: list[WantedAnswer] = []
            # Opinions and ratings are sampled differently, so not in one batch.
            for opinions in (True, False):
                of_kind = [each for each in left if (each.what == "opinion") is opinions]
                for start in range(0, len(of_kind), BATCH):
                    batch = of_kind[start : start + BATCH]
                    unread += self._ask_batch(batch, attempt)
                    n_done += 0 if attempt else len(batch)
                    on_progress("play", n_done, len(wanted))
            left = unread
        for each in left:
            if each.what == "opinion":
                raise CommonwealError(
                    f"{self._model.model_id} wrote no opinion for {each.participant_id!r} on "
                    f"{each.question.text!r} in {MAX_ATTEMPTS} attempts; use another model"
                )
            self._answers[each] = None
            self.n_missing += 1

    def _ask_batch(self, batch: Sequence[WantedAnswer], attempt: int) -> list[WantedAnswer]:
        """Keeps the answers that can be used; those that cannot."""
        template = self._template
        completions = self._model.generate(
            [
                template.render(each, self._cast.describe(each.participant_id, each.question))
                for each in batch
            ],
            seeds=[seed_of(self._seed, attempt, *map(str, each)) for each in batch],
            sampling=template.opinion_sampling
            if batch[0].what == "opinion"
            else template.rating_sampling,
        )
        firsts = [answer[0] for answer in completions]
        # A single empty answer may be chance; one that the engine can explain is not.
        explained = [] if self._answers else [each for each in firsts if each.why_empty]
        if explained and (why := why_all_empty(firsts)):
            raise EngineError(f"{self._model.model_id}: all of its first answers are empty: {why}")
        unread = []
        for each, (completion,) in zip(batch, completions, strict=True):
            text = " ".join(completion.text.split())
            answer = (text or None) if each.what == "opinion" else read_rating(text)
            if answer is None:
                unread.append(each)
            else:
                self._answers[each] = answer
        return unread


@dataclass(frozen=True, slots=True)
class PlayedPerson:
    """One person whom a language model plays.

    Attributes:
        id: the name, which begins with "llm-".
        crowd: who plays.
    """

    id: str
    crowd: LlmCrowd

    def opinion(self, question: Question) -> str:
        """What the model writes in this person's place."""
        return str(self.crowd.answer(WantedAnswer(self.id, question, "opinion")))

    def rate_position(self, question: Question, position_statement: str) -> int | None:
        """The model's agreement in this person's place; None where it gave no digit."""
        return self._rating(WantedAnswer(self.id, question, "agreement", position_statement))

    def rate(self, question: Question, statement: str, pass_index: int) -> AgreementAndQuality:
        """The model's ratings in this person's place; None where it gave no digit."""
        return AgreementAndQuality(
            self._rating(WantedAnswer(self.id, question, "agreement", statement, pass_index)),
            self._rating(WantedAnswer(self.id, question, "quality", statement, pass_index)),
        )

    def _rating(self, wanted: WantedAnswer) -> int | None:
        answer = self.crowd.answer(wanted)
        return answer if isinstance(answer, int) else None
