"""Any language model as the reward model: it reads question, one person's opinion and a statement.

``prompted:ENGINE`` names one; ``prompted`` alone is the engine that writes. The raw reward is the
rating from 1 to 7 that the engine gives:

- Where the engine has log-probabilities, the expected rating over the answers "1" to "7", in one
  step. Question and opinion come first, so that an engine computes them once for all statements.
- Where it has none, the mean of whole ratings from structured answers: all statements of one person
  at once, in an order and in its reverse, so that a linear effect of the place cancels.

Answers that cannot be read are asked for again, then missing (nan), never a number. What was
answered is kept in a file as it comes: nothing is asked twice, and what broke off goes on.
Decisions and limits: docs/decisions/033-prompted-reward-models.md.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.errors import EngineError, InputError, UnsupportedByEngineError
from commonweal.models import DEFAULT_MODEL, check_language_model, load_language_model, store
from commonweal.models.empties import why_all_empty
from commonweal.rewards.cache import RewardStore, key_of
from commonweal.rewards.prompted_calibration import (
    UNCALIBRATED,
    ReadingCalibration,
    calibration_path,
    read_calibration,
)
from commonweal.rewards.prompted_cost import Cost, cost_of
from commonweal.rewards.prompted_prompts import (
    RATINGS,
    RatingRequest,
    ReadingPrompt,
    answer_tokens,
    by_about,
    chunks_of,
    load_prompt,
    orders,
    ratings_schema,
    read_ratings,
    seed_of,
)
from commonweal.types import Completion, LanguageModel, RewardInput, Sampling

if TYPE_CHECKING:
    from commonweal.types import Calibration, FloatArray

MAX_ATTEMPTS = 3
"""How often a rating is asked for before it is missing."""

MIN_MASS = 0.01
"""Least probability of the seven answers together: below it the engine answers something else, and
the expected rating over them would say nothing."""

_BLOCK = 64
"""Ratings that are computed before they are kept, where there are log-probabilities."""

_REQUESTS = 32
"""Requests that an engine gets at once; how many of them run at a time is the engine's to say."""


class PromptedRewardModel:
    """A language model that predicts one person's agreement by reading (``RewardModel``).

    It also judges quality (``JudgesQuality``) and says how sure it is (``GivesRanges``). Ratings
    from structured answers depend a little on the statements that they were asked with.

    Args:
        model: the engine.
        kept_in: where ratings are kept, by the hash of weights, prompt and texts; None keeps none.
        calibration: from its ratings to expected ones; by default the stored one for this engine
            and prompt, else a cautious one that was fitted to nothing.
        on_cost: called with the cost before anything is asked, where anything has to be.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        kept_in: RewardStore | None = None,
        calibration: ReadingCalibration | None = None,
        on_cost: Callable[[Cost], None] | None = None,
    ) -> None:
        self._model, self._store, self._given = model, kept_in, calibration
        self._on_cost = on_cost
        self._agreement, self._quality = load_prompt("agreement"), load_prompt("quality")
        parameters = inspect.signature(model.generate).parameters
        self._takes_schema = "json_schema" in parameters

    @classmethod
    def from_spec(
        cls,
        spec: str = "",
        *,
        writer: LanguageModel | None = None,
        on_cost: Callable[[Cost], None] | None = None,
    ) -> PromptedRewardModel:
        """The model that reads with the engine after ``prompted:``.

        Args:
            spec: an engine's name; "" is the writer.
            writer: the engine that writes; None where nothing is written, and then ``spec`` "" is
                the default engine.
            on_cost: as above.

        Raises:
            InputError, PluginError, WeightsError, EngineError: as ``load_language_model``.
        """
        if (not spec and writer is not None) or (writer is not None and spec == writer.model_id):
            model = writer
        else:
            model = load_language_model(spec or DEFAULT_MODEL)
        return cls(model, kept_in=_default_store(), on_cost=on_cost)

    @staticmethod
    def check_spec(spec: str) -> None:
        """Returns where there is such an engine, as far as it shows unloaded.

        Raises:
            InputError, PluginError: as ``check_language_model``.
        """
        if spec:
            check_language_model(spec)

    @property
    def name(self) -> str:
        """The engine's name after "prompted:"."""
        return f"prompted:{self._model.model_id}"

    @cached_property
    def weights_hash(self) -> str:
        """The sha256 over the engine's weights, or its name where it shows none, and the prompt."""
        return self._owner(self._agreement)

    @cached_property
    def calibration(self) -> Calibration:
        """From ratings by the engine to expected ratings."""
        return self._calibrated.agreement

    @property
    def metadata(self) -> Mapping[str, Any]:
        """How it reads and what it was calibrated on."""
        return {
            "engine": self._model.model_id,
            "prompt": self._agreement.hash,
            "reads by": "log-probabilities" if self._has_probabilities else "structured answers",
            "calibrated on": self._calibrated.fitted_to,
            "questions_learned_from": self._calibrated.questions,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its predictions should know, in sentences."""
        notes = [f"predictions are by {self._model.model_id}, which was asked to read"]
        if self._calibrated is UNCALIBRATED:
            notes.append(
                f"{self.name} is not calibrated here, so its numbers are unproven and its ranges "
                "wide; `commonweal reward calibrate` fits it to ratings"
            )
        return tuple(notes)

    def rewards(
        self, inputs: Sequence[RewardInput], *, on_done: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Ratings by the engine, float64 [n_inputs], 1 to 7; nan where it gave none.

        ``on_done`` is called with the number of inputs rated so far.

        Raises:
            EngineError: the engine failed, or brings no text at all. What was answered before is
                kept.
        """
        asked = [
            RatingRequest(
                self._agreement.about_person(given.question, given.opinion), given.statement
            )
            for given in inputs
        ]
        return self._read(self._agreement, asked, on_done)

    def cost(self, inputs: Sequence[RewardInput]) -> Cost:
        """What ``rewards`` of these inputs would ask of the engine; nothing is asked."""
        asked = [
            RatingRequest(
                self._agreement.about_person(given.question, given.opinion), given.statement
            )
            for given in inputs
        ]
        new = self._unknown(self._agreement, asked)[1]
        return self._cost(self._agreement, list(new.values()), len(asked))

    def qualities(
        self, question: str, opinions: Sequence[str], statements: Sequence[str]
    ) -> FloatArray:
        """How good each statement is as this group's, float64 [n_statements], 1 to 7.

        Raises:
            EngineError: the engine failed, or gave no rating of some statements.
        """
        about = self._quality.about_group(question, opinions)
        ratings = self._read(
            self._quality, [RatingRequest(about, text) for text in statements], None
        )
        if n_missing := int(np.isnan(ratings).sum()):
            raise EngineError(
                f"{self._model.model_id} gave no quality from 1 to 7 of {n_missing} of "
                f"{len(ratings)} statements in {MAX_ATTEMPTS} attempts; try another model"
            )
        return self._calibrated.quality.expected_rating(ratings)

    def ranges(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Low and high for expected ratings, half of the ratings lay between them.

        Where nothing was fitted, 2 points to each side: unproven, and wide.
        """
        return self._calibrated.ranges(expected)

    @cached_property
    def _has_probabilities(self) -> bool:
        try:
            self._model.log_probabilities([], [])
        except UnsupportedByEngineError:
            return False
        return True

    @cached_property
    def _calibrated(self) -> ReadingCalibration:
        if self._given is not None:
            return self._given
        return read_calibration(calibration_path(self.weights_hash)) or UNCALIBRATED

    def _owner(self, prompt: ReadingPrompt) -> str:
        """What a rating depends on beside the texts."""
        weights = self._model.weights_hash or self._model.model_id
        how = "log-probabilities" if self._has_probabilities else "structured answers"
        return hashlib.sha256(f"{weights}/{how}/{prompt.hash}".encode()).hexdigest()

    def _unknown(
        self, prompt: ReadingPrompt, asked: Sequence[RatingRequest]
    ) -> tuple[dict[bytes, float], dict[bytes, RatingRequest]]:
        """(Ratings that are there, by key; what has to be asked, by key)."""
        owner = self._owner(prompt)
        by_key = {key_of(owner, each): each for each in asked}
        known = {} if self._store is None else self._store.known(list(by_key))
        return known, {key: each for key, each in by_key.items() if key not in known}

    def _read(
        self,
        prompt: ReadingPrompt,
        asked: Sequence[RatingRequest],
        on_done: Callable[[int], None] | None,
    ) -> FloatArray:
        """The rating of each, [n_asked]; nan where there is none."""
        known, new = self._unknown(prompt, asked)
        if new and self._on_cost is not None:
            self._on_cost(self._cost(prompt, list(new.values()), len(asked)))
        key_by_asked = {each: key for key, each in new.items()}
        left = list(new.values())
        blocks = (
            self._by_probabilities(prompt, left)
            if self._has_probabilities
            else self._by_answers(prompt, left, has_answered=bool(known))
        )
        for block in blocks:
            rated = {key_by_asked[each]: rating for each, rating in block.items()}
            if self._store is not None:
                self._store.keep(rated)
            known |= rated
            if on_done is not None:
                on_done(len(asked) * len(known) // (len(known) + len(new)))
        if on_done is not None:
            on_done(len(asked))
        owner = self._owner(prompt)
        return np.array([known[key_of(owner, each)] for each in asked], dtype=np.float64)

    def _cost(self, prompt: ReadingPrompt, new: Sequence[RatingRequest], n_asked: int) -> Cost:
        return cost_of(
            self._model,
            prompt,
            new,
            n_asked=n_asked,
            chunks=None if self._has_probabilities else [len(part) for _, part in chunks_of(new)],
        )

    def _by_probabilities(
        self, prompt: ReadingPrompt, asked: Sequence[RatingRequest]
    ) -> Iterable[dict[RatingRequest, float]]:
        """Expected ratings over the answers "1" to "7", in blocks that share beginnings."""
        ordered = [
            RatingRequest(about, text) for about, texts in by_about(asked).items() for text in texts
        ]
        answers = [str(rating) for rating in RATINGS]
        for start in range(0, len(ordered), _BLOCK):
            block = ordered[start : start + _BLOCK]
            scores = self._model.log_probabilities(
                [prompt.single(each) for each in block for _ in answers], answers * len(block)
            )
            table = np.array([sum(tokens) for tokens in scores], dtype=np.float64)
            ratings = expected_ratings(table.reshape(len(block), len(answers)))
            yield dict(zip(block, map(float, ratings), strict=True))

    def _by_answers(
        self, prompt: ReadingPrompt, asked: Sequence[RatingRequest], *, has_answered: bool
    ) -> Iterable[dict[RatingRequest, float]]:
        """Means of whole ratings from structured answers, in blocks of requests.

        ``has_answered`` says that some ratings are there already: an engine that brings no text at
        all is then not given up.
        """
        chunks = chunks_of(asked)
        for start in range(0, len(chunks), _REQUESTS // 2):
            part = chunks[start : start + _REQUESTS // 2]
            yield self._answered(prompt, part, has_answered=has_answered or start > 0)

    def _answered(
        self,
        prompt: ReadingPrompt,
        chunks: Sequence[tuple[str, list[str]]],
        *,
        has_answered: bool,
    ) -> dict[RatingRequest, float]:
        given: dict[RatingRequest, list[int]] = {}
        lists = [(about, order) for about, texts in chunks for order in orders(about, texts)]
        for attempt in range(MAX_ATTEMPTS):
            if not lists:
                break
            left = []
            answers = self._answers(prompt, lists, attempt)
            if attempt == 0 and not has_answered and (why := why_all_empty(answers)):
                raise EngineError(f"{self.name}: none of {len(answers)} answers has a text: {why}")
            for (about, texts), answer in zip(lists, answers, strict=True):
                ratings = read_ratings(answer.text, len(texts))
                for text, rating in zip(texts, ratings, strict=True):
                    if rating is not None:
                        given.setdefault(RatingRequest(about, text), []).append(rating)
                unread = [text for text, r in zip(texts, ratings, strict=True) if r is None]
                left += [(about, unread)] if unread else []
            lists = left
        return {
            RatingRequest(about, text): float(
                np.mean(given.get(RatingRequest(about, text), [np.nan]))
            )
            for about, texts in chunks
            for text in texts
        }

    def _answers(
        self, prompt: ReadingPrompt, lists: Sequence[tuple[str, list[str]]], attempt: int
    ) -> list[Completion]:
        """One answer for each list of statements."""
        answers: dict[int, Completion] = {}
        by_length: dict[int, list[int]] = {}  # a schema is for so many statements
        for index, (_, texts) in enumerate(lists):
            by_length.setdefault(len(texts), []).append(index)
        for n, indices in by_length.items():
            options: dict[str, Any] = (
                {"json_schema": ratings_schema(n)} if self._takes_schema else {}
            )
            completions = self._model.generate(
                [prompt.several(*lists[index]) for index in indices],
                seeds=[seed_of(attempt, *lists[index]) for index in indices],
                # The likeliest answer first; the same again would be as little use.
                sampling=Sampling(
                    max_tokens=answer_tokens(n), temperature=0.0 if attempt == 0 else 0.7
                ),
                **options,
            )
            for index, (completion,) in zip(indices, completions, strict=True):
                answers[index] = completion
        return [answers[index] for index in range(len(lists))]


def expected_ratings(log_probabilities: FloatArray) -> FloatArray:
    """The mean rating over the answers 1 to 7, float64 [n].

    Args:
        log_probabilities: natural, of each answer, [n, 7]. They are made to sum to 1: nan where
            together they have less than ``MIN_MASS``.
    """
    probabilities = np.exp(log_probabilities)
    mass = probabilities.sum(axis=1)
    # From the logarithms again, so that a small mass keeps its digits.
    shares = np.exp(log_probabilities - log_probabilities.max(axis=1, keepdims=True))
    ratings: FloatArray = (shares @ np.array(RATINGS, np.float64)) / shares.sum(axis=1)
    return np.where(mass >= MIN_MASS, ratings, np.nan)


def _default_store() -> RewardStore | None:
    """The user's, beside the weights; None where nothing can be written there."""
    folder = store.cache_folder().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return RewardStore(folder / "ratings.sqlite")
    except (OSError, InputError):
        return None
