"""What the paper reports in its section 4, and beside which of our metrics each may stand.

A published number stands beside a metric only where that is the same quantity of the same policy
and of the same rounds. ``docs/published.md`` lists them all, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from commonweal.evaluation.metrics import Published, Subject
from commonweal.evaluation.section import Section
from commonweal.evaluation.sections.divisiveness import InDivisiveRounds
from commonweal.evaluation.sections.exclusion import Inclusion
from commonweal.evaluation.sections.human_opinions import AboveOpinions
from commonweal.evaluation.sections.win_rates import WinRate

PAPERS_BEST = "sft_utilitarian"
"""The policy that the paper's numbers are of. ``sft`` alone is another: it leaves open how one
candidate is picked."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One published number.

    Attributes:
        published: the number.
        quantity: what it is of, in words.
        rounds: of which rounds; "not stated to us" where we do not know of a part.
        subjects: what it stands beside; none where no metric is of the same quantity.
        why_nowhere: why there is none.
    """

    published: Published
    quantity: str
    rounds: str
    subjects: tuple[Subject, ...]
    why_nowhere: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """What it stands beside, as the JSON names it."""
        return tuple(of.key for of in self.subjects)


CLAIMS = (
    Claim(
        Published("above 70 %", "4.1", 0.7),
        "rounds in which sft_utilitarian has the higher mean agreement than a prompted model",
        "all",
        (
            WinRate(PAPERS_BEST, "zero_shot", "mean", "all"),
            WinRate(PAPERS_BEST, "few_shot", "mean", "all"),
        ),
    ),
    Claim(
        Published("0.47 [0.21, 0.73]", "4.3", 0.47, 0.21, 0.73),
        "agreement, people included less people left out, sft_utilitarian",
        "all",
        (Inclusion("agreement", PAPERS_BEST),),
    ),
    Claim(
        Published("0.10 [−0.05, 0.25]", "4.3", 0.10, -0.05, 0.25),
        "quality, people included less people left out, sft_utilitarian",
        "all",
        (Inclusion("quality", PAPERS_BEST),),
    ),
    Claim(
        Published("78 % [75, 80]", "4.4", 0.78, 0.75, 0.80),
        "people who rate sft_utilitarian above the others' opinions, mean against mean",
        "within distribution",
        (AboveOpinions(PAPERS_BEST, "mean", "iid_test"),),
    ),
    Claim(
        Published("65 % [61, 69]", "4.4", 0.65, 0.61, 0.69),
        "people who rate sft_utilitarian above the others' opinions, best against best",
        "within distribution",
        (AboveOpinions(PAPERS_BEST, "best", "iid_test"),),
    ),
    Claim(
        Published("66 % and 63 %", "4.4"),
        "the same by divisiveness",
        "divisive, not divisive",
        (),
        "our source does not say which of the two belongs to divisive rounds",
    ),
    Claim(
        Published("65.6 % [61.9, 69.3]", "D.6", 0.656, 0.619, 0.693),
        "candidates of sft_utilitarian less divisive than the position statement",
        "divisive",
        (InDivisiveRounds(PAPERS_BEST, "less divisive"),),
    ),
    Claim(
        Published("40.8 % [35.4, 46.2]", "D.7", 0.408, 0.354, 0.462),
        "rounds in which a candidate of sft_utilitarian is unanimous",
        "divisive",
        (InDivisiveRounds(PAPERS_BEST, "unanimous"),),
    ),
)
"""All of the published numbers that we know. Of the others in section 4 (which figures 2 and 3
draw) we have no digits, and invent none."""

_BY_SUBJECT = {of: claim.published for claim in CLAIMS for of in claim.subjects}


def beside_the_paper(section: Section) -> Section:
    """The section, with the paper's number of exactly the same quantity at each metric."""
    return replace(
        section,
        tables=tuple(
            replace(
                table,
                figures=tuple(
                    replace(one, published=_BY_SUBJECT.get(one.subject)) for one in table.figures
                ),
            )
            for table in section.tables
        ),
    )
