"""What the attacks on the study came to, as a table: `make attack` prints it.

A test that attacks says which promise: ``@pytest.mark.attack("clock", "set back by two seconds")``.
It counts as one attack, or as many as ``record_property("tried", n)`` says; held are all of them
where it passes, and otherwise those that ``record_property("held", n)`` says, or none. What else it
measured it tells by ``record_property("figure", "...")``.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

_PROPERTY = "attack"


def note_attack(item):
    """Has the report of a test say what it attacks, also where it ran in another process."""
    for mark in item.iter_markers("attack"):
        item.user_properties.append((_PROPERTY, tuple(mark.args)))
        return


def print_table(reporter):
    """The table of all attacks that ran."""
    rows = defaultdict(lambda: [0, 0, []])
    for reports in reporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):  # one that was not asked for
                continue
            told = dict(report.user_properties)
            if _PROPERTY not in told or not (report.when == "call" or report.failed):
                continue
            row = rows[tuple(told[_PROPERTY])]
            tried = int(told.get("tried", 1))
            row[0] += tried
            row[1] += tried if report.passed else int(told.get("held", 0))
            if "figure" in told:
                row[2].append(told["figure"])
    if not rows:
        return
    reporter.section("attacks")
    reporter.write_line("| what is attacked | how | tried | held |")
    reporter.write_line("|---|---|---|---|")
    for (what, how), (tried, held, figures) in sorted(rows.items()):
        said = f"{how}: {', '.join(figures)}" if figures else how
        reporter.write_line(f"| {what} | {said} | {tried:,} | {held:,} |")
    tried, held = (sum(row[i] for row in rows.values()) for i in (0, 1))
    reporter.write_line(f"| **all** | | **{tried:,}** | **{held:,}** |")
