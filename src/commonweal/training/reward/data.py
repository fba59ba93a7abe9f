"""Training rows for a reward model, from datasets in the record format (paper 3.4 step 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonweal.datasets.agreements import agreements
from commonweal.datasets.comparisons import crossed_quadruples, within_person_pairs
from commonweal.datasets.dataset import Dataset
from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.rewards.pair_text import PairText
from commonweal.training.config import RewardData
from commonweal.training.training_rounds import (
    draw_share,
    named_questions,
    read_training_rounds,
)
from commonweal.types import Question, RewardInput

if TYPE_CHECKING:
    import datasets

MIN_COMPARISONS, MIN_DEVELOPMENT = 100, 20
"""Fewer teach nothing, or cannot say when to stop. Ours: the paper has 10,000 times as many."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonSet:
    """Rounds and the comparisons drawn from them.

    Attributes:
        rounds: the datasets, each cut to these rounds.
        rows: one row a comparison: dataset (its place in ``rounds``), round_id, participant_id,
            chosen_id, rejected_id, other_participant_id: who preferred the reverse, or null.
    """

    rounds: tuple[Dataset, ...]
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class RewardSplit:
    """What a run learns from, and what it keeps back for early stopping and the calibration.

    Attributes:
        counts: what came in and what was left out, in the order of the work.
    """

    training: ComparisonSet
    development: ComparisonSet
    counts: dict[str, int]

    @property
    def questions(self) -> list[str]:
        """Texts of all questions, those kept back included."""
        rounds = (*self.training.rounds, *self.development.rounds)
        return sorted({text for dataset in rounds for text in dataset.rounds["question"]})

    @property
    def development_questions(self) -> list[str]:
        """Ids of the questions kept back."""
        ids = [d.rounds["question_id"] for d in self.development.rounds]
        return sorted(pl.concat(ids).unique())


def read_split(config: RewardData, seed: int) -> RewardSplit:
    """The training rounds of the config's datasets, whole questions of them kept back.

    Rounds of a test split are never read; a dataset without splits is refused.

    Raises:
        InputError: a dataset cannot be read or has no training rounds, a question is held out for
            testing in ``question_split``, a development question is unknown, or too little is left.
    """
    counts: dict[str, int] = {}

    def count(what: str, n: int) -> None:
        counts[what] = counts.get(what, 0) + n

    datasets, asked, _ = read_training_rounds(config, counts)
    kept_back = _development_questions(asked, config, seed)
    parts = []
    for name, inside in (("training", False), ("development", True)):
        rounds = tuple(
            dataset.of_rounds(
                [
                    name
                    for name, text in dataset.rounds.select("round_id", "question").iter_rows()
                    if (normal_form(text) in kept_back) == inside
                ]
            )
            for dataset in datasets
        )
        rows = _comparisons(rounds, config, seed)
        if inside:  # in an order drawn by the seed, so that the first are a draw of all
            rows = rows.head(config.max_development_comparisons)
        part = ComparisonSet(rounds, rows)
        count(f"{name} rounds", sum(dataset.rounds.height for dataset in rounds))
        count(f"{name} comparisons", part.rows.height)
        count(f"{name} comparisons that are crossed", part.rows["other_participant_id"].count())
        parts.append(part)
    _check_enough(parts[0].rows.height, "training", MIN_COMPARISONS)
    _check_enough(parts[1].rows.height, "development", MIN_DEVELOPMENT)
    return RewardSplit(parts[0], parts[1], counts)


def as_tokens(
    part: ComparisonSet, tokenizer: Any, pair_text: PairText, *, margins: bool = False
) -> datasets.Dataset:
    """The rows as token ids, in the columns that ``CrossedRewardTrainer`` reads.

    Margins are 0 unless they are asked for: they need every rating in memory.
    """
    import datasets

    texts = [_Texts(dataset, with_agreements=margins) for dataset in part.rounds]
    place: dict[RewardInput, int] = {}
    columns: dict[str, list[Any]] = {
        "chosen_ids": [],
        "rejected_ids": [],
        "other_chosen_ids": [],
        "other_rejected_ids": [],
        "margin": [],
        "other_margin": [],
    }
    for number, round_id, person, chosen, rejected, other in part.rows.iter_rows():
        known = texts[number]
        for who, better, worse, prefix in (
            (person, chosen, rejected, ""),
            (other, rejected, chosen, "other_"),
        ):
            columns[prefix + "margin"].append(
                0.0 if who is None or not margins else known.margin(round_id, who, better, worse)
            )
            for name, candidate in (("chosen_ids", better), ("rejected_ids", worse)):
                given = None if who is None else known.input(round_id, who, candidate)
                at = None if given is None else place.setdefault(given, len(place))
                columns[prefix + name].append(at)
    ids = pair_text.encode(tokenizer, list(place))
    return datasets.Dataset.from_dict(
        {
            **{
                name: [[] if at is None else ids[at] for at in column]
                if name.endswith("_ids")
                else column
                for name, column in columns.items()
            },
            "row": list(range(part.rows.height)),
        }
    )


def inputs_of(part: ComparisonSet) -> list[RewardInput]:
    """Everything that the rows compare, each input once, in the rows' order."""
    texts = [_Texts(dataset) for dataset in part.rounds]
    inputs: dict[RewardInput, None] = {}
    for number, round_id, person, *candidates, _ in part.rows.iter_rows():
        for candidate in candidates:
            inputs[texts[number].input(round_id, person, candidate)] = None
    return list(inputs)


class _Texts:
    """Opinions, statements and agreements of a dataset by their names."""

    def __init__(self, dataset: Dataset, *, with_agreements: bool = False) -> None:
        self._questions = dict(dataset.rounds.select("round_id", "question").iter_rows())
        self._opinions = {
            (round_id, person): text
            for round_id, person, text in dataset.opinions.select(
                "round_id", "participant_id", "text"
            ).iter_rows()
        }
        self._statements = {
            (round_id, candidate): text
            for round_id, candidate, text in dataset.candidates.select(
                "round_id", "candidate_id", "text"
            ).iter_rows()
        }

        rated = agreements(dataset).rows if with_agreements else pl.DataFrame()
        self._agreement = {tuple(names): agreement for *names, agreement in rated.iter_rows()}
        self._span = dataset.about.scale.high - dataset.about.scale.low

    def margin(self, round_id: str, person: str, better: str, worse: str) -> float:
        """How far apart this person rated the two, as a share of the scale."""
        one, two = (self._agreement[round_id, person, name] for name in (better, worse))
        return float((one - two) / self._span)

    def input(self, round_id: str, person: str, candidate: str) -> RewardInput:
        return RewardInput(
            self._questions[round_id],
            self._opinions[round_id, person],
            self._statements[round_id, candidate],
        )


def _development_questions(
    asked: Sequence[Question], config: RewardData, seed: int
) -> frozenset[str]:
    """Normal forms of the questions kept back: two ids that ask the same go together."""
    if config.development:
        return named_questions(config.development, asked)
    forms = sorted({normal_form(question.text) for question in asked})
    if len(forms) < 2:
        raise InputError(
            f"the training rounds ask {len(forms)} question; expected at least 2, so that one can "
            "be kept back to say when to stop"
        )
    return draw_share(forms, config.development_share, seed)


def _comparisons(rounds: Sequence[Dataset], config: RewardData, seed: int) -> pl.DataFrame:
    """Within-person pairs, then crossed pairs of comparisons, in an order drawn by ``seed``."""
    frames = []
    for number, dataset in enumerate(rounds):
        place = pl.lit(number, dtype=pl.Int64).alias("dataset")
        frames += [
            pairs.select(
                place,
                "round_id",
                "participant_id",
                "chosen_id",
                "rejected_id",
                pl.lit(None, dtype=pl.String).alias("other_participant_id"),
            )
            for pairs in within_person_pairs(dataset, cap=config.max_pairs_per_person, seed=seed)
        ]
        if config.max_crossed_per_round:
            frames += [
                quadruples.select(
                    place,
                    "round_id",
                    participant_id="person_a",
                    chosen_id="candidate_1",
                    rejected_id="candidate_2",
                    other_participant_id="person_b",
                )
                for quadruples in crossed_quadruples(dataset, cap=1, seed=seed)
            ]
    if not frames:
        return pl.DataFrame(schema=_ROW_SCHEMA)
    comparisons = pl.concat(frames).sample(fraction=1, shuffle=True, seed=seed)
    turn = pl.int_range(pl.len()).over("dataset", "round_id", "is_crossed")
    return (
        comparisons.with_columns(is_crossed=pl.col("other_participant_id").is_not_null())
        .filter(~pl.col("is_crossed") | (turn < config.max_crossed_per_round))
        .drop("is_crossed")
    )


_ROW_SCHEMA = {
    "dataset": pl.Int64,
    "round_id": pl.String,
    "participant_id": pl.String,
    "chosen_id": pl.String,
    "rejected_id": pl.String,
    "other_participant_id": pl.String,
}


def _check_enough(n_found: int, what: str, n_needed: int) -> None:
    if n_found < n_needed:
        raise InputError(
            f"there are {n_found} {what} comparisons, expected at least {n_needed}: add rounds "
            "with ratings, keep back fewer questions, or allow more pairs a person"
        )
