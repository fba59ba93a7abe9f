"""Tokens per second of `commonweal train sft` and of TRL with its defaults, on the same work.

    python benchmarks/sft_speed.py [--steps 4] [--rows 4] [--rounds 2] [--precision bfloat16]

Both fine-tune the same base on the same rows of the starter set, in the same order, with the loss
on the statement alone, by the same LoRA adapter, seed, learning rates and optimiser: a loss
curve each, and their largest difference. TRL is SFTTrainer given the base's name, with what
SFTConfig chooses by itself for all that is not named here: checkpointed gradients, bfloat16
arithmetic over float32 weights, padding to the longest row of a batch. Ours is the trainer that
`commonweal train sft` makes (in bfloat16 what is not trained is held in it, too), once with
`group_by_length` off, for the curve, and once on, its default: that takes other rows in another
order, so there is no curve to compare, and its tokens per second are of its own rows.

Tokens are those of the rows, without padding. Timed are the steps after the first, without logs,
evaluations and saves. Sides take turns; each ratio is of one round. Seconds of the processor stand
beside those of the clock: on a busy machine they say more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from commonweal.policies.templates import load_template
from commonweal.training import trainers
from commonweal.training.backbones import backbone_source
from commonweal.training.config import SftConfig
from commonweal.training.sft import fitting
from commonweal.training.sft.data import SftSplit, read_sft_split
from commonweal.types import no_progress

WARM_UP = 1
TOLERANCE = 0.01  # of the loss: bfloat16 keeps eight bits
OURS, GROUPED, TRL = "ours", "ours, group_by_length", "TRL's defaults"


@dataclass
class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds of each step, of the clock and the processor; nothing is evaluated or saved."""

    seconds: list[tuple[float, float]] = field(default_factory=list)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter(), time.process_time()

    def on_step_end(self, _args: Any, _state: Any, control: Any, **__: Any) -> None:
        clock, processor = self._began
        self.seconds.append((time.perf_counter() - clock, time.process_time() - processor))
        control.should_evaluate = control.should_save = False


@dataclass(frozen=True)
class Run:
    """Tokens per second after the warm-up, the processor's too, and the loss of each step."""

    speed: float
    processor: float
    losses: list[float]


def config_of(args: argparse.Namespace, out: Path, *, grouped: bool) -> SftConfig:
    """Ours, as in recipes/sft/starter.toml but for the number of steps and rows."""
    steps = args.steps + WARM_UP
    training = {"max_steps": steps, "eval_steps": steps, "batch_size": args.rows}
    training |= {"learning_rate": 1e-3, "precision": args.precision, "group_by_length": grouped}
    data, model = {"starter_set": True}, {"base": args.base}
    return SftConfig.model_validate(
        {"name": "speed", "out": out, "data": data, "model": model, "training": training}
    )


def ours(config: SftConfig, split: SftSplit) -> SFTTrainer:
    """The trainer that `commonweal train sft` makes."""
    return fitting._trainer(config, load_template(config.model.template), split, no_progress)


def plain(config: SftConfig, split: SftSplit, other: SFTTrainer) -> SFTTrainer:
    """TRL's own on the rows and updates of our trainer; only what defines the work is set."""
    same = ("seed", "data_seed", "max_steps", "per_device_train_batch_size", "learning_rate")
    schedule = ("lr_scheduler_type", "warmup_steps", "weight_decay")
    options = TrlSftConfig(
        output_dir=str(config.out),
        **{name: getattr(other.args, name) for name in (*same, *schedule)},
        completion_only_loss=True,  # rows of ids do not say so by themselves
        logging_steps=1,
        use_cpu=other.args.use_cpu,
        report_to="none",
        disable_tqdm=True,
    )
    template, tokenizer = load_template(config.model.template), other.processing_class
    return SFTTrainer(
        model=backbone_source(config.model.base),
        args=options,
        train_dataset=fitting._dataset(config, split.training, template, tokenizer, {}),
        peft_config=other.model.peft_config["default"],
    )


def trained(trainer: SFTTrainer) -> Run:
    """What the trainer's steps took, one after the other."""
    trainers.say_nothing(trainer)
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    n_tokens = logged[-1]["num_tokens"] - logged[WARM_UP - 1]["num_tokens"]
    seconds, processor = (sum(each) for each in zip(*clock.seconds[WARM_UP:], strict=True))
    return Run(n_tokens / seconds, n_tokens / processor, [entry["loss"] for entry in logged])


def updates(trainer: SFTTrainer) -> dict[str, torch.Tensor]:
    """The LoRA adapter."""
    found = trainer.model.named_parameters()
    return {name: weights.detach().clone() for name, weights in found if weights.requires_grad}


def main() -> None:
    """Prints both curves, tokens per second and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4, help="measured, after one that is not")
    parser.add_argument("--rows", type=int, default=4, help="of a step")
    parser.add_argument("--rounds", type=int, default=2, help="turns of every side")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--base", default="smollm2-135m-instruct")
    args = parser.parse_args()
    trainers.quiet()
    found: dict[str, list[Run]] = {OURS: [], TRL: [], GROUPED: []}
    for turn in range(args.rounds):
        with tempfile.TemporaryDirectory() as out:
            config = config_of(args, Path(out), grouped=False)
            split = read_sft_split(config.data, config.training.seed)
            mine = ours(config, split)
            other = plain(config, split, mine)
            begun, theirs = updates(mine), updates(other)
            assert begun.keys() == theirs.keys()
            for name, weights in begun.items():  # ours were drawn at the base's precision
                assert torch.allclose(weights, theirs[name], rtol=0.01, atol=1e-5)
            found[OURS].append(trained(mine))
            found[TRL].append(trained(other))
            grouped = config_of(args, Path(out) / "grouped", grouped=True)
            found[GROUPED].append(trained(ours(grouped, split)))
        for side, runs in found.items():
            losses = " ".join(f"{loss:.4f}" for loss in runs[-1].losses)
            print(f"round {turn + 1}, {side}: {runs[-1].speed:.0f} tokens/s, losses {losses}")
        curves = (found[OURS][-1].losses, found[TRL][-1].losses)
        gap = max(abs(a - b) / b for a, b in zip(*curves, strict=True))
        verdict = "equal" if gap <= TOLERANCE else "NOT EQUAL"
        print(
            f"  {OURS} and {TRL}: the losses differ by at most {gap:.2%} ({verdict} at "
            f"{TOLERANCE:.0%})",
            flush=True,
        )
    threads = torch.get_num_threads()
    print(f"\n{args.steps} steps of {args.rows} rows, {args.precision}, {threads} threads:")
    for side in (OURS, GROUPED):
        for unit in ("speed", "processor"):
            a, b = ([getattr(run, unit) for run in found[each]] for each in (side, TRL))
            each = [x / y for x, y in zip(a, b, strict=True)]
            a, b = statistics.median(a), statistics.median(b)
            print(
                f"{side}: {a:.0f} tokens a second{'' if unit == 'speed' else ' of the processor'}, "
                f"{a / b:.2f} times TRL's {b:.0f} (rounds {min(each):.2f} to {max(each):.2f})"
            )


if __name__ == "__main__":
    main()
