"""The files of a Polis export, read and checked: comments, votes (long or wide), summary."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl

from commonweal.datasets.reading import folded, read_csv, read_csv_header, refuse
from commonweal.errors import InputError
from commonweal.files import read_text

EXPORT = "a Polis export: comments.csv, votes.csv or participants-votes.csv, summary.csv"

LONGEST_COMMENT = 10_000
"""Characters. Polis lets people write far less; a longer one is a paste or an attack."""

MOST_ID = 2**31 - 1
"""Polis counts people and comments from 0 in each conversation."""

_MANY = MOST_ID + 1

_ID = f"a whole number from 0 to {MOST_ID:,}"
_TOO_LONG = f"over {LONGEST_COMMENT:,} characters"
_WIDE = "a Polis export's participants-votes.csv"
_WIDE_NAMES = ("participants-votes.csv", "participant-votes.csv")
_SUMMARY_BYTES = 1_000_000

# Besides the columns that are read: those of the public exports (compdemocracy/openData) and of the
# Polis server's exporter, old and new.
_OTHER_COMMENT_COLUMNS = (
    *("timestamp", "datetime", "agrees", "disagrees", "importance"),
    *("is-meta", "is-seed", "modified", "group-informed-consensus"),
)
_OTHER_VOTE_COLUMNS = ("datetime", "important")
_OTHER_WIDE_COLUMNS = ("xid", "group-id", "n-comments", "n-votes", "n-agree", "n-disagree")


@dataclass(frozen=True, slots=True)
class Votes:
    """Each person's last vote on each comment.

    Attributes:
        path: the file.
        rows: voter, comment, vote (1 agrees, 0 passes, -1 disagrees), sorted by the first two.
        n_read: votes in the file.
    """

    path: Path
    rows: pl.DataFrame
    n_read: int


def read_summary(folder: Path, *, needed: bool) -> dict[str, str]:
    """The export's summary, name to value, white space folded."""
    path = folder / "summary.csv"
    if not needed and not path.exists():
        return {}
    text = read_text(path, expected=EXPORT, max_bytes=_SUMMARY_BYTES)
    try:
        found = {
            row[0].strip(): " ".join(row[1].split())
            for row in csv.reader(StringIO(text, newline=""))
            if len(row) > 1
        }
    except csv.Error as error:
        raise InputError(f"cannot read {path}: {error}; expected {EXPORT}") from None
    if needed and not found.get("topic"):
        raise InputError(
            f"{path}: there is no topic; expected a line 'topic,...', or give the question"
        )
    return found


def read_comments(folder: Path, counts: dict[str, int]) -> pl.DataFrame:
    """Comments in the order of their numbers: comment, author, text, agrees, candidate."""
    path = folder / "comments.csv"
    kinds: dict[str, type[pl.DataType]] = {
        "comment-id": pl.Int64,
        "author-id": pl.Int64,
        "moderated": pl.Int64,
        "comment-body": pl.String,
    }
    expected = "a Polis export's comments.csv"
    header = read_csv_header(path, expected)
    if "agrees" in header:
        kinds["agrees"] = pl.Int64
    rows = read_csv(
        path, kinds, others=_OTHER_COMMENT_COLUMNS, expected=expected, every_column=True
    )
    for column in ("comment-id", "author-id"):
        refuse(path, rows, _no_id(column), column, _ID)
    known = pl.col("moderated").is_between(-1, 1).fill_null(False)
    refuse(path, rows, ~known, "moderated", "-1 (moderated out), 0 or 1")
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
        .when(pl.col("text") == "")
        .then(pl.lit("without text"))
        .when(pl.col("text").str.len_chars() > LONGEST_COMMENT)
        .then(pl.lit(_TOO_LONG))
    )
    counts["comments read"] = rows.height
    for why in ("there twice", "moderated out", "without text", _TOO_LONG):
        counts[f"comments dropped: {why}"] = checked.filter(pl.col("why") == why).height
    agrees = pl.col("agrees") if "agrees" in rows.columns else pl.lit(None, dtype=pl.Int64)
    return (
        checked.filter(~pl.col("again"))
        .select(
            "text",
            comment="comment-id",
            author="author-id",
            agrees=agrees,
            candidate=pl.col("why").is_null(),
            sayable=pl.col("text").str.len_chars().is_between(1, LONGEST_COMMENT),
        )
        .sort("comment")
    )


def read_votes(folder: Path) -> Votes:
    """Each person's last vote on each comment, in the order of people and comments."""
    path = folder / "votes.csv"
    wide = next((folder / name for name in _WIDE_NAMES if (folder / name).exists()), None)
    if path.exists():
        return _long_votes(path, wide)
    if wide is not None:
        return _wide_votes(wide)
    raise InputError(f"{folder} holds no votes.csv and no {_WIDE_NAMES[0]}; expected {EXPORT}")


def _long_votes(path: Path, wide: Path | None) -> Votes:
    """The votes of ``path``; where there is a wide file too, it says who took part."""
    names = ("timestamp", "comment-id", "voter-id", "vote")
    rows = read_csv(
        path,
        dict.fromkeys(names, pl.Int64),
        others=_OTHER_VOTE_COLUMNS,
        expected="a Polis export's votes.csv",
    )
    refuse(path, rows, pl.col("timestamp").is_null(), "timestamp", "a whole number")
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
    return Votes(path, ordered.filter(last).select(**columns, vote="vote"), rows.height)


def _no_id(name: str) -> pl.Expr:
    return ~pl.col(name).is_between(0, MOST_ID).fill_null(False)


def _is_id(name: str) -> bool:
    """Whether a column's name is a comment's number, written as Polis writes it."""
    if not name.isascii() or not name.isdecimal() or len(name) > len(str(MOST_ID)):
        return False
    return name == str(int(name)) and int(name) <= MOST_ID


def _wide_votes(path: Path) -> Votes:
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
    return Votes(path, votes.sort("voter", "comment"), votes.height)


def check_direction(comments: pl.DataFrame, votes: Votes) -> None:
    """Refuses votes whose sign is turned round: some tools write -1 for agreement."""
    per_comment = votes.rows.group_by("comment").agg(
        ours=(pl.col("vote") == 1).sum(), turned=(pl.col("vote") == -1).sum()
    )
    both = comments.drop_nulls("agrees").join(per_comment, on="comment")
    miss = [(pl.col("agrees") - pl.col(name).cast(pl.Int64)).abs() for name in ("ours", "turned")]
    columns = both.select(ours=miss[0].sum(), turned=miss[1].sum(), total=pl.col("agrees").sum())
    ours, turned, total = columns.row(0)
    # In the public exports the votes of 1 miss 0.3 to 3 % of what the column counts.
    if turned < 0.1 * total < ours:
        raise InputError(
            f"{votes.path}: votes look turned round: the column agrees of comments.csv fits the "
            "votes of -1, not those of 1; expected 1 for agreement: turn the sign of each vote"
        )
