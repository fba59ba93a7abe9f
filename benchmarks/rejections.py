"""What becomes of the completions of each policy: accepted, or rejected for which reason.

    python benchmarks/rejections.py [--groups 46] [--model embedded]

One round of 16 candidates for each example group. Printed for each policy: completions drawn, the
share that became candidates, the reasons against the rest, how many groups came short, and how long
candidates are. The parser judges form only: a high share says nothing of quality.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from pathlib import Path

import numpy as np

from commonweal.errors import GenerationError
from commonweal.groups import read_group
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.policies import POLICIES, load_policy

GROUPS = Path(__file__).parents[1] / "examples" / "groups"


def main() -> None:
    """Prints one paragraph a policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=46, help="the first so many, by name")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model = load_language_model(args.model)
    paths = sorted(GROUPS.glob("*.toml"))[: args.groups]
    for name in POLICIES:
        policy = load_policy(name, model)
        reasons: Counter[str] = Counter()
        lengths, n_sampled, n_short, n_none = [], 0, 0, 0
        for path in paths:
            group = read_group(path)
            try:
                made = policy.generate(
                    group.question,
                    group.opinions,
                    n_candidates=16,
                    rng=np.random.default_rng(0),
                )
            except GenerationError as error:
                n_none += 1
                n_sampled += len(error.rejections)
                reasons.update(str(r.reason) for r in error.rejections)
                continue
            n_sampled += made.n_sampled
            n_short += len(made.candidates) < 16
            reasons.update(str(r.reason) for r in made.rejections)
            lengths += [len(candidate.text.split()) for candidate in made.candidates]
        n_judged = len(lengths) + reasons.total()
        print(
            f"{name}: {len(paths)} groups, {n_judged} completions looked at ({n_sampled} drawn), "
            f"{len(lengths) / n_judged:.0%} became candidates; {n_short} groups came short, "
            f"{n_none} got none"
        )
        print(
            "  " + ", ".join(f"{n / n_judged:.1%} {reason}" for reason, n in reasons.most_common())
        )
        if lengths:
            low, middle, high = statistics.quantiles(lengths, n=4)
            print(f"  words a candidate: median {middle:.0f}, quartiles {low:.0f} and {high:.0f}")


if __name__ == "__main__":
    main()
