"""The main job as a user waits for it: seconds a stage and peak memory, in fresh processes.

    python benchmarks/end_to_end.py [--repeats 3] [--cold]

Five opinions, 16 candidates, the embedded model, weights in the store ("warm"). With --cold, one
more run first pulls the weights into an empty store over the network. `import commonweal` is timed
beside a bare interpreter and `import numpy`. Aims: under 20 s warm, under 1.5 GB, import < 150 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GROUP = Path(__file__).parents[1] / "examples" / "groups" / "bus-fares.toml"
JOB = f"""
import json, resource, time
start = time.perf_counter()
from commonweal import find_agreement, read_group
group = read_group(__import__("pathlib").Path({str(GROUP)!r}))
result = find_agreement(group.question, group.opinions)
print(json.dumps({{
    "seconds": time.perf_counter() - start,
    "stages": result.timings_seconds,
    "completions": result.provenance["n_completions_sampled"],
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
}}))
"""


def main() -> None:
    """Prints what one user waits for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    args = parser.parse_args()
    if args.cold:
        with tempfile.TemporaryDirectory() as cache:
            start = time.perf_counter()
            environment = {**os.environ, "COMMONWEAL_CACHE": cache}
            command = [sys.executable, "-m", "commonweal", "models", "pull"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            print(f"models pull into an empty store: {time.perf_counter() - start:.1f} s")
            show(run(JOB, environment), "cold")
    for _ in range(args.repeats):
        show(run(JOB, dict(os.environ)), "warm")
    bare = [clock("pass") for _ in range(9)]
    for code in ("import numpy", "import commonweal"):
        net = statistics.median(clock(code) for _ in range(9)) - statistics.median(bare)
        print(f"{code}: {1000 * net:.0f} ms more than a bare interpreter")


def run(code: str, environment: dict[str, str]) -> dict[str, object]:
    """What the job printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def show(result: dict[str, object], what: str) -> None:
    """Prints one run."""
    print(
        f"{what}: {result['seconds']:.1f} s, {result['stages']}, {result['completions']} "
        f"completions drawn, peak {result['peak_gb']:.2f} GB"
    )


def clock(code: str) -> float:
    """Seconds that a fresh interpreter takes for ``code``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
