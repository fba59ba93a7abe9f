"""Language-model engines behind one protocol, and the store of their weights.

A model is named by a spec, the same everywhere (Python, ``--model``, study files):

    embedded                the packaged SmolLM2, run by OpenVINO GenAI; no torch
    embedded:PATH.gguf      any GGUF file whose architecture OpenVINO GenAI knows
    openai:BASE_URL#MODEL   any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted
    hf:PATH                 transformers: a folder, a hub id or a GGUF; needs the extra `train`
"""

from __future__ import annotations

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
    kind, _, rest = spec.partition(":")
    if kind == "embedded":
        from commonweal.models.embedded_engine import EmbeddedModel

        return EmbeddedModel.from_spec(rest)
    if kind == "openai" and rest:
        from commonweal.models.openai_engine import OpenAIModel

        return OpenAIModel.from_spec(rest)
    if kind == "hf" and rest:
        from commonweal.models.transformers_engine import TransformersModel

        return TransformersModel.from_spec(rest)
    raise InputError(
        f"cannot read the model {spec!r}; expected embedded, embedded:PATH.gguf, "
        "openai:BASE_URL#MODEL or hf:PATH"
    )
