"""Policies ready to write: a name, a folder or a prompt template, over a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from commonweal import registry
from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.policies.folder import FILE
from commonweal.policies.names import TEMPLATE_ENDING, NamedPolicy, read_policy_name
from commonweal.policies.prompts import WorkedExample
from commonweal.policies.ruled import RuledPolicy
from commonweal.policies.templates import load_template
from commonweal.policies.writers import ModelChoice, from_folder, from_template
from commonweal.registry import POLICIES
from commonweal.types import LanguageModel, Policy


def load_policy(
    name: str,
    model: str | LanguageModel = DEFAULT_MODEL,
    *,
    examples: Sequence[WorkedExample] = (),
    load_model: Callable[[str], LanguageModel] = load_language_model,
) -> Policy:
    """The policy of this name, folder or prompt template over a language model.

    A fine-tuned policy brings its own weights: with the default model it runs on the embedded
    engine where its base is the packaged one, else on transformers. With ``openai:URL#NAME`` the
    server is taken to serve the fine-tuned weights, which nobody can check from here.

    A name with a rule ("sft_rawlsian", "few_shot_base") gives a policy that keeps it: see
    ``policies.ruled``.

    Args:
        name: of a registered policy, with or without a rule, a policy folder or a .toml file.
        model: the language model, as in ``load_language_model``, or one that is loaded.
        examples: for ``few_shot``, instead of those that come with it (see
            ``collected_examples``); the template's hash, which every candidate keeps, tells them.
        load_model: loads it; a caller with several policies over one model hands in its own.

    Raises:
        InputError: an unknown name, a damaged folder or template, a model that the policy was not
            made for, or examples for a policy that takes none.
        PluginError: an installed policy cannot be imported or made.
        WeightsError: model weights are missing.
        EngineError: the language model could not be loaded.
    """
    named = read_policy_name(name)
    writer = _writer(named, ModelChoice(model, load_model), examples)
    if named.rule is None and not named.is_base:
        return writer
    return RuledPolicy(writer, named)


def check_policy(name: str) -> None:
    """Returns where ``load_policy`` would find something by this name; no weights are read.

    Raises:
        InputError: there is no such policy or rule, no such file, or it is no prompt template.
        PluginError: an installed policy cannot be imported.
    """
    named = read_policy_name(name)
    if not named.is_path:
        registry.maker(registry.find(POLICIES, named.writer))
    elif named.writer.lower().endswith(TEMPLATE_ENDING):
        load_template(named.writer)
    elif not (Path(named.writer).expanduser() / FILE).is_file():
        raise InputError(
            f"no policy in {named.writer!r}; expected a folder with {FILE}, or a prompt template "
            "(NAME.toml)"
        )


def _writer(named: NamedPolicy, model: ModelChoice, examples: Sequence[WorkedExample]) -> Policy:
    if named.is_path:
        if examples:
            raise _takes_none(named.writer)
        is_template = named.writer.lower().endswith(TEMPLATE_ENDING)
        return (from_template if is_template else from_folder)(named.writer, model)
    entry = registry.find(POLICIES, named.writer)
    if not examples:
        return registry.called(entry, model)  # type: ignore[no-any-return]
    if "examples" not in [each.name for each in registry.parameters(registry.maker(entry))]:
        raise _takes_none(named.name)
    return registry.called(entry, model, examples=examples)  # type: ignore[no-any-return]


def _takes_none(name: str) -> InputError:
    return InputError(
        f"the policy {name} takes no worked examples; expected few_shot, whose prompt has them"
    )
