"""People who are not there: they stand where people stand in a study, and are never called people.

latent    a hidden position over the considerations of a question; truth is known. ``simulated``
replay    real people's votes on real statements, given elsewhere. ``replayed``
llm       a language model that plays a described person. ``simulated``

A ``Crowd`` makes participants and names them; ``rounds.new_rounds`` seats them in groups and
``rating.rate_rounds`` has them rate. A participant is made again from its name by a crowd of the
same settings and seed, so that the work can stop and go on in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from commonweal.types import Candidate, Progress, Question

if TYPE_CHECKING:
    import numpy as np

    from commonweal.datasets.schema import People, Scale

__all__ = ["Asked", "Crowd", "Origin", "Participant", "Ratings", "Sitting", "Wanted"]


class AgreementAndQuality(NamedTuple):
    """Agreement and quality on the crowd's scale; None where there is no answer."""

    agreement: int | None
    quality: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what a study knows of it. None is unknown."""

    question: Question
    position_statement: str | None = None
    topic: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Sitting:
    """A group on one question.

    Attributes:
        group_id: unique among the sittings' groups; a group may have several.
        asked: the question.
        participant_ids: who sits there.
        statements: what they can rate already (``replay``); otherwise a policy is still to write.
    """

    group_id: str
    asked: Asked
    participant_ids: tuple[str, ...]
    statements: tuple[Candidate, ...] = ()


class WantedAnswer(NamedTuple):
    """One answer that will be asked for: so that a crowd can get all of them ready at once."""

    participant_id: str
    question: Question
    what: Literal["opinion", "agreement", "quality"]
    text: str = ""
    pass_index: int = 0


@dataclass(frozen=True, slots=True)
class CrowdOrigin:
    """Where a crowd's answers come from, for the manifest of whatever it rated.

    Attributes:
        people: "simulated" or "replayed"; never "human".
        source: in words, and says so too.
        options: what the crowd was made with.
    """

    people: People
    source: str
    options: dict[str, Any]
    licence: str = ""
    attribution: str = ""


class Participant(Protocol):
    """Somebody who is not there. Asked the same again, the answer is the same."""

    @property
    def id(self) -> str:
        """The name in all records; it says of what kind the participant is."""
        ...

    def opinion(self, question: Question) -> str:
        """What they say on the question."""
        ...

    def rate_position(self, question: Question, position_statement: str) -> int | None:
        """Agreement with the sentence that answers the question with yes."""
        ...

    def rate(self, question: Question, statement: str, pass_index: int) -> AgreementAndQuality:
        """Agreement and quality of a statement, in pass 0 or 1."""
        ...


class Crowd(Protocol):
    """Makes participants."""

    @property
    def origin(self) -> CrowdOrigin:
        """Where its answers come from."""
        ...

    @property
    def scale(self) -> Scale:
        """What its ratings mean."""
        ...

    @property
    def n_passes(self) -> int:
        """How often it rates each statement: 1 or 2."""
        ...

    def sit(
        self,
        *,
        n_groups: int,
        group_size: int,
        rounds_per_group: int,
        rng: np.random.Generator,
        split: str | None,
    ) -> list[Sitting]:
        """Groups and their questions (of this split), drawn by ``rng``.

        Raises:
            InputError: there are not as many people or questions.
        """
        ...

    def participant(self, participant_id: str) -> Participant:
        """The participant of that name.

        Raises:
            InputError: the crowd has none of that name.
        """
        ...

    def prepare(self, wanted: Sequence[WantedAnswer], *, on_progress: Progress) -> None:
        """Nothing: gets ready at once what will be asked for, where that is faster."""
        ...

    @property
    def counts(self) -> dict[str, int]:
        """What is worth telling of how the answers came, for the dataset's history."""
        ...

    def source_of(self, participant_id: str) -> Literal["written", "votes"]:
        """How an opinion came about, as the record format names it."""
        ...
