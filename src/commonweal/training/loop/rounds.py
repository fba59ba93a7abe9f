"""What policies write for the rounds of a loop: the collection plan, and the evaluation's picks.

Each round is done on its own, from a seed of its own, and kept in a journal as soon as it is there:
a loop that was broken off goes on with the next round, and any number of workers share the rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from commonweal.batch.working import Job, Result, Results, Task
from commonweal.collection import CollectionPlan, collect
from commonweal.datasets.dataset import Dataset, frame
from commonweal.errors import CommonwealError, GenerationError
from commonweal.frames import pl
from commonweal.groups import check_group
from commonweal.participants.rounds import candidate_rows, prediction_rows
from commonweal.policies.names import read_policy_name
from commonweal.rewards import predictions
from commonweal.selection import (
    Selection,
    Wanted,
    seed_of,
    select,
    selection_from_dict,
    selection_to_dict,
)
from commonweal.types import Policy, Progress, RewardModel, Round, no_progress

Row = dict[str, Any]

Share = Callable[[Job, Sequence[Task]], Results]
"""Does a job for each of several tasks, with several workers."""

JOURNAL = "commonweal/written/2"
"""Name and version of the layout of a journal's lines."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for one round.

    Attributes:
        selections: of the collection plan one for each number of omitted opinions, of the
            evaluation one for each policy.
        failures: what could not be written, in words.
        seconds: that policy and reward model took.
    """

    round_id: str
    selections: tuple[Selection, ...]
    failures: tuple[str, ...]
    seconds: float

    @property
    def n_sampled(self) -> int:
        """How many completions were drawn."""
        return sum(each.n_sampled for each in self.selections)

    def candidates(self) -> list[Row]:
        """Rows of the table ``candidates``."""
        return [
            row for selection in self.selections for row in candidate_rows(self.round_id, selection)
        ]

    def predictions(self) -> list[Row]:
        """Rows of the table ``predictions``: none where nothing was predicted."""
        return [
            {**row, "reward_model": name}
            for selection in self.selections
            if (name := selection.provenance.get("reward_model")) is not None
            for row in prediction_rows(self.round_id, selection)
        ]


@dataclass(frozen=True, slots=True)
class Writing:
    """The job of what is written for rounds, as workers take it.

    Attributes:
        make: loads what writes; a function of a module and plain values, so that it travels.
    """

    make: Callable[[], Callable[[Round], Written]]
    what = "round"

    def loaded(self) -> Callable[[Round], Result]:
        """What makes of a round its line in a journal, or the error that ended it.

        Raises:
            CommonwealError: the models cannot be loaded.
        """
        write = self.make()

        def line(one: Round) -> Result:
            try:
                return json.dumps(_line(write(one)), ensure_ascii=False)
            except CommonwealError as error:
                return error

        return line


def written(
    rounds: Sequence[Round],
    job: Writing,
    journal: Path,
    *,
    share: Share | None,
    on_progress: Progress,
) -> list[Written]:
    """What is written for every round, each as soon as it is there added to the journal.

    Args:
        rounds: their ids differ.
        job: what is done with each.
        journal: what is in it already is not done again.
        share: does the job with several workers; None does it here, one round after another.
        on_progress: told of "generate".

    Raises:
        CommonwealError: a round failed; what was done before is kept.
    """
    done = {each.round_id: each for each in _read_journal(journal)}
    missing = [(one.id, one) for one in rounds if one.id not in done]
    on_progress("generate", len(rounds) - len(missing), len(rounds))
    if missing:
        with (
            journal.open("a", encoding="utf-8") as file,
            closing((share or _one_by_one)(job, missing)) as results,
        ):
            for (name, _), line in results:
                if isinstance(line, CommonwealError):
                    raise line
                file.write(line + "\n")
                file.flush()
                done[name] = _read(json.loads(line))
                on_progress("generate", len(done), len(rounds))
    return [done[one.id] for one in rounds]


def _one_by_one(job: Job, tasks: Sequence[Task]) -> Results:
    do = job.loaded()
    yield from ((task, do(task[1])) for task in tasks)


def with_written(
    dataset: Dataset, results: Iterable[Written], *, keep_predictions: bool
) -> Dataset:
    """The dataset with the candidates that it has not yet, and what was predicted of them all."""
    results = list(results)
    known = set(dataset.candidates.select("round_id", "candidate_id").iter_rows())
    candidates = [
        row
        for each in results
        for row in each.candidates()
        if (row["round_id"], row["candidate_id"]) not in known
    ]
    predictions = [row for each in results if keep_predictions for row in each.predictions()]
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
    draws: tuple[Selection, ...] = ()
    try:
        collection = collect(
            one.question,
            one.opinions,
            policy=policy,
            reward=reward,
            plan=plan,
            seed=seed_of(seed, one.id),
        )
        draws, notes = collection.draws, collection.notes
    except GenerationError as error:
        notes = (str(error),)
    return Written(one.id, draws, notes, time.perf_counter() - began)


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
    question, opinions, _ = check_group(one.question, one.opinions)
    selections: list[Selection] = []
    failures: list[str] = []
    for name, (path, policy) in zip(_labels(policies), policies.items(), strict=True):
        rule = read_policy_name(path).rule
        wanted = Wanted(
            omitted=(),
            n_candidates=1 if rule is None else n_candidates,
            rules=(rule,),
            seed=(seed_of(seed, one.id, name),),
        )
        try:
            (selection,) = select(
                question,
                opinions,
                [wanted],
                policy=policy,
                reward=None if rule is None else reward,
                on_progress=no_progress,
            )
        except GenerationError as error:
            failures.append(f"{name}: {error}")
            continue
        named = (
            replace(each, id=f"{name}-{each.id}", policy=name) for each in selection.candidates
        )
        selections.append(replace(selection, candidates=tuple(named)))
    return Written(one.id, tuple(selections), tuple(failures), time.perf_counter() - began)


def _labels(names: Iterable[str]) -> list[str]:
    """The policies' names as rounds hold them: of a path the last part, numbered where it is taken.

    Where a file lay is no part of rounds that may be shared, nor of the seeds.
    """
    listed = [(name, read_policy_name(name)) for name in names]
    taken = {name for name, named in listed if not named.is_path}
    labels: list[str] = []
    for name, named in listed:
        short = replace(named, writer=Path(named.writer).name).name if named.is_path else name
        label, number = short, 1
        while named.is_path and label in taken:
            number += 1
            label = f"{short}-{number}"
        taken.add(label)
        labels.append(label)
    return labels


def predicted(one: Round, reward: RewardModel) -> Written:
    """What is predicted of statements that people wrote and voted on; nothing is picked."""
    began = time.perf_counter()
    rewards, utilities = predictions(
        reward,
        one.question.text,
        [opinion.text for opinion in one.opinions],
        [candidate.text for candidate in one.candidates],
    )
    selection = Selection(
        question=one.question,
        opinions=one.opinions,
        candidates=one.candidates,
        n_sampled=0,
        rewards=rewards,
        utilities=utilities,
        seed=(),
        timings_seconds={},
        provenance={"reward_model": reward.name},
    )
    return Written(one.id, (selection,), (), time.perf_counter() - began)


def _line(result: Written) -> dict[str, Any]:
    return {
        "schema": JOURNAL,
        "round_id": result.round_id,
        "selections": [selection_to_dict(each) for each in result.selections],
        "failures": list(result.failures),
        "seconds": result.seconds,
    }


def _read_journal(path: Path) -> list[Written]:
    """What is in the journal. A last line that was cut short is done again, as are lines of before
    selections were kept: a journal is of use only until its stage is done.
    """
    if not path.is_file():
        return []
    # Not splitlines: the texts in a line may hold other ends of lines (U+2028).
    *complete, cut_short = path.read_text(encoding="utf-8").split("\n")
    if cut_short:
        path.write_text("".join(f"{line}\n" for line in complete), encoding="utf-8")
    return [
        _read(fields) for fields in map(json.loads, complete) if fields.get("schema") == JOURNAL
    ]


def _read(fields: Mapping[str, Any]) -> Written:
    return Written(
        fields["round_id"],
        tuple(map(selection_from_dict, fields["selections"])),
        tuple(fields["failures"]),
        fields["seconds"],
    )
