"""Frozen records, the 7-point scales, and the protocols that the parts meet through.

Words are the field's (docs/glossary.md): a *completion* is raw model text and a *candidate* the
statement parsed from it; a *rating* is a person's 1-7, a *reward* the reward model's raw scalar, a
*utility* the welfare function's input, *welfare* one number a candidate. They never stand in for
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from numbers import Integral
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

AGREEMENT_SCALE = (
    "Strongly disagree",
    "Disagree",
    "Somewhat disagree",
    "Neutral",
    "Somewhat agree",
    "Agree",
    "Strongly agree",
)
"""Ratings 1 to 7 of agreement (paper 3.2). Rating r is ``AGREEMENT_SCALE[r - 1]``."""

QUALITY_SCALE = (
    "Terrible",
    "Poor",
    "Somewhat poor",
    "Neutral",
    "Somewhat good",
    "Good",
    "Excellent",
)
"""Ratings 1 to 7 of quality (paper 3.2). Rating r is ``QUALITY_SCALE[r - 1]``."""

RATING_MIN, RATING_NEUTRAL, RATING_MAX = 1, 4, 7

SPLITS = ("train", "iid_test", "ood_test")
"""What a question may be used for: training, within-distribution test, out-of-distribution test
(paper 3.1)."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, n_done, n_total) as work proceeds. Stages: see ``find_agreement``."""


def no_progress(stage: str, n_done: int, n_total: int, /) -> None:
    """Does nothing: the ``Progress`` for callers that want no reports."""


# ---------------------------------------------------------------------------- people and rounds


@dataclass(frozen=True, slots=True)
class Question:
    """A debate question.

    ``id`` names it across rounds; it may be empty for a question asked once.
    """

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one participant wrote on the question. ``id`` is unique within its round."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Critique:
    """What one participant would change about a statement that they read; "" is nothing."""

    participant_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A statement parsed from one completion, with what is needed to make it again.

    Attributes:
        id: unique within its round, in order of generation ("c01", "c02", ...).
        text: the statement.
        included_opinion_ids: whose opinions the prompt held, in the order in which it held them
            (docs/decisions/007).
        policy: name of the policy that wrote it.
        model: the engine's ``model_id``.
        prompt_hash: sha256 of the policy's prompt template, first 16 hex digits.
        seed: the sampling seed of this one completion.
        attempt: 0 for the first draw, k for the k-th time that rejected completions were redrawn.
        author: who wrote it, if a person did: its policy is then "human", or "own_words" of a
            sentence of their opinion.
        sense: how sensible the states of the model that wrote it say it is, to be compared within
            its group; None where that was not read (``commonweal.selection.sense``). Of own words
            how far they stand alone, about 1 or 0 (``commonweal.selection.own_words``).
    """

    id: str
    text: str
    included_opinion_ids: tuple[str, ...]
    policy: str
    model: str
    prompt_hash: str
    seed: int
    attempt: int = 0
    author: str = ""
    sense: float | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """One participant's rating of one candidate in one pass. ``None`` is a missing rating."""

    participant_id: str
    candidate_id: str
    agreement: int | None
    quality: int | None
    pass_index: int = 0

    def __post_init__(self) -> None:
        from commonweal.errors import InputError

        for field, value in (("agreement", self.agreement), ("quality", self.quality)):
            if value is None:
                continue
            is_whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not is_whole or not RATING_MIN <= value <= RATING_MAX:
                raise InputError(
                    f"rating of candidate {self.candidate_id!r} by participant "
                    f"{self.participant_id!r}: {field} is {value!r}, expected a whole number from "
                    f"{RATING_MIN} to {RATING_MAX}, or None where it is missing"
                )


@dataclass(frozen=True, slots=True)
class Round:
    """One group on one question: opinions in, candidates out, ratings given."""

    id: str
    group_id: str
    question: Question
    opinions: tuple[Opinion, ...]
    candidates: tuple[Candidate, ...] = ()
    ratings: tuple[Rating, ...] = ()


# ------------------------------------------------------------------------------ language models


class Message(NamedTuple):
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]
"""A chat prompt. The engine turns it into tokens with its model's own chat template."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn.

    Attributes:
        max_tokens: most tokens in an answer. Reasoning before it has its own budget, if the engine
            recognises it.
        temperature: 0 is greedy.
        top_p: nucleus mass kept, in (0, 1].
        frequency_penalty: subtracted from a token's logit for each time that the completion
            already contains it, as in the OpenAI API; 0 is none.
        stop: strings that end a completion; they are not part of it.
    """

    max_tokens: int = 160
    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from commonweal.errors import InputError

        for field, ok, expected in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature < float("inf"), "a finite number, at least 0"),
            ("top_p", 0 < self.top_p <= 1, "in (0, 1]"),
            ("frequency_penalty", -2 <= self.frequency_penalty <= 2, "from -2 to 2"),
        ):
            if not ok:
                raise InputError(f"Sampling.{field} is {getattr(self, field)}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Completion:
    """Raw text from a language model, before any parsing.

    ``text`` is what the model meant to say. Reasoning that it marks as such is kept apart in
    ``reasoning`` and never judged. ``finish_reason`` is "stop" if the model ended the text and
    "length" if ``max_tokens`` did. ``why_empty`` says why there is no text, if the engine knows.
    Token counts are ``None`` if the engine does not report them.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    seed: int
    n_prompt_tokens: int | None = None
    n_completion_tokens: int | None = None
    reasoning: str = ""
    why_empty: str = ""


@runtime_checkable
class LanguageModel(Protocol):
    """An engine with weights: prompts in, completions out."""

    @property
    def model_id(self) -> str:
        """Engine and model as the user names it: "embedded:smollm2-135m-instruct"."""
        ...

    @property
    def weights_hash(self) -> str | None:
        """The sha256 of the weights in hex, or None where the engine cannot know (a server)."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this engine handled its requests, in sentences."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[int],
        n_samples: int = 1,
        sampling: Sampling | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """Returns ``n_samples`` completions for each prompt, in order: n_prompts lists.

        Sample j of prompt i is drawn with seed ``seeds[i] + j``. ``on_done`` is called with the
        number of completions finished so far.

        Raises:
            EngineError: nothing usable came back.
        """
        ...

    def count_tokens(self, text: str) -> int | None:
        """The number of tokens in ``text``, or None where the engine does not tell."""
        ...

    def log_probabilities(
        self, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[list[float]]:
        """Returns the natural log-probability of each token of ``continuations[i]`` as the
        assistant's answer to ``prompts[i]``.

        Raises:
            UnsupportedByEngineError: the engine has none.
        """
        ...


# ------------------------------------------------------------------------------------- policies


class RejectionReason(StrEnum):
    """Why a completion did not become a candidate."""

    EMPTY = "empty"
    REFUSAL = "refusal"
    ECHO_PROMPT = "echo of the prompt"
    ECHO_OPINION = "echo of an opinion"
    OVER_LENGTH = "over length"
    UNDER_LENGTH = "under length"
    UNFINISHED = "unfinished sentence"
    REPETITION = "repeats itself"
    NOT_A_STATEMENT = "not a statement for the group"
    CONTRADICTION = "contradicts itself"
    INVENTED_FIGURE = "a figure that nobody gave"
    DUPLICATE = "duplicate"
    OTHER_LANGUAGE = "in another language than the opinions"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A completion that did not become a candidate: its raw text, the reason, and the evidence."""

    raw_text: str
    reason: RejectionReason
    detail: str
    seed: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What a policy returns.

    Attributes:
        candidates: at most ``n_requested``, in the order of generation.
        rejections: every completion that was not made a candidate, with its reason.
        n_requested: how many candidates were asked for.
        n_sampled: how many completions were drawn. More than candidates and rejections together
            if the last draw gave more than were still missing; those were not looked at.
        notes: what a reader should know about how it went, in plain sentences.
    """

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    n_requested: int
    n_sampled: int
    notes: tuple[str, ...] = ()

    def with_notes_first(self, notes: tuple[str, ...]) -> Generation:
        """The same with these notes before its own."""
        return replace(self, notes=(*notes, *self.notes))


@runtime_checkable
class Policy(Protocol):
    """A language model with a way of prompting it (paper 3.4 step 1)."""

    @property
    def name(self) -> str:
        """The policy's name: "zero_shot", "few_shot", ..."""
        ...

    @property
    def model(self) -> LanguageModel:
        """The language model that writes."""
        ...

    def generate(
        self,
        question: Question,
        opinions: Sequence[Opinion],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """Writes up to ``n_candidates`` candidates from these opinions.

        ``on_done`` is called with (n_completions_drawn, n_completions_to_draw).

        Raises:
            GenerationError: none survived parsing.
            EngineError: the language model failed.
        """
        ...


@runtime_checkable
class WritesFromSamples(Protocol):
    """A policy that can write each candidate from a sample of its own, all in one batch."""

    def generate_from(
        self,
        question: Question,
        sample: Callable[[np.random.Generator], Sequence[Opinion]],
        *,
        n_candidates: int,
        rng: np.random.Generator,
        on_done: Callable[[int, int], None] | None = None,
    ) -> Generation:
        """As ``Policy.generate``; each completion's opinions are what ``sample`` draws for it."""
        ...


# -------------------------------------------------------------------------------- reward models


class RewardInput(NamedTuple):
    """What the reward model sees: the question, one person's own opinion, one statement."""

    question: str
    opinion: str
    statement: str


class Calibration(Protocol):
    """A monotone map from reward to expected rating (docs/decisions/001)."""

    def expected_rating(self, rewards: FloatArray) -> FloatArray:
        """Expected agreement on the 7-point scale, in the open interval (1, 7), same shape."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Predicts one person's agreement from that person's own opinion (paper 3.3)."""

    @property
    def name(self) -> str:
        """The name under which it is chosen and recorded."""
        ...

    @property
    def weights_hash(self) -> str:
        """The sha256, in hex, over everything that the reward depends on."""
        ...

    @property
    def calibration(self) -> Calibration:
        """The fitted map from its rewards to expected ratings, stored with the model."""
        ...

    def rewards(
        self,
        inputs: Sequence[RewardInput],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> FloatArray:
        """Returns one raw scalar for each input, shape [n_inputs], higher is more agreement.

        Deterministic, and up to rounding independent of the rest of the batch. nan if the model
        gave none: nothing is chosen by it, and it is measured as missing.
        ``on_done`` is called with the number of inputs scored so far.
        """
        ...


@runtime_checkable
class JudgesQuality(Protocol):
    """A reward model that also tells sense from nonsense, whether or not people agree with it."""

    def qualities(
        self, question: str, opinions: Sequence[str], statements: Sequence[str]
    ) -> FloatArray:
        """How good each statement is as a group's, float64 [n_statements], 1 to 7 (paper 3.2).

        It is sensible, answers the question, does not contradict itself, invents nothing and does
        not speak for some as if for all.
        """
        ...


@runtime_checkable
class GivesRanges(Protocol):
    """A reward model that says how sure it is."""

    def ranges(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Low and high around expected ratings, each of their shape, from 1 to 7.

        Of ratings that it had not seen, the middle half lay between the two, a quarter below and
        a quarter above.
        """
        ...
