"""The stages of a training loop: what each depends on, and its work (paper 3.4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from commonweal.batch.working import Workers
from commonweal.collection import CollectionPlan
from commonweal.datasets.dataset import Dataset, check_output_folder, read_dataset, write_dataset
from commonweal.datasets.schema import MANIFEST
from commonweal.files import write_whole
from commonweal.models import load_language_model
from commonweal.policies import load_policy, read_policy_name
from commonweal.policies.files import policy_files
from commonweal.rewards import load_reward_model
from commonweal.rewards.calibration import ReverseRewardError
from commonweal.selection import seed_of
from commonweal.training import run_folder
from commonweal.training.config import RewardConfig, RewardData, SftConfig
from commonweal.training.loop.people import (
    check_arms,
    crowd_of,
    further_questions,
    refuse_leaks,
    whose,
)
from commonweal.training.loop.plan import IteratePlan
from commonweal.training.loop.rounds import (
    Share,
    Writing,
    Written,
    collected,
    compared,
    predicted,
    with_written,
    written,
)
from commonweal.types import LanguageModel, Policy, Progress, RewardModel, Round

ROUNDS, RATED, USED = "rounds", "rated", "used.json"
OPENED = "opened"


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


def stages_of(plan: IteratePlan, workers: Workers | None = None) -> list[Stage]:
    """The plan's stages, in the order in which they are done; workers share what is written."""
    stages: list[Stage] = []
    people = plan.people.model_dump(mode="json")
    outside = tuple(
        file
        for file in (
            *(plan.people.questions, plan.people.descriptions, plan.people.dataset),
            *plan.people.considerations,
        )
        if file is not None
    )
    is_study = plan.people.kind == "study"
    trained = ("reward",) if plan.people.kind == "replay" else ("sft", "reward")
    rated: list[str] = []
    for turn in range(plan.iterations):
        before = tuple(f"{turn - 1}-{what}" for what in trained) if turn else ()
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
                    outside if turn else (*outside, *policy_files(plan.policy.name)),
                    partial(_generate, plan, turn, workers),
                )
            )
        stages.append(
            Stage(
                f"{turn}-rate",
                f"iteration {turn + 1}, rated by {whose(plan, turn)}",
                {"seed": plan.seed, "people": people},
                before if is_study else (f"{turn}-generate",),
                (plan.people.exports[turn],) if is_study else (),
                partial(_rate, plan, turn),
            )
        )
        rated.append(f"{turn}-rate")
        if "sft" in trained:
            stages.append(
                Stage(
                    f"{turn}-sft",
                    f"iteration {turn + 1}, policy fine-tuned",
                    {"name": plan.name, **plan.sft.model_dump(mode="json")},
                    tuple(rated),
                    (
                        *plan.sft.data.datasets,
                        *plan.sft.data.examples,
                        *_split_file(plan),
                        *policy_files(plan.sft.model.template, plan.sft.model.start),
                    ),
                    partial(_sft, plan, turn),
                )
            )
        stages.append(
            Stage(
                f"{turn}-reward",
                f"iteration {turn + 1}, reward model trained",
                {"name": plan.name, **plan.reward.model_dump(mode="json")},
                tuple(rated),
                (
                    *plan.reward.data.datasets,
                    *_split_file(plan),
                    *((Path(plan.reward.fallback),) if "/" in plan.reward.fallback else ()),
                ),
                partial(_reward, plan, turn),
            )
        )
    last = plan.iterations - 1
    stages.append(
        Stage(
            "evaluate",
            f"{_compared(plan)} on test questions, rated by {whose(plan, None)}",
            {
                "seed": plan.seed,
                "people": people,
                "group_size": plan.groups.group_size,
                "policy": plan.policy.model_dump(),
                "evaluation": plan.evaluation.model_dump(),
            },
            tuple(f"{last}-{what}" for what in trained),
            (plan.people.evaluation_export,)
            if plan.people.evaluation_export
            else (*outside, *policy_files(*plan.evaluation.policies)),
            partial(_evaluate, plan, workers),
        )
    )
    return stages


def _compared(plan: IteratePlan) -> str:
    return "reward model judged" if plan.people.kind == "replay" else "policies compared"


def _split_file(plan: IteratePlan) -> tuple[Path, ...]:
    files = {plan.sft.data.question_split, plan.reward.data.question_split}
    return tuple(sorted(path for path in files if path is not None))


def _generate(
    plan: IteratePlan, turn: int, workers: Workers | None, folder: Path, progress: Progress
) -> dict[str, float]:
    from commonweal.participants.rounds import new_rounds, rounds_of

    check_output_folder(folder / ROUNDS, overwrite=True)
    dataset = _kept(
        folder / OPENED,
        lambda: new_rounds(
            crowd_of(plan, turn),
            n_groups=plan.groups.n_groups,
            group_size=plan.groups.group_size,
            rounds_per_group=plan.groups.rounds_per_group,
            rng=np.random.default_rng([plan.seed, turn]),
            split="train",
            iteration=turn,
            name=f"{plan.name}, iteration {turn + 1}",
            on_progress=progress,
        ),
    )
    if plan.people.kind == "replay":  # people wrote what they voted on
        write_dataset(dataset, folder / ROUNDS, overwrite=True)
        return {"rounds": dataset.rounds.height, "shown": dataset.candidates.height}
    new = written(
        rounds_of(dataset),
        Writing(partial(_collecting, plan, turn)),
        folder / "journal.jsonl",
        share=_share(plan, workers, plan.collection.n_candidates),
        on_progress=progress,
    )
    rounds = with_written(dataset, new, keep_predictions=True)
    write_dataset(rounds, folder / ROUNDS, overwrite=True)
    return {
        "rounds": rounds.rounds.height,
        "statements written": rounds.candidates.height,
        "completions drawn": sum(each.n_sampled for each in new),
        "shown": int(rounds.candidates["shown"].sum()),
        "_work_seconds": sum(each.seconds for each in new),
    }


def _collecting(plan: IteratePlan, turn: int) -> Callable[[Round], Written]:
    """What writes for the collection plan, with what the turn before trained."""
    policy, reward = _trained(plan, turn - 1) if turn else (_first_policy(plan), None)
    wanted = CollectionPlan(**plan.collection.model_dump())
    return lambda one: collected(one, policy, reward, wanted, seed_of(plan.seed, turn))


def _rate(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.participants.rating import rate_rounds

    check_output_folder(folder / RATED, overwrite=True)
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
    from commonweal.training.sft.run import run_sft

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
    fit = json.loads((config.out / run_folder.FIT).read_text(encoding="utf-8"))
    return {
        "statements learned from": fit["counts"]["training statements"],
        "best step": fit["best_step"],
    }


def _reward(plan: IteratePlan, turn: int, folder: Path, progress: Progress) -> dict[str, float]:
    from commonweal.training.reward.run import run_reward

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
    fit = json.loads((config.out / run_folder.FIT).read_text(encoding="utf-8"))
    return {"best step": fit["best_step"], **counts}


def _evaluate(
    plan: IteratePlan, workers: Workers | None, folder: Path, progress: Progress
) -> dict[str, float]:
    from commonweal.evaluation.evaluate import evaluate
    from commonweal.evaluation.page import write_json, write_page
    from commonweal.participants.rating import rate_rounds
    from commonweal.participants.rounds import new_rounds, rounds_of

    check_output_folder(folder / RATED, overwrite=True)
    if plan.people.evaluation_export is not None:
        rated = read_dataset(plan.people.evaluation_export)
        counts: dict[str, float] = {}
    else:
        turn = plan.iterations
        crowd = crowd_of(plan, turn)
        rounds = _kept(
            folder / OPENED,
            lambda: new_rounds(
                crowd,
                n_groups=plan.evaluation.n_groups,
                group_size=plan.groups.group_size,
                rounds_per_group=plan.evaluation.rounds_per_group,
                rng=np.random.default_rng([plan.seed, turn]),
                split=plan.evaluation.split,
                name=f"{plan.name}, evaluation",
                on_progress=progress,
            ),
        )
        is_replay = plan.people.kind == "replay"
        statements = written(
            rounds_of(rounds),
            Writing(partial(_predicting if is_replay else _comparing, plan)),
            folder / "journal.jsonl",
            share=_share(plan, workers, plan.evaluation.n_candidates),
            on_progress=progress,
        )
        rated = rate_rounds(
            crowd,
            # No predictions of the model that picked what is rated.
            with_written(rounds, statements, keep_predictions=is_replay),
            rng=np.random.default_rng([plan.seed, turn, 1]),
            on_progress=progress,
        )
        counts = {
            "statements that could not be written": sum(len(each.failures) for each in statements),
            "_work_seconds": sum(each.seconds for each in statements),
        }
    trained_on = [
        read_dataset(path).rounds["question"] for path in _rated_so_far(plan, plan.iterations - 1)
    ]
    learned = {text for texts in trained_on for text in texts} | further_questions(plan)
    refuse_leaks(learned, rated.rounds["question"])
    if plan.people.evaluation_export is not None:
        # After the leak: a study with one must be run again, whatever its arms are called.
        check_arms(plan, rated)
    write_dataset(rated, folder / RATED, overwrite=True)
    result = evaluate(
        rated, n_resamples=plan.evaluation.n_resamples, seed=plan.seed, on_progress=progress
    )
    write_page(result, folder / "report.html")
    write_json(result, folder / "report.json")
    return {"rounds": rated.rounds.height, "ratings": rated.ratings.height, **counts}


def _comparing(plan: IteratePlan) -> Callable[[Round], Written]:
    """What writes each policy's statement of the evaluation."""
    tuned, reward = _trained(plan, plan.iterations - 1)
    load_model = cache(load_language_model)  # several policies, one model
    policies = {
        name: tuned
        if read_policy_name(name).writer == "sft"
        else load_policy(name, plan.policy.model, load_model=load_model)
        for name in plan.evaluation.policies
    }
    return lambda one: compared(
        one,
        policies,
        reward,
        n_candidates=plan.evaluation.n_candidates,
        seed=seed_of(plan.seed, plan.iterations),
    )


def _predicting(plan: IteratePlan) -> Callable[[Round], Written]:
    """What predicts for statements that people wrote."""
    reward = _trained_reward(plan, plan.iterations - 1)
    return lambda one: predicted(one, reward)


def _share(plan: IteratePlan, workers: Workers | None, n_calls: int) -> Share | None:
    """What has workers do a stage's job; None where there are none."""
    if workers is None:
        return None
    models = (plan.policy.model, plan.reward.fallback)
    return partial(workers.results, models=models, n_calls=n_calls)


def _kept(path: Path, make: Callable[[], Dataset]) -> Dataset:
    """The rounds as they were opened: what is written later belongs to these very opinions."""
    if not (path / MANIFEST).is_file():
        check_output_folder(path, overwrite=True)
        write_dataset(make(), path, overwrite=True)
    return read_dataset(path)


def _first_policy(plan: IteratePlan) -> Policy:
    return load_policy(plan.policy.name, plan.policy.model)


def _trained(plan: IteratePlan, turn: int) -> tuple[Policy, RewardModel]:
    """The policy and the reward model that this turn trained."""
    policy = load_policy(str(plan.out / f"{turn}-sft" / "run" / run_folder.POLICY))
    return policy, _trained_reward(plan, turn, policy.model)


def _trained_reward(
    plan: IteratePlan, turn: int, writer: LanguageModel | None = None
) -> RewardModel:
    """The reward model that this turn trained, or the one that stands in for it."""
    used = json.loads((plan.out / f"{turn}-reward" / USED).read_text(encoding="utf-8"))
    return load_reward_model(used["reward"], writer=writer)


def _rated_so_far(plan: IteratePlan, turn: int) -> tuple[Path, ...]:
    """All rounds rated up to this turn: each turn learns from all of them. The paper does not say;
    ours.
    """
    return tuple(plan.out / f"{each}-rate" / RATED for each in range(turn + 1))
