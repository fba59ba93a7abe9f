"""Seed questions: packaged sets by name, or anybody's own file. The set is a parameter."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from commonweal.datasets.words import normal_form
from commonweal.errors import InputError
from commonweal.questions.records import QuestionRecord, as_record, read_questions
from commonweal.reading.toml import load_toml

SEED_SETS = {
    "uk": "152 questions on life and policy in the United Kingdom",
    "india": "60 questions on life and policy in India",
}
"""The packaged seed sets by name, with what each is. Written for this project."""


def load_seeds(name: str) -> tuple[QuestionRecord, ...]:
    """The seed questions of a packaged set (``uk``) or of a file (``mine.toml``, ``mine.csv``).

    Raises:
        InputError: no such set or file, or an entry is not usable; the message names it.
    """
    if name in SEED_SETS:
        text = (resources.files("commonweal.questions") / "seeds" / f"{name}.toml").read_text(
            encoding="utf-8"
        )
        return _from_toml(f"seed set {name!r}", text)
    path = Path(name)
    if path.suffix.lower() == ".csv":
        return read_questions(path)
    if path.suffix.lower() != ".toml":
        raise InputError(
            f"no seed set named {name!r}; expected {', '.join(SEED_SETS)}, or a file that ends in "
            ".toml or .csv"
        )
    try:
        return _from_toml(str(path), path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected seed questions as .toml or .csv") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _from_toml(where: str, text: str) -> tuple[QuestionRecord, ...]:
    try:
        entries = load_toml(where, text).get("questions")
    except RecursionError:
        raise InputError(f"{where}: is nested too deeply; expected [[questions]] alone") from None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where}: there are no questions; expected entries under [[questions]]")
    records: dict[str, QuestionRecord] = {}
    for n, entry in enumerate(entries, start=1):
        place = f"{where}, question {n}"
        known = {"question", "position", "topic"}
        if (
            not isinstance(entry, dict)
            or not entry.keys() <= known
            or not all(isinstance(value, str) for value in entry.values())
        ):
            raise InputError(f"{place}: expected the texts question, position and topic only")
        row = {
            "question": entry.get("question", ""),
            "position_statement": entry.get("position", ""),
            "topic": entry.get("topic", ""),
            "source": "seed",
        }
        record = as_record(place, row)
        form = normal_form(record.question)
        if form in records:
            raise InputError(f"{place}: {record.question!r} is in the set already")
        records[form] = record
    return tuple(records.values())
