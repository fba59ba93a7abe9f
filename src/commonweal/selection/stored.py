"""Selections as plain values that JSON can hold, and read again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from commonweal.rules import stored_rule
from commonweal.selection.record import Pick, Ranked, Selection
from commonweal.types import Candidate, Opinion, Question, Rejection, RejectionReason
from commonweal.welfare import WelfareRule

if TYPE_CHECKING:
    from commonweal.types import FloatArray


def selection_to_dict(made: Selection) -> dict[str, Any]:
    """The selection as plain values that JSON can hold (an infinite α as the string "inf")."""
    people = [opinion.id for opinion in made.opinions]
    tables = {
        "rewards": made.rewards,
        "expected_ratings": made.utilities,
        "low": made.low,
        "high": made.high,
    }
    return {
        "question": asdict(made.question),
        "opinions": [
            asdict(opinion) | {"omitted_from_generation": opinion.id in made.omitted}
            for opinion in made.opinions
        ],
        "candidates": [
            {key: value for key, value in asdict(candidate).items() if key != "author" or value}
            | {
                name: dict(zip(people, table[:, index].tolist(), strict=True))
                for name, table in tables.items()
                if table is not None
            }
            | ({} if made.qualities is None else {"quality": float(made.qualities[index])})
            for index, candidate in enumerate(made.candidates)
        ],
        "min_quality": made.min_quality,
        "shortlist": made.shortlist,
        "rules": [
            None if each is None else _rule(each.rule) | {"welfare": each.welfare.tolist()}
            for each in made.ranked
        ],
        "picks": [
            {"index": each.index, "welfare": each.welfare, "rank": each.rank}
            | {"rule": None if each.rule is None else _rule(each.rule)}
            for each in made.picks
        ],
        "rejections": [asdict(rejection) for rejection in made.rejections],
        "n_sampled": made.n_sampled,
        **({"n_standing": made.n_standing} if made.n_standing else {}),
        "seed": list(made.seed),
        "notes": list(made.notes),
        "timings_seconds": made.timings_seconds,
        "provenance": made.provenance,
    }


def selection_from_dict(told: Mapping[str, Any]) -> Selection:
    """The selection that ``selection_to_dict`` wrote.

    Raises:
        InputError: a welfare rule that is not known here.
        KeyError, TypeError, ValueError: something is missing or is not what it should be.
    """
    opinions = tuple(Opinion(each["id"], each["text"]) for each in told["opinions"])
    rows = told["candidates"]
    people = [opinion.id for opinion in opinions]
    # Where there is no candidate the name alone tells whether a reward model was there.
    is_scored = bool(rows) or told["provenance"].get("reward_model") is not None
    # Records of before qualities and ranges were kept have none of these.
    is_judged = bool(rows) and all("quality" in row for row in rows)
    return Selection(
        question=Question(**told["question"]),
        opinions=opinions,
        omitted=tuple(each["id"] for each in told["opinions"] if each["omitted_from_generation"]),
        candidates=tuple(_candidate(row) for row in rows),
        rejections=tuple(
            Rejection(**each | {"reason": RejectionReason(each["reason"])})
            for each in told["rejections"]
        ),
        n_sampled=told["n_sampled"],
        n_standing=told.get("n_standing", 0),
        rewards=_table(rows, "rewards", people) if is_scored else None,
        utilities=_table(rows, "expected_ratings", people) if is_scored else None,
        qualities=np.array([float(row["quality"]) for row in rows]) if is_judged else None,
        low=_table(rows, "low", people) if rows else None,
        high=_table(rows, "high", people) if rows else None,
        min_quality=told.get("min_quality"),
        shortlist=told.get("shortlist"),
        ranked=tuple(None if each is None else _ranked(each) for each in told["rules"]),
        picks=tuple(
            Pick(
                each["index"],
                None if each["rule"] is None else _read_rule(each["rule"]),
                each["welfare"],
                each["rank"],
            )
            for each in told["picks"]
        ),
        seed=tuple(told["seed"]),
        notes=tuple(told["notes"]),
        timings_seconds=dict(told["timings_seconds"]),
        provenance=dict(told["provenance"]),
    )


def _candidate(row: Mapping[str, Any]) -> Candidate:
    # Records of before people's own texts have no author.
    said = {"author": ""} | {
        each.name: row[each.name] for each in fields(Candidate) if each.name in row
    }
    return Candidate(**said | {"included_opinion_ids": tuple(said["included_opinion_ids"])})


def _table(rows: Sequence[Mapping[str, Any]], name: str, people: list[str]) -> FloatArray | None:
    """[n_participants, n_candidates]; None where a candidate has it not."""
    if not all(name in row for row in rows):
        return None
    table = [[float(row[name][person]) for row in rows] for person in people]
    return np.array(table, dtype=np.float64).reshape(len(people), len(rows))


def _rule(rule: WelfareRule) -> dict[str, Any]:
    alpha = rule.alpha
    return {"name": rule.name, "alpha": "inf" if alpha == math.inf else alpha}


def _read_rule(told: Mapping[str, Any]) -> WelfareRule:
    return stored_rule(told["name"], None if told["alpha"] is None else float(told["alpha"]))


def _ranked(told: Mapping[str, Any]) -> Ranked:
    """As it was stored: a rule that has changed since does not change what it chose."""
    return Ranked.of(_read_rule(told), np.array(told["welfare"], dtype=np.float64))
