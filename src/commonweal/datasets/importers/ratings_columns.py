"""The columns of a table of ratings from anywhere: their names, what they hold, a template."""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.errors import InputError
from commonweal.reading.explaining import near
from commonweal.types import SPLITS


@dataclass(frozen=True, slots=True)
class Field:
    """One column: what it holds, and other names that it is known by without being told."""

    meaning: str
    required: bool = False
    also: tuple[str, ...] = ()


FIELDS = {
    "person": Field(
        "who rated; one name for a person everywhere",
        required=True,
        also=("participant", "participant_id", "person_id", "rater"),
    ),
    "group": Field("the person's group", required=True, also=("group_id",)),
    "question": Field("the question's text, or its name", required=True, also=("question_id",)),
    "statement": Field(
        "the statement's text, or its name",
        required=True,
        also=("statement_id", "candidate", "candidate_id"),
    ),
    "policy": Field("what wrote it: a name, or `human` for a person's words", required=True),
    "agreement": Field("the rating of agreement; blank where it is missing", required=True),
    "quality": Field("the rating of quality"),
    "pass": Field("which time the person rated it; 0 and 1, or 1 and 2", also=("pass_index",)),
    "text": Field("the statement's text, where `statement` is a name", also=("statement_text",)),
    "opinion": Field("what the person wrote on the question"),
    "author": Field("of a statement by `human`: the person who wrote it", also=("author_id",)),
    "included": Field(
        "the people whose opinions the policy saw: `ana; ben`", also=("included_people",)
    ),
    "position": Field(
        "the person's agreement with the position statement", also=("position_rating",)
    ),
    "position_statement": Field("the position statement's text"),
    "split": Field(f"the question's: {', '.join(SPLITS)}"),
}
"""By name. A person and round has one opinion and position; a statement one author and text."""


def plain(name: str) -> str:
    """A column's name without case, blanks and hyphens: " Pass-Index " is "pass_index"."""
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


KNOWN = frozenset(name for field, one in FIELDS.items() for name in (field, *one.also))


def placed(header: list[str], given: dict[str, str], where: str) -> dict[str, int]:
    """Field to the place of its column.

    Args:
        header: the table's column names.
        given: field to the name of its column, where they were told.
        where: the file, for errors.

    Raises:
        InputError: a column is missing, there twice, or told and not there; all are named at once.
    """
    there = [plain(name) for name in header]
    problems = []
    columns: dict[str, int] = {}
    for field, name in given.items():
        if field not in FIELDS:
            meant = near(field, list(FIELDS))
            hint = f"; did you mean {meant!r}?" if meant else ""
            problems.append(
                f"--column {field}={name}: there is no field {field!r}{hint} Expected one of "
                f"{', '.join(FIELDS)}"
            )
        elif plain(name) not in there:
            meant = near(plain(name), there)
            hint = f"; did you mean {header[there.index(meant)]!r}?" if meant else ""
            problems.append(f"--column {field}={name}: there is no column {name!r}{hint}")
        else:
            columns[field] = there.index(plain(name))
    taken = set(columns.values())
    for field, one in FIELDS.items():
        if field in given:
            continue
        names = [name for name in (field, *one.also) if name in there]
        places = [i for i, name in enumerate(there) if names and name == names[0]]
        if len(places) > 1:
            problems.append(f"the column {names[0]!r} is there {len(places)} times, expected once")
        if places and places[0] not in taken:
            columns[field] = places[0]
        elif one.required:
            problems.append(
                f"there is no column {field!r} ({one.meaning}); name yours: --column {field}=NAME"
            )
    if problems:
        raise InputError(
            "\n".join(
                (
                    *(f"{where}: {problem}" for problem in problems),
                    f"The table has the columns {', '.join(header)}; `commonweal data template` "
                    "writes a table to fill in",
                )
            )
        )
    return columns


_TEMPLATE = (
    ("zero_shot", "Buses should be free.", (5, 2, 3)),
    ("zero_shot", "Fares should stay, with better buses.", (2, 6, 4)),
    ("my_policy", "Fares should fall for those with low incomes, and buses run later.", (6, 5, 6)),
    ("my_policy", "Buses should be free for the young, paid for by parking fees.", (6, 4, 5)),
)
_PEOPLE = (
    ("ana", "Free buses would help those who have little.", 7),
    ("ben", "Somebody must pay for the buses, and service matters more.", 2),
    ("cleo", "I would ride more often if they ran later.", 5),
)


def template_rows() -> list[dict[str, object]]:
    """Rows to replace by one's own: a made-up group of three, four statements, rated twice."""
    return [
        {
            "person": person,
            "group": "group 1",
            "question": "Should buses be free?",
            "statement": text,
            "policy": policy,
            "pass": again,
            "agreement": ratings[i],
            "quality": 5,
            "opinion": opinion,
            "author": "",
            "included": "ana; ben; cleo",
            "position": position,
            "position_statement": "Buses should be free of charge.",
            "split": "iid_test",
        }
        for again in (1, 2)
        for i, (person, opinion, position) in enumerate(_PEOPLE)
        for policy, text, ratings in _TEMPLATE
    ]
