"""Language-model engines behind one protocol, and the store of their weights.

A model is named by a spec, the same everywhere (Python, ``--model``, study files):

    embedded                the packaged SmolLM2, run by OpenVINO GenAI; no torch
    embedded:PATH.gguf      any GGUF file whose architecture OpenVINO GenAI knows
    openai:BASE_URL#MODEL   any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted
    hf:PATH                 transformers: a folder, a hub id or a GGUF; needs the extra `train`
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commonweal.errors import InputError

if TYPE_CHECKING:
    from commonweal.types import LanguageModel

DEFAULT_MODEL = "embedded"


def load_language_model(spec: str = DEFAULT_MODEL) -> LanguageModel:
    """The language model that ``spec`` names, ready to generate.

    Raises:
        InputError: the spec cannot be read.
        WeightsError: the weights are not there.
        EngineError: the engine could not load them, or is not installed.
    """
    kind, rest = _parsed(spec)
    if kind == "embedded":
        from commonweal.models.embedded_engine import EmbeddedModel

        return EmbeddedModel.from_spec(rest)
    if kind == "openai":
        from commonweal.models.openai_engine import OpenAIModel

        return OpenAIModel.from_spec(rest)
    from commonweal.models.transformers_engine import TransformersModel

    return TransformersModel.from_spec(rest)


def check_language_model(spec: str) -> None:
    """Returns where ``load_language_model`` can read the spec and the file that it names is there.

    Nothing is loaded: packaged weights may be missing, and a server may not answer.

    Raises:
        InputError: the spec cannot be read, or names a file or folder that is no model.
    """
    kind, rest = _parsed(spec)
    if kind == "openai":
        from commonweal.models.openai_wire import checked

        base_url, _, model = rest.partition("#")
        checked(base_url, model)
    elif kind == "hf":
        from commonweal.models.transformers_engine import located

        located(rest)
    elif rest and not Path(rest).expanduser().is_file():
        raise InputError(f"no model at {rest}; expected a GGUF file")


def _parsed(spec: str) -> tuple[str, str]:
    """(Kind of engine, what follows its colon)."""
    kind, _, rest = spec.partition(":")
    if kind == "embedded" or (kind in ("openai", "hf") and rest):
        return kind, rest
    raise InputError(
        f"cannot read the model {spec!r}; expected embedded, embedded:PATH.gguf, "
        "openai:BASE_URL#MODEL or hf:PATH"
    )
