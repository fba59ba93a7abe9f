"""What names of models and policies leave open: the files and options that stand behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commonweal import registry
from commonweal.files import content_hash
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.policies.files import policy_files
from commonweal.rewards.prompted import PromptedRewardModel
from commonweal.rewards.prompted_calibration import calibration_path, calibrations_folder


def hashes_behind(given: Mapping[str, Any]) -> dict[str, str]:
    """Of the options that name a file or set a server's options, a hash of these.

    Another content under the same name is another question. Only hashes are told: a server's
    options stay where they are.

    Raises:
        InputError: a server's options cannot be read.
        CommonwealError: there are calibrations, and the server that ``prompted`` reads with
            cannot be used.
    """
    policy = given.get("policy")
    parts = {
        "policy": [content_hash(path) for path in policy_files(policy)]
        if isinstance(policy, str)
        else [],
        **{
            name: [_behind(given[name])]
            for name in ("model", "reward")
            if isinstance(given.get(name), str)
        },
    }
    if isinstance(reward := given.get("reward"), str) and registry.split(reward)[0] == "prompted":
        engine = registry.split(reward)[1] or given.get("model") or DEFAULT_MODEL
        parts["reward"] += _calibrations(str(engine))
    return {
        f"{name}_sha256": hashlib.sha256("".join(known).encode()).hexdigest()
        for name, hashes in parts.items()
        if (known := [each for each in hashes if each])
    }


def _behind(name: str) -> str | None:
    """The content of the file or folder that a name ends in, or a server's options in full."""
    head, part = registry.split(name)
    if head == "openai":
        from commonweal.models.openai_engine import OpenAIModel

        return OpenAIModel.options_suffix(part)
    if head == "prompted":
        return _behind(part)
    is_named = head in (*registry.names(registry.ENGINES), *registry.names(registry.REWARD_MODELS))
    path = part if is_named else name
    return content_hash(Path(path).expanduser()) if path else None


def _calibrations(engine: str) -> list[str | None]:
    """The contents of the calibrations that ``prompted`` may read with, for this engine.

    A server's own is known by its name. Of other engines it shows once their weights are loaded,
    which is the workers' business, and nobody's where all is done: each of them counts that is not
    by its own words another kind of engine's.
    """
    there = sorted(calibrations_folder().glob("*.json"))
    kind = registry.split(engine)[0]
    if there and kind == "openai":
        reads = PromptedRewardModel(load_language_model(engine))
        return [content_hash(calibration_path(reads.weights_hash))]
    others = {*registry.names(registry.ENGINES)} - {kind}
    return [content_hash(path) for path in there if _kind_calibrated(path) not in others]


def _kind_calibrated(path: Path) -> str:
    """The kind of engine that a calibration says it belongs to; "" where it does not say."""
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["reward_model"]
        return registry.split(registry.split(name)[1])[0]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
