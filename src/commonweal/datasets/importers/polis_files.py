"""The files of a Polis export, read and checked: comments, votes (long or wide), summary."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from commonweal.datasets.importers.polis_export import EXPORT, PolisExport
from commonweal.datasets.reading import folded, read_csv, read_csv_header, refuse
from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.frames import pl
from commonweal.reading.columns import is_mark, says_no

LONGEST_COMMENT = 10_000
"""Characters. Polis lets people write far less; a longer one is a paste or an attack."""

MOST_ID = 2**31 - 1
"""Polis counts people and comments from 0 in each conversation."""

_MANY = MOST_ID + 1

_ID = f"a whole number from 0 to {MOST_ID:,}"
_TOO_LONG = f"over {LONGEST_COMMENT:,} characters"
_META = "about the person, not an opinion (is-meta)"
_MARKED_OUT = "marked as taken out (deleted, spam or the like)"
_MODERATED = {"accepted": "1", "approved": "1", "in": "1", "unmoderated": "0", "pending": "0"}
_MODERATED |= {"rejected": "-1", "out": "-1", "hidden": "-1", "moderated out": "-1"}
_VOTES = {"agree": "1", "agrees": "1", "pass": "0", "unsure": "0", "disagree": "-1"}
_WIDE = "a Polis export's participants-votes.csv"
_SUMMARY_BYTES = 1_000_000
_SUMMARY_CELL = 100_000

# Besides the columns that are read: those of the public exports (compdemocracy/openData) and of the
# Polis server's exporter, old and new.
_OTHER_COMMENT_COLUMNS = (
    *("timestamp", "datetime", "agrees", "disagrees", "importance"),
    *("is-meta", "is-seed", "modified", "group-informed-consensus", "group-aware-consensus"),
    *("passes", "votes", "language"),
)
_OTHER_VOTE_COLUMNS = ("datetime", "important")
_OTHER_WIDE_COLUMNS = ("xid", "group-id", "n-comments", "n-votes", "n-agree", "n-disagree")


@dataclass(frozen=True, slots=True)
class PolisVotes:
    """Each person's last vote on each comment.

    Attributes:
        path: the file.
        rows: voter, comment, vote (1 agrees, 0 passes, -1 disagrees), sorted by the first two.
        n_read: votes in the file.
        n_rounded: of these, votes whose time a spreadsheet had rounded: their order is the file's.
    """

    path: Path
    rows: pl.DataFrame
    n_read: int
    n_rounded: int = 0


def read_summary(export: PolisExport, *, needed: bool) -> dict[str, str]:
    """The export's summary, name to value, white space folded."""
    path = export.summary
    if path is None:
        if not needed:
            return {}
        raise InputError(
            f"no file {export.folder / 'summary.csv'}; expected {EXPORT}; without it, give the "
            'question: --question "..."'
        )
    text = read_text(path, expected=EXPORT, max_bytes=_SUMMARY_BYTES)
    text = re.sub(r"\A\ufeff?sep=.[^\n]*\n", "", text, flags=re.IGNORECASE)
    separator = ";" if re.match(r'\s*"?[\w-]+"?\s*;', text) else ","
    separator = "\t" if re.match(r'\s*"?[\w-]+"?\t', text) else separator
    csv.field_size_limit(_SUMMARY_CELL)  # the process has one; whoever reads sets it
    try:
        # A topic's own commas may stand there without quotes.
        summary = {
            row[0].strip().lower(): " ".join(separator.join(row[1:]).rstrip(separator).split())
            for row in csv.reader(StringIO(text, newline=""), delimiter=separator)
            if len(row) > 1
        }
    except csv.Error as error:
        raise InputError(f"cannot read {path}: {error}; expected {EXPORT}") from None
    if needed and not summary.get("topic"):
        raise InputError(
            f"{path}: there is no topic; expected a line 'topic,...', or give the question: "
            '--question "..."'
        )
    return summary


def read_comments(export: PolisExport, counts: dict[str, int]) -> pl.DataFrame:
    """Comments in the order of their numbers: comment, author, text, agrees, candidate."""
    path = export.comments
    kinds: dict[str, type[pl.DataType]] = {
        "comment-id": pl.Int64,
        "author-id": pl.Int64,
        "moderated": pl.Int64,
        "comment-body": pl.String,
    }
    expected = "a Polis export's comments.csv"
    header = read_csv_header(path, expected, _OTHER_COMMENT_COLUMNS)
    if "agrees" in header:
        kinds["agrees"] = pl.Int64
    kinds |= {name: pl.String for name in ("is-meta", "is-seed") if name in header}
    marks = [name for name in header if is_mark(name) and name not in ("is-meta", "moderated")]
    kinds |= dict.fromkeys(marks, pl.String)
    rows = read_csv(
        path,
        kinds,
        others=_OTHER_COMMENT_COLUMNS,
        expected=expected,
        every_column=True,
        words={"moderated": _MODERATED},
    )
    for column in ("comment-id", "author-id"):
        refuse(path, rows, _no_id(column), column, _ID)
    known = pl.col("moderated").is_between(-1, 1).fill_null(False)
    refuse(path, rows, ~known, "moderated", "-1 (moderated out), 0 or 1")
    for name in ("is-meta", "is-seed", *marks):
        rows = rows.with_columns(_flag(rows, name).alias(name))
    out = pl.any_horizontal(marks) if marks else pl.lit(False)
    again = ~pl.struct(*kinds).is_first_distinct()
    refuse(
        path,
        rows,
        ~pl.col("comment-id").is_first_distinct() & ~again,
        "comment-id",
        "each comment once; this number stands for another comment already",
    )
    checked = rows.with_columns(again=again, text=folded("comment-body").fill_null(""))
    checked = checked.with_columns(
        why=pl.when("again")
        .then(pl.lit("there twice"))
        .when(pl.col("moderated") == -1)
        .then(pl.lit("moderated out"))
        .when("is-meta")
        .then(pl.lit(_META))
        .when(out)
        .then(pl.lit(_MARKED_OUT))
        .when(pl.col("text") == "")
        .then(pl.lit("without text"))
        .when(pl.col("text").str.len_chars() > LONGEST_COMMENT)
        .then(pl.lit(_TOO_LONG))
    )
    counts["comments read"] = rows.height
    marked = (_MARKED_OUT,) if marks else ()
    for why in ("there twice", "moderated out", _META, *marked, "without text", _TOO_LONG):
        counts[f"comments dropped: {why}"] = checked.filter(pl.col("why") == why).height
    counts["comments typed in by moderators (is-seed)"] = rows.filter("is-seed").height
    agrees = pl.col("agrees") if "agrees" in rows.columns else pl.lit(None, dtype=pl.Int64)
    return (
        checked.filter(~pl.col("again"))
        .select(
            "text",
            comment="comment-id",
            author="author-id",
            agrees=agrees,
            candidate=pl.col("why").is_null(),
            sayable=pl.col("text").str.len_chars().is_between(1, LONGEST_COMMENT)
            & ~pl.col("is-meta")
            & ~out,
        )
        .sort("comment")
    )


def _flag(rows: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a column says yes, in whatever way; no where there is no such column."""
    if name not in rows.columns:
        return pl.lit(False)
    values = rows[name].drop_nulls().unique().to_list()
    return pl.col(name).is_in([each for each in values if not says_no(each)]).fill_null(False)


def read_votes(export: PolisExport) -> tuple[PolisVotes, PolisVotes | None]:
    """Each person's last vote on each comment, and the same of the other file where there are both.

    Both are in the order of people and comments.
    """
    if export.votes is not None:
        votes = _long_votes(export.votes, export.wide)
        other = export.wide
        numbered = other is not None and any(map(_is_id, read_csv_header(other, _WIDE)))
        return votes, _wide_votes(other) if other is not None and numbered else None
    if export.wide is not None:
        return _wide_votes(export.wide), None
    raise InputError(
        f"{export.folder} holds no votes.csv and no participants-votes.csv; expected {EXPORT}"
    )


def _long_votes(path: Path, wide: Path | None) -> PolisVotes:
    """The votes of ``path``; where there is a wide file too, it says who took part."""
    names = ("timestamp", "comment-id", "voter-id", "vote")
    rows = read_csv(
        path,
        # A spreadsheet rounds timestamps: 1.7E+12, or 1,7E+12.
        dict.fromkeys(names, pl.Int64) | {"timestamp": pl.String},
        others=_OTHER_VOTE_COLUMNS,
        expected="a Polis export's votes.csv",
        words={"vote": _VOTES},
    )
    stamp = pl.col("timestamp").str.replace(",", ".", literal=True)
    grouped = pl.col("timestamp").str.contains(r"^\d{1,3}([.,' ]\d{3}){2,}$")
    number = pl.coalesce(
        stamp.cast(pl.Int64, strict=False),
        pl.when(grouped)
        .then(pl.col("timestamp").str.replace_all(r"\D", ""))
        .cast(pl.Int64, strict=False),
        stamp.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        pl.col("timestamp").str.to_datetime(strict=False, time_zone="UTC").dt.epoch("ms"),
        _with_slashes(rows),
    )
    refuse(path, rows, number.is_null(), "timestamp", "a whole number or a date")
    rows = rows.with_columns(rounded=stamp.str.contains("(?i)e"), timestamp=number)
    for name in ("comment-id", "voter-id"):
        refuse(path, rows, _no_id(name), name, _ID)
    refuse(path, rows, ~pl.col("vote").is_between(-1, 1).fill_null(False), "vote", "1, 0 or -1")
    if wide is not None:
        kinds: dict[str, type[pl.DataType]] = {"participant": pl.Int64}
        listed = read_csv(wide, kinds, others=None, expected=_WIDE)["participant"]
        unknown = ~pl.col("voter-id").is_in(listed.implode())
        refuse(path, rows, unknown, "voter-id", f"a participant that {wide.name} lists")
    # One number for a person and comment: sorting by it is several times faster than by two, and
    # carries less. Both sorts are stable: of two votes at one time, the one that is lower in the
    # file is the later.
    both = pl.col("voter-id") * _MANY + pl.col("comment-id")
    ordered = (
        rows.select("timestamp", "vote", both=both)
        .sort("timestamp", maintain_order=True)
        .drop("timestamp")
        .sort("both", maintain_order=True)
    )
    last = (pl.col("both") != pl.col("both").shift(-1)).fill_null(True)
    columns = {"voter": pl.col("both") // _MANY, "comment": pl.col("both") % _MANY}
    kept = ordered.filter(last).select(**columns, vote="vote")
    n_rounded = int(rows["rounded"].sum())
    return PolisVotes(path, kept, rows.height, n_rounded)


def _with_slashes(rows: pl.DataFrame) -> pl.Expr:
    """Dates with slashes: the month first where that fits all of them, else the day."""
    dates = rows.filter(pl.col("timestamp").str.contains("/"))["timestamp"]
    for day in ("%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d"):
        for clock in ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p"):
            form = f"{day} {clock}"
            if len(dates) and dates.str.to_datetime(form, strict=False).null_count() == 0:
                return pl.col("timestamp").str.to_datetime(form, strict=False).dt.epoch("ms")
    return pl.lit(None, dtype=pl.Int64)


def _no_id(name: str) -> pl.Expr:
    return ~pl.col(name).is_between(0, MOST_ID).fill_null(False)


def _is_id(name: str) -> bool:
    """Whether a column's name is a comment's number, written as Polis writes it."""
    if not name.isascii() or not name.isdecimal() or len(name) > len(str(MOST_ID)):
        return False
    return name == str(int(name)) and int(name) <= MOST_ID


def _wide_votes(path: Path) -> PolisVotes:
    numbers = [name for name in read_csv_header(path, _WIDE) if _is_id(name)]
    kinds: dict[str, type[pl.DataType]] = {"participant": pl.Int64}
    rows = read_csv(
        path,
        kinds | dict.fromkeys(numbers, pl.Float64),
        others=_OTHER_WIDE_COLUMNS,
        expected=f"{_WIDE}, a column for each comment's number",
    )
    if not numbers:
        raise InputError(f"{path}: no column is a comment's number; expected {_WIDE}")
    refuse(path, rows, _no_id("participant"), "participant", _ID)
    again = ~pl.col("participant").is_first_distinct()
    refuse(path, rows, again, "participant", "each participant in one row")
    table = rows.select(numbers).to_numpy()
    row, column = np.nonzero(~np.isnan(table))
    cast = table[row, column]
    if len(wrong := np.flatnonzero(~np.isin(cast, (-1, 0, 1)))):
        where = wrong[0]
        raise InputError(
            f"{path}, row {rows[int(row[where]), '_row']}: comment {numbers[column[where]]} has "
            f"the vote {cast[where]:g}, expected 1, 0, -1 or nothing ({len(wrong)} such votes)"
        )
    votes = pl.DataFrame(
        {
            "voter": rows["participant"].to_numpy()[row],
            "comment": np.array(numbers, dtype=np.int64)[column],
            "vote": cast.astype(np.int64),
        }
    )
    return PolisVotes(path, votes.sort("voter", "comment"), votes.height)
