"""What a study is: a TOML file, checked, with the line of what is wrong."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from commonweal.collection import ALPHA_MU, ALPHA_SIGMA, MAX_LOG_ALPHA, CollectionPlan
from commonweal.datasets.arms import HUMAN
from commonweal.errors import CommonwealError, InputError
from commonweal.files import read_text
from commonweal.models import DEFAULT_MODEL, check_language_model
from commonweal.policies import check_policy, default_policy, read_policy_name
from commonweal.questions.guard import HeldOutQuestionError
from commonweal.reading.explaining import line_of, nearest
from commonweal.reading.toml import load_toml
from commonweal.rewards import DEFAULT_REWARD_MODEL, check_reward_model
from commonweal.rules import DEFAULT_RULE, PAPERS_RULES, resolve_rule
from commonweal.study.question_set import (
    STRICT,
    QuestionConfig,
    QuestionSetConfig,
    check_purpose,
)
from commonweal.welfare import Isoelastic, WelfareRule

NO_REWARD = "none"
"""The ``reward`` of an arm that has no reward model, which the collection plan allows."""

LANGUAGES = ("en", "de")
"""Languages with a catalogue of texts (``texts/*.toml``)."""

OUTCOMES = ("complete", "partial", "no_group", "timed_out", "left", "removed", "failed_check")
"""How a participant's part can end; each has a completion code."""


def _rule_name(given: str) -> str:
    """The one name of the welfare rule."""
    try:
        return resolve_rule(given).name
    except InputError as error:
        raise ValueError(str(error)) from None


def _same_rule(one: WelfareRule, other: WelfareRule) -> bool:
    if one.alpha is None or other.alpha is None:
        return one.name == other.name
    return math.isclose(one.alpha, other.alpha, rel_tol=1e-9, abs_tol=1e-12)


RuleName = Annotated[str, AfterValidator(_rule_name)]

_NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
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
    """How many rounds a person goes through, in which order, and how often each rates."""

    count: Annotated[int, Field(ge=1, le=50)] = 2
    order: Literal["random", "as given"] = "random"
    passes: Annotated[int, Field(ge=1, le=2)] = 2
    welfare: RuleName = DEFAULT_RULE


class OpinionConfig(_Part):
    """Lengths in characters."""

    min_characters: Annotated[int, Field(ge=1)] = 40
    max_characters: Annotated[int, Field(le=10_000)] = 1500


class TimingsConfig(_Part):
    """Seconds. ``rating`` is for one statement; ``extension`` is what "more time" adds."""

    entry: Seconds = 3600
    lobby: Seconds = 600
    opinion: Seconds = 480
    rating: Seconds = 60
    result: Seconds = 180
    moderation: Seconds = 180
    generation: Seconds = 120
    extension: Seconds = 60


class AlphaConfig(_Part):
    """A log-normal distribution of α, one draw a shown statement (paper 3.4 step 3)."""

    mu: Annotated[float, Field(ge=-MAX_LOG_ALPHA, le=MAX_LOG_ALPHA)] = ALPHA_MU
    sigma: Annotated[float, Field(ge=0, le=MAX_LOG_ALPHA)] = ALPHA_SIGMA


class ArmConfig(_Part):
    """One way of writing. ``alpha`` instead of ``welfare`` draws an α for each statement shown.

    ``plan``: "best" writes from everybody's opinions and shows the best; "collection" follows the
    collection plan (``collection.CollectionPlan``), and may do without a reward model ("none").
    """

    name: Annotated[str, Field(pattern=_NAME)]
    policy: str = default_policy()
    model: str = DEFAULT_MODEL
    reward: str = DEFAULT_REWARD_MODEL
    plan: Literal["best", "collection"] = "best"
    welfare: RuleName | None = None
    alpha: AlphaConfig | None = None
    candidates: Annotated[int, Field(ge=1, le=64)] = 16
    shown: Annotated[int, Field(ge=1, le=10)] = 1

    @model_validator(mode="before")
    @classmethod
    def _as_named(cls, given: Any) -> Any:
        """The rule that a policy's name may hold, as the fields that say the same."""
        if not isinstance(given, dict):
            return given
        if "policy" not in given and isinstance(given.get("model"), str):
            given = {**given, "policy": default_policy(given["model"])}
        if not isinstance(given.get("policy"), str):
            return given
        try:
            named = read_policy_name(given["policy"])
        except InputError as error:
            raise ValueError(str(error)) from None
        said: dict[str, Any] = {"candidates": 1} if named.is_base else {}
        if named.rule is not None:
            said = {"welfare": named.rule.name}
            if named.alpha is not None and named.rule not in PAPERS_RULES:
                said = {"alpha": {"mu": math.log(named.alpha), "sigma": 0.0}}
            if isinstance(given.get("welfare"), str):
                given = {**given, "welfare": _rule_name(given["welfare"])}
            differ = [field for field in said if given.get(field) != said[field]]
            if differ and (given.get("welfare") or given.get("alpha")):
                raise ValueError(
                    f"the policy {given['policy']} says how its candidates are picked, and welfare "
                    "or alpha says otherwise; give one of them"
                )
        if named.is_base and given.get("candidates", 1) != 1:
            raise ValueError(f"the policy {given['policy']} is one sample; expected candidates = 1")
        return {**given, "policy": named.name, **said}

    @model_validator(mode="after")
    def _known(self) -> ArmConfig:
        try:
            check_language_model(self.model)
        except InputError as error:
            raise ValueError(f"model: {error}") from None
        self._check_names()
        self._check_own_name()
        if self.plan == "collection":
            return self._collects()
        if self.welfare is not None and self.alpha is not None:
            raise ValueError("welfare and alpha are both given; expected one of them")
        if self.shown > self.candidates:
            raise ValueError(f"shown is {self.shown}, more than the {self.candidates} candidates")
        return self

    def _check_names(self) -> None:
        """What writes and what predicts must be there before people are."""
        served = ", as seen from where the study is served"
        if self.reward != NO_REWARD or self.plan != "collection":
            try:
                check_reward_model(self.reward)
            except CommonwealError as error:
                also = f", or {NO_REWARD!r}" if self.plan == "collection" else ""
                raise ValueError(f"reward: {error}{served}{also}") from None
        try:
            check_policy(self.policy)
        except CommonwealError as error:
            raise ValueError(f"policy: {error}{served}") from None

    def _check_own_name(self) -> None:
        """The arm is the policy under evaluation, and its name stands in every table: one that
        means a policy must mean this one.
        """
        if self.name == HUMAN:
            raise ValueError(
                f"an arm is named {HUMAN!r}, as what people wrote is; expected another"
            )
        try:
            named = read_policy_name(self.name)
        except InputError:
            return
        policy = read_policy_name(self.policy)
        is_other = not policy.is_path and policy.writer != named.writer
        is_other |= named.is_base and self.candidates != 1
        if named.rule is not None:
            rules = self.draw_rules(0) if self.plan == "best" and self._is_fixed else ()
            is_other |= not any(_same_rule(named.rule, rule) for rule in rules)
        if is_other:
            raise ValueError(
                f"the arm is named {self.name!r}, which is a policy, and writes with {self.policy} "
                "in another way; expected what its name says, or a name that is no policy's"
            )

    @property
    def _is_fixed(self) -> bool:
        """Whether the rule is the same in every round."""
        return self.alpha is None or self.alpha.sigma == 0

    def _collects(self) -> ArmConfig:
        if self.shown != 1:  # the default: a study kept in a database has every field
            raise ValueError("shown is given and the plan is collection, which sets it")
        if self.welfare is not None:
            raise ValueError(
                "the plan is collection, which draws α itself; expected no welfare, and a policy "
                "whose name says no rule"
            )
        if self.reward == NO_REWARD and self.alpha is not None:
            raise ValueError("alpha is given without a reward model, where picks are random")
        if self.candidates < (n_shown := CollectionPlan().n_shown):
            raise ValueError(
                f"candidates is {self.candidates}, fewer than the {n_shown} shown of each draw"
            )
        return self

    @property
    def collection_plan(self) -> CollectionPlan:
        """The plan that an arm with ``plan = "collection"`` follows."""
        alpha = self.alpha or AlphaConfig()
        return CollectionPlan(self.candidates, mu=alpha.mu, sigma=alpha.sigma)

    def draw_rules(self, seed: int) -> tuple[WelfareRule, ...]:
        """The rule under which each of the ``shown`` statements of a "best" arm is picked."""
        if self.alpha is None:
            return (resolve_rule(self.welfare),) * self.shown
        rng = np.random.default_rng([seed, 1])
        return tuple(map(Isoelastic, rng.lognormal(self.alpha.mu, self.alpha.sigma, self.shown)))

    def rule_of(self, alpha: float | None) -> WelfareRule | None:
        """The rule under which a statement with this stored α was picked; None at random."""
        if alpha is not None:
            return Isoelastic(alpha)
        if self.plan == "collection" or self.welfare is None:
            return None
        rule = resolve_rule(self.welfare)
        return rule if rule.alpha is None else None


class GenerationConfig(_Part):
    """How often writing is tried, and which arm stands in after the last attempt ("" is none)."""

    attempts: Annotated[int, Field(ge=1, le=5)] = 2
    fallback: str = ""


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

    name: Annotated[str, Field(pattern=_NAME)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    contact: Annotated[str, Field(max_length=500)] = ""
    purpose: Literal["", "training", "evaluation"] = ""
    languages: Annotated[list[Literal["en", "de"]], Field(min_length=1)] = ["en"]
    group: GroupConfig = GroupConfig()
    rounds: RoundsConfig = RoundsConfig()
    opinion: OpinionConfig = OpinionConfig()
    timings_seconds: TimingsConfig = TimingsConfig()
    generation: GenerationConfig = GenerationConfig()
    moderation: ModerationConfig = ModerationConfig()
    recruiter: RecruiterConfig = RecruiterConfig()
    questions: Annotated[list[QuestionConfig], Field(min_length=1)]
    arms: Annotated[list[ArmConfig], Field(min_length=1)]
    checks: list[CheckConfig] = []
    check_attempts: Annotated[int, Field(ge=1, le=5)] = 2
    codes: dict[Literal[OUTCOMES], str] = {}  # type: ignore[valid-type]
    texts: dict[Literal["en", "de"], dict[str, str]] = {}

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
        if self.generation.fallback and self.generation.fallback not in names:
            raise ValueError(
                f"generation.fallback is {self.generation.fallback!r}; expected one of "
                f"{', '.join(names)}"
            )
        ids = [question.key for question in self.questions]
        if len(set(ids)) < len(ids):
            raise ValueError("a question stands twice; expected different questions and ids")
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

    def question(self, key: str) -> QuestionConfig:
        """The question of that id."""
        return next(each for each in self.questions if each.key == key)

    def code(self, outcome: str) -> str:
        """The completion code for an outcome; without one in the file, the outcome's name."""
        return self.codes.get(outcome, "") or f"{self.name}-{outcome}".upper()

    def to_json(self) -> str:
        """The study as JSON, for the database."""
        return self.model_dump_json()

    @property
    def sha256(self) -> str:
        """The hash that tells two versions of a study apart."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def read_study(path: Path) -> StudyConfig:
    """The study in this TOML file.

    Raises:
        InputError: there is none, or something in it is wrong; the message says where.
    """
    text = read_text(path, expected="a study as TOML", max_bytes=5_000_000)
    try:
        data = load_toml(path, text)
    except RecursionError:
        raise InputError(f"{path}: not a study: nested too deeply") from None
    part: tuple[type[BaseModel], tuple[str, ...]] = (QuestionSetConfig, ("questions",))
    try:
        if isinstance(data.get("questions"), dict):
            data["questions"] = QuestionSetConfig.model_validate(data["questions"]).read(
                path.parent
            )
        part = (StudyConfig, ())
        study = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(_explain(path, text, error, *part)) from None
    if study.group.start != "full":
        raise InputError(
            f"{path}, line {line_of(text, ('group', 'start'))}: group.start is "
            f"{study.group.start!r}, and only a quick session has somebody who starts it; expected "
            '"full", or: commonweal study quick "QUESTION"'
        )
    return study


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
            found = model.model_fields[part].annotation
            inner = [each for each in getattr(found, "__args__", ()) if isinstance(each, type)]
            model = inner[0] if inner else found
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    return tuple(model.model_fields) if is_model else ()
