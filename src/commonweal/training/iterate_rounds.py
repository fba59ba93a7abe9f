"""What policies write for the rounds of a loop: the collection plan, and the evaluation's picks.

Each round is done on its own, from a seed of its own, and kept in a journal as soon as it is there:
a loop that was broken off goes on with the next round.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from commonweal.agreement import find_agreement
from commonweal.collection import CollectionPlan, collect
from commonweal.datasets.dataset import Dataset, frame
from commonweal.errors import GenerationError
from commonweal.participants.rounds import candidate_row
from commonweal.policies.names import read_policy_name
from commonweal.types import Candidate, Policy, Progress, RewardInput, RewardModel, Round

if TYPE_CHECKING:
    from commonweal.types import FloatArray

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for one round.

    Attributes:
        candidates: rows of the table ``candidates``.
        predictions: rows of the table ``predictions``.
        n_sampled: how many completions were drawn.
        seconds: that policy and reward model took.
        failures: what could not be written, in words.
    """

    round_id: str
    candidates: list[Row]
    predictions: list[Row]
    n_sampled: int
    seconds: float
    failures: list[str]


def written(
    rounds: Sequence[Round],
    write: Callable[[Round], Written],
    journal: Path,
    *,
    on_progress: Progress,
) -> list[Written]:
    """What is written for every round, each as soon as it is there added to the journal."""
    done = {each.round_id: each for each in _read_journal(journal)}
    with journal.open("a", encoding="utf-8") as file:
        for n_done, one in enumerate(rounds):
            on_progress("generate", n_done, len(rounds))
            if one.id not in done:
                done[one.id] = write(one)
                file.write(json.dumps(asdict(done[one.id]), ensure_ascii=False) + "\n")
                file.flush()
    on_progress("generate", len(rounds), len(rounds))
    return [done[one.id] for one in rounds]


def with_written(dataset: Dataset, found: Iterable[Written], reward: RewardModel | None) -> Dataset:
    """The dataset with the candidates and what was predicted of them."""
    found = list(found)
    candidates = [row for each in found for row in each.candidates]
    predictions = [
        {**row, "reward_model": reward.name} for each in found for row in each.predictions if reward
    ]
    return replace(
        dataset,
        candidates=pl.concat([dataset.candidates, frame("candidates", candidates)]),
        predictions=pl.concat([dataset.predictions, frame("predictions", predictions)]),
    )


def collected(
    one: Round, policy: Policy, reward: RewardModel | None, plan: CollectionPlan, seed: int
) -> Written:
    """The statements that the collection plan has the round's group rate (paper 3.4 step 1)."""
    began = time.perf_counter()
    try:
        found = collect(
            one.question,
            one.opinions,
            policy=policy,
            reward=reward,
            plan=plan,
            seed=seed_of(seed, one.id),
        )
    except GenerationError as error:
        return Written(one.id, [], [], 0, time.perf_counter() - began, [str(error)])
    candidates, predictions = [], []
    for draw in found.draws:
        picks = {pick.index: pick for pick in draw.picks}
        for index, candidate in enumerate(draw.candidates):
            row = candidate_row(one.id, candidate, shown=index in picks)
            if index in picks:
                pick = picks[index]
                row |= {"alpha": pick.alpha, "welfare": pick.welfare, "rank": pick.rank}
            candidates.append(row)
        if draw.rewards is not None and draw.utilities is not None:
            predictions += prediction_rows(one, draw.candidates, draw.rewards, draw.utilities)
    seconds = time.perf_counter() - began
    n_sampled = sum(draw.n_sampled for draw in found.draws)
    return Written(one.id, candidates, predictions, n_sampled, seconds, list(found.notes))


def compared(
    one: Round,
    policies: Mapping[str, Policy],
    reward: RewardModel,
    *,
    n_candidates: int,
    seed: int,
) -> Written:
    """One statement of each policy, written from everybody's opinions (paper 4.1).

    A policy with a rule writes ``n_candidates`` and its best is shown; one without takes a sample.
    All candidates are kept, those not picked as not shown. Nobody's candidate counts twice: each
    policy draws its own.
    """
    began = time.perf_counter()
    candidates: list[Row] = []
    failures: list[str] = []
    n_sampled = 0
    for name, policy in policies.items():
        rule = read_policy_name(name)
        try:
            found = find_agreement(
                one.question,
                one.opinions,
                policy=policy,
                reward=reward,
                alpha=rule.alpha or 0.0,
                n_candidates=n_candidates if rule.alpha is not None else 1,
                seed=seed_of(seed, one.id, name),
            )
        except GenerationError as error:
            failures.append(f"{name}: {error}")
            continue
        n_sampled += int(found.provenance["n_completions_sampled"])
        for index, candidate in enumerate(found.candidates):
            named = replace(candidate, id=f"{name}-{candidate.id}", policy=name)
            row = candidate_row(one.id, named, shown=index == found.ranking.best)
            if rule.alpha is not None:
                row |= {
                    "alpha": rule.alpha,
                    "welfare": float(found.welfare[index]),
                    "rank": int(found.ranking.ranks[index]),
                }
            candidates.append(row)
    return Written(one.id, candidates, [], n_sampled, time.perf_counter() - began, failures)


def predicted(one: Round, reward: RewardModel) -> Written:
    """What is predicted of statements that people wrote and voted on."""
    began = time.perf_counter()
    statements = [candidate.text for candidate in one.candidates]
    inputs = [
        RewardInput(one.question.text, opinion.text, statement)
        for opinion in one.opinions
        for statement in statements
    ]
    rewards = reward.rewards(inputs).reshape(len(one.opinions), len(statements))
    utilities = reward.calibration.expected_rating(rewards)
    rows = prediction_rows(one, one.candidates, rewards, utilities)
    return Written(one.id, [], rows, 0, time.perf_counter() - began, [])


def seed_of(*names: str | int) -> int:
    """A seed made of these names: the same on every machine, and different for different ones."""
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def prediction_rows(
    one: Round, candidates: Sequence[Candidate], rewards: FloatArray, utilities: FloatArray
) -> list[Row]:
    """Predictions as rows, for arrays [n_participants, n_candidates]; the model is named later."""
    return [
        {
            "round_id": one.id,
            "participant_id": opinion.id,
            "candidate_id": candidate.id,
            "reward": float(rewards[row, column]),
            "expected_rating": float(utilities[row, column]),
        }
        for row, opinion in enumerate(one.opinions)
        for column, candidate in enumerate(candidates)
    ]


def _read_journal(path: Path) -> list[Written]:
    """What is in the journal; a last line that was cut short is done again."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole), encoding="utf-8")
    return [Written(**json.loads(line)) for line in whole]
