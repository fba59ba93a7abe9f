"""Kinds of language models, which are prompted differently.

A prompt belongs to a kind, never to one model by accident: a small one needs worked examples and a
short leash, a modest one (one to two billion) is asked for plain answers without reasons, since it
makes reasons up, one that follows instructions is told what is wanted, and one that reasons first
needs room for it.
"""

from __future__ import annotations

import re
from typing import Literal, cast, get_args

from commonweal.types import LanguageModel

Kind = Literal["small", "modest", "instruction_following", "reasoning"]

_REASONING = re.compile(
    r"(?:^|[#/:._-])(?:o[1-9]\b|gpt-(?:5|oss)|deepseek-(?:r\d|reasoner)|qwq|magistral)"
    r"|\bthink(?:ing|er)?\b|reason(?:er|ing)",
    re.IGNORECASE,
)
"""Names of models that think before they answer."""


def kind_of(model: LanguageModel) -> Kind:
    """The kind that the engine says in its ``kind``, where it has that; else by the model's name.

    Of what is not known to be small or to reason, it is taken that it follows instructions.
    """
    kind = getattr(model, "kind", None)
    if kind in get_args(Kind):
        return cast("Kind", kind)
    return "reasoning" if _REASONING.search(model.model_id) else "instruction_following"


def is_modest(model: LanguageModel) -> bool:
    """Whether it is an embedded model of about two billion parameters or fewer, which often gets
    wrong who said what.
    """
    return kind_of(model) in ("small", "modest")
