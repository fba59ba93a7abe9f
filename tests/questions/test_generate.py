"""Generation: what is kept, what is counted, and that a run broken off ends in the same set."""

import json
from itertools import islice, takewhile

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from question_making import WordEncoder, make_records

from commonweal.datasets.words import normal_form
from commonweal.errors import EngineError, InputError
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.scripted import ScriptedModel
from commonweal.questions.generate import GenerationConfig, generate_questions
from commonweal.questions.journal import Journal, ModelCall
from commonweal.questions.seeds import load_seeds
from commonweal.questions.similar import SimilarityIndex, near_pairs, nearest_across
from commonweal.types import Completion, Sampling

NOUNS = [
    "apples",
    "boats",
    "candles",
    "doors",
    "eggs",
    "flutes",
    "gloves",
    "houses",
    "inns",
    "jars",
    "kites",
    "locks",
]
VERBS = [
    "tax",
    "ban",
    "fund",
    "paint",
    "rent",
    "sell",
    "weigh",
    "count",
    "lend",
    "store",
    "hide",
    "carry",
]
SCRIPT = [f"Should we {verb} {noun}?" for verb in VERBS for noun in NOUNS]


def run(journal_path, script, seeds, encoder, **config):
    model = ScriptedModel(script)
    journal = Journal(model, journal_path)
    config = GenerationConfig(**{"n_target": 20, "n_batch": 4, "near_duplicate": 0.995} | config)
    return generate_questions(seeds, journal, encoder.encode, config=config), journal


def test_each_reason_is_counted_once(seed_records, word_encoder):
    script = [
        "Should we tax apples?",
        "should we TAX apples",  # not a question
        "should we TAX apples?",  # exact duplicate
        "Should apples we tax?",  # the same vector from the fake encoder
        seed_records[3].question,
        "",
        "How do we tax boats?",
        "Should we ban boats?",
    ]
    result, _ = run(None, script, seed_records, word_encoder, n_target=2)
    assert [r.question for r in result.records] == ["Should we tax apples?", "Should we ban boats?"]
    assert [r.position_statement for r in result.records] == [
        "We should tax apples.",
        "We should ban boats.",
    ]
    assert result.reasons == {
        "not a question": 1,
        "exact duplicate": 1,
        "near-duplicate": 1,
        "copy of a seed": 1,
        "empty": 1,
        "not a yes-or-no question": 1,
    }
    assert (result.n_drawn, result.stopped) == (8, "target")
    assert "'Should we tax apples?'" in result.rejected[2].detail


def test_ten_different_seeds_in_each_prompt(seed_records, word_encoder):
    model = ScriptedModel(SCRIPT)
    config = GenerationConfig(n_target=8, n_batch=4, near_duplicate=1.01)
    generate_questions(seed_records, Journal(model, None), word_encoder.encode, config=config)
    assert len(model.prompts) == 8
    known = {seed.question for seed in seed_records}
    shown = [[m.content for m in prompt if m.role == "assistant"] for prompt in model.prompts]
    assert all(len(set(each)) == 10 and set(each) <= known for each in shown)
    assert len({tuple(each) for each in shown}) == 8


def test_a_model_that_repeats_itself_stops_the_run(seed_records, word_encoder):
    script = SCRIPT[:5] + ["Should we tax apples?"] * 95
    result, _ = run(
        None, script, seed_records, word_encoder, n_window=40, min_new_share=0.05, n_target=50
    )
    assert result.stopped == "exhausted"
    assert [r.question for r in result.records] == SCRIPT[:5]
    # Watched after each batch of 4: fewer than 2 new of the last 40.
    assert result.n_drawn == 44
    assert result.reasons == {"exact duplicate": 39}


def test_a_run_broken_off_anywhere_ends_in_the_same_set(tmp_path, seed_records, word_encoder):
    whole, _ = run(None, SCRIPT, seed_records, word_encoder)
    for n_before in (0, 3, 4, 13, 19):
        path = tmp_path / f"{n_before}.jsonl"
        with pytest.raises(EngineError, match="exhausted"):
            run(path, SCRIPT[:n_before], seed_records, word_encoder)
        with path.open("ab") as file:
            file.write(b'{"call": "cut sho')  # the power went while a line was being written
        n_kept = n_before - n_before % 4
        again, journal = run(path, SCRIPT[n_kept:], seed_records, word_encoder)
        assert again == whole
        assert (journal.n_remembered, journal.n_asked) == (n_kept, 20 - n_kept)
        # A larger target goes on from there.
        more, journal = run(path, SCRIPT[20:], seed_records, word_encoder, n_target=30)
        assert more.records[:20] == whole.records
        assert journal.n_remembered == 20


class Unordered:
    """Asks a model for several calls ahead, and gives the last answers first."""

    def __init__(self, model, n_ahead, breaks_after=None):
        self.model, self.n_ahead, self.n_left = model, n_ahead, breaks_after
        self.n_asked = 0

    def __call__(self, calls):
        calls = iter(calls)
        while ahead := list(takewhile(bool, islice(calls, self.n_ahead))):
            for key, call in reversed(ahead):
                if self.n_left == self.n_asked:
                    raise EngineError("a worker is gone")
                self.n_asked += 1
                said = self.model.generate(call.prompts, seeds=call.seeds, sampling=call.sampling)
                yield key, [completions[0] for completions in said]


class Held:
    """Asks a model for several calls at once; the first call takes as long as there are others."""

    def __init__(self, model, n_at_once):
        self.model, self.n_at_once = model, n_at_once
        self.n_asked = self.n_before_first = self.n_most = 0

    def __call__(self, calls):
        calls, running = iter(calls), []
        while True:
            for each in takewhile(bool, islice(calls, self.n_at_once - len(running))):
                running.append(each)
                self.n_asked += 1
                assert self.n_asked < 200, "asked without bound"
            self.n_most = max(self.n_most, len(running))
            if not running:
                return
            key, call = running.pop(1 if self.n_before_first == 0 and len(running) > 1 else 0)
            if not running and self.n_before_first == 0:
                self.n_before_first = self.n_asked
            said = self.model.generate(call.prompts, seeds=call.seeds, sampling=call.sampling)
            yield key, [completions[0] for completions in said]


class Drawing(ScriptedModel):
    """A language model whose texts follow from the seeds alone."""

    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        return [[Completion(SCRIPT[seed % len(SCRIPT)], "stop", seed)] for seed in seeds]


def test_calls_that_are_answered_out_of_turn_come_to_the_same_set(
    tmp_path, seed_records, word_encoder
):
    config = GenerationConfig(n_target=40, n_batch=4, near_duplicate=1.01)

    def go(journal):
        return generate_questions(seed_records, journal, word_encoder.encode, config=config)

    model = Drawing([])
    whole = go(Journal(model, None))
    n_calls = -(-whole.n_drawn // 4)
    for n_ahead in (1, 3, 50):
        share = Unordered(model, n_ahead)
        assert go(Journal(model, None, ask_all=share)) == whole
        assert share.n_asked <= n_calls + n_ahead
    path = tmp_path / "j.jsonl"
    with pytest.raises(EngineError, match="a worker is gone"):
        go(Journal(model, path, ask_all=Unordered(model, 3, breaks_after=5)))
    share = Unordered(model, 2)
    again = Journal(model, path, ask_all=share)
    assert go(again) == whole  # what was answered is not asked again, in turn or not
    assert share.n_asked <= n_calls - 5 + 2
    assert again.n_remembered == 5 * 4
    done = Journal(model, path, ask_all=Unordered(model, 2, breaks_after=0))
    assert go(done) == whole
    assert go(Journal(model, path)) == whole


@pytest.mark.parametrize("n_at_once", [1, 2, 8])
def test_a_call_that_takes_long_is_not_run_away_from(seed_records, word_encoder, n_at_once):
    config = GenerationConfig(n_target=120, n_batch=2, near_duplicate=1.01)
    model = Drawing([])

    def go(journal):
        return generate_questions(seed_records, journal, word_encoder.encode, config=config)

    whole = go(Journal(model, None))
    share = Held(model, n_at_once)
    assert go(Journal(model, None, ask_all=share)) == whole
    assert share.n_before_first <= 2 * n_at_once
    assert share.n_most == n_at_once  # and nobody was idle before


def test_no_more_is_asked_ahead_than_the_target_still_needs(seed_records, word_encoder):
    config = GenerationConfig(n_target=8, n_batch=4, near_duplicate=1.01)
    share = Held(ScriptedModel(SCRIPT), 50)
    journal = Journal(share.model, None, ask_all=share)
    generate_questions(seed_records, journal, word_encoder.encode, config=config)
    assert share.n_asked == 2


@pytest.mark.slow
def test_the_embedded_model_resumed_writes_the_same_set(tmp_path, smollm2_gguf, sentence_encoder):
    seeds = load_seeds("uk")
    config = GenerationConfig(n_target=4, n_batch=2, seed=5)

    def go(name, n_calls):
        # Loaded anew, as by a new process: what an engine has cached changes its last digits.
        model = EmbeddedModel.from_spec("small")
        generate, calls = model.generate, []

        def broken(*args, **kwargs):
            calls.append(args)
            if len(calls) > n_calls:
                raise KeyboardInterrupt
            return generate(*args, **kwargs)

        model.generate = broken
        journal = Journal(model, tmp_path / name)
        result = generate_questions(seeds, journal, sentence_encoder.encode, config=config)
        return result, journal

    whole, _ = go("whole.jsonl", 99)
    with pytest.raises(KeyboardInterrupt):
        go("resumed.jsonl", 1)
    resumed, journal = go("resumed.jsonl", 99)
    assert resumed == whole
    assert len(whole.records) == 4
    assert journal.n_remembered == 2
    lines = [(tmp_path / f"{name}.jsonl").read_text() for name in ("whole", "resumed")]
    assert lines[0] == lines[1]


def test_a_journal_belongs_to_one_model_and_one_run(tmp_path):
    path = tmp_path / "j.jsonl"
    first, second = Journal(ScriptedModel(["a"]), path), Journal(ScriptedModel(["b"]), path)
    (answer,) = first.answers([ModelCall([()], [1], Sampling())])
    assert answer[0].text == "a"
    with pytest.raises(InputError, match="another run writing"):
        next(second.answers([ModelCall([()], [2], Sampling())]))
    other = ScriptedModel([])
    other.model_id = "other"
    with pytest.raises(InputError, match="is the journal of scripted"):
        Journal(other, path)
    path.write_text(path.read_text() + "nonsense\n")
    with pytest.raises(InputError, match="line 3: not a line of a question journal"):
        Journal(ScriptedModel([]), path)
    with pytest.raises(InputError, match="cannot"):
        Journal(ScriptedModel([]), tmp_path / "none" / "j.jsonl")


@pytest.mark.parametrize(
    "text", ["my notes", "my notes\nand more", '{"a": 1}\n{"b"', "[" * 100_000]
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "j.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="line 1: not a line of a question journal"):
        Journal(ScriptedModel([]), path)
    assert path.read_text() == text


@pytest.mark.parametrize("n_left", [1, 30, -1])
def test_a_journal_whose_first_line_was_cut_short_begins_anew(tmp_path, n_left):
    path = tmp_path / "j.jsonl"
    Journal(ScriptedModel([]), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:n_left])
    Journal(ScriptedModel([]), path)
    assert path.read_bytes() == whole


def test_too_few_seeds_and_bad_settings(seed_records, word_encoder):
    with pytest.raises(InputError, match="got 9 seed questions, expected at least 10"):
        run(None, [], seed_records[:9], word_encoder)
    for setting in ({"n_target": 0}, {"n_batch": 0}, {"near_duplicate": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=next(iter(setting))):
            GenerationConfig(**setting)


def test_the_position_is_asked_of_the_model_where_the_rule_has_none(seed_records, word_encoder):
    script = [
        "Are wind farms a good thing?",
        "Are large dogs a bad thing?",
        "Wind farms are a good thing.",
        "Large dogs are not a bad thing.",
    ]
    result, _ = run(None, script, seed_records, word_encoder, n_target=2, n_batch=2)
    assert [r.position_statement for r in result.records] == ["Wind farms are a good thing.", ""]
    assert (result.positions.n_by_model, result.positions.n_by_rule) == (1, 0)
    assert "denies" in result.positions.missing["Are large dogs a bad thing?"]


# ------------------------------------------------------------------- against brute force


@given(
    picks=st.lists(st.integers(0, len(SCRIPT) - 1), min_size=1, max_size=40),
    threshold=st.sampled_from([0.6, 0.8, 0.95]),
)
def test_dedupe_is_that_of_brute_force(picks, threshold):
    encoder = WordEncoder()
    seeds = make_records(*(f"Should the town pay for {noun}?" for noun in NOUNS))
    script = [SCRIPT[i] for i in picks]
    kept = [seed.question for seed in seeds]
    for text in script:
        cosines = encoder.encode(kept).astype(float) @ encoder.encode([text])[0]
        if normal_form(text) not in map(normal_form, kept) and max(cosines) < threshold:
            kept.append(text)
    assume(len(kept) > len(seeds))
    n = len(kept) - len(seeds)
    result, _ = run(None, script, seeds, encoder, n_target=n, n_batch=1, near_duplicate=threshold)
    assert [r.question for r in result.records] == kept[len(seeds) :]


def unit(rng, n):
    vectors = rng.normal(size=(n, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(n=st.integers(1, 30), seed=st.integers(0, 99))
def test_pairs_and_neighbours_are_those_of_brute_force(n, seed):
    vectors = unit(np.random.default_rng(seed), n)
    cosines = vectors.astype(float) @ vectors.T.astype(float)
    pairs = near_pairs(vectors, 0.5)
    assert {(p.first, p.second) for p in pairs} == {
        (i, j) for i in range(n) for j in range(i + 1, n) if cosines[i, j] >= 0.5
    }
    assert [p.cosine for p in pairs] == sorted((p.cosine for p in pairs), reverse=True)
    ours, theirs = vectors[: n // 2], vectors[n // 2 :]
    across = nearest_across(ours, theirs)
    assert len(across) == n // 2
    for pair in across:
        assert pair.cosine == pytest.approx(cosines[pair.first, n // 2 :].max(), abs=1e-5)
    index = SimilarityIndex(6)
    for vector in theirs:
        index.add(vector)
    for row, neighbour in enumerate(index.nearest(ours)):
        assert neighbour.cosine == pytest.approx(cosines[row, n // 2 :].max(), abs=1e-5)


def test_the_index_grows_beyond_its_first_size():
    vectors = unit(np.random.default_rng(0), 600)
    index = SimilarityIndex(6)
    for vector in vectors:
        index.add(vector)
    assert [n.row for n in index.nearest(vectors)] == list(range(600))


def test_the_journal_is_lines_of_json(tmp_path, seed_records, word_encoder):
    path = tmp_path / "j.jsonl"
    run(path, SCRIPT, seed_records, word_encoder)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "schema": "commonweal/question-journal/1",
        "model": "scripted",
        "weights_hash": None,
    }
    assert [len(line["completions"]) for line in lines[1:]] == [4] * 5
