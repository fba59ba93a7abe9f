"""The policies that come with commonweal, as the registry makes them.

A policy's entry is called with the ``ModelChoice``; one with a parameter ``examples`` is given the
worked examples that the caller has, if any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from commonweal.errors import EngineError, InputError
from commonweal.models import DEFAULT_MODEL, SMALL_MODEL, store
from commonweal.policies.folder import FineTunedPolicy, read_policy_folder, shipped_policy
from commonweal.policies.kinds import Kind, kind_of
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.prompts import WorkedExample
from commonweal.policies.templates import load_template
from commonweal.types import LanguageModel, Policy, Progress, no_progress

ZERO_SHOT: dict[Kind, str] = {
    "small": "zero_shot_small",
    "modest": "zero_shot",
    "instruction_following": "zero_shot",
    "reasoning": "zero_shot_reasoning",
}
"""The template of ``zero_shot`` for each kind of model."""

FEW_SHOT: dict[Kind, str] = {
    "small": "few_shot_small",
    "modest": "few_shot_plain",
    "instruction_following": "few_shot",
    "reasoning": "few_shot_reasoning",
}
"""The template of ``few_shot`` for each kind of model."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The language model that was asked for, not loaded yet: a policy may bring its own.

    Attributes:
        given: as in ``load_language_model``, or one that is loaded.
        load_model: loads it; a caller with several policies over one model hands in its own.
    """

    given: str | LanguageModel
    load_model: Callable[[str], LanguageModel]

    @property
    def spec(self) -> str | None:
        """What names it; None where it was given as an object."""
        return self.given if isinstance(self.given, str) else None

    @property
    def title(self) -> str:
        """What names it, also of an object."""
        return self.given if isinstance(self.given, str) else self.given.model_id

    def load(self) -> LanguageModel:
        """The model, ready to write.

        Raises:
            CommonwealError: as ``load_language_model``.
        """
        return self.load_model(self.given) if isinstance(self.given, str) else self.given


def zero_shot(model: ModelChoice) -> Policy:
    """Instructions only (paper 4.1), in words for the kind of model."""
    loaded = model.load()
    return PromptedPolicy("zero_shot", loaded, load_template(ZERO_SHOT[kind_of(loaded)]))


def few_shot(model: ModelChoice, *, examples: Sequence[WorkedExample] = ()) -> Policy:
    """Three worked examples before the group's own opinions (paper 4.1), or those that are given.

    The template's hash, which every candidate keeps, tells which.
    """
    loaded = model.load()
    template = load_template(FEW_SHOT[kind_of(loaded)])
    if examples:
        template = replace(template, examples=tuple(examples))
    return PromptedPolicy("few_shot", loaded, template)


def sft(model: ModelChoice) -> Policy:
    """Fine-tuned on statements written for this project (paper 3.4 step 2)."""
    return _fine_tuned("sft", shipped_policy(), model)


def from_folder(folder: str, model: ModelChoice) -> Policy:
    """A policy that ``commonweal train sft`` wrote, under the name that its folder says."""
    tuned = read_policy_folder(Path(folder).expanduser())
    return _fine_tuned(tuned.name, tuned, model)


def from_template(path: str, model: ModelChoice) -> Policy:
    """A prompt template of one's own, under the name of its file."""
    template = load_template(path)  # read first: loading a model takes longer
    return PromptedPolicy(Path(path).name, model.load(), template)


def _fine_tuned(label: str, tuned: FineTunedPolicy, model: ModelChoice) -> Policy:
    """The policy on its own weights, which it brings unless a server is said to serve them."""
    spec = model.spec
    if spec in (DEFAULT_MODEL, SMALL_MODEL):
        return PromptedPolicy(label, _own_model(tuned, label, model), tuned.template)
    if spec is not None and spec.startswith("openai:"):
        return PromptedPolicy(label, model.load(), tuned.template)
    if spec is not None or model.title == f"embedded:{tuned.base}":
        raise InputError(
            f"the policy {label} is {tuned.base} after fine-tuning and brings its own weights; it "
            f"cannot run on {model.title}. Leave the model out, give openai:URL#NAME of a server "
            "that serves the fine-tuned weights, or take few_shot"
        )
    return PromptedPolicy(label, model.load(), tuned.template)


def merged_file(tuned: FineTunedPolicy, *, on_progress: Progress = no_progress) -> Path:
    """The GGUF file of the packaged base with the policy's LoRA adapter, made once and kept.

    Raises:
        InputError: the policy is not a LoRA adapter of packaged weights.
        WeightsError: those are not pulled.
    """
    from commonweal.models.merged import merged_weights

    if tuned.weights != "lora" or tuned.base not in store.WEIGHTS:
        raise InputError(
            f"{tuned.path} holds {tuned.weights} weights of {tuned.base}; expected a LoRA "
            f"adapter of packaged weights ({', '.join(store.WEIGHTS)})"
        )
    base = store.require(tuned.base) / (store.known(tuned.base).gguf or "")
    return merged_weights(
        base, tuned.path, on_progress=lambda n_done, n: on_progress("merge", n_done, n)
    )


def _own_model(tuned: FineTunedPolicy, label: str, model: ModelChoice) -> LanguageModel:
    if tuned.weights == "lora" and tuned.base in store.WEIGHTS:
        from commonweal.models.embedded_engine import EmbeddedModel

        base, gguf = store.require(tuned.base), store.known(tuned.base).gguf or ""
        return EmbeddedModel(
            base / gguf,
            model_id=f"embedded:{tuned.base}+{label}",
            weights_hash=store.file_sha256(tuned.base, gguf),
            adapter=tuned.path,
        )
    if tuned.weights == "lora":
        raise EngineError(
            f"{tuned.path} holds a LoRA adapter of {tuned.base}, which the embedded engine "
            "cannot merge; serve both (vLLM: --enable-lora) and give openai:URL#NAME, or train "
            "with model.merge = true"
        )
    return model.load_model(f"hf:{tuned.path}")
