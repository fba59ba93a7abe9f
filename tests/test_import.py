"""`import commonweal` costs next to nothing, and every public name can be had from it."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
import typing
from collections import defaultdict
from pathlib import Path

import pytest

import commonweal
from commonweal import errors, types, welfare

HEAVY = {
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets"),
    *("fastapi", "uvicorn", "sqlalchemy", "starlette"),
    *("openvino", "openvino_genai", "openvino_tokenizers", "tokenizers", "safetensors", "gguf"),
    *("numpy", "matplotlib", "pydantic", "httpx", "jinja2", "rich", "typer", "polars"),
}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh process has after this statement and not before it."""
    code = (
        "import sys, json; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stderr == ""
    return set(json.loads(ran.stdout.splitlines()[-1]))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_loads_two_files_and_nothing_from_elsewhere():
    loaded = loaded_by("import commonweal")
    assert {name for name in loaded if name.startswith("commonweal")} == {
        "commonweal",
        "commonweal._version",
    }
    assert tops(loaded) - {"commonweal"} <= set(sys.stdlib_module_names)


def test_the_records_need_no_package_from_elsewhere():
    loaded = loaded_by(
        "from commonweal import Candidate, CommonwealError, Opinion, Question, Round"
    )
    assert tops(loaded) - {"commonweal"} <= set(sys.stdlib_module_names)


def test_the_main_job_is_there_without_an_engine():
    loaded = loaded_by("from commonweal import find_agreement, read_group, load_policy")
    assert not tops(loaded) & (HEAVY - {"numpy", "pydantic"})


@pytest.mark.parametrize("statement", ["import commonweal.cli", "import commonweal.cli.app"])
def test_the_command_line_loads_no_engine(statement):
    assert not tops(loaded_by(statement)) & {
        *("torch", "transformers", "openvino", "openvino_genai", "matplotlib", "httpx", "fastapi")
    }


def test_every_public_name_resolves():
    assert len(set(commonweal.__all__)) == len(commonweal.__all__)
    for name in commonweal.__all__:
        found = getattr(commonweal, name)
        home = getattr(found, "__module__", None)
        if name != "__version__":
            assert home == f"commonweal.{commonweal._HOMES[name]}" or home.startswith(
                f"commonweal.{commonweal._HOMES[name]}."
            )
            assert found.__doc__


def test_homes_and_all_say_the_same():
    assert {*commonweal._HOMES, "__version__"} == set(commonweal.__all__)
    assert dir(commonweal) == sorted(commonweal.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="find_agrement"):
        commonweal.find_agrement  # noqa: B018


def test_the_hints_of_every_public_name_resolve():
    for name in commonweal.__all__:
        if name != "__version__":
            typing.get_type_hints(getattr(commonweal, name))


def test_errors_and_protocols_can_be_had_from_commonweal():
    assert set(errors.__all__) <= set(commonweal.__all__)
    protocols = {
        name
        for home in (types, welfare)
        for name, found in vars(home).items()
        if getattr(found, "_is_protocol", False) and found.__module__ == home.__name__
    }
    assert {"LanguageModel", "RewardModel", "WelfareRule"} <= protocols <= set(commonweal.__all__)


def test_a_type_checker_knows_what_there_is_not(tmp_path):
    api = pytest.importorskip("mypy.api")
    path = tmp_path / "uses.py"
    path.write_text("from commonweal import InputError, find_agreement, nonsense\n")
    ours = Path(commonweal.__file__)
    options = ["--follow-imports=skip", "--no-incremental", "--config-file="]
    said, _, _ = api.run([*options, str(ours), str(path)])
    assert 'Module "commonweal" has no attribute "nonsense"' in said
    assert "find_agreement" not in said
    assert "InputError" not in said


def test_nothing_is_printed_where_nobody_set_up_logging():
    code = "from commonweal.log import LOG; LOG.warning('not to be seen')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""
    assert logging.getLogger("commonweal").level == logging.NOTSET


def test_no_two_public_classes_share_a_name():
    where = defaultdict(list)
    root = Path(commonweal.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(path.relative_to(root).as_posix())
    assert len(where) > 300
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}
