"""Prints how many calls a second a loaded model answers from threads, and how many wrongly.

    python benchmarks/threads.py [--calls 1000] [--threads 1 4 8] [--models first ...] [--tiny]

A call is the main job for two people and two candidates: a language model made up in memory.py
writes, which costs nothing, and the model that is measured predicts. "exported" is a reward model
of random weights, as `commonweal train reward` exports one. "embedded:small" is asked for one text
of a few tokens instead. With --tiny a call is one to three predictions, or one token: 1,000 calls
are then minutes on a laptop. Each answer is compared with the same call's from one thread alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from commonweal import find_agreement, load_language_model, load_reward_model
from commonweal.policies import load_policy
from commonweal.rewards import ExportedRewardModel
from commonweal.types import Message, RewardInput, RewardModel, Sampling
from memory import OwnModel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "rewards"))
from export_making import WORDS, write_export

MODELS = ("first", "reader", "exported", "embedded:small")
N_DIFFERENT = 50


def opinions(number: int) -> list[str]:
    wish = "cheap" if number % 2 else "quick"
    words = " ".join([WORDS[number]] * (1 + number % 7))  # which "exported" knows
    return [f"I am number {number}: {wish} buses. {words}", "Nothing is free."]


@contextmanager
def exported() -> Iterator[RewardModel]:
    with tempfile.TemporaryDirectory() as folder:
        write_export(Path(folder))
        yield ExportedRewardModel(Path(folder))


def main_job(reward: RewardModel) -> Callable[[int], object]:
    policy = load_policy("zero_shot", OwnModel())

    def answer(number: int) -> object:
        found = find_agreement(
            "Should buses be free?",
            opinions(number),
            policy=policy,
            reward=reward,
            n_candidates=2,
            seed=number,
        )
        return found.closest, found.utilities.tobytes()

    return answer


def few_predictions(reward: RewardModel) -> Callable[[int], object]:
    def answer(number: int) -> object:
        opinion, *_ = opinions(number)
        pairs = [
            RewardInput("Should buses be free?", opinion, f"We agree on plan {plan}.")
            for plan in range(1 + number % 3)
        ]
        return reward.rewards(pairs).tobytes()

    return answer


def one_text(spec: str, n_tokens: int) -> Callable[[int], object]:
    model = load_language_model(spec)

    def answer(number: int) -> object:
        said = f"Say in a few words what you think of this. {' '.join(opinions(number))}"
        sampling = Sampling(max_tokens=n_tokens)
        return model.generate([(Message("user", said),)], seeds=[number], sampling=sampling)

    return answer


def measure(name: str, answer: Callable[[int], object], n_threads: int, n_calls: int) -> None:
    expected = [answer(number) for number in range(min(N_DIFFERENT, n_calls))]

    def outcome(number: int) -> str:
        place = number % len(expected)
        try:
            found = answer(place)
        except Exception as error:  # counted, whatever it is
            return type(error).__name__
        return "right" if found == expected[place] else "wrong"

    began = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as threads:
        outcomes = list(threads.map(outcome, range(n_calls)))
    rate = n_calls / (time.perf_counter() - began)
    n_wrong, n_right = outcomes.count("wrong"), outcomes.count("right")
    print(
        f"{name}, {n_threads} threads: {rate:.1f} calls a second, "
        f"{n_wrong} wrong and {n_calls - n_wrong - n_right} failed of {n_calls} "
        f"({len({repr(each) for each in expected})} different answers)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    asked = few_predictions if options.tiny else main_job
    for name in options.models:
        with ExitStack() as open_while_measured:
            if name.startswith("embedded"):
                answer = one_text(name, n_tokens=1 if options.tiny else 8)
            elif name == "exported":
                answer = asked(open_while_measured.enter_context(exported()))
            else:
                answer = asked(load_reward_model(name))
            for n_threads in options.threads:
                measure(name, answer, n_threads, options.calls)


if __name__ == "__main__":
    main()
