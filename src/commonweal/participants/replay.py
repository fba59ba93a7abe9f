"""Replayed people: real votes on real statements, given elsewhere, played back.

Members of a group are people of one conversation in a dataset of the record format
(``commonweal data import``). Their opinion is what they wrote there, their ratings are those that
they gave there. They never met, and nobody answered for this study. What somebody did not rate they
cannot rate here: it is missing, never made up. So replayed people can judge only statements that
were there, not what a policy writes now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from commonweal.datasets.dataset import Dataset
from commonweal.datasets.schema import Scale
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.participants import AgreementAndQuality, Asked, CrowdOrigin, Sitting, WantedAnswer
from commonweal.participants.seating import check_counts
from commonweal.types import Candidate, Progress, Question

N_TRIES = 200
"""How often a group is begun anew where too few statements are rated by all of it."""

_NONE = AgreementAndQuality(None, None)


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A round of the source.

    Attributes:
        texts: statement id to text.
        authors: statement id to participant id, where known.
        rated: participant id to the statements that they rated.
    """

    round_id: str
    asked: Asked
    texts: dict[str, str]
    authors: dict[str, str]
    rated: dict[str, set[str]] = field(default_factory=dict)


class ReplayCrowd:
    """Plays back the people of a dataset.

    Args:
        dataset: replayed or human rounds with opinions, candidates and ratings.
        min_statements: statements that everybody in a group must have rated.
        max_statements: most statements of a group; more are drawn from.

    Raises:
        InputError: the dataset's people are simulated, nobody in it has both an opinion and
            ratings, or a number is out of range.
    """

    def __init__(
        self, dataset: Dataset, *, min_statements: int = 4, max_statements: int = 16
    ) -> None:
        check_counts(min_statements=min_statements)
        if max_statements < min_statements:
            raise InputError(
                f"max_statements is {max_statements}, expected at least min_statements, "
                f"{min_statements}"
            )
        about = dataset.about
        if about.people == "simulated":
            raise InputError(
                f"{about.name}: its people are simulated; expected real people's ratings to replay"
            )
        self._about = about
        self.scale: Scale = about.scale
        self._min, self._max = min_statements, max_statements
        ratings = dataset.ratings.filter(pl.col("agreement").is_not_null())
        self.n_passes = int(ratings["pass_index"].max() or 0) + 1  # type: ignore[arg-type]
        self._opinions: dict[tuple[str, str], str] = {}
        self._sources: dict[str, Literal["written", "votes"]] = {}
        questions = dict(dataset.rounds.select("round_id", "question").iter_rows())
        for row in dataset.opinions.iter_rows(named=True):
            key = row["participant_id"], questions[row["round_id"]]
            self._opinions.setdefault(key, row["text"])
            self._sources[row["participant_id"]] = row["source"]
        self._conversations = {each.round_id: each for each in _conversations(dataset)}
        # By the texts: that is what a participant is shown.
        self._ratings: dict[tuple[str, str, str, int], AgreementAndQuality] = {}
        for row in ratings.iter_rows(named=True):
            here = self._conversations[row["round_id"]]
            text = here.texts[row["candidate_id"]]
            key_of = row["participant_id"], here.asked.question.text, text, row["pass_index"]
            self._ratings.setdefault(key_of, AgreementAndQuality(row["agreement"], row["quality"]))
            if (row["participant_id"], here.asked.question.text) in self._opinions:
                here.rated.setdefault(row["participant_id"], set()).add(row["candidate_id"])
        self._positions = {
            (row["participant_id"], questions[row["round_id"]]): row["agreement"]
            for row in dataset.position_ratings.iter_rows(named=True)
        }
        self._people = {p for each in self._conversations.values() for p in each.rated}
        if not self._people:
            raise InputError(
                f"{about.name}: nobody has both an opinion and ratings; expected a dataset of "
                "`commonweal data import` with opinions"
            )

    @property
    def origin(self) -> CrowdOrigin:
        """Replayed, with the source's licence; see ``Crowd``."""
        return CrowdOrigin(
            people="replayed",
            source=f"replayed: opinions and ratings of real people from {self._about.name!r} "
            f"({self._about.source}), in groups that never met",
            options={
                "participants": "replay",
                "dataset": self._about.name,
                "min_statements": self._min,
                "max_statements": self._max,
            },
            licence=self._about.licence,
            attribution=self._about.attribution,
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
        """Groups of people who rated the same statements; see ``Crowd.sit``.

        A group is filled from people in random order, each taken if enough statements are still
        rated by all. So those who rated much sit more often. Statements that a member wrote are
        left out: they are in the opinion. One person may sit in several groups.

        Raises:
            InputError: more than one round a group, no round in this split, or no such group found.
        """
        if rounds_per_group > 1:
            raise InputError(
                f"rounds_per_group is {rounds_per_group}; replayed people have one conversation: "
                "expected 1"
            )
        usable = [
            each
            for each in self._conversations.values()
            if (split is None or each.asked.split == split) and len(each.rated) >= group_size
        ]
        if not usable:
            raise InputError(
                f"{self._about.name}: no conversation{f' in the split {split!r}' if split else ''} "
                f"has {group_size} people with an opinion and ratings; expected smaller groups or "
                "other data"
            )
        weights = np.array([len(each.rated) for each in usable], dtype=np.float64)
        sittings = []
        for n in range(1, n_groups + 1):
            here = usable[int(rng.choice(len(usable), p=weights / weights.sum()))]
            members, common = self._seated(here, group_size, rng)
            drawn = sorted(rng.permutation(len(common))[: self._max])
            sittings.append(
                Sitting(
                    f"g{n:04d}",
                    here.asked,
                    members,
                    tuple(
                        Candidate(common[i], here.texts[common[i]], (), "human", "", "", 0)
                        for i in drawn
                    ),
                )
            )
        return sittings

    def _seated(
        self, here: _Conversation, group_size: int, rng: np.random.Generator
    ) -> tuple[tuple[str, ...], list[str]]:
        """The members, and the statements that all of them rated and none wrote."""
        people = sorted(here.rated)
        for _ in range(N_TRIES):
            members: list[str] = []
            common: set[str] = set(here.texts)
            for at in rng.permutation(len(people)):
                person = people[int(at)]
                own = {text for text in common if here.authors.get(text) == person}
                left = (common & here.rated[person]) - own
                if len(left) >= self._min:
                    members, common = [*members, person], left
                if len(members) == group_size:
                    return tuple(members), [each for each in here.texts if each in common]
        raise InputError(
            f"{self._about.name}, round {here.round_id!r}: in {N_TRIES} tries no {group_size} "
            f"people were found who rated {self._min} statements in common; expected smaller "
            "groups or fewer statements in common"
        )

    def participant(self, participant_id: str) -> ReplayedPerson:
        """The person of that name.

        Raises:
            InputError: nobody of that name has an opinion and ratings.
        """
        if participant_id not in self._people:
            raise InputError(
                f"{self._about.name}: nobody named {participant_id!r} has an opinion and ratings "
                f"to replay; expected one of {len(self._people)} people, such as "
                f"{min(self._people)!r}"
            )
        return ReplayedPerson(participant_id, self._opinions, self._ratings, self._positions)

    def prepare(self, wanted: Sequence[WantedAnswer], *, on_progress: Progress) -> None:
        """Nothing: all answers are there."""

    @property
    def counts(self) -> dict[str, int]:
        """Nothing to count: what is missing is counted where it is asked for."""
        return {}

    def source_of(self, participant_id: str) -> Literal["written", "votes"]:
        """As the source says."""
        return self._sources[participant_id]


@dataclass(frozen=True, slots=True)
class ReplayedPerson:
    """One person whose answers are played back.

    Attributes:
        id: the source's name.
    """

    id: str
    _opinions: dict[tuple[str, str], str] = field(repr=False)
    _ratings: dict[tuple[str, str, str, int], AgreementAndQuality] = field(repr=False)
    _positions: dict[tuple[str, str], int | None] = field(repr=False)

    def opinion(self, question: Question) -> str:
        """What they wrote.

        Raises:
            InputError: nothing on this question.
        """
        if (self.id, question.text) not in self._opinions:
            raise InputError(
                f"{self.id!r} wrote no opinion on {question.text!r}; replayed people cannot be "
                "asked anything new"
            )
        return self._opinions[self.id, question.text]

    def rate_position(self, question: Question, position_statement: str) -> int | None:  # noqa: ARG002
        """The rating of the position statement, None where they gave none."""
        return self._positions.get((self.id, question.text))

    def rate(self, question: Question, statement: str, pass_index: int) -> AgreementAndQuality:
        """The ratings that they gave to this text, None where they did not rate it in this pass."""
        return self._ratings.get((self.id, question.text, statement, pass_index), _NONE)


def _conversations(dataset: Dataset) -> Iterator[_Conversation]:
    statements: dict[str, list[tuple[str, str, str | None]]] = {}
    for round_id, *rest in dataset.candidates.select(
        "round_id", "candidate_id", "text", "author_id"
    ).iter_rows():
        statements.setdefault(round_id, []).append(tuple(rest))
    for row in dataset.rounds.iter_rows(named=True):
        here = statements.get(row["round_id"], [])
        yield _Conversation(
            row["round_id"],
            Asked(
                Question(row["question"], row["question_id"]),
                row["position_statement"],
                row["topic"],
                row["split"],
            ),
            {name: text for name, text, _ in here},
            {name: author for name, _, author in here if author is not None},
        )
