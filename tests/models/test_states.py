"""States of a layer, against transformers on the same file; probes as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commonweal.errors import EngineError, InputError, WeightsError
from commonweal.models.embedded_engine import EmbeddedModel
from commonweal.models.gguf_lora import LoraPair
from commonweal.models.probe import Probe
from commonweal.types import Message, Prompt, Sampling

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

BUSES: Prompt = (
    Message("system", "You read."),
    Message("user", "Should buses be free? Fares eat."),
)
SEA: Prompt = (Message("system", "You read."), Message("user", "The sea?"))
TEXTS = ("We would make them free.", "We would not, as somebody has to pay for each ride.", "No.")
LAYER = 12


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float((a @ b) / np.linalg.norm(a) / np.linalg.norm(b))


def drawn_updates() -> dict[str, LoraPair]:
    """Of two matrices before the layer, large enough to tell."""
    rng = np.random.default_rng(2)
    shapes = {"blk.3.attn_q.weight": (576, 576), f"blk.{LAYER}.ffn_down.weight": (576, 1536)}
    return {
        name: LoraPair(
            rng.normal(0, 0.2, (n_out, 4)).astype(np.float32),
            rng.normal(0, 0.3, (4, n_in)).astype(np.float32),
        )
        for name, (n_out, n_in) in shapes.items()
    }


@pytest.mark.train
def test_states_are_those_of_transformers(
    embedded_model: EmbeddedModel, smollm2_gguf: Path
) -> None:
    torch: Any = pytest.importorskip("torch", reason="needs the extra 'train'")
    transformers: Any = pytest.importorskip("transformers", reason="needs the extra 'train'")
    place = {
        "pretrained_model_name_or_path": str(smollm2_gguf.parent),
        "gguf_file": smollm2_gguf.name,
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
    model = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()
    before = tokenizer.apply_chat_template(
        [message._asdict() for message in BUSES], add_generation_prompt=True, tokenize=False
    )
    n_before = len(tokenizer(before, add_special_tokens=False)["input_ids"])
    prompts = [BUSES] * len(TEXTS)
    found = embedded_model.mean_states(prompts, TEXTS, layer=LAYER)

    def means(layer: int) -> list[np.ndarray]:
        states = []
        for text in TEXTS:
            ids = tokenizer(before + text, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                got = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
            # What stands before the first layer is the first of them.
            states.append(got[layer + 1][0, n_before:].mean(dim=0).numpy())
        return states

    right = means(LAYER)
    for own, this, other in zip(found, right, means(LAYER - 1), strict=True):
        assert likeness(own, this) > 0.995
        assert np.linalg.norm(own - this) < np.linalg.norm(own - other)
    for name, pair in drawn_updates().items():
        updated = embedded_model.mean_states(prompts, TEXTS, layer=LAYER, updates={name: pair})
        layer = model.model.layers[int(name.split(".")[1])]
        matrix = layer.self_attn.q_proj if "attn_q" in name else layer.mlp.down_proj
        added = torch.from_numpy(pair.up @ pair.down)
        matrix.weight.data += added
        for own, plain, this, other in zip(updated, found, means(LAYER), right, strict=True):
            assert likeness(own - plain, this - other) > 0.95, name
        matrix.weight.data -= added


def test_what_texts_share_changes_nothing_but_rounding(embedded_model: EmbeddedModel) -> None:
    prompts = [prompt for prompt in (BUSES, SEA) for _ in TEXTS]
    together = embedded_model.mean_states(prompts, TEXTS * 2, layer=LAYER)
    assert together.shape[0] == 6
    for prompt, text, found in zip(prompts, TEXTS * 2, together, strict=True):
        [alone] = embedded_model.mean_states([prompt], [text], layer=LAYER)
        assert likeness(alone, found) > 0.995
    # Another prompt is another state, and so is another text.
    assert likeness(together[0], together[3]) < 0.99
    assert likeness(together[0], together[1]) < 0.99


def test_a_model_that_was_read_writes_as_before(embedded_model: EmbeddedModel) -> None:
    sampling = Sampling(max_tokens=4, temperature=0)
    before = embedded_model.generate([BUSES], seeds=[1], sampling=sampling)
    embedded_model.mean_states([BUSES], ["Yes."], layer=3)
    assert embedded_model.generate([BUSES], seeds=[1], sampling=sampling) == before


def test_updates_last_for_one_call(embedded_model: EmbeddedModel) -> None:
    before = embedded_model.mean_states([BUSES], ["Yes."], layer=LAYER)
    updated = embedded_model.mean_states([BUSES], ["Yes."], layer=LAYER, updates=drawn_updates())
    after = embedded_model.mean_states([BUSES], ["Yes."], layer=LAYER)
    assert np.abs(before - updated).max() > 0.1
    np.testing.assert_array_equal(before, after)


def test_what_cannot_be_read_is_refused(embedded_model: EmbeddedModel) -> None:
    with pytest.raises(InputError, match=r"mean_states: got 2 prompts, 1 cont.*as many of each"):
        embedded_model.mean_states([BUSES, SEA], ["Yes."], layer=LAYER)
    with pytest.raises(InputError, match="continuation 2 is empty"):
        embedded_model.mean_states([BUSES, SEA], ["Yes.", ""], layer=LAYER)
    with pytest.raises(EngineError, match="has no layer 30"):
        embedded_model.mean_states([BUSES], ["Yes."], layer=30)
    above = {"blk.20.attn_q.weight": drawn_updates()["blk.3.attn_q.weight"]}
    with pytest.raises(EngineError, match=r"has no matrix blk\.20\.attn_q\.weight of 576 by 576"):
        embedded_model.mean_states([BUSES], ["Yes."], layer=LAYER, updates=above)


# ----------------------------------------------------------------------------------- probes


class Numbers:
    """States are the numbers of letters and of words."""

    weights_hash = "abc"

    def count_tokens(self, text):
        return len(text.split())

    def mean_states(self, prompts, continuations, *, layer, updates=None):
        assert len(prompts) == len(continuations)
        self.updates = updates
        return np.array([[len(text), len(text.split()) * layer] for text in continuations], float)


def made(path: Path, **changes: Any) -> Path:
    metadata = {"weights_sha256": "abc", "layer": 2, "prompt_hash": "h"} | changes
    directions = np.array([[1.0, 0.5], [0.0, -0.25]])
    Probe(directions, metadata, {"more": np.array([1.5])}).save(path)
    return path


def test_a_probe_is_states_times_directions(tmp_path: Path) -> None:
    probe = Probe.load(made(tmp_path / "p.npz"), prompt_hash="h", recipe="the recipe")
    found = probe.values(Numbers(), [(), ()], ["one two", "three"])
    assert found.tolist() == [[7.0, 7 / 2 - 0.25 * 4], [5.0, 5 / 2 - 0.25 * 2]]
    assert probe.arrays["more"].tolist() == [1.5]
    assert probe.fits(Numbers())
    assert not Probe.load(
        made(tmp_path / "q.npz", weights_sha256="other"), prompt_hash="h", recipe=""
    ).fits(Numbers())
    assert not probe.fits(object())


def test_updates_are_kept_to_half_a_step_and_read_with(tmp_path: Path) -> None:
    updates = drawn_updates()
    before = Probe(
        np.ones((2, 1)),
        Probe.load(made(tmp_path / "p.npz"), prompt_hash="h", recipe="").metadata,
        {},
        updates,
    )
    before.save(tmp_path / "q.npz")
    probe = Probe.load(tmp_path / "q.npz", prompt_hash="h", recipe="")
    assert list(probe.updates) == list(updates)
    for name, pair in updates.items():
        for half, kept in (
            (pair.up.T, probe.updates[name].up.T),
            (pair.down, probe.updates[name].down),
        ):
            step = np.abs(half).max(axis=1, keepdims=True) / 127
            assert (np.abs(half - kept) <= step * 0.5001).all()
    model = Numbers()
    for _ in range(2):
        probe.values(model, [()], ["one"])
        assert model.updates is probe.updates  # the same each time: an engine knows what it loaded
    Probe.load(made(tmp_path / "r.npz"), prompt_hash="h", recipe="").values(model, [()], ["one"])
    assert model.updates is None


def test_what_is_no_probe_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = made(tmp_path / "p.npz")
    cases = {
        "another prompt": (path, "g"),
        "no probe at .*none.npz: expected the file that comes with": (tmp_path / "none.npz", "h"),
    }
    half = tmp_path / "half.npz"
    half.write_bytes(path.read_bytes()[:-200])
    cases["not readable|zip"] = (half, "h")
    nan = tmp_path / "nan.npz"
    Probe(np.array([[np.nan]]), {"prompt_hash": "h", "weights_sha256": "", "layer": 1}, {}).save(
        nan
    )
    cases["directions holds numbers that are not finite"] = (nan, "h")
    later = tmp_path / "later.npz"
    with np.load(path) as file:
        np.savez(later, **{name: file[name] for name in file.files} | {"schema_version": 9})
    cases["not a readable probe of schema 1 .it has schema 9"] = (later, "h")
    lacking = tmp_path / "lacking.npz"
    Probe(np.ones((2, 1)), {"prompt_hash": "h"}, {}).save(lacking)
    cases["layer, weights_sha256"] = (lacking, "h")
    for message, (file, prompt_hash) in cases.items():
        with pytest.raises(WeightsError, match=message) as error:
            Probe.load(file, prompt_hash=prompt_hash, recipe="recipes/x.py")
        assert "install commonweal again, or make it with recipes/x.py" in str(error.value)
