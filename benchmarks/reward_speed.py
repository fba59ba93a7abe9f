"""Prints how fast reward models score: `first`, and an exported network, beside plain loops.

    python benchmarks/reward_speed.py [--export FOLDER] [--pairs 100000]

80 pairs are 16 candidates for 5 opinions. The other side scores one pair at a time: with the same
model, and with the same weights in plain transformers (extra `train`). 100,000 pairs are 1,000
opinions and 100 statements of the starter set; the loop does 200 of them, and its rate is compared.
Peak memory is asked of a process of its own: of `first` at 80 and 100,000 pairs, of an exported
model at 2,000 and 10,000. --export is the folder
``runtime`` of a run of ``commonweal train reward``, beside its ``model`` in transformers.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from commonweal.policies.starter import load_starter_set
from commonweal.rewards import load_reward_model
from commonweal.types import RewardInput, RewardModel

N_LOOP, REPEATS = 200, 5


def pairs(n_opinions: int, n_statements: int) -> list[RewardInput]:
    """Every opinion with every statement, from the starter set."""
    examples = load_starter_set()
    opinions = [text for example in examples for text in example.opinions][:n_opinions]
    statements = [text for example in examples for text in example.statements][:n_statements]
    question = "Should our town change how its streets, schools and money are run?"
    return [RewardInput(question, o, s) for o, s in itertools.product(opinions, statements)]


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(work: Callable[[], object], n: int) -> float:
    """Pairs a second: the median of five calls after one that does not count."""
    work()
    return n / statistics.median(seconds(work) for _ in range(REPEATS))


def transformers_loop() -> Callable[[RewardInput], float]:
    """The frozen encoder of `first` in plain transformers, both texts of each pair anew."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from commonweal.training.backbones import backbone_source

    source = backbone_source("all-minilm-l6-v2")
    tokenizer, network = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source)

    def score(pair: RewardInput) -> float:
        with torch.inference_mode():
            vectors = []
            for text in (pair.opinion, pair.statement):
                out = network(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(dim=1)
                vectors.append(torch.nn.functional.normalize(out))
            return float((vectors[0] * vectors[1]).sum())

    return score


def network_loop(runtime: Path) -> Callable[[RewardInput], float]:
    """The exported network as it was in transformers, one pair at a time."""
    from commonweal.rewards.exported import Description
    from commonweal.training.reward.export import TorchScorer

    scorer = TorchScorer(runtime.with_name("model"), Description.read(runtime).pair_text)
    return lambda pair: float(scorer.rewards([pair])[0])


def compared(
    name: str, model: RewardModel, plain: Callable[[RewardInput], float], n_many: int
) -> None:
    """Rates at 80 pairs and at many, beside both loops."""
    few, many = pairs(5, 16), pairs(1000, 100)[:n_many]
    batched = rate(lambda: model.rewards(few), len(few))
    alone = rate(lambda: [model.rewards([pair]) for pair in few], len(few))
    loop = rate(lambda: [plain(pair) for pair in few], len(few))
    print(
        f"{name}, {len(few)} pairs: {batched:,.0f} pairs/s, {batched / alone:.1f} x one at a time, "
        f"{batched / loop:.1f} x plain transformers"
    )
    rng = np.random.default_rng(0)
    sample = [many[place] for place in rng.choice(len(many), N_LOOP, replace=False)]
    loop = len(sample) / seconds(lambda: [plain(pair) for pair in sample])
    whole = len(many) / seconds(lambda: model.rewards(many))
    print(f"{name}, {len(many):,} pairs: {whole:,.0f} pairs/s, {whole / loop:.0f} x that loop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", type=Path)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model", default="first", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = load_reward_model(arguments.model)
    if arguments.memory_of is not None:
        model.rewards(pairs(1000, 100)[: arguments.memory_of])
        status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent too
        (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        print(int(peak) / 1024)
        return
    compared("first", model, transformers_loop(), arguments.pairs)
    if arguments.export is not None:
        exported = load_reward_model(str(arguments.export))
        # Reads every pair anew, so that many pairs are many times the work of few.
        compared("export", exported, network_loop(arguments.export), 2000)
    peaks = [("first", "first", n) for n in (80, arguments.pairs)]
    if arguments.export is not None:
        peaks += [("export", str(arguments.export), n) for n in (2000, 10_000)]
    for name, which, n in peaks:
        command = [sys.executable, __file__, "--model", which, "--memory-of", str(n)]
        peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"{name}, {n:,} pairs: peak memory {float(peak):,.0f} MB")


if __name__ == "__main__":
    main()
