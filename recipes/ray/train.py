"""Trains a policy or a reward model in several processes of a Ray cluster, started by Ray Train.

    python recipes/ray/train.py reward CONFIG.toml --workers 4 --ray HEAD:6379 --gpus
    python recipes/ray/train.py sft CONFIG.toml --workers 2

The same as `torchrun -m commonweal train`: Ray Train starts the processes where there is room and
tells each its number and where the first one listens; the trainer does the rest. Where a process
dies all are started again, and go on from the last whole checkpoint. Every node needs the extras
train and scale, and the config's `out` and datasets under the same path: a disk that they share.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any


def in_each_process(given: dict[str, Any]) -> None:
    """Trains, as one of the processes; the first one writes, and says what it did."""
    import ray.train

    from commonweal.training.config import RewardConfig, SftConfig

    rank = ray.train.get_context().get_world_rank()
    if given["kind"] == "reward":
        from commonweal.training.reward.run import run_reward

        lines = run_reward(RewardConfig.model_validate_json(given["config"]))
    else:
        from commonweal.training.sft.run import run_sft

        lines = run_sft(SftConfig.model_validate_json(given["config"]))
    for line in lines:
        if rank == 0:
            print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["reward", "sft"])
    parser.add_argument("config", type=Path)
    parser.add_argument("--workers", type=int, required=True, help="processes that train")
    parser.add_argument("--ray", default="local", help="HOST:PORT of a cluster's head")
    parser.add_argument("--gpus", action="store_true", help="one for each process")
    parser.add_argument("--cpus", type=float, default=1, help="for each process")
    parser.add_argument("--failures", type=int, default=3, help="restarts before it is given up")
    asked = parser.parse_args()

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from commonweal.training.config import RewardConfig, SftConfig, read_config

    config = read_config(asked.config, RewardConfig if asked.kind == "reward" else SftConfig)
    # The others read where the first one writes, so by one name on every node.
    config = config.model_copy(update={"out": config.out.resolve()})
    ray.init(address=asked.ray)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    # Ray Train wants a folder that every node sees; nothing of ours is kept in it.
    with tempfile.TemporaryDirectory(dir=config.out.parent, prefix=".ray-") as shared:
        TorchTrainer(
            in_each_process,
            train_loop_config={"kind": asked.kind, "config": config.model_dump_json()},
            scaling_config=ScalingConfig(
                num_workers=asked.workers,
                use_gpu=asked.gpus,
                resources_per_worker={"CPU": asked.cpus} | ({"GPU": 1} if asked.gpus else {}),
            ),
            run_config=RunConfig(
                storage_path=shared,
                failure_config=FailureConfig(max_failures=asked.failures),
            ),
        ).fit()


if __name__ == "__main__":
    main()
