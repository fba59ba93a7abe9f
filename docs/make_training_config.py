"""Writes docs/training_config.md from the config's own fields: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from commonweal.training.config import ConfigTable, RewardConfig, SftConfig, described
from commonweal.training.loop.plan import IteratePlan

TARGET = Path(__file__).with_name("training_config.md")
HEADER = """\
# Fields of training configs and plans

Made by `make docs` from `src/commonweal/training/`; do not edit. How to train: a reward model
([training.md](training.md)), a policy ([policies.md](policies.md)), both in turn
([iterate.md](iterate.md)).
"""
PAGES: dict[str, type[ConfigTable]] = {
    "Reward model (`commonweal train reward`)": RewardConfig,
    "Policy (`commonweal train sft`)": SftConfig,
    "Training loop (`commonweal iterate`)": IteratePlan,
}


def page() -> str:
    """The whole page as markdown."""
    parts = [HEADER]
    for title, kind in PAGES.items():
        parts.append(f"\n## {title}\n\n| field | default | what |\n|---|---|---|\n")
        parts += [
            f"| `{name}` | `{default}` | {description} |\n".replace("\\n", " ⏎ ")
            for name, default, description in described(kind)
        ]
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
