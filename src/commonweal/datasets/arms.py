"""The policies under evaluation of a dataset: a study's arms, as its export describes them.

An arm is a way of writing statements: a policy, its language model, its reward model, the rule by
which the shown statements are picked, and how many they are picked from. Two arms of one writer are
two policies under evaluation, so ``candidates.policy`` holds the arm's name, and the export's step
what the arm is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from commonweal.datasets.dataset import About, Dataset
from commonweal.errors import InputError
from commonweal.frames import pl

EXPORTED = "exported from a study"
"""What the step of a study's export says."""

ARMS = "arms"
"""The option of that step that holds the arms."""

HUMAN = "human"
"""The policy of statements that a person wrote; no arm of a model may have this name."""

STOCK = "stock sentences"
"""The model of what no model wrote: ready sentences of a rehearsal. Every name says so."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One policy under evaluation.

    Attributes:
        name: of the arm; ``candidates.policy`` holds it.
        policy: what writes: a policy's name. ``human`` for people's own opinions.
        model: the language model.
        reward: the reward model; empty where none predicts.
        rule: how what is shown is picked, in words: "utilitarian", "by lot".
        n_candidates: how many statements it is picked from; None where each is shown.
    """

    name: str
    policy: str
    model: str = ""
    reward: str = ""
    rule: str = ""
    n_candidates: int | None = None

    @property
    def is_one_sample(self) -> bool:
        """Whether nothing is picked: one statement is written, and shown."""
        return self.n_candidates == 1

    @property
    def described(self) -> str:
        """What it is, in words: "sft on small, 16 candidates, utilitarian, by …"."""
        if self.policy == HUMAN:
            return "what people wrote"
        on = f" on {self.model}" if self.model else ""
        if self.is_one_sample:
            return f"{self.policy}{on}, one sample"
        picked = f", {self.n_candidates} candidates" if self.n_candidates else ""
        by = f", by the reward model {self.reward}" if self.reward else ""
        return f"{self.policy}{on}{picked}{f', {self.rule}' if self.rule else ''}{by}"


def with_arms(options: Mapping[str, Any], arms: Iterable[Arm]) -> dict[str, Any]:
    """The options of an export's step, with what its arms are."""
    return {**options, ARMS: [asdict(arm) for arm in arms]}


def arms_of(about: About) -> dict[str, Arm]:
    """What each policy under evaluation is, by name, in the order of the studies' files.

    Empty where the dataset is no study's, or of a study that was exported before arms were kept.
    """
    arms: dict[str, Arm] = {}
    for step in about.steps:
        for fields in step.options.get(ARMS, ()) if step.what == EXPORTED else ():
            arm = Arm(**fields)
            arms.setdefault(arm.name, arm)
    return arms


def named_by_arm(dataset: Dataset) -> Dataset:
    """The dataset with the arm as the policy, where an older export kept it in ``x_arm`` alone.

    There ``policy`` was the writer, so that two arms of one writer were one policy. The writer is
    kept in ``x_writer``.
    """
    is_older = "x_arm" in dataset.candidates.columns and any(
        step.what == EXPORTED and ARMS not in step.options for step in dataset.about.steps
    )
    if not is_older:
        return dataset
    arm = pl.coalesce("x_arm", "policy")
    candidates = dataset.candidates.with_columns(x_writer=pl.col("policy")).with_columns(policy=arm)
    return replace(dataset, candidates=candidates.drop("x_arm"))


def apart(datasets: Sequence[Dataset]) -> list[Dataset]:
    """The datasets, an arm's name followed by its dataset's where another's of that name is not
    the same arm: what two studies call one name is not one policy.

    Raises:
        InputError: the two datasets have one name as well.
    """
    known: dict[str, Arm] = {}
    clashing: set[str] = set()
    for dataset in datasets:
        for name, arm in arms_of(dataset.about).items():
            if known.setdefault(name, arm) != arm:
                clashing.add(name)
    if not clashing:
        return list(datasets)
    names = [dataset.about.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise InputError(
            f"the arm {sorted(clashing)[0]!r} is not the same in two studies, and both are named "
            f"{max(names, key=names.count)!r}; expected studies of different names, or evaluate "
            "each by itself"
        )
    return [_renamed(dataset, clashing) for dataset in datasets]


def _renamed(dataset: Dataset, names: set[str]) -> Dataset:
    new = {name: f"{name} of {dataset.about.name}" for name in names & set(arms_of(dataset.about))}
    steps = tuple(
        step.model_copy(
            update={
                "options": step.options
                | {
                    ARMS: [
                        {**fields, "name": new.get(fields["name"], fields["name"])}
                        for fields in step.options[ARMS]
                    ]
                }
            }
        )
        if step.what == EXPORTED and ARMS in step.options
        else step
        for step in dataset.about.steps
    )
    return replace(
        dataset,
        about=replace(dataset.about, steps=steps),
        candidates=dataset.candidates.with_columns(pl.col("policy").replace(new)),
    )
