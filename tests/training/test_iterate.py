"""The training loop: stages, what is done again and what is not, people who are waited for.

Networks are not trained here (a slow test and recipes/smoke.sh do that): the two training stages
are replaced by ones that write down what they were given.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_models import made_rounds

from commonweal.batch.working import Workers
from commonweal.collection import CollectionPlan, collect
from commonweal.datasets.dataset import Dataset, read_dataset, write_dataset
from commonweal.errors import EngineError, GenerationError, InputError
from commonweal.files import locked
from commonweal.models.scripted import ScriptedModel
from commonweal.participants.considerations import load_bank
from commonweal.rewards import LogisticCalibration, load_reward_model
from commonweal.training.config import read_config
from commonweal.training.loop import stages
from commonweal.training.loop.loop import Loop
from commonweal.training.loop.people import further_questions
from commonweal.training.loop.plan import IteratePlan
from commonweal.training.loop.rounds import Writing, collected, compared, seed_of, written
from commonweal.types import Candidate, Generation, Opinion, Question, Round

BANK = {each.asked.question.text: each for each in load_bank()}


@dataclass
class Speaker:
    """A policy without a model: two arguments of the bank in each statement, drawn by the seed."""

    name: str = "spoken"
    model: Any = field(default_factory=lambda: ScriptedModel([]))
    n_calls: int = 0
    fails_at: int | None = None

    def generate(self, question, opinions, *, n_candidates, rng, on_done=None):
        self.n_calls += 1
        if self.n_calls == self.fails_at:
            raise EngineError("the power went")
        arguments = [a for c in BANK[question.text].considerations for s in c.arguments for a in s]
        candidates = []
        for index in range(n_candidates):
            first, second = (arguments[int(i)] for i in rng.permutation(len(arguments))[:2])
            candidates.append(
                Candidate(
                    f"c{index + 1:02d}",
                    f"We see that {first[:-1]}, and also that {second}",
                    tuple(opinion.id for opinion in opinions),
                    self.name,
                    "scripted",
                    "0" * 16,
                    int(rng.integers(2**31)),
                )
            )
        return Generation(tuple(candidates), (), n_candidates, n_candidates)


class Taster:
    """A reward model that likes short statements, and longer opinions a little more."""

    name = "taste"
    weights_hash = "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: made for the tests")

    def rewards(self, inputs, *, on_done=None):
        return np.array([len(i.opinion) / 500 - len(i.statement) / 100 for i in inputs])


def plan(out: Path, **more: Any) -> IteratePlan:
    return IteratePlan.model_validate(
        {
            "name": "tiny",
            "out": out,
            "people": {"kind": "latent"},
            "groups": {"n_groups": 2, "group_size": 4, "rounds_per_group": 2},
            "collection": {"n_candidates": 3},
            "evaluation": {
                "n_groups": 2,
                "rounds_per_group": 2,
                "policies": ["few_shot", "sft_base", "sft_utilitarian"],
                "n_candidates": 3,
                "n_resamples": 1000,
            },
        }
        | more
    )


@pytest.fixture
def trained(monkeypatch):
    """What the training stages were given, in order; the policy and reward model are ours."""
    calls: list[tuple[str, int, list[Path]]] = []
    speaker = Speaker()

    def train(kind: str):
        def done(given, turn, folder, progress):
            calls.append((kind, turn, list(stages._rated_so_far(given, turn))))
            return {"best step": 1}

        return done

    monkeypatch.setattr(stages, "_sft", train("sft"))
    monkeypatch.setattr(stages, "_reward", train("reward"))
    monkeypatch.setattr(stages, "_first_policy", lambda _: speaker)
    monkeypatch.setattr(stages, "_trained", lambda *_: (speaker, Taster()))
    monkeypatch.setattr(stages, "load_policy", lambda *_, **__: speaker)
    return calls, speaker


def states(made: IteratePlan) -> dict[str, str]:
    return {each.name: each.state for each in Loop(made).states()}


def test_the_whole_loop_and_a_second_run_that_does_nothing(trained, tmp_path):
    calls, speaker = trained
    made = plan(tmp_path / "loop")
    assert set(states(made).values()) == {"to do"}
    lines = list(Loop(made).run())
    assert [line.split(":")[0] for line in lines] == [
        *("0-generate", "0-rate", "0-sft", "0-reward"),
        *("1-generate", "1-rate", "1-sft", "1-reward", "evaluate"),
    ]
    # Each turn learns from all rounds rated so far.
    assert [(kind, turn, len(paths)) for kind, turn, paths in calls] == [
        *(("sft", 0, 1), ("reward", 0, 1), ("sft", 1, 2), ("reward", 1, 2))
    ]
    assert set(states(made).values()) == {"done"}
    assert (made.out / "evaluate" / "report.html").is_file()
    n_calls = speaker.n_calls
    (line,) = Loop(made).run()
    assert "done already" in line
    assert speaker.n_calls == n_calls


def test_what_a_loop_leaves_is_called_simulated_and_kept_apart(trained, tmp_path):
    made = plan(tmp_path / "loop")
    list(Loop(made).run())
    rated = [read_dataset(made.out / f"{turn}-rate" / "rated") for turn in (0, 1)]
    tested = read_dataset(made.out / "evaluate" / "rated")
    for dataset in (*rated, tested):
        assert dataset.about.people == "simulated"
    trained_on = {q for dataset in rated for q in dataset.rounds["question"]}
    assert not trained_on & set(tested.rounds["question"])
    assert set(tested.rounds["split"]) == {"ood_test"}
    assert not set(rated[0].rounds["round_id"]) & set(rated[1].rounds["round_id"])
    # The first turn has no reward model: shown at random. The second has one, and says what it did.
    first, second = (d.candidates.filter(pl.col("shown")) for d in rated)
    assert first["alpha"].null_count() == first.height
    assert second["alpha"].null_count() == 0
    assert rated[1].predictions["reward_model"].unique().to_list() == ["taste"]
    # Six statements a round, of which some leave somebody out.
    assert set(second.group_by("round_id").len()["len"]) == {6}
    assert set(second["included_opinion_ids"].list.len()) == {4, 3, 2}
    # In the evaluation each policy shows one statement a round, and what it picked from is kept.
    shown = tested.candidates.filter(pl.col("shown"))
    assert set(shown.group_by("round_id", "policy").len()["len"]) == {1}
    kept = tested.candidates.group_by("round_id", "policy").len()
    assert {(p, n) for _, p, n in kept.iter_rows()} == {
        *(("few_shot", 1), ("sft_base", 1), ("sft_utilitarian", 3))
    }


def test_a_changed_plan_does_again_what_depends_on_it_and_nothing_else(trained, tmp_path):
    calls, _ = trained
    made = plan(tmp_path / "loop")
    list(Loop(made).run())
    calls.clear()
    reward = plan(made.out, reward={"training": {"max_steps": 7}})
    assert states(reward) == {
        **dict.fromkeys(("0-generate", "0-rate", "0-sft"), "done"),
        # The second turn writes with the first one's reward model.
        **dict.fromkeys(("0-reward", "1-generate", "1-rate", "1-sft"), "out of date"),
        **dict.fromkeys(("1-reward", "evaluate"), "out of date"),
    }
    evaluation = plan(made.out, evaluation=made.evaluation.model_dump() | {"n_groups": 3})
    assert [name for name, state in states(evaluation).items() if state != "done"] == ["evaluate"]
    lines = list(Loop(evaluation).run())
    assert [line.split(":")[0] for line in lines] == ["evaluate"]
    assert calls == []
    assert read_dataset(made.out / "evaluate" / "rated").rounds.height == 6


@pytest.mark.slow
def test_a_loop_that_was_broken_off_goes_on_with_the_next_round(trained, tmp_path):
    _, speaker = trained
    whole = plan(tmp_path / "whole")
    list(Loop(whole).run())
    n_calls = speaker.n_calls
    broken = plan(tmp_path / "broken")
    speaker.n_calls, speaker.fails_at = 0, 5  # in the second of four rounds
    with pytest.raises(EngineError, match="the power went"):
        list(Loop(broken).run())
    assert states(broken)["0-generate"] == "begun"
    # As if the process had been killed while it wrote the next line.
    with (broken.out / "0-generate" / "journal.jsonl").open("a") as file:
        file.write('{"round_id": "i0-')
    speaker.fails_at = None
    list(Loop(broken).run())
    # Of the broken round the first draw is done again, of whole rounds nothing.
    assert speaker.n_calls == n_calls + 2
    for stage in ("1-rate", "evaluate"):
        one, two = (read_dataset(made.out / stage / "rated") for made in (whole, broken))
        assert all(one.tables()[name].equals(two.tables()[name]) for name in one.tables())


def test_workers_write_what_one_process_writes(trained, tmp_path):
    _, speaker = trained
    alone, shared = plan(tmp_path / "alone"), plan(tmp_path / "shared")
    list(Loop(alone).run())
    n_calls = speaker.n_calls
    list(Loop(shared, workers=Workers(1)).run())
    assert speaker.n_calls == 2 * n_calls
    for stage in ("0-rate", "1-rate", "evaluate"):
        one, two = (made.out / stage / "rated" for made in (alone, shared))
        assert files_in(one) == files_in(two)


@pytest.mark.parametrize(
    "place", ["0-generate/opened", "0-generate/rounds", "0-rate/rated", "evaluate/rated"]
)
def test_ones_own_file_in_a_stages_dataset_is_told_before_its_work(trained, tmp_path, place):
    _, speaker = trained
    made = plan(tmp_path / "loop")
    own = made.out / place / "report.html"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    (stage,) = (each for each in Loop(made).stages if place.startswith(f"{each.name}/"))
    told: list[Any] = []
    with pytest.raises(InputError, match=r"is not a dataset; move it elsewhere"):
        stage.run(made.out / stage.name, lambda *progress: told.append(progress))
    assert (told, speaker.n_calls, own.read_text()) == ([], 0, "mine")


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_rounds_that_are_done_out_of_turn_are_kept_and_stand_in_turn(tmp_path):
    question = next(iter(BANK))
    people = tuple(Opinion(p, f"{p} thinks.") for p in "abcd")
    rounds = [Round(f"r{n}", "g", Question(question), people) for n in range(4)]
    speaker = Speaker()
    job = Writing(lambda: lambda one: collected(one, speaker, Table(), CollectionPlan(), 3))
    whole = written(rounds, job, tmp_path / "1", share=None, on_progress=lambda *_: None)

    def backwards(job, tasks):
        do = job.loaded()
        for n, task in enumerate(reversed(tasks)):
            yield task, do(task[1]) if n < 2 else EngineError("a worker is gone")

    said: list[int] = []
    with pytest.raises(EngineError, match="a worker is gone"):
        written(rounds, job, tmp_path / "2", share=backwards, on_progress=lambda *_: None)
    again = written(
        rounds,
        job,
        tmp_path / "2",
        share=backwards,
        on_progress=lambda _stage, n_done, _n: said.append(n_done),
    )
    assert said == [2, 3, 4]
    assert [each.round_id for each in again] == ["r0", "r1", "r2", "r3"]
    assert [each.candidates() for each in again] == [each.candidates() for each in whole]


def test_people_of_a_study_are_waited_for(trained, tmp_path):
    simulated = plan(tmp_path / "simulated")
    list(Loop(simulated).run())
    exports = [tmp_path / "export0", tmp_path / "export1"]
    people = {"kind": "study", "exports": exports, "evaluation_export": tmp_path / "export2"}
    made = plan(tmp_path / "study", people=people)
    (line,) = Loop(made).run()
    assert "waiting for people" in line
    assert str(exports[0]) in line
    assert states(made)["0-rate"] == "waiting"
    for stage, export in zip(
        ("0-rate", "1-rate", "evaluate"), (*exports, tmp_path / "export2"), strict=True
    ):
        shutil.copytree(simulated.out / stage / "rated", export)
        list(Loop(made).run())
    assert set(states(made).values()) == {"done"}
    # Another export in its place: what was learned from it is out of date.
    dataset = read_dataset(exports[0])
    write_dataset(dataset.of_rounds(dataset.rounds["round_id"][:2]), exports[0], overwrite=True)
    assert states(made)["0-rate"] == "out of date"


def test_a_changed_file_that_the_plan_names_is_noticed(trained, tmp_path):
    prompt = tmp_path / "prompt.toml"
    packaged = resources.files("commonweal.policies") / "sft.toml"
    prompt.write_text(packaged.read_text(encoding="utf-8"), encoding="utf-8")
    ours = tmp_path / "ours.toml"
    ours.write_text("# written examples\n", encoding="utf-8")
    sft = {"model": {"template": str(prompt)}, "data": {"examples": [ours]}}
    made = plan(tmp_path / "loop", sft=sft)
    list(Loop(made).run())
    assert set(states(made).values()) == {"done"}
    for file in (prompt, ours):
        before = file.read_text(encoding="utf-8")
        file.write_text(f"{before}\n# changed\n", encoding="utf-8")
        assert states(made)["0-sft"] == "out of date"
        assert states(made)["0-reward"] == "done"
        file.unlink()
        with pytest.raises(InputError, match=f"0-sft reads .*{file.name}, which is not there"):
            Loop(made)
        file.write_text(before, encoding="utf-8")
        assert states(made)["0-sft"] == "done"


@pytest.mark.slow
def test_what_a_killed_removal_left_is_not_gone_on_with(trained, tmp_path):
    """Of an out-of-date stage only its journal is left: rounds of another plan."""
    made = plan(tmp_path / "loop")
    list(Loop(made).run())
    journal = made.out / "0-generate" / "journal.jsonl"
    for path in (made.out / "0-generate").iterdir():
        if path.is_file() and path != journal:
            path.unlink()
    changed = plan(made.out, collection={"n_candidates": 5})
    list(Loop(changed).run())
    candidates = read_dataset(made.out / "0-rate" / "rated").candidates
    assert candidates.height == 5 * 3 * 4


def test_a_loop_tested_on_what_it_learned_from_is_refused(trained, tmp_path):
    simulated = plan(tmp_path / "simulated")
    list(Loop(simulated).run())
    rated = [simulated.out / f"{turn}-rate" / "rated" for turn in (0, 1)]
    # A study that asked its evaluation the first turn's questions.
    people = {"kind": "study", "exports": rated, "evaluation_export": rated[0]}
    made = plan(tmp_path / "study", people=people)
    with pytest.raises(InputError, match="held out for testing"):
        list(Loop(made).run())
    assert states(made)["evaluate"] == "begun"
    # Further data on a question that simulated people are tested with.
    tested = read_dataset(simulated.out / "evaluate" / "rated")
    rounds = tested.rounds.with_columns(split=pl.lit("train"))
    write_dataset(replace(tested, rounds=rounds), tmp_path / "further")
    with pytest.raises(InputError, match="held out for testing"):
        Loop(plan(tmp_path / "loop", sft={"data": {"datasets": [tmp_path / "further"]}}))


@pytest.mark.train
def test_a_reward_model_that_predicts_the_reverse(tmp_path, monkeypatch):
    """The loop stops, or goes on with the model that the plan names."""
    from commonweal.rewards.calibration import ReverseRewardError
    from commonweal.training.reward import run as reward_run

    def reversed_(config, **_: Any):
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / "fit.json").write_text('{"best_step": 3}')
        raise ReverseRewardError("slope -1")
        yield

    monkeypatch.setattr(reward_run, "run_reward", reversed_)
    monkeypatch.setattr(stages, "load_policy", lambda *_: Speaker())
    made = plan(tmp_path / "loop")
    folder = made.out / "1-reward"
    folder.mkdir(parents=True)
    with pytest.raises(ReverseRewardError):
        stages._reward(made, 1, folder, lambda *_: None)
    made = plan(made.out, reward={"fallback": "first"})
    counts = stages._reward(made, 1, folder, lambda *_: None)
    assert any("first instead" in what for what in counts)
    _, reward = stages._trained(made, 1)
    assert reward.name == load_reward_model("first").name


def test_replayed_votes_train_a_reward_model_and_no_policy(trained, monkeypatch, tmp_path):
    calls, _ = trained
    monkeypatch.setattr(stages, "_trained_reward", lambda *_: Taster())
    both = [made_rounds(6), made_rounds(3, split="ood_test")]
    tables = {name: pl.concat([getattr(d, name) for d in both]) for name in both[0].tables()}
    about = replace(both[0].about, people="replayed")
    write_dataset(Dataset(about, **tables), tmp_path / "votes")
    made = plan(
        tmp_path / "loop",
        people={"kind": "replay", "dataset": tmp_path / "votes"},
        groups={"n_groups": 4, "group_size": 3, "rounds_per_group": 1},
        evaluation={"n_groups": 6, "rounds_per_group": 1, "n_resamples": 1000},
        iterations=1,
    )
    assert list(states(made)) == ["0-generate", "0-rate", "0-reward", "evaluate"]
    lines = list(Loop(made).run())
    assert "replayed people" in lines[1]
    assert [kind for kind, *_ in calls] == ["reward"]
    tested = read_dataset(made.out / "evaluate" / "rated")
    assert tested.about.people == "replayed"
    assert set(tested.rounds["split"]) == {"ood_test"}
    # Every rating is one that somebody gave: by person and statement.
    given = {
        (row["participant_id"], row["candidate_id"]): row["agreement"]
        for row in both[1].ratings.iter_rows(named=True)
    }
    for row in tested.ratings.iter_rows(named=True):
        assert row["agreement"] == given[row["participant_id"], row["candidate_id"]]
    n_pairs = tested.ratings.filter(pl.col("pass_index") == 0).height
    assert tested.predictions.height == n_pairs > 0
    assert (made.out / "evaluate" / "report.html").is_file()


def test_two_loops_do_not_share_a_folder(trained, tmp_path):
    made = plan(tmp_path / "loop")
    with (
        locked(made.out),
        pytest.raises(InputError, match="another run is at work"),
    ):
        next(Loop(made).run())


def test_what_is_not_a_loop_is_left_alone(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt and is not a training loop's"):
        next(Loop(plan(tmp_path)).run())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"people": {"kind": "study"}}, "one for each of the 2 iterations"),
        ({"people": {"kind": "replay"}}, "people.dataset is missing"),
        ({"people": {"kind": "nobody"}}, "people.kind"),
        ({"people": {"kind": "latent", "settings": {"mood": 1}}}, "mood"),
        ({"policy": {"name": "best"}}, "unknown policy 'best'"),
        ({"evaluation": {"policies": ["sft_best"]}}, "unknown policy 'sft_best'"),
        ({"groups": {"rounds_per_group": 99}}, "questions of the split 'train'"),
        ({"evaluation": {"rounds_per_group": 99}}, "questions of the split 'ood_test'"),
        ({"collection": {"n_candidates": 1}}, r"n_candidates is 1, expected at least n_shown"),
        ({"sft": {"model": {"base": "hub/large"}}}, r"sft\.model\.merge = true"),
        ({"sft": {"data": {"datasets": ["nowhere"]}}}, r"0-sft reads .*nowhere"),
        ({"sft": {"model": {"template": "sfft"}}}, "no prompt template 'sfft'"),
        ({"policy": {"name": "./plan.toml"}}, "plan.toml, line 1: unknown field 'name'"),
        ({"evaluation": {"policies": ["./plan.toml"]}}, "plan.toml, line 1: unknown field 'name'"),
        ({"reward": {"fallback": "raeder"}}, "'raeder'.*reader"),
        ({"sft": {"training": {"steps": 3}}}, r"sft.training.steps.*max_steps"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(tmp_path, more, expected):
    import tomllib

    parts = {"name": "x", "out": "out", "people": {"kind": "latent"}} | more
    lines = [f"{key} = {json.dumps(value)}" for key, value in parts.items() if type(value) is str]
    for key, table in parts.items():
        if isinstance(table, dict):
            lines.append(f"[{key}]")
            for name, value in table.items():
                if isinstance(value, dict):
                    inner = ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items())
                    lines.append(f"{name} = {{ {inner} }}")
                else:
                    lines.append(f"{name} = {json.dumps(value)}")
    path = tmp_path / "plan.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert tomllib.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=expected):
        Loop(read_config(path, IteratePlan))


def test_where_a_template_lies_is_not_in_the_rounds():
    question = next(iter(BANK))
    people = tuple(Opinion(p, f"{p} thinks.") for p in "ab")
    one = Round("r1", "g", Question(question), people)
    names = ("/a/few_shot", "few_shot", "/a/mine.toml", "/b/mine.toml", "/runs/policy_rawlsian")
    policies = {name: Speaker() for name in names}
    found = compared(one, policies, Table(), n_candidates=1, seed=3)
    assert [row["policy"] for row in found.candidates()] == [
        *("few_shot-2", "few_shot", "mine.toml", "mine.toml-2", "policy_rawlsian")
    ]
    assert not any("/" in row["candidate_id"] for row in found.candidates())


def test_a_policy_that_writes_nothing_ends_no_loop():
    class Silent(Speaker):
        def generate(self, *_: Any, **__: Any) -> Generation:
            raise GenerationError("nothing can be shown", [])

    question = next(iter(BANK))
    one = Round("r", "g", Question(question), tuple(Opinion(p, f"{p} thinks.") for p in "abcd"))
    found = collected(one, Silent(), None, CollectionPlan(), 0)
    assert found.selections == ()
    assert "no completion can be shown" in found.failures[0]


class Table:
    """A reward model that knows how long each text is, and nothing else."""

    name, weights_hash = "table", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: for a test")

    def rewards(self, inputs, *, on_done=None):
        return np.array([(len(one.opinion) * len(one.statement)) % 7 - 3.0 for one in inputs])


def test_a_journal_goes_on_whatever_ends_of_lines_people_wrote(tmp_path):
    question = next(iter(BANK))
    people = tuple(Opinion(p, f"{p}\u2028thinks\u2029of\x85it.") for p in "ab")
    rounds = [Round(name, "g", Question(question), people) for name in ("r1", "r2")]
    journal, speaker = tmp_path / "journal.jsonl", Speaker()
    job = Writing(
        lambda: lambda one: compared(one, {"sft_base": speaker}, Table(), n_candidates=1, seed=3)
    )
    said = {"share": None, "on_progress": lambda *step: None}
    first = written(rounds, job, journal, **said)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])  # killed while it wrote the second line
    again = written(rounds, job, journal, **said)
    assert speaker.n_calls == 2 + 1
    assert [replace(each, seconds=0) for each in again] == [replace(e, seconds=0) for e in first]
    assert journal.read_bytes().count(b"\n") == 2


def test_a_journal_keeps_the_selections_as_they_are(tmp_path):
    question = next(iter(BANK))
    people = tuple(Opinion(p, f"{p * (1 + i)} thinks.") for i, p in enumerate("abcd"))
    rounds = [Round(name, "g", Question(question), people) for name in ("r1", "r2")]
    journal = tmp_path / "journal.jsonl"
    # A line of before selections were kept is done again.
    old = {"round_id": "r1", "candidates": [], "predictions": [], "n_sampled": 0}
    journal.write_text(json.dumps(old | {"seconds": 1.0, "failures": []}) + "\n", encoding="utf-8")
    speaker, plan = Speaker(), CollectionPlan(n_candidates=4)

    def write(one):
        if one.id == "r1":
            return collected(one, speaker, Table(), plan, 3)
        policies = {"sft_rawlsian": speaker, "sft_base": speaker}
        return compared(one, policies, Table(), n_candidates=4, seed=3)

    job = Writing(lambda: write)
    said = {"share": None, "on_progress": lambda *step: None}
    first = written(rounds, job, journal, **said)
    n_calls = speaker.n_calls
    assert n_calls == 3 + 2
    again = written(rounds, job, journal, **said)
    assert speaker.n_calls == n_calls
    assert again == first
    for draw, direct in zip(
        first[0].selections,
        collect(
            Question(question),
            people,
            policy=Speaker(),
            reward=Table(),
            plan=plan,
            seed=seed_of(3, "r1"),
        ).draws,
        strict=True,
    ):
        assert draw.candidates == direct.candidates
        assert draw.picks == direct.picks
        np.testing.assert_array_equal(draw.rewards, direct.rewards)
    by_rule, sample = first[1].selections
    assert (len(by_rule.candidates), len(sample.candidates)) == (4, 1)
    worst = 1 + 6 / (1 + np.exp(-by_rule.rewards.min(axis=0)))
    rows = first[1].candidates()
    assert [row["welfare"] for row in rows] == pytest.approx([*worst.tolist(), None])
    assert [row["shown"] for row in rows] == [
        *(index == int(np.argmax(worst)) for index in range(4)),
        True,
    ]
    assert rows[-1]["candidate_id"] == "sft_base-c01"
    cells = {(p["participant_id"], p["candidate_id"]): p for p in first[1].predictions()}
    assert len(cells) == 4 * 4
    assert cells["b", "sft_rawlsian-c03"]["reward"] == by_rule.rewards[1, 2]


def test_seeds_are_their_names_own():
    seeds = {seed_of(0, name) for name in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(1, "2") != seed_of(12)


def test_the_recipes_are_plans():
    recipes = Path(__file__).parents[2] / "recipes"
    for path in (recipes / "smoke.toml", recipes / "paper.toml"):
        made = read_config(path, IteratePlan)
        assert made.iterations == 2
        if made.people.kind == "latent":
            Loop(made)


def test_written_examples_are_trained_on_too_and_their_questions_are_known(tmp_path):
    path = resources.files("commonweal.policies") / "starter"
    file = Path(str(path)) / "part_a1.toml"
    asked = {each["question"] for each in tomllib.loads(file.read_text("utf-8"))["example"]}
    assert len(asked) > 5
    nothing = SimpleNamespace(datasets=(), examples=(file, tmp_path / "none.jsonl"))
    plan = SimpleNamespace(
        sft=SimpleNamespace(data=nothing), reward=SimpleNamespace(data=SimpleNamespace(datasets=()))
    )
    assert further_questions(plan) == asked
