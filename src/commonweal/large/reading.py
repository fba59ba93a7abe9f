"""Files of any size in: opinions stream to disk, one by one, checked as few are.

Small files go through ``read_group``, which mends more. A Polis export and a dataset (what a study
exports) bring people's votes along.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from commonweal.errors import InputError
from commonweal.files import near_path
from commonweal.groups import alike_note, check_opinion, read_group
from commonweal.large.store import OpinionStore
from commonweal.large.votes import Votes
from commonweal.reading.columns import (
    OPINION,
    PARTICIPANT,
    QUESTION,
    column_named,
    says_nothing,
    why_not_counted,
)
from commonweal.reading.group_table import stream_group_table
from commonweal.reading.json_lines import json_lines
from commonweal.reading.tables import TEXT_SUFFIXES
from commonweal.types import Opinion, Question

if TYPE_CHECKING:
    from commonweal.datasets.dataset import Dataset

STREAMED_FROM_BYTES = 2_000_000
"""Text files from this size on are read row by row."""

N_VOTES_TOLD = 5
"""Votes that speak for somebody in a Polis export who voted and wrote nothing."""

_PARQUET_ROWS = 5_000
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class People:
    """What a file holds.

    Attributes:
        question: what was asked.
        opinions: everybody's, in memory where they are few.
        notes: what was done to the input on the way in, in plain sentences.
        votes: people's own, where there are some.
    """

    question: Question
    opinions: Sequence[Opinion]
    notes: tuple[str, ...] = ()
    votes: Votes | None = None


def read_people(
    path: str | Path,
    *,
    question: str | None = None,
    opinion_column: str | None = None,
    round_id: str | None = None,
) -> People:
    """The question and everybody's opinion, of a group of any size.

    Args:
        path: whatever ``read_group`` takes; ``.jsonl`` and ``.parquet``; a Polis export or a
            dataset, as a folder (a Polis export also zipped).
        question: what was asked, where the file does not say; it goes before the file's.
        opinion_column: in a table or a Parquet file, the column with the opinions.
        round_id: of a dataset with several rounds, which one.

    Raises:
        InputError: the file is missing, cannot be read, malformed, or holds no usable group.
    """
    path = Path(path)
    if path.is_dir() or (path.suffix.lower() == ".zip" and zipfile.is_zipfile(path)):
        if opinion_column is not None:
            raise InputError(f"{path}: --opinion-column is for a table; take it out")
        return _from_dataset(path, question, round_id)
    if round_id is not None:
        raise InputError(f"{path}: --round is for a dataset with several rounds; take it out")
    suffix = path.suffix.lower()
    asked: list[str] = []
    notes: list[str] = []
    if suffix in _PARQUET:
        records = _parquet(path, opinion_column)
        return _stored(path, _counted(records, asked, notes), asked, notes, question)
    if path.is_file() and path.stat().st_size >= STREAMED_FROM_BYTES:
        if suffix in TEXT_SUFFIXES:
            return _from_table(path, question, opinion_column)
        if suffix == ".jsonl":
            return _stored(path, _counted(_lines(path), asked, notes), asked, notes, question)
    read = read_group(path, question=question, opinion_column=opinion_column)
    return People(read.question, read.opinions, read.notes)


def _from_table(path: Path, question: str | None, opinion_column: str | None) -> People:
    rows, rest = stream_group_table(path, opinion_column=opinion_column)
    asked: list[str] = []
    notes: list[str] = []

    def opinions() -> Iterator[tuple[str, str, str]]:
        yield from rows
        table = rest()
        asked.append(table.question)
        notes.extend(table.notes)

    return _stored(path, opinions(), asked, notes, question)


def _stored(
    path: Path,
    opinions: Iterator[tuple[str, str, str]],
    asked: list[str],
    notes: Sequence[str],
    question: str | None,
) -> People:
    """The opinions on disk.

    Args:
        path: for errors.
        opinions: id ("" where there is none), text and place of each.
        asked: questions in the file, filled when the opinions are through.
        notes: likewise.
        question: given beside the file.
    """
    store = OpinionStore()
    n_cleaned = n_nameless = 0
    for name, text, place in opinions:
        n_nameless += not name
        try:
            cleaned = check_opinion(Opinion(name or f"p{len(store) + 1}", text))
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        n_cleaned += cleaned.text != text.strip()
        store.add(cleaned)
    if len(store) < 2:
        raise InputError(
            f"{path}: got {len(store)} opinion{'s' if len(store) != 1 else ''}, expected at least "
            "two: agreement needs people to agree with each other"
        )
    try:
        store.check_ids()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    different = list(dict.fromkeys(each for each in asked if each.strip()))
    if question is None and len(different) != 1:
        got = f"{len(different)} questions" if different else "none"
        raise InputError(
            f"{path}: expected what the group was asked, one question in the file or "
            f'--question "..."; got {got}'
        )
    more = []
    if 0 < n_nameless < len(store):
        more.append(f"{n_nameless:,} participants without an id are called p1, p2, ...")
    if n_cleaned:
        more.append(f"control characters in {n_cleaned:,} opinions were replaced by blanks")
    if store.n_alike:
        more.append(alike_note(store.n_alike))
    if question is not None and different and different[0].split() != question.split():
        more.append(f"the question is the one given, not the file's: {different[0]}")
    text = different[0] if question is None else question
    return People(Question(" ".join(text.split())), store, (*notes, *more))


class _Record(NamedTuple):
    """A record of a file: its fields, which of them holds the opinion, and where it stands."""

    fields: dict[str, Any]
    opinion: str
    place: str


def _lines(path: Path) -> Iterator[_Record]:
    """The records in a file with one JSON object a line."""
    for place, fields in json_lines(path):
        if isinstance(fields, str):
            fields = {"text": fields}
        if not isinstance(fields, dict):
            raise InputError(
                f"{place}: got {type(fields).__name__}, expected an object with a text and, if "
                "wanted, an id"
            )
        names = [str(name) for name in fields]
        at = column_named(names, OPINION)
        if at is None:
            raise InputError(
                f"{place}: no field is called text or opinion; got {', '.join(names[:8])}"
            )
        yield _Record(fields, names[at], place)


def _parquet(path: Path, opinion_column: str | None) -> Iterator[_Record]:
    """The records in a Parquet file, some thousand rows at a time."""
    from commonweal.frames import pl

    if not path.is_file():
        raise InputError(f"no file {path}{near_path(path)}; expected opinions as .parquet")
    try:
        lazy = pl.scan_parquet(path)
        names = lazy.collect_schema().names()
        n_rows = lazy.select(pl.len()).collect().item()
        if opinion_column is None:
            at = column_named(names, OPINION)
        else:
            at = names.index(opinion_column) if opinion_column in names else None
        if at is None:
            raise InputError(
                f"{path}: no column is called {opinion_column or 'opinion'}; got "
                f"{', '.join(names[:12])}; say which: --opinion-column NAME"
            )
        for start in range(0, n_rows, _PARQUET_ROWS):
            block = lazy.slice(start, _PARQUET_ROWS).collect()
            for number, row in enumerate(block.iter_rows(named=True), start=start + 1):
                yield _Record(row, names[at], f"{path}, row {number}")
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not a Parquet file that can be read ({first})") from None


def _counted(
    records: Iterable[_Record], asked: list[str], notes: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Id, text and place of each record that counts and holds a text.

    Questions in the records come into ``asked``; what was left out, at the end, into ``notes``.
    """
    n_dropped = n_silent = 0
    for fields, opinion, place in records:
        text = fields[opinion]
        names = [name if name != opinion else "" for name in fields]
        who, asking = column_named(names, PARTICIPANT), column_named(names, QUESTION)
        if asking is not None and fields[names[asking]]:
            question = str(fields[names[asking]])
            if question not in asked and len(asked) < 3:
                asked.append(question)
        if why_not_counted({name: value for name, value in fields.items() if name != opinion}):
            n_dropped += 1
        elif text is None or (isinstance(text, str) and says_nothing(text)):
            n_silent += 1
        elif not isinstance(text, str):
            raise InputError(f"{place}: the opinion is {text!r}, expected a text")
        else:
            name = "" if who is None or fields[names[who]] is None else str(fields[names[who]])
            yield name, text, place
    for n, why in ((n_dropped, "marked as not to be counted"), (n_silent, "without an opinion")):
        if n:
            notes.append(f"{n:,} {'record' if n == 1 else 'records'} {why} left out")


# ----------------------------------------------------------------------- Polis exports and datasets


def _from_dataset(path: Path, question: str | None, round_id: str | None) -> People:
    from commonweal.datasets.schema import MANIFEST

    if path.is_dir() and (path / MANIFEST).is_file():
        from commonweal.datasets.dataset import read_dataset

        return _of_round(path, read_dataset(path), question, round_id, (), {})
    from commonweal.datasets.importers.polis import import_polis

    if round_id is not None:
        raise InputError(f"{path}: --round is for a dataset with several rounds; take it out")
    dataset = import_polis(path, question=question)
    exported = import_polis(path, question=question, opinions="votes", n_votes=N_VOTES_TOLD)
    texts = dict(exported.opinions.select("participant_id", "text").iter_rows())
    n_wrote = dataset.opinions.height
    n_others = len(set(texts) - set(dataset.opinions["participant_id"]))
    notes = (
        f"{n_wrote:,} people wrote something that they agree with; for {n_others:,} others, "
        f"{N_VOTES_TOLD} of their votes stand in for an opinion; people with fewer votes are not "
        "counted",
    )
    return _of_round(path, dataset, question, None, notes, texts)


def _of_round(
    path: Path,
    dataset: Dataset,
    question: str | None,
    round_id: str | None,
    notes: tuple[str, ...],
    others: dict[str, str],
) -> People:
    """One round's opinions and votes.

    Args:
        path: for errors.
        dataset: with the round.
        question: given beside it.
        round_id: which round; None where there is one only.
        notes: what was done so far.
        others: texts for people who have no opinion there.
    """
    import numpy as np

    from commonweal.datasets.agreements import matrix

    there = dataset.rounds["round_id"].to_list()
    if round_id is None and len(there) != 1:
        some = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        raise InputError(
            f"{path} has {len(there)} rounds ({some}); expected one, or --round with its id"
        )
    rated = matrix(dataset, round_id or there[0], with_opinion=False)
    opinions = []
    for name, text in zip(rated.participant_ids, rated.opinions, strict=True):
        statement = text or others.get(name)
        if statement:
            opinions.append(check_opinion(Opinion(name, statement)))
    if len(opinions) < 2:
        raise InputError(
            f"{path}: {len(opinions)} people have an opinion in round {rated.round_id!r}, expected "
            "at least two"
        )
    has_votes = bool(np.isfinite(rated.agreement).any())
    votes = Votes(rated, dataset.about.scale) if has_votes else None
    asked = question or rated.question
    if asked is None or not asked.strip():
        raise InputError(f'{path}: the data do not say what was asked; give --question "..."')
    return People(Question(" ".join(asked.split())), tuple(opinions), notes, votes)
