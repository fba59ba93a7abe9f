"""Opposite opinions and statements made by rule from debate questions.

A debate question comes with an affirming and a negating statement. From each this module makes
first-person opinions and group statements in many frames (all written for this project): bare,
hedged, yes-or-no with a reason, reason first, by denial of the other side, with a concession to it.
The frames for testing are never used for fitting.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Debate:
    """A question with the statement that says yes to it and the one that says no."""

    question: str
    affirming: str
    negating: str
    topic: int


def read_debates(path: Path, split: str) -> list[Debate]:
    """The debate questions of a split: "train", "iid_test" or "ood_test" (other topics)."""
    return [
        Debate(
            _tidy(r["question"]),
            _tidy(r["affirming_statement"]),
            _tidy(r["negating_statement"]),
            r["topic"],
        )
        for r in json.loads(path.read_text(encoding="utf-8"))
        if r["split"] == split
    ]


def _tidy(text: str) -> str:
    """Plain spacing and no shouting: a capital NOT would give the stance away."""
    text = " ".join(text.split()).replace(" NOT ", " not ")
    return text if text[-1:] in ".?!" else text + "."


# {s}: the side's own statement, {o}: the other side's, both without a capital and full stop.
OPINION_FRAMES = (
    "{S}.",
    "I think {s}.",
    "I believe {s}.",
    "In my view {s}.",
    "I strongly feel that {s}.",
    "{S}. {r}",
    "I think {s}. {r}",
    "{r} So I think {s}.",
    "{r} That's why {s}.",
    "I don't agree that {o}. {r}",
    "It is wrong to say that {o}.",
    "I can't accept that {o}.",
    "{y} {r}",
    "{y} {r} {r2}",
    "{r} {r2}",
    "{r} {y}",
    "{y} {S}.",
    "Some people say {o}. I don't see it that way. {r}",
    "My family and I think {s}, {d}",
    "Not an easy one, but on balance {s}. {r}",
    "I can see why people say {o}, but {r}",
)
OPINION_FRAMES_TEST = (
    "Honestly, {s}.",
    "If you ask me {s}. {r}",
    "{y} In the end {r}",
    "My neighbours tell me {o}, and they are wrong.",
    "{r} I would say {s}.",
)
STATEMENT_FRAMES = (
    "{S}.",
    "We believe that {s}.",
    "{S}. {R}",
    "{S}. {R} {R2}",
    "{R} For this reason {s}.",
    "{S}. {R} {C}",
    "{C} Even so, {s}.",
    "{C} But {s}. {R}",
    "We do not agree that {o}. {R}",
    "{S}. {C} {R}",
)
STATEMENT_FRAMES_TEST = (
    "Taking everything together, {s}. {R}",
    "Our group holds that {s}. {C}",
    "{C} Still, most of us think that {s}. {R}",
)
_YES = (
    "Yes.",
    "Yes, absolutely.",
    "I'm in favour.",
    "I am all for it.",
    "Definitely.",
    "I support this.",
    "Yes, of course.",
    "Good idea.",
    "I'd vote for it.",
    "Sure, why not.",
    "Yes please.",
    "Yes, do it.",
    "It is time for a change.",
    "Go ahead.",
)
_NO = (
    "No.",
    "No, absolutely not.",
    "I'm against it.",
    "I am against this.",
    "Definitely not.",
    "I oppose this.",
    "No way.",
    "Bad idea.",
    "I'd vote against it.",
    "I don't want this.",
    "No thanks.",
    "No, don't.",
    "Leave it as it is.",
    "No, keep things as they are.",
)
_D = (
    "and we have thought about it a lot.",
    "and most people I know agree.",
    "full stop.",
    "and nobody has changed my mind yet.",
)
# Reasons that fit nearly any question, as a person would give them and as a group would.
_PRO = (
    "It would make life better for people like me.",
    "I have seen it work and people were glad.",
    "The good it does is worth the money.",
    "Somebody I love would be helped by this.",
    "We have waited far too long for it.",
    "It's only fair.",
    "It would solve a real problem here.",
    "The people who complain about it will get used to it.",
    "The benefits are obvious to me.",
    "Without it things will keep getting worse.",
    "My kids would be better off.",
    "It works well in other countries.",
    "I'd gladly pay a bit more for that.",
    "It's about time somebody did this.",
    "The risks are exaggerated.",
    "It would have helped me when I was struggling.",
    "This is a step in the right direction.",
)
_CON = (
    "It would make life harder for people like me.",
    "I have seen it tried and it was a mess.",
    "It costs far too much for what it gives.",
    "Somebody I love would be hurt by this.",
    "Things are fine as they are.",
    "It's just not fair.",
    "It would create more problems here.",
    "The people who dream this up never have to live with it.",
    "The harm is obvious to me.",
    "It will only make things worse.",
    "My kids would pay the price.",
    "It went badly wrong in other countries.",
    "I don't want my taxes spent on that.",
    "There are much better ways.",
    "The risks are far too great.",
    "It would have ruined me when I was struggling.",
    "This is a step in the wrong direction.",
)
_PRO_GROUP = (
    "This would bring real benefits to the whole community.",
    "The evidence from elsewhere is good.",
    "It is fair and it protects those who need it most.",
    "The gains outweigh the costs.",
    "It would improve people's lives and is worth paying for.",
    "Doing nothing would be worse.",
    "It would help families, and most people would be glad of it.",
)
_CON_GROUP = (
    "This would do real harm to the whole community.",
    "The evidence from elsewhere is poor.",
    "It is unfair and it hurts those who can least afford it.",
    "The costs outweigh the gains.",
    "It would burden people and the money is better spent elsewhere.",
    "The present way works well enough.",
    "It would hurt families, and few people want it.",
)
_PRO_YIELD = (
    "We recognise that some people would benefit from it.",
    "There are good arguments for it.",
    "Those who want it have understandable reasons.",
    "It may help in some special cases.",
)
_CON_YIELD = (
    "We recognise that it costs money and worries some people.",
    "There are fair objections to it.",
    "Those who are against it have understandable reasons.",
    "It needs clear rules and safeguards.",
)


def draw_opinion(debate: Debate, side: int, rng: np.random.Generator, *, test: bool = False) -> str:
    """An opinion for (``side`` 1) or against (-1) the debate's question."""
    return _fill(OPINION_FRAMES_TEST if test else OPINION_FRAMES, debate, side, rng)


def draw_statement(
    debate: Debate, side: int, rng: np.random.Generator, *, test: bool = False
) -> str:
    """A group statement for (``side`` 1) or against (-1) the debate's question."""
    return _fill(STATEMENT_FRAMES_TEST if test else STATEMENT_FRAMES, debate, side, rng)


def _fill(frames: tuple[str, ...], debate: Debate, side: int, rng: np.random.Generator) -> str:
    own, other = debate.affirming.rstrip(".!?"), debate.negating.rstrip(".!?")
    if side < 0:
        own, other = other, own
    if rng.random() < 0.3:
        own = re.sub(r"\b(should|would|could|is|are|do|does) not\b", r"\1n't", own)
    r, r2 = rng.choice(_PRO if side > 0 else _CON, 2, replace=False)
    g, g2 = rng.choice(_PRO_GROUP if side > 0 else _CON_GROUP, 2, replace=False)
    return str(rng.choice(frames)).format(
        S=own,
        s=own[:1].lower() + own[1:],
        o=other[:1].lower() + other[1:],
        y=rng.choice(_YES if side > 0 else _NO),
        r=r,
        r2=r2,
        d=rng.choice(_D),
        R=g,
        R2=g2,
        C=rng.choice(_CON_YIELD if side > 0 else _PRO_YIELD),
    )
