"""New debate questions, written by a language model from seeds (paper 3.1).

Ten seeds, drawn at random, go into each prompt; what comes back is parsed, compared with all there
is, and kept or counted under a reason. The whole run follows from one seed, and what the model said
is on disk before it is used, so a run broken off goes on (decision 010).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.questions.journal import ModelCall
from commonweal.questions.parsing import QuestionFault, RejectedQuestion, parse_question
from commonweal.questions.positions import Positions, derive_positions
from commonweal.questions.records import QuestionRecord, content_id
from commonweal.questions.similar import NEAR_DUPLICATE, Neighbour, SimilarityIndex
from commonweal.questions.templates import N_EXAMPLES, TurnsTemplate, load_template
from commonweal.types import Completion, Progress, no_progress

if TYPE_CHECKING:
    from commonweal.questions.journal import Journal
    from commonweal.questions.similar import Encode, FloatArray32


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How questions are generated.

    Attributes:
        n_target: new questions wanted (the paper's whole set has 3,500, seeds included or not).
        seed: everything random follows from it.
        n_batch: prompts in one call of the model. Part of what a seed means.
        near_duplicate: the cosine from which two questions count as one.
        n_window: draws over which the share of new questions is watched.
        min_new_share: below this share of new questions in a window, the run stops.
    """

    n_target: int = 3500
    seed: int = 0
    n_batch: int = 16
    near_duplicate: float = NEAR_DUPLICATE
    n_window: int = 320
    min_new_share: float = 0.02

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("n_target", self.n_target >= 1, "at least 1"),
            ("seed", self.seed >= 0, "at least 0"),
            ("n_batch", self.n_batch >= 1, "at least 1"),
            ("near_duplicate", 0 < self.near_duplicate <= 1.01, "in (0, 1], or more for never"),
            ("n_window", self.n_window >= 1, "at least 1"),
            ("min_new_share", 0 <= self.min_new_share <= 1, "in [0, 1]"),
        ):
            if not ok:
                raise InputError(f"{name} is {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True, slots=True)
class GeneratedQuestions:
    """What a run brought back.

    Attributes:
        records: the new questions in the order in which they were written.
        rejected: every completion that was not taken, in order.
        n_drawn: completions looked at.
        stopped: "target" where the target was reached, "exhausted" where the model found too few
            new ones.
        positions: how the position statements were derived, counted by way.
    """

    records: tuple[QuestionRecord, ...]
    rejected: tuple[RejectedQuestion, ...]
    n_drawn: int
    stopped: Literal["target", "exhausted"]
    positions: Positions = field(repr=False)

    @property
    def reasons(self) -> dict[str, int]:
        """How many completions were rejected, by reason, the most frequent first."""
        counts = Counter(rejected.reason for rejected in self.rejected)
        return {str(reason): n for reason, n in counts.most_common()}


def generate_questions(
    seeds: Sequence[QuestionRecord],
    journal: Journal,
    encode: Encode,
    *,
    config: GenerationConfig | None = None,
    source: str = "",
    on_progress: Progress = no_progress,
) -> GeneratedQuestions:
    """New questions like the seeds, each unlike all others, with position statements.

    Args:
        seeds: at least ten questions (paper 3.1: 152).
        journal: the language model, with what it said before.
        encode: texts to unit vectors, for near-duplicates.
        config: target, seed and limits.
        source: written into each record: the model's id.
        on_progress: called with ("write" or "positions", n_done, n_total).

    Raises:
        InputError: fewer than ten seeds.
        EngineError: the model failed; the same call goes on from where it was.
    """
    config = config or GenerationConfig()
    if len(seeds) < N_EXAMPLES:
        raise InputError(
            f"got {len(seeds)} seed questions, expected at least {N_EXAMPLES}: as many go into "
            "each prompt"
        )
    template = load_template("writing")
    sieve = _Sieve(seeds, encode, config.near_duplicate, f"{template.system} {template.user}")
    n_drawn = 0
    was_new: list[bool] = []
    stopped: Literal["target", "exhausted"] = "target"
    on_progress("write", 0, config.n_target)

    def n_wanted() -> int:
        # By the share of new ones so far; of the first nothing is known, and all may be.
        n_new, share = len(sieve.accepted), 1 + n_drawn
        return -(-(config.n_target - n_new) * share // ((1 + n_new) * config.n_batch))

    calls = _calls(seeds, config, template)
    with closing(journal.answers(calls, n_wanted=n_wanted)) as answers:
        while len(sieve.accepted) < config.n_target:
            if _is_exhausted(was_new, config):
                stopped = "exhausted"
                break
            for new in sieve.sift(next(answers), config.n_target):
                was_new.append(new)
                n_drawn += 1
            on_progress("write", len(sieve.accepted), config.n_target)
    positions = derive_positions(sieve.accepted, journal, on_progress=on_progress)
    records = tuple(
        QuestionRecord(content_id(question), question, positions.texts[question], source=source)
        for question in sieve.accepted
    )
    return GeneratedQuestions(records, tuple(sieve.rejected), n_drawn, stopped, positions)


def _calls(
    seeds: Sequence[QuestionRecord], config: GenerationConfig, template: TurnsTemplate
) -> Iterator[ModelCall]:
    """What the model is asked, a batch of prompts a call, without end.

    Each batch has its own stream, so that none depends on how far another had come.
    """
    for batch in count():
        rng = np.random.default_rng([config.seed, batch])
        prompts = [
            template.render(turns=[("", seeds[i].question) for i in _draw(rng, len(seeds))])
            for _ in range(config.n_batch)
        ]
        draws = [int(n) for n in rng.integers(2**31, size=config.n_batch)]
        yield ModelCall(prompts, draws, template.sampling)


def _draw(rng: np.random.Generator, n_seeds: int) -> list[int]:
    return [int(i) for i in rng.choice(n_seeds, N_EXAMPLES, replace=False)]


def _is_exhausted(was_new: Sequence[bool], config: GenerationConfig) -> bool:
    window = was_new[-config.n_window :]
    return len(window) == config.n_window and sum(window) < config.min_new_share * config.n_window


@dataclass(frozen=True, slots=True)
class _Batch:
    """The questions of one call: compared with all before it at once, then with each other."""

    vectors: FloatArray32
    before: list[Neighbour]
    row_of: dict[str, int]
    accepted: list[int] = field(default_factory=list)

    def nearest(self, text: str, *, n_before: int) -> Neighbour:
        row = self.row_of[text]
        best = self.before[row]
        if self.accepted:
            cosines = self.vectors[self.accepted] @ self.vectors[row]
            place = int(cosines.argmax())
            if cosines[place] > best.cosine:
                best = Neighbour(n_before + place, float(cosines[place]))
        return best


class _Sieve:
    """Keeps what is a question and new; counts the rest."""

    def __init__(
        self,
        seeds: Sequence[QuestionRecord],
        encode: Encode,
        near_duplicate: float,
        instructions: str,
    ) -> None:
        self.accepted: list[str] = []
        self.rejected: list[RejectedQuestion] = []
        self._encode, self._threshold = encode, near_duplicate
        self._instructions = instructions
        self._texts = [seed.question for seed in seeds]
        self._seed_forms = {normal_form(text) for text in self._texts}
        self._forms: set[str] = set()
        vectors = encode(self._texts)
        self._index = SimilarityIndex(vectors.shape[1])
        for vector in vectors:
            self._index.add(vector)

    def sift(self, completions: Sequence[Completion], n_target: int) -> list[bool]:
        """Whether each completion became a question; none is looked at beyond the target."""
        parsed = [parse_question(each, self._instructions) for each in completions]
        fresh = [text for text in parsed if isinstance(text, str)]
        vectors = self._encode(fresh)
        before = self._index.nearest(vectors)
        batch = _Batch(vectors, before, dict(zip(fresh, range(len(fresh)), strict=True)))
        was_new = []
        for result in parsed:
            if len(self.accepted) == n_target:
                break
            if isinstance(result, str):
                result = self._duplicate(result, batch) or result
            if isinstance(result, RejectedQuestion):
                self.rejected.append(result)
                was_new.append(False)
                continue
            self.accepted.append(result)
            self._texts.append(result)
            self._forms.add(normal_form(result))
            batch.accepted.append(batch.row_of[result])
            self._index.add(vectors[batch.row_of[result]])
            was_new.append(True)
        return was_new

    def _duplicate(self, text: str, batch: _Batch) -> RejectedQuestion | None:
        form = normal_form(text)
        if form in self._seed_forms:
            return RejectedQuestion(text, QuestionFault.SEED_COPY, "is a seed")
        if form in self._forms:
            return RejectedQuestion(text, QuestionFault.DUPLICATE, "was written before")
        nearest = batch.nearest(text, n_before=len(self._texts) - len(batch.accepted))
        if nearest.cosine >= self._threshold:
            return RejectedQuestion(
                text,
                QuestionFault.NEAR_DUPLICATE,
                f"cosine {nearest.cosine:.3f} with {self._texts[nearest.row]!r}",
            )
        return None
