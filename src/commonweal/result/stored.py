"""Results as plain values that JSON can hold, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

from commonweal.errors import InputError
from commonweal.outcomes import explanation_from_dict
from commonweal.population import Population
from commonweal.result.record import AgreementRecord
from commonweal.rules import RAWLSIAN, resolve_rule
from commonweal.selection import Pick, selection_from_dict, selection_to_dict
from commonweal.types import Candidate, Critique
from commonweal.welfare import WELFARE_FUNCTIONS

SCHEMA = "commonweal/agreement/2"
"""Name and version of the layout that ``Agreement.to_dict`` writes."""

_SCHEMAS = ("commonweal/agreement/1", SCHEMA)
"""Those that ``Agreement.from_dict`` reads. The first had no rewards and one pick."""

_Kind = TypeVar("_Kind", bound=AgreementRecord)


def agreement_to_dict(found: AgreementRecord) -> dict[str, Any]:
    """Everything as plain values that JSON can hold (an infinite α as the string "inf")."""
    data = selection_to_dict(found)
    (rule,) = data.pop("rules")
    welfare, set_aside = rule.pop("welfare"), found.set_aside
    opened = found.open_to_rules()
    for index, candidate in enumerate(data["candidates"]):
        candidate |= {
            "rank": found.ranking.ranks[index],
            "welfare": welfare[index],
            "worth_showing": index not in found.weak,
            "may_be_chosen": index not in set_aside,
        }
    for name in ("picks", "seed", "n_sampled"):  # said by "chosen" and "provenance"
        del data[name]
    return {
        "schema": SCHEMA,
        "question": data.pop("question"),
        "outcome": found.outcome.value,
        "reason": found.reason,
        "statement": found.statement,
        "chosen": _id(found.chosen),
        "closest": _id(found.closest),
        "min_agreeing": found.min_agreeing,
        "tied": [each.id for each in found.tied] if found.is_tie else [],
        "welfare": rule,
        "predicted_dissent": [
            {
                "participant": dissent.participant_id,
                "expected_rating": dissent.expected_rating,
                "below_neutral": dissent.below_neutral,
            }
            for dissent in found.dissent
        ],
        "other_welfare_functions": {
            name: _id(opened.picked([resolve_rule(name)]).closest)
            for name in WELFARE_FUNCTIONS
            if not found.is_sample or resolve_rule(name) != RAWLSIAN
        },
        "explanation": None if found.explanation is None else asdict(found.explanation),
        **(
            {}
            if found.minority is None
            else {
                "minority_statement": found.minority_statement,
                "minority": selection_to_dict(found.minority),
            }
        ),
        **_chain(found),
        **({} if found.population is None else {"population": found.population.to_dict()}),
        **data,
    }


def _chain(found: AgreementRecord) -> dict[str, Any]:
    """The round before, whole, with what was said of it; nothing of a first round."""
    if found.before is None:
        return {}
    return {
        "is_revised": found.is_revised,
        "critiques": [asdict(each) for each in found.critiques],
        "predicted_gains": found.gains,
        "before": agreement_to_dict(found.before),
    }


def agreement_from_dict(kind: type[_Kind], data: Mapping[str, Any]) -> _Kind:
    """The agreement that ``agreement_to_dict`` wrote, also in an older layout.

    Raises:
        InputError: it is no such dictionary; the message says what is wrong.
    """
    if data.get("schema") not in _SCHEMAS:
        raise InputError(
            f"the schema is {data.get('schema')!r}; expected one of {', '.join(_SCHEMAS)}, as "
            "`commonweal agree --json` writes"
        )
    try:
        rule = data["welfare"] | {"welfare": [each["welfare"] for each in data["candidates"]]}
        provenance = data["provenance"]
        selection = selection_from_dict(
            {
                **data,
                "rules": [rule],
                "picks": [],
                "seed": [provenance["seed"]],
                "n_sampled": provenance["n_completions_sampled"],
            }
        )
        closest = data.get("closest", data["chosen"])
        if data["chosen"] not in (None, closest):
            raise ValueError(f"{data['chosen']!r} is chosen and {closest!r} is closest")
        picks: tuple[Pick, ...] = ()
        if closest is not None:
            index = [each.id for each in selection.candidates].index(closest)
            (ranked,) = selection.ranked
            assert ranked is not None  # noqa: S101 - for the type checker: there is a rule
            welfare, place = float(ranked.welfare[index]), ranked.ranking.ranks[index]
            picks = (Pick(index, ranked.rule, welfare, place),)
        found = kind.of(
            selection,
            picks=picks,
            min_agreeing=data.get("min_agreeing"),
            explanation=explanation_from_dict(data.get("explanation")),
            before=agreement_from_dict(kind, data["before"]) if data.get("before") else None,
            critiques=tuple(Critique(**each) for each in data.get("critiques", ())),
            minority=selection_from_dict(data["minority"]) if data.get("minority") else None,
            population=Population.from_dict(data["population"]) if data.get("population") else None,
        )
        before = data.get("outcome", found.outcome.value)
        if before != found.outcome.value:
            note = f"{before!r} when it was stored, {found.outcome.value!r} by today's rules"
            found = replace(found, notes=(*found.notes, note))
        return found
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"no agreement can be read: {type(error).__name__} {error}; expected a dictionary "
            f"as Agreement.to_dict writes it ({SCHEMA})"
        ) from None


def _id(candidate: Candidate | None) -> str | None:
    return None if candidate is None else candidate.id
