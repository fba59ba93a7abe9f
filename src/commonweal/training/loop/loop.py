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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commonweal.batch.working import Workers
from commonweal.collection import CollectionPlan
from commonweal.errors import InputError
from commonweal.files import content_hash, is_begun, locked, write_whole
from commonweal.models import store
from commonweal.policies import check_policy
from commonweal.policies.templates import load_template
from commonweal.rewards import check_reward_model
from commonweal.training.loop.people import check_people
from commonweal.training.loop.plan import IteratePlan
from commonweal.training.loop.stages import Stage, stages_of
from commonweal.types import Progress, no_progress

PLAN, STAGE, BEGUN = "plan.json", "stage.json", "begun.json"


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

    def __init__(self, plan: IteratePlan, *, workers: Workers | None = None) -> None:
        """Checks the plan as a whole.

        Args:
            plan: of the loop.
            workers: share what is written and predicted; None does it here.

        Raises:
            InputError: the people cannot be asked, a policy, the prompt, the fallback or the
                collection plan cannot be used, or a file that the plan names is not there.
        """
        CollectionPlan(**plan.collection.model_dump())
        _check_writes(plan)
        check_people(plan)
        self.plan = plan
        self.stages = stages_of(plan, workers)
        awaited = {*plan.people.exports, plan.people.evaluation_export}
        for stage in self.stages:
            for file in stage.files:
                if file not in awaited and not file.exists():
                    raise InputError(
                        f"the stage {stage.name} reads {file}, which is not there; make it, or "
                        "take it out of the plan"
                    )
        _check_names(plan)

    def states(self) -> list[State]:
        """How far each stage is, in order."""
        keys: dict[str, str] = {}
        states = []
        for stage in self.stages:
            key = keys[stage.name] = _key(stage, keys)
            folder = self.plan.out / stage.name
            finished = _read(folder / STAGE)
            begun = _read(folder / BEGUN)
            done = finished if finished and finished["key"] == key else None
            if done:
                state = "done"
            elif finished or (begun and begun["key"] != key):
                state = "out of date"
            elif any(not file.exists() for file in stage.files):
                state = "waiting"
            else:
                state = "begun" if begun else "to do"
            states.append(
                State(
                    stage.name,
                    stage.what,
                    state,
                    done["done_at"] if done else "",
                    done["seconds"] if done else None,
                    done["counts"] if done else None,
                )
            )
        return states

    def run(self, *, on_progress: Progress = no_progress) -> Iterator[str]:
        """Does what is not done, and says in lines what was done.

        Raises:
            InputError: another process is at work in the folder, or a stage's input cannot be used.
            CommonwealError: a stage failed; the same command goes on there.
        """
        out = self.plan.out
        with locked(out):
            is_begun(out, PLAN, what="a training loop's", option="`out`")
            write_whole(out / PLAN, self.plan.model_dump_json(indent=2) + "\n")
            n_done, keys = 0, dict[str, str]()
            for stage in self.stages:
                key = keys[stage.name] = _key(stage, keys)
                folder = out / stage.name
                finished, begun = _read(folder / STAGE), _read(folder / BEGUN)
                if finished and finished["key"] == key:
                    n_done += 1
                    continue
                missing = [file for file in stage.files if not file.exists()]
                if missing:
                    yield (
                        f"{stage.name}: waiting for people: {missing[0]} is not there. Run the "
                        "study, export it to that folder, and run this command again"
                    )
                    return
                if folder.is_dir() and not (begun and begun["key"] == key):
                    # First what says that it is done: a kill leaves nothing half there and "done".
                    (folder / STAGE).unlink(missing_ok=True)
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


def _key(stage: Stage, before: Mapping[str, str]) -> str:
    """A hash of all that the stage depends on, given the keys of the stages before it."""
    parts = {
        "settings": stage.settings,
        "after": [before[name] for name in stage.after],
        "files": [content_hash(file) for file in stage.files],
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(counts: Mapping[str, float]) -> str:
    """Counts in words: "12 rounds, 71 statements shown"."""
    return ", ".join(
        f"{n:,.0f} {what}" if float(n).is_integer() else f"{what} {n:.3f}"
        for what, n in counts.items()
        if not what.startswith("_")
    )


def _check_names(plan: IteratePlan) -> None:
    """Raises ``InputError`` where a later stage would not find a policy, prompt or reward model.

    That stage may come when people have rated for weeks.
    """
    written = () if plan.people.kind == "study" else plan.evaluation.policies
    for name in (plan.policy.name, *written):
        check_policy(name)
    load_template(plan.sft.model.template)
    if plan.reward.fallback:
        check_reward_model(plan.reward.fallback)


def _check_writes(plan: IteratePlan) -> None:
    """Raises ``InputError`` where the loop could train a policy and then not write with it."""
    model = plan.sft.model
    is_lora = model.lora_rank > 0 and not model.merge
    if plan.people.kind != "study" and is_lora and model.base not in store.WEIGHTS:
        raise InputError(
            f"sft.model.base is {model.base!r} with a LoRA adapter, with which the loop could "
            "not write: no engine here adds one to it; expected sft.model.merge = true, "
            f"lora_rank = 0, or packaged weights ({', '.join(store.WEIGHTS)})"
        )


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
