"""The OpenVINO encoder against transformers on the same weights, and on awkward input."""

import numpy as np
import pytest

from commonweal.errors import WeightsError
from commonweal.models.encoder import WINDOW_TOKENS, SentenceEncoder

TEXTS = [
    "Should buses be free?",
    "",
    "a",
    "I am against it 🚌. " * 10,
    "Les trains devraient être gratuits ; 数据 مرحبا",
    "tab\tnewline\ncontrol\x07",
    "Nuclear power gives steady electricity when wind and sun do not. " * 15,
]


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return SentenceEncoder(encoder_folder)


@pytest.mark.train
def test_vectors_are_those_of_transformers(encoder, encoder_folder):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(encoder_folder / "tokenizer.json"), pad_token="[PAD]"
    )
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    reference = transformers.BertModel(config).eval()
    weights = pytest.importorskip("safetensors.torch").load_file(
        encoder_folder / "model.safetensors"
    )
    assert reference.load_state_dict(weights, strict=False).missing_keys == []
    batch = tokenizer(
        TEXTS, padding=True, truncation=True, max_length=WINDOW_TOKENS + 2, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = reference(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    assert np.abs(encoder.encode(TEXTS) - expected).max() < 1e-5


def test_vectors_have_unit_length_and_do_not_depend_on_the_batch(encoder):
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(together - alone).max() < 1e-5
    assert (together == encoder.encode(TEXTS)).all()


def test_equal_texts_are_embedded_once(encoder):
    done: list[int] = []
    vectors = encoder.encode(["yes", "no", "yes"], on_done=done.append)
    assert (vectors[0] == vectors[2]).all()
    assert done[-1] == 2


def test_no_texts_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, encoder.n_dimensions)


def test_no_part_of_a_long_text_is_cut(encoder):
    start, end = "Trains should be free. " * 60, "Cats are lovely animals. " * 60
    start_vector, end_vector, both = encoder.encode([start, end, start + end])
    assert both @ start_vector > 0.6
    assert both @ end_vector > 0.6


@pytest.mark.heavy
def test_an_update_changes_the_vectors_and_must_fit(encoder, encoder_folder):
    name = "encoder.layer.5.output.dense.weight"
    update = np.random.default_rng(0).normal(0, 0.05, (384, 1536)).astype(np.float32)
    changed = SentenceEncoder(encoder_folder, updates={name: update})
    assert np.abs(changed.encode(TEXTS) - encoder.encode(TEXTS)).max() > 1e-3
    nothing = SentenceEncoder(encoder_folder, updates={name: np.zeros_like(update)})
    assert (nothing.encode(TEXTS) == encoder.encode(TEXTS)).all()
    with pytest.raises(WeightsError, match="does not fit"):
        SentenceEncoder(encoder_folder, updates={name: update.T})
    with pytest.raises(WeightsError, match="does not fit"):
        SentenceEncoder(encoder_folder, updates={"no.such.weight": update})


def test_files_that_are_missing_or_broken_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no model\.safetensors in"):
        SentenceEncoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="pull the weights again"):
        SentenceEncoder(tmp_path)
