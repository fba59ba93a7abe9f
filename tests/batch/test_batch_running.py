"""A batch in one process: resumed, the same twice, and what goes wrong stays with its group.

The same on Ray: ``test_cluster.py``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import threading
from dataclasses import replace
from importlib import resources
from types import SimpleNamespace

import polars as pl
import pytest
from test_batch_finding import Lengths

from answering import answering, files_of, put_groups
from commonweal import Agreement, find_agreement
from commonweal.batch.behind import hashes_behind
from commonweal.batch.cluster import _check_room, _start
from commonweal.batch.reading import read_groups
from commonweal.batch.running import run_batch
from commonweal.batch.working import Workers
from commonweal.datasets.comparisons import within_person_pairs
from commonweal.datasets.dataset import (
    About,
    Dataset,
    Step,
    frame,
    read_dataset,
    write_dataset,
)
from commonweal.datasets.schema import scale_named
from commonweal.errors import EngineError, InputError, WeightsError
from commonweal.evaluation.evaluate import evaluate
from commonweal.files import locked
from commonweal.models import load_language_model, openai_turns
from commonweal.models.openai_turns import at_most
from commonweal.models.store import cache_folder
from commonweal.rewards.prompted import PromptedRewardModel
from commonweal.rewards.prompted_calibration import calibration_path

OPTIONS = {"n_candidates": 3, "policy": "zero_shot", "workers": Workers(in_flight=4)}


def trying(n: int):
    """The options, with so many tries for each group."""
    return {**OPTIONS, "workers": Workers(in_flight=4, n_tries=n)}


@pytest.fixture(autouse=True)
def lengths(monkeypatch):
    monkeypatch.setattr("commonweal.batch.finding.load_reward_model", lambda *_, **__: Lengths())


@pytest.fixture
def server():
    with answering() as found:
        yield found


def test_a_batch_is_a_dataset_with_what_each_group_gets_alone(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 3, alone="Free?"))
    done = run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    assert done.n_found_now == 4
    assert not done.set_aside
    found = read_dataset(done.dataset)
    assert found.rounds["round_id"].to_list() == ["town-0", "town-1", "town-2", "alone"]
    assert found.candidates.filter("shown").height == 4
    assert found.predictions.height == 4 * 3 * 3
    for file in (tmp_path / "out" / "results").iterdir():
        kept = Agreement.from_dict(json.loads(file.read_text()))
        again = find_agreement(
            kept.question,
            kept.opinions,
            policy="zero_shot",
            model=server.model,
            reward=Lengths(),
            n_candidates=3,
            seed=kept.provenance["seed"],
        )
        assert again.utilities.tolist() == kept.utilities.tolist()
        (row,) = found.rounds.filter(pl.col("question") == kept.question.text).to_dicts()
        texts = found.candidates.filter(pl.col("round_id") == row["round_id"])
        assert texts["text"].to_list() == [each.text for each in again.candidates]
        assert texts.filter("shown")["text"].to_list() == [again.closest.text]
    seeds = set(found.candidates["seed"].to_list())
    assert len(seeds) == found.candidates.height  # each group has chances of its own


def test_what_was_broken_off_goes_on_and_comes_to_the_same_bytes(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 6))
    whole = run_batch(groups, tmp_path / "whole", model=server.model, **OPTIONS)
    server.asked.clear()

    def press(n_done: int, n: int) -> None:
        if n_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(groups, tmp_path / "out", model=server.model, on_done=press, **OPTIONS)
    n_kept = len(list((tmp_path / "out" / "results").iterdir()))
    assert n_kept >= 2
    assert not (tmp_path / "out" / "dataset").exists()
    seen: list[int] = []
    done = run_batch(
        groups,
        tmp_path / "out",
        model=server.model,
        on_done=lambda n_done, _: seen.append(n_done),
        **OPTIONS,
    )
    assert seen == list(range(n_kept, 7))
    assert done.n_found_now == 6 - n_kept
    # The address of the server is in every file; the bytes are the same.
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert whole.counts == done.counts
    server.asked.clear()
    run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    assert not server.asked
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_what_cannot_be_done_is_set_aside_with_its_reason(tmp_path, server):
    server.broken = {"lift"}
    path = put_groups(tmp_path / "groups.jsonl", 2, poison="Should the lift be mended?")
    with path.open("a") as file:
        file.write('{"id": "one", "question": "Free?", "opinions": ["Yes."]}\n')
        file.write(
            json.dumps(
                {
                    "id": "long",
                    "question": "?",
                    "opinions": ["We pay for the bus since villages have none. " * 22_000, "b"],
                }
            )
        )
    out = tmp_path / "out"
    done = run_batch(read_groups(path), out, model=server.model, **trying(2))
    assert list(done.set_aside) == ["poison", "one", "long"]
    assert "overloaded" in done.set_aside["poison"]
    assert "expected at least two" in done.set_aside["one"]
    assert "characters, expected at most 100,000" in done.set_aside["long"]
    lines = [json.loads(line) for line in (out / "set_aside.jsonl").read_text().splitlines()]
    assert {line["group"]: line["reason"] for line in lines} == done.set_aside
    assert lines[0]["place"].endswith("groups.jsonl, line 3")
    assert read_dataset(done.dataset).rounds.height == 5 - len(lines)
    server.broken = set()
    again = run_batch(read_groups(path), out, model=server.model, **trying(2))
    assert again.n_found_now == 1
    assert "poison" not in again.set_aside


def test_twice_the_same_group_is_done_once(tmp_path, server):
    (line,) = put_groups(tmp_path / "one.jsonl", 1).read_text().splitlines()
    path = tmp_path / "groups.jsonl"
    path.write_text(f"{line}\n{line.replace('town-0', 'other', 1)}\n")
    text = path.read_text().replace("since town-0", "since it").replace("since other", "since it")
    path.write_text(text)
    done = run_batch(read_groups(path), tmp_path / "out", model=server.model, **OPTIONS)
    assert done.n_found_now == 1
    assert read_dataset(done.dataset).rounds["round_id"].to_list() == ["town-0", "other"]


def test_a_server_that_is_gone_ends_the_batch(tmp_path, server):
    server.broken = {"free"}
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 30))
    with pytest.raises(EngineError, match="the last 20 groups all failed"):
        run_batch(groups, tmp_path / "out", model=server.model, **trying(1))


def test_requests_of_all_groups_together_keep_to_the_limit(tmp_path):
    with answering(0.3) as server:  # longer than a busy machine takes to ask
        groups = read_groups(put_groups(tmp_path / "groups.jsonl", 12))
        run_batch(
            groups,
            tmp_path / "out",
            model=server.model,
            policy="zero_shot",
            n_candidates=2,
            workers=Workers(in_flight=5),
        )
        assert server.n_most == 5


def test_a_limit_holds_over_threads_and_is_given_back_by_who_is_cancelled():
    running, most, lock = 0, 0, threading.Lock()

    async def ask() -> None:
        nonlocal running, most
        async with openai_turns.turn():
            with lock:
                running += 1
                most = max(most, running)
            try:
                await asyncio.sleep(0.01)
            finally:
                with lock:
                    running -= 1

    async def several() -> None:
        waiting = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.sleep(0.015)
        for each in waiting[::2]:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    with at_most(3):
        threads = [threading.Thread(target=asyncio.run, args=[several()]) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        assert not any(each.is_alive() for each in threads)
        turns = openai_turns._turns
        assert turns is not None
        assert turns._n_free == 3
        assert not turns._waiting
    assert most == 3
    assert openai_turns.limit() is None


def test_the_folder_of_another_batch_is_left_alone(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    out = tmp_path / "out"
    run_batch(groups, out, model=server.model, **OPTIONS)
    before = files_of(out)
    with pytest.raises(InputError, match="was begun with seed 0, and now it is 1"):
        run_batch(groups, out, model=server.model, seed=1, **OPTIONS)
    with locked(out), pytest.raises(InputError, match="another run is at work"):
        run_batch(groups, out, model=server.model, **OPTIONS)
    assert files_of(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt and is not a batch's"):
        run_batch(groups, tmp_path / "mine", model=server.model, **OPTIONS)


def test_the_folder_of_another_version_is_left_alone_and_says_so(tmp_path, server, monkeypatch):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    out = tmp_path / "out"
    run_batch(groups, out, model=server.model, **OPTIONS)
    monkeypatch.setattr("commonweal.batch.kept.__version__", "9.9.9")
    with pytest.raises(InputError, match=r"begun with commonweal \S+, and this is 9\.9\.9") as told:
        run_batch(groups, out, model=server.model, seed=1, **OPTIONS)
    assert "continue it with that version" in str(told.value)
    assert "same options" not in str(told.value)


def test_a_dataset_keeps_what_it_says_of_its_rounds_and_people(tmp_path, server):
    about = About(
        name="mine",
        people="human",
        scale=scale_named("likert-7"),
        source="a town hall",
        licence="CC-BY-4.0",
        attribution="The town",
        steps=(Step(what="asked", options={}, counts={}),),
    )
    asked = {"group_id": "north", "split": "iid_test", "topic": "buses", "iteration": 2}
    rounds = [
        {"round_id": f"r{n}", "question_id": f"q{n}", "question": f"Free on day {n}?", **asked}
        | {"position_statement": "Buses should be free."}
        for n in range(2)
    ]
    opinions = [
        {"round_id": f"r{n}", "opinion_id": f"o{who}", "participant_id": f"person-{who}"}
        | {"text": f"On day {n} my view is number {who}.", "source": "votes"}
        for n in range(2)
        for who in range(3)
    ]
    tables = {"rounds": frame("rounds", rounds), "opinions": frame("opinions", opinions)}
    write_dataset(Dataset(about, **tables), tmp_path / "given")
    groups = read_groups(tmp_path / "given")
    done = run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    found = read_dataset(done.dataset)
    assert found.rounds.equals(read_dataset(tmp_path / "given").rounds)
    assert found.opinions.equals(read_dataset(tmp_path / "given").opinions)
    assert set(found.predictions["participant_id"]) == {f"person-{who}" for who in range(3)}
    assert (found.about.licence, found.about.attribution) == ("CC-BY-4.0", "The town")
    assert found.about.people == "simulated"
    assert [step.what for step in found.about.steps[:-1]] == ["asked"]


def test_a_worker_for_which_no_node_has_room_is_refused_at_once():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    ray = SimpleNamespace(nodes=lambda: nodes)
    _check_room(ray, 4, 0.0, wait_seconds=0)
    _check_room(ray, 2, 1.0, wait_seconds=0)
    for threads, gpus in ((5, 0.0), (1, 2.0), (4, 1.0)):
        with pytest.raises(InputError, match="no node has room for a worker with"):
            _check_room(ray, threads, gpus, wait_seconds=0)
    threading.Timer(0.2, lambda: nodes[2].update(Alive=True)).start()
    _check_room(ray, 4, 1.0, wait_seconds=20)  # it joins meanwhile


def test_a_ray_that_does_not_start_is_started_again_and_then_told():
    for n_failures in (0, 2, 3):
        left, ended = [RuntimeError("The current node timed out\nduring startup.")] * n_failures, []

        def init(left=left, **_):
            if left:
                raise left.pop()

        ray = SimpleNamespace(init=init, shutdown=lambda ended=ended: ended.append(1))
        if n_failures < 3:
            _start(ray, 2, {})
        else:
            with pytest.raises(
                EngineError, match=r"Ray does not start .* timed out during startup"
            ):
                _start(ray, 2, {})
        assert len(ended) == n_failures


@pytest.mark.parametrize(
    "name",
    [
        "openai:http://127.0.0.1:9/v1#m?header.x-api-key=SEKRIT",
        "openai:http://127.0.0.1:9/v1#m?header.Authorization=SEKRIT",
        "openai:http://127.0.0.1:9/v1#m?query.key=SEKRIT",
        "openai:http://me:SEKRIT@127.0.0.1:9/v1#m",
    ],
)
def test_a_secret_that_is_refused_is_kept_nowhere(tmp_path, server, name):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    out = tmp_path / "out"
    for option in ({"model": name}, {"model": server.model, "reward": f"prompted:{name}"}):
        with pytest.raises(InputError) as refused:
            run_batch(groups, out, **{**OPTIONS, **option})
        assert "SEKRIT" not in str(refused.value)
        assert not out.exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"model": "embeded"}, "did you mean 'embedded'"),
        ({"model": "embedded:none.gguf"}, "no model at none.gguf"),
        ({"policy": "zero_shott"}, "did you mean 'zero_shot'"),
        ({"policy": "./mine.toml"}, "mine.toml"),
        ({"reward": "raeder"}, "did you mean 'reader'"),
    ],
)
def test_a_name_that_names_nothing_holds_no_folder(tmp_path, server, option, said):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    given = {"model": server.model, **OPTIONS}
    with pytest.raises(InputError, match=said):
        run_batch(groups, tmp_path / "out", **{**given, **option})
    assert not (tmp_path / "out").exists()
    run_batch(groups, tmp_path / "out", **given)


def test_changed_files_behind_the_same_names_are_another_command(tmp_path, server, monkeypatch):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    template = resources.files("commonweal.policies").joinpath("zero_shot.toml").read_text()
    policy = tmp_path / "mine.toml"
    policy.write_text(template)
    options = tmp_path / "options.toml"
    options.write_text("timeout_seconds = 20\n[body]\ntop_k = 4\n")
    reward = tmp_path / "reward"
    reward.mkdir()
    (reward / "reward.json").write_text("{}")
    given = {"model": f"{server.model}&options={options}", "reward": str(reward)}
    given = {**OPTIONS, **given, "policy": str(policy)}
    out = tmp_path / "out"

    def go() -> int:
        return run_batch(groups, out, **given).n_found_now

    assert go() == 1
    options.write_text("timeout_seconds = 30\n[body]\ntop_k = 4\n")
    assert go() == 0  # a longer wait changes no text
    kept = (out / "batch.json").read_text()
    for file, text, what in (
        (policy, template.replace("opinions", "views", 1), "policy"),
        (options, "[body]\ntop_k = 5\n", "model"),
        (reward / "reward.json", '{"slope": 2}', "reward"),
    ):
        before = file.read_text()
        file.write_text(text)
        with pytest.raises(InputError, match=f"what {what} '.*' names has changed since"):
            go()
        file.write_text(before)
    monkeypatch.setenv("COMMONWEAL_OPENAI_OPTIONS", "body.user=SEKRIT")
    with pytest.raises(InputError, match=r"what model '.*' names has changed") as refused:
        go()
    assert "SEKRIT" not in str(refused.value)
    run_batch(groups, tmp_path / "other", **given)
    assert "SEKRIT" not in (tmp_path / "other" / "batch.json").read_text()
    monkeypatch.delenv("COMMONWEAL_OPENAI_OPTIONS")
    assert go() == 0
    assert (out / "batch.json").read_text() == kept


@pytest.mark.parametrize("prefix", ["embedded:", "prompted:embedded:", "hf:", "prompted:hf:", ""])
def test_a_hash_stands_for_the_file_behind_any_name(tmp_path, prefix):
    file = tmp_path / "model.gguf"
    found = []
    for text in ("one", "two", "one"):
        file.write_text(text)
        found.append(hashes_behind({"reward": f"{prefix}{file}"}))
    first, second, third = found
    assert list(first) == ["reward_sha256"]
    assert first == third != second


@pytest.mark.parametrize("reward", ["prompted", "prompted:openai:http://127.0.0.1:9/v1#m"])
def test_a_calibration_counts_for_the_engine_that_it_belongs_to(tmp_path, monkeypatch, reward):
    monkeypatch.setenv("COMMONWEAL_DATA", str(tmp_path))
    given = {"model": "openai:http://127.0.0.1:9/v1#m", "reward": reward}
    assert hashes_behind(given) == {}
    engine = load_language_model(given["model"])
    own = calibration_path(PromptedRewardModel(engine).weights_hash)
    own.parent.mkdir()
    (own.parent / f"{'0' * 32}.json").write_text("another engine's")
    assert hashes_behind(given) == {}
    found = []
    for text in ("one", "two", "one"):
        own.write_text(text)
        found.append(hashes_behind(given))
    assert found[0] == found[2] != found[1]
    assert list(found[0]) == ["reward_sha256"]


@pytest.mark.parametrize("engine", ["embedded", "embedded:0.5b", "embedded:hub:A/B/c.gguf"])
def test_a_calibration_counts_where_the_weights_are_gone(tmp_path, monkeypatch, engine):
    monkeypatch.setenv("COMMONWEAL_DATA", str(tmp_path))
    monkeypatch.setenv("COMMONWEAL_CACHE", str(tmp_path / "empty"))
    given = {"model": engine, "reward": "prompted"}
    folder = calibration_path("0" * 64).parent
    folder.mkdir()
    found = [hashes_behind(given)]
    for name, slope in (
        ("prompted:openai:http://127.0.0.1:9/v1#m", 1),  # a server's
        ("prompted:embedded:smollm2-135m-instruct", 1),
        ("prompted:embedded:smollm2-135m-instruct", 2),
        ("prompted:embedded:smollm2-135m-instruct", 1),
    ):
        text = json.dumps({"reward_model": name, "slope": slope})
        (folder / f"{'openai' in name}.json").write_text(text)
        found.append(hashes_behind(given))
    assert found[0] == found[1] == {}
    assert found[2] == found[4] != found[3]
    (folder / "of-nobody.json").write_text("[]")
    assert hashes_behind(given) != found[4]


def test_a_batch_that_is_done_needs_no_weights(tmp_path, server, monkeypatch):
    monkeypatch.setenv("COMMONWEAL_DATA", str(tmp_path))
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 2))
    path = calibration_path("0" * 64)
    path.parent.mkdir()
    path.write_text(json.dumps({"reward_model": "prompted:embedded:smollm2-135m-instruct"}))
    weights = tmp_path / "cache" / "weights"
    shutil.copytree(cache_folder() / "smollm2-135m-instruct", weights / "smollm2-135m-instruct")
    monkeypatch.setenv("COMMONWEAL_CACHE", str(weights.parent))
    given = {**OPTIONS, "model": server.model, "reward": "prompted:embedded:small"}
    assert run_batch(groups, tmp_path / "out", **given).n_found_now == 2
    before = files_of(tmp_path / "out")
    shutil.rmtree(weights)
    assert run_batch(groups, tmp_path / "out", **given).n_found_now == 0
    assert files_of(tmp_path / "out") == before


def test_examples_beside_a_template_count(tmp_path):
    policy = tmp_path / "mine.toml"
    policy.write_text('examples = "beside.toml"\n')
    found = []
    for text in ("one", "two"):
        (tmp_path / "beside.toml").write_text(text)
        found.append(hashes_behind({"policy": str(policy)}))
    assert found[0] != found[1]


def test_a_name_alone_has_no_hash():
    given = {"model": "embedded:small", "policy": "sft_rawlsian", "reward": "reader"}
    assert hashes_behind({**given, "seed": 0}) == {}
    assert hashes_behind({"model": "openai:http://127.0.0.1:9/v1#m", "reward": "prompted"}) == {}


def test_models_that_cannot_be_loaded_hold_no_folder(tmp_path, server, monkeypatch):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    out = tmp_path / "out"

    def missing(*_):
        raise WeightsError("the weights are not there")

    with monkeypatch.context() as patched:
        patched.setattr("commonweal.batch.finding.load_policy", missing)
        with pytest.raises(WeightsError):
            run_batch(groups, out, model=server.model, **OPTIONS)
    assert not out.exists()
    server.broken = {"free"}
    many = read_groups(put_groups(tmp_path / "many.jsonl", 20))
    with pytest.raises(EngineError):
        run_batch(many, out, model=server.model, seed=1, **trying(1))
    assert not out.exists()
    server.broken = set()
    assert run_batch(groups, out, model=server.model, **OPTIONS).n_found_now == 1


def test_files_with_something_else_in_them(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 2))
    out = tmp_path / "out"
    run_batch(groups, out, model=server.model, **OPTIONS)
    before = files_of(out)
    next((out / "results").iterdir()).write_text("[]")
    assert run_batch(groups, out, model=server.model, **OPTIONS).n_found_now == 1
    assert files_of(out) == before
    (out / "batch.json").write_text("[]")
    with pytest.raises(InputError, match=r"batch\.json holds no options"):
        run_batch(groups, out, model=server.model, **OPTIONS)


def test_ones_own_file_beside_the_dataset_is_told_before_the_work(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 3))
    out = tmp_path / "out"
    run_batch(groups[:1], out, model=server.model, **OPTIONS)
    (out / "dataset" / ".DS_Store").write_text("icons")
    own = out / "dataset" / "report.html"
    own.write_text("mine")
    server.asked.clear()
    with pytest.raises(InputError, match=r"holds report\.html.*; move that file elsewhere"):
        run_batch(groups, out, model=server.model, **OPTIONS)
    assert not server.asked
    assert own.read_text() == "mine"
    own.unlink()
    assert run_batch(groups, out, model=server.model, **OPTIONS).n_found_now == 2


def test_a_full_disk_ends_it_in_words(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 3))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*json"):
            run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    done = run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    assert done.n_found_now == 3


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"workers": Workers(n_tries=0)}, "n_tries is 0"),
        ({"welfare": "utilitarion"}, "utilitarion"),
        ({"alpha": -1.0}, "alpha"),
        ({"n_candidates": 0}, "n_candidates is 0"),
    ],
)
def test_options_that_no_group_could_use_are_refused_at_once(tmp_path, option, said):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 1))
    with pytest.raises(InputError, match=said):
        run_batch(groups, tmp_path / "out", model="openai:http://127.0.0.1:1/v1#m", **option)
    assert not (tmp_path / "out").exists()


def test_once_people_have_rated_it_trains_and_is_evaluated(tmp_path, server):
    groups = read_groups(put_groups(tmp_path / "groups.jsonl", 4))
    done = run_batch(groups, tmp_path / "out", model=server.model, **OPTIONS)
    found = read_dataset(done.dataset)
    with pytest.raises(InputError, match="nobody has rated"):
        evaluate(found)
    people = found.opinions.select("round_id", "participant_id")
    pairs = people.join(found.candidates.select("round_id", "candidate_id"), on="round_id")
    ratings = [
        {**pair, "pass_index": 0, "agreement": 1 + at % 7, "quality": 4}
        for at, pair in enumerate(pairs.iter_rows(named=True))
    ]
    rated = replace(
        found,
        candidates=found.candidates.with_columns(shown=pl.lit(value=True)),
        ratings=frame("ratings", ratings),
    )
    write_dataset(rated, tmp_path / "rated")
    rated = read_dataset(tmp_path / "rated")
    assert evaluate(rated, n_resamples=1_000).figures
    assert sum(each.height for each in within_person_pairs(rated)) > 0
