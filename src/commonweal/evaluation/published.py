"""What the paper reports in its section 4, and beside which of our figures each may stand.

A published number stands beside a figure only where that is the same quantity of the same policy
and of the same rounds. ``docs/published.md`` lists them all, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

PAPERS_BEST = "sft_utilitarian"
"""The policy that the paper's figures are of. ``sft`` alone is another: it leaves open how one
candidate is picked."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper reports: ``text`` as printed there, ``section`` where, the rest for plots."""

    text: str
    section: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One published number.

    Attributes:
        published: the number.
        quantity: what it is of, in words.
        rounds: of which rounds; "not stated to us" where we do not know of a part.
        keys: the figures that it stands beside; none where no figure is the same quantity.
        why_nowhere: why there is none.
    """

    published: Published
    quantity: str
    rounds: str
    keys: tuple[str, ...]
    why_nowhere: str = ""


CLAIMS = (
    Claim(
        Published("above 70 %", "4.1", 0.7),
        "rounds in which sft_utilitarian has the higher mean agreement than a prompted model",
        "all",
        (
            f"win_rate/mean/all/{PAPERS_BEST}/zero_shot",
            f"win_rate/mean/all/{PAPERS_BEST}/few_shot",
        ),
    ),
    Claim(
        Published("0.47 [0.21, 0.73]", "4.3", 0.47, 0.21, 0.73),
        "agreement, people included less people left out, sft_utilitarian",
        "all",
        (f"inclusion/agreement/{PAPERS_BEST}",),
    ),
    Claim(
        Published("0.10 [−0.05, 0.25]", "4.3", 0.10, -0.05, 0.25),
        "quality, people included less people left out, sft_utilitarian",
        "all",
        (f"inclusion/quality/{PAPERS_BEST}",),
    ),
    Claim(
        Published("78 % [75, 80]", "4.4", 0.78, 0.75, 0.80),
        "people who rate sft_utilitarian above the others' opinions, mean against mean",
        "within distribution",
        (f"against_human/mean/iid_test/{PAPERS_BEST}",),
    ),
    Claim(
        Published("65 % [61, 69]", "4.4", 0.65, 0.61, 0.69),
        "people who rate sft_utilitarian above the others' opinions, best against best",
        "within distribution",
        (f"against_human/best/iid_test/{PAPERS_BEST}",),
    ),
    Claim(
        Published("66 % and 63 %", "4.4"),
        "the same by divisiveness",
        "divisive, not divisive",
        (),
        "our source does not say which of the two is of the divisive rounds",
    ),
    Claim(
        Published("65.6 % [61.9, 69.3]", "D.6", 0.656, 0.619, 0.693),
        "candidates of sft_utilitarian less divisive than the position statement",
        "divisive",
        (f"less_divisive/{PAPERS_BEST}",),
    ),
    Claim(
        Published("40.8 % [35.4, 46.2]", "D.7", 0.408, 0.354, 0.462),
        "rounds in which a candidate of sft_utilitarian is unanimous",
        "divisive",
        (f"unanimous/{PAPERS_BEST}",),
    ),
)
"""All of the published numbers that we know. Of the others in section 4 (which figures 2 and 3
draw) we have no digits, and invent none."""

_BY_KEY = {key: claim.published for claim in CLAIMS for key in claim.keys}


def published_beside(key: str) -> Published | None:
    """The paper's number of exactly the quantity that this key names; None without one."""
    return _BY_KEY.get(key)
