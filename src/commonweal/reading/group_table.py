"""A group's question and opinions out of a table: hand-made, a form's export or a survey's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from commonweal.errors import InputError
from commonweal.reading.columns import (
    OPINION,
    PARTICIPANT,
    QUESTION,
    column_named,
    plain,
    says_nothing,
    why_not_counted,
)
from commonweal.reading.explaining import near
from commonweal.reading.tables import Row, Table, letters, open_table, read_table

KNOWN = frozenset(map(plain, (*OPINION, *PARTICIPANT, *QUESTION)))
_N_SHOWN = 5
_EXPECTED = "a table with the columns question, opinion and, if wanted, id"
_MACHINE_NAMES = ("startdate", "enddate", "recordeddate", "responseid", "ipaddress", "finished")
_IMPORT_ID = '{"ImportId"'
_SECOND_HEADER = {"open ended response", "response", "open ended"}
_LETTERS = re.compile(r"[A-Za-z]{1,2}")
_FAULT = re.compile(r"#(?:[A-ZÄÖÜ/0]{2,8}[!?]|N/A|NV|####*)")
_TOTAL = re.compile(r"(?:grand )?(?:total|sum|count|summe|gesamt|anzahl|somme|suma)s?(?: \d+)*")
_NOT_OPINIONS = ("timestamp", "email", "date", "time", "address", "duration", "url")


@dataclass(frozen=True, slots=True)
class GroupTable:
    """What a table says of a group.

    Attributes:
        question: "" where the table has none.
        opinions: id ("" where there is none) and text of each, with the place it came from.
        notes: what was left out or taken on the way in, in plain sentences.
    """

    question: str
    opinions: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def read_group_table(path: Path, *, opinion_column: str | None, max_bytes: int) -> GroupTable:
    """The question and the opinions in a table.

    Args:
        path: text or a workbook.
        opinion_column: the name of the column with the opinions, or its letter; None where it has
            one of the usual names.
        max_bytes: a larger file is no group.

    Raises:
        InputError: the table cannot be read, there is no such column, a row does not fit, or an
            opinion is blank; the message names row and column.
    """
    table = read_table(path, _known(opinion_column), expected=_EXPECTED, max_bytes=max_bytes)
    labels, rows = _without_second_headers(table)
    taken = _Rows(table, labels, opinion_column)
    opinions = tuple(taken.opinions(rows))
    return GroupTable(taken.question(), opinions, taken.notes())


def stream_group_table(
    path: Path, *, opinion_column: str | None
) -> tuple[Iterator[tuple[str, str, str]], Callable[[], GroupTable]]:
    """The opinions of a large text table one by one; behind them what else the table says.

    Rows of people who wrote nothing are counted, not refused: among thousands there are some.

    Args:
        path: text.
        opinion_column: as for ``read_group_table``.

    Returns:
        Id ("" where there is none), text and place of each; and, to be called when these are
        through, the table without them.

    Raises:
        InputError: as ``read_group_table``, where the iterator comes to it.
    """
    table, rows = open_table(path, _known(opinion_column), expected=_EXPECTED)
    labels, below = _without_second_headers(table)
    n_headers = len(table.rows) - 1 - len(below)
    taken = _Rows(table, labels, opinion_column, lenient=True)
    return (
        taken.opinions(islice(rows, n_headers, None)),
        lambda: GroupTable(taken.question(), (), taken.notes()),
    )


def _known(opinion_column: str | None) -> frozenset[str]:
    """The names by which a header is told. A column's letter is none: an answer may be "C", too."""
    known = KNOWN | frozenset(_MACHINE_NAMES)
    if not opinion_column or _LETTERS.fullmatch(opinion_column.strip()):
        return known
    return known | {plain(opinion_column)}


class _Rows:
    """What the rows of a table say, gathered as they pass.

    Args:
        table: its header, and some rows.
        labels: what stands below the names.
        opinion_column: as for ``read_group_table``.
        lenient: a person without a text is counted, not refused.
    """

    def __init__(
        self,
        table: Table,
        labels: dict[int, str],
        opinion_column: str | None,
        *,
        lenient: bool = False,
    ) -> None:
        self._table = table
        self._labels = labels
        self._lenient = lenient or opinion_column is not None
        self._at = _opinion_column(table, labels, opinion_column)
        _check_once(table, self._at)
        header = _but(table.header, self._at)
        self._who = column_named(header, PARTICIPANT)
        self._asking = column_named(header, QUESTION)
        taken = (self._at, self._who, self._asking)
        self._rest = [i for i in range(len(table.header)) if i not in taken]
        self._questions: dict[str, tuple[str, Row]] = {}
        self._dropped: list[str] = []
        self._n_dropped = self._silent = 0

    def opinions(self, rows: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
        """Id, text and place of each opinion that counts."""
        table, at, who = self._table, self._at, self._who
        for row in rows:
            _check_length(table, row, at)
            cells = dict(enumerate(row.cells))
            text, name = cells.get(at, ""), cells.get(who, "") if who is not None else ""
            if self._lenient and says_nothing(text):  # "-" in a form's answer
                text = ""
            if _FAULT.fullmatch(text):
                text = self._without_fault(row, text)
            asked = cells.get(self._asking, "") if self._asking is not None else ""
            if asked and (text or not _TOTAL.fullmatch(plain(asked))):
                folded = " ".join(asked.split())
                self._questions.setdefault(folded, (asked, row))
            marks = [(table.header[i], cells.get(i, "")) for i in self._rest]
            if why := why_not_counted(marks):
                self._n_dropped += 1
                if len(self._dropped) < _N_SHOWN:
                    self._dropped.append(f"row {row.number} ({why})")
            elif text:
                yield name, text, table.place(row, at)
            elif name and _TOTAL.fullmatch(plain(name)) and not any(mark for _, mark in marks):
                self._silent += 1
            elif name and not self._lenient:
                raise InputError(
                    f"{table.place(row, at)}: the opinion of participant {name!r} is blank; "
                    "expected what they wrote, or leave them out"
                )
            elif name or any(mark for _, mark in marks):
                self._silent += 1

    def _without_fault(self, row: Row, text: str) -> str:
        """Nothing, where a spreadsheet took a text for a formula and lost it.

        Raises:
            InputError: it is one of a few people's.
        """
        if self._lenient:
            return ""
        raise InputError(
            f"{self._table.place(row, self._at)}: the spreadsheet took the text for a formula and "
            f"holds {text} instead; expected what the person wrote: write it again with an "
            "apostrophe (') in front"
        )

    def question(self) -> str:
        """What was asked; "" where the table does not say.

        Raises:
            InputError: the rows ask several questions.
        """
        if len(self._questions) > 1:
            (first, one), (second, other) = list(self._questions.values())[:2]
            raise InputError(
                f"{self._table.path}: the rows ask {len(self._questions)} questions ({first!r} in "
                f"row {one.number}, {second!r} in row {other.number}); expected one group on one "
                "question a file"
            )
        return next(iter(self._questions.values()))[0] if self._questions else self._label()

    def _label(self) -> str:
        return self._labels.get(self._at, "") or _asking(self._table.header[self._at])

    def notes(self) -> tuple[str, ...]:
        """What was left out or taken, in plain sentences."""
        notes = list(self._table.notes)
        if names := [name for i in self._rest if (name := self._table.header[i])]:
            more = ", …" if len(names) > 8 else ""
            notes.append(f"columns not read: {', '.join(names[:8])}{more}")
        if self._n_dropped:
            more = ", …" if self._n_dropped > _N_SHOWN else ""
            notes.append(
                f"{_n_rows(self._n_dropped)} left out because a column says that they do not "
                f"count: {', '.join(self._dropped)}{more}"
            )
        if self._silent:
            notes.append(f"{_n_rows(self._silent)} without an opinion left out")
        if not self._questions and (label := self._label()):
            notes.append(f"the question was taken from the header: {label}")
        return tuple(notes)


def _n_rows(n: int) -> str:
    return f"{n} row{'s' if n != 1 else ''}"


def _but(header: tuple[str, ...], at: int) -> list[str]:
    """The header with the column of opinions blanked: it is no other column as well."""
    return ["" if i == at else name for i, name in enumerate(header)]


def _asking(name: str) -> str:
    """A column's name where it reads as a question: a form's header is what it asked."""
    name = " ".join(name.split())
    return name if name.endswith(("?", "？", "؟")) or len(name.split()) > 3 else ""


def _without_second_headers(table: Table) -> tuple[dict[int, str], tuple[Row, ...]]:
    """The labels that stand below the names in a survey's export, and the rows of answers."""
    rows = table.rows[1:]
    labels: dict[int, str] = {}
    if len(rows) > 1 and any(cell.startswith(_IMPORT_ID) for cell in rows[1].cells):
        labels, rows = dict(enumerate(rows[0].cells)), rows[2:]
    elif rows and any(cell.startswith(_IMPORT_ID) for cell in rows[0].cells):
        rows = rows[1:]
    elif rows and any(
        plain(name) in _MACHINE_NAMES and plain(cell).replace(" ", "") == plain(name)
        for name, cell in zip(table.header, rows[0].cells, strict=False)
    ):
        labels, rows = dict(enumerate(rows[0].cells)), rows[1:]
    elif rows and {plain(cell) for cell in rows[0].cells if cell} <= _SECOND_HEADER:
        rows = rows[1:]
    return labels, rows


def _opinion_column(table: Table, labels: dict[int, str], wanted: str | None) -> int:
    header = table.header
    if wanted is not None:
        named = [i for i, name in enumerate(header) if plain(name) == plain(wanted)]
        named += [i for i, label in labels.items() if plain(label) == plain(wanted) and not named]
        exact = [i for i in named if header[i] == wanted.strip()]
        if len(columns := exact or named) == 1:
            return columns[0]
        if len(columns) > 1:
            raise InputError(
                f"{table.place(table.rows[0])}: {len(columns)} columns are called {wanted!r} "
                f"({', '.join(map(letters, columns))}); give the letter: --opinion-column "
                f"{letters(columns[0])}"
            )
        by_letter = [i for i in range(len(header)) if letters(i) == wanted.strip().upper()]
        if by_letter:
            return by_letter[0]
        close = near(wanted, [name.lower() for name in header if name])
        hint = f"; did you mean {close!r}?" if close else ""
        raise InputError(
            f"{table.place(table.rows[0])}: there is no column {wanted!r}{hint} It has "
            f"{_shown(header)}{table.read_as()}"
        )
    if plain("opinion") in (plain(name) for name in header):
        return [plain(name) for name in header].index("opinion")
    usual = [i for i, name in enumerate(header) if plain(name) in map(plain, OPINION)]
    if len(usual) == 1:
        return usual[0]
    place = table.place(table.rows[0])
    if usual:
        raise InputError(
            f"{place}: several columns may hold the opinions "
            f"({', '.join(header[i] for i in usual)}); say which: --opinion-column "
            f'"{header[usual[0]]}"'
        )
    for i, name in enumerate(header):
        if near(plain(name), ["opinion"]) and len(name.split()) == 1:
            raise InputError(
                f"{place}, column {letters(i)}: unknown column {name!r}; did you mean 'opinion'? "
                f"Expected question, opinion and, if wanted, id"
            )
    if any(name.endswith((".", "!", "。")) for name in header) and not labels:
        raise InputError(
            f"{place}: no column is called opinion, and row 1 reads like somebody's opinion; "
            'expected a header above it, "opinion" or "question,opinion"'
            f"{table.read_as()}"
        )
    likely = _likely(table)
    hint = f' --opinion-column "{header[likely]}"' if likely is not None else " --opinion-column"
    raise InputError(
        f"{place}: no column is called opinion; got columns {_shown(header)}{table.read_as()}; "
        f"expected question, opinion and, if wanted, id. Is it another column? Say which:{hint}"
    )


def _likely(table: Table) -> int | None:
    """The column with the longest texts that is no date, address or survey's own.

    Of columns that are mostly called otherwise (Slido writes what people say under Question) only
    where no other holds texts.
    """
    best: tuple[bool, float, int] | None = None
    for i, name in enumerate(table.header):
        words = plain(name)
        if not name or words in _MACHINE_NAMES or words in map(plain, PARTICIPANT):
            continue
        if any(each in words.split() for each in _NOT_OPINIONS):
            continue
        texts = [row.cells[i] for row in table.rows[1:] if i < len(row.cells)]
        long = sum(len(text.split()) for text in texts) / max(len(texts), 1)
        best = max(best or (False, 0.0, 0), (words not in KNOWN and long >= 2, long, -i))
    return -best[2] if best and (best[1] or len(table.rows) == 1) else None


def _shown(header: tuple[str, ...]) -> str:
    names = [f"{letters(i)} {name!r}" for i, name in enumerate(header) if name]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _check_once(table: Table, at: int) -> None:
    """Two columns of one name that is read: which one is meant cannot be told."""
    plains = [plain(name) for name in table.header]
    for names in (OPINION, PARTICIPANT, QUESTION):
        i = column_named(table.header, names)
        if i is None or (plains[i] in map(plain, OPINION) and i != at):
            continue
        if plains.count(plains[i]) > 1:
            raise InputError(
                f"{table.place(table.rows[0])}: column {table.header[i]!r} appears twice; expected "
                "it once"
            )


def _check_length(table: Table, row: Row, at: int) -> None:
    width = len(table.header)
    too_long = len(row.cells) > width
    if not too_long and len(row.cells) > at:
        return
    if not too_long and not row.cells:
        return
    names = ", ".join(name or f"column {letters(i)}" for i, name in enumerate(table.header))
    raise InputError(
        f"{table.place(row)}: expected {width} fields ({names}), got {len(row.cells)}"
        f"{table.read_as()}; put double quotes around a text that holds "
        f"{table.separator or 'separators'}"
    )
