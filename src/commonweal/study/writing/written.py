"""From a task to what is written, by the plan of its arm: the main job for one round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from commonweal.datasets.arms import HUMAN
from commonweal.errors import GenerationError, InputError
from commonweal.groups import check_group
from commonweal.minority import written_for
from commonweal.selection import Selection, Wanted, scored, select
from commonweal.study.config import ArmConfig
from commonweal.types import Candidate, Critique, Opinion, Question, no_progress

if TYPE_CHECKING:
    from commonweal.collection import Collected
    from commonweal.result import Agreement
    from commonweal.types import Policy, Progress, RewardModel


@dataclass(frozen=True, slots=True)
class Revises:
    """What a revision is written from, beside the opinions.

    Attributes:
        statement: what people read.
        critiques: what they would change, by the names of their opinions.
        earlier: the critiques of the rounds before, the first round first.
        edited: a version that a person wrote by hand, which stands beside it; None without one.
    """

    statement: Candidate
    critiques: tuple[Critique, ...]
    earlier: tuple[tuple[Critique, ...], ...] = ()
    edited: Candidate | None = None

    @property
    def standing(self) -> tuple[Candidate, ...]:
        """What is rated in any case: the statement, and the version by hand."""
        return (self.statement,) if self.edited is None else (self.statement, self.edited)


@dataclass(frozen=True, slots=True)
class Task:
    """What one arm is to write from.

    Attributes:
        arm: policy, model, reward model, plan and number of candidates.
        question: what was asked.
        opinions: everybody's, with their names for ids.
        omit: names of opinions that the policy must not see.
        seed: of all chance.
        revises: the statement that is written again, and why; None where it is written first.
        for_minority: whether the opinions are a minority's, who get a sentence of their own.
    """

    arm: ArmConfig
    question: str
    opinions: tuple[Opinion, ...]
    omit: tuple[str, ...]
    seed: int
    revises: Revises | None = None
    for_minority: bool = False


@dataclass(frozen=True, slots=True)
class ArmOutput:
    """What came of a task.

    Attributes:
        draws: one, or of a collection plan one for each number of omitted opinions.
        notes: what a reader should know of how it went.
        provenance: versions, models, hashes, seed.
    """

    draws: tuple[Selection, ...]
    notes: tuple[str, ...]
    provenance: dict[str, Any]


def written_by(
    task: Task,
    policy: Policy,
    reward: RewardModel | None,
    *,
    on_progress: Progress | None = None,
) -> ArmOutput:
    """What this policy writes and this reward model predicts for the task, by the arm's plan; of a
    revision the policy knows statement and critiques already.

    Raises:
        CommonwealError: as ``find_agreement`` and ``collect``.
    """
    if task.arm.plan == "opinions":
        return opinions_of(task)
    if task.for_minority:
        return _of_minority(task, policy, reward, on_progress)
    if task.revises is not None:
        return _revised(task, task.revises, policy, reward, on_progress)
    if task.arm.plan == "collection":
        return _collected(task, policy, reward, on_progress)
    if reward is None:
        return _all(task, policy, on_progress)
    return _best(task, policy, reward, on_progress)


def opinions_of(task: Task) -> ArmOutput:
    """Everybody's opinion as a statement to be rated by the others (paper 4.4).

    Raises:
        InputError: every opinion is held back.
    """
    shared = [opinion for opinion in task.opinions if opinion.id not in task.omit]
    if not shared:
        raise InputError("every opinion is held back; there is none to show to the others")
    selection = Selection(
        question=Question(task.question),
        opinions=task.opinions,
        omitted=tuple(task.omit),
        candidates=tuple(
            Candidate(f"c{n:02d}", each.text, (each.id,), HUMAN, "", "", 0)
            for n, each in enumerate(shared, start=1)
        ),
        n_sampled=0,
        seed=(task.seed,),
        timings_seconds={},
        provenance={},
    )
    return ArmOutput((selection.picked([None] * len(shared)),), (), {})


def _all(task: Task, policy: Policy, on_progress: Progress | None) -> ArmOutput:
    """As many statements as are shown: without a reward model nothing is picked."""
    question, everybody, notes = check_group(task.question, task.opinions)
    wanted = Wanted(
        omitted=tuple(task.omit),
        n_candidates=task.arm.candidates,
        rules=(None,) * task.arm.shown,
        seed=(task.seed,),
    )
    (selection,) = select(
        question,
        everybody,
        [wanted],
        policy=policy,
        reward=None,
        on_progress=on_progress or no_progress,
    )
    provenance = {**selection.provenance, "timings_seconds": selection.timings_seconds}
    return ArmOutput((selection,), (*notes, *selection.notes), provenance)


def _best(
    task: Task, policy: Policy, reward: RewardModel, on_progress: Progress | None
) -> ArmOutput:
    from commonweal.agreement import find_agreement, shortlist_for

    listed = shortlist_for(policy.model) if task.arm.shortlist else None
    agreement = find_agreement(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        n_candidates=task.arm.candidates,
        seed=task.seed,
        omit=task.omit,
        shortlist=None if listed is None else max(listed, task.arm.shown),
        on_progress=on_progress,
    )
    if agreement.closest is None:
        raise GenerationError(agreement.reason, agreement.rejections)
    drawn = agreement.picked(task.arm.draw_rules(task.seed))
    return ArmOutput((drawn,), agreement.notes, _provenance(agreement))


def _collected(
    task: Task, policy: Policy, reward: RewardModel | None, on_progress: Progress | None
) -> ArmOutput:
    from commonweal.collection import collect

    collected = collect(
        task.question,
        task.opinions,
        policy=policy,
        reward=reward,
        plan=task.arm.collection_plan,
        seed=task.seed,
        withheld=task.omit,
        on_progress=on_progress,
    )
    return ArmOutput(collected.draws, collected.notes, _provenance(collected))


def _revised(
    task: Task,
    about: Revises,
    policy: Policy,
    reward: RewardModel | None,
    on_progress: Progress | None,
) -> ArmOutput:
    """The statement, which stands among its revisions, and those that are best of them."""
    from commonweal.revising import heard, revised_with
    from commonweal.selection.making import floor_for

    question, everybody, notes = check_group(task.question, task.opinions)
    rounds = (*about.earlier, about.critiques)
    rules = task.arm.draw_rules(task.seed)
    wanted = (None,) * len(rules) if reward is None else rules
    progress = on_progress or no_progress
    if about.critiques:
        revised = revised_with(
            policy,
            question,
            everybody,
            about.standing,
            rounds,
            omitted=task.omit,
            reward=reward,
            rules=wanted,
            n_candidates=task.arm.candidates,
            seed=task.seed,
            on_progress=progress,
            min_quality=floor_for(policy.model, is_listed=task.arm.shortlist),
        )
    else:  # what was written by hand is to be rated, and there is nothing to write from
        revised = _standing(task, about, question, everybody)
        if reward is not None:
            (revised,) = scored([revised], reward, progress, heard(everybody, rounds))
    # What stands is shown in any case: picks are of what is new.
    revised = revised.picked(wanted, avoid=[each.text for each in about.standing])
    if not revised.picks and about.edited is None:
        raise GenerationError(
            "no revision can be shown to the group; try again, or another model", revised.rejections
        )
    provenance = {**revised.provenance, "timings_seconds": revised.timings_seconds}
    return ArmOutput((revised,), (*notes, *revised.notes), provenance)


def _of_minority(
    task: Task, policy: Policy, reward: RewardModel | None, on_progress: Progress | None
) -> ArmOutput:
    """Sentences of those who disagree, from their opinions, picked for them alone."""
    question = Question(task.question)
    selection = written_for(
        question,
        task.opinions,
        policy=policy,
        reward=reward,
        n_candidates=task.arm.candidates,
        seed=task.seed,
        on_progress=on_progress,
    )
    provenance = {**selection.provenance, "timings_seconds": selection.timings_seconds}
    return ArmOutput((selection,), selection.notes, provenance)


def _standing(
    task: Task, about: Revises, question: Question, everybody: tuple[Opinion, ...]
) -> Selection:
    """The statement and the version by hand alone, not yet scored."""
    return Selection(
        question=question,
        opinions=everybody,
        omitted=tuple(task.omit),
        candidates=tuple(
            replace(each, id=f"c{n:02d}") for n, each in enumerate(about.standing, start=1)
        ),
        n_sampled=0,
        n_standing=len(about.standing),
        seed=(task.seed,),
        timings_seconds={},
        provenance={"seed": task.seed, "revises": about.statement.id, "n_critiques": 0},
    )


def _provenance(source: Agreement | Collected) -> dict[str, Any]:
    return {**source.provenance, "timings_seconds": source.timings_seconds}
