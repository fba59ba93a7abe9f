"""Deliberate Lab's download of an experiment: opinions and ratings out of its survey stages."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from commonweal.datasets.dataset import About, Dataset, Step, frame
from commonweal.datasets.schema import scale_named
from commonweal.errors import InputError
from commonweal.files import decoded, read_bytes

_EXPECTED = (
    "what Deliberate Lab downloads: NAME_data.zip, or the NAME.json in it (experiment, stageMap, "
    "participantMap)"
)
_MOST_BYTES = 500_000_000
_UNKNOWN = "unknown"
_GONE = "DELETED"


class _Part(BaseModel):
    """A part of a download; what is not named here is not read."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Question(_Part):
    id: str
    kind: str
    question_title: str = ""
    lower_value: float = 0
    upper_value: float = 0


class _Stage(_Part):
    id: str
    kind: str
    questions: list[_Question] = Field(default_factory=list)


class _Answer(_Part):
    kind: str = ""
    answer: str = ""
    value: float | None = None


class _Answers(_Part):
    kind: str
    answer_map: dict[str, Any] = Field(default_factory=dict)


class _Profile(_Part):
    public_id: str = Field(min_length=1)
    current_cohort_id: str = Field(min_length=1)
    current_status: str = ""
    agent_config: dict[str, Any] | None = None


class _Participant(_Part):
    profile: _Profile
    answer_map: dict[str, _Answers] = Field(default_factory=dict)


class _Named(_Part):
    name: str = ""


class _Experiment(_Part):
    metadata: _Named
    stage_ids: list[str]


class _Download(_Part):
    experiment: _Experiment
    stage_map: dict[str, _Stage]
    participant_map: dict[str, _Participant]


@dataclass(frozen=True, slots=True)
class _Rated:
    """A scale question: the statement that it is about, and where its opinion was asked for."""

    stage: str
    question: _Question
    asked: tuple[str, _Question]


def import_deliberate_lab(
    path: Path,
    *,
    opinion: str | None = None,
    scale: str = "likert-7",
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
) -> Dataset:
    """A download as rounds: each cohort on each question that people answered in words.

    A survey's scale question with the bounds of ``scale`` is a rating, and its title the statement.
    The opinion is the answer to the last text question before it, whose title is the question. What
    wrote a statement is not in a download: the policy is "unknown", unless the scale question's id
    is POLICY:NAME. Chats, multiple choice and other stages are left out and counted, and so are
    agents, who are no people, and deleted participants. People are named by their public ids.

    Args:
        path: NAME_data.zip, or the NAME.json in it.
        opinion: the id or title of the one text question that holds people's opinions; by default
            the last one before each rating.
        scale: what people rated on.
        name: the dataset's; the experiment's by default.
        licence: under which the data may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: it is no such download, there is no text question, or nobody rated anything;
            the message names the field.

    Source: utils/src/data.ts and utils/src/stages/survey_stage.ts of PAIR-code/deliberate-lab.
    """
    points = scale_named(scale)
    download = _read(path)
    counts: Counter[str] = Counter()
    statements = list(_statements(path, download, opinion, (points.low, points.high), counts))
    tables: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {
        each: {} for each in ("rounds", "opinions", "candidates", "ratings")
    }
    for participant in download.participant_map.values():
        profile = participant.profile
        if profile.current_status == _GONE or profile.agent_config is not None:
            why = "deleted" if profile.current_status == _GONE else "agents, not people"
            counts[f"participants dropped: {why}"] += 1
            continue
        counts["participants"] += 1
        for each in statements:
            asked_in, asked = each.asked
            where, who = f"{profile.current_cohort_id}/{asked_in}/{asked.id}", profile.public_id
            value = _answer(path, participant, each.stage, each.question.id).value
            text = _answer(path, participant, asked_in, asked.id).answer.strip()
            if value is None and not text:
                continue
            tables["rounds"][(where,)] = {
                "round_id": where,
                "group_id": profile.current_cohort_id,
                "question_id": f"{asked_in}/{asked.id}",
                "question": " ".join(asked.question_title.split()),
            }
            if text:
                tables["opinions"][where, who] = {
                    "round_id": where,
                    "opinion_id": who,
                    "participant_id": who,
                    "text": text,
                    "source": "written",
                }
            if value is None:
                continue
            if not value.is_integer() or not points.low <= value <= points.high:
                raise InputError(
                    f"{path}: participantMap, {profile.public_id}: the answer to "
                    f"{each.question.id!r} of stage {each.stage!r} is {value:g}, expected a whole "
                    f"number from {points.low} to {points.high} ({points.name})"
                )
            policy, colon, _ = each.question.id.partition(":")
            statement = f"{each.stage}/{each.question.id}"
            tables["candidates"][where, statement] = {
                "round_id": where,
                "candidate_id": statement,
                "text": " ".join(each.question.question_title.split()),
                "policy": policy if colon else _UNKNOWN,
                "shown": True,
            }
            tables["ratings"][where, who, statement] = {
                "round_id": where,
                "participant_id": who,
                "candidate_id": statement,
                "pass_index": 0,
                "agreement": int(value),
            }
    if not tables["ratings"]:
        raise InputError(
            f"{path}: no participant rated a statement; expected scale questions from {points.low} "
            f"to {points.high} in a survey (another scale: --scale)"
        )
    counts |= {"ratings": len(tables["ratings"]), "opinions": len(tables["opinions"])}
    about = About(
        name=name or download.experiment.metadata.name or path.stem,
        people="human",
        scale=points,
        source="a download of a Deliberate Lab experiment",
        licence=licence,
        attribution=attribution,
        steps=(
            Step(
                what="imported from Deliberate Lab",
                options={"opinion": opinion, "scale": scale},
                counts=dict(counts),
            ),
        ),
    )
    return Dataset(
        about, **{each: frame(each, list(rows.values())) for each, rows in tables.items()}
    )


def deliberate_lab_json(dataset: Dataset) -> str:
    """The first pass of the ratings as Deliberate Lab's download: a survey stage for each round.

    A scale question's id is POLICY:NAME, so that ``import_deliberate_lab`` knows what wrote the
    statement. Second passes, quality, predictions and critiques have no place there.

    Raises:
        InputError: somebody is in several groups; a participant there has one cohort.

    Source: as ``import_deliberate_lab``.
    """
    scale = dataset.about.scale
    stages: dict[str, Any] = {}
    people: dict[str, Any] = {}
    cohorts: dict[str, Any] = {}
    for asked in dataset.rounds.to_dicts():
        part = dataset.of_rounds([asked["round_id"]])
        stage, group = asked["round_id"], asked["group_id"]
        opinion = {"id": "opinion", "kind": "text", "questionTitle": asked["question"]}
        first = [row for row in part.ratings.to_dicts() if row["pass_index"] == 0]
        rated = {row["candidate_id"] for row in first}
        ids = {
            row["candidate_id"]: f"{row['policy']}:{row['candidate_id']}"
            for row in part.candidates.to_dicts()
            if row["shown"] or row["candidate_id"] in rated
        }
        texts = dict(part.candidates.select("candidate_id", "text").iter_rows())
        scales = [
            {
                "id": ids[each],
                "kind": "scale",
                "questionTitle": texts[each],
                "lowerValue": scale.low,
                "lowerText": "Strongly disagree",
                "middleText": "",
                "upperValue": scale.high,
                "upperText": "Strongly agree",
                "useSlider": False,
                "stepSize": 1,
            }
            for each in ids
        ]
        stages[stage] = {
            "id": stage,
            "kind": "survey",
            "name": asked["question"],
            "descriptions": {"primaryText": "", "infoText": "", "helpText": ""},
            "progress": {
                "minParticipants": 0,
                "waitForAllParticipants": False,
                "showParticipantProgress": False,
            },
            "questions": [opinion, *scales],
        }
        cohorts[group] = {
            "cohort": {"id": group, "metadata": {"name": group}},
            "dataMap": {},
            "chatMap": {},
        }
        opinions = {
            row["participant_id"]: {"id": "opinion", "kind": "text", "answer": row["text"]}
            for row in part.opinions.to_dicts()
        }
        for who in dict.fromkeys([*opinions, *(row["participant_id"] for row in first)]):
            answers = {"opinion": opinions[who]} if who in opinions else {}
            for row in first:
                if row["participant_id"] == who and row["agreement"] is not None:
                    key = ids[row["candidate_id"]]
                    answers[key] = {"id": key, "kind": "scale", "value": row["agreement"]}
            profile = {
                "type": "participant",
                "publicId": who,
                "privateId": who,
                "currentCohortId": group,
                "currentStatus": "SUCCESS",
                "agentConfig": None,
            }
            of_person = people.setdefault(who, {"profile": profile, "answerMap": {}})
            if (other := of_person["profile"]["currentCohortId"]) != group:
                raise InputError(
                    f"{dataset.about.name}: {who} is in the groups {other!r} and {group!r}, and a "
                    "participant of Deliberate Lab has one cohort; `--to otree` and `--to hub` "
                    "keep both"
                )
            of_person["answerMap"][stage] = {"id": stage, "kind": "survey", "answerMap": answers}
    experiment = {
        "experiment": {
            "id": dataset.about.name,
            "metadata": {"name": dataset.about.name, "description": dataset.about.source},
            "stageIds": list(stages),
        },
        "stageMap": stages,
        "participantMap": people,
        "cohortMap": cohorts,
        "agentMediatorMap": {},
        "agentParticipantMap": {},
        "alerts": {},
    }
    return json.dumps(experiment, ensure_ascii=False, indent=2) + "\n"


def _statements(
    path: Path,
    download: _Download,
    opinion: str | None,
    bounds: tuple[int, int],
    counts: Counter[str],
) -> Iterator[_Rated]:
    """The scale questions that are ratings, each with the text question of its opinion."""
    asked: tuple[str, _Question] | None = None
    stages = [
        download.stage_map[each]
        for each in download.experiment.stage_ids
        if each in download.stage_map
    ]
    named = [
        (stage.id, question)
        for stage in stages
        for question in stage.questions
        if question.kind == "text" and opinion in (question.id, question.question_title)
    ]
    if opinion is not None and not named:
        raise InputError(
            f"{path}: no text question has the id or title {opinion!r} (--opinion-question)"
        )
    for stage in stages:
        if stage.kind != "survey":
            counts[f"stages left out: {stage.kind}"] += 1
            continue
        for question in stage.questions:
            if question.kind == "text":
                asked = (stage.id, question)
            elif question.kind != "scale":
                counts[f"questions left out: {question.kind}"] += 1
            elif (question.lower_value, question.upper_value) != bounds:
                counts["questions left out: another scale"] += 1
            elif (holder := named[0] if named else asked) is None:
                raise InputError(
                    f"{path}: stageMap, {stage.id}: no text question stands before the scale "
                    f"question {question.id!r}, so that nobody's opinion is known; expected one"
                )
            else:
                yield _Rated(stage.id, question, holder)


def _answer(path: Path, participant: _Participant, stage: str, question: str) -> _Answer:
    answers = participant.answer_map.get(stage)
    answer = answers.answer_map.get(question) if answers and answers.kind == "survey" else None
    try:
        return _Answer() if answer is None else _Answer.model_validate(answer)
    except ValidationError as error:
        raise InputError(
            f"{path}: participantMap, {participant.profile.public_id}: the answer to {question!r} "
            f"of stage {stage!r}: {error.errors()[0]['msg']}"
        ) from None


def _read(path: Path) -> _Download:
    raw = read_bytes(path, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    if raw.startswith(b"PK"):
        raw = _unpacked(path, raw)
    try:
        return _Download.model_validate_json(decoded(path, raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: {f'{where}: ' if where else ''}{first['msg']}; expected {_EXPECTED}"
        ) from None


def _unpacked(path: Path, raw: bytes) -> bytes:
    """The experiment's file: the only JSON beside logs and games."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            exports = [
                each
                for each in packed.infolist()
                if each.filename.endswith(".json")
                and not each.filename.endswith(("_Logs.json", "_ChipNegotiation_all.json"))
            ]
            if len(exports) != 1:
                raise InputError(f"{path}: {len(exports)} experiments in it; expected {_EXPECTED}")
            if exports[0].file_size > _MOST_BYTES:
                raise InputError(
                    f"{path}: {exports[0].filename} has {exports[0].file_size:,} bytes"
                )
            return packed.read(exports[0])
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: {error}; expected {_EXPECTED}") from None
