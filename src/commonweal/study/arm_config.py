"""An arm of a study: one way of writing, checked; and where its folders are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, model_validator

from commonweal import registry
from commonweal.collection import ALPHA_MU, ALPHA_SIGMA, MAX_LOG_ALPHA, CollectionPlan
from commonweal.datasets.arms import HUMAN
from commonweal.errors import CommonwealError, InputError
from commonweal.models import DEFAULT_MODEL, check_language_model
from commonweal.policies import check_policy, default_policy, read_policy_name
from commonweal.policies.names import is_path
from commonweal.registry import FAMILY, REWARD_MODELS
from commonweal.rewards import DEFAULT_REWARD_MODEL, check_reward_model
from commonweal.rules import PAPERS_RULES, resolve_rule
from commonweal.study.question_set import STRICT
from commonweal.welfare import Isoelastic, WelfareRule

NO_REWARD = "none"
"""The ``reward`` of an arm that has no reward model: where nothing is picked, or at random."""

STORED = "stored"
"""The context in which a study from a database is read: nothing that it names is looked up."""

NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
"""What studies and arms may be called."""


def _rule_name(given: str) -> str:
    """The one name of the welfare rule, by which it is found again."""
    try:
        rule = resolve_rule(given)
    except InputError as error:
        raise ValueError(str(error)) from None
    is_named = rule.alpha is None or rule in PAPERS_RULES
    return rule.name if is_named else f"{FAMILY}:{rule.alpha}"


def _same_rule(one: WelfareRule, other: WelfareRule) -> bool:
    if one.alpha is None or other.alpha is None:
        return one.name == other.name
    return math.isclose(one.alpha, other.alpha, rel_tol=1e-9, abs_tol=1e-12)


RuleName = Annotated[str, AfterValidator(_rule_name)]


class _Part(BaseModel):
    model_config = STRICT


class AlphaConfig(_Part):
    """A log-normal distribution of α, one draw a shown statement (paper 3.4 step 3)."""

    mu: Annotated[float, Field(ge=-MAX_LOG_ALPHA, le=MAX_LOG_ALPHA)] = ALPHA_MU
    sigma: Annotated[float, Field(ge=0, le=MAX_LOG_ALPHA)] = ALPHA_SIGMA


class ArmConfig(_Part):
    """One way of writing. ``alpha`` instead of ``welfare`` draws an α for each statement shown.

    ``plan``: "best" writes from everybody's opinions and shows the best; "collection" follows the
    collection plan (``collection.CollectionPlan``). Both may do without a reward model ("none"),
    the first where there is nothing to pick: every candidate is shown. "opinions" writes nothing:
    people rate each other's opinions beside the statements of other arms (paper 4.4).

    ``shortlist``: whether the rule chooses between the most sensible candidates alone, with a model
    of which that is the default elsewhere (docs/decisions/042-shortlist.md), but between no fewer
    than are shown.
    """

    name: Annotated[str, Field(pattern=NAME)]
    policy: str = default_policy()
    model: str = DEFAULT_MODEL
    reward: str = DEFAULT_REWARD_MODEL
    plan: Literal["best", "collection", "opinions"] = "best"
    welfare: RuleName | None = None
    alpha: AlphaConfig | None = None
    candidates: Annotated[int, Field(ge=1, le=64)] = 16
    shown: Annotated[int, Field(ge=1, le=10)] = 1
    shortlist: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_named(cls, given: Any) -> Any:
        """The rule that a policy's name may hold, as the fields that say the same."""
        if not isinstance(given, dict):
            return given
        if given.get("plan") == "opinions":
            return _of_people(given)
        if "policy" not in given and isinstance(given.get("model"), str):
            given = {**given, "policy": default_policy(given["model"])}
        if not isinstance(given.get("policy"), str):
            return given
        try:
            named = read_policy_name(given["policy"])
        except InputError as error:
            raise ValueError(str(error)) from None
        implied: dict[str, Any] = {"candidates": 1} if named.is_base else {}
        if named.rule is not None:
            implied = {"welfare": named.rule.name}
            if named.alpha is not None and named.rule not in PAPERS_RULES:
                implied = {"alpha": {"mu": math.log(named.alpha), "sigma": 0.0}}
            if isinstance(given.get("welfare"), str):
                given = {**given, "welfare": _rule_name(given["welfare"])}
            differ = [field for field in implied if given.get(field) != implied[field]]
            if differ and (given.get("welfare") or given.get("alpha")):
                raise ValueError(
                    f"the policy {given['policy']} says how its candidates are picked, and welfare "
                    "or alpha says otherwise; give one of them"
                )
        if named.is_base and given.get("candidates", 1) != 1:
            raise ValueError(f"the policy {given['policy']} is one sample; expected candidates = 1")
        return {**given, "policy": named.name, **implied}

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> ArmConfig:
        if self.plan == "opinions":
            return self
        # What a database holds was looked up when it was put there, from the file's folder.
        if info.context != STORED:
            try:
                check_language_model(self.model)
            except InputError as error:
                raise ValueError(f"model: {error}") from None
            self._check_names()
        self._check_own_name()
        if self.shortlist and (self.plan == "collection" or self.reward == NO_REWARD):
            raise ValueError(
                "shortlist is true, and no rule chooses: the plan is collection or there is no "
                'reward model; expected plan = "best" with one, or shortlist = false'
            )
        if self.plan == "collection":
            return self._collects()
        if self.welfare is not None and self.alpha is not None:
            raise ValueError("welfare and alpha are both given; expected one of them")
        if self.shown > self.candidates:
            raise ValueError(f"shown is {self.shown}, more than the {self.candidates} candidates")
        if self.reward == NO_REWARD and self.shown < self.candidates:
            raise ValueError(
                f"reward is {NO_REWARD!r}, and {self.shown} of {self.candidates} candidates are to "
                "be picked, which needs a reward model; expected one, or candidates = "
                f'{self.shown}, or plan = "collection", which may pick at random'
            )
        return self

    def _check_names(self) -> None:
        """What writes and what predicts must be there before people are."""
        served = ", as seen from where the study is served"
        if self.reward != NO_REWARD:
            try:
                check_reward_model(self.reward)
            except CommonwealError as error:
                raise ValueError(f"reward: {error}{served}, or {NO_REWARD!r}") from None
        try:
            check_policy(self.policy)
        except CommonwealError as error:
            raise ValueError(f"policy: {error}{served}") from None

    def _check_own_name(self) -> None:
        """The arm is the policy under evaluation, and its name stands in every table: one that
        means a policy must mean this one.
        """
        if self.name == HUMAN:
            raise ValueError(
                f"an arm is named {HUMAN!r}, the name for what people wrote; expected another"
            )
        try:
            named = read_policy_name(self.name)
        except InputError:
            return
        policy = read_policy_name(self.policy)
        is_other = not policy.is_path and policy.writer != named.writer
        is_other |= named.is_base and self.candidates != 1
        if named.rule is not None:
            rules = self.draw_rules(0) if self.plan == "best" and self._is_fixed else ()
            is_other |= not any(_same_rule(named.rule, rule) for rule in rules)
        if is_other:
            raise ValueError(
                f"the arm is named {self.name!r}, which is a policy, and writes with {self.policy} "
                "in another way; expected what its name says, or a name that is no policy's"
            )

    @property
    def _is_fixed(self) -> bool:
        """Whether the rule is the same in every round."""
        return self.alpha is None or self.alpha.sigma == 0

    def _collects(self) -> ArmConfig:
        if self.shown != 1:  # the default: a study kept in a database has every field
            raise ValueError("shown is given and the plan is collection, which sets it")
        if self.welfare is not None:
            raise ValueError(
                "the plan is collection, which draws α itself; expected no welfare, and a policy "
                "whose name says no rule"
            )
        if self.reward == NO_REWARD and self.alpha is not None:
            raise ValueError("alpha is given without a reward model, where picks are random")
        if self.candidates < (n_shown := CollectionPlan().n_shown):
            raise ValueError(
                f"candidates is {self.candidates}, fewer than the {n_shown} shown of each draw"
            )
        return self

    @property
    def collection_plan(self) -> CollectionPlan:
        """The plan that an arm with ``plan = "collection"`` follows."""
        alpha = self.alpha or AlphaConfig()
        return CollectionPlan(self.candidates, mu=alpha.mu, sigma=alpha.sigma)

    def draw_rules(self, seed: int) -> tuple[WelfareRule, ...]:
        """The rule under which each of the ``shown`` statements of a "best" arm is picked."""
        if self.alpha is None:
            return (resolve_rule(self.welfare),) * self.shown
        rng = np.random.default_rng([seed, 1])
        return tuple(map(Isoelastic, rng.lognormal(self.alpha.mu, self.alpha.sigma, self.shown)))

    def rule_of(self, alpha: float | None) -> WelfareRule | None:
        """The rule under which a statement with this stored α was picked; None at random."""
        if alpha is not None:
            return Isoelastic(alpha)
        if self.plan != "best" or self.welfare is None:
            return None
        rule = resolve_rule(self.welfare)
        return rule if rule.alpha is None else None


def _of_people(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of an arm that writes nothing; what a model would need may not be given."""
    fixed = {"policy": HUMAN, "model": "", "reward": NO_REWARD}
    left_out = {"welfare": None, "alpha": None, "candidates": 16, "shown": 1, "shortlist": False}
    for name, value in (fixed | left_out).items():  # a study kept in a database has every field
        if given.get(name, value) != value:
            raise ValueError(
                f"{name} is given and the plan is opinions, where no model writes and everybody's "
                "opinion is shown; expected name and plan alone"
            )
    return {**given, **fixed}


PLACES = ("policy", "model", "reward")
"""The fields of an arm that may name a folder or a file."""


def rooted(arm: Any, folder: Path) -> Any:
    """The arm's table with its relative paths leading from ``folder``, the study's own."""
    if not isinstance(arm, dict):
        return arm
    places = {"policy": _policy_at, "model": _model_at, "reward": _reward_at}
    return arm | {
        name: places[name](arm[name], folder) for name in PLACES if isinstance(arm.get(name), str)
    }


def _at(path: str, folder: Path) -> str:
    return str((folder / Path(path).expanduser()).resolve())


def _policy_at(name: str, folder: Path) -> str:
    try:
        is_path = read_policy_name(name).is_path
    except InputError:  # it is said with the line, later
        return name
    return _at(name, folder) if is_path else name


def _reward_at(name: str, folder: Path) -> str:
    if registry.split(name)[0] in (NO_REWARD, *registry.names(REWARD_MODELS)):
        return name
    return _at(name, folder) if is_path(name) or (folder / name).exists() else name


def _model_at(spec: str, folder: Path) -> str:
    engine, _, place = spec.partition(":")
    is_file = place.startswith(("./", "../", "~/")) or (
        place and "://" not in place and (folder / place).exists()
    )
    return f"{engine}:{_at(place, folder)}" if is_file else spec
