"""Which data are for what, and the figures of ``first`` and its baselines on them.

Polis: a participant's opinion is the comments that they wrote and agreed with themselves; votes on
one's own comments are never targets.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import contrast
import numpy as np

from commonweal.datasets.dataset import About, Dataset, frame
from commonweal.datasets.importers.polis import import_polis
from commonweal.datasets.merging import merge
from commonweal.datasets.schema import VOTE
from commonweal.rewards.baselines import (
    ConstantRewardModel,
    CosineRewardModel,
    StatementOnlyRewardModel,
)
from commonweal.rewards.measuring import Measurement
from commonweal.rewards.measuring import measure as measure_one
from commonweal.rewards.scoring import SEED, RatedRound, rated_rounds
from commonweal.types import RewardModel

TRAIN = (
    "american-assembly.bowling-green",
    "scoop-hivemind.biodiversity",
    "scoop-hivemind.taxes",
    "scoop-hivemind.freshwater",
)
TUNE = ("scoop-hivemind.affordable-housing", "scoop-hivemind.ubi")
TEST = (
    "canadian-electoral-reform",
    "football-concussions",
    "ssis.land-bank-farmland.2rumnecbeh.2021-08-01",
)
"""Whole conversations: fitted on TRAIN, choices between models made on TUNE, reported on TEST."""

MEAN = "Polis: mean of"
"""How the name begins of the data set in which each conversation counts the same."""

HERE = Path(__file__).parent
SIDES = ("for", "against")


def conversation(data: Path, name: str) -> Dataset:
    """A whole Polis conversation, called "Polis: NAME"."""
    return merge([import_polis(data / "polis" / name)], name=f"Polis: {name}")


def conversation_rounds(data: Path, names: Sequence[str]) -> list[RatedRound]:
    """These conversations as arrays."""
    return [rated for name in names for rated in rated_rounds(conversation(data, name))]


def debates(data: Path, split: str, *, name: str) -> Dataset:
    """Opposite opinions and statements in frames kept for testing, a round a debate question."""
    rng = np.random.default_rng(SEED)
    found = contrast.read_debates(data / "debate_questions" / "questions.json", split)
    return _opposites(
        name,
        [
            (
                debate.question,
                f"t{debate.topic}",
                [contrast.draw_opinion(debate, side, rng, test=True) for side in (1, -1)],
                [contrast.draw_statement(debate, side, rng, test=True) for side in (1, -1)],
            )
            for debate in found
        ],
    )


def written_pairs(file_name: str, *, name: str) -> Dataset:
    """Opposite opinions and leaning statements written by hand, a round a question."""
    pairs = tomllib.loads((HERE / file_name).read_text(encoding="utf-8"))["pair"]
    return _opposites(
        name,
        [
            (
                pair["question"],
                None,
                [pair["for"], pair["against"]],
                [pair["statement_for"], pair["statement_against"]],
            )
            for pair in pairs
        ],
    )


def _opposites(name: str, given: Sequence[tuple[str, str | None, list[str], list[str]]]) -> Dataset:
    """Rounds of two: opinion and statement of the same side agree, of opposite sides disagree."""
    rounds, opinions, candidates, ratings = [], [], [], []
    for number, (question, topic, said, statements) in enumerate(given):
        key = {"round_id": f"r{number}"}
        about = {"group_id": f"r{number}", "question_id": f"q{number}", "question": question}
        rounds.append({**key, **about, "topic": topic})
        for side, opinion, statement in zip(SIDES, said, statements, strict=True):
            person = {"participant_id": f"r{number}/{side}"}
            opinions.append(
                {**key, **person, "opinion_id": side, "text": opinion, "source": "written"}
            )
            text = {"text": statement, "policy": "rule", "shown": True}
            candidates.append({**key, **text, "candidate_id": side})
            ratings += [
                {
                    **key,
                    **person,
                    "candidate_id": other,
                    "pass_index": 0,
                    "agreement": 1 if side == other else -1,
                }
                for other in SIDES
            ]
    return Dataset(
        About(name=name, people="simulated", scale=VOTE, source="made by this recipe"),
        rounds=frame("rounds", rounds),
        opinions=frame("opinions", opinions),
        candidates=frame("candidates", candidates),
        ratings=frame("ratings", ratings),
    )


def held_out(data: Path) -> list[Dataset]:
    """Every test set, the mean over the conversations among them."""
    polis = [conversation(data, name) for name in TEST]
    return [
        *polis,
        merge(polis, name=f"{MEAN} the {len(polis)} conversations"),
        debates(
            data, "ood_test", name="Debate questions of other topics (`ood_test`), other frames"
        ),
        written_pairs(
            "natural_pairs.toml", name="Hand-written opposite opinions (`natural_pairs.toml`)"
        ),
    ]


def tuning(data: Path) -> list[Dataset]:
    """The sets that choices between models are made on."""
    made = debates(data, "iid_test", name="Debate questions (`iid_test`), other frames")
    return [
        *(conversation(data, name) for name in TUNE),
        made.of_rounds(made.rounds["round_id"].to_list()[::2]),
        written_pairs("tuning_pairs.toml", name="Hand-written (`tuning_pairs.toml`)"),
    ]


def baselines(data: Path, encoder_folder: Path) -> list[RewardModel]:
    """What any model has to beat; fitted on TRAIN where they are fitted at all."""
    rounds = conversation_rounds(data, TRAIN)
    return [
        ConstantRewardModel(),
        StatementOnlyRewardModel(encoder_folder, rounds),
        CosineRewardModel(encoder_folder, rounds),
    ]


def measure_all(sets: Sequence[Dataset], models: Sequence[RewardModel]) -> list[Measurement]:
    """Every model on every data set."""
    return [measure_one(model, dataset) for dataset in sets for model in models]
