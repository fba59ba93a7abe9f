"""The tables of sensemaking-tools' simulated jury: what people wrote, and statements to vote on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.datasets.dataset import About, Dataset, Step, completed, frame
from commonweal.datasets.schema import OWN_COLUMN, VOTE
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.reading.columns import column_named, plain, why_not_counted
from commonweal.reading.tables import Table, read_table

if TYPE_CHECKING:
    from commonweal.datasets.schema import People

PARTICIPANTS, STATEMENTS = "participants.csv", "statements.csv"
ROUNDS = "rounds.csv"
"""In what is exported: which folder holds which round."""
_LONGEST_NAME = 60
_EXPECTED = (
    f"the tables of a simulated jury: a folder with {PARTICIPANTS} (participant_id, and answer_1 "
    f"or survey_text) and {STATEMENTS} (statement or proposition)"
)
_MOST_BYTES = 500_000_000
_PERSON, _QUESTION, _ANSWER, _SURVEY = "participant_id", "question_1", "answer_1", "survey_text"
_TEXTS = ("statement", "proposition")
_PREDICTED = ("topic", "agree_rate", "schulze_rank", "pav_rank", "error")
"""What a jury's own output adds to the statements: kept as it came."""
TRUE_RATE = "true_agree_rate"
_UNKNOWN = "unknown"


def import_simulated_jury(
    folder: Path,
    *,
    question: str | None = None,
    people: People = "human",
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
) -> Dataset:
    """One round of opinions and statements, without ratings: nobody has voted.

    A person's opinion is ``answer_1``, or else ``survey_text``; other answers are left out. What a
    jury's output says of a statement (``agree_rate`` and ranks, by a language model) is kept in
    columns that begin with ``x_``.

    Args:
        folder: holds both tables; the jury's output may stand in for the statements.
        question: what people were asked, where there is no ``question_1``.
        people: whether people wrote the opinions, or a program or model did.
        name: the dataset's; the folder's by default.
        licence: under which the data may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: a table or column is missing, a person or statement is there twice, or the
            question is not known; the message names the row.

    Source: src/simulated_jury/main.py and src/participation.py of Jigsaw-Code/sensemaking-tools.
    """
    name = name or folder.resolve().name
    question = (question or "").strip() or None
    written = _table(folder / PARTICIPANTS, (_PERSON, _QUESTION, _ANSWER, _SURVEY))
    listed = _table(folder / STATEMENTS, (*_TEXTS, *_PREDICTED))
    counts = {"participants read": len(written.rows) - 1, "statements read": len(listed.rows) - 1}
    who, asked, answer, survey = (
        column_named(written.header, (each,)) for each in (_PERSON, _QUESTION, _ANSWER, _SURVEY)
    )
    if who is None or (answer is None and survey is None):
        raise InputError(
            f"{written.path}: the columns are {', '.join(written.header)}; expected {_EXPECTED}"
        )
    opinions: dict[str, str] = {}
    questions: set[str] = set()
    n_marked = n_blank = 0
    for row in written.below:
        if why_not_counted(dict(zip(written.header, row.cells, strict=False))):
            n_marked += 1
            continue
        text = next(
            (row.cells[each] for each in (answer, survey) if each is not None and row.cells[each]),
            "",
        )
        if not text:
            n_blank += 1
            continue
        person = row.cells[who]
        if not person or person in opinions:
            what = "blank" if not person else f"{person!r}, as in a row above"
            raise InputError(
                f"{written.place(row, who)}: {what}; expected a name for each person, once"
            )
        opinions[person] = " ".join(text.split())
        if asked is not None and row.cells[asked]:
            questions.add(" ".join(row.cells[asked].split()))
    if question is None and len(questions) != 1:
        raise InputError(
            f"{written.path}: {len(questions)} different texts in {_QUESTION}; say what people "
            "were asked: --question TEXT"
        )
    if not opinions:
        raise InputError(f"{written.path}: nobody wrote anything; expected {_EXPECTED}")
    candidates = _candidates(listed, name)
    counts |= {
        "participants dropped: marked as not to be counted": n_marked,
        "participants dropped: no answer": n_blank,
        "opinions": len(opinions),
        "statements": candidates.height,
    }
    about = About(
        name=name,
        people=people,
        scale=VOTE,
        source="tables of a simulated jury; nobody rated the statements",
        licence=licence,
        attribution=attribution,
        steps=(Step(what="imported from a simulated jury", counts=counts),),
    )
    at = {"round_id": name}
    return Dataset(
        about,
        rounds=frame(
            "rounds",
            [at | {"group_id": name, "question_id": name, "question": question or questions.pop()}],
        ),
        opinions=frame(
            "opinions",
            [
                at | {"opinion_id": each, "participant_id": each, "text": text, "source": "written"}
                for each, text in opinions.items()
            ],
        ),
        candidates=candidates,
    )


def jury_tables(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """For each round with opinions and statements ``participants.csv`` and ``statements.csv``.

    Beside each statement stands ``true_agree_rate``, the share of its ratings that agree: the
    jury's ``--true_agree_rate_column`` compares its predictions with it. The jury may see no
    ratings, and is given none.

    Raises:
        InputError: no round has both.

    Source: as ``import_simulated_jury``.
    """
    neutral = dataset.about.scale.neutral
    tables = {}
    for asked in dataset.rounds.to_dicts():
        part = dataset.of_rounds([asked["round_id"]])
        shown = part.candidates.filter("shown").unique("text", maintain_order=True)
        if part.opinions.is_empty() or shown.is_empty():
            continue
        # By text, which two candidates may have, and each person once, whatever the passes.
        rates = dict(
            part.ratings.drop_nulls("agreement")
            .join(part.candidates.select("candidate_id", "text"), on="candidate_id")
            .group_by("text", "participant_id")
            .agg(pl.col("agreement").mean())
            .group_by("text")
            .agg((pl.col("agreement") > neutral).mean().alias("rate"))
            .select("text", "rate")
            .iter_rows()
        )
        people = [
            {_PERSON: row["participant_id"], _QUESTION: asked["question"], _ANSWER: row["text"]}
            for row in part.opinions.to_dicts()
        ]
        statements = [
            {
                "statement": row["text"],
                "topic": asked["topic"] or asked["question"],
                "policy": row["policy"],
                TRUE_RATE: rates.get(row["text"]),
            }
            for row in shown.to_dicts()
        ]
        tables[asked["round_id"]] = (_csv(people), _csv(statements))
    if not tables:
        raise InputError(
            f"{dataset.about.name}: no round has opinions and statements that were shown; a jury "
            "needs both"
        )
    return tables


def jury_files(dataset: Dataset) -> dict[str, str]:
    """The files of an export, path to text: ``jury_tables``, in a folder for each round if several.

    A folder has its round's id as its name, without what no file name may hold; ``rounds.csv`` says
    which is which.

    Raises:
        InputError: as ``jury_tables``.
    """
    tables = jury_tables(dataset)
    folders = _folder_names(tables) if len(tables) > 1 else dict.fromkeys(tables, ".")
    questions = dict(dataset.rounds.select("round_id", "question").iter_rows())
    listed = [
        {"folder": folder, "round_id": each, "question": questions[each]}
        for each, folder in folders.items()
    ]
    files = {ROUNDS: _csv(listed)}
    for each, texts in tables.items():
        files |= {
            f"{folders[each]}/{name}": text
            for name, text in zip((PARTICIPANTS, STATEMENTS), texts, strict=True)
        }
    return files


def _folder_names(round_ids: Iterable[str]) -> dict[str, str]:
    """A name for each, no two the same where letters' case does not count."""
    names: dict[str, str] = {}
    taken = {ROUNDS}
    for each in round_ids:
        stem = re.sub(r"[^\w.-]+", "-", each)[:_LONGEST_NAME].strip("-.") or "round"
        name, n = stem, 1
        while name.casefold() in taken:
            n += 1
            name = f"{stem}-{n}"
        taken.add(name.casefold())
        names[each] = name
    return names


def _candidates(listed: Table, name: str) -> pl.DataFrame:
    at = column_named(listed.header, _TEXTS)
    if at is None:
        raise InputError(
            f"{listed.path}: the columns are {', '.join(listed.header)}; expected {_EXPECTED}"
        )
    wrote = column_named(listed.header, ("policy",))
    own = {plain(each): each for each in _PREDICTED if column_named(listed.header, (each,))}
    rows: dict[str, dict[str, Any]] = {}
    for row in listed.below:
        text = " ".join(row.cells[at].split())
        if not text or text in rows:
            what = "blank" if not text else "a statement that is there above"
            raise InputError(f"{listed.place(row, at)}: {what}; expected each statement once")
        rows[text] = {
            "round_id": name,
            "candidate_id": f"s{len(rows) + 1}",
            "text": text,
            "policy": (row.cells[wrote] if wrote is not None else "") or _UNKNOWN,
            "shown": True,
            **{
                f"{OWN_COLUMN}{each}": row.cells[column_named(listed.header, (each,)) or 0]
                for each in own.values()
            },
        }
    if not rows:
        raise InputError(f"{listed.path} has a header and no statements; expected {_EXPECTED}")
    return completed("candidates", pl.DataFrame(list(rows.values())))


def _table(path: Path, known: Sequence[str]) -> Table:
    return read_table(
        path, {plain(each) for each in known}, expected=_EXPECTED, max_bytes=_MOST_BYTES
    )


def _csv(rows: list[dict[str, Any]]) -> str:
    return pl.DataFrame(rows, infer_schema_length=None).write_csv()
