"""A study's arms as policies under evaluation: what each wrote with, for readers of the export."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from commonweal.datasets.arms import HUMAN, STOCK, Arm
from commonweal.policies import read_policy_name
from commonweal.rules import resolve_rule
from commonweal.study.config import NO_REWARD, ArmConfig, StudyConfig
from commonweal.study.storage.tables import StatementRow


def policy_of(statement: StatementRow) -> str:
    """The policy under evaluation that a statement is of: its arm, and that no model wrote it."""
    if statement.policy == HUMAN:
        return HUMAN
    return f"{statement.arm} ({STOCK})" if statement.model == STOCK else statement.arm


def arms_as_written(config: StudyConfig, provenances: Iterable[Mapping[str, Any]]) -> list[Arm]:
    """The study's arms in the order of its file, with the models that wrote.

    Args:
        config: the study.
        provenances: of each round, arm by arm, as its writer told it.
    """
    kept = list(provenances)
    arms = []
    for arm in config.arms:
        if arm.plan == "opinions":
            arms.append(Arm(HUMAN, HUMAN))
            continue
        of_arm = [each[arm.name] for each in kept if arm.name in each]
        model = _seen(of_arm, "model") or arm.model
        is_stock = model == STOCK
        arms.append(
            Arm(
                f"{arm.name} ({STOCK})" if is_stock else arm.name,
                _writer(arm) or _seen(of_arm, "policy") or arm.policy,
                model,
                _seen(of_arm, "reward_model") or ("" if arm.reward == NO_REWARD else arm.reward),
                _rule(arm),
                arm.candidates,
            )
        )
    return arms


def _writer(arm: ArmConfig) -> str:
    """What the arm's policy is called; empty for a folder, whose place is no name."""
    named = read_policy_name(arm.policy)
    return "" if named.is_path else named.writer


def _seen(provenances: Iterable[Mapping[str, Any]], what: str) -> str:
    """What was told of it in the rounds; several, where it was not the same in all."""
    values = {str(each[what]) for each in provenances if each.get(what) is not None}
    return " or ".join(sorted(values))


def _rule(arm: ArmConfig) -> str:
    """How what is shown is picked, in words."""
    if arm.plan == "collection":
        plan = arm.collection_plan
        how = "by lot" if arm.reward == NO_REWARD else _drawn(plan.mu, plan.sigma)
        return f"the collection plan, {how}"
    if arm.candidates == 1:
        return ""
    if arm.reward == NO_REWARD:
        return "all shown"
    if arm.alpha is not None:
        return _drawn(arm.alpha.mu, arm.alpha.sigma)
    return resolve_rule(arm.welfare).name


def _drawn(mu: float, sigma: float) -> str:
    if sigma == 0:
        return f"α = {math.exp(mu):.4g}"
    return f"α drawn log-normally with μ = {mu:g}, σ = {sigma:g}"
