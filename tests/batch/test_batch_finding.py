"""Many groups in one call: as each alone, kept, taken up again, and one failure stops no other."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from commonweal import find_agreement, find_agreement_async, find_agreements, read_group
from commonweal.batch.finding import in_threads
from commonweal.errors import EngineError, InputError
from commonweal.policies import load_policy
from commonweal.result import Agreement
from commonweal.rewards import LogisticCalibration
from commonweal.types import Completion


class Echoing:
    """A language model whose texts follow from prompt and seed; it fails where a prompt says so."""

    model_id = "echoing"
    weights_hash = None
    notes = ()

    def __init__(self) -> None:
        self.n_prompts = 0
        self._lock = threading.Lock()

    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        del n_samples, sampling, on_done
        with self._lock:
            self.n_prompts += len(prompts)
        if any("broken" in message.content for prompt in prompts for message in prompt):
            raise EngineError("the server is gone")
        words = ["fares", "drivers", "routes", "evenings", "villages", "taxes", "students", "snow"]
        return [
            [
                Completion(
                    f"We settle {' and '.join(np.random.default_rng(seed).permutation(words))} "
                    "together before anything else is done.",
                    "stop",
                    seed,
                )
            ]
            for seed in seeds
        ]

    def count_tokens(self, text):
        return len(text.split())

    def log_probabilities(self, prompts, continuations):
        raise NotImplementedError


class Lengths:
    """A reward model that counts characters."""

    name = "lengths"
    weights_hash = "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a test")

    def rewards(self, inputs, *, on_done=None):
        del on_done
        return np.array(
            [(len(each.opinion) * 7 + len(each.statement)) % 5 - 2.0 for each in inputs]
        )


def groups(n: int) -> list[tuple[str, list[str]]]:
    return [
        (f"Should bus number {i} be free?", [f"Free for {i}.", "Somebody pays.", "Only the young."])
        for i in range(n)
    ]


@pytest.mark.parametrize("workers", [1, 4])
def test_each_is_what_it_is_alone(workers):
    done: list[int] = []
    found = find_agreements(
        groups(6),
        model=Echoing(),
        reward=Lengths(),
        n_candidates=4,
        seed=3,
        workers=workers,
        on_done=lambda place, _: done.append(place),
    )
    assert sorted(done) == list(range(6))
    for each, (question, opinions) in zip(found, groups(6), strict=True):
        alone = find_agreement(
            question, opinions, model=Echoing(), reward=Lengths(), n_candidates=4, seed=3
        )
        assert isinstance(each, Agreement)
        assert [c.text for c in each.candidates] == [c.text for c in alone.candidates]
        assert np.array_equal(each.utilities, alone.utilities)


def test_one_that_takes_long_holds_up_no_other():
    is_told = threading.Event()
    begun: list[int] = []

    def function(item: int) -> bool:
        begun.append(item)
        return item != 0 or is_told.wait(5)

    taken = []
    for item, was_told in in_threads(function, range(40), 2):
        taken.append(item)
        assert was_told, "the others waited for the first"
        assert len(begun) <= len(taken) + 2 * 2  # nothing runs far ahead of what is taken
        if len(taken) == 39:
            is_told.set()
    assert taken == [*range(1, 40), 0]


def test_where_there_is_no_item_yet_the_items_are_asked_again_after_the_next_result():
    taken: list[int] = []

    def items():
        for item in range(6):
            while len(taken) < item - 1:  # never more than two ahead
                yield None
            yield item

    for item, _ in in_threads(lambda item: item, items(), 3):
        taken.append(item)
    assert sorted(taken) == list(range(6))


def test_one_failure_stops_no_other_and_stands_in_its_place():
    asked = [*groups(2), ("Should the broken lift be mended?", ["Yes, please.", "It costs."])]
    asked += [("Only one?", ["Me."]), *groups(1)]
    found = find_agreements(asked, model=Echoing(), reward=Lengths(), n_candidates=2)
    assert [type(each) for each in found] == [
        *(Agreement, Agreement),
        *(EngineError, InputError),
        Agreement,
    ]


def test_a_call_that_was_broken_off_goes_on(tmp_path, monkeypatch):
    model, reward = Echoing(), Lengths()
    monkeypatch.setattr(
        "commonweal.batch.finding.load_policy", lambda name, _: load_policy(name, model)
    )
    monkeypatch.setattr("commonweal.batch.finding.load_reward_model", lambda *_, **__: reward)

    def call(asked, **options):
        return find_agreements(
            asked, policy="zero_shot", folder=tmp_path / "kept", n_candidates=2, **options
        )

    def enough(place, _):
        if place == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(groups(5), on_done=enough)
    n_before = model.n_prompts
    n_kept = len(list((tmp_path / "kept").iterdir()))
    assert 3 <= n_kept <= 5
    first = call(groups(5))
    assert model.n_prompts <= n_before + 2 * (5 - 3)
    n_after = model.n_prompts
    assert call(groups(5)) == first
    assert model.n_prompts == n_after  # nothing is found twice
    assert call(groups(5), seed=1) != first
    assert model.n_prompts > n_after  # another seed is another call
    damaged = next((tmp_path / "kept").iterdir())
    damaged.write_text("{", encoding="utf-8")
    assert len(call(groups(5))) == 5


def test_what_cannot_be_used_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(InputError, match="workers is 0"):
        find_agreements(groups(1), workers=0)
    with pytest.raises(InputError, match="model is an object"):
        find_agreements(groups(1), model=Echoing(), folder=tmp_path)


def test_group_files_go_in_as_they_are_read(tmp_path):
    path = tmp_path / "group.json"
    path.write_text('{"question": "Free?", "opinions": [{"text": "Yes."}, {"text": "No."}]}')
    (found,) = find_agreements(
        [read_group(path)], model=Echoing(), reward=Lengths(), n_candidates=2
    )
    assert isinstance(found, Agreement)
    assert found.question.text == "Free?"


def test_the_async_twin_finds_the_same_and_lets_others_run():
    async def both():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        question, opinions = groups(1)[0]
        found = await find_agreement_async(
            question, opinions, model=Echoing(), reward=Lengths(), n_candidates=2
        )
        ticking.cancel()
        return found, ticks

    found, ticks = asyncio.run(both())
    question, opinions = groups(1)[0]
    alone = find_agreement(question, opinions, model=Echoing(), reward=Lengths(), n_candidates=2)
    assert [c.text for c in found.candidates] == [c.text for c in alone.candidates]
    assert ticks > 0
