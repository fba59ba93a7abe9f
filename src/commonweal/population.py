"""What a result says of many people of whom some were asked for: shares, groups, a slate.

The records of ``Agreement.population``; ``large`` fills them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple


class Share(NamedTuple):
    """A share of people, from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """In per cent: "37 % (31 to 43)"."""
        if self.low == self.high:
            return f"{100 * self.value:.0f} %"
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"


class WelfareEstimate(NamedTuple):
    """How surely a candidate's welfare is known.

    Attributes:
        n_people: of whom it was judged.
        welfare: of all, estimated; of a dropped candidate by its distance to the best then.
        low: lower end of the 95 % interval.
        high: upper end.
        dropped: "" where it was judged to the end, "cannot win" where it was surely below the best,
            "halved" where it was among the worse half and no more people were spent on it.
    """

    n_people: int
    welfare: float
    low: float
    high: float
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class OpinionGroup:
    """People who wrote or voted alike.

    Attributes:
        name: "A" is the largest.
        n_people: in it, estimated where not everybody was read.
        n_judged: of them, of whom agreement was predicted.
        quotes: what its most central people wrote.
        expected: mean expected rating of the closest candidate; None where nobody was judged.
        agreeing: share predicted to agree with it; likewise.
        statement: id of the candidate that is best for this group under the rule; likewise.
        statement_expected: the group's mean expected rating of that.
        is_own: whether that candidate was written from this group's opinions alone.
    """

    name: str
    n_people: int
    n_judged: int
    quotes: tuple[str, ...]
    expected: float | None
    agreeing: Share | None
    statement: str | None
    statement_expected: float | None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Divider:
    """A text on which the opinion groups part.

    Attributes:
        text: the statement.
        by_group: group's name to its mean expected rating; of votes from 1 to 7, too.
    """

    text: str
    by_group: dict[str, float]


@dataclass(frozen=True, slots=True)
class Slate:
    """Statements of which as many people as possible find one that they agree with.

    Attributes:
        of: "candidates", or "people's statements" where they were voted on.
        rule: "greedy" or "pav".
        texts: in the order of choice.
        ids: theirs.
        covered: share with at least one that they agree with.
        unrepresented: the largest share, of at least one in k, that agrees on another statement
            and has none of these; 0 where justified representation holds.
        top_covered: the share that the k statements with most agreement would have covered.
        n_people: of whom it is told.
        n_votes: agreements and disagreements that people gave; the others are predicted.
        n_predicted: likewise.
    """

    of: Literal["candidates", "people's statements"]
    rule: Literal["greedy", "pav"]
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    covered: Share
    unrepresented: float
    top_covered: float
    n_people: int
    n_votes: int
    n_predicted: int


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody, where the result's rows are a panel of them.

    Attributes:
        n_people: who wrote.
        n_read: of them, whose opinions were embedded.
        n_judged: the panel: of whom all candidates were judged.
        difference: what is done differently than with few, in a sentence.
        writing: "sampled" or "recursive".
        rule: the name of the welfare rule, where another stands for what was asked.
        agreeing: share predicted to agree with the closest candidate.
        n_agreeing_of: of how many that was predicted.
        settled: whether every other candidate is surely below the closest.
        judged: one a candidate.
        groups: opinion groups, the largest first.
        groups_from: "opinions" or "votes".
        divides: texts on which the groups part, the widest first.
        slates: see ``Slate``.
        without: share who agrees with no statement of the first slate.
        places: x, y and group of each of the panel, for the map.
    """

    n_people: int
    n_read: int
    n_judged: int
    difference: str
    writing: str
    rule: str
    agreeing: Share | None
    n_agreeing_of: int
    settled: bool
    judged: tuple[WelfareEstimate, ...]
    groups: tuple[OpinionGroup, ...]
    groups_from: str
    divides: tuple[Divider, ...]
    slates: tuple[Slate, ...]
    without: Share | None
    places: tuple[tuple[float, float, int], ...]

    @property
    def is_sample(self) -> bool:
        """Whether some were not judged."""
        return self.n_judged < self.n_people

    @property
    def undivided(self) -> str:
        """Why nothing divides them, in a sentence; "" where something does."""
        if self.divides:
            return ""
        if len(self.groups) < 2:
            did = "voted" if self.groups_from == "votes" else "wrote"
            return f"Nothing divides them: by what they {did}, they are one group."
        return "Nothing divides them: on no candidate is one group clearly for and another against."

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        fields = asdict(self)
        fields["judged"] = [each._asdict() for each in self.judged]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Population:
        """What ``to_dict`` wrote, also after JSON.

        Raises:
            KeyError, TypeError: something is missing or is not what it should be.
        """

        def share(given: Any) -> Share | None:
            return None if given is None else Share(*given)

        return cls(
            **dict(fields)
            | {
                "agreeing": share(fields["agreeing"]),
                "judged": tuple(WelfareEstimate(**each) for each in fields["judged"]),
                "groups": tuple(
                    OpinionGroup(
                        **each
                        | {"quotes": tuple(each["quotes"]), "agreeing": share(each["agreeing"])}
                    )
                    for each in fields["groups"]
                ),
                "divides": tuple(Divider(**each) for each in fields["divides"]),
                "slates": tuple(
                    Slate(
                        **each
                        | {
                            "texts": tuple(each["texts"]),
                            "ids": tuple(each["ids"]),
                            "covered": Share(*each["covered"]),
                        }
                    )
                    for each in fields["slates"]
                ),
                "without": share(fields["without"]),
                "places": tuple(tuple(each) for each in fields["places"]),
            }
        )
