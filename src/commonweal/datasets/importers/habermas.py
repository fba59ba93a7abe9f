"""The Habermas Machine's human data (Tessler et al. 2024), as rounds.

The files were not at hand when this was written: it follows their published documentation and
refuses what differs.
"""

from __future__ import annotations

from pathlib import Path

from commonweal.datasets.dataset import About, Dataset, Step, completed
from commonweal.datasets.importers.download import SOURCES
from commonweal.datasets.importers.habermas_files import (
    COMPARISON_COLUMNS,
    COMPARISONS,
    LIKERT,
    POSITION_COLUMNS,
    POSITIONS,
    PROVENANCE,
    SPLITS,
    likert,
    read_parquet,
)
from commonweal.datasets.reading import folded, refuse
from commonweal.datasets.schema import LIKERT_7
from commonweal.errors import InputError
from commonweal.frames import pl

_NOT_STATEMENTS = r"(?i)(?:^|[\W_])(?:mock|dummy|example)(?:[\W_]|$)"  # PROVENANCE_MOCK, too
_HUMAN = "human_citizen"
_MADE_UP = rf"{_NOT_STATEMENTS}|bot_citizen"
_OTHER_OPINIONS = ("text", "metadata.id", "metadata.participant_id")
_REWARD_MODEL = "habermas-machine"


def import_habermas(folder: Path, *, name: str = "habermas-machine") -> Dataset:
    """One round for each round and iteration: opinions, statements shown and not, both ratings.

    Iteration 0 is before the critiques, 1 after. A statement's policy is its provenance. The other
    samples of the run that a statement came from are candidates that were not shown, with the
    reward model's predictions for the person of that row. A person's second rating of one statement
    is pass 1. Rows of bots, and statements that are mock, dummy or example, are dropped and
    counted. Position statement ratings are read where their file is there, the first of a person.

    Args:
        folder: with ``hm_all_candidate_comparisons.parquet`` at least.
        name: the dataset's.

    Raises:
        InputError: a file is missing or differs from the schema; the message names column and row.
    """
    path = folder / COMPARISONS
    rows = read_parquet(path, COMPARISON_COLUMNS, optional=PROVENANCE).with_row_index(
        "_row", offset=1
    )
    counts = {"rows read": rows.height}
    human = rows.filter(pl.col("metadata.provenance").str.to_lowercase() == _HUMAN)
    counts["rows dropped: not of a human citizen"] = rows.height - human.height
    if human.is_empty():
        raise InputError(f"{path}: no row has metadata.provenance {_HUMAN}; nothing to import")
    for column in ("launch_id", "round_id", "iteration_index", "question.id", "question.text"):
        refuse(path, human, pl.col(column).is_null(), column, "a value")
    human = human.with_columns(
        pl.col("round_id").alias("_round"),
        pl.format("{}/{}/{}", "launch_id", "round_id", "iteration_index").alias("round_id"),
        pl.coalesce("worker_id", "own_opinion.metadata.participant_id").alias("participant_id"),
    )
    refuse(path, human, pl.col("participant_id").is_null(), "worker_id", "a value")
    human = _without_mock(human, counts)
    if human.is_empty():
        raise InputError(f"{path}: no row has an opinion that a person wrote; nothing to import")

    opinions = _opinions(human)
    shown = _shown(path, human)
    fit = ~pl.col("policy").str.contains(_NOT_STATEMENTS)
    counts["statements dropped: mock, dummy or example"] = (
        shown.filter(~fit).unique(["round_id", "candidate_id"]).height
    )
    shown = shown.filter(fit)
    candidates, n_unknown = _candidates(shown, opinions)
    counts["statements whose parents are not all opinions of the round"] = n_unknown
    samples = _samples(path, shown)
    ratings = _ratings(path, shown)
    positions = _position_ratings(folder, human)
    tables = {
        "rounds": _rounds(path, human),
        "opinions": opinions,
        "candidates": pl.concat(
            [
                candidates,
                samples.filter(~pl.col("shown"))
                .unique(["round_id", "candidate_id"], maintain_order=True)
                .select("round_id", "candidate_id", "text", "policy", "shown"),
            ],
            how="diagonal",
        ),
        "ratings": ratings,
        "position_ratings": positions,
        "predictions": samples.drop_nulls("reward")
        .unique(["round_id", "participant_id", "candidate_id"], maintain_order=True)
        .select(
            "round_id",
            "participant_id",
            "candidate_id",
            "reward",
            pl.lit(_REWARD_MODEL).alias("reward_model"),
        ),
    }
    counts["ratings without an answer on agreement"] = ratings["agreement"].null_count()
    counts |= {name.replace("_", " "): table.height for name, table in tables.items()}
    source = SOURCES["habermas-machine"]
    return Dataset(
        About(
            name=name,
            people="human",
            scale=LIKERT_7,
            source="google-deepmind/habermas_machine (Tessler et al. 2024)",
            licence=source.licence,
            attribution=source.attribution,
            steps=(Step(what="imported from the Habermas Machine's files", counts=counts),),
        ),
        **{name: completed(name, table) for name, table in tables.items()},
    )


def _without_mock(human: pl.DataFrame, counts: dict[str, int]) -> pl.DataFrame:
    """The rows whose own opinion a person wrote, with others' opinions of that kind only.

    Whoever wrote nothing in time was given a mock opinion; the publisher's own preparation of the
    data leaves such rows out, too.
    """
    own = "own_opinion.metadata.provenance"
    others = "other_opinions.metadata.provenance"
    counts["rows dropped: their own opinion is mock, dummy, example or a bot's"] = 0
    counts["others' opinions dropped: mock, dummy, example or a bot's"] = 0
    if own in human.columns:
        made_up = pl.col(own).str.contains(_MADE_UP).fill_null(False)
        mock = human.filter(made_up).select("round_id", opinion_id="own_opinion.metadata.id")
        human = human.filter(~made_up)
        counts["rows dropped: their own opinion is mock, dummy, example or a bot's"] = mock.height
    else:
        mock = pl.DataFrame(schema={"round_id": pl.String, "opinion_id": pl.String})
    lists = [f"other_opinions.{each}" for each in _OTHER_OPINIONS]
    flat = human.select("_row", "round_id", *lists, *([others] if others in human.columns else []))
    flat = flat.explode([name for name in flat.columns if name.startswith("other_opinions.")])
    flat = flat.join(
        mock.unique().with_columns(of_mock=pl.lit(True)),
        left_on=["round_id", "other_opinions.metadata.id"],
        right_on=["round_id", "opinion_id"],
        how="left",
        maintain_order="left",
    )
    bad = pl.col("of_mock").fill_null(False)
    if others in flat.columns:
        bad |= pl.col(others).str.contains(_MADE_UP).fill_null(False)
    n_bad = flat.filter(bad).height
    if not n_bad:
        return human
    counts["others' opinions dropped: mock, dummy, example or a bot's"] = n_bad
    kept = flat.filter(~bad).group_by("_row", maintain_order=True).agg(*lists)
    return human.drop(lists).join(kept, on="_row", how="left", maintain_order="left")


def _rounds(path: Path, human: pl.DataFrame) -> pl.DataFrame:
    key = pl.col("question.split").cast(pl.String).str.to_lowercase()
    refuse(path, human, ~key.is_in(list(SPLITS)), "question.split", "1 to 4")
    rounds = human.unique("round_id", maintain_order=True)
    # What is written after the critiques revises the statement of the iteration before.
    before = pl.format("{}/{}/{}", "launch_id", "_round", pl.col("iteration_index") - 1)
    is_there = before.is_in(rounds["round_id"].implode())
    return rounds.select(
        "round_id",
        group_id="launch_id",
        revises_round_id=pl.when(is_there).then(before),
        question_id="question.id",
        question=folded("question.text"),
        position_statement=_or_null("question.affirming_statement"),
        topic=pl.col("question.topic").cast(pl.String),
        split=key.replace_strict(SPLITS, return_dtype=pl.String),
        x_round="_round",
        x_iteration_index="iteration_index",
    )


def _or_null(column: str) -> pl.Expr:
    """The text, white space folded; null where it is blank."""
    return pl.when(folded(column) != "").then(folded(column))


def _opinions(human: pl.DataFrame) -> pl.DataFrame:
    """Everybody's, once: a person's own row says it, or others' rows where there is none."""
    workers = human.select(
        "round_id", "participant_id", person="own_opinion.metadata.participant_id"
    ).unique(["round_id", "person"], maintain_order=True)
    own = human.select(
        "round_id",
        "participant_id",
        opinion_id="own_opinion.metadata.id",
        text=_or_null("own_opinion.text"),
    )
    lists = [
        f"other_opinions.{name}" for name in ("text", "metadata.id", "metadata.participant_id")
    ]
    others = (
        human.select("round_id", *lists)
        .explode(lists)
        .select("round_id", opinion_id=lists[1], text=_or_null(lists[0]), person=pl.col(lists[2]))
        .join(workers, on=["round_id", "person"], how="left", maintain_order="left")
        .select(
            "round_id",
            pl.coalesce("participant_id", "person").alias("participant_id"),
            "opinion_id",
            "text",
        )
    )
    return (
        pl.concat([own, others])
        .drop_nulls()
        .unique(["round_id", "participant_id"], keep="first", maintain_order=True)
        .with_columns(source=pl.lit("written"))
    )


def _shown(path: Path, human: pl.DataFrame) -> pl.DataFrame:
    """One row a person and statement shown, with what belongs to it still in lists."""
    ranks = pl.col("rankings.numerical_ranks")
    lists = {
        "text": "candidates.text",
        "candidate_id": "candidates.metadata.id",
        "policy": "candidates.metadata.provenance",
        "template": "candidates.metadata.generative_model.template_name",
        "parents": "candidates.parent_statement_ids",
        "all_texts": "candidates.all_texts",
        "rewards": "candidates.all_reward_predictions",
        "agreement": "ratings.agreement",
        "quality": "ratings.quality",
    }
    n_shown = pl.col("candidates.metadata.id").list.len()
    shown = human.filter(n_shown > 0).select(
        "_row",
        "round_id",
        "participant_id",
        *(pl.col(name).alias(to) for to, name in lists.items()),
    )
    # A list that is missing in a row is one of nulls, so that the others can be taken apart.
    n = pl.col("candidate_id").list.len()
    for name in lists:
        kind = shown.schema[name]
        missing = pl.lit(None, dtype=kind.inner).repeat_by(n)  # type: ignore[attr-defined]
        there = pl.col(name).list.len() > 0
        shown = shown.with_columns(pl.when(there).then(name).otherwise(missing).alias(name))
    shown = shown.explode(list(lists)).with_columns(pl.col("policy").str.to_lowercase())
    refuse(path, shown, pl.col("candidate_id").is_null(), "candidate_id", "a value")
    ranked = (
        human.select("_row", "rankings.candidate_ids", ranks)
        .explode("rankings.candidate_ids", "rankings.numerical_ranks")
        .select(
            "_row",
            candidate_id="rankings.candidate_ids",
            x_rank=pl.when(pl.col("rankings.numerical_ranks") >= 0).then(
                pl.col("rankings.numerical_ranks").cast(pl.Int64)
            ),
        )
        .unique(["_row", "candidate_id"], maintain_order=True)
    )
    return shown.join(ranked, on=["_row", "candidate_id"], how="left", maintain_order="left")


def _candidates(shown: pl.DataFrame, opinions: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The statements shown, once each, and of how many the opinions they saw are not known."""
    once = shown.unique(["round_id", "candidate_id"], keep="first", maintain_order=True)
    known = (
        once.select("round_id", "candidate_id", opinion_id="parents")
        .explode("opinion_id")
        .join(
            opinions.select("round_id", "opinion_id", found=pl.lit(True)),
            on=["round_id", "opinion_id"],
            how="left",
        )
        .group_by("round_id", "candidate_id")
        .agg(known=pl.col("found").fill_null(False).all())
    )
    once = once.join(known, on=["round_id", "candidate_id"], maintain_order="left")
    return once.select(
        "round_id",
        "candidate_id",
        _or_null("text").alias("text"),
        "policy",
        pl.lit(True).alias("shown"),
        pl.when("known").then("parents").alias("included_opinion_ids"),
        pl.col("template").alias("x_template"),
        pl.col("parents").alias("x_parent_statement_ids"),
    ), once.filter(~pl.col("known")).height


def _samples(path: Path, shown: pl.DataFrame) -> pl.DataFrame:
    """One row a person and sample of the run that a statement came from.

    A sample with the text of a statement shown in the round is that statement; the others get ids
    of their own.
    """
    sampled = shown.filter(pl.col("all_texts").list.len() > 0).with_columns(
        n_texts=pl.col("all_texts").list.len(), n_rewards=pl.col("rewards").list.len()
    )
    differ = sampled.filter((pl.col("n_rewards") > 0) & (pl.col("n_rewards") != pl.col("n_texts")))
    if not differ.is_empty():
        raise InputError(
            f"{path}, row {differ[0, '_row']}: candidates.all_reward_predictions of "
            f"{differ[0, 'candidate_id']!r} holds {differ[0, 'n_rewards']} values and "
            f"candidates.all_texts {differ[0, 'n_texts']}, expected as many"
        )
    inner = sampled.schema["rewards"].inner  # type: ignore[attr-defined]
    if not inner.is_numeric() and not sampled.is_empty() and inner != pl.Null:
        raise InputError(
            f"{path}: column 'candidates.all_reward_predictions' holds lists of {inner}, "
            "expected lists of numbers, one a text of candidates.all_texts"
        )
    none = pl.lit(None, dtype=inner).repeat_by("n_texts")
    known = shown.select("round_id", text=folded("text"), known="candidate_id").unique(
        ["round_id", "text"], keep="first", maintain_order=True
    )
    return (
        sampled.with_columns(
            rewards=pl.when(pl.col("n_rewards") > 0).then("rewards").otherwise(none),
            number=pl.int_ranges(1, pl.col("n_texts") + 1),
        )
        .select(
            "round_id",
            "participant_id",
            "candidate_id",
            "policy",
            "number",
            "rewards",
            text="all_texts",
        )
        .explode("number", "rewards", "text")
        .with_columns(text=_or_null("text"), reward=pl.col("rewards").cast(pl.Float64))
        .drop_nulls("text")
        .join(known, on=["round_id", "text"], how="left", maintain_order="left")
        .with_columns(
            candidate_id=pl.coalesce("known", pl.format("{}/{}", "candidate_id", "number")),
            shown=pl.col("known").is_not_null(),
        )
    )


def _ratings(path: Path, shown: pl.DataFrame) -> pl.DataFrame:
    """One row a person, statement and pass: the second time that it comes is pass 1."""
    ratings = shown.select(
        "_row", "round_id", "participant_id", "candidate_id", "agreement", "quality", "x_rank"
    )
    for name in ("agreement", "quality"):
        if not isinstance(ratings.schema[name], pl.List):
            ratings = ratings.with_columns(pl.concat_list(name).alias(name))
    n_agreement, n_quality = (
        pl.col(name).list.len().fill_null(0) for name in ("agreement", "quality")
    )
    repeats = pl.max_horizontal(n_agreement, n_quality)
    for name in ("agreement", "quality"):
        padded = pl.col(name).list.gather(pl.int_ranges(0, repeats), null_on_oob=True)
        ratings = ratings.with_columns(padded.alias(f"_{name}"))
    ratings = (
        ratings.drop("agreement", "quality")
        .rename({"_agreement": "agreement", "_quality": "quality"})
        .explode("agreement", "quality")
    )
    ratings = ratings.with_columns(
        likert(path, ratings, name, LIKERT[name]).alias(name) for name in ("agreement", "quality")
    )
    return (
        ratings.filter(pl.any_horizontal(pl.col("agreement", "quality").is_not_null()))
        .with_columns(
            pass_index=pl.int_range(pl.len()).over("round_id", "participant_id", "candidate_id")
        )
        .drop("_row")
    )


def _position_ratings(folder: Path, human: pl.DataFrame) -> pl.DataFrame:
    """The first rating of a person and question, in the first iteration of the round."""
    path = folder / POSITIONS
    rounds = (
        human.sort("iteration_index", maintain_order=True)
        .unique(["launch_id", "question.id", "participant_id"], keep="first", maintain_order=True)
        .select("launch_id", "question.id", "participant_id", "round_id")
    )
    if not path.exists():
        return rounds.clear().select("round_id", "participant_id", agreement=pl.lit(None))
    optional = {"rating_index": "any", "round_id": "any"}
    rows = read_parquet(path, POSITION_COLUMNS, optional=optional).with_row_index("_row", offset=1)
    if isinstance(rows.schema["ratings.agreement"], pl.List):
        rows = rows.with_columns(pl.col("ratings.agreement").list.first())
    rows = rows.with_columns(agreement=likert(path, rows, "ratings.agreement", LIKERT["agreement"]))
    if "rating_index" in rows.columns:
        rows = rows.filter(pl.col("rating_index") == 0)  # later ones are after the discussion
    return (
        rows.drop_nulls("agreement")
        .select("launch_id", "question.id", "agreement", participant_id="worker_id")
        .unique(["launch_id", "question.id", "participant_id"], keep="first", maintain_order=True)
        .join(rounds, on=["launch_id", "question.id", "participant_id"], maintain_order="left")
        .select("round_id", "participant_id", "agreement")
    )
