"""How often the marks for the facilitator are right, on statements with known answers.

    python benchmarks/flags_measured.py [--show]

Two parts. The statements of examples/flags/flagged.jsonl were written for this project by a
language model, each to argue, to claim, to name a group, or to do none of it. The patterns were
mended on its "dev" part alone, but whoever wrote the statements wrote the patterns, so both are
kind. Then the development part of the graded groups, whose writers knew of no patterns: how many of
the statements written to invent something are marked, and of those written as a good consensus.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from commonweal.flagging import MEANS, flags

FILE = Path(__file__).parents[1] / "examples" / "flags" / "flagged.jsonl"

GRADED = Path(__file__).parents[1] / "examples" / "graded_groups" / "development.jsonl"


def main() -> None:
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    for split in ("dev", "test"):
        own = [row for row in rows if row["split"] == split]
        marked = [
            {f.kind for f in flags(row["question"], row["opinions"], row["statement"])}
            for row in own
        ]
        for kind in MEANS:
            hit = sum(kind in m and kind in r["flags"] for m, r in zip(marked, own, strict=True))
            n_marked = sum(kind in m for m in marked)
            n_true = sum(kind in row["flags"] for row in own)
            print(f"{split} {kind}: {hit} of {n_true} found, {hit} of {n_marked} marks right")
        clean = [m for m, row in zip(marked, own, strict=True) if not row["flags"]]
        print(f"{split}: {sum(map(bool, clean))} of {len(clean)} clean statements marked")
        if "--show" in sys.argv and split == "dev":
            for m, row in zip(marked, own, strict=True):
                if m != set(row["flags"]):
                    print("   ", sorted(m), row["flags"], row["statement"])
    rows = [json.loads(line) for line in GRADED.read_text(encoding="utf-8").splitlines()]
    for kind in ("invented", "consensus", "conditional", "lopsided"):
        marked = [
            {f.kind for f in flags(row["question"], row["opinions"], text)}
            for row in rows
            for text, its in zip(row["statements"], row.get("kinds", ()), strict=False)
            if its == kind
        ]
        counts = {one: sum(one in each for each in marked) for one in MEANS}
        print(f"graded groups, {kind}: of {len(marked)} marked {sum(map(bool, marked))} {counts}")


if __name__ == "__main__":
    main()
