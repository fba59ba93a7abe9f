"""A batch: two workers against one, what it adds to a plain loop and to raw calls of an engine, 64
requests in flight against 1.

    python benchmarks/batch.py [--groups 24] [--seconds 0.6] [--latency 1.0] [--only PART]

Each part (workers, loop, raw, flight) prints both sides of one run and their ratio; sides take
turns, so that a machine with other work on it is as slow for both. The compute-bound stage is a
reward model that multiplies matrices for about ``--seconds`` a group on one thread: what a model
does, without its size. The raw calls are those that a batch made of embedded:small, made again with
no batch around them; its reward model costs nothing, since what a batch adds is asked, and not what
judging costs. The server of the last part answers each request after ``--latency`` seconds, however
many there are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

PLUGIN = """
import time
import numpy as np
from commonweal.rewards import LogisticCalibration
from commonweal.types import Completion

WORDS = ["fares", "drivers", "routes", "evenings", "villages", "taxes", "students", "snow"]
SQUARE = np.random.default_rng(0).normal(size=(200, 200))

class Writer:
    model_id, weights_hash, notes = "worker", None, ()
    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        def said(seed):
            order = np.random.default_rng(seed).permutation(WORDS)[:5]
            return f"We settle {' and '.join(order)} together before anything else is done."
        return [[Completion(said(seed), "stop", seed)] for seed in seeds]
    def count_tokens(self, text):
        return len(text.split())
    def log_probabilities(self, prompts, continuations):
        raise NotImplementedError
    @classmethod
    def from_spec(cls, spec):
        return cls()
    @classmethod
    def check_spec(cls, spec):
        pass

class Judge:
    name, weights_hash = "worker", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a benchmark")
    def __init__(self):
        self.n_products = N_PRODUCTS
    def rewards(self, inputs, *, on_done=None):
        product = SQUARE
        for _ in range(self.n_products):
            product = np.tanh(product @ SQUARE)
        return np.array([(7 * len(x.opinion) + len(x.statement)) % 5 - 2.0 for x in inputs])
"""


def install(folder: Path, n_products: int) -> None:
    """Puts the models into a package that this process and the workers find."""
    (folder / "batch_bench.py").write_text(PLUGIN.replace("N_PRODUCTS", str(n_products)))
    info = folder / "batch_bench-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: batch-bench\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[commonweal.engines]\nbench = batch_bench:Writer\n"
        "[commonweal.reward_models]\nbench = batch_bench:Judge\n"
    )


def products_in(seconds: float) -> int:
    """How many steps of the stage one thread does in this time, now."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    square = np.random.default_rng(0).normal(size=(200, 200))
    with threadpool_limits(1):
        n, began, product = 0, time.process_time(), square
        while time.process_time() - began < seconds:
            product = np.tanh(product @ square)
            n += 1
    return n


def put_groups(path: Path, n: int) -> Path:
    lines = [
        json.dumps(
            {
                "id": f"town-{i}",
                "question": f"Should bus number {i} be free?",
                "opinions": ["Free for all.", "Somebody has to pay for it.", "Only the young."],
            }
        )
        for i in range(n)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def batch_seconds(folder: Path, groups: Path, *, skip: int = 0, **options) -> float:
    """Seconds of a batch; with ``skip`` from when so many results are there to the last one."""
    from commonweal.batch.reading import read_groups
    from commonweal.batch.running import run_batch
    from commonweal.batch.working import Workers

    options["workers"] = Workers(**options.pop("workers", {}))
    read, times = read_groups(groups), []
    began = time.perf_counter()
    run_batch(read, folder, on_done=lambda *_: times.append(time.perf_counter()), **options)
    return times[-1] - times[skip] if skip else time.perf_counter() - began


def workers(folder: Path, n_groups: int, n_turns: int) -> None:
    """Groups a minute with two workers and with one, both on Ray, once all are at work."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(n_turns):
        for n in (1, 2) if turn % 2 else (2, 1):
            groups = put_groups(folder / "groups.jsonl", n_groups)
            skip = 2 * n
            seconds = batch_seconds(
                folder / f"workers-{turn}-{n}",
                groups,
                skip=skip,
                model="bench:x",
                policy="zero_shot",
                reward="bench",
                n_candidates=2,
                workers={"n": n, "ray": _cluster(n)},
            )
            rates[n].append((n_groups - skip) / seconds)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print(
        f"workers: {60 * statistics.median(rates[1]):.1f} groups a minute with 1, "
        f"{60 * statistics.median(rates[2]):.1f} with 2: "
        f"{statistics.median(ratios):.2f} x (turns {', '.join(f'{r:.2f}' for r in ratios)})"
    )


def _cluster(n: int) -> str | None:
    """One worker on Ray, too, is asked for by an address; several start a Ray of their own."""
    import ray

    if ray.is_initialized():
        ray.shutdown()
    if n > 1:
        return None
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
             object_store_memory=80_000_000)  # fmt: skip
    return "auto"


def loop(folder: Path, n_groups: int, n_turns: int) -> None:
    """A batch of one worker beside a loop over find_agreement with models loaded once."""
    from commonweal import find_agreement
    from commonweal.batch.processors import computing_with
    from commonweal.batch.reading import read_groups
    from commonweal.policies import load_policy
    from commonweal.rewards import load_reward_model

    groups = put_groups(folder / "groups.jsonl", n_groups)
    ratios = []
    for turn in range(n_turns):
        began = time.process_time()
        batch_seconds(folder / f"loop-{turn}", groups, model="bench:x", policy="zero_shot",
                      reward="bench", n_candidates=2)  # fmt: skip
        ours = time.process_time() - began
        began = time.process_time()
        with computing_with(1):
            policy, reward = load_policy("zero_shot", "bench:x"), load_reward_model("bench")
            for each in read_groups(groups):
                find_agreement(each.group.question, each.group.opinions, policy=policy,
                               reward=reward, n_candidates=2)  # fmt: skip
        ratios.append(ours / (time.process_time() - began))
    print(
        f"loop: a batch takes {statistics.median(ratios):.3f} of the processor time of a plain "
        f"loop (turns {', '.join(f'{r:.3f}' for r in ratios)}; {n_groups} groups; with reading, "
        "keeping and the dataset)"
    )


def raw(folder: Path, n_groups: int, n_turns: int) -> None:
    """A batch that embedded:small writes, beside the same calls of the engine and nothing else."""
    from commonweal.batch.processors import computing_with
    from commonweal.models.embedded_engine import EmbeddedModel

    groups = put_groups(folder / "groups.jsonl", n_groups)
    generate, calls, inside = EmbeddedModel.generate, [], []

    def recording(self, prompts, **asked):
        began = time.process_time()
        found = generate(self, prompts, **asked)
        inside.append(time.process_time() - began)
        calls.append((prompts, {**asked, "on_done": None}, found))
        return found

    EmbeddedModel.from_spec("small")  # converted once, before anything is timed
    ratios, rates, shares, n_same, n_texts = [], {"batch": [], "raw": []}, [], 0, 0
    for turn in range(n_turns):
        calls.clear()
        inside.clear()
        EmbeddedModel.generate = recording
        began = time.process_time()
        batch_seconds(folder / f"raw-{turn}", groups, model="embedded:small", policy="zero_shot",
                      reward="bench", n_candidates=4)  # fmt: skip
        ours = time.process_time() - began
        shares.append(sum(inside) / ours)
        EmbeddedModel.generate = generate
        began = time.process_time()
        with computing_with(1):
            engine = EmbeddedModel.from_spec("small")
            again = [engine.generate(prompts, **asked) for prompts, asked, _ in calls]
        alone = time.process_time() - began
        told, said = (
            [each.text for found in side for drawn in found for each in drawn]
            for side in ([found for *_, found in calls], again)
        )
        n_told, n_said = (sum(map(engine.count_tokens, texts)) for texts in (told, said))
        n_same += sum(one == other for one, other in zip(told, said, strict=True))
        n_texts += len(told)
        rates["batch"].append(n_told / ours)
        rates["raw"].append(n_said / alone)
        ratios.append(rates["batch"][-1] / rates["raw"][-1])
    print(
        f"raw: a batch writes {statistics.median(rates['batch']):.1f} tokens a second of "
        f"processor time, raw engine calls {statistics.median(rates['raw']):.1f}: "
        f"{statistics.median(ratios):.3f} of them (turns {', '.join(f'{r:.3f}' for r in ratios)}; "
        f"{n_groups} groups, {len(calls)} calls and {n_told:,} tokens a turn, {n_same} of "
        f"{n_texts} texts the same; loading counts on both sides); within these calls, the batch "
        f"spends {statistics.median(shares):.3f} of its processor time (turns "
        f"{', '.join(f'{s:.3f}' for s in shares)})"
    )


def in_flight(folder: Path, latency: float) -> None:
    """Requests a second with 64 in flight and with 1."""
    rates = {}
    with serving(latency) as server:
        for n, n_groups in ((1, 2), (64, 96)):
            groups = put_groups(folder / "groups.jsonl", n_groups)
            server.n_answered = server.n_most = 0
            seconds = batch_seconds(
                folder / f"flight-{n}", groups, model=server.model, policy="zero_shot",
                reward="bench", n_candidates=8, workers={"in_flight": n},
            )  # fmt: skip
            rates[n] = server.n_answered / seconds
            assert server.n_most <= n
    print(
        f"in flight: {rates[1]:.2f} requests a second with 1, {rates[64]:.1f} with 64: "
        f"{rates[64] / rates[1]:.1f} x (each takes {latency:g} s)"
    )


class serving:  # noqa: N801 - used as a function
    """A server on one thread that answers each request after a while."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self.n_answered = self.n_now = self.n_most = 0

    def __enter__(self):
        ready = threading.Event()

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            server = self._loop.run_until_complete(
                self._loop.create_task(
                    asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=512)
                )
            )
            self.model = f"openai:http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1#bench"
            ready.set()
            self._loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _answer(self, reader, writer) -> None:
        words = ["fares", "drivers", "routes", "evenings", "villages", "taxes", "snow", "students"]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                seed = json.loads(await reader.readexactly(length)).get("seed", 0)
                self.n_now += 1
                self.n_most = max(self.n_most, self.n_now)
                await asyncio.sleep(self._latency)
                self.n_now -= 1
                self.n_answered += 1
                order = random.Random(seed).sample(words, 5)
                text = f"We settle {' and '.join(order)} together before anything else is done."
                choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
                usage = {"prompt_tokens": 400, "completion_tokens": 20}
                body = json.dumps({"choices": [choice], "usage": usage}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                    + str(len(body)).encode() + b"\r\n\r\n" + body
                )  # fmt: skip
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=0.6, help="of the stage, for each group")
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", choices=["workers", "loop", "raw", "flight"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, name)
        os.environ["PYTHONPATH"] = os.pathsep.join([name, os.environ.get("PYTHONPATH", "")])
        if given.only in (None, "flight"):
            install(folder, 1)
            in_flight(folder, given.latency)
        if given.only in (None, "raw"):
            install(folder, 1)
            raw(folder, given.groups // 4, given.turns)
        # The judge that costs nothing is loaded; the others read theirs anew.
        install(folder, products_in(given.seconds))
        sys.modules.pop("batch_bench", None)
        if given.only in (None, "loop"):
            loop(folder, given.groups // 2, given.turns)
        if given.only in (None, "workers"):
            workers(folder, given.groups, given.turns)


if __name__ == "__main__":
    main()
