"""Many people: how time and memory grow, and what sampling costs beside asking everybody.

    python benchmarks/large_groups.py growth [--sizes 100 1000 10000 100000]
    python benchmarks/large_groups.py slates sampled --data ../shared/data/polis [--only freshwater]
    python benchmarks/large_groups.py writers [--people 400]

``growth`` makes people up (a script writes them), reads their file, finds opinion groups with the
real sentence encoder, draws prompts and panels, and writes and reads with scripts in the place of
the models: what is timed is everything but these, and prompts and predictions are counted. With
``--model embedded:small --reward reader`` it is the whole.

``sampled`` takes real votes as everybody's utilities (missing ones predicted from the others), so
that the welfare of all is known, and judges people's statements by samples of it: rank correlation
with the whole, and regret in points of 1 to 7.

``slates`` compares greedy and PAV slates with the statements that most agree with: the share of
people who agreed with at least one, by votes that were cast alone (a missing vote is no agreement)
and with predicted ones.

``writers`` compares the two writers on the same people (made up) by the reader's predictions.
"""

from __future__ import annotations

import argparse
import csv
import math
import resource
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from commonweal.agreement import find_agreement
from commonweal.datasets.agreements import matrix
from commonweal.datasets.importers.polis import import_polis
from commonweal.large import slate as slates
from commonweal.large.groups import groups_from_votes
from commonweal.large.judging import Panel, for_samples, judge
from commonweal.large.options import ManyOptions
from commonweal.large.reading import read_people
from commonweal.large.sampling import stratified
from commonweal.large.votes import MOST_STATEMENTS, Votes, expected_votes
from commonweal.measures.ranks import rank_correlations
from commonweal.policies import load_policy
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rules import BERNOULLI_NASH, RAWLSIAN, UTILITARIAN
from commonweal.types import Completion

QUESTION = "Should local buses be free for everyone?"
WANTS = (
    ("free buses", "the fares eat my wages", "people without a car are shut in"),
    ("lower taxes", "somebody pays for every ride", "the money is short already"),
    (
        "more buses",
        "nothing runs after six in the villages",
        "a free bus that never comes helps nobody",
    ),
    ("free rides for the young", "children cannot drive", "school is far away"),
)


def made_up(n: int, rng: np.random.Generator) -> list[str]:
    """Opinions of a town: four wants of unequal size, in words that differ."""
    kinds = rng.choice(len(WANTS), n, p=[0.5, 0.3, 0.15, 0.05])
    extras = ("my mother", "the market", "the clinic", "the school", "my shift", "the river path")
    return [
        f"I want {WANTS[k][0]}, since {WANTS[k][1 + int(rng.integers(2))]}; think of "
        f"{extras[int(rng.integers(len(extras)))]} and street {int(rng.integers(900))}."
        for k in kinds
    ]


class Script:
    """Writes without a model: distinct statements, as fast as can be; counts its prompts."""

    model_id = "script"
    weights_hash = None
    notes: tuple[str, ...] = ()
    n_prompts = 0

    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        del sampling
        self.n_prompts += len(prompts)
        words = ("slowly", "fairly", "together", "carefully", "openly", "soon", "locally", "simply")
        answers = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            one, two = rng.choice(words, 2, replace=False)
            want = WANTS[int(rng.integers(len(WANTS)))][0]
            number = "".join(chr(97 + int(i)) for i in rng.integers(0, 26, 8))
            text = (
                f"We would like to try {want} {one} in the quarter of {number}, and {two} look at "
                "what it costs before it is made a rule."
            )
            answers.append([Completion(text, "stop", seed)] * n_samples)
        if on_done is not None:
            on_done(len(answers))
        return answers

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Guess:
    """Predicts without a model, by shared words; counts its pairs."""

    name = "shared words"
    weights_hash = "0"
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made up")
    n_pairs = 0

    def rewards(self, inputs, *, on_done=None):
        self.n_pairs += len(inputs)
        if on_done is not None:
            on_done(len(inputs))
        return np.array(
            [len(set(o.lower().split()) & set(s.lower().split())) / 4 - 1 for _, o, s in inputs]
        )


def growth(sizes: Sequence[int], model: str | None, reward: str | None) -> None:
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "people.csv"
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["question", "id", "opinion"])
                texts = made_up(n, np.random.default_rng(n))
                writer.writerows((QUESTION, f"p{i}", text) for i, text in enumerate(texts))
            del texts
            script, guess = Script(), Guess()
            policy = load_policy("zero_shot", script) if model is None else None
            ends: dict[str, float] = {}
            seconds: dict[str, float] = {}

            def watch(stage: str, *_: int, ends=ends, seconds=seconds) -> None:
                now = time.process_time()
                begun = ends.setdefault("begun", now)
                seconds[stage] = seconds.get(stage, 0.0) + now - ends.get("last", begun)
                ends["last"] = now

            began = time.process_time()
            people = read_people(path)
            read = time.process_time() - began
            found = find_agreement(
                people.question,
                people.opinions,
                policy=policy,
                **({} if model is None else {"model": model}),
                reward=reward or guess,
                on_progress=watch,
            )
            total = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        n_prompts = script.n_prompts or found.n_sampled
        rows.append((n, seconds.get("group", 0.0), total, n_prompts, guess.n_pairs))
        print(
            f"{n:>8,} people: reading {read:.1f} s, groups {seconds.get('group', 0.0):.1f} s, all "
            f"{total:.1f} s of processor; {n_prompts} prompts, "
            f"{guess.n_pairs or '?'} pairs, peak {peak:.0f} MiB (so far)",
            flush=True,
        )
    if len(rows) > 1:
        first, last = rows[1 if len(rows) > 2 else 0], rows[-1]
        for name, at in (("grouping", 1), ("processor time", 2), ("prompts", 3), ("pairs", 4)):
            if first[at] and last[at]:
                exponent = math.log(last[at] / first[at]) / math.log(last[0] / first[0])
                print(f"growth exponent of {name}, {first[0]:,} to {last[0]:,}: {exponent:.2f}")


expected_once = cache(expected_votes)


@cache
def conversations(data: Path, only: str) -> list[tuple[str, Votes]]:
    """The Polis exports in a folder whose names hold ``only``, the smallest first."""
    found = []
    for folder in sorted(data.iterdir()):
        if folder.is_dir() and only in folder.name:
            dataset = import_polis(folder, question="?")
            votes = Votes(
                matrix(dataset, dataset.rounds["round_id"][0], with_opinion=False),
                dataset.about.scale,
            )
            found.append((folder.name[:34], votes.of_most_voted(MOST_STATEMENTS)))
    return sorted(found, key=lambda each: each[1].matrix.agreement.size)


def on_seven(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """Everybody's expected votes on 1 to 7 (just inside), and the groups from their votes."""
    expected, _, how = expected_once(votes)
    low, high = votes.scale.low, votes.scale.high
    utilities = 1.05 + (expected - low) / (high - low) * 5.9
    labels = groups_from_votes(votes.matrix.agreement, np.random.default_rng(0)).labels
    if how != "warm":
        print("(scikit-learn is not installed: missing votes are the statement's mean)")
    return utilities, labels


def sampled(data: Path, only: str, n_draws: int, n_panel: int) -> None:
    print(f"panel of {n_panel}, {n_draws} draws of 16 statements each; utilities are votes,")
    print("missing ones predicted from votes; regret in points of 1 to 7, mean and worst")
    for name, votes in conversations(data, only):
        utilities, labels = on_seven(votes)
        n = len(utilities)
        line = []
        for rule in (UTILITARIAN, BERNOULLI_NASH, for_samples(RAWLSIAN)):
            correlations, regrets, shares = [], [], []
            for seed in range(n_draws):
                rng = np.random.default_rng(seed)
                columns = rng.choice(utilities.shape[1], min(16, utilities.shape[1]), replace=False)
                own = utilities[:, columns]
                base = stratified(labels, min(n_panel, n), rng, with_floor=False)
                rest = list(rng.permutation(np.setdiff1d(np.arange(n), base)))

                def more(k, cols, own=own, rest=rest, labels=labels):
                    rows = rest[:k]
                    del rest[:k]
                    return own[np.ix_(rows, list(cols))], labels[rows]

                judged, _, winner = judge(
                    Panel(own[base], labels[base], n),
                    rule,
                    allowed=range(len(columns)),
                    more=more,
                    n_more=len(rest),
                    rng=rng,
                )
                truth = rule.welfare(own)
                estimate = np.array([each.welfare for each in judged])
                one = np.zeros(len(truth), dtype=np.int64)
                correlations.append(rank_correlations(estimate, truth, one, 1)[0])
                regrets.append(truth.max() - truth[winner])
                slack = 1e-9  # where everybody was asked the interval is a point
                inside = [
                    j.low - slack <= t <= j.high + slack for j, t in zip(judged, truth, strict=True)
                ]
                shares.append(np.mean(inside))
            line.append(
                f"{rule.name}: {np.nanmean(correlations):.3f}, {np.mean(regrets):.3f} "
                f"({np.max(regrets):.2f}), {np.mean(shares):.0%} inside"
            )
        print(f"{name:<35}{n:>6,} people  {'; '.join(line)}", flush=True)


def slates_of(data: Path, only: str, k: int) -> None:
    print(
        f"share of people who agreed with at least one of {k}: by votes cast alone / with predicted"
    )
    sums: dict[str, list[tuple[float, float]]] = {}
    for name, votes in conversations(data, only):
        expected, _, _ = expected_once(votes)
        approves = expected > votes.scale.neutral
        cast = np.nan_to_num(votes.matrix.agreement, nan=-9) > votes.scale.neutral
        said = []
        for rule, choose in (
            ("top", slates.top),
            ("greedy", slates.greedy),
            ("pav", slates.proportional),
        ):
            slate = list(choose(approves, k))
            both = (cast[:, slate].any(axis=1).mean(), approves[:, slate].any(axis=1).mean())
            sums.setdefault(rule, []).append(both)
            justly = slates.unrepresented(approves, tuple(slate), k) / len(approves)
            said.append(f"{rule} {both[0]:.1%} / {both[1]:.1%} (left {justly:.0%})")
        print(f"{name:<35}{len(approves):>6,} people  {'; '.join(said)}", flush=True)
    for rule, pairs in sums.items():
        one, two = np.mean(pairs, axis=0)
        print(f"mean of {len(pairs)}: {rule} {one:.1%} / {two:.1%}")


def writers(n: int, model: str, reward: str) -> None:
    people = made_up(n, np.random.default_rng(1))
    for writing in ("sampled", "recursive"):
        began = time.process_time()
        found = find_agreement(
            QUESTION,
            people,
            model=model,
            reward=reward,
            n_candidates=8,
            many=ManyOptions(writing=writing, n_panel=60),
        )
        at = found.closest_index
        welfare = "none" if at is None else f"{found.welfare[at]:.2f}"
        by_group = {
            group.name: None if group.expected is None else round(group.expected, 2)
            for group in found.population.groups
        }
        print(
            f"{writing}: {time.process_time() - began:.0f} s of processor, {len(found.candidates)} "
            f"candidates of {found.n_sampled} completions, welfare of the closest {welfare}, "
            f"by group {by_group}, agreeing {found.population.agreeing}, covered by the slate "
            f"{found.population.slates[0].covered if found.population.slates else 'none'}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=("growth", "sampled", "slates", "writers"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="part of the name of the conversations")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--model")
    parser.add_argument("--reward")
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--panel", type=int, default=200)
    parser.add_argument("--slate", type=int, default=3)
    args = parser.parse_args()
    if args.data is None and {"sampled", "slates"} & set(args.what):
        parser.error("sampled and slates need --data, a folder of Polis exports")
    if "growth" in args.what:
        growth(args.sizes, args.model, args.reward)
    if "writers" in args.what:
        writers(args.people, args.model or "embedded:small", args.reward or "reader")
    if "slates" in args.what:
        slates_of(args.data, args.only, args.slate)
    if "sampled" in args.what:
        sampled(args.data, args.only, args.draws, args.panel)


if __name__ == "__main__":
    main()
