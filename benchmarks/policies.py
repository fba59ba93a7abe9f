"""What each policy writes for the same held-out groups, measured side by side.

    python benchmarks/policies.py [--groups 20] [--seed 0] [--page docs/policies_side_by_side.md]

Groups of the starter set that no training sees, in an order drawn by the seed. Every writer writes
16 candidates for each; `..._base` is the first of them, `..._utilitarian` the one that the reward
model `first` picks under utilitarian welfare. `the question` (the question given as the statement)
and `written` (the starter set's own statements) stand beside them: what being on the topic reaches,
and what the policy was to learn. Differences are of the same groups. Intervals are 95 % and
resample groups. Form and nearness only: nobody rates anything here.

Each round is kept in --journal as soon as it is written, and a run that was interrupted goes on
with it. Remove the journal after a change to the parser or to how completions are drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from commonweal.errors import GenerationError
from commonweal.files import write_whole
from commonweal.measures.bootstrap import Resampler
from commonweal.measures.intervals import N_RESAMPLES, Estimate
from commonweal.models import DEFAULT_MODEL, load_language_model
from commonweal.models.encoder import SentenceEncoder
from commonweal.models.store import require
from commonweal.policies import load_policy
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.starter import StarterExample, load_starter_set, split
from commonweal.rewards import REWARD_WEIGHTS, load_reward_model, utility_profile
from commonweal.types import (
    Candidate,
    Generation,
    Opinion,
    Question,
    Rejection,
    RejectionReason,
    RewardModel,
)
from commonweal.welfare import best, isoelastic

sys.path.append(str(Path(__file__).parent / "lib"))
from policy_measures import (
    Statements,
    measure_parsing,
    measure_statements,
)

N_HELD_OUT, SPLIT_SEED = 40, 0
"""As in training (`starter_held_out` in recipes/sft/starter.toml): no policy learned from these."""
N_CANDIDATES = 16
N_ON_PAGE = 10
MEASURES: dict[str, str] = {
    "words": "n_words",
    "longest copied run": "longest_copied_run",
    "words copied": "copied_share",
    "say we": "speaks_as_group",
    "coverage": "coverage",
    "coverage by chance": "chance_coverage",
    "coverage above chance": "coverage_above_chance",
    "coverage of the farthest": "least_coverage",
    "distinct runs": "distinct_runs",
    "distance": "distance",
}
ACCEPTED = "accepted"
LEGEND = """\
accepted: share of the judged completions that became candidates. longest copied run: words in the
longest run shared with one opinion. words copied: share in runs of four or more from opinions.
coverage: cosine (all-MiniLM-L6-v2, 1 is the same) of each opinion to the nearest sentence; by
chance, of opinions on other topics; of the farthest, of the group's least covered opinion. distinct
runs: share of the runs of four words in all candidates that are different. distance: one minus the
cosine of two candidates. Means over groups."""
Values = dict[str, dict[str, "np.ndarray"]]
"""Policy to measure to its value in each group, float64 [n_groups]; nan where there is none."""


@dataclass(frozen=True)
class Group:
    """A held-out example as a group, with its place in the draw, which seeds its rounds."""

    place: int
    example: StarterExample
    question: Question
    opinions: tuple[Opinion, ...]

    @classmethod
    def of(cls, place: int, example: StarterExample) -> Group:
        """The example with the participants p1, p2, ..."""
        named = (Opinion(f"p{n}", text) for n, text in enumerate(example.opinions, start=1))
        return cls(place, example, Question(example.question, example.id), tuple(named))


def main() -> None:
    """Prints the tables and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=20, help="how many held-out groups")
    parser.add_argument("--seed", type=int, default=0, help="draws the groups and seeds the rounds")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument(
        "--policies", nargs="+", default=["zero_shot", "few_shot", "sft"], help="names or folders"
    )
    parser.add_argument("--journal", type=Path, default=Path("out/policies.jsonl"))
    parser.add_argument("--page", type=Path, help=f"shows the first {N_ON_PAGE} groups of the draw")
    args = parser.parse_args()
    groups = draw_groups(args.groups, args.seed)
    rounds = write_rounds(groups, args.policies, args.model, args.seed, Journal(args.journal))
    reward = load_reward_model("first")
    columns = as_columns(groups, rounds, reward)
    table = estimate(with_differences(measure(groups, rounds, columns), list(rounds)), args.seed)
    reasons = rejection_shares(rounds)
    print_tables(len(groups), table, reasons)
    if args.page:
        write_whole(args.page, page(groups, rounds, columns, table, reasons, args.seed))
        print(f"Wrote {args.page}")


def draw_groups(n_groups: int, seed: int) -> list[Group]:
    """The first so many held-out groups, in the order drawn by the seed."""
    _, held_out = split(load_starter_set(), n_held_out=N_HELD_OUT, seed=SPLIT_SEED)
    order = np.random.default_rng(seed).permutation(len(held_out))[:n_groups]
    return [Group.of(place, held_out[index]) for place, index in enumerate(order)]


# --------------------------------------------------------------------------------------- writing


class Journal:
    """Rounds on disk, one line of JSON each, found again by all that they depend on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes() if path.exists() else b""
        # The last line may have been cut off by what ended the run.
        whole = raw[: raw.rfind(b"\n") + 1]
        path.write_bytes(whole)
        self._rounds = {
            entry["key"]: entry["round"] for entry in map(json.loads, whole.splitlines())
        }

    def get(self, key: str, make: Callable[[], Generation]) -> Generation:
        """The round of that key, made where it is not there."""
        if key not in self._rounds:
            made = json.dumps(asdict(make()), ensure_ascii=False)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f'{{"key": {json.dumps(key)}, "round": {made}}}\n')
            self._rounds[key] = json.loads(made)
        known = dict(self._rounds[key])
        candidates = [
            Candidate(**{**each, "included_opinion_ids": tuple(each["included_opinion_ids"])})
            for each in known.pop("candidates")
        ]
        rejections = [
            Rejection(**{**each, "reason": RejectionReason(each["reason"])})
            for each in known.pop("rejections")
        ]
        notes = tuple(known.pop("notes"))
        return Generation(tuple(candidates), tuple(rejections), notes=notes, **known)


def write_rounds(
    groups: Sequence[Group], names: Sequence[str], model: str, seed: int, journal: Journal
) -> dict[str, list[Generation]]:
    """What each writer wrote for each group; a round without candidates holds its rejections."""
    load = cache(load_language_model)
    rounds: dict[str, list[Generation]] = {}
    for name in names:
        policy = load_policy(name, model, load_model=load)
        assert isinstance(policy, PromptedPolicy)
        writer = (
            f"{policy.name} {policy.model.model_id} {policy.model.weights_hash} "
            f"{policy.template.hash}"
        )
        rounds[policy.name] = []
        for group in groups:
            print(f"{policy.name}: {group.place + 1} of {len(groups)}", file=sys.stderr)
            key = f"{writer} n {N_CANDIDATES} seed {seed}.{group.place} {group.question.id}"
            rounds[policy.name].append(journal.get(key, partial(_write, policy, group, seed)))
    return rounds


def _write(policy: PromptedPolicy, group: Group, seed: int) -> Generation:
    rng = np.random.default_rng([seed, group.place])
    try:
        return policy.generate(group.question, group.opinions, n_candidates=N_CANDIDATES, rng=rng)
    except GenerationError as error:
        n_rejected = len(error.rejections)
        return Generation((), error.rejections, N_CANDIDATES, n_rejected, (str(error),))


def as_columns(
    groups: Sequence[Group], rounds: Mapping[str, Sequence[Generation]], reward: RewardModel
) -> dict[str, list[list[str]]]:
    """Policy to its statements for each group: all candidates, the first, or the pick."""
    found: dict[str, list[list[str]]] = {}
    for name, made in rounds.items():
        texts = [[candidate.text for candidate in each.candidates] for each in made]
        found[name] = texts
        found[f"{name}_base"] = [each[:1] for each in texts]
        if name != "zero_shot":
            found[f"{name}_utilitarian"] = [
                _pick(reward, group, each) for group, each in zip(groups, texts, strict=True)
            ]
    return found


def _pick(reward: RewardModel, group: Group, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    opinions = [opinion.text for opinion in group.opinions]
    utilities = utility_profile(reward, group.question.text, opinions, texts)
    return [texts[int(best(isoelastic(utilities, 0.0)))]]


# ------------------------------------------------------------------------------------- measuring


def measure(
    groups: Sequence[Group],
    rounds: Mapping[str, Sequence[Generation]],
    columns: Mapping[str, Sequence[Sequence[str]]],
) -> Values:
    """What the statements of each policy are like, and what stands beside them."""
    encoder = SentenceEncoder(require(REWARD_WEIGHTS))
    references = {
        "the question": [[group.question.text] for group in groups],
        "written": [list(group.example.statements) for group in groups],
    }
    values: Values = {}
    for name, texts in {**columns, **references}.items():
        measured = [
            _measured(group, groups, each, encoder)
            for group, each in zip(groups, texts, strict=True)
        ]
        values[name] = {
            label: np.array(
                [math.nan if each is None else getattr(each, field) for each in measured]
            )
            for label, field in MEASURES.items()
        }
        if name in rounds:
            shares = [measure_parsing([each]).accepted_share for each in rounds[name]]
            values[name][ACCEPTED] = np.array(shares)
    return values


def with_differences(values: Values, writers: Sequence[str]) -> Values:
    """The values, and group by group each writer's less those of the writer before it."""
    found = dict(values)
    for one, other in pairwise(writers):
        found[f"{other} less {one}"] = {
            label: values[other][label] - values[one][label] for label in values[one]
        }
    return found


def estimate(values: Values, seed: int) -> dict[str, dict[str, Estimate]]:
    """Policy to measure to the mean over groups with its interval, all from the same resamples."""
    cells = [(name, label) for name, measured in values.items() for label in measured]
    stacked = np.column_stack([values[name][label] for name, label in cells])
    resampler = Resampler(len(stacked), N_RESAMPLES, np.random.default_rng(seed))
    estimates = resampler.ratios(np.nan_to_num(stacked), (~np.isnan(stacked)).astype(np.float64))
    table: dict[str, dict[str, Estimate]] = {name: {} for name in values}
    for (name, label), each in zip(cells, estimates, strict=True):
        table[name][label] = each
    return table


def _measured(
    group: Group, groups: Sequence[Group], texts: Sequence[str], encoder: SentenceEncoder
) -> Statements | None:
    """What the statements are like; None where there is none.

    Chance is measured on groups of other topics: another question of one topic is too near.
    """
    if not texts:
        return None
    elsewhere = [
        opinion.text
        for other in groups
        if other.example.topic != group.example.topic
        for opinion in other.opinions
    ]
    opinions = [opinion.text for opinion in group.opinions]
    return measure_statements(texts, opinions, elsewhere, encoder.encode)


def rejection_shares(rounds: Mapping[str, Sequence[Generation]]) -> dict[str, dict[str, float]]:
    """Reason to writer to the share of its judged completions that were rejected for it."""
    parsed = {name: measure_parsing(made) for name, made in rounds.items()}
    return {
        str(reason): {
            name: each.n_rejected.get(reason, 0) / each.n_judged for name, each in parsed.items()
        }
        for reason in RejectionReason
        if any(reason in each.n_rejected for each in parsed.values())
    }


# --------------------------------------------------------------------------------------- showing


def print_tables(
    n_groups: int,
    table: Mapping[str, Mapping[str, Estimate]],
    reasons: Mapping[str, Mapping[str, float]],
) -> None:
    """Both tables on the screen."""
    console = Console(width=170, highlight=False)
    labels = (ACCEPTED, *MEASURES)
    shown = Table(title=f"{n_groups} held-out groups", show_lines=True)
    shown.add_column(no_wrap=True)
    for label in labels:
        shown.add_column(label, justify="right")
    for name, row in table.items():
        shown.add_row(name, *(_cell(row.get(label), "\n{}…{}") for label in labels))
    console.print(shown)
    console.print(LEGEND)
    writers = list(next(iter(reasons.values()), {}))
    rejected = Table("rejected", *writers, title="Why, as shares of the judged completions")
    for reason, shares in reasons.items():
        rejected.add_row(reason, *(f"{share:.1%}" for share in shares.values()))
    console.print(rejected)


def _cell(found: Estimate | None, interval: str) -> str:
    if found is None or math.isnan(found.value):
        return "-"
    digits = 1 if abs(found.value) >= 3 else 2
    value = f"{found.value:.{digits}f}"
    if found.no_interval:
        return value
    return value + interval.format(f"{found.low:.{digits}f}", f"{found.high:.{digits}f}")


def page(
    groups: Sequence[Group],
    rounds: Mapping[str, Sequence[Generation]],
    columns: Mapping[str, Sequence[Sequence[str]]],
    table: Mapping[str, Mapping[str, Estimate]],
    reasons: Mapping[str, Mapping[str, float]],
    seed: int,
) -> str:
    """The page of the first groups of the draw, as Markdown."""
    models = {
        name: sorted({candidate.model for each in made for candidate in each.candidates})
        for name, made in rounds.items()
    }
    lines = [
        "# Policies side by side",
        "",
        f"Written by the program (`python benchmarks/policies.py --groups {len(groups)} --seed "
        f"{seed} --page ...`); do not edit. The opinions were written for this project; no real "
        "person said any of it. The statements were written by language models ("
        + "; ".join(f"{name}: {', '.join(used) or 'no candidate'}" for name, used in models.items())
        + ") and are shown as they came. **Nobody rated these statements.**",
        "",
        f"The groups are held out of all training, in whole topics. They are not picked: the first "
        f"{min(N_ON_PAGE, len(groups))} in the order drawn by seed {seed}. `..._base` is one "
        "sample, the first that the parser takes; `..._utilitarian` the one of up to "
        f"{N_CANDIDATES} for which the reward model `first` predicts the highest mean agreement. "
        f"The rounds of group n are drawn with `default_rng([{seed}, n - 1])`; the seed of each "
        "statement stands beside it.",
    ]
    for group in groups[:N_ON_PAGE]:
        lines += _of_group(group, rounds, columns)
    labels = (ACCEPTED, *MEASURES)
    lines += [
        "",
        f"## What they are like, over {len(groups)} groups",
        "",
        f"A name alone stands for all of up to {N_CANDIDATES} candidates. `the question` is the "
        "question given as the statement, `written` the starter set's own statements. Intervals "
        "are 95 %, by resampling groups. All of it is form and nearness: no measure here sees "
        "whether a statement is fair, or whether anybody would agree.",
        "",
        *LEGEND.splitlines(),
        "",
        f"| | {' | '.join(labels)} |",
        f"|---|{'---|' * len(labels)}",
        *(
            f"| {name} | {' | '.join(_cell(row.get(label), ' ({} to {})') for label in labels)} |"
            for name, row in table.items()
        ),
        "",
        "Why completions were rejected, as shares of those that the parser judged:",
        "",
        f"| | {' | '.join(rounds)} |",
        f"|---|{'---|' * len(rounds)}",
        *(
            f"| {reason} | {' | '.join(f'{share:.1%}' for share in shares.values())} |"
            for reason, shares in reasons.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _of_group(
    group: Group,
    rounds: Mapping[str, Sequence[Generation]],
    columns: Mapping[str, Sequence[Sequence[str]]],
) -> list[str]:
    lines = ["", f"## {group.place + 1}. {_escaped(group.question.text)}", ""]
    lines += [f"- {_escaped(opinion.text)}" for opinion in group.opinions]
    lines += ["", "| policy | statement | seed |", "|---|---|---|"]
    for name, made in rounds.items():
        generation = made[group.place]
        seeds = {candidate.text: candidate.seed for candidate in generation.candidates}
        picked = () if name in ("zero_shot", "few_shot") else (f"{name}_utilitarian",)
        for column in (f"{name}_base", *picked):
            texts = columns[column][group.place]
            failure = f"**no candidate:** {_escaped(' '.join(generation.notes))}"
            statement = _escaped(texts[0]) if texts else failure
            lines.append(f"| {column} | {statement} | {seeds[texts[0]] if texts else ''} |")
    return lines


def _escaped(text: str) -> str:
    """The text on one line, with nothing that Markdown would take for its own."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    main()
