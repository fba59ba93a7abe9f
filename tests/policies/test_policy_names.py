"""Names of policies, the default one, and the policy that comes with commonweal."""

from __future__ import annotations

import json
import math
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal import agreement, registry
from commonweal.agreement import find_agreement
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import default_policy, load_policy, read_policy_name
from commonweal.policies.folder import read_policy_folder, shipped_policy
from commonweal.policies.templates import load_template
from commonweal.rewards import ScriptedRewardModel
from commonweal.types import Opinion, Question

OPINIONS = ["I want buses to be free.", "Somebody has to pay for them."]


RULES = {
    "base": (None, None, True),
    "utilitarian": ("utilitarian", 0.0, False),
    "bernoulli_nash": ("bernoulli_nash", 1.0, False),
    "nash": ("bernoulli_nash", 1.0, False),
    "rawlsian": ("rawlsian", math.inf, False),
    "egalitarian": ("rawlsian", math.inf, False),
    "maximin": ("rawlsian", math.inf, False),
    "alpha_1": ("bernoulli_nash", 1.0, False),
    "alpha_0.1": ("alpha_0.1", 0.1, False),
    "isoelastic:0.1": ("alpha_0.1", 0.1, False),
}
"""What follows a writer: the one name of the rule, its alpha, and whether it is one sample."""


@pytest.mark.parametrize("writer", registry.names(registry.POLICIES))
@pytest.mark.parametrize("rule", RULES)
def test_every_writer_goes_with_every_rule_under_one_name(writer, rule):
    name, alpha, is_base = RULES[rule]
    named = read_policy_name(f"{writer}_{rule}")
    assert (named.writer, named.alpha, named.is_base) == (writer, alpha, is_base)
    assert named.name == f"{writer}_{name or 'base'}"
    assert read_policy_name(named.name) == named
    assert (read_policy_name(writer).rule, read_policy_name(writer).name) == (None, writer)


@given(st.floats(min_value=0, allow_nan=False))
def test_any_alpha_can_be_named(alpha):
    named = read_policy_name(f"sft_alpha_{alpha!r}")
    assert named.alpha == alpha
    assert read_policy_name(named.name) == named


@pytest.mark.parametrize("name", ["", "sft_", "sft_best", "sftbase", "best"])
def test_what_is_no_name_is_refused_with_the_names(name):
    with pytest.raises(InputError, match=r"zero_shot.*_rawlsian.*folder"):
        read_policy_name(name)


@pytest.mark.parametrize("alpha", ["-1", "nan", "much", ""])
def test_an_alpha_below_zero_is_refused(alpha):
    with pytest.raises(InputError, match=rf"alpha is '{alpha}', expected a number from 0"):
        read_policy_name(f"sft_alpha_{alpha}")


def test_a_path_is_a_folder():
    assert read_policy_name("./sft").writer == "./sft"
    assert read_policy_name("runs/a/policy").writer == "runs/a/policy"
    with pytest.raises(InputError, match=r"no policy in runs/a/policy.*commonweal train sft"):
        load_policy("runs/a/policy")


def test_the_default_goes_with_the_model():
    assert default_policy() == default_policy("embedded") == "few_shot"
    assert default_policy("openai:http://localhost:1#m") == "zero_shot"
    assert default_policy("embedded:small") == "sft"
    assert default_policy("embedded:0.5b") == "few_shot"


def statement(index: int) -> str:
    """Statements far enough from each other to be different candidates."""
    words = np.random.default_rng(index).permutation(
        ["fares", "drivers", "routes", "evening", "villages", "taxes", "pensioners", "students"]
    )
    return f"We would settle {' and '.join(words)} together before anything else is done."


@pytest.fixture
def agree(monkeypatch):
    """The main job with a scripted model behind any policy's name."""

    def done(policy, n_completions=16, **options):
        loaded = partial(
            load_policy, model=ScriptedModel([statement(i) for i in range(n_completions)])
        )
        monkeypatch.setattr(agreement, "load_policy", lambda name, *_, **__: loaded(name))
        reward = ScriptedRewardModel([float(n % 7) for n in range(2 * n_completions)])
        return find_agreement("Free buses?", OPINIONS, policy=policy, reward=reward, **options)

    return done


def test_base_is_one_sample_and_nothing_is_picked(agree):
    found = agree("sft_base", 1)
    assert len(found.candidates) == 1
    assert found.provenance["policy"] == "sft_base"
    assert found.candidates[0].policy == "sft"


@pytest.mark.parametrize(
    ("name", "alpha"),
    [("sft_utilitarian", 0.0), ("few_shot_nash", 1.0), ("sft_rawlsian", math.inf)],
)
def test_a_rule_says_alpha_and_sixteen(agree, name, alpha):
    found = agree(name)
    assert (found.alpha, len(found.candidates)) == (alpha, 16)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("sft_base", {"n_candidates": 16}, "is one sample, and 16 candidates"),
        ("sft_rawlsian", {"welfare": "utilitarian"}, "give one of the two"),
        ("sft_rawlsian", {"alpha": 2.0}, "and alpha 2 was asked for"),
    ],
)
def test_a_name_and_an_option_that_say_different_things(agree, name, options, expected):
    with pytest.raises(InputError, match=expected):
        agree(name, **options)


def test_a_name_and_an_option_that_say_the_same(agree):
    assert agree("sft_rawlsian", welfare="rawlsian").alpha == math.inf


# -------------------------------------------------------------------- what comes with commonweal


def test_the_shipped_policy_is_small_and_prompted_by_its_template():
    policy = shipped_policy()
    assert (policy.base, policy.weights) == ("smollm2-135m-instruct", "lora")
    assert policy.template == load_template("sft")
    size = sum(path.stat().st_size for path in Path(policy.path).iterdir())
    assert size < 5_000_000
    # Where it was made is nobody's business.
    said = json.loads((policy.path / "adapter_config.json").read_text(encoding="utf-8"))
    assert said["base_model_name_or_path"] == policy.base
    texts = [
        path.read_text("utf-8") for path in policy.path.iterdir() if path.suffix != ".safetensors"
    ]
    assert not any("/work" in text or "/home" in text or "/root" in text for text in texts)


def test_it_writes_for_the_group_on_the_embedded_engine():
    """Real weights: its base with the LoRA adapter, no torch."""
    policy = load_policy("sft")
    people = [Opinion(f"p{n}", text) for n, text in enumerate(OPINIONS)]
    found = policy.generate(
        Question("Should local buses be free?"),
        people,
        n_candidates=2,
        rng=np.random.default_rng(0),
    )
    assert len(found.candidates) == 2
    assert any("we" in each.text.lower().split() for each in found.candidates)
    assert {each.model for each in found.candidates} == {"embedded:smollm2-135m-instruct+sft"}
    assert (
        policy.model.weights_hash != load_policy("zero_shot", "embedded:small").model.weights_hash
    )


def test_the_wrong_base_is_refused():
    with pytest.raises(InputError, match=r"brings its own weights; it cannot run on hf:x"):
        load_policy("sft", "hf:x")
    plain = load_policy("zero_shot", "embedded:small").model
    with pytest.raises(InputError, match=r"cannot run on embedded:smollm2-135m-instruct"):
        load_policy("sft", plain)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda said: said.update(format="commonweal/policy/9"), "not a policy of format"),
        (lambda said: said.update(extra=1), "not a policy of format"),
        (lambda said: said["template"].pop("user"), "not a policy of format"),
        (lambda said: said["template"].update(system="x"), "must be prompted as it was trained"),
        (lambda said: said.update(sha256="0" * 64), "sha256 differs"),
        (lambda said: said.update(weights="whole"), r"model\.safetensors is missing"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, change, expected):
    folder = tmp_path / "policy"
    shutil.copytree(shipped_policy().path, folder)
    said = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    change(said)
    (folder / "policy.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(InputError, match=expected):
        read_policy_folder(folder)
