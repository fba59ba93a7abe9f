"""Says which figures of docs/benchmarks.md are older than the code that they measure.

    python docs/benchmark_ages.py

A figure is older where a commit after the day of measuring changed that code. It may still be
right: a change can be one of words. It has to be measured again before anybody relies on it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| [^|]+ \| (?P<day>\d{4}-\d\d-\d\d) \| `(?P<command>[^|`]+)` \|"
    r" [^|]+ \| (?P<code>[^|]+) \|$",
    re.MULTILINE,
)


class Measured(NamedTuple):
    """A row of the page.

    Attributes:
        what: the figures.
        command: what prints them.
        day: when it did, as YYYY-MM-DD.
        code: the files and folders that they measure, from the root.
    """

    what: str
    command: str
    day: str
    code: tuple[str, ...]

    def changed(self) -> str:
        """The day of the last commit that changed the code; "" where git does not know."""
        git = ("git", "log", "-1", "--format=%cs", "--", *self.code)
        done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def age(self) -> str:
        """In words: how old the figures are beside their code."""
        changed = self.changed()
        if not changed:
            return "not known: no history of the code"
        if changed > self.day:
            return f"**older than its code** ({changed})"
        return "the code changed the same day" if changed == self.day else "newer than its code"


def rows(text: str) -> list[Measured]:
    """The rows of the page's table."""
    return [
        Measured(row["what"], row["command"], row["day"], tuple(re.findall("`(.+?)`", row["code"])))
        for row in ROW.finditer(text)
    ]


def marked(text: str) -> str:
    """The page with a mark beside each day of measuring."""
    ages = iter(row.age() for row in rows(text))

    def mark(row: re.Match[str]) -> str:
        return row[0].replace(f"| {row['day']} |", f"| {row['day']}, {next(ages)} |")

    return ROW.sub(mark, text)


if __name__ == "__main__":
    for row in rows(PAGE.read_text(encoding="utf-8")):
        print(f"{row.day}  {row.age():<40}  {row.command}")  # noqa: T201 - a command's output
