"""Prompts for models whose chat template knows no system role."""

from __future__ import annotations

from commonweal.types import Prompt


def fold_system(prompt: Prompt) -> list[tuple[str, str]]:
    """The prompt's messages (role, text) with the system text before the first user message."""
    system = "\n\n".join(text for role, text in prompt if role == "system")
    rest: list[tuple[str, str]] = [(role, text) for role, text in prompt if role != "system"]
    at = next((i for i, (role, _) in enumerate(rest) if role == "user"), None)
    if not system:
        return rest
    if at is None:
        return [("user", system), *rest]
    rest[at] = ("user", f"{system}\n\n{rest[at][1]}")
    return rest
