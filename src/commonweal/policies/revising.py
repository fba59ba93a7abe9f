"""A policy that revises a statement from what people would change about it.

Question, opinions, statement and critiques go into a prompt of its own kind; otherwise it is a
policy as any other, so that revisions are parsed, scored and picked as first statements are.

Source: Tessler et al. 2024, who add this round to Bakker et al. 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

from commonweal.errors import InputError
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.policies.kinds import Kind, is_modest, kind_of
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.prompts import RevisionTemplate, fit_opinions
from commonweal.policies.templates import load_revision_template
from commonweal.types import Critique, LanguageModel, Opinion

NAME = "revise"

TEMPLATES: dict[Kind, str] = {
    "small": "revise_small",
    "modest": "revise_plain",
    "instruction_following": "revise",
    "reasoning": "revise_reasoning",
}
"""The template for each kind of model."""

SELDOM_BETTER = (
    "a model of this size seldom revises a statement for the better: read the old text and the new "
    "one before you use either"
)
"""Said of small embedded models: language-model readers preferred what the default model wrote in
place of a statement in 1 of 7 cases, by the prompt before ``revise_plain``, with which one in five
texts could be read out (docs/LOG.md, 2026-11-30)."""

MAX_CRITIQUE_TOKENS = 2048
"""Most tokens of all critiques together in one prompt: our choice, half of what opinions have."""


def revising_policy(
    statement: str,
    critiques: Sequence[Critique],
    model: str | LanguageModel = DEFAULT_MODEL,
    *,
    template: str | RevisionTemplate | None = None,
) -> tuple[PromptedPolicy, tuple[str, ...]]:
    """The policy that revises this statement, and notes on what had to be cut.

    Args:
        statement: what people read.
        critiques: in the order in which the prompt is to hold them; blank ones are left out.
        model: what writes, as in ``load_language_model``, or one that is loaded.
        template: one of ours, the path of a .toml of that form, or as an object; by default ours
            for the kind of model.

    Raises:
        InputError: no critique says anything, they do not fit, or the template is none.
        WeightsError: model weights are missing.
        EngineError: the language model could not be loaded.
    """
    opinions_of = [
        Opinion(each.participant_id, each.text) for each in critiques if each.text.strip()
    ]
    if not opinions_of:
        raise InputError("no critique says anything; expected at least one to revise from")
    if isinstance(template, str):
        template = load_revision_template(template)
    loaded = load_language_model(model) if isinstance(model, str) else model
    if template is None:
        template = load_revision_template(TEMPLATES[kind_of(loaded)])
    texts, notes = fit_opinions(
        opinions_of,
        loaded.count_tokens,
        delimiters=template.critique.format(text="") + "\n",
        max_tokens=MAX_CRITIQUE_TOKENS,
    )
    bound = template.bound(statement, tuple(texts.values()))
    notes = tuple(note.replace("the opinion of", "the critique of") for note in notes)
    if is_modest(loaded):
        notes = (*notes, SELDOM_BETTER)
    return PromptedPolicy(NAME, loaded, bound), notes
