"""Names of policies: what writes, and how the group's statement is picked from what it wrote.

``sft_rawlsian`` is the fine-tuned writer with best-of-n under rawlsian welfare; ``sft_base`` one
sample and no picking (paper 4.1). Any writer goes with any rule: ``few_shot_bernoulli_nash``,
``sft_alpha_2.5``. A writer's name alone leaves the rule to ``welfare`` and ``alpha``.
"""

from __future__ import annotations

from dataclasses import dataclass

from commonweal import registry
from commonweal.errors import InputError, WelfareDomainError
from commonweal.reading.explaining import near
from commonweal.registry import ALIASES, ALPHA, BASE, FAMILY, POLICIES, WELFARE_RULES
from commonweal.rules import resolve_rule
from commonweal.welfare import WELFARE_FUNCTIONS, Isoelastic, WelfareRule

TEMPLATE_ENDING = ".toml"
"""A policy's name that ends in it is the path of a prompt template."""


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """What a policy's name says.

    Attributes:
        writer: a registered policy, or the path of a policy folder or of a prompt template.
        rule: under which the best is picked; None where the name leaves it open.
        is_base: one sample, nothing picked.
    """

    writer: str
    rule: WelfareRule | None = None
    is_base: bool = False

    @property
    def name(self) -> str:
        """The one name for it, as recorded: "sft_bernoulli_nash" also for "sft_nash"."""
        if self.is_base:
            return f"{self.writer}_{BASE}"
        if self.rule is None:
            return self.writer
        alpha = self.rule.alpha
        if alpha is None or alpha in WELFARE_FUNCTIONS.values():
            return f"{self.writer}_{self.rule.name}"
        short = f"{alpha:g}"
        return f"{self.writer}_{ALPHA}{short if float(short) == alpha else repr(alpha)}"

    @property
    def alpha(self) -> float | None:
        """The rule's alpha; None where there is no rule, or one outside the isoelastic family."""
        return None if self.rule is None else self.rule.alpha

    @property
    def is_path(self) -> bool:
        """Whether a folder or a file is named."""
        return is_path(self.writer)

    def check_count(self, n_candidates: int | None) -> None:
        """Refuses more than one candidate of a policy that is one sample.

        Raises:
            InputError: so it is.
        """
        if self.is_base and n_candidates not in (None, 1):
            raise InputError(
                f"the policy {self.name} is one sample, and {n_candidates} candidates were asked "
                "for; expected 1, or a policy that picks among them, such as sft"
            )


def is_path(name: str) -> bool:
    """Whether this is a folder or a prompt template, by its slash, its dot or its ending."""
    return (
        "/" in name
        or "\\" in name
        or name.startswith((".", "~"))
        or name.lower().endswith(TEMPLATE_ENDING)
    )


def read_policy_name(name: str) -> NamedPolicy:
    """What this name says; one with a slash, a dot at its front or the ending .toml is a path.

    Raises:
        InputError: no such writer or rule.

    Example:
        >>> read_policy_name("sft_rawlsian").name, read_policy_name("sft_nash").name
        ('sft_rawlsian', 'sft_bernoulli_nash')
        >>> read_policy_name("few_shot_alpha_2.5").alpha
        2.5
    """
    if is_path(name):
        return NamedPolicy(name)
    writers = registry.names(POLICIES)
    if name in writers:
        return NamedPolicy(name)
    rules = (*registry.names(WELFARE_RULES), *ALIASES[WELFARE_RULES])
    # The longest first: an installed "sft_large" is not "sft" with the rule "large".
    for writer in sorted(writers, key=len, reverse=True):
        rule = name.removeprefix(f"{writer}_")
        if rule == name:
            continue
        if rule == BASE:
            return NamedPolicy(writer, is_base=True)
        if rule.startswith(ALPHA):
            return NamedPolicy(writer, _with_alpha(name, rule.removeprefix(ALPHA)))
        if registry.split(rule)[0] in rules:
            return NamedPolicy(writer, resolve_rule(rule))
    registry.find_unusable(POLICIES, name)
    suffixes = [f"_{each}" for each in (BASE, *registry.names(WELFARE_RULES)) if each != FAMILY]
    meant = near(name, [f"{writer}{rule}" for writer in writers for rule in ("", *suffixes)])
    raise InputError(
        f"unknown policy {name!r}; {f'did you mean {meant!r}? Expected' if meant else 'expected'} "
        f"{', '.join(writers)}, one of them with a rule ({', '.join(suffixes)} or _alpha_NUMBER, "
        "as in sft_rawlsian), a prompt template (NAME.toml), or the path of a policy folder, with "
        "a slash (./NAME)"
    )


def _with_alpha(name: str, text: str) -> WelfareRule:
    try:
        return Isoelastic(float(text))
    except (ValueError, WelfareDomainError):
        raise InputError(
            f"policy {name!r}: alpha is {text!r}, expected a number from 0 to infinity ('inf')"
        ) from None
