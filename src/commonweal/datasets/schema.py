"""The record format: which tables a dataset holds, and what each column means.

A dataset is a folder with one Parquet file a table and ``dataset.json``, its manifest. All that is
imported, collected or simulated is kept in it, and training and evaluation read nothing else.
``docs/record_format.md`` is made from this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from commonweal.errors import InputError
from commonweal.types import RATING_MAX, RATING_MIN, RATING_NEUTRAL, SPLITS

if TYPE_CHECKING:
    from commonweal.frames import pl
    from commonweal.types import FloatArray

SCHEMA = "commonweal/rounds/1"
"""Name and version of the format. A change that an older reader would misread raises the number."""

MANIFEST = "dataset.json"
DATA_PACKAGE = "datapackage.json"
CARD, CROISSANT = "README.md", "croissant.json"
DICTIONARY, CONSENT_TEXTS = "data_dictionary.md", "consent_texts.json"
BESIDE = (CARD, CROISSANT, DICTIONARY, CONSENT_TEXTS)
"""Files that an export to a hub, or of a study, puts beside a dataset's own."""

People = Literal["human", "replayed", "simulated"]
"""Whose ratings they are. ``human``: people rated these statements in these rounds. ``replayed``:
real people's votes or ratings, given elsewhere, stand in for ratings. ``simulated``: nobody's."""

WHOSE: dict[People, str] = {
    "human": "people's ratings",
    "replayed": "replayed: real people's answers from elsewhere stand in for ratings",
    "simulated": "simulated: nobody's ratings",
}
"""Whose ratings they are, in words: for titles and plots."""

OWN_COLUMN = "x_"
"""Columns that begin so are an importer's own: kept as they came, and read by nothing here."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale that a dataset's people rated on, in whole numbers.

    Attributes:
        name: as the manifest names it.
        low: the lowest rating.
        high: the highest rating.
        neutral: neither agreement nor disagreement: above it people agree, below they disagree.
    """

    name: str
    low: int
    high: int
    neutral: int

    @property
    def as_seven_points(self) -> str:
        """How its ratings are read on the 7-point scale, in words."""
        if self.name == "likert-7":
            return "as rated, 1 to 7"
        if self.name == "vote":
            return "disagree counted as 2, pass as 4, agree as 6: a convention (docs/decisions/001)"
        return f"{self.low} to {self.high} spread evenly over 1 to 7: a convention"

    def seven_points(self, ratings: FloatArray) -> FloatArray:
        """Ratings on the 7-point scale, same shape, by the convention of ``as_seven_points``."""
        ends = (_DISAGREE, _AGREE) if self.name == "vote" else (RATING_MIN, RATING_MAX)
        points: FloatArray = RATING_NEUTRAL + (ratings - self.neutral) * (ends[1] - ends[0]) / (
            self.high - self.low
        )
        return points

    def __str__(self) -> str:
        return f"{self.name}: a whole number from {self.low} to {self.high}"


_DISAGREE, _AGREE = 2.0, 6.0
"""Where votes are read on the 7-point scale."""

LIKERT_7 = Scale("likert-7", RATING_MIN, RATING_MAX, RATING_NEUTRAL)
LIKERT_5 = Scale("likert-5", 1, 5, 3)
VOTE = Scale("vote", -1, 1, 0)
SCALES = {scale.name: scale for scale in (LIKERT_7, LIKERT_5, VOTE)}
"""The paper's seven points, five points, and agree, pass, disagree."""


def scale_named(name: str) -> Scale:
    """The scale of that name.

    Raises:
        InputError: there is none.
    """
    if name not in SCALES:
        raise InputError(f"no scale named {name!r}; expected one of {', '.join(SCALES)}")
    return SCALES[name]


Kind = Literal["text", "whole", "number", "yes or no", "texts"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        kind: what its values are; ``texts`` is a list of text.
        required: whether every row must have a value; otherwise null says that it is missing.
        refers_to: "table.column" that holds every value of it, within the same round.
        one_of: the values that there may be.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = True
    refers_to: str | None = None
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table: its columns, and those that together name a row."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def file_name(self) -> str:
        """The name of its Parquet file."""
        return f"{self.name}.parquet"

    def polars_schema(self) -> dict[str, pl.DataType]:
        """Column name to polars type, in order."""
        from commonweal.frames import pl

        types = {
            "text": pl.String(),
            "whole": pl.Int64(),
            "number": pl.Float64(),
            "yes or no": pl.Boolean(),
            "texts": pl.List(pl.String()),
        }
        return {column.name: types[column.kind] for column in self.columns}


def _optional(name: str, kind: Kind, meaning: str, **more: str | tuple[str, ...]) -> Column:
    return Column(name, kind, meaning, required=False, **more)  # type: ignore[arg-type]


_ROUND = Column("round_id", "text", "the round", refers_to="rounds.round_id")
_CANDIDATE = Column("candidate_id", "text", "the statement", refers_to="candidates.candidate_id")
_PARTICIPANT = Column("participant_id", "text", "the person; one name for a person everywhere")

ROUNDS = TableSchema(
    "rounds",
    "One group on one question. A conversation of many people is one round.",
    ("round_id",),
    (
        Column("round_id", "text", "names the round"),
        Column("group_id", "text", "the group; a group may have several rounds"),
        Column("question_id", "text", "the question; the same in every round that asks it"),
        Column("question", "text", "what was asked"),
        _optional("position_statement", "text", "a sentence that answers the question with yes"),
        _optional("topic", "text", "the question's topic"),
        _optional("split", "text", "what the question may be used for", one_of=SPLITS),
        _optional("iteration", "whole", "the iteration of the training loop, from 0"),
        _optional(
            "revises_round_id",
            "text",
            "the round on the same question whose statement this one revises, from `critiques`; "
            "null in a first round",
        ),
    ),
)
OPINIONS = TableSchema(
    "opinions",
    "What one person wrote on the question.",
    ("round_id", "opinion_id"),
    (
        _ROUND,
        Column("opinion_id", "text", "names the opinion within its round"),
        _PARTICIPANT,
        Column("text", "text", "the opinion"),
        Column(
            "source",
            "text",
            "`written` by the person, or a text made from some of their `votes`",
            one_of=("written", "votes"),
        ),
    ),
)
CANDIDATES = TableSchema(
    "candidates",
    "A statement that could be rated.",
    ("round_id", "candidate_id"),
    (
        _ROUND,
        Column("candidate_id", "text", "names the statement within its round"),
        Column("text", "text", "the statement"),
        Column(
            "policy",
            "text",
            "the policy under evaluation: its name; in a study, the arm's name (the export step "
            "says what each arm is); or `human`",
        ),
        Column("shown", "yes or no", "whether people were asked to rate it"),
        _optional("author_id", "text", "the participant who wrote it, if a person did"),
        _optional(
            "included_opinion_ids",
            "texts",
            "the opinions that the policy saw, in the prompt's order; null if unknown",
            refers_to="opinions.opinion_id",
        ),
        _optional("model", "text", "the engine's name of the language model"),
        _optional("prompt_hash", "text", "the prompt template's hash"),
        _optional("seed", "whole", "the sampling seed"),
        _optional("attempt", "whole", "0, or how often rejected completions had been redrawn"),
        _optional("alpha", "number", "inequality aversion under which it was picked to be shown"),
        _optional("welfare", "number", "its predicted welfare under that alpha"),
        _optional(
            "rank", "whole", "its rank under that alpha among the candidates of its draw; 1 is best"
        ),
        _optional(
            "same_as_candidate_id",
            "text",
            "in a revision, the statement under revision that this candidate repeats unchanged",
        ),
    ),
)
RATINGS = TableSchema(
    "ratings",
    "One person's rating of one statement in one pass. A missing answer is null, never a number.",
    ("round_id", "participant_id", "candidate_id", "pass_index"),
    (
        _ROUND,
        _PARTICIPANT,
        _CANDIDATE,
        Column("pass_index", "whole", "0 for the first rating, 1 for its repetition"),
        _optional("agreement", "whole", "on the dataset's scale, more is more agreement"),
        _optional("quality", "whole", "on the dataset's scale, more is better"),
        _optional("position", "whole", "when it was shown in that pass, from 0"),
        _optional("duration_seconds", "number", "time from showing to submitting"),
    ),
)
POSITION_RATINGS = TableSchema(
    "position_ratings",
    "One person's agreement with the round's position statement, before anything else.",
    ("round_id", "participant_id"),
    (_ROUND, _PARTICIPANT, _optional("agreement", "whole", "on the dataset's scale")),
)
PREDICTIONS = TableSchema(
    "predictions",
    "What a reward model predicted of one person and one statement.",
    ("round_id", "participant_id", "candidate_id", "reward_model"),
    (
        _ROUND,
        _PARTICIPANT,
        _CANDIDATE,
        Column("reward_model", "text", "the reward model's name or weights hash"),
        Column("reward", "number", "the raw reward"),
        _optional("expected_rating", "number", "the calibrated rating, on the seven-point scale"),
    ),
)
CRITIQUES = TableSchema(
    "critiques",
    "What one person would change about the statement that the round revises. People who did not "
    "answer have no row.",
    ("round_id", "participant_id"),
    (
        _ROUND,
        _PARTICIPANT,
        _optional("text", "text", "what they would change; null if nothing"),
        _optional("used", "yes or no", "whether the policy saw it"),
    ),
)
TABLES = {
    table.name: table
    for table in (ROUNDS, OPINIONS, CANDIDATES, RATINGS, POSITION_RATINGS, PREDICTIONS, CRITIQUES)
}
LATER: dict[str, tuple[str, ...]] = {
    "rounds": ("revises_round_id",),
    "candidates": ("same_as_candidate_id",),
    "critiques": tuple(column.name for column in CRITIQUES.columns),
}
"""What the format has had since statements are revised: where a folder lacks it, nothing was."""
