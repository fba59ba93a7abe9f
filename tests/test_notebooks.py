"""The notebooks run from top to bottom, and every value that a cell ends with can be shown."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"


def cells(path: Path) -> list[str]:
    """The code cells of a script in jupytext's percent format."""
    parts = path.read_text(encoding="utf-8").split("\n# %%")[1:]
    return [part.partition("\n")[2] for part in parts if not part.startswith(" [markdown]")]


def run(path: Path) -> tuple[dict[str, object], list[object]]:
    """The names after the last cell, and what each cell ends with, as a notebook would show it."""
    names: dict[str, object] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(cells(path)):
        tree = ast.parse(cell, f"{path.name}[{number}]")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), names)
            shown += [] if value is None else [value]
    return names, shown


@pytest.fixture
def at_root(monkeypatch, tmp_path):
    """A folder to write in, with the examples beside it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.heavy
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
def test_opinions_to_a_statement(at_root, capsys):
    names, shown = run(NOTEBOOKS / "opinions_to_statement.py")
    result = names["result"]
    assert any("<svg" in each._repr_html_() for each in shown if hasattr(each, "svg"))
    assert shown[0] is result
    assert names["frame"].height == result.utilities.size
    assert (at_root / "bus-fares.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "rawlsian" in capsys.readouterr().out


@pytest.mark.heavy
def test_a_study_to_section_4(at_root, capsys):
    names, shown = run(NOTEBOOKS / "study_to_section_4.py")
    assert all("<" in each._repr_html_() for each in shown)
    assert len(shown) == 4
    assert "simulated: nobody" in shown[0]._repr_html_()
    won = names["won"]
    assert won.height >= 1
    assert (won["low"] <= won["value"]).all()
    assert (at_root / "evaluation.html").is_file()
    assert "could not be computed" in capsys.readouterr().out


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.usefixtures("encoder_folder")
def test_choices_to_a_reward_model(at_root, capsys, monkeypatch):
    pytest.importorskip("torch", reason="needs the extra `train`")
    monkeypatch.delenv("CHOICES", raising=False)
    names, shown = run(NOTEBOOKS / "choices_to_reward_model.py")
    assert "simulated: nobody" in shown[0]._repr_html_()
    table = names["table"]
    assert table["model"].to_list()[-1] == "mine"
    assert (table["low"] <= table["chosen"]).all()
    assert (table["chosen"] <= table["high"]).all()
    assert "<svg" in shown[-1]._repr_html_()
    assert (at_root / "choices.svg").is_file()
    assert "--reward-model reward/runtime" in capsys.readouterr().out


def test_every_notebook_is_run_here():
    text = Path(__file__).read_text(encoding="utf-8")
    for path in NOTEBOOKS.glob("*.py"):
        assert f'"{path.name}"' in text
