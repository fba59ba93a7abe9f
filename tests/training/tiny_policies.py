"""A random network of a few thousand weights that chats, and rounds rated for quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tiny_models import WORDS, write_decoder

from commonweal.datasets.dataset import About, Dataset, frame, write_dataset
from commonweal.datasets.schema import LIKERT_7

CHAT = (
    "{% for message in messages %}{{ message['role'] + ' : ' + message['content'] + ' [EOS] ' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)
STATEMENT = "We want more {0} which we need more we want {0} ?"


def write_chatter(folder: Path) -> Path:
    """The tiny decoder, longer, with a chat template."""
    import json

    write_decoder(folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 512
    (folder / "config.json").write_text(json.dumps(config))
    options = json.loads((folder / "tokenizer_config.json").read_text())
    options["chat_template"] = CHAT
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return folder


def quality_rounds(n_rounds: int = 30, split: str = "train") -> Dataset:
    """Rounds in which everybody wants one thing; a statement for it is good, another is not."""
    rng = np.random.default_rng(1)
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("rounds", "opinions", "candidates", "ratings")
    }
    for number in range(n_rounds):
        name = f"{split}{number}"
        wanted = WORDS[number % len(WORDS)]
        tables["rounds"].append(
            {
                "round_id": name,
                "group_id": name,
                "question_id": name,
                "question": f"Which opinion number {number} of {split}?",
                "split": split,
            }
        )
        people = [f"{name}-p{n}" for n in range(4)]
        for person in people:
            tables["opinions"].append(
                {
                    "round_id": name,
                    "participant_id": person,
                    "opinion_id": person,
                    "text": f"We want {wanted}",
                    "source": "written",
                }
            )
        for column, word in enumerate(WORDS):
            tables["candidates"].append(
                {
                    "round_id": name,
                    "candidate_id": f"c{column}",
                    "text": STATEMENT.format(word),
                    "policy": "made",
                    "shown": True,
                    "included_opinion_ids": people,
                }
            )
            for person in people:
                for passed in (0, 1):
                    quality = (7 if word == wanted else 2) - int(rng.integers(2))
                    tables["ratings"].append(
                        {
                            "round_id": name,
                            "participant_id": person,
                            "candidate_id": f"c{column}",
                            "pass_index": passed,
                            "agreement": 7 if word == wanted else 1,
                            "quality": quality,
                        }
                    )
    about = About("made", "simulated", LIKERT_7, "made by rule for the tests")
    return Dataset(about, **{name: frame(name, rows) for name, rows in tables.items()})


def write_quality_rounds(folder: Path) -> Path:
    """Thirty to train on, two to test on."""
    train, test = quality_rounds(), quality_rounds(2, split="ood_test")
    both = {name: pl.concat([table, getattr(test, name)]) for name, table in train.tables().items()}
    write_dataset(Dataset(train.about, **both), folder)
    return folder
