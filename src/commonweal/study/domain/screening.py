"""The automatic screen: what is held back before others see it. People decide in ``held_texts``."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from commonweal.study.config import StudyConfig


def flags_of(text: str) -> list[str]:
    """The names of what the screen finds in a text (``screen.toml``), each once."""
    return [name for name, patterns in _rules() if any(each.search(text) for each in patterns)]


def screen_opinion(config: StudyConfig, flags: list[str]) -> str:
    """Whether an opinion may go into a prompt: clear, rejected, or held for a person."""
    if not flags or config.moderation.mode == "off":
        return "clear"
    return "rejected" if config.moderation.mode == "automatic" else "held"


def screen_statement(config: StudyConfig, flags: list[str]) -> str:
    """Whether a statement may be shown: clear, rejected, or held for a person."""
    if config.moderation.mode == "review":
        return "held"
    return "rejected" if flags and config.moderation.mode == "automatic" else "clear"


@cache
def _rules() -> tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]:
    text = (resources.files("commonweal.study.domain") / "screen.toml").read_text(encoding="utf-8")
    return tuple(
        (flag["name"], tuple(re.compile(each, re.IGNORECASE) for each in flag["patterns"]))
        for flag in tomllib.loads(text)["flags"]
    )
