"""What the tests of this folder may ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from question_making import WordEncoder, make_records

from commonweal.models.encoder import SentenceEncoder

DATA = Path(__file__).parents[3] / "shared" / "data" / "debate_questions" / "questions.json"


@pytest.fixture
def word_encoder():
    return WordEncoder()


@pytest.fixture(scope="session")
def sentence_encoder(encoder_folder):
    return SentenceEncoder(encoder_folder)


@pytest.fixture(scope="session")
def public_questions():
    """The 5,645 public questions, where they are."""
    if not DATA.is_file():
        pytest.skip(f"no {DATA}: the public debate questions are not on this machine")
    return json.loads(DATA.read_text(encoding="utf-8"))


@pytest.fixture
def seed_records():
    things = [
        "bread",
        "roads",
        "parks",
        "schools",
        "ships",
        "bees",
        "rivers",
        "songs",
        "bridges",
        "hats",
        "lamps",
        "gates",
    ]
    return make_records(*(f"Should the town pay for more {thing}?" for thing in things))
