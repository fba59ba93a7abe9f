"""The training loop: generate, rate, fine-tune, reward model, twice; then evaluation (paper 3.4).

Each stage is a folder whose ``stage.json`` is written last and holds the stage's key: a hash of all
that it depends on, the stages before it among them. A stage whose key is there is not done again;
where the plan changed, what depends on the change is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from commonweal.collection import CollectionPlan
from commonweal.datasets.dataset import Dataset, read_dataset, write_dataset
from commonweal.errors import InputError
from commonweal.files import write_whole
from commonweal.policies import load_policy, read_policy_name
from commonweal.rewards import load_reward_model
from commonweal.rewards.calibration import ReverseRewardError
from commonweal.training import run_folder
from commonweal.training.config import RewardConfig, RewardData, SftConfig
from commonweal.training.iterate_config import IteratePlan
from commonweal.training.iterate_people import check_people, crowd_of
from commonweal.training.iterate_rounds import (
    collected,
    compared,
    seed_of,
    with_written,
    written,
)
from commonweal.types import Policy, Progress, RewardModel, no_progress

STAGE, USED = "stage.json", "used.json"
ROUNDS, RATED, EVALUATION = "rounds", "rated", "evaluation"
BEGUN = "begun.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the loop.

    Attributes:
        name: and its folder's.
        what: in words.
        settings: everything of the plan that it depends on.
        after: the names of the stages whose results it takes.
        files: what it reads from outside; a changed file makes it out of date.
        run: does the work in the folder, and returns counts.
    """

    name: str
    what: str
    settings: Mapping[str, Any]
    after: tuple[str, ...]
    files: tuple[Path, ...]
    run: Callable[[Path, Progress], dict[str, float]]


@dataclass(frozen=True, slots=True)
class State:
    """How far a stage is.

    Attributes:
        state: "done", "begun", "out of date", "waiting" (for people) or "to do".
        counts: what was counted when it was done.
    """

    name: str
    what: str
    state: str
    done_at: str = ""
    seconds: float | None = None
    counts: Mapping[str, float] | None = None


class Loop:
    """A plan's stages and their folders."""

    def __init__(self, plan: IteratePlan) -> None:
        """Checks the plan as a whole.

        Raises:
            InputError: the people cannot be asked, or a policy is not known.
        """
        for name in (plan.policy.name, *plan.evaluation.policies):
            read_policy_name(name)
        check_people(plan)
        self.plan = plan
        self.stages = _stages(plan)

    def states(self) -> list[State]:
        """How far each stage is, in order."""
        keys = self._keys()
        found = []
        for stage in self.stages:
            folder = self.plan.out / stage.name
            said = _read(folder / STAGE)
            begun = _read(folder / BEGUN)
            done = said if said and said["key"] == keys[stage.name] else None
            if done:
                state = "done"
            elif said or (begun and begun["key"] != keys[stage.name]):
                state = "out of date"
            elif any(not file.exists() for file in stage.files):
                state = "waiting"
            else:
                state = "begun" if begun else "to do"
            found.append(
                State(
                    stage.name,
                    stage.what,
                    state,
                    done["done_at"] if done else "",
                    done["seconds"] if done else None,
                    done["counts"] if done else None,
                )
            )
        return found

    def run(self, *, on_progress: Progress = no_progress) -> Iterator[str]:
        """Does what is not done, and says in lines what was done.

        Raises:
            InputError: another process is at work in the folder, or a stage's input cannot be used.
            CommonwealError: a stage failed; the same command goes on there.
        """
        out = self.plan.out
        with run_folder.locked(out):
            _check_ours(out)
            write_whole(out / "plan.json", self.plan.model_dump_json(indent=2) + "\n")
            n_done = 0
            for stage in self.stages:
                key = self._keys()[stage.name]
                folder = out / stage.name
                said, begun = _read(folder / STAGE), _read(folder / BEGUN)
                if said and said["key"] == key:
                    n_done += 1
                    continue
                missing = [file for file in stage.files if not file.exists()]
                if missing:
                    yield (
                        f"{stage.name}: waiting for people: {missing[0]} is not there. Run the "
                        "study, export it to that folder, and give this command again"
                    )
                    return
                if said or (begun and begun["key"] != key):
                    shutil.rmtree(folder)
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / BEGUN, json.dumps({"key": key}) + "\n")
                began = time.perf_counter()
                counts = stage.run(folder, on_progress)
                seconds = time.perf_counter() - began
                write_whole(
                    folder / STAGE,
                    json.dumps(
                        {
                            "key": key,
                            "done_at": datetime.now(UTC).isoformat(timespec="seconds"),
                            "seconds": round(seconds, 3),
                            "counts": counts,
                        },
                        indent=2,
                    )
                    + "\n",
                )
                yield f"{stage.name}: {stage.what}: {described(counts)}"
            if n_done == len(self.stages):
                yield f"{out} is done already; nothing that it depends on has changed"

    def _keys(self) -> dict[str, str]:
        keys: dict[str, str] = {}
        for stage in self.stages:
            parts = {
                "settings": stage.settings,
                "after": [keys[name] for name in stage.after],
                "files": [_file_key(file) for file in stage.files],
            }
            text = json.dumps(parts, sort_keys=True, default=str)
            keys[stage.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return keys


def described(counts: Mapping[str, float]) -> str:
    """Counts in words: "12 rounds, 71 statements shown"."""
    return ", ".join(
        f"{n:,.0f} {what}" if float(n).is_integer() else f"{what} {n:.3f}"
        for what, n in counts.items()
        if not what.startswith("_")
    )


def _stages(plan: IteratePlan) -> list[Stage]:
    stages: list[Stage] = []
    people = plan.people.model_dump(mode="json")
    outside = tuple(
        file
        for file in (plan.people.questions, plan.people.descriptions, *plan.people.considerations)
        if file is not None
    )
    is_study = plan.people.kind == "study"
    rated: list[str] = []
    for turn in range(plan.iterations):
        before = (f"{turn - 1}-sft", f"{turn - 1}-reward") if turn else ()
        if not is_study:
            stages.append(
                Stage(
                    f"{turn}-generate",
                    f"iteration {turn + 1}, opinions written, statements to be rated",
                    {
                        "seed": plan.seed,
                        "people": people,
                        "groups": plan.groups.model_dump(),
                        "collection": plan.collection.model_dump(),
                        # Later turns write with what the turn before trained.
                        "policy": None if turn else plan.policy.model_dump(),
                    },
                    before,
                    outside,
                    partial(_generate, plan, turn),
                )
            )
        stages.append(
            Stage(
                f"{turn}-rate",
                f"iteration {turn + 1}, rated by {_whose(plan)}",
                {"seed": plan.seed, "people": people},
                before if is_study else (f"{turn}-generate",),
                (plan.people.exports[turn],) if is_study else (),
                partial(_rate, plan, turn),
            )
        )
        rated.append(f"{turn}-rate")
        stages.append(
            Stage(
                f"{turn}-sft",
                f"iteration {turn + 1}, policy fine-tuned",
                plan.sft.model_dump(mode="json"),
                tuple(rated),
                (*plan.sft.data.datasets, *_split_file(plan)),
                partial(_sft, plan, turn),
            )
        )
        stages.append(
            Stage(
                f"{turn}-reward",
                f"iteration {turn + 1}, reward model trained",
                plan.reward.model_dump(mode="json"),
                tuple(rated),
                (*plan.reward.data.datasets, *_split_file(plan)),
                partial(_reward, plan, turn),
            )
        )
    last = plan.iterations - 1
    stages.append(
        Stage(
            "evaluate",
            f"policies compared on test questions, rated by {_whose(plan)}",
            {
                "seed": plan.seed,
                "people": people,
                "group_size": plan.groups.group_size,
                "policy": plan.policy.model_dump(),
                "evaluation": plan.evaluation.model_dump(),
            },
            (f"{last}-sft", f"{last}-reward"),
            (plan.people.evaluation_export,) if plan.people.evaluation_export else outside,
            partial(_evaluate, plan),
        )
    )
    return stages


def _whose(plan: IteratePlan) -> str:
    return "people" if plan.people.kind == "study" else f"simulated people ({plan.people.kind})"


def _split_file(plan: IteratePlan) -> tuple[Path, ...]:
    found = {plan.sft.data.question_split, plan.reward.data.question_split}
    return tuple(sorted(path for path in found if path is not None))


# --------------------------------------------------------------------------------- the stages


def _generate(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.participants.rounds import new_rounds, rounds_of

    rng = np.random.default_rng([plan.seed, turn])
    dataset = new_rounds(
        crowd_of(plan, turn),
        n_groups=plan.groups.n_groups,
        group_size=plan.groups.group_size,
        rounds_per_group=plan.groups.rounds_per_group,
        rng=rng,
        split="train",
        iteration=turn,
        name=f"{plan.name}, iteration {turn + 1}",
        on_progress=progress,
    )
    policy, reward = _trained(plan, turn - 1) if turn else (_first_policy(plan), None)
    wanted = CollectionPlan(**plan.collection.model_dump())
    found = written(
        rounds_of(dataset),
        lambda one: collected(one, policy, reward, wanted, seed_of(plan.seed, turn)),
        folder / "journal.jsonl",
        on_progress=progress,
    )
    whole = with_written(dataset, found, reward)
    write_dataset(whole, folder / ROUNDS, overwrite=True)
    return {
        "rounds": whole.rounds.height,
        "statements written": whole.candidates.height,
        "completions drawn": sum(each.n_sampled for each in found),
        "shown": int(whole.candidates["shown"].sum()),
        "_work_seconds": sum(each.seconds for each in found),
    }


def _rate(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.participants.rating import rate_rounds

    if plan.people.kind == "study":
        dataset = read_dataset(plan.people.exports[turn])
    else:
        rounds = read_dataset(plan.out / f"{turn}-generate" / ROUNDS)
        rng = np.random.default_rng([plan.seed, turn, 1])
        dataset = rate_rounds(crowd_of(plan, turn), rounds, rng=rng, on_progress=progress)
    write_dataset(dataset, folder / RATED, overwrite=True)
    return _rating_counts(dataset)


def _rating_counts(dataset: Dataset) -> dict[str, float]:
    from commonweal.datasets.quality import mean_quality

    means = dataset.ratings["agreement"].mean()
    counts: dict[str, float] = {"ratings": dataset.ratings.height}
    if means is not None:
        counts["mean agreement"] = float(means)  # type: ignore[arg-type]
    quality = mean_quality(dataset)
    if quality.height:
        counts["mean quality"] = float(quality["quality"].sum()) / quality.height
    return counts


def _sft(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.training.sft_run import run_sft

    data = plan.sft.data.model_copy(
        update={"datasets": (*plan.sft.data.datasets, *_rated_so_far(plan, turn))}
    )
    config = SftConfig(
        name=f"{plan.name}-{turn + 1}",
        out=folder / "run",
        data=data,
        model=plan.sft.model,
        training=plan.sft.training,
    )
    for _ in run_sft(config, on_progress=progress):
        pass
    said = json.loads((config.out / run_folder.FIT).read_text(encoding="utf-8"))
    return {
        "statements learned from": said["counts"]["training statements"],
        "best step": said["best_step"],
    }


def _reward(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.training.reward_run import run_reward

    fields = plan.reward.data.model_dump()
    fields["datasets"] = (*plan.reward.data.datasets, *_rated_so_far(plan, turn))
    config = RewardConfig(
        name=f"{plan.name}-{turn + 1}",
        out=folder / "run",
        data=RewardData(**fields),
        model=plan.reward.model,
        training=plan.reward.training,
    )
    used = {"reward": str(config.out / run_folder.RUNTIME)}
    counts: dict[str, float] = {}
    try:
        for _ in run_reward(config, on_progress=progress):
            pass
    except ReverseRewardError:
        if not plan.reward.fallback:
            raise
        used = {"reward": plan.reward.fallback}
        counts[f"model that predicts the reverse, {plan.reward.fallback} instead"] = 1
    write_whole(folder / USED, json.dumps(used) + "\n")
    said = json.loads((config.out / run_folder.FIT).read_text(encoding="utf-8"))
    return {"best step": said["best_step"], **counts}


def _evaluate(plan: IteratePlan, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.evaluation.evaluate import evaluate
    from commonweal.evaluation.page import write_json, write_page
    from commonweal.participants.rating import rate_rounds
    from commonweal.participants.rounds import new_rounds, rounds_of

    if plan.people.evaluation_export is not None:
        rated = read_dataset(plan.people.evaluation_export)
        counts: dict[str, float] = {}
    else:
        turn = plan.iterations
        crowd = crowd_of(plan, turn)
        rounds = new_rounds(
            crowd,
            n_groups=plan.evaluation.n_groups,
            group_size=plan.groups.group_size,
            rounds_per_group=plan.evaluation.rounds_per_group,
            rng=np.random.default_rng([plan.seed, turn]),
            split=plan.evaluation.split,
            name=f"{plan.name}, evaluation",
            on_progress=progress,
        )
        tuned, reward = _trained(plan, plan.iterations - 1)
        policies = {
            name: tuned
            if read_policy_name(name).writer == "sft"
            else load_policy(name, plan.policy.model)
            for name in plan.evaluation.policies
        }
        found = written(
            rounds_of(rounds),
            lambda one: compared(
                one,
                policies,
                reward,
                n_candidates=plan.evaluation.n_candidates,
                seed=seed_of(plan.seed, turn),
            ),
            folder / "journal.jsonl",
            on_progress=progress,
        )
        rated = rate_rounds(
            crowd,
            with_written(rounds, found, None),
            rng=np.random.default_rng([plan.seed, turn, 1]),
            on_progress=progress,
        )
        counts = {
            "statements that could not be written": sum(len(each.failures) for each in found),
            "_work_seconds": sum(each.seconds for each in found),
        }
    write_dataset(rated, folder / RATED, overwrite=True)
    result = evaluate(
        rated, n_resamples=plan.evaluation.n_resamples, seed=plan.seed, on_progress=progress
    )
    write_page(result, folder / "report.html")
    write_json(result, folder / "report.json")
    return {"rounds": rated.rounds.height, "ratings": rated.ratings.height, **counts}


def _first_policy(plan: IteratePlan) -> Policy:
    return load_policy(plan.policy.name, plan.policy.model)


def _trained(plan: IteratePlan, turn: int) -> tuple[Policy, RewardModel]:
    """The policy and the reward model that this turn trained."""
    policy = plan.out / f"{turn}-sft" / "run" / run_folder.POLICY
    used = _read(plan.out / f"{turn}-reward" / USED) or {}
    return load_policy(str(policy)), load_reward_model(used["reward"])


def _rated_so_far(plan: IteratePlan, turn: int) -> tuple[Path, ...]:
    """All rounds rated up to this turn: each turn learns from all of them. The paper does not say;
    ours.
    """
    return tuple(plan.out / f"{each}-rate" / RATED for each in range(turn + 1))


# ------------------------------------------------------------------------------------- folders


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return said


def _file_key(path: Path) -> str | None:
    """A hash of the file, or of the folder's files by name; None where there is none yet."""
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = hashlib.sha256()
    for file in files:
        found.update(file.name.encode())
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _check_ours(out: Path) -> None:
    there = [path.name for path in out.iterdir() if path.name != ".lock"]
    if there and "plan.json" not in there:
        raise InputError(
            f"{out} holds {there[0]} and is not a training loop's; expected a new or empty folder "
            "as `out`"
        )
