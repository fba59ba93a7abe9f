"""The reader's graph against transformers, and what its weights file promises."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.errors import WeightsError
from commonweal.files import sha256_of
from commonweal.rewards.calibration import LogisticCalibration
from commonweal.rewards.reader import (
    BACKBONE_FILES,
    MAX_GROUP_TOKENS,
    MAX_OPINION_TOKENS,
    PRODUCT_SCALE,
    Reader,
    ReaderWeights,
    opinions_as_one,
)
from commonweal.types import RewardInput

INPUTS = [
    RewardInput("Should buses be free?", "I can't drive. Yes.", "Buses should be free."),
    RewardInput("Should buses be free?", "no", "Buses should not be free, unless you are old."),
    RewardInput("Bus?", "Wer zahlt das? " * 60, "Niemand. " * 90),
    RewardInput("Should buses be free?", "", "[SEP] Bus [CLS]"),
]


@pytest.fixture(scope="module")
def weights(encoder_folder) -> ReaderWeights:
    """Weights drawn at random: what is tested is the arithmetic and not what was learned."""
    rng = np.random.default_rng(5)

    def drawn(*shape: int, scale: float = 0.05) -> np.ndarray:
        return rng.normal(0, scale, shape).astype(np.float32)

    return ReaderWeights(
        updates={
            "encoder.layer.0.attention.self.query.weight": drawn(384, 384, scale=0.01),
            "encoder.layer.3.intermediate.dense.weight": (drawn(1536, 8), drawn(8, 384)),
            "encoder.layer.5.output.dense.bias": drawn(384),
            "embeddings.token_type_embeddings.weight": drawn(2, 384),
        },
        head={
            "hidden.weight": drawn(128, 4 * 384),
            "hidden.bias": drawn(128),
            "out.weight": drawn(2, 128),
            "out.bias": drawn(2),
        },
        calibration=LogisticCalibration(1.5, 0.2, "nothing"),
        quality_calibration=LogisticCalibration(2.0, 0.0, "nothing"),
        interval=np.array([[2.0, 0.5, 1.5], [6.0, 2.0, 0.5]]),
        metadata={"backbone_sha256": {n: sha256_of(encoder_folder / n) for n in BACKBONE_FILES}},
    )


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "reader.npz"
    weights.save(path)
    return path


@pytest.fixture(scope="module")
def reader(encoder_folder, path):
    return Reader(encoder_folder, weights_path=path)


@pytest.mark.train
def test_outputs_are_those_of_transformers(reader, path, encoder_folder):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(encoder_folder / "tokenizer.json")
    )
    stored = ReaderWeights.load(path)
    tensors = pytest.importorskip("safetensors.torch").load_file(
        encoder_folder / "model.safetensors"
    )
    for name, update in stored.updates.items():
        added = update[0] @ update[1] if isinstance(update, tuple) else update
        tensors[name] = tensors[name] + torch.from_numpy(added)
    network = transformers.BertModel(
        transformers.BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        )
    ).eval()
    assert network.load_state_dict(tensors, strict=False).missing_keys == []
    head = {name: torch.from_numpy(values) for name, values in stored.head.items()}
    readings = [
        (INPUTS[0].question, (INPUTS[0].opinion,), INPUTS[0].statement),
        ("Bus?", ("Wer zahlt das?", "", "Nobody should pay."), "Niemand."),
    ]
    for reading, ours in zip(readings, reader._read(readings, None), strict=True):
        question, statement = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in reading[::2]
        )
        opinion = tokenizer(reading[1][0], add_special_tokens=False)["input_ids"]
        for text in reading[1][1:]:
            opinion += [102, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        first = [101, *question, 102, *opinion, 102]
        ids = torch.tensor([[*first, *statement, 102]])
        kinds = torch.tensor([[0] * len(first) + [1] * (len(statement) + 1)])
        with torch.no_grad():
            states = network(ids, token_type_ids=kinds).last_hidden_state[0]
        o = states[len(question) + 2 : len(first) - 1].mean(0)
        s = states[len(first) : -1].mean(0)
        pooled = torch.cat([states[0], o, s, o * s * PRODUCT_SCALE])
        hidden = torch.tanh(head["hidden.weight"] @ pooled + head["hidden.bias"])
        theirs = head["out.weight"] @ hidden + head["out.bias"]
        assert ours == pytest.approx(theirs.numpy(), abs=2e-4)


def test_rewards_do_not_depend_on_the_batch(reader):
    together = reader.rewards(INPUTS * 3)
    alone = [reader.rewards([given])[0] for given in INPUTS]
    assert together == pytest.approx(alone * 3, abs=1e-4)
    assert reader.rewards([]).shape == (0,)


def test_marks_of_the_tokenizer_in_a_text_are_only_text(reader):
    marked, plain = (
        RewardInput("Q?", "yes", statement) for statement in ("[SEP] Bus [CLS]", "SEP Bus CLS")
    )
    assert reader.rewards([marked]) == pytest.approx(reader.rewards([plain]))


@pytest.mark.slow
def test_many_threads_get_what_one_gets(reader):
    inputs = [given._replace(opinion=f"{given.opinion} {i}") for i in range(6) for given in INPUTS]
    expected = reader.rewards(inputs)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(reader.rewards(inputs))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(np.array_equal(one, expected) for one in found)


def test_ranges_widen_by_what_was_measured_and_stay_on_the_scale(reader):
    low, high = reader.ranges(np.array([[2.0, 4.0], [6.0, 6.9]]))
    assert low == pytest.approx(np.array([[1.5, 2.75], [4.0, 4.9]]))
    assert high == pytest.approx(np.array([[3.5, 5.0], [6.5, 7.0]]))


def test_qualities_are_on_the_scale_and_one_a_statement(reader):
    found = reader.qualities("Free buses?", ["yes", "no"], ["We agree.", "Bus bus.", "No."])
    assert found.shape == (3,)
    assert ((found > 1) & (found < 7)).all()


def test_a_statement_is_judged_beside_all_opinions_in_parts_of_eight(reader):
    opinions = [f"No. {n}, buses cost too much." for n in range(20)]
    statements = ["We agree.", "No buses."]
    parts = [opinions[start::3] for start in range(3)]
    apart = [
        reader._read([("Free buses?", tuple(part), each) for each in statements], None)[:, 1]
        for part in parts
    ]
    expected = LogisticCalibration(2.0, 0.0, "").expected_rating(np.mean(apart, axis=0))
    assert reader.qualities("Free buses?", opinions, statements) == pytest.approx(
        expected, abs=1e-4
    )


@given(st.lists(st.lists(st.integers(1000, 9000), max_size=300), max_size=9))
def test_opinions_read_together_lose_the_ends_of_the_longest(opinions):
    joined = opinions_as_one(opinions, 102)
    if len(opinions) == 1:
        assert joined == opinions[0][:MAX_OPINION_TOKENS]
        return
    kept = "".join(map(chr, joined)).split(chr(102)) if opinions else []
    assert [list(map(ord, each)) for each in kept] == [
        each[: len(mine)] for each, mine in zip(opinions, kept, strict=True)
    ]
    assert sum(map(len, kept)) <= MAX_GROUP_TOKENS
    longest = max(map(len, kept), default=0)
    for each, mine in zip(opinions, kept, strict=True):
        assert len(mine) == min(len(each), longest)
    # No more was cut than had to be.
    if kept and longest < max(map(len, opinions)):
        assert sum(min(len(each), longest + 1) for each in opinions) > MAX_GROUP_TOKENS


def test_updates_come_back_to_within_their_step(weights, path):
    stored = ReaderWeights.load(path)
    assert set(stored.updates) == set(weights.updates)
    for name, update in weights.updates.items():
        given, found = (
            each if isinstance(each, tuple) else (each,) for each in (update, stored.updates[name])
        )
        for one, other in zip(given, found, strict=True):
            step = np.abs(one).max(axis=-1, keepdims=True) / 127
            assert (np.abs(one - other) <= step / 2 + 1e-7).all()
    assert stored.calibration == weights.calibration


def test_a_damaged_file_and_another_backbone_are_named(weights, path, encoder_folder, tmp_path):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="not a readable reader"):
        Reader(encoder_folder, weights_path=cut)
    with pytest.raises(WeightsError, match="no reader at"):
        Reader(encoder_folder, weights_path=tmp_path / "none.npz")
    other = tmp_path / "other.npz"
    metadata = {"backbone_sha256": dict.fromkeys(BACKBONE_FILES, "0" * 64)}
    replace(weights, metadata=metadata).save(other)
    with pytest.raises(WeightsError, match="was fitted"):
        Reader(encoder_folder, weights_path=other)
