"""A study in the record format, anonymous by construction; and who is to be paid, apart from it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commonweal.datasets.arms import EXPORTED, arms_of, with_arms
from commonweal.datasets.dataset import About, Dataset, Step, frame, write_dataset
from commonweal.datasets.schema import (
    CONSENT_TEXTS,
    DICTIONARY,
    LIKERT_7,
    TABLES,
    Column,
    TableSchema,
)
from commonweal.datasets.validation import without_faulty_rows
from commonweal.files import write_whole
from commonweal.frames import pl
from commonweal.study.config import StudyConfig
from commonweal.study.domain import minority
from commonweal.study.domain.revisions import USABLE
from commonweal.study.domain.shared import authors_of
from commonweal.study.export.arms import arms_as_written, policy_of
from commonweal.study.export.truths import TRUTH, with_truths
from commonweal.study.storage.gaps import GAP
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import (
    ConsentTextRow,
    CritiqueRow,
    EventRow,
    GroupRow,
    OpinionRow,
    ParticipantRow,
    PredictionRow,
    PresentationRow,
    RatingRow,
    RoundRow,
    StatementRow,
    StudyRow,
)

LEFT_OUT = "rows that break the format were left out"
OWN_COLUMNS = {
    "rounds": (
        Column(
            "x_minority_statement",
            "text",
            "what those who disagree would add, written from their opinions; nobody rated it",
        ),
        Column("x_minority_basis", "text", "how they are known: found (by ratings) or predicted"),
    ),
    "opinions": (
        Column(
            "x_flags",
            "texts",
            "what the automatic screen found in it (personal data, links, ...); it misses much",
        ),
    ),
    "candidates": (
        Column("x_writer", "text", "the policy that wrote it for the arm"),
        Column(
            "x_draw",
            "whole",
            "counts the arm's draws from 0; those of one draw are written from the same opinions "
            "and ranked together",
        ),
    ),
}
"""What a study's tables hold beyond the record format."""


def export_study(
    store: Store,
    study_id: int,
    folder: Path,
    *,
    overwrite: bool = False,
    actor: str = "command line",
    truths: Mapping[tuple[str, str, str], float] | None = None,
) -> Dataset:
    """The study as a dataset, written to ``folder`` with a data dictionary and the texts that
    people agreed to. The audit says that ``actor`` did it.

    ``truths``, of a simulation by latent people, are kept beside the ratings
    (``truths.TRUTH``).

    Recruiter's ids are not read: a participant is a random name. Rounds are ordered by that name,
    not by time. A row that breaks the format is left out, and a step of the dataset says how many
    of each table: one of them must not keep all the others from being read.

    Raises:
        InputError: the folder cannot be written.
    """
    with store.read() as db:
        config = store.config_of(db.get_one(StudyRow, study_id))
        dataset, left_out = without_faulty_rows(_dataset(db, study_id, config))
        if left_out:
            dataset = dataset.with_step(Step(what=LEFT_OUT, counts=left_out))
        texts = _consent_texts(db, study_id)
    if truths is not None:
        dataset = with_truths(dataset, truths)
    write_dataset(dataset, folder, overwrite=overwrite)
    write_whole(folder / DICTIONARY, data_dictionary(dataset))
    write_whole(folder / CONSENT_TEXTS, json.dumps(texts, ensure_ascii=False, indent=2) + "\n")
    # What people wrote is its owner's, until they decide to give it to others.
    folder.chmod(0o700)
    for file in folder.iterdir():
        file.chmod(0o600)
    with store.transaction(study_id) as tx:
        tx.log("exported", actor=actor, n_rounds=dataset.rounds.height)
    return dataset


def _consent_texts(db: Session, study_id: int) -> list[dict[str, Any]]:
    """Each version of the text that people agreed to, with its sha256 and how many did."""
    rows = db.execute(
        select(ConsentTextRow.sha256, ConsentTextRow.text, func.count(ParticipantRow.id))
        .outerjoin(
            ParticipantRow,
            (ParticipantRow.study_id == ConsentTextRow.study_id)
            & (ParticipantRow.consent_sha256 == ConsentTextRow.sha256),
        )
        .where(ConsentTextRow.study_id == study_id)
        .group_by(ConsentTextRow.sha256, ConsentTextRow.text)
        .order_by(ConsentTextRow.sha256)
    )
    return [{"sha256": sha256, "n_participants": n, "text": text} for sha256, text, n in rows]


def _dataset(db: Session, study_id: int, config: StudyConfig) -> Dataset:
    people = {
        person.id: person
        for person in db.scalars(select(ParticipantRow).where(ParticipantRow.study_id == study_id))
    }
    names = ExportNames(db.get_one(StudyRow, study_id).export_key)
    exported = {number: names.of(person.public_id) for number, person in people.items()}
    rows = db.execute(
        select(RoundRow, GroupRow.public_id)
        .join(GroupRow, RoundRow.group_id == GroupRow.id)
        .where(GroupRow.study_id == study_id)
        .order_by(RoundRow.public_id)
    ).all()
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    gap_times = list(
        db.scalars(select(EventRow.at).where(EventRow.study_id == study_id, EventRow.kind == GAP))
    )
    n_incomplete = 0
    public = {row.id: row.public_id for row, _ in rows}
    for row, group_name in rows:
        theirs = minority.of(db, row)
        is_said = theirs is not None and minority.is_shown(theirs)
        question = config.question(row.question_id)
        tables["rounds"].append(
            {
                "round_id": names.of(row.public_id),
                "group_id": names.of(group_name),
                "question_id": row.question_id,
                "question": row.question,
                "position_statement": row.position.strip() or None,
                "topic": question.topic.strip() or None,
                "split": question.split or None,
                "revises_round_id": names.of(public[row.revises_id]) if row.revises_id else None,
                "x_minority_statement": theirs.text if theirs and is_said else None,
                "x_minority_basis": theirs.basis if theirs and is_said else None,
            }
        )
        n_incomplete += _add_round(db, row, names.of(row.public_id), exported, tables, gap_times)
    n_deleted = len(
        db.scalars(
            select(EventRow.id).where(
                EventRow.study_id == study_id, EventRow.kind == "data deleted"
            )
        ).all()
    )
    outcomes = Counter(person.outcome or "taking_part" for person in people.values())
    n_simulated = sum(person.is_simulated for person in people.values())
    about = About(
        name=config.name,
        people="simulated" if n_simulated else "human",
        scale=LIKERT_7,
        source=f"the study {config.title!r}, collected with commonweal",
        steps=(
            Step(
                what=EXPORTED,
                options=with_arms(
                    {
                        "config_sha256": config.sha256,
                        "passes": config.rounds.passes,
                        "purpose": config.purpose or "not said",
                    },
                    arms_as_written(config, (row.provenance for row, _ in rows)),
                ),
                counts={
                    "participants": len(people),
                    "simulated": n_simulated,
                    "rounds": len(rows),
                    "candidates_whose_opinions_are_incomplete": n_incomplete,
                    "participants_who_deleted_their_data": n_deleted,
                    "ratings_without_a_duration": sum(
                        row["agreement"] is not None and row["duration_seconds"] is None
                        for row in tables["ratings"]
                    ),
                    **{f"outcome_{name}": n for name, n in sorted(outcomes.items())},
                },
            ),
        ),
    )
    for table in tables.values():
        # By names that mean nothing: rows in the order of joining or sending would tell who is who.
        table.sort(key=_place_of)
    frames = {name: frame(name, table) for name, table in tables.items()}
    for name, columns in OWN_COLUMNS.items():
        types = TableSchema(name, "", (), columns).polars_schema()
        frames[name] = frames[name].with_columns(
            pl.Series(column, [row[column] for row in tables[name]], dtype)
            for column, dtype in types.items()
        )
    return Dataset(about, **frames)


class ExportNames:
    """The names that a dataset gives to people, groups and rounds.

    They are the same in each export of a study, and are not those that its pages show: whoever saw
    those, on another's screen or in an address, does not find anybody in the data by them.
    """

    def __init__(self, key: str) -> None:
        self._key = bytes.fromhex(key)

    def of(self, public_id: str) -> str:
        """The name in the dataset."""
        mac = hmac.new(self._key, public_id.encode(), hashlib.sha256).hexdigest()
        return f"{public_id.partition('-')[0]}-{mac[:20]}"


def _place_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where a row stands in its table."""
    parts = ("round_id", "candidate_id", "participant_id", "pass_index", "opinion_id")
    return tuple(
        row.get(part) or 0 if part == "pass_index" else row.get(part, "") for part in parts
    )


def _add_round(
    db: Session,
    row: RoundRow,
    round_id: str,
    people: dict[int, str],
    tables: dict[str, list[dict[str, Any]]],
    gap_times: list[float],
) -> int:
    """Adds a round's rows; the number of candidates written from opinions since deleted."""
    n_incomplete = 0
    there = set()
    for opinion in db.scalars(
        select(OpinionRow).where(OpinionRow.round_id == row.opinions_id).order_by(OpinionRow.id)
    ):
        there.add(opinion.name)
        tables["opinions"].append(
            {
                "round_id": round_id,
                "opinion_id": opinion.name,
                "participant_id": people[opinion.participant_id],
                "text": opinion.text,
                "source": "written",
                "x_flags": opinion.flags,
            }
        )
    names = {}
    authors = authors_of(db, row.id)
    for each in db.scalars(
        select(StatementRow).where(StatementRow.round_id == row.id).order_by(StatementRow.id)
    ):
        names[each.id] = each.name
        author = authors.get(each.id)
        complete = there.issuperset(each.included)
        n_incomplete += not complete
        tables["candidates"].append(
            {
                "round_id": round_id,
                "candidate_id": each.name,
                "text": each.text,
                "policy": policy_of(each),
                "shown": each.shown,
                # Of deleted opinions not even the names are given; a part would be untrue.
                "included_opinion_ids": each.included if complete and not author else None,
                "author_id": people[author] if author else None,
                "model": each.model or None,
                "prompt_hash": each.prompt_hash or None,
                "seed": None if author else each.seed,
                "attempt": None if author else each.attempt,
                "alpha": each.alpha,
                "welfare": each.welfare,
                "rank": each.rank,
                "same_as_candidate_id": _name_of(db, each.same_as_id),
                "x_writer": None if author else each.policy,
                "x_draw": each.draw,
            }
        )
    for shown, rating in db.execute(
        select(PresentationRow, RatingRow)
        .outerjoin(RatingRow)
        .where(PresentationRow.round_id == row.id, PresentationRow.shown_at.is_not(None))
        .order_by(PresentationRow.id)
    ):
        person = people[shown.participant_id]
        # Shown and not answered is a missing answer: null, not left out.
        agreement, quality = (rating.agreement, rating.quality) if rating else (None, None)
        if shown.statement_id is None:
            tables["position_ratings"].append(
                {"round_id": round_id, "participant_id": person, "agreement": agreement}
            )
            continue
        tables["ratings"].append(
            {
                "round_id": round_id,
                "participant_id": person,
                "candidate_id": names[shown.statement_id],
                "pass_index": shown.pass_index,
                "agreement": agreement,
                "quality": quality,
                "position": shown.place,
                "duration_seconds": _duration(rating, gap_times) if rating else None,
            }
        )
    for critique in db.scalars(
        select(CritiqueRow).where(CritiqueRow.round_id == row.id).order_by(CritiqueRow.id)
    ):
        is_said = bool(critique.text)
        tables["critiques"].append(
            {
                "round_id": round_id,
                "participant_id": people[critique.participant_id],
                "text": critique.text or None,
                "used": critique.screening in USABLE if is_said else None,
            }
        )
    for prediction, name in db.execute(
        select(PredictionRow, StatementRow.name)
        .join(StatementRow, PredictionRow.statement_id == StatementRow.id)
        .where(StatementRow.round_id == row.id)
        .order_by(PredictionRow.statement_id, PredictionRow.participant_id)
    ):
        tables["predictions"].append(
            {
                "round_id": round_id,
                "participant_id": people[prediction.participant_id],
                "candidate_id": name,
                "reward_model": prediction.reward_model,
                "reward": prediction.reward,
                "expected_rating": prediction.expected_rating,
            }
        )
    return n_incomplete


def _name_of(db: Session, statement_id: int | None) -> str | None:
    """The name of a statement within its round."""
    return db.get_one(StatementRow, statement_id).name if statement_id is not None else None


def _duration(rating: RatingRow, gap_times: list[float]) -> float | None:
    """The seconds from shown to submitted; None where the clocks cannot say.

    That is where they are negative (the clock was set back between two starts of the server), or
    the server was away meanwhile.
    """
    if any(rating.shown_at < at <= rating.submitted_at for at in gap_times):
        return None
    seconds = rating.submitted_at - rating.shown_at
    return seconds if seconds >= 0 else None


def data_dictionary(dataset: Dataset) -> str:
    """What the files hold, for a reader who has only the folder."""
    about = dataset.about
    lines = [f"# Data dictionary of {about.name}", "", f"Source: {about.source}.", ""]
    whose = {
        "human": "People rated these statements in these rounds.",
        "simulated": "SIMULATED: programs stood in for some or all people. Not human data.",
    }
    lines += [
        whose[about.people],
        "",
        f"Ratings: {about.scale}; neutral {about.scale.neutral}.",
        "",
    ]
    for step in about.steps:
        lines += [f"- {name}: {n}" for name, n in step.counts.items()]
    lines += ["", "## Policies under evaluation (the study's arms)", ""]
    lines += [f"- `{arm.name}`: {arm.described}" for arm in arms_of(about).values()]
    for name, table in TABLES.items():
        n_rows = dataset.tables()[name].height
        lines += ["", f"## {table.file_name}: {n_rows} rows", "", table.meaning, ""]
        lines += ["| column | holds | meaning |", "|---|---|---|"]
        there = dataset.tables()[name].columns
        own = (*OWN_COLUMNS.get(name, ()), *([TRUTH] if TRUTH.name in there else []))
        columns = (*table.columns, *own)
        lines += [f"| {each.name} | {each.kind} | {each.meaning} |" for each in columns]
    lines += ["", f"{CONSENT_TEXTS}: the texts that people agreed to, and how many did."]
    lines += ["", "Checksums (sha256) of every table are in dataset.json."]
    return "\n".join(lines) + "\n"
