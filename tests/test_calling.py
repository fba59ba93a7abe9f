"""A limit and a cancellation reach the engine and the server; the first draft is told early."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from commonweal import (
    InputError,
    StoppedError,
    TimeLimitError,
    calling,
    find_agreement,
    find_agreement_async,
    find_agreements,
)
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.rewards import LogisticCalibration
from commonweal.types import Sampling

ASKED = ("Should buses be free?", ["Free for all of us.", "Somebody pays.", "Only the young."])
TEXTS = [
    "We want cheaper fares, and we differ on who should pay for them.",
    "Before anything else there must be more buses in the villages.",
]


class Lengths:
    name, weights_hash = "lengths", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a test")

    def rewards(self, inputs, *, on_done=None):
        if on_done is not None:
            on_done(len(inputs))
        return np.array([len(one.opinion + one.statement) % 5 - 2.0 for one in inputs])


@pytest.fixture
def server():
    """Answers the first request, and holds all others until their client goes away."""
    asked, gone, said = threading.Event(), threading.Event(), threading.Lock()
    n_asked = 0

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            nonlocal n_asked
            self.rfile.read(int(self.headers["Content-Length"]))
            with said:
                n_asked += 1
                is_first = n_asked == 1
            if is_first:
                choice = {"message": {"content": TEXTS[0]}, "finish_reason": "stop"}
                body = json.dumps({"choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            asked.set()
            self.connection.settimeout(60)
            if self.connection.recv(1) == b"":  # the client closed its end
                gone.set()
            self.close_connection = True

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"openai:http://127.0.0.1:{http.server_address[1]}/v1#model", asked, gone
    http.shutdown()
    http.server_close()


def test_a_limit_ends_what_is_under_way_at_a_server(server):
    spec, _, gone = server
    drafts: list[str] = []
    with pytest.raises(TimeLimitError, match=r"not done within 2 s \(timeout_seconds\)"):
        find_agreement(
            *ASKED,
            model=spec,
            reward=Lengths(),
            n_candidates=2,
            timeout_seconds=2,
            on_draft=drafts.append,
        )
    assert gone.wait(30)
    assert drafts == [TEXTS[0]]  # told while the other was still being written


def test_a_limit_ends_a_round_of_critique_at_a_server_and_elsewhere(server):
    spec, _, gone = server
    policy = load_policy("zero_shot", ScriptedModel(TEXTS))
    first = find_agreement(
        *ASKED, policy=policy, reward=Lengths(), n_candidates=2, min_agreeing=None
    )
    said = {"p1": "Say who pays."}
    with pytest.raises(TimeLimitError, match=r"not done within 2 s \(timeout_seconds\)"):
        first.revise(said, model=spec, reward=Lengths(), n_candidates=2, timeout_seconds=2)
    assert gone.wait(30)
    with pytest.raises(TimeLimitError):  # between the steps of an engine that knows no limit
        first.revise(said, model=ScriptedModel(TEXTS), reward=Lengths(), timeout_seconds=1e-9)
    with pytest.raises(InputError, match="expected a number above 0"):
        first.revise(said, model=ScriptedModel(TEXTS), reward=Lengths(), timeout_seconds=0)
    calling.check()


def test_a_cancelled_task_drops_the_requests(server):
    spec, asked, gone = server

    async def cancelled() -> None:
        task = asyncio.create_task(
            find_agreement_async(*ASKED, model=spec, reward=Lengths(), n_candidates=2)
        )
        while not asked.is_set():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert gone.wait(30)


def test_what_ends_many_groups_ends_those_under_way(server):
    spec, asked, gone = server

    def enough(place, result):
        asked.wait(30)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        find_agreements(
            [("Alone?", ["One."]), ASKED],
            model=spec,
            reward=Lengths(),
            n_candidates=2,
            workers=2,
            on_done=enough,
        )
    assert gone.wait(30)
    assert time.monotonic() - began < 40


def test_a_group_over_its_time_stops_no_other(server):
    spec, *_ = server
    found = find_agreements(
        [ASKED, ("Alone?", ["One."])],
        model=spec,
        reward=Lengths(),
        n_candidates=2,
        timeout_seconds=1,
    )
    assert [type(each) for each in found] == [TimeLimitError, InputError]


def test_the_embedded_engine_ends_at_its_next_token_and_goes_on(embedded_model):
    prompt = load_policy("zero_shot", embedded_model).template.render("Buses?", ["Free.", "No."])
    sampling = Sampling(max_tokens=400)
    call = calling.Call(timeout_seconds=600)
    seen: list[int] = []

    def stop(n_done: int) -> None:
        seen.append(n_done)
        call.cancel()

    with calling.working_for(call), pytest.raises(StoppedError):
        embedded_model.generate([prompt] * 6, seeds=range(6), sampling=sampling, on_done=stop)
    assert seen == [1] or max(seen) < 6
    with calling.working_for(calling.Call(0.001)), pytest.raises(TimeLimitError):
        embedded_model.generate([prompt], seeds=[1], sampling=sampling)
    told: dict[int, str] = {}
    (made,) = embedded_model.generate(
        [prompt],
        seeds=[1],
        sampling=Sampling(max_tokens=5),
        on_completion=lambda index, completion: told.update({index: completion.text}),
    )
    assert told == {0: made[0].text}


def test_who_waits_for_the_engine_waits_no_longer_than_its_limit():
    lock = threading.Lock()
    with lock, calling.working_for(calling.Call(0.05)), pytest.raises(TimeLimitError):
        calling.held(lock).__enter__()
    with calling.held(lock):
        pass


def test_a_call_ends_with_the_one_that_it_is_part_of():
    outer = calling.Call()
    with calling.working_for(outer):
        inner = calling.Call(60)
        with calling.working_for(inner):
            calling.check()
            outer.cancel()
            with pytest.raises(StoppedError, match="cancelled"):
                calling.check()
    calling.check()


def test_other_engines_tell_the_draft_once_all_is_written_and_once():
    drafts: list[str] = []
    stages: list[str] = []

    def heard(text: str) -> None:
        drafts.append(text)
        stages.append("draft")

    find_agreement(
        *ASKED,
        policy=load_policy("zero_shot", ScriptedModel(TEXTS)),
        reward=Lengths(),
        n_candidates=2,
        on_draft=heard,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    assert drafts == [TEXTS[0]]
    assert stages.index("draft") < stages.index("predict")


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_limit_is_a_time(seconds):
    with pytest.raises(InputError, match="expected a number above 0"):
        find_agreement(*ASKED, timeout_seconds=seconds)


def test_no_limit_is_left_behind():
    with pytest.raises(TimeLimitError):
        find_agreement(
            *ASKED,
            policy=load_policy("zero_shot", ScriptedModel(TEXTS)),
            reward=Lengths(),
            timeout_seconds=1e-9,
        )
    calling.check()
