"""Names of policies: what writes, and how the group's statement is picked from what it wrote.

``sft_rawlsian`` is the fine-tuned writer with best-of-n under rawlsian welfare; ``sft_base`` one
sample and no picking (paper 4.1). Any writer goes with any rule: ``few_shot_nash``,
``sft_alpha_2.5``. A writer's name alone leaves the rule to ``welfare`` and ``alpha``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from commonweal.errors import InputError

WRITERS = {
    "sft": "fine-tuned on statements written for this project (paper 3.4 step 2)",
    "few_shot": "three worked examples before the group's own opinions (paper 4.1)",
    "zero_shot": "instructions only (paper 4.1)",
}
"""What writes candidates, by name, with what it is."""

RULES = {"base": None, "utilitarian": 0.0, "nash": 1.0, "rawlsian": math.inf}
"""How one candidate is picked: its alpha (paper 3.3); ``base`` takes one sample as it comes."""


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """What a policy's name says.

    Attributes:
        writer: one of ``WRITERS``, or the path of a policy folder.
        alpha: under which the best is picked; None where the name leaves it open.
        is_base: one sample, nothing picked.
    """

    writer: str
    alpha: float | None = None
    is_base: bool = False


def read_policy_name(name: str) -> NamedPolicy:
    """What this name says; a name with a slash or a dot at its front is a folder's path.

    Raises:
        InputError: no such writer or rule.

    Example:
        >>> read_policy_name("sft_rawlsian")
        NamedPolicy(writer='sft', alpha=inf, is_base=False)
        >>> read_policy_name("few_shot_alpha_2.5").alpha
        2.5
    """
    if "/" in name or "\\" in name or name.startswith((".", "~")):
        return NamedPolicy(name)
    for writer in WRITERS:
        if name == writer:
            return NamedPolicy(writer)
        if not name.startswith(f"{writer}_"):
            continue
        rule = name.removeprefix(f"{writer}_")
        if rule in RULES:
            return NamedPolicy(writer, RULES[rule], is_base=rule == "base")
        if rule.startswith("alpha_"):
            return NamedPolicy(writer, _alpha(name, rule.removeprefix("alpha_")))
    raise InputError(
        f"unknown policy {name!r}; expected {', '.join(WRITERS)}, one of them with a rule "
        f"({', '.join(f'_{rule}' for rule in RULES)} or _alpha_NUMBER, as in sft_rawlsian), or the "
        "path of a policy folder, with a slash (./NAME)"
    )


def _alpha(name: str, text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = math.nan
    if not alpha >= 0:
        raise InputError(
            f"policy {name!r}: alpha is {text!r}, expected a number from 0 to infinity ('inf')"
        )
    return alpha
