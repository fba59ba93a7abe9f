"""What a study is: a TOML file, checked, with the line of what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.questions.guard import HeldOutQuestionError
from commonweal.reading.explaining import line_of, nearest
from commonweal.reading.setting import with_set
from commonweal.reading.toml import load_toml
from commonweal.rules import DEFAULT_RULE
from commonweal.study.arm_config import (
    NAME,
    NO_REWARD,
    PLACES,
    STORED,
    AlphaConfig,
    ArmConfig,
    RuleName,
    rooted,
)
from commonweal.study.question_set import STRICT, QuestionConfig, QuestionSetConfig, check_purpose

__all__ = ["NO_REWARD", "STORED", "AlphaConfig", "ArmConfig", "StudyConfig", "read_study"]

MOST_SHARING = 10
"""People in a group whose opinions everybody rates; with more there would be too much to rate."""

MAX_REVISIONS = 3
"""How often a statement may be revised: beyond that people are tired, and little changes."""

LANGUAGES = ("en", "de")
"""Languages with a catalogue of texts (``texts/*.toml``)."""

OUTCOMES = ("complete", "partial", "no_group", "timed_out", "left", "removed", "failed_check")
"""How a participant's part can end; each has a completion code."""


Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class _Part(BaseModel):
    model_config = STRICT


class GroupConfig(_Part):
    """Who makes a group, and what happens when people are missing.

    ``start``: "full" when enough wait; "facilitator" when the facilitator says so, who is in quick
    sessions only. ``late``:
    whoever is not done at a deadline is released, or kept. ``shortfall``: what becomes of people
    whose group is too small.
    """

    size: Annotated[int, Field(ge=2, le=50)] = 5
    minimum: Annotated[int, Field(ge=2, le=50)] = 3
    start: Literal["full", "facilitator"] = "full"
    late: Literal["release", "keep"] = "release"
    shortfall: Literal["regroup", "release"] = "regroup"


class RoundsConfig(_Part):
    """How many rounds a person goes through, in which order, and how often each rates.

    ``revise``: how often people are asked what they would change about the statement that their
    ratings chose, and it is written again. ``revisions``: how many of what is then written they
    rate beside it. ``minority``: whether those who disagree with it get a sentence of their own,
    written from their opinions and shown beside it.
    """

    count: Annotated[int, Field(ge=1, le=50)] = 2
    order: Literal["random", "as given"] = "random"
    passes: Annotated[int, Field(ge=1, le=2)] = 2
    welfare: RuleName = DEFAULT_RULE
    revise: Annotated[int, Field(ge=0, le=MAX_REVISIONS)] = 0
    revisions: Annotated[int, Field(ge=1, le=10)] = 2
    minority: bool = False


class OpinionConfig(_Part):
    """Lengths in characters."""

    min_characters: Annotated[int, Field(ge=1)] = 40
    max_characters: Annotated[int, Field(le=10_000)] = 1500


class TimingsConfig(_Part):
    """Seconds. ``rating`` is for one statement; ``extension`` is what "more time" adds."""

    entry: Seconds = 3600
    lobby: Seconds = 600
    opinion: Seconds = 480
    critique: Seconds = 240
    rating: Seconds = 60
    result: Seconds = 180
    moderation: Seconds = 180
    generation: Seconds = 120
    extension: Seconds = 60


class StudyGenerationConfig(_Part):
    """How often writing is tried, and which arm stands in after the last attempt ("" is none).

    Where all of that failed, a group waits ``hold_seconds`` for a researcher who tries again or
    takes another model, before its round ends without statements.
    """

    attempts: Annotated[int, Field(ge=1, le=5)] = 2
    fallback: str = ""
    hold_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0


class ModerationConfig(_Part):
    """Mode "automatic" shows nothing that is flagged; in "review" people approve each statement."""

    mode: Literal["automatic", "review", "off"] = "automatic"


class CheckConfig(_Part):
    """A comprehension question. ``answer`` counts the choices from 1."""

    question: Text
    choices: Annotated[list[Text], Field(min_length=2, max_length=8)]
    answer: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _there(self) -> CheckConfig:
        if self.answer > len(self.choices):
            raise ValueError(f"answer is {self.answer}; there are {len(self.choices)} choices")
        return self


class RecruiterConfig(_Part):
    """The names of the URL's parameters, and where people are sent back to ("{code}" is filled)."""

    participant: str = ""
    study: str = ""
    session: str = ""
    return_url: Annotated[str, Field(pattern=r"^(https://[^\s\"'<>]+)?$")] = ""


class StudyConfig(_Part):
    """A study, as in its TOML file.

    ``purpose`` "training" refuses questions that are held out for testing; who asks those says
    "evaluation".
    """

    name: Annotated[str, Field(pattern=NAME)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    contact: Annotated[str, Field(max_length=500)] = ""
    purpose: Literal["", "training", "evaluation"] = ""
    languages: Annotated[list[Literal["en", "de"]], Field(min_length=1)] = ["en"]
    group: GroupConfig = GroupConfig()
    rounds: RoundsConfig = RoundsConfig()
    opinion: OpinionConfig = OpinionConfig()
    timings_seconds: TimingsConfig = TimingsConfig()
    generation: StudyGenerationConfig = StudyGenerationConfig()
    moderation: ModerationConfig = ModerationConfig()
    recruiter: RecruiterConfig = RecruiterConfig()
    questions: Annotated[list[QuestionConfig], Field(min_length=1)]
    arms: Annotated[list[ArmConfig], Field(min_length=1)]
    checks: list[CheckConfig] = []
    check_attempts: Annotated[int, Field(ge=1, le=5)] = 2
    codes: dict[Literal[OUTCOMES], str] = {}  # type: ignore[valid-type]
    texts: dict[Literal["en", "de"], dict[str, str]] = {}
    _as_named: dict[str, dict[str, str]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> StudyConfig:
        if self.group.minimum > self.group.size:
            raise ValueError(
                f"group.minimum is {self.group.minimum}, more than group.size {self.group.size}"
            )
        if self.opinion.min_characters > self.opinion.max_characters:
            raise ValueError("opinion.min_characters is more than opinion.max_characters")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have one name; expected a name of its own for each")
        writing = [arm.name for arm in self.arms if arm.plan != "opinions"]
        if not writing:
            raise ValueError("no arm writes statements; expected one beside people's opinions")
        if self.shares_opinions and self.group.size > MOST_SHARING:
            raise ValueError(
                f"group.size is {self.group.size} and everybody rates everybody's opinion; "
                f"expected {MOST_SHARING} at most"
            )
        if self.generation.fallback and self.generation.fallback not in writing:
            raise ValueError(
                f"generation.fallback is {self.generation.fallback!r}; expected one of "
                f"{', '.join(writing)}"
            )
        ids = [question.key for question in self.questions]
        if len(set(ids)) < len(ids):
            raise ValueError("a question appears twice; expected different questions and ids")
        if self.rounds.count > len(self.questions):
            raise ValueError(
                f"rounds.count is {self.rounds.count} and there are {len(self.questions)} "
                "questions; expected a question for each round"
            )
        try:
            check_purpose(self.purpose, self.questions)
        except HeldOutQuestionError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def shares_opinions(self) -> bool:
        """Whether people read and rate each other's opinions."""
        return any(arm.plan == "opinions" for arm in self.arms)

    @property
    def n_rated_twice(self) -> int:
        """How many statements a person who has all rounds rates twice, at most."""
        if self.rounds.passes < 2:
            return 0
        n_a_round = 0
        for arm in self.arms:
            if arm.plan == "collection":
                plan = arm.collection_plan
                n_a_round += plan.n_shown * len(plan.omitted)
            else:
                n_a_round += arm.shown if arm.plan == "best" else self.group.size - 1
        return self.rounds.count * n_a_round

    def keep_names(self, arms: list[dict[str, Any]], folder: Path) -> None:
        """Notes how the file in ``folder`` names the folders of its arms, for ``to_json``."""
        for given, arm in zip(arms, self.arms, strict=True):
            moved = {
                name: given[name]
                for name in PLACES
                if name in given and rooted(given, folder)[name] != given[name]
            }
            if moved:
                self._as_named[arm.name] = moved

    def question(self, key: str) -> QuestionConfig:
        """The question of that id."""
        return next(each for each in self.questions if each.key == key)

    def code(self, outcome: str) -> str:
        """The completion code for an outcome; without one in the file, the outcome's name."""
        return self.codes.get(outcome, "") or f"{self.name}-{outcome}".upper()

    def to_json(self) -> str:
        """The study as JSON, for the database, with folders as the file names them: a study that
        was moved with what it names is the same study.
        """
        arms = [arm.model_copy(update=self._as_named.get(arm.name, {})) for arm in self.arms]
        return self.model_copy(update={"arms": arms}).model_dump_json()

    @property
    def sha256(self) -> str:
        """The hash that tells two versions of a study apart."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def read_study(path: Path, given: Sequence[str] = ()) -> StudyConfig:
    """The study in this TOML file; its relative paths lead from the file's folder.

    Args:
        path: the file.
        given: values in the place of the file's, "rounds.count=1" (``--set``).

    Raises:
        InputError: there is none, or something in it is wrong; the message says where.
    """
    text = read_text(path, expected="a study as TOML", max_bytes=5_000_000)
    _refuse_two_sources(path, text)
    try:
        data = with_set(load_toml(path, text), given)
    except RecursionError:
        raise InputError(f"{path}: not a study: nested too deeply") from None
    part: tuple[type[BaseModel], tuple[str, ...]] = (QuestionSetConfig, ("questions",))
    try:
        if isinstance(data.get("questions"), dict):
            data["questions"] = QuestionSetConfig.model_validate(data["questions"]).read(
                path.parent
            )
        part = (StudyConfig, ())
        arms = data.get("arms")
        if isinstance(arms, list):
            data["arms"] = [rooted(arm, path.parent) for arm in arms]
        study = StudyConfig.model_validate(data)
        study.keep_names(arms or [], path.parent)
    except ValidationError as error:
        raise InputError(_explain(path, text, error, *part)) from None
    if study.group.start != "full":
        raise InputError(
            f"{path}, line {line_of(text, ('group', 'start'))}: group.start is "
            f"{study.group.start!r}, and only a quick session has somebody who starts it; expected "
            '"full", or: commonweal study quick "QUESTION"'
        )
    return study


def _refuse_two_sources(path: Path, text: str) -> None:
    """Refuses questions of a set beside questions of the file's own, which is not even TOML."""
    lines = {
        heading: number
        for number, line in reversed(list(enumerate(text.splitlines(), start=1)))
        for heading in ("[questions]", "[[questions]]")
        if line.partition("#")[0].strip() == heading
    }
    if len(lines) == 2:
        raise InputError(
            f"{path}, line {lines['[questions]']}: [questions] takes the questions of a set, and "
            f"line {lines['[[questions]]']} begins questions of the file's own; expected one of "
            "them: take out every [[questions]] with its lines, or [questions]"
        )


def _explain(
    path: Path, text: str, error: ValidationError, model: type[BaseModel], at: tuple[str, ...]
) -> str:
    # A misspelt field is both unknown and missing; the first of these says what to mend.
    first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    loc = at + first["loc"]
    line = line_of(text, loc)
    where = ".".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in loc)
    place = f"{path}{f', line {line}' if line else ''}{f': {where}' if where else ''}"
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown field{nearest(str(loc[-1]), _fields(model, first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"{place}: missing; expected it to be given"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place}: {message}"
    return f"{place}: got {first['input']!r:.80}; {message[0].lower()}{message[1:]}"


def _fields(model: Any, loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The names that the table at ``loc`` of this part may hold."""
    for part in loc:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            annotation = model.model_fields[part].annotation
            inner = [each for each in getattr(annotation, "__args__", ()) if isinstance(each, type)]
            model = inner[0] if inner else annotation
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    return tuple(model.model_fields) if is_model else ()
