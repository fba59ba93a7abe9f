"""Prints how memory grows over many calls in one process, and whether a seed keeps its text.

    python benchmarks/memory.py [--calls 1000] [--model own|embedded:small] [--candidates 4]
                                [--tiny]

"own" is a language model and a reward model made up here, which cost nothing: what grows then is
ours. With another model the calls go round 2 example groups with 2 seeds each on one loaded model,
and each text is compared with that of the first round. With --tiny the language model reads a few
lines and writes a few tokens, the reward model is the one made up here, and every second call is
of opinions that are new, so that the engine's cache fills.
"""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

import numpy as np

from commonweal import find_agreement, load_language_model, load_reward_model, read_group
from commonweal.policies import load_policy
from commonweal.rewards import LogisticCalibration
from commonweal.types import Candidate, Completion, Generation, Message, Sampling

GROUPS = Path(__file__).parents[1] / "examples" / "groups"
WORDS = ("fares", "drivers", "routes", "evenings", "villages", "taxes", "students", "snow")


class OwnModel:
    """A language model whose texts follow from the seed."""

    model_id, weights_hash, notes = "own", None, ()

    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        del prompts, n_samples, sampling, on_done
        orders = [np.random.default_rng(seed).permutation(WORDS) for seed in seeds]
        return [
            [Completion(f"We settle {' and '.join(order)} before anything else.", "stop", seed)]
            for order, seed in zip(orders, seeds, strict=True)
        ]

    def count_tokens(self, text):
        return len(text.split())

    def log_probabilities(self, prompts, continuations):
        raise NotImplementedError


class OwnReward:
    """A reward model that counts characters."""

    name, weights_hash = "own", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a benchmark")

    def rewards(self, inputs, *, on_done=None):
        del on_done
        return np.array([len(one.opinion + one.statement) % 5 - 2.0 for one in inputs])


class TinyPolicy:
    """A policy that takes the few tokens that it asks for as they come."""

    name = "tiny"
    sampling = Sampling(max_tokens=2, temperature=0.7)

    def __init__(self, model):
        self.model = model

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        said = "\n".join([question.text, *(each.text for each in opinions)])
        (seed,) = map(int, rng.integers(2**31, size=1))
        (written,) = self.model.generate(
            [(Message("user", said),)], seeds=[seed], n_samples=n_candidates, sampling=self.sampling
        )
        made = [
            Candidate(
                f"c{place + 1:02}",
                each.text.strip() or "...",
                tuple(one.id for one in opinions),
                self.name,
                self.model.model_id,
                "tiny",
                each.seed,
            )
            for place, each in enumerate(written)
        ]
        if on_done is not None:
            on_done(n_candidates, n_candidates)
        return Generation(tuple(made), (), n_candidates, n_candidates)


def memory_mb(name: str = "VmRSS") -> float:
    """Resident memory of this process, now or (VmHWM) at most (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [each for each in status.splitlines() if each.startswith(name)]
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--model", default="own")
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    is_own = options.model == "own"
    model = OwnModel() if is_own else load_language_model(options.model)
    policy = (
        TinyPolicy(model)
        if options.tiny
        else load_policy("zero_shot" if is_own else "few_shot", model)
    )
    reward = OwnReward() if is_own or options.tiny else load_reward_model()
    groups = [read_group(path) for path in sorted(GROUPS.glob("*.toml"))[:2]]
    every = max(1, options.calls // 10)
    first: dict[tuple[int, int], list[str]] = {}
    n_same = n_compared = 0
    for number in range(options.calls):
        # Of what costs little each (second) call is of new opinions and a new seed.
        is_new = is_own or (options.tiny and number % 2 == 1)
        place = number // 2 % 2 if options.tiny else number % 2
        seed = number if is_new else number // 4 % 2 if options.tiny else number // 2 % 2
        opinions = [each.text for each in groups[place].opinions]
        if options.tiny:
            opinions = [" ".join(each.split()[:12]) for each in opinions[:3]]
        if is_new:
            opinions = [f"({number}) {each}" for each in opinions]
        found = find_agreement(
            groups[place].question,
            opinions,
            policy=policy,
            reward=reward,
            n_candidates=options.candidates,
            seed=seed,
        )
        texts = [each.text for each in found.candidates]
        texts += [each.raw_text for each in found.rejections]
        if (place, seed) in first:
            n_compared += 1
            n_same += texts == first[place, seed]
        elif not is_new:
            first[place, seed] = texts
        if number == 0 or (number + 1) % every == 0:
            gc.collect()
            same = f"; {n_same} of {n_compared} gave their seed's texts again" if n_compared else ""
            print(f"after {number + 1} calls: {memory_mb():.0f} MB{same}", flush=True)
    print(f"at most: {memory_mb('VmHWM'):.0f} MB")


if __name__ == "__main__":
    main()
