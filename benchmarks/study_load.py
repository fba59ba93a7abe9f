"""How many people one server process holds: one rating every 15 seconds each, on both databases.

    python benchmarks/study_load.py --people 50 100 200

For each database and number of people: the p50 and p95 of a rating (the form sent, and the page
that comes next fetched), in milliseconds, the processor time of the server for one rating, and what
its memory grew by for each person, from its start on. Then 1,000 event streams are held, and the
memory of each is told. The people are programs in one other
process on the same machine, which takes its share. On PostgreSQL one and two server processes share
the database (`--workers`); SQLite has one. PostgreSQL is left out, with a line that says so, where
COMMONWEAL_DATABASE is not the URL of an empty database. `study_otree.py` compares with oTree.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np

EVERY_SECONDS = 15.0
N_SHOWN = 10
N_STREAMS = 1000


def study(name: str):
    from commonweal.study.config import StudyConfig

    return StudyConfig.model_validate(
        {
            "name": name,
            "title": "Load",
            "group": {"size": 5, "minimum": 2},
            "rounds": {"count": 1, "passes": 2},
            "timings_seconds": {"rating": 3600, "opinion": 3600},
            "questions": [{"text": "Should buses be free?"}],
            "arms": [{"name": "one", "candidates": N_SHOWN, "shown": N_SHOWN}],
        }
    )


class LongWriter:
    """Ten different sentences at once: what is measured is the pages."""

    def write(self, task, *, timeout_seconds):  # noqa: ARG002 - the protocol
        from commonweal.selection import Selection
        from commonweal.study.writing.writer import ArmOutput
        from commonweal.types import Candidate, Question
        from commonweal.welfare import Isoelastic

        n = task.arm.candidates
        names = tuple(opinion.id for opinion in task.opinions)
        words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        texts = [f"We agree on plan {word}, for buses." for word in words[:n]]
        rows = np.array([[4.0 + i / 10 for i in range(n)] for _ in names])
        made = Selection(
            question=Question(task.question),
            opinions=task.opinions,
            candidates=tuple(
                Candidate(f"c{i:02d}", text, names, "none", "none", "0", i)
                for i, text in enumerate(texts)
            ),
            n_sampled=n,
            rewards=rows,
            utilities=rows,
            seed=(task.seed,),
            timings_seconds={},
            provenance={},
        ).picked(map(Isoelastic, task.arm.draw_alphas(task.seed)))
        return ArmOutput((made,), (), {"reward_model": "none"})


def serve(url: str, name: str, port: int) -> None:
    from commonweal.study.storage.store import Store
    from commonweal.study.web import server
    from commonweal.study.web.app import App

    store = Store(url)
    app = App(store, store.open_study(study(name)), writer=LongWriter())
    app.limits.per_address = app.limits.per_token = app.limits.streams = 10**9
    server.serve(app, server.bound("127.0.0.1", port))


def prepare(url: str, name: str, n_people: int) -> list[str]:
    """Cookies of people who are at their first statement."""
    from sqlalchemy import select

    from commonweal.study.domain import answers, people
    from commonweal.study.storage.store import Store
    from commonweal.study.storage.tables import GroupRow, ParticipantRow
    from commonweal.study.writing.jobs import Worker

    store = Store(url)
    study_id = store.open_study(study(name))
    cookies = []
    for _ in range(n_people):
        with store.transaction(study_id) as tx:
            person = people.join(tx)
            people.consent(tx, person, "")
            people.read_instructions(tx, person)
            cookies.append(people.start_login_session(tx, person))
    with store.transaction(study_id) as tx:
        for person in tx.db.scalars(
            select(ParticipantRow).where(ParticipantRow.group_id.is_not(None))
        ):
            group = tx.db.get(GroupRow, person.group_id)
            answers.write_opinion(tx, person, group.round_id, "A" * 60)
    worker = Worker(store, study_id, LongWriter())
    while worker.run_once():
        pass
    store.close()
    return cookies


async def rate(client: httpx.AsyncClient, cookie: str, start: float, n: int) -> list[float]:
    """Seconds that each of ``n`` ratings took."""
    import re

    headers = {"cookie": f"cw_here={cookie}"}
    # Everybody comes in their own time too: a crowd at the door is another measurement.
    await asyncio.sleep(max(0.0, start - EVERY_SECONDS - time.monotonic()))
    page = (await client.get("/here", headers=headers)).text
    took = []
    for i in range(n):
        await asyncio.sleep(max(0.0, start + i * EVERY_SECONDS - time.monotonic()))
        fields = dict(re.findall(r'name="(csrf|presentation)" value="([^"]+)"', page))
        began = time.monotonic()
        await client.post(
            "/here/rate", headers=headers, data={**fields, "agreement": "5", "quality": "5"}
        )
        answer = await client.get("/here", headers=headers)
        took.append(time.monotonic() - began)
        page = answer.text
        if answer.status_code != 200 or f"Statement {i + 2} of" not in page:
            raise RuntimeError(f"rating {i + 1} was not taken (status {answer.status_code})")
    return took


async def load(ports: list[int], cookies: list[str], n_ratings: int) -> list[float]:
    """Everybody's ratings; people are dealt to the servers in turn."""
    rng = np.random.default_rng(0)
    # The server closes what is idle for 5 s: a request sent at that moment would be lost.
    limits = httpx.Limits(max_connections=len(cookies), keepalive_expiry=2)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60)
            )
            for port in ports
        ]
        start = time.monotonic() + 1 + EVERY_SECONDS
        jobs = [
            rate(clients[i % len(ports)], c, start + rng.uniform(0, EVERY_SECONDS), n_ratings)
            for i, c in enumerate(cookies)
        ]
        return [took for each in await asyncio.gather(*jobs) for took in each]


async def streams(port: int, pid: int, cookies: list[str]) -> float:
    """Kilobytes of the server's memory for one held stream."""
    before = memory_kilobytes(pid)
    held = []
    for i in range(N_STREAMS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        cookie = cookies[i % len(cookies)]
        writer.write(
            f"GET /here/events HTTP/1.1\r\nHost: x\r\nCookie: cw_here={cookie}\r\n\r\n".encode()
        )
        await writer.drain()
        held.append((reader, writer))
    for reader, _ in held:
        await asyncio.wait_for(reader.readuntil(b"event: ready"), 60)
    used = memory_kilobytes(pid) - before
    for _, writer in held:
        writer.close()
    return used / N_STREAMS


def memory_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen) -> None:
    """Until the server answers. A busy machine takes its time."""
    for _ in range(600):
        try:
            httpx.get(address)
            return
        except httpx.TransportError:
            if process.poll() is not None:
                sys.exit(f"{process.args} ended with {process.returncode}")
            time.sleep(0.1)
    sys.exit(f"{process.args} did not answer within a minute")


@contextmanager
def start_server(url: str, name: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server of the study, which ends with the block."""
    port = free_port()
    command = [sys.executable, __file__, "--serve", url, name, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def measure(
    url: str, n_people: int, n_ratings: int, n_workers: int, *, with_streams: bool
) -> dict[str, float]:
    name = f"load-{n_people}-{time.time_ns() % 10**9}"
    cookies = prepare(url, name, n_people)
    with ExitStack() as stack:
        servers = [stack.enter_context(start_server(url, name)) for _ in range(n_workers)]
        before = sum(processor_seconds(pid) for _, pid in servers)
        memory = sum(memory_kilobytes(pid) for _, pid in servers)
        ports = [port for port, _ in servers]
        took = np.array(asyncio.run(load(ports, cookies, n_ratings))) * 1000
        used = sum(processor_seconds(pid) for _, pid in servers) - before
        found = {
            "p50": float(np.quantile(took, 0.5)),
            "p95": float(np.quantile(took, 0.95)),
            "cpu_ms": 1000 * used / len(took),
            "person_kb": (sum(memory_kilobytes(pid) for _, pid in servers) - memory) / n_people,
        }
        if with_streams:
            found["stream_kb"] = asyncio.run(streams(*servers[0], cookies))
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=3)
    parser.add_argument("--people", nargs="+", type=int, default=[50, 100])
    parser.add_argument("--ratings", type=int, default=3)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve[0], chosen.serve[1], int(chosen.serve[2]))
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as folder:
        places = [("sqlite", f"sqlite:///{folder}/load.db", 1)]
        if postgres := os.environ.get("COMMONWEAL_DATABASE"):
            places += [("postgresql", postgres, n) for n in chosen.workers]
        else:
            print("PostgreSQL is left out: COMMONWEAL_DATABASE is not set")
        n_cores = os.cpu_count() or 1
        for n_people in chosen.people:
            last = n_people == chosen.people[-1]
            p95 = []
            for kind, url, n_workers in places:
                busy = os.getloadavg()[0]
                found = measure(url, n_people, chosen.ratings, n_workers, with_streams=last)
                p95.append(found["p95"])
                print(
                    f"{kind:11} {n_workers} process{'es' if n_workers > 1 else '  '} "
                    f"{n_people:5} people  p50 {found['p50']:6.0f} ms  p95 {found['p95']:6.0f} ms  "
                    f"servers {found['cpu_ms']:5.1f} ms a rating, so a core is full at "
                    f"{1000 * EVERY_SECONDS / found['cpu_ms']:5.0f} people"
                    f"  {found['person_kb']:.0f} KB a person"
                    + (f"  {found['stream_kb']:.0f} KB a stream" if last else "")
                    + (f"  (busy machine: load {busy:.1f})" if busy > n_cores / 2 else ""),
                    flush=True,
                )
            for (kind, _, n_workers), each in list(zip(places, p95, strict=True))[1:]:
                print(f"            p95 sqlite / {kind} with {n_workers}: {p95[0] / each:.2f}")


if __name__ == "__main__":
    main()
