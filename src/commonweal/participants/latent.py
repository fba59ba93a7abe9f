"""Latent people: a hidden position over the considerations of a question, and ratings that follow.

A person's position on a consideration is from -1 (wholly against) to 1 (wholly for); its size is
how much the consideration weighs with them. They write an opinion from the heaviest ones, and agree
with a statement the more of their own side it expresses and the less of the other. So truth is
known: ``LatentPerson.true_agreement`` is the rating before noise.

Nobody is like that. What is found with them holds for the method under these assumptions, and says
nothing about people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from commonweal.datasets.schema import LIKERT_7, Scale
from commonweal.errors import InputError
from commonweal.participants import AgreementAndQuality, CrowdOrigin, Sitting, WantedAnswer
from commonweal.participants.chance import generator_of
from commonweal.participants.considerations import BankQuestion, load_bank
from commonweal.participants.form import quality
from commonweal.participants.opinions import write_opinion
from commonweal.participants.reading import ArgumentReader
from commonweal.participants.seating import draw_names, draw_sittings
from commonweal.types import RATING_MAX, RATING_MIN, RATING_NEUTRAL, Progress, Question

if TYPE_CHECKING:
    from commonweal.participants.reading import BoolArray
    from commonweal.types import FloatArray

PREFIX = "latent-"

STRENGTH = 0.5
"""What a statement must express of a person's considerations, summed by weight, to move them half
as far as it could."""


@dataclass(frozen=True, slots=True)
class LatentSettings:
    """How latent people are. The defaults are our choice, not fitted to anybody.

    Attributes:
        coherence: how far a person's considerations lean one way, from 0 (each as it may) to 1
            (all the same).
        tolerance: from 0 to 0.5; how much a statement may say for the other side. At 0 a person is
            neutral to one that says as much for each side, at 0.5 they somewhat agree.
        leniency: standard deviation over people of a person's shift of all ratings of agreement,
            in points.
        noise: standard deviation of each rating, in points, before rounding.
        unreliability: the mean over people of the share of their second-pass ratings that are drawn
            anew from 1 to 7 at random. People differ: a few are careless, most are not.
    """

    coherence: float = 0.6
    tolerance: float = 0.5
    leniency: float = 0.5
    noise: float = 0.5
    unreliability: float = 0.05

    def __post_init__(self) -> None:
        for name, most in (
            ("coherence", 1.0),
            ("tolerance", 0.5),
            ("leniency", 6.0),
            ("noise", 6.0),
            ("unreliability", 1.0),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(
                    f"latent people: {name} is {value!r}, expected a number from 0 to {most:g}"
                )


def latent_settings(table: dict[str, float]) -> LatentSettings:
    """The settings in a table of a TOML file.

    Raises:
        InputError: a name is unknown, or a value is no number in its range.
    """
    known = [each.name for each in fields(LatentSettings)]
    for name, value in table.items():
        if name not in known:
            raise InputError(
                f"latent people: unknown setting {name!r}, expected {', '.join(known)}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"latent people: {name} is {value!r}, expected a number")
    return LatentSettings(**table)


def agreement_of(position: FloatArray, expressed: BoolArray, *, tolerance: float) -> float:
    """How far somebody of this position agrees, from 1 to 7, before leniency and noise.

    With ``own`` the summed weight of what is expressed on the person's side, ``other`` that on the
    other side and ``all`` both together::

        4 + 3 * all / (all + STRENGTH) * (2 * (own / all) ** (1 - tolerance) - 1)

    It never falls when something of one's own side is added, and never rises with the other's.

    Args:
        position: [n_considerations], from -1 to 1.
        expressed: bool [n_considerations, 2], for and against.
        tolerance: from 0 to 0.5.
    """
    weights, is_for = np.abs(position), position >= 0
    own = float(weights[np.where(is_for, expressed[:, 0], expressed[:, 1])].sum())
    other = float(weights[np.where(is_for, expressed[:, 1], expressed[:, 0])].sum())
    if own + other == 0:
        return float(RATING_NEUTRAL)
    reach = (own + other) / (own + other + STRENGTH)
    fit = 2.0 * math.pow(own / (own + other), 1.0 - tolerance) - 1.0
    return RATING_NEUTRAL + (RATING_MAX - RATING_NEUTRAL) * reach * fit


class LatentCrowd:
    """Makes latent people: any number, each made again from crowd seed and name.

    Args:
        seed: the same seed, the same people.
        settings: how they are.
        bank: the questions that they can be asked; by default the packaged ones.
        reader: reads statements; by default with the packaged encoder, loaded at first need.
    """

    scale: Scale = LIKERT_7
    n_passes = 2

    def __init__(
        self,
        seed: int,
        settings: LatentSettings | None = None,
        *,
        bank: Sequence[BankQuestion] | None = None,
        reader: ArgumentReader | None = None,
    ) -> None:
        self.seed = seed
        self.settings = settings or LatentSettings()
        self.bank = tuple(load_bank() if bank is None else bank)
        self.reader = reader or ArgumentReader()
        self._by_text = {each.asked.question.text: each for each in self.bank}

    @classmethod
    def drawn(cls, rng: np.random.Generator, settings: LatentSettings | None = None) -> LatentCrowd:
        """A crowd whose seed is the next number of ``rng``."""
        return cls(int(rng.integers(2**31)), settings)

    @property
    def origin(self) -> CrowdOrigin:
        """Simulated; see ``Crowd``."""
        return CrowdOrigin(
            people="simulated",
            source="simulated: latent people wrote and rated, no person did",
            options={"participants": "latent", "crowd_seed": self.seed, **asdict(self.settings)},
        )

    def question(self, question: Question) -> BankQuestion:
        """The bank's entry for a question, found by its text.

        Raises:
            InputError: it is not in the bank.
        """
        if question.text not in self._by_text:
            raise InputError(
                f"latent people know no considerations for {question.text!r}; expected one of the "
                f"{len(self.bank)} questions of their bank: add it there (docs/participants.md)"
            )
        return self._by_text[question.text]

    def sit(
        self,
        *,
        n_groups: int,
        group_size: int,
        rounds_per_group: int,
        rng: np.random.Generator,
        split: str | None,
    ) -> list[Sitting]:
        """Groups of new people; see ``Crowd.sit``."""
        return draw_sittings(
            [each.asked for each in self.bank],
            draw_names(PREFIX, n_groups * group_size, rng),
            group_size=group_size,
            rounds_per_group=rounds_per_group,
            rng=rng,
            split=split,
        )

    def participant(self, participant_id: str) -> LatentPerson:
        """The person of that name: any name that begins with "latent-" is one's.

        Raises:
            InputError: it does not.
        """
        if not participant_id.startswith(PREFIX):
            raise InputError(
                f"no latent person is named {participant_id!r}; expected a name that begins with "
                f"{PREFIX!r}"
            )
        return LatentPerson(participant_id, self)

    def prepare(self, wanted: Sequence[WantedAnswer], *, on_progress: Progress) -> None:
        """Reads all statements at once."""
        texts = {(w.question, w.text): None for w in wanted if w.what != "opinion"}
        on_progress("read", 0, len(texts))
        self.reader.read_all([(self.question(question), text) for question, text in texts])
        on_progress("read", len(texts), len(texts))

    @property
    def counts(self) -> dict[str, int]:
        """Nothing to count: every answer is there at once."""
        return {}

    def source_of(self, participant_id: str) -> Literal["written", "votes"]:  # noqa: ARG002
        """Always "written": by the program."""
        return "written"


@dataclass(frozen=True)
class LatentPerson:
    """One latent person.

    Attributes:
        id: the name.
        crowd: whose seed and settings make this person.
    """

    id: str
    crowd: LatentCrowd
    _positions: dict[str, FloatArray] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def leniency(self) -> float:
        """The shift of all this person's ratings of agreement, in points."""
        return self.crowd.settings.leniency * self._generator("leniency").standard_normal()

    @cached_property
    def unreliability(self) -> float:
        """The share of second-pass ratings that this person draws at random."""
        mean = self.crowd.settings.unreliability
        if mean in (0.0, 1.0):
            return mean
        return float(self._generator("unreliability").beta(1.0, 1.0 / mean - 1.0))

    def position(self, question: Question) -> FloatArray:
        """The hidden position, float64 [n_considerations], -1 to 1.

        The considerations share a normal lean and have a normal part of their own each; the
        verdict, which is the first, follows from their mean.
        """
        latent = self.crowd.question(question)
        if latent.id not in self._positions:
            drawn = self._generator("position", latent.id).standard_normal(
                len(latent.considerations)
            )
            share = self.crowd.settings.coherence
            held = np.tanh(share * drawn[0] + math.sqrt(1 - share**2) * drawn[1:])
            self._positions[latent.id] = np.append(np.tanh(2 * held.mean()), held)
        return self._positions[latent.id]

    def opinion(self, question: Question) -> str:
        """An opinion made of arguments on the considerations that weigh most."""
        latent = self.crowd.question(question)
        return write_opinion(latent, self.position(question), self._generator("opinion", latent.id))

    def rate_position(self, question: Question, position_statement: str) -> int:  # noqa: ARG002
        """Agreement with the position statement, from the verdict: every one says yes."""
        verdict = float(self.position(question)[0])
        mean = RATING_NEUTRAL + (RATING_MAX - RATING_NEUTRAL) * verdict + self.leniency
        return self._rating(mean, self._generator("rate position", question.text))

    def true_agreement(self, question: Question, statement: str) -> float:
        """The agreement before noise, rounding and carelessness, from 1 to 7; leniency is in it."""
        expressed = self.crowd.reader.read(self.crowd.question(question), statement)
        agreement = agreement_of(
            self.position(question), expressed, tolerance=self.crowd.settings.tolerance
        )
        return float(np.clip(agreement + self.leniency, RATING_MIN, RATING_MAX))

    def rate(self, question: Question, statement: str, pass_index: int) -> AgreementAndQuality:
        """Agreement and quality, each from the truth and noise of its own.

        Quality is that of the form (``form.quality``).
        """
        expressed = self.crowd.reader.read(self.crowd.question(question), statement)
        rng = self._generator("rate", question.text, statement, pass_index)
        agreement = self._rating(self.true_agreement(question, statement), rng)
        form = self._rating(quality(statement, expressed), rng)
        if pass_index and rng.random() < self.unreliability:
            agreement, form = (int(n) for n in rng.integers(RATING_MIN, RATING_MAX + 1, size=2))
        return AgreementAndQuality(agreement, form)

    def _rating(self, mean: float, rng: np.random.Generator) -> int:
        drawn = mean + self.crowd.settings.noise * rng.standard_normal()
        return int(np.clip(round(drawn), RATING_MIN, RATING_MAX))

    def _generator(self, *what: str | int) -> np.random.Generator:
        return generator_of(self.crowd.seed, self.id, *what)
