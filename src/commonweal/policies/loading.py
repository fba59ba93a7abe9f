"""Policies ready to write: a writer's name or folder, and the language model behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from commonweal.errors import EngineError, InputError
from commonweal.models import DEFAULT_MODEL, load_language_model, store
from commonweal.policies.folder import FineTunedPolicy, read_policy_folder, shipped_policy
from commonweal.policies.names import read_policy_name
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.prompts import WorkedExample, load_template
from commonweal.types import LanguageModel, Policy, Progress, no_progress


def load_policy(
    name: str,
    model: str | LanguageModel = DEFAULT_MODEL,
    *,
    examples: Sequence[WorkedExample] = (),
    load_model: Callable[[str], LanguageModel] = load_language_model,
) -> Policy:
    """The policy of this name or folder over a language model.

    A fine-tuned policy brings its own weights: with the default model it runs on the embedded
    engine where its base is the packaged one, else on transformers. With ``openai:URL#NAME`` the
    server is taken to serve the fine-tuned weights, which nobody can check from here.

    Args:
        name: of a writer, with or without a rule ("sft", "sft_rawlsian"), or a policy folder.
        model: the language model, as in ``load_language_model``, or one that is loaded.
        examples: for ``few_shot``, instead of those that come with it (see
            ``collected_examples``); the template's hash, which every candidate keeps, tells them.
        load_model: loads it; a caller with several policies over one model hands in its own.

    Raises:
        InputError: an unknown name, a damaged folder, a model that the policy was not made for, or
            examples for another policy than few_shot.
        WeightsError: model weights are missing.
        EngineError: the language model could not be loaded.
    """
    writer = read_policy_name(name).writer
    if examples and writer != "few_shot":
        raise InputError(
            f"the policy {name} takes no worked examples; expected few_shot, whose prompt has them"
        )
    if writer in ("zero_shot", "few_shot"):
        template = load_template(writer)
        if examples:
            template = replace(template, examples=tuple(examples))
        used = load_model(model) if isinstance(model, str) else model
        return PromptedPolicy(writer, used, template)
    tuned = shipped_policy() if writer == "sft" else read_policy_folder(Path(writer).expanduser())
    label = "sft" if writer == "sft" else tuned.name
    if model == DEFAULT_MODEL:
        return PromptedPolicy(label, _own_model(tuned, label), tuned.template)
    if isinstance(model, str) and model.startswith("openai:"):
        return PromptedPolicy(label, load_model(model), tuned.template)
    if isinstance(model, str) or model.model_id == f"embedded:{tuned.base}":
        raise InputError(
            f"the policy {name} is {tuned.base} after fine-tuning and brings its own weights; it "
            f"cannot run on {model if isinstance(model, str) else model.model_id}. Leave the model "
            "out, give openai:URL#NAME of a server that serves the fine-tuned weights, or take "
            "few_shot"
        )
    return PromptedPolicy(label, model, tuned.template)


def merged_file(tuned: FineTunedPolicy, *, on_progress: Progress = no_progress) -> Path:
    """The GGUF file of the packaged base with the policy's updates, made once and kept.

    Raises:
        InputError: the policy is not low-rank updates of packaged weights.
        WeightsError: those are not pulled.
    """
    from commonweal.models.merged import merged_weights

    if tuned.weights != "lora" or tuned.base not in store.WEIGHTS:
        raise InputError(
            f"{tuned.path} holds {tuned.weights} weights of {tuned.base}; expected low-rank "
            f"updates of packaged weights ({', '.join(store.WEIGHTS)})"
        )
    base = store.require(tuned.base) / (store.known(tuned.base).requantise or "")
    return merged_weights(
        base, tuned.path, on_progress=lambda n_done, n: on_progress("merge", n_done, n)
    )


def _own_model(tuned: FineTunedPolicy, label: str) -> LanguageModel:
    if tuned.weights == "lora" and tuned.base in store.WEIGHTS:
        from commonweal.models.embedded_engine import EmbeddedModel

        return EmbeddedModel(merged_file(tuned), model_id=f"embedded:{tuned.base}+{label}")
    if tuned.weights == "lora":
        raise EngineError(
            f"{tuned.path} holds low-rank updates of {tuned.base}, which the embedded engine "
            "cannot merge; serve both (vLLM: --enable-lora) and give openai:URL#NAME, or train "
            "with model.merge = true"
        )
    return load_language_model(f"hf:{tuned.path}")
