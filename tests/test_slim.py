"""The slim install: the main job with models of one's own, and what is said of what is missing.

A subprocess in which nothing that an extra brings can be imported stands for the slim install.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from commonweal import extras
from commonweal.errors import InputError, MissingExtraError

ROOT = Path(__file__).parents[1]
MODULES = {name for modules in extras._MODULES.values() for name in modules}

# Refuses as Python does where a distribution is not there, before any other finder is asked.
WITHOUT = f"""
import sys
REFUSED = {sorted(MODULES | {"PIL", "fontTools", "huggingface_hub"})!r}
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refusing())
"""

OWN = """
import numpy as np
import commonweal
from commonweal import find_agreement, find_agreements, write_report
from commonweal.rewards import LogisticCalibration
from commonweal.types import Completion

class Writer:
    model_id, weights_hash, notes = "mine", None, ()
    def generate(self, prompts, *, seeds, n_samples=1, sampling=None, on_done=None):
        words = ["fares", "drivers", "routes", "evenings", "villages", "taxes", "snow"]
        said = lambda seed: " and ".join(np.random.default_rng(seed).permutation(words))
        return [[Completion(f"We settle {said(s)} before anything else is done.", "stop", s)]
                for s in seeds]
    def count_tokens(self, text):
        return len(text.split())
    def log_probabilities(self, prompts, continuations):
        raise NotImplementedError

class Judge:
    name, weights_hash = "mine", "0" * 64
    calibration = LogisticCalibration(1.0, 0.0, "nothing: a test")
    def rewards(self, inputs, *, on_done=None):
        return np.array([len(one.opinion + one.statement) % 5 - 2.0 for one in inputs])

asked = ("Free buses?", ["Free for all of us.", "Somebody pays for it.", "Only the young."])
"""


def slim(code: str, *arguments: str, expected: int = 0) -> str:
    """What a fresh process without the extras says."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == expected, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def test_own_models_find_agreement_without_any_extra(tmp_path):
    said = slim(
        OWN
        + """
own = dict(model=Writer(), reward=Judge(), n_candidates=4)
found = find_agreement(*asked, **own)
assert found.utilities.shape == (3, 4) and found.statement.startswith("We settle")
assert commonweal.Agreement.from_dict(found.to_dict()) == found
assert found.under("rawlsian").welfare_name == "rawlsian"
(many,) = find_agreements([asked], **own)
assert many == found or [c.text for c in many.candidates] == [c.text for c in found.candidates]
assert found.revise({"p1": "Say who pays."}, model=Writer(), reward=Judge(), n_candidates=2)
write_report(found, sys.argv[1])
for name in commonweal.__all__:
    getattr(commonweal, name)
print("done")
""",
        str(tmp_path / "report.html"),
    )
    assert said == "done\n"
    assert "We settle" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("commonweal.load_language_model('embedded:small')", "embedded"),
        ("find_agreement(*asked, model=Writer())", "embedded"),
        ("commonweal.load_reward_model('first')", "embedded"),
        ("from commonweal.datasets.dataset import read_dataset", "data"),
        ("import commonweal.evaluation.evaluate", "data"),
        ("commonweal.load_language_model('hf:HuggingFaceTB/SmolLM2-135M')", "train"),
    ],
)
def test_what_is_missing_is_said_with_the_way_to_get_it(code, extra):
    said = slim(
        OWN
        + f"""
try:
    {code}
except commonweal.MissingExtraError as error:
    print(error)
"""
    )
    assert f'pip install "commonweal[{extra}]"' in said


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["data", "check", "FOLDER"], "data"),
        (["evaluate", "FOLDER"], "data"),
        (["models", "pull"], "embedded"),
        (["agree", str(ROOT / "examples" / "groups" / "bus-fares.toml")], "embedded"),
        (["study", "validate", "FOLDER"], "study"),
    ],
)
def test_at_the_command_line_it_is_one_sentence_and_exit_code_2(arguments, extra, tmp_path):
    code = "from commonweal.cli import main; sys.argv[0] = 'commonweal'; main()"
    said = slim(code, *(str(tmp_path) if each == "FOLDER" else each for each in arguments),
                expected=2)  # fmt: skip
    *before, last = said.strip().splitlines()
    assert last.endswith(f'pip install "commonweal[{extra}]"')
    assert not any("error" in line for line in before)


def test_help_and_the_doctor_need_no_extra():
    code = "from commonweal.cli import main; sys.argv[0] = 'commonweal'; main()"
    assert "agree" in slim(code, "--help")


def test_every_module_of_an_extra_is_brought_by_its_distributions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    brought = packages_distributions()
    for extra, modules in extras._MODULES.items():
        listed = {re.split(r"[\[<>=!~; ]", each)[0] for each in
                  project["optional-dependencies"][extra]}  # fmt: skip
        for module in modules:
            names = {each.lower().replace("_", "-") for each in brought.get(module, ())}
            assert not names or names & listed or module == "arviz", (extra, module)
    assert set(extras.EXTRAS) == set(project["optional-dependencies"])
    base = {re.split(r"[\[<>=!~; ]", each)[0] for each in project["dependencies"]}
    assert not {name.replace("_", "-") for name in MODULES} & base


def test_the_oldest_scipy_that_may_be_there_takes_a_generator_for_groups():
    """``kmeans2`` takes ``rng`` from SciPy 1.15 on; before, it was called ``seed``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (bound,) = [
        each.removeprefix("scipy>=").split(".")
        for each in project["optional-dependencies"]["data"]
        if each.startswith("scipy")
    ]
    assert tuple(map(int, bound)) >= (1, 15)


def test_other_imports_that_fail_are_left_as_they_are():
    assert extras.missing(ModuleNotFoundError("no", name="nonsense.part")) is None
    found = extras.missing(ModuleNotFoundError("no", name="polars.exceptions"))
    assert isinstance(found, MissingExtraError)
    assert isinstance(found, InputError)
    with (
        pytest.raises(MissingExtraError, match=r'"commonweal\[plots\]"'),
        extras.needs("plots", "x"),
    ):
        raise ModuleNotFoundError("no", name="matplotlib")
