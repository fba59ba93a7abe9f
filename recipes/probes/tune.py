"""Tunes the layers that the probe reads, by low-rank updates, to tell how far a person would agree.

    python recipes/probes/tune.py --data ../shared/data --start out/probes/linear.npz

Begins with the direction of a linear probe (`agreement.py`), or goes on from the end of an earlier
run, and updates layers 10 to 18 of the default model (Hu et al. 2021), the lower ones as they are.
Every step reads one question: all its opinions with up to 16 statements each, or one or two
people's votes. The loss on the grades is the squared error, plus that of what is left without the
means of people and of statements, where only the opinion can help, plus that of the group's mean of
each statement, by which one is chosen. Of people's votes and choices only the order within a person
counts. The weight of `reader` beside it comes from a third of the groups of what the model itself
wrote, calibration and ranges from these and the groups of development, none of which is trained on.
The schedule follows the clock (`--minutes`); broken off, the same command goes on from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from agreement import Graded, Part, drawn, part_of, real_part, save
from network import Network, Packed, Packer
from ridge import read

from commonweal.files import sha256_of
from commonweal.models.probe import Probe
from commonweal.rewards.probe import WEIGHTS_PATH, prompt_hash

# Another recipe says which data of people are for what; recipes are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "reader"))

from people import Votes, read_votes

FIRST, LAST = 10, 18
N_HELD_OUT = 18
N_SECOND, N_VOTES, N_CHOICES, N_STATEMENTS = 300, 80, 20, 8
VOTE_POINTS, CHOICE_POINTS = 1.5, 0.75
"""How far from the middle of the scale a vote, and a choice, is taken to be."""
CROSSED_WEIGHT, MEAN_WEIGHT, PEOPLE_WEIGHT = 1.0, 2.0, 0.5
RATE, DIRECTION_RATE, LOWEST_RATE, WARM_UP_STEPS = 2e-4, 1e-3, 0.02, 40
MEAN_GRADE = 3.7
"""Of all these groups, about: what a linear probe leaves out."""
SCALE = 3.0
"""Points of the grades that count as one."""
LEAST_LIKENESS = 0.9
STEPS_A_CHECKPOINT, N_FOR_SPREAD = 50, 10
LONGEST = 1990
"""Letters of a statement that is not cut."""


@dataclass(frozen=True)
class Task:
    """A question with people, as many statements each, and grades [n_people, n_statements]; of
    votes only their order within a person means something."""

    question: str
    people: tuple[tuple[str, tuple[str, ...]], ...]
    grades: np.ndarray
    votes: bool = False


def main() -> None:
    """The run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with polis/ and others")
    parser.add_argument(
        "--start", type=Path, required=True, help="a linear probe, or what an earlier run gave"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--work", type=Path, default=Path("out/probes"))
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.layer = LAST
    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    before = Probe.load(args.start, prompt_hash=prompt_hash(), recipe="recipes/probes/agreement.py")
    if before.metadata["layer"] != LAST:
        raise SystemExit(f"{args.start} reads after layer {before.metadata['layer']}, not {LAST}")
    if "n_written_groups" in before.metadata or before.metadata.get("seed", args.seed) != args.seed:
        raise SystemExit(
            f"{args.start} may have read texts that are kept out of this run; expected a linear "
            "probe of written groups alone (README.md says which), or what a run with the same "
            "--seed gave"
        )
    tasks, held_out = _tasks(args.data, rng, before.metadata["n_groups"])
    packer = Packer()
    if not before.fits(packer.engine):
        raise SystemExit(f"{args.start} was fitted to other weights than {packer.engine.model_id}")
    network, n_read = _tuned(args, before, tasks, packer)
    direction, constant = network.read_off()
    facts = {
        "weights_sha256": packer.engine.weights_hash,
        "layer": LAST,
        "n_tasks": len(tasks),
        "n_tasks_read": n_read,
        "minutes": args.minutes,
        "seed": args.seed,
        "n_groups": before.metadata["n_groups"],
        "prompt_hash": prompt_hash(),
    }
    tuned = args.work / "tuned.npz"
    Probe(direction[:, None], facts, {"offset": np.array([-constant])}, dict(network.pairs())).save(
        tuned
    )
    # What follows is fitted to the updates as they are stored, which rounds them.
    probe = Probe.load(tuned, prompt_hash=prompt_hash(), recipe=__file__)

    def part(name: str, groups: list[dict[str, Any]]) -> Part:
        graded = Graded(groups, args, packer.engine, probe.updates)
        return Part(name, graded, np.concatenate(graded.rows) @ probe.directions[:, 0] + constant)

    _check_engine(network, packer, held_out[0], part("", held_out[:1]).values)
    del network
    parts = [
        part("of what the default model writes", held_out),
        part("of other topics, written", read("development")),
    ]
    save(args.out, probe, parts)


def _check_engine(
    network: Network, packer: Packer, group: dict[str, Any], told: np.ndarray
) -> None:
    """Stops where the engine that will read told something else of a group than the network."""
    task = _of_group(group)
    with torch.inference_mode():
        texts = packer(task.question, task.people)
        trained = network.grades(network.states(network.below(texts), texts)).numpy().ravel()
    likeness = np.corrcoef(trained, told)[0, 1]
    print(f"torch and the engine: correlation {likeness:.4f}, apart {(told - trained).std():.3f}")
    if likeness < LEAST_LIKENESS:
        raise SystemExit("what was trained is not what the engine computes")


def _tasks(
    data: Path, rng: random.Random, n_groups: int
) -> tuple[list[Task], list[dict[str, Any]]]:
    """What to train on, in the order in which it is read, and groups of what the model wrote that
    are kept out, but for those of which the first ``n_groups`` groups have other statements."""
    second = [part_of(each, N_STATEMENTS, rng) for each in read("train_second")]
    real = read("outputs_plain")
    rng.shuffle(real)
    kept = [real_part(each) for each in real[:N_HELD_OUT]]
    ids = {each["id"] for each in kept}
    groups = [*read("train"), *rng.sample(second, N_SECOND), *read("outputs_train")]
    groups += 2 * real[N_HELD_OUT:]
    tasks = [_of_group(each) for each in groups if each["id"] not in ids]
    votes, choices = read_votes(data)
    tasks += _of_votes(votes, rng) + _of_choices(choices, rng)
    rng.shuffle(tasks)
    read_before = {each["id"] for each in drawn(n_groups)}
    tasks = [each for each in tasks if each.grades.shape[1] > 1]  # one alone has no order
    return tasks, [each for each in kept if each["id"] not in read_before]


def _of_group(group: dict[str, Any]) -> Task:
    statements = tuple(group["statements"])
    people = tuple((opinion, statements) for opinion in group["opinions"])
    return Task(group["question"], people, np.array(group["agreement"], float))


def _of_votes(rounds: Sequence[Votes], rng: random.Random) -> list[Task]:
    """Two people's votes on the same statements, of which they see some differently; of the
    dialogue, where hardly two voted on the same, one person's."""
    tasks: list[Task] = []
    weights = [min(200, len(each.opinions)) ** 0.5 for each in rounds]
    while len(tasks) < N_VOTES:
        (of,) = rng.choices(rounds, weights)
        people = rng.sample(range(len(of.opinions)), 2)
        if len(of.opinions) == len(of.statements):
            people = people[:1]
            chosen = list(np.flatnonzero(np.isfinite(of.answers[people[0]])))
            apart = len(set(of.answers[people[0], chosen])) > 1
        else:
            both = np.flatnonzero(np.isfinite(of.answers[people]).all(axis=0))
            differ = [j for j in both if of.answers[people[0], j] != of.answers[people[1], j]]
            others = [j for j in both if j not in differ]
            apart = len(both) >= 4 and len(differ) >= 2
            chosen = [j for some in (differ, others) for j in rng.sample(some, min(3, len(some)))]
        if apart:
            statements = tuple(of.statements[j] for j in chosen)
            tasks.append(
                Task(
                    of.question,
                    tuple((of.opinions[i], statements) for i in people),
                    VOTE_POINTS * of.answers[np.ix_(people, chosen)],
                    votes=True,
                )
            )
    return tasks


def _of_choices(rounds: Sequence[Votes], rng: random.Random) -> list[Task]:
    """One person's choice between two summaries."""
    tasks: list[Task] = []
    while len(tasks) < N_CHOICES:
        found = rng.choice(rounds).within(rng)
        if found is None or max(len(text) for *_, text in found[0]) > LONGEST:
            continue
        ((question, opinion, one), (_, _, other)), sign = found
        grades = np.array([[CHOICE_POINTS * sign, -CHOICE_POINTS * sign]])
        tasks.append(Task(question, ((opinion, (one, other)),), grades, votes=True))
    return tasks


def _tuned(
    args: argparse.Namespace, before: Probe, tasks: Sequence[Task], packer: Packer
) -> tuple[Network, int]:
    """The network and how many tasks it has read."""
    direction = before.directions.mean(axis=1)
    constant = (0 if before.updates else MEAN_GRADE) - float(before.arrays["offset"][0])
    network = Network(FIRST, LAST, direction, constant)
    network.begin_with(before.updates)

    def states(task: Task) -> torch.Tensor:
        texts: Packed = packer(task.question, task.people)
        return network.states(network.below(texts), texts)

    own = [network.turn, network.shift]
    optimizer = torch.optim.AdamW(
        [
            {"params": network.updates(), "lr": RATE, "weight_decay": 0.01},
            {"params": own, "lr": DIRECTION_RATE, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    rates = [each["lr"] for each in optimizer.param_groups]
    checkpoint, n_read, spent = args.work / "tuned.pt", before.metadata.get("n_tasks_read", 0), 0.0
    of = {"start": sha256_of(args.start), "seed": args.seed, "minutes": args.minutes}
    if checkpoint.is_file():
        stored = torch.load(checkpoint)
        if stored["of"] != of:
            raise SystemExit(f"{checkpoint} is of another run ({stored['of']}); delete it to begin")
        network.load_state_dict(stored["network"], strict=False)
        optimizer.load_state_dict(stored["optimizer"])
        n_read, spent = stored["n_read"], stored["spent"]
        print(f"goes on from {checkpoint}, {n_read} tasks", flush=True)
    else:
        with torch.inference_mode():
            some = torch.cat([states(each).flatten(0, 1) for each in tasks[:N_FOR_SPREAD]])
        network.middle.copy_(some.mean(0))
        network.spread.copy_(some.std(0) + 1e-3)

    def keep() -> None:
        kept = {
            name: value
            for name, value in network.state_dict().items()
            if "lora_" in name or not name.startswith("body.")
        }
        part = checkpoint.with_suffix(".part")  # a run broken off leaves no half of a file
        torch.save(
            {
                "of": of,
                "network": kept,
                "optimizer": optimizer.state_dict(),
                "n_read": n_read,
                "spent": time.monotonic() - began,
            },
            part,
        )
        part.replace(checkpoint)

    began, losses = time.monotonic() - spent, []
    while (done := (time.monotonic() - began) / (60 * args.minutes)) < 1:
        share = min(1, (len(losses) + 1) / WARM_UP_STEPS)
        share *= LOWEST_RATE + (1 - LOWEST_RATE) * (1 + math.cos(math.pi * done)) / 2
        for part, rate in zip(optimizer.param_groups, rates, strict=True):
            part["lr"] = share * rate
        task = tasks[n_read % len(tasks)]
        optimizer.zero_grad()
        loss = _loss(network.grades(states(task)), task)
        if not torch.isfinite(loss):
            raise SystemExit(f"the loss is {loss.item()} at task {n_read}, {task.question!r}")
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*network.updates(), *own], 1.0)
        optimizer.step()
        n_read += 1
        losses.append(loss.item())
        if n_read % STEPS_A_CHECKPOINT == 0:
            keep()
            print(f"{n_read} tasks, loss {np.mean(losses[-STEPS_A_CHECKPOINT:]):.3f}", flush=True)
    keep()
    return network, n_read


def _loss(found: torch.Tensor, task: Task) -> torch.Tensor:
    error = (found - torch.tensor(task.grades, dtype=torch.float32)) / SCALE
    n_people, n_statements = error.shape
    within = error - error.mean(1, keepdim=True)
    crossed = (within - within.mean(0, keepdim=True)) ** 2
    of_crossed = crossed.sum() / (max(1, n_people - 1) * (n_statements - 1))
    if task.votes:
        of_order = (within**2).sum() / (n_people * (n_statements - 1))
        return PEOPLE_WEIGHT * (of_order + (of_crossed if n_people > 1 else 0))
    group = within.mean(0)
    of_mean = (group**2).sum() / (n_statements - 1)
    return (error**2).mean() + CROSSED_WEIGHT * of_crossed + MEAN_WEIGHT * of_mean


if __name__ == "__main__":
    main()
