"""Language-model engines behind one protocol, and the store of their weights.

A model is named by a spec, the same everywhere (Python, ``--model``, study files):

    embedded                Qwen2.5-Coder-1.5B-Instruct, run by OpenVINO GenAI; no torch
    embedded:small          SmolLM2-135M-Instruct; embedded:0.5b is Qwen2.5-Coder-0.5B-Instruct
    embedded:hub:OWNER/REPO/FILE.gguf   any GGUF file of the Hugging Face hub
    embedded:PATH.gguf      any GGUF file whose architecture OpenVINO GenAI knows
    openai:BASE_URL#MODEL   any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted
    hf:PATH                 transformers: a folder, a hub id or a GGUF; needs the extra `train`
    NAME:REST               an engine of an installed package (docs/plugins.md)
"""

from __future__ import annotations

from commonweal import registry
from commonweal.registry import ENGINES
from commonweal.types import LanguageModel

DEFAULT_MODEL = "embedded"
SMALL_MODEL = "embedded:small"
ALSO = "as embedded:small, embedded:PATH.gguf, openai:BASE_URL#MODEL or hf:PATH"


def load_language_model(spec: str = DEFAULT_MODEL) -> LanguageModel:
    """The language model that ``spec`` names, ready to generate.

    Raises:
        InputError: the spec cannot be read.
        PluginError: an installed engine cannot be imported or made.
        WeightsError: the weights are not there.
        EngineError: the engine could not load them, or is not installed.
    """
    return registry.make(ENGINES, spec, also=ALSO)  # type: ignore[no-any-return]


def check_language_model(spec: str) -> None:
    """Returns where ``load_language_model`` can read the spec and the file that it names is there.

    Nothing is loaded: packaged weights may be missing, and a server may not answer.

    Raises:
        InputError: the spec cannot be read, or names a file or folder that is no model.
        PluginError: an installed engine cannot be imported.
    """
    registry.check(ENGINES, spec, also=ALSO)
