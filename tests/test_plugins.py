"""The tutorial plugin, installed and used; what the command line says of packages gone wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import numpy as np
import pytest

from commonweal.agreement import find_agreement
from commonweal.cli.app import app
from commonweal.errors import InputError
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import load_policy
from commonweal.result import Agreement
from commonweal.rewards import load_reward_model
from commonweal.rules import resolve_rule
from commonweal.types import RewardInput, RewardModel
from plugin_making import install

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "examples" / "plugin"
STATEMENTS = [
    "We want wages and fares that everybody can live with in this town.",
    "Before anything else there must be more buses in the villages.",
    "Young riders could go free while all others pay something small.",
]
OPINIONS = [
    "The fares eat up my wages, and everybody pays.",
    "Nothing is free: somebody pays for buses in the villages.",
    "Free for young riders, perhaps, while others pay something.",
]


@pytest.fixture
def tutorial(tmp_path, monkeypatch) -> Path:
    """The tutorial plugin as an installer leaves it, in a folder on the path."""
    project = tomllib.loads((TUTORIAL / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in table.items())
        for group, table in project["entry-points"].items()
    )
    code = (TUTORIAL / "commonweal_tutorial.py").read_text(encoding="utf-8")
    install(tmp_path, project["name"], code, points, version=project["version"])
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("commonweal_tutorial", None)


def command(*arguments: object, path: Path, **options) -> subprocess.CompletedProcess[str]:
    """The command line with a further folder of packages."""
    code = "import sys; sys.argv[0] = 'commonweal'; from commonweal.cli import main; main()"
    before = os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{before}", "COLUMNS": "100"},
        timeout=200,
        **options,
    )


def test_the_tutorial_is_short():
    code = (TUTORIAL / "commonweal_tutorial.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 60
    (said,) = re.findall(
        r"\[(\d+) lines of Python\]", (TUTORIAL / "README.md").read_text(encoding="utf-8")
    )
    assert int(said) == len(code.splitlines())


def test_the_tutorials_reward_model_counts_words(tutorial):
    model = load_reward_model("shared_words")
    assert isinstance(model, RewardModel)
    pairs = [
        RewardInput("q", "Free buses for villages.", "Buses for villages, please."),
        RewardInput("q", "Nothing.", "Buses for villages, please."),
        RewardInput("q", "Nothing.", "Is it so?"),
    ]
    # Of "buses", "villages", "please" the first opinion has two.
    assert model.rewards(pairs).tolist() == pytest.approx([2 / 3, 0, 0])
    ratings = model.calibration.expected_rating(model.rewards(pairs))
    assert ((ratings > 1) & (ratings < 7)).all()


def test_the_tutorial_is_used_from_python(tutorial):
    found = find_agreement(
        "Should buses be free?",
        OPINIONS,
        policy=load_policy("zero_shot", ScriptedModel(STATEMENTS)),
        reward="shared_words",
        welfare="median",
        n_candidates=3,
    )
    assert found.welfare.tolist() == np.median(found.utilities, axis=0).tolist()
    assert found.closest_index == int(np.argmax(found.welfare))
    assert (found.welfare_name, found.alpha) == ("median", None)
    assert found.provenance["reward_model"] == "shared_words"
    told = json.loads(json.dumps(found.to_dict()))
    assert told["welfare"] == {"name": "median", "alpha": None}
    assert Agreement.from_dict(told) == found
    assert found.under("nash").welfare_name == "bernoulli_nash"


def test_a_policys_name_may_end_in_an_installed_rule(tutorial):
    policy = load_policy("zero_shot_median", ScriptedModel(STATEMENTS))
    found = find_agreement(
        "Should buses be free?", OPINIONS, policy=policy, reward="shared_words", n_candidates=3
    )
    assert (found.welfare_name, found.provenance["policy"]) == ("median", "zero_shot_median")


def test_a_record_of_a_rule_that_is_gone_can_be_read(tutorial, monkeypatch):
    found = find_agreement(
        "Should buses be free?",
        OPINIONS,
        policy=load_policy("zero_shot", ScriptedModel(STATEMENTS)),
        reward="shared_words",
        welfare="median",
        n_candidates=3,
    )
    told = found.to_dict()
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tutorial)])
    read = Agreement.from_dict(told)
    assert read == found
    assert read.under("rawlsian").welfare_name == "rawlsian"
    with pytest.raises(InputError, match="unknown welfare rule 'median'"):
        read.under("median")
    with pytest.raises(InputError, match="'median' of a stored record"):
        read.under(read.rule)


def test_own_objects_are_as_good_as_names():
    def highest(utilities):
        return utilities.max(axis=0)

    class Own:
        name, weights_hash = "own", "0" * 64

        class calibration:  # noqa: N801
            @staticmethod
            def expected_rating(rewards):
                return np.clip(rewards, 1.5, 6.5)

        def rewards(self, inputs, *, on_done=None):
            return np.array([float(2 + len(each.statement) % 5) for each in inputs])

    found = find_agreement(
        "Should buses be free?",
        OPINIONS,
        policy="zero_shot",
        model=ScriptedModel(STATEMENTS),
        reward=Own(),
        welfare=highest,
        n_candidates=3,
    )
    assert found.welfare_name == "highest"
    assert found.welfare.tolist() == found.utilities.max(axis=0).tolist()
    assert found.under(resolve_rule(highest)) == found


def test_the_command_lists_what_there_is_and_what_cannot_be_used(tutorial):
    install(tutorial, "gone-wrong", "1 / 0", "[commonweal.engines]\nwrong = gone_wrong:E\n")
    install(tutorial, "greedy", "", "[commonweal.reward_models]\nfirst = greedy:E\n", version="0.3")
    ran = command("plugins", path=tutorial)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^  shared_words +commonweal-tutorial 0\.1\.0$", ran.stdout, re.MULTILINE)
    assert re.search(r"^  nash +another name of bernoulli_nash$", ran.stdout, re.MULTILINE)
    unusable = ran.stdout[ran.stdout.index("Cannot be used") :]
    assert "engine 'wrong' of gone-wrong 1.2: cannot be imported" in unusable
    assert "ZeroDivisionError" in unusable
    assert "reward model 'first' of greedy 0.3: the name is commonweal's own" in unusable
    told = json.loads(command("plugins", "--json", path=tutorial).stdout)
    assert {"median", "shared_words", "embedded"} <= {each["name"] for each in told["plugins"]}
    assert {each["name"] for each in told["problems"]} == {"wrong", "first"}


def test_a_plugin_that_fails_is_named_with_exit_code_1(tutorial, tmp_path):
    install(tutorial, "gone-wrong", "1 / 0", "[commonweal.engines]\nwrong = gone_wrong:E\n")
    group = tmp_path / "group.json"
    group.write_text(json.dumps({"question": "q?", "opinions": [{"text": t} for t in OPINIONS]}))
    ran = command("agree", group, "--model", "wrong", "--policy", "zero_shot", path=tutorial)
    assert ran.returncode == 1
    assert "'wrong' of gone-wrong 1.2 cannot be imported" in ran.stderr
    assert "Traceback" not in ran.stderr
    ran = command("agree", group, "--welfare", "medain", path=tutorial)
    assert ran.returncode == 2
    assert "did you mean 'median'" in ran.stderr


def test_the_help_names_the_rules_that_are_ours():
    from typer.main import get_command

    (option,) = (
        each for each in get_command(app).commands["agree"].params if each.name == "welfare"
    )
    assert all(name in option.help for name in ("utilitarian", "bernoulli_nash", "rawlsian"))


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the embedded model writes 16 candidates twice
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
def test_the_tutorial_installs_into_a_fresh_environment_and_its_readme_runs(tmp_path):
    """pip builds and installs it, without a network; then what its README says is done."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    # What commonweal itself needs is seen through, not installed again.
    (site / "seen.pth").write_text(f"{ROOT / 'src'}\n{sysconfig.get_path('purelib')}\n")
    source = tmp_path / "plugin"
    shutil.copytree(TUTORIAL, source)
    options = ("-q", "--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run([python, "-m", "pip", "install", *options, source], check=True)
    assert (site / "commonweal_tutorial.py").is_file()
    readme = (TUTORIAL / "README.md").read_text(encoding="utf-8")
    (shell,) = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (code,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    lines = [line for line in shell.splitlines() if line.startswith("commonweal ")]
    said = []
    for line in lines:
        arguments = [python, "-m", *line.split()]
        ran = subprocess.run(arguments, cwd=ROOT, capture_output=True, encoding="utf-8")
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout)
    assert "commonweal-tutorial 0.1.0" in said[0]
    assert "chosen by median welfare" in said[1]
    ran = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().endswith(" median")
