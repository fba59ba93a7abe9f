"""Selections as plain values that JSON can hold, and read again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.rules import stored_rule
from commonweal.selection.making import MIN_QUALITY
from commonweal.selection.record import Pick, Ranked, Selection
from commonweal.types import Candidate, Opinion, Question, Rejection, RejectionReason
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from commonweal.types import FloatArray


def selection_to_dict(selection: Selection) -> dict[str, Any]:
    """The selection as plain values that JSON can hold (an infinite α as the string "inf")."""
    people = [opinion.id for opinion in selection.opinions]
    tables = {
        "rewards": selection.rewards,
        "expected_ratings": selection.utilities,
        "low": selection.low,
        "high": selection.high,
    }
    return {
        "question": asdict(selection.question),
        "opinions": [
            asdict(opinion) | {"omitted_from_generation": opinion.id in selection.omitted}
            for opinion in selection.opinions
        ],
        "candidates": [
            {
                key: value
                for key, value in asdict(candidate).items()
                if key not in ("author", "sense") or value not in ("", None)
            }
            | {
                name: dict(zip(people, table[:, index].tolist(), strict=True))
                for name, table in tables.items()
                if table is not None
            }
            | (
                {}
                if selection.qualities is None
                else {"quality": float(selection.qualities[index])}
            )
            for index, candidate in enumerate(selection.candidates)
        ],
        "min_quality": selection.min_quality,
        "shortlist": selection.shortlist,
        "rules": [
            None if each is None else _rule(each.rule) | {"welfare": each.welfare.tolist()}
            for each in selection.ranked
        ],
        "picks": [
            {"index": each.index, "welfare": each.welfare, "rank": each.rank}
            | {"rule": None if each.rule is None else _rule(each.rule)}
            for each in selection.picks
        ],
        "rejections": [asdict(rejection) for rejection in selection.rejections],
        "n_sampled": selection.n_sampled,
        **({"n_standing": selection.n_standing} if selection.n_standing else {}),
        **({} if selection.min_gain is None else {"min_gain": selection.min_gain}),
        "seed": list(selection.seed),
        "notes": list(selection.notes),
        "timings_seconds": selection.timings_seconds,
        "provenance": selection.provenance,
    }


def selection_from_dict(data: Mapping[str, Any]) -> Selection:
    """The selection that ``selection_to_dict`` wrote.

    Raises:
        InputError: a welfare rule that is not known here.
        KeyError, TypeError, ValueError: something is missing or is not what it should be.
    """
    opinions = tuple(Opinion(each["id"], each["text"]) for each in data["opinions"])
    rows = data["candidates"]
    people = [opinion.id for opinion in opinions]
    # Where there is no candidate the name alone tells whether a reward model was there.
    is_scored = bool(rows) or data["provenance"].get("reward_model") is not None
    # Records of before qualities and ranges were kept have none of these.
    is_judged = bool(rows) and all("quality" in row for row in rows)
    return Selection(
        question=Question(**data["question"]),
        opinions=opinions,
        omitted=tuple(each["id"] for each in data["opinions"] if each["omitted_from_generation"]),
        candidates=tuple(_candidate(row) for row in rows),
        rejections=tuple(
            Rejection(**each | {"reason": RejectionReason(each["reason"])})
            for each in data["rejections"]
        ),
        n_sampled=data["n_sampled"],
        n_standing=data.get("n_standing", 0),
        min_gain=data.get("min_gain"),
        rewards=_table(rows, "rewards", people) if is_scored else None,
        utilities=_table(rows, "expected_ratings", people) if is_scored else None,
        qualities=np.array([float(row["quality"]) for row in rows]) if is_judged else None,
        low=_table(rows, "low", people) if rows else None,
        high=_table(rows, "high", people) if rows else None,
        # Records of before there was a floor do not say that there is to be none.
        min_quality=data.get("min_quality", MIN_QUALITY),
        shortlist=data.get("shortlist"),
        ranked=tuple(None if each is None else _ranked(each) for each in data["rules"]),
        picks=tuple(
            Pick(
                each["index"],
                None if each["rule"] is None else _read_rule(each["rule"]),
                each["welfare"],
                each["rank"],
            )
            for each in data["picks"]
        ),
        seed=tuple(data["seed"]),
        notes=tuple(data["notes"]),
        timings_seconds=dict(data["timings_seconds"]),
        provenance=dict(data["provenance"]),
    )


def _candidate(row: Mapping[str, Any]) -> Candidate:
    # Records of before people's own texts have no author, and of before they were read no sense.
    given = {"author": "", "sense": None} | {
        each.name: row[each.name] for each in fields(Candidate) if each.name in row
    }
    return Candidate(**given | {"included_opinion_ids": tuple(given["included_opinion_ids"])})


def _table(rows: Sequence[Mapping[str, Any]], name: str, people: list[str]) -> FloatArray | None:
    """[n_participants, n_candidates]; None where a candidate has it not."""
    if not all(name in row for row in rows):
        return None
    table = [[float(row[name][person]) for row in rows] for person in people]
    return np.array(table, dtype=np.float64).reshape(len(people), len(rows))


def _rule(rule: WelfareRule) -> dict[str, Any]:
    alpha = rule.alpha
    return {"name": rule.name, "alpha": "inf" if alpha == math.inf else alpha}


def _read_rule(data: Mapping[str, Any]) -> WelfareRule:
    return stored_rule(data["name"], None if data["alpha"] is None else float(data["alpha"]))


def _ranked(data: Mapping[str, Any]) -> Ranked:
    """As it was stored: a rule that has changed since does not change what it chose."""
    return Ranked.of(_read_rule(data), np.array(data["welfare"], dtype=np.float64))
