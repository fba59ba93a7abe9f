"""The plan of a training loop: what is asked of whom, and what is trained how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from commonweal.errors import CommonwealError
from commonweal.policies import NamedPolicy, read_policy_name
from commonweal.training.config import (
    ConfigTable,
    RewardData,
    RewardModelPart,
    RewardTraining,
    SftData,
    SftModelPart,
    SftTraining,
)


class PeoplePart(ConfigTable):
    """``[people]``: who writes opinions and rates."""

    kind: Literal["latent", "llm", "replay", "study"] = Field(
        description="latent: simulated, with a hidden position; llm: simulated, played by a "
        "language model; replay: real votes on what people wrote, which train a reward model but "
        "no policy; study: people, whose exported rounds the loop waits for"
    )
    dataset: Path | None = Field(
        default=None, description="for replay: a dataset of real rounds, with splits"
    )
    settings: dict[str, float] = Field(
        default={},
        description="settings of latent people: noise, leniency, … (docs/participants.md)",
    )
    considerations: tuple[Path, ...] = Field(
        default=(), description="files of questions for latent people; by default the packaged ones"
    )
    model: str = Field(
        default="embedded", description="the language model that plays people, as --model"
    )
    descriptions: Path | None = Field(
        default=None,
        description="the people to play; by default, descriptions made from latent people",
    )
    questions: Path | None = Field(
        default=None, description="for llm people: a question set with splits"
    )
    exports: tuple[Path, ...] = Field(
        default=(), description="for a study: the exported rounds of each iteration, in order"
    )
    evaluation_export: Path | None = Field(
        default=None, description="for a study: the exported rounds of the evaluation"
    )


class GroupsPart(ConfigTable):
    """``[groups]``: how many there are in each iteration."""

    n_groups: int = Field(default=12, ge=1, description="groups")
    group_size: int = Field(default=5, ge=2, description="people in each group (paper 3.2: 4 or 5)")
    rounds_per_group: int = Field(default=3, ge=1, description="questions for each group")


class CollectionPart(ConfigTable):
    """``[collection]``: what they are shown (paper 3.4 step 1)."""

    n_candidates: int = Field(default=16, ge=1, description="candidates written from each subset")
    omitted: tuple[int, ...] = Field(
        default=(0, 1, 2), description="how many opinions to leave out; one subset for each number"
    )
    n_shown: int = Field(default=2, ge=1, description="statements shown from each subset")
    mu: float = Field(default=0.0, description="mean of log alpha (ours)")
    sigma: float = Field(default=1.0, ge=0, description="standard deviation of log alpha (ours)")


class PolicyPart(ConfigTable):
    """``[policy]``: what writes before anything is trained."""

    name: str = Field(
        default="few_shot", description="a policy's name, as --policy, without a rule"
    )
    model: str = Field(default="embedded", description="its language model, as --model")

    @field_validator("name")
    @classmethod
    def _without_rule(cls, name: str) -> str:
        named = _policy(name)
        if named.rule is not None or named.is_base:
            raise ValueError(
                f"the policy {name} says how one candidate is picked, and the collection plan "
                f"draws its own alphas; expected {named.writer}"
            )
        return named.name


def _policy(name: str) -> NamedPolicy:
    try:
        return read_policy_name(name)
    except CommonwealError as error:
        raise ValueError(str(error)) from None


def _one_name(name: str) -> str:
    """The policy's one name; an arm of a study may have any other, and the plan says whose."""
    try:
        return read_policy_name(name).name
    except CommonwealError:
        return name


class SftStage(ConfigTable):
    """``[sft]``: see the fields of a policy's training; rated rounds are added to its datasets."""

    data: SftData = SftData()
    model: SftModelPart = SftModelPart()
    training: SftTraining = SftTraining()


class RewardStageData(RewardData):
    """``[reward.data]``: rated rounds are added to its datasets."""

    datasets: tuple[Path, ...] = Field(default=(), description="further dataset folders")


class RewardStage(ConfigTable):
    """``[reward]``: see the fields of a reward model's training."""

    fallback: str = Field(
        default="",
        description="the reward model (a name or a folder) to use if the trained one predicts the "
        "reverse of agreement; empty: the loop stops then",
    )
    data: RewardStageData = RewardStageData()
    model: RewardModelPart = RewardModelPart()
    training: RewardTraining = RewardTraining()


class EvaluationPart(ConfigTable):
    """``[evaluation]``: on questions that nothing was trained on (paper 4.1)."""

    n_groups: int = Field(default=12, ge=1, description="groups")
    rounds_per_group: int = Field(default=3, ge=1, description="questions for each group")
    split: Literal["iid_test", "ood_test"] = Field(
        default="ood_test", description="which test questions"
    )
    policies: tuple[str, ...] = Field(
        default=("zero_shot", "few_shot", "sft_base", "sft_utilitarian"),
        min_length=1,
        description="each writes one statement a round; a bare name takes one sample. For a study: "
        "the names of its arms, which its export must contain",
    )
    n_candidates: int = Field(
        default=16,
        ge=1,
        description="how many candidates a policy with a rule picks from (paper 4.1)",
    )
    n_resamples: int = Field(default=10_000, ge=1000, description="resamples behind intervals")

    @field_validator("policies")
    @classmethod
    def _by_their_one_name(cls, policies: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(_one_name(name) for name in policies)
        if len(set(names)) < len(names):
            raise ValueError(f"{', '.join(policies)} name one policy twice; expected each once")
        return names


class IteratePlan(ConfigTable):
    """A training loop: iterations of generate, rate, fine-tune, reward model; then evaluation."""

    name: str = Field(description="the loop's name", pattern=r"^[\w.-]+$")
    out: Path = Field(description="the loop's folder, relative to the plan")
    seed: int = Field(default=0, ge=0, description="the seed of everything random")
    iterations: int = Field(default=2, ge=1, description="iterations of the loop (paper 3.4: two)")
    people: PeoplePart
    groups: GroupsPart = GroupsPart()
    collection: CollectionPart = CollectionPart()
    policy: PolicyPart = PolicyPart()
    sft: SftStage = SftStage()
    reward: RewardStage = RewardStage()
    evaluation: EvaluationPart = EvaluationPart()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.people.kind != "study":
            for name in self.evaluation.policies:
                _policy(name)
        if self.people.kind == "study":
            if len(self.people.exports) != self.iterations:
                raise ValueError(
                    f"people.exports names {len(self.people.exports)} folders; expected one for "
                    f"each of the {self.iterations} iterations: where its export will lie"
                )
            if self.people.evaluation_export is None:
                raise ValueError(
                    "people.evaluation_export is missing: where the evaluation's export will lie"
                )
        if self.people.kind == "replay" and self.people.dataset is None:
            raise ValueError("people.dataset is missing: whose votes are to be replayed")
        if self.people.kind == "replay" and {
            self.groups.rounds_per_group,
            self.evaluation.rounds_per_group,
        } != {1}:
            raise ValueError(
                "groups.rounds_per_group and evaluation.rounds_per_group must be 1 where people "
                "are replayed: each was in one conversation"
            )
        if self.people.kind == "llm" and self.people.questions is None and self.people.descriptions:
            raise ValueError("people.questions is missing: a question set to ask people of a file")
        return self
