"""How time grows with the number of opinions and of candidates, plotted.

    python benchmarks/growth.py [--plot docs/growth.svg]

Generation (one draw of completions from the few-shot prompts, embedded engine) and prediction (all
pairs), from 2 to 64 opinions with 16 candidates, and from 1 to 64 candidates with 5 opinions. The
opinions are those of the example groups, one after another. Printed beside each time: how many
times longer than the step before, with the size twice as large. Nothing should grow faster than
opinions x candidates, so no ratio should stay above 2.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from commonweal.groups import read_group
from commonweal.models import load_language_model
from commonweal.policies.templates import load_template
from commonweal.reading.quoting import as_data
from commonweal.rewards import load_reward_model, utility_profile

GROUPS = Path(__file__).parents[1] / "examples" / "groups"
SIZES = (2, 4, 8, 16, 32, 64)


def main() -> None:
    """Prints the times and ratios, and writes the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    groups = [read_group(path) for path in sorted(GROUPS.glob("*.toml"))]
    opinions = [opinion.text for group in groups for opinion in group.opinions]
    opinions = [text for text in opinions if len(text) < 400]
    statements = [f"We could live with this: {as_data(text)}" for text in reversed(opinions)]
    model, reward, template = load_language_model(), load_reward_model(), load_template("few_shot")
    rng = np.random.default_rng(0)

    def measure(n_opinions: int, n_candidates: int) -> tuple[float, float]:
        prompts = [
            template.render(
                groups[0].question.text, [opinions[i] for i in rng.permutation(n_opinions)]
            )
            for _ in range(n_candidates)
        ]
        start = time.perf_counter()
        model.generate(prompts, seeds=range(n_candidates), sampling=template.sampling)
        middle = time.perf_counter()
        utility_profile(
            reward, groups[0].question.text, opinions[:n_opinions], statements[:n_candidates]
        )
        return middle - start, time.perf_counter() - middle

    measure(2, 2)
    series = {
        "opinions, 16 candidates": [(n, *measure(n, 16)) for n in SIZES],
        "candidates, 5 opinions": [(n, *measure(5, n)) for n in (1, *SIZES)],
    }
    for name, rows in series.items():
        for stage, column in (("generation", 1), ("prediction", 2)):
            times = [row[column] for row in rows]
            ratios = [later / earlier for earlier, later in pairwise(times)]
            print(f"{stage} by {name}: " + ", ".join(f"{t:.2f} s" for t in times))
            print("  each time the size doubles: " + ", ".join(f"x{r:.1f}" for r in ratios))
    if args.plot:
        plot(series, args.plot)


def plot(series: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    """Writes both series as one SVG, times relative to the smallest size."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, (name, rows) in zip(axes, series.items(), strict=True):
        sizes = [row[0] for row in rows]
        for label, column, marker in (("generation", 1, "o"), ("prediction", 2, "s")):
            axis.loglog(
                sizes, [row[column] / rows[0][column] for row in rows], marker=marker, label=label
            )
        axis.loglog(
            sizes, [n / sizes[0] for n in sizes], "--", color="0.5", label="in proportion to size"
        )
        axis.set_xlabel(name)
        axis.set_xticks(sizes, [str(n) for n in sizes], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("time, relative to the smallest")
    axes[0].legend()
    figure.suptitle("How the main job's time grows")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
