"""Prompt templates read from files, ours and anybody's, with the line of what is wrong in them."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonweal.errors import InputError
from commonweal.files import read_text
from commonweal.policies.prompts import (
    PromptTemplate,
    RevisionTemplate,
    WorkedExample,
    WorkedRevision,
)
from commonweal.reading.explaining import line_of, nearest
from commonweal.reading.toml import load_toml
from commonweal.types import Prompt, Sampling

TEMPLATES = (
    *("zero_shot", "zero_shot_small", "zero_shot_reasoning"),
    *("few_shot", "few_shot_small", "few_shot_plain", "few_shot_reasoning"),
    *("sft", "minority"),
)
"""The templates that come with commonweal: files beside this one."""

REVISIONS = ("revise", "revise_plain", "revise_small", "revise_reasoning")
"""Those for revisions."""

MAX_FILE_BYTES = 1_000_000

Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Sampling(_Part):
    max_tokens: int
    temperature: float
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    stop: list[str] = []


class _Example(_Part):
    question: Text
    opinions: Annotated[list[Text], Field(min_length=1)]
    statement: Text


class _Template(_Part):
    system: Text
    user: Text
    opinion: Text
    sampling: _Sampling
    examples: list[_Example] | Text = []


class _Revision(_Part):
    question: Text
    opinions: Annotated[list[Text], Field(min_length=1)]
    statement: Text
    critiques: Annotated[list[Text], Field(min_length=1)]
    revision: Text


class _RevisionTemplate(_Part):
    system: Text
    user: Text
    opinion: Text
    critique: Text
    anew: str = ""
    sampling: _Sampling
    examples: list[_Revision] = []


class _Examples(_Part):
    examples: Annotated[list[_Example], Field(min_length=1)]


PLACES = {"user": ("question", "opinions"), "opinion": ("text",)}
"""What each text holds in curly brackets, each once at least, and nothing else."""

REVISION_PLACES = {
    "user": ("question", "opinions", "statement", "critiques"),
    "opinion": ("text",),
    "critique": ("text",),
    "anew": ("question", "opinions", "critiques"),
}
"""Likewise, of a template for revisions."""


def load_template(name: str) -> PromptTemplate:
    """The template in ``policies/NAME.toml``, or in the file that a path ending in .toml names.

    Raises:
        InputError: there is no such template, or something in it is wrong; the message says where.
    """
    text, folder = _text_of(name, TEMPLATES)
    read = _validated(_Template, name, text)
    listed = read.examples
    if isinstance(listed, str):
        listed = _examples_beside(name, text, folder, listed)
    for field, places in PLACES.items():
        _check_places(name, text, field, getattr(read, field), places)
    sampling = _sampling(name, text, read.sampling)
    examples = tuple(
        WorkedExample(each.question, tuple(each.opinions), each.statement) for each in listed
    )
    template = PromptTemplate(read.system, read.user, read.opinion, sampling, examples)
    _check_filled(name, lambda: template.render("question", ["opinion"]))
    return template


def examples_file(path: Path) -> Path | None:
    """The file of worked examples that a template names, beside it; None where it names none."""
    try:
        named = load_toml(path, path.read_text(encoding="utf-8")).get("examples")
    except (OSError, ValueError, RecursionError, InputError):  # told by whoever loads the template
        return None
    return path.parent / named if isinstance(named, str) else None


def load_revision_template(name: str) -> RevisionTemplate:
    """The template for revisions in ``policies/NAME.toml``, or in the file that a path names.

    Raises:
        InputError: there is no such template, or something in it is wrong; the message says where.
    """
    text, _ = _text_of(name, REVISIONS)
    read = _validated(_RevisionTemplate, name, text)
    for field, places in REVISION_PLACES.items():
        if field != "anew" or read.anew:
            _check_places(name, text, field, getattr(read, field), places)
    examples = tuple(
        WorkedRevision(
            each.question,
            tuple(each.opinions),
            each.statement,
            tuple(each.critiques),
            each.revision,
        )
        for each in read.examples
    )
    sampling = _sampling(name, text, read.sampling)
    template = RevisionTemplate(
        read.system, read.user, read.opinion, read.critique, sampling, examples, read.anew
    )
    _check_filled(name, lambda: template.render("question", ["opinion"], "text", ["critique"]))
    _check_filled(name, lambda: template.render_anew("question", ["opinion"], ["critique"]))
    return template


def _text_of(name: str, ours: Collection[str]) -> tuple[str, Traversable]:
    """The text of a template and the folder that it lies in."""
    if name.lower().endswith(".toml"):
        path = Path(name).expanduser()
        text = read_text(path, expected="a prompt template as .toml", max_bytes=MAX_FILE_BYTES)
        folder: Traversable = path.parent
    else:
        folder = resources.files("commonweal.policies")
        if name not in ours:
            raise InputError(
                f"no prompt template {name!r}; expected one of {', '.join(ours)}, or the path "
                "of a .toml of that form (docs/policies.md)"
            )
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    return text, folder


def _sampling(name: str, text: str, read: _Sampling) -> Sampling:
    try:
        return Sampling(**{**read.model_dump(), "stop": tuple(read.stop)})
    except InputError as error:
        raise InputError(f"{_place(name, text, ('sampling',))}: {error}") from None


def _examples_beside(name: str, text: str, folder: Traversable, file: str) -> list[_Example]:
    try:
        content = (folder / file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{_place(name, text, ('examples',))}: cannot read {file!r} ({error}); expected a file "
            "beside the template with [[examples]], or these in the template itself"
        ) from None
    return _validated(_Examples, str(Path(name).parent / file), content).examples


_Model = TypeVar("_Model", bound=BaseModel)


def _validated(model: type[_Model], name: str, text: str) -> _Model:
    try:
        return model.model_validate(load_toml(name, text))
    except RecursionError:
        raise InputError(f"{name}: not a prompt template: nested too deeply") from None
    except ValidationError as error:
        raise InputError(_explained(name, text, error, model)) from None


def _explained(name: str, text: str, error: ValidationError, model: type[BaseModel]) -> str:
    # A misspelt field is both unknown and missing; the first of these says what to mend.
    errors = [
        each
        for each in error.errors(include_url=False)
        # Of what may be a text or a list, the list says more.
        if each["loc"][-1:] not in (("constrained-str",), ("str",))
    ] or error.errors(include_url=False)
    first = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    loc = tuple(part for part in first["loc"] if not str(part).startswith(("list[", "constrained")))
    missing = first["type"] == "missing"
    place = _place(name, text, loc[:-1] if missing else loc)
    where = ".".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in loc)
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown field {where!r}{nearest(str(loc[-1]), _fields(model, loc[:-1]))}"
    if missing and loc[0] == "examples":
        needed = ", ".join(_fields(model, ("examples",)))
        return f"{place}: {where} is missing; expected in each of [[examples]]: {needed}"
    if missing:
        return (
            f"{place}: {where} is missing; expected {_EXPECTED[model]}, and [sampling] with "
            "max_tokens and temperature (docs/policies.md)"
        )
    message = first["msg"]
    return f"{place}: {where} is {first['input']!r:.80}; {message[0].lower()}{message[1:]}"


_EXPECTED: dict[type[BaseModel], str] = {
    _Template: "system, user with {question} and {opinions}, opinion with {text}",
    _RevisionTemplate: "system, user with {question}, {opinions}, {statement} and {critiques}, "
    "opinion and critique with {text}",
}


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    if loc and loc[0] == "sampling":
        model = _Sampling
    elif loc:
        model = _Revision if model is _RevisionTemplate else _Example
    return tuple(model.model_fields)


def _check_places(name: str, text: str, field: str, value: str, places: Collection[str]) -> None:
    """Refuses a text whose curly brackets cannot be filled in, or leave out what people wrote."""
    expected = " and ".join(f"{{{each}}}" for each in places)
    try:
        places_found = {each[1] for each in string.Formatter().parse(value) if each[1] is not None}
    except ValueError as error:
        raise InputError(
            f"{_place(name, text, (field,))}: {field}: {error}; expected {expected}, and {{{{ or "
            "}} for a literal brace"
        ) from None
    for unknown in sorted(places_found - set(places)):
        raise InputError(
            f"{_place(name, text, (field,))}: {field} holds {{{unknown}}}; expected {expected}, "
            "and {{ or }} for a literal brace"
        )
    for missing in (each for each in places if each not in places_found):
        raise InputError(
            f"{_place(name, text, (field,))}: {field} holds no {{{missing}}}; expected {expected}, "
            "where people's words are filled in"
        )


def _check_filled(name: str, render: Callable[[], Prompt]) -> None:
    """Refuses a template that cannot be filled in, as with {text:d}."""
    try:
        render()
    except (ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{name}: not a prompt template: {error}") from None


def _place(name: str, text: str, loc: tuple[Any, ...]) -> str:
    line = line_of(text, loc) if loc else None
    return f"{name}, line {line}" if line else name
