"""Whether 1 means agreement in a Polis export: witnesses who cannot share the exporter's fault."""

from __future__ import annotations

from commonweal.datasets.importers.polis_files import PolisVotes
from commonweal.errors import InputError
from commonweal.frames import pl

_TO_TURN = "--turn-signs (turn_signs=True) turns them"
_FEWEST = 2
_CLEAR = 0.8
"""In nine public exports no author votes against their own comments on balance, and 0 to 6 % of the
single votes on one's own comment are against it."""


def check_signs(
    comments: pl.DataFrame,
    votes: PolisVotes,
    wide: PolisVotes | None,
    counts: dict[str, int],
    *,
    turned: bool,
) -> None:
    """Refuses votes whose sign is turned round: some exporters write -1 for agreement.

    The witness is how authors voted on their own comments, one voice an author: people do not
    disagree with what they just wrote. The second is the other file of votes, where both are there.
    Last comes ``agrees`` of comments.csv: what fits only the other sign is suspicious, what fits
    proves nothing, since the same exporter counted it.

    Args:
        comments: comment, author, agrees.
        votes: the votes that are read, their signs turned where that was asked for.
        wide: the export's other file of votes, not turned.
        counts: gets what the witnesses said.
        turned: the signs were turned because the user said so.

    Raises:
        InputError: the signs are the wrong way round; the message says how to turn them.
    """
    own = votes.rows.join(
        comments.select("comment", "author"), on="comment", maintain_order="left"
    ).filter(pl.col("voter") == pl.col("author"))
    voices = own.group_by("voter").agg(balance=pl.col("vote").sum())["balance"]
    n_for, n_against = int((voices > 0).sum()), int((voices < 0).sum())
    counts["signs of votes: authors who agree with their own comments"] = n_for
    counts["signs of votes: authors who disagree with their own comments"] = n_against
    n_voices = n_for + n_against
    if n_against >= _FEWEST and n_against >= _CLEAR * n_voices:
        what = f"{n_against} of {n_voices} authors disagree with their own comments"
        if turned:
            raise InputError(
                f"{votes.path}: with their signs turned, {what}; they were right: leave out "
                "--turn-signs"
            )
        raise InputError(
            f"{votes.path}: votes look turned round: {what}; expected 1 for agreement: {_TO_TURN}"
        )
    witnessed = n_for >= _FEWEST and n_for >= _CLEAR * n_voices
    if wide is not None:
        both = votes.rows.join(wide.rows, on=["voter", "comment"], suffix="_wide").filter(
            pl.col("vote") != 0, pl.col("vote_wide") != 0
        )
        n_same = int((both["vote"] == both["vote_wide"]).sum())
        counts[f"signs of votes: as in {wide.path.name}"] = n_same
        counts[f"signs of votes: opposite in {wide.path.name}"] = both.height - n_same
        if both.height - n_same > n_same and not witnessed:
            raise InputError(
                f"{votes.path}: {both.height - n_same} of {both.height} votes have the opposite "
                f"sign in {wide.path.name}, and too few authors voted on their own comments to "
                f"tell which file is right; take the wrong one away, or {_TO_TURN}"
            )
    if not witnessed and not turned:
        _check_against_agrees(comments, votes)
    if not witnessed and wide is None:
        counts["signs of votes: nothing in the export shows them (1 taken as agreement)"] = 1


def _check_against_agrees(comments: pl.DataFrame, votes: PolisVotes) -> None:
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
            f"votes of -1, not those of 1; expected 1 for agreement: {_TO_TURN}"
        )
