"""Train the reader on graded groups, pairs of known stance and people's votes; write its weights.

    python recipes/reader/train.py --data ../shared/data --out src/commonweal/rewards/reader.npz

Every step reads parts of three groups (3 opinions × 4 statements each), some pairs of known stance
and some votes. The loss on the grades is the squared error, plus the squared error of what is left
when each person's and each statement's mean are taken out: there only the opinion can help. A
second output learns the quality, from statements that are read beside all opinions at once. Of
people's votes and choices only the order counts: which of two statements a person prefers, and
which of two people prefers it more. The schedule follows the clock (`--minutes`), so a run is as
long as one has time; broken off, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from groups import Group, read_groups
from network import Batches, Network, Texts, outputs, predict
from people import examples, read_votes
from safetensors.numpy import load_file
from stance import stance_pairs
from torch.nn.functional import softplus

from commonweal.files import sha256_of
from commonweal.models import store
from commonweal.rewards.calibration import fit_logistic_calibration
from commonweal.rewards.ranges import interval_of
from commonweal.rewards.reader import BACKBONE, BACKBONE_FILES, ReaderWeights

TRAINING = ("train", "train_second", "outputs_development")
CROSSED_WEIGHT, QUALITY_WEIGHT, STANCE_WEIGHT, PEOPLE_WEIGHT = 1.0, 0.6, 0.5, 0.3
GROUPS_A_STEP, JUDGED_A_STEP, STANCE_A_STEP, PEOPLE_A_STEP = 3, 2, 14, 8
STEEPNESS = 3.0
"""Of the logistic on people's choices: outputs are (grade - 4) / 3, so one unit is three points."""
WARM_UP_STEPS, STEPS_A_CHECKPOINT = 80, 200
LOWEST_RATE, HEAD_FASTER = 0.02, 6
N_BINS = 16
AGREEMENT, QUALITY = 0, 1
"""The network's outputs."""
RANK = 64
"""Of the stored updates: development accuracy falls by 0.003, the file to a quarter."""


def main() -> None:
    """The run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with stance/, polis/ and the others"
    )
    parser.add_argument("--groups", type=Path, default=Path("examples/graded_groups"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/reader"), help="checkpoints")
    parser.add_argument("--start", type=Path, help="a reader.npz of an earlier run to begin with")
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--rate", type=float, default=7e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--without", choices=("stance", "people", "question", "crossed"), default=None
    )
    wanted = parser.parse_args()
    torch.set_num_threads(1)  # on two cores, two threads wait for each other
    folder = store.require(BACKBONE)
    training = [group for split in TRAINING for group in read_groups(wanted.groups, split)]
    development = read_groups(wanted.groups, "development")
    network, batches = _trained(wanted, folder, training)
    _save(wanted, folder, network, batches, training, development)


def _trained(
    wanted: argparse.Namespace, folder: Path, training: Sequence[Group]
) -> tuple[Network, Batches]:
    rng = random.Random(wanted.seed)
    torch.manual_seed(wanted.seed)
    network, batches = Network(folder), Batches(folder)
    if wanted.start is not None:
        network.begin_with(ReaderWeights.load(wanted.start))
    pairs = [] if wanted.without == "stance" else stance_pairs(wanted.data, rng)
    people = None
    if wanted.without != "people":
        people = examples(*read_votes(wanted.data), random.Random(wanted.seed))
    optimiser = _optimiser(network, wanted.rate)
    wanted.work.mkdir(parents=True, exist_ok=True)
    checkpoint = wanted.work / f"seed{wanted.seed}.pt"
    step, before_seconds = 0, 0.0
    if checkpoint.is_file():
        kept = torch.load(checkpoint, weights_only=False)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        rng.setstate(kept["rng"])
        step, before_seconds = kept["step"], kept["seconds"]
    began, total_seconds = time.monotonic() - before_seconds, 60 * wanted.minutes
    parts: list[tuple[Group, list[int], list[int]]] = []
    network.train()
    while (seconds := time.monotonic() - began) < total_seconds:
        if len(parts) < GROUPS_A_STEP:
            parts += _parts(training, rng)
        these = [parts.pop() for _ in range(GROUPS_A_STEP)]
        stance = rng.sample(pairs, STANCE_A_STEP) if pairs else []
        rate = wanted.rate * min(1, (step + 1) / WARM_UP_STEPS)
        for group in optimiser.param_groups:
            group["lr"] = rate * max(LOWEST_RATE, 1 - seconds / total_seconds) * group["faster"]
        choices = [] if people is None else list(islice(people, PEOPLE_A_STEP))
        loss = _loss(network, batches, these, stance, choices, wanted.without)
        if not torch.isfinite(loss):
            raise SystemExit(f"step {step}: the loss is {loss.item()}; {checkpoint} is as it was")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        if step % 50 == 0:
            print(f"step {step}, {seconds:.0f} s, loss {loss.item():.3f}", flush=True)
        if step % STEPS_A_CHECKPOINT == 0:
            state = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "rng": rng.getstate(),
                "step": step,
                "seconds": time.monotonic() - began,
            }
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
    return network, batches


def _optimiser(network: Network, rate: float) -> torch.optim.Optimizer:
    encoder = [each for each in network.bert.parameters() if each.requires_grad]
    head = [*network.hidden.parameters(), *network.out.parameters()]
    return torch.optim.AdamW(
        [
            {"params": [e for e in encoder if e.ndim > 1], "weight_decay": 0.02, "faster": 1},
            {"params": [e for e in encoder if e.ndim == 1], "weight_decay": 0.0, "faster": 1},
            {"params": head, "weight_decay": 0.01, "faster": HEAD_FASTER},
        ],
        lr=rate,
    )


def _parts(
    training: Sequence[Group], rng: random.Random
) -> list[tuple[Group, list[int], list[int]]]:
    """Every group in quarters: half of its people with half of its statements, in any order."""
    found = []
    for group in training:
        people, statements = list(range(len(group.opinions))), list(range(len(group.statements)))
        rng.shuffle(people)
        rng.shuffle(statements)
        n, m = len(people) // 2, len(statements) // 2
        # What is left without the means needs two people.
        halves = (people[:n], people[n:]) if n > 1 else (people,)
        found += [
            (group, half, other) for half in halves for other in (statements[:m], statements[m:])
        ]
    rng.shuffle(found)
    return found


def _loss(network, batches, parts, stance, choices, without):
    def asked(question: str) -> str:
        return "" if without == "question" else question

    rows: list[Texts] = [
        (asked(group.question), group.opinions[i], group.statements[j])
        for group, people, statements in parts
        for i in people
        for j in statements
    ]
    n_graded = len(rows)
    rows += [(asked(question), opinion, statement) for question, opinion, statement, _ in stance]
    n_stance = len(rows)
    rows += [
        (asked(q), opinion, statement) for these, _ in choices for q, opinion, statement in these
    ]
    for group, _, statements in parts[:JUDGED_A_STEP]:
        question = asked(group.question)
        rows += [(question, group.opinions, group.statements[j]) for j in statements]
    found = outputs(network, batches, rows, -(-len(rows) // 6))
    loss, start = torch.zeros(()), 0
    for group, people, statements in parts:
        n, m = len(people), len(statements)
        agreement = found[start : start + n * m, AGREEMENT].view(n, m)
        start += n * m
        error = agreement - _scaled(group.agreement[np.ix_(people, statements)])
        loss = loss + (error**2).mean() / len(parts)
        if without != "crossed":
            left = error - error.mean(0, keepdim=True) - error.mean(1, keepdim=True) + error.mean()
            crossed = (left**2).sum() / ((n - 1) * (m - 1))
            loss = loss + CROSSED_WEIGHT * crossed / len(parts)
    if stance:
        grades = _scaled(np.array([grade for *_, grade in stance]))
        loss = loss + STANCE_WEIGHT * ((found[n_graded:n_stance, AGREEMENT] - grades) ** 2).mean()
    start = n_stance
    for these, sign in choices:
        said = found[start : start + len(these), AGREEMENT]
        start += len(these)
        apart = said[0] - said[1] if len(these) == 2 else said[0] - said[1] - said[2] + said[3]
        loss = loss + PEOPLE_WEIGHT * softplus(-STEEPNESS * sign * apart) / len(choices)
    for group, _, statements in parts[:JUDGED_A_STEP]:
        judged = found[start : start + len(statements), QUALITY]
        start += len(statements)
        off = judged - _scaled(group.quality[statements])
        # Which of one group's statements is better is what a choice needs.
        within = off - off.mean()
        loss = loss + QUALITY_WEIGHT * ((off**2).mean() + (within**2).mean()) / JUDGED_A_STEP
    return loss


def _scaled(grades: np.ndarray) -> torch.Tensor:
    return torch.tensor((grades - 4) / 3, dtype=torch.float32)


def _save(wanted, folder, network, batches, training, development) -> None:
    """Weights, calibrations and ranges, these from the development groups alone."""
    before = load_file(folder / "model.safetensors")
    after = {name: value.detach().numpy() for name, value in network.bert.state_dict().items()}
    updates = {
        name: _low_rank(value - before[name])
        for name, value in after.items()
        if name in before and value.dtype == np.float32 and not np.array_equal(value, before[name])
    }
    rows = [row for group in development for row in group.texts()]
    found = predict(network, batches, rows)[:, AGREEMENT]
    grades = np.concatenate([group.agreement.ravel() for group in development])
    together = [(g.question, g.opinions, s) for g in development for s in g.statements]
    judged = predict(network, batches, together)[:, QUALITY]
    qualities = np.concatenate([group.quality for group in development])
    said = f"{len(development)} graded groups of other topics, written by a language model"
    calibration = fit_logistic_calibration(found, grades, fitted_to=f"grades of {said}")
    ReaderWeights(
        updates=updates,
        head={
            "hidden.weight": network.hidden.weight.detach().numpy(),
            "hidden.bias": network.hidden.bias.detach().numpy(),
            "out.weight": network.out.weight.detach().numpy(),
            "out.bias": network.out.bias.detach().numpy(),
        },
        calibration=calibration,
        quality_calibration=fit_logistic_calibration(
            judged, qualities, fitted_to=f"qualities of {said}"
        ),
        interval=np.array(interval_of(calibration.expected_rating(found), grades, max_bins=N_BINS)),
        metadata={
            "backbone": BACKBONE,
            "backbone_sha256": {name: sha256_of(folder / name) for name in BACKBONE_FILES},
            "seed": wanted.seed,
            "minutes": wanted.minutes,
            "rate": wanted.rate,
            "n_training_groups": len(training),
            "n_development_groups": len(development),
            "without": wanted.without or "",
        },
    ).save(wanted.out)
    print(f"wrote {wanted.out}, {wanted.out.stat().st_size / 1e6:.1f} MB", flush=True)
    print("next: python benchmarks/preferences.py --only graded --split development", flush=True)


def _low_rank(update: np.ndarray):
    """The closest pair (up, down) of rank ``RANK`` where that is smaller, else itself."""
    if update.ndim != 2 or RANK * sum(update.shape) >= update.size:
        return update
    up, sizes, down = np.linalg.svd(update, full_matrices=False)
    root = np.sqrt(sizes[:RANK])
    return up[:, :RANK] * root, root[:, None] * down[:RANK]


if __name__ == "__main__":
    main()
