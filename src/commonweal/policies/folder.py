"""A fine-tuned policy on disk: what its base is, the prompt it was trained on, its weights.

Beside ``policy.json`` lie PEFT's two files, so that whatever reads PEFT (vLLM, transformers) takes
the folder as it is; or all weights as transformers writes them, where every weight was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.errors import InputError
from commonweal.files import read_text, sha256_of, write_whole
from commonweal.policies.prompts import PromptTemplate, WorkedExample, sampling_of

FILE = "policy.json"
FORMAT = "commonweal/policy/1"
WEIGHTS = {
    "lora": ("adapter_model.safetensors",),
    "whole": ("model.safetensors", "model.safetensors.index.json"),
}
"""The file that holds what was trained; of weights in several files the list of them."""

MAX_FILE_BYTES = 1_000_000


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["commonweal/policy/1"] = FORMAT  # type: ignore[assignment]
    name: str = Field(min_length=1)
    base: str = Field(min_length=1)
    weights: Literal["lora", "whole"]
    template: dict[str, Any]
    template_hash: str
    sha256: str
    made: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FineTunedPolicy:
    """What a policy folder says.

    Attributes:
        path: the folder.
        name: under which its candidates are recorded.
        base: the network that was fine-tuned: packaged weights by name, a path, or a hub id.
        weights: a LoRA adapter of the base (``lora``), or all weights (``whole``).
        template: the prompt that it was trained to answer.
        made: how it was made: config, best step, counts.
    """

    path: Path
    name: str
    base: str
    weights: Literal["lora", "whole"]
    template: PromptTemplate
    made: Mapping[str, Any]


def shipped_policy() -> FineTunedPolicy:
    """The policy that comes with commonweal: SmolLM2-135M-Instruct after the starter set."""
    with resources.as_file(resources.files("commonweal.policies") / "sft") as folder:
        return read_policy_folder(folder)


def read_policy_folder(path: Path) -> FineTunedPolicy:
    """The policy in this folder.

    Raises:
        InputError: there is none, its file cannot be read, or its template is not the one that it
            was trained on.
    """
    file = path / FILE
    if not file.is_file():
        raise InputError(
            f"no policy in {path}: there is no {FILE} in it; expected a folder that `commonweal "
            "train sft` wrote (its `policy`)"
        )
    text = read_text(file, expected="a policy's description", max_bytes=MAX_FILE_BYTES)
    try:
        record = _Record.model_validate_json(text)
        template = _template_of(record.template)
    except (ValidationError, TypeError, KeyError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InputError(f"{file}: not a policy of format {FORMAT}: {what}") from None
    if template.hash != record.template_hash:
        raise InputError(
            f"{file}: its template has the hash {template.hash}, and the weights were trained with "
            f"{record.template_hash}; a policy must be prompted as it was trained. Restore the "
            "file, or train again with the other template"
        )
    weights = _weights_file(path, record.weights)
    if sha256_of(weights) != record.sha256:
        raise InputError(
            f"{path}: {weights.name} is not the one that {FILE} was written for (its sha256 "
            "differs); copy the whole folder again, or train it again"
        )
    return FineTunedPolicy(path, record.name, record.base, record.weights, template, record.made)


def write_policy_file(
    path: Path,
    *,
    name: str,
    base: str,
    weights: Literal["lora", "whole"],
    template: PromptTemplate,
    made: Mapping[str, Any],
) -> None:
    """Writes ``policy.json`` beside weights that are in the folder already."""
    record = _Record(
        name=name,
        base=base,
        weights=weights,
        template=asdict(template),
        template_hash=template.hash,
        sha256=sha256_of(_weights_file(path, weights)),
        made=dict(made),
    )
    write_whole(path / FILE, record.model_dump_json(indent=2) + "\n")


def _weights_file(path: Path, kind: Literal["lora", "whole"]) -> Path:
    for name in WEIGHTS[kind]:
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path}: {WEIGHTS[kind][0]} is missing; copy the whole folder, or train it again"
    )


def _template_of(parts: dict[str, Any]) -> PromptTemplate:
    known = dict(parts)
    examples = tuple(
        WorkedExample(each["question"], tuple(each["opinions"]), each["statement"])
        for each in known.pop("examples")
    )
    sampling = sampling_of(known.pop("sampling"))
    return PromptTemplate(**known, sampling=sampling, examples=examples)
