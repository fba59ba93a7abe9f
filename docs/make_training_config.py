"""Writes docs/training_config.md from the config's own fields: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from commonweal.training.config import RewardConfig, described

TARGET = Path(__file__).with_name("training_config.md")
HEADER = """\
# Fields of a training config

Made by `make docs` from `src/commonweal/training/config.py`; do not edit. How to train:
[training.md](training.md).

## Reward model

| field | default | what |
|---|---|---|
"""


def page() -> str:
    """The whole page as markdown."""
    rows = [
        f"| `{name}` | `{default}` | {description} |\n"
        for name, default, description in described(RewardConfig)
    ]
    return HEADER + "".join(row.replace("\\n", " ⏎ ") for row in rows)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
