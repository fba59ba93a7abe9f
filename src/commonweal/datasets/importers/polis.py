"""Polis exports: people's own comments and their votes on each other's, as one round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from commonweal.datasets.dataset import About, Dataset, Step, completed
from commonweal.datasets.importers.polis_export import opened
from commonweal.datasets.importers.polis_files import (
    PolisVotes,
    read_comments,
    read_summary,
    read_votes,
)
from commonweal.datasets.importers.polis_signs import check_signs
from commonweal.datasets.schema import VOTE
from commonweal.errors import InputError
from commonweal.frames import pl

Opinions = Literal["written", "votes"]


def import_polis(
    folder: Path,
    *,
    opinions: Opinions = "written",
    n_votes: int = 5,
    seed: int = 0,
    name: str | None = None,
    question: str | None = None,
    turn_signs: bool = False,
    simulated: bool = False,
    licence: str = "",
    attribution: str = "",
) -> Dataset:
    """A conversation as one round: comments are candidates, votes are ratings on the vote scale.

    A participant's opinion is the comments that they wrote and agreed with themselves, one a line:
    moderators type in seed comments that they do not hold, so a comment whose author did not vote
    for it says nothing about that person. With ``opinions="votes"`` it is a text made from
    ``n_votes`` of their votes for or against others' comments, chosen by ``seed``, and these votes
    are no ratings any more.

    Comments that were moderated out or are marked ``is-meta`` (facts about the person) are not
    candidates. The last vote counts where somebody changed
    their mind. Votes on one's own comment stay; comparisons drop them by ``author_id``. People
    without an opinion keep their ratings. What was dropped is counted in the dataset's step.

    Args:
        folder: the export, or a zip of it; names may have a prefix.
        opinions: "written", or "votes".
        n_votes: votes in an opinion that is made from votes.
        seed: chooses them.
        name: the conversation's; the folder's by default. It begins every participant's id, so that
            two conversations never share one.
        question: what was asked; the export's topic by default.
        turn_signs: the export has 1 for disagreement and -1 for agreement.
        simulated: nobody cast these votes; else they are real people's, replayed.
        licence: under which the export may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: a file or column is missing, a value is not what Polis writes (the message names
            the row), or nothing is left to rate.
    """
    if opinions not in ("written", "votes"):
        raise InputError(f"opinions is {opinions!r}, expected 'written' or 'votes'")
    if n_votes < 1:
        raise InputError(f"n_votes is {n_votes}, expected at least 1")
    name = name or (folder.stem if folder.is_file() else folder.resolve().name)
    counts: dict[str, int] = {}
    with opened(folder) as export:
        summary = read_summary(export, needed=question is None)
        comments = read_comments(export, counts)
        votes, other = read_votes(export)
        if turn_signs:
            votes = replace(votes, rows=votes.rows.with_columns(vote=-pl.col("vote")))
        check_signs(comments, votes, other, counts, turned=turn_signs)
    counts["votes whose time was rounded: their order is the file's"] = votes.n_rounded
    counts["votes whose sign was turned"] = votes.n_read if turn_signs else 0
    placed = _placed(votes, comments, counts)
    if opinions == "votes":
        chosen = _chosen(placed, n_votes, np.random.default_rng(seed))
        texts = _texts_from_votes(chosen, comments)
        placed = placed.join(chosen, on=["voter", "comment"], how="anti", maintain_order="left")
        counts["votes dropped: told in the person's opinion"] = chosen.height
    else:
        texts = _texts_written(placed, comments)
    cast = placed.filter("candidate")

    people = pl.concat([cast["voter"], texts["voter"], comments["author"]]).unique().sort()
    ids = pl.DataFrame({"voter": people, "participant_id": name + "/" + people.cast(pl.String)})
    candidates = comments.filter("candidate").join(
        ids.rename({"voter": "author", "participant_id": "author_id"}),
        on="author",
        how="left",
        maintain_order="left",
    )
    if candidates.is_empty() or cast.is_empty():
        raise InputError(
            f"{folder}: no vote on a comment that was not moderated out is left; nothing to rate"
        )
    counts |= {
        "people": cast["voter"].n_unique(),
        "people with an opinion": texts.height,
        "statements": candidates.height,
        "ratings": cast.height,
    }
    in_round = pl.lit(name).alias("round_id")
    return Dataset(
        About(
            name=name,
            people="simulated" if simulated else "replayed",
            scale=VOTE,
            source="Polis export",
            licence=licence,
            attribution=attribution,
            steps=(
                Step(
                    what="imported from Polis",
                    options={"opinions": opinions, "seed": seed}
                    | ({"n_votes": n_votes} if opinions == "votes" else {}),
                    counts=counts,
                ),
            ),
        ),
        rounds=completed(
            "rounds",
            pl.DataFrame(
                {
                    "round_id": name,
                    "group_id": name,
                    "question_id": name,
                    "question": question or summary.get("topic"),
                    "x_description": summary.get("conversation-description") or None,
                },
                schema_overrides={"x_description": pl.String},
            ),
        ),
        opinions=completed(
            "opinions",
            texts.join(ids, on="voter", maintain_order="left").select(
                in_round,
                "participant_id",
                "text",
                opinion_id=pl.col("voter").cast(pl.String),
                source=pl.lit(opinions),
            ),
        ),
        candidates=completed(
            "candidates",
            candidates.select(
                in_round,
                "text",
                "author_id",
                candidate_id=pl.col("comment").cast(pl.String),
                policy=pl.lit("human"),
                shown=pl.lit(True),
            ),
        ),
        ratings=completed("ratings", _ratings(name, cast, ids, candidates)),
    )


def _ratings(
    name: str, cast: pl.DataFrame, ids: pl.DataFrame, candidates: pl.DataFrame
) -> pl.DataFrame:
    """Votes with the names of people and comments: found by position, not joined, for speed."""
    at_voter = np.searchsorted(ids["voter"].to_numpy(), cast["voter"].to_numpy())
    at_comment = np.searchsorted(candidates["comment"].to_numpy(), cast["comment"].to_numpy())
    return pl.DataFrame(
        {
            "participant_id": ids["participant_id"].gather(at_voter),
            "candidate_id": candidates["comment"].cast(pl.String).gather(at_comment),
            "agreement": cast["vote"],
        }
    ).with_columns(round_id=pl.lit(name), pass_index=pl.lit(0))


def _placed(votes: PolisVotes, comments: pl.DataFrame, counts: dict[str, int]) -> pl.DataFrame:
    """The votes with two more columns: own (on one's own comment) and candidate."""
    numbers = comments["comment"].to_numpy()
    wanted = votes.rows["comment"].to_numpy()
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    known = numbers[at] == wanted
    candidate = comments["candidate"].to_numpy()[at] & known
    own = (comments["author"].to_numpy()[at] == votes.rows["voter"].to_numpy()) & known
    counts["votes read"] = votes.n_read
    counts["votes dropped: changed by the person later"] = votes.n_read - votes.rows.height
    counts["votes dropped: no such comment"] = int((~known).sum())
    counts["votes dropped: on a comment dropped"] = int((known & ~candidate).sum())
    return votes.rows.with_columns(own=pl.Series(own), candidate=pl.Series(candidate))


def _texts_written(placed: pl.DataFrame, comments: pl.DataFrame) -> pl.DataFrame:
    """voter, text: each person's comments that they agreed with, one a line, oldest first.

    A comment that was moderated out is its author's opinion still.
    """
    return (
        placed.filter("own", pl.col("vote") == 1)
        .join(comments.filter("sayable").select("comment", "text"), on="comment")
        .sort("voter", "comment")
        .group_by("voter", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )


def _chosen(placed: pl.DataFrame, n_votes: int, rng: np.random.Generator) -> pl.DataFrame:
    """``n_votes`` votes of each person who has as many for or against others' statements.

    Their order is random too.
    """
    usable = placed.filter("candidate", ~pl.col("own"), pl.col("vote") != 0)
    return (
        usable.with_columns(draw=pl.Series(rng.random(usable.height)))
        .filter(pl.len().over("voter") >= n_votes)
        .sort("voter", "draw")
        .filter(pl.int_range(pl.len()).over("voter") < n_votes)
    )


def _texts_from_votes(chosen: pl.DataFrame, comments: pl.DataFrame) -> pl.DataFrame:
    """voter, text: one line a vote, with the statement in full."""
    says = pl.when(pl.col("vote") == 1).then(pl.lit("I agree")).otherwise(pl.lit("I disagree"))
    return (
        chosen.join(comments.select("comment", "text"), on="comment", maintain_order="left")
        .with_columns(text=pl.format('{}: "{}"', says, "text"))
        .group_by("voter", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
