"""Who takes part in a loop, from the plan's ``[people]``."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.datasets.schema import MANIFEST
from commonweal.errors import InputError
from commonweal.questions.guard import TEST_SPLITS
from commonweal.training.loop.plan import IteratePlan
from commonweal.types import Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from commonweal.datasets.dataset import Dataset
    from commonweal.participants import Asked, Crowd
    from commonweal.participants.latent import LatentCrowd


def crowd_of(plan: IteratePlan, turn: int) -> Crowd:
    """The crowd of this turn: other people in each, and the same whenever it is asked for.

    Raises:
        InputError: the plan's people are a study's, or a file of theirs cannot be used.
    """
    people = plan.people
    if people.kind == "study":
        raise InputError("people of a study are not made: their rounds are read from its export")
    if people.kind == "replay":
        return _replayed(plan)
    latent = _latent(plan, turn)
    if people.kind == "latent":
        return latent
    from commonweal.models import load_language_model
    from commonweal.participants.llm import Cast, FileCast, LatentCast, LlmCrowd

    cast: Cast = LatentCast(latent)
    if people.descriptions is not None:
        cast = FileCast(people.descriptions)
    return LlmCrowd(
        load_language_model(people.model), cast, _questions(plan, latent), seed=latent.seed
    )


def check_people(plan: IteratePlan) -> None:
    """Refuses a plan whose people cannot be asked, before anything is done.

    Raises:
        InputError: a setting or a file of theirs cannot be used, or there are no questions of a
            split.
    """
    people = plan.people
    further = further_questions(plan)
    if people.kind == "study":
        return
    asked = _asked(plan)
    for split, n_needed in (
        ("train", plan.groups.rounds_per_group),
        (plan.evaluation.split, plan.evaluation.rounds_per_group),
    ):
        n_there = sum(one.split == split for one in asked)
        if n_there < n_needed:
            raise InputError(
                f"there are {n_there} questions of the split {split!r}, expected at least "
                f"{n_needed}: one for each round of a group. Nothing is trained and tested on the "
                "same questions"
            )
    refuse_leaks(further, (one.question.text for one in asked if one.split in TEST_SPLITS))


def whose(plan: IteratePlan, turn: int | None) -> str:
    """Whose ratings a turn's are (None: the evaluation's): in words, as the export says."""
    kind = plan.people.kind
    if kind == "replay":
        return "replayed people"
    if kind != "study":
        return f"simulated people ({kind})"
    export = plan.people.evaluation_export if turn is None else plan.people.exports[turn]
    assert export is not None  # noqa: S101 - the plan was checked
    try:
        people = json.loads((export / MANIFEST).read_text(encoding="utf-8"))["people"]
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or said when it is read
        return "people"
    return "people" if people == "human" else f"{people} people"


def check_arms(plan: IteratePlan, exported: Dataset) -> None:
    """Refuses an evaluation's export that lacks a policy which the plan compares.

    Raises:
        InputError: one has no statement that was shown.
    """
    there = set(exported.candidates.filter("shown")["policy"])
    missing = [name for name in plan.evaluation.policies if name not in there]
    if missing:
        raise InputError(
            f"{plan.people.evaluation_export}: no statement that was shown is of the policy "
            f"{missing[0]!r}, and evaluation.policies compares it; the study's arms are "
            f"{', '.join(sorted(there)) or 'none'}. Name in evaluation.policies the arms that the "
            "study has, or run it with the arms that are named"
        )


def refuse_leaks(trained_on: Iterable[str], tested_on: Iterable[str]) -> None:
    """Refuses a loop that is tested on a question that it was trained on.

    Raises:
        InputError: one of the questions is the same.
    """
    from commonweal.questions.guard import refuse_test_questions
    from commonweal.questions.records import OOD_TEST, QuestionRecord

    held_out = [QuestionRecord("", text, split=OOD_TEST) for text in dict.fromkeys(tested_on)]
    refuse_test_questions(dict.fromkeys(trained_on), held_out)


def further_questions(plan: IteratePlan) -> set[str]:
    """Questions of what is trained on besides the loop's own rounds: datasets, written examples."""
    from commonweal.datasets.dataset import read_dataset
    from commonweal.policies.starter import read_starter_file
    from commonweal.questions.records import TRAIN

    questions: set[str] = set()
    paths = {*plan.sft.data.datasets, *plan.reward.data.datasets}
    for path in filter(Path.exists, paths):  # what is missing is told with its stage
        questions |= set(read_dataset(path).of_split(TRAIN).rounds["question"])
    for path in filter(Path.exists, plan.sft.data.examples):
        with suppress(InputError):  # likewise
            questions |= {each.question for each in read_starter_file(path)}
    return questions


def _asked(plan: IteratePlan) -> list[Asked]:
    """Every question that the plan's people can be asked."""
    from commonweal.participants import Asked

    if plan.people.kind == "replay":
        rounds = _replayed_rounds(plan).rounds.select("question_id", "question", "split").unique()
        return [
            Asked(Question(text, name), split=split) for name, text, split in rounds.iter_rows()
        ]
    latent = _latent(plan, 0)
    if plan.people.kind == "llm":
        return _questions(plan, latent)
    return [one.asked for one in latent.bank]


def _replayed(plan: IteratePlan) -> Crowd:
    from commonweal.participants.replay import ReplayCrowd

    return ReplayCrowd(_replayed_rounds(plan))


def _replayed_rounds(plan: IteratePlan) -> Dataset:
    from commonweal.datasets.dataset import read_dataset

    assert plan.people.dataset is not None  # noqa: S101 - the plan was checked
    return read_dataset(plan.people.dataset)


def _latent(plan: IteratePlan, turn: int) -> LatentCrowd:
    from commonweal.participants.considerations import load_bank
    from commonweal.participants.latent import LatentCrowd, latent_settings
    from commonweal.selection import seed_of

    return LatentCrowd(
        seed_of(plan.seed, "people", turn),
        latent_settings(plan.people.settings),
        bank=load_bank(plan.people.considerations),
    )


def _questions(plan: IteratePlan, latent: LatentCrowd) -> list[Asked]:
    from commonweal.participants import Asked
    from commonweal.questions.records import read_questions

    if plan.people.questions is None:
        return [one.asked for one in latent.bank]
    return [
        Asked(
            record.as_question(),
            record.position_statement or None,
            record.topic or None,
            record.split or None,
        )
        for record in read_questions(plan.people.questions)
    ]
