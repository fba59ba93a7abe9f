"""The docs say what is so: trees, links, commands, examples and fields are looked up or run."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import commonweal
from commonweal import find_agreement, load_policy, read_group
from commonweal.cli.app import app
from commonweal.models.scripted import ScriptedModel
from commonweal.policies import parsing
from commonweal.rewards import ScriptedRewardModel
from commonweal.types import RejectionReason

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
IGNORED = {
    line.strip("/\n") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
}
CHEAP = (
    "commonweal doctor",
    "commonweal models list",
    "commonweal models pull",
    "commonweal models verify",
)


def visible(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return not any(
        part.startswith(".") or part in IGNORED or part.endswith(".egg-info") for part in parts
    )


PAGES = sorted(path for path in ROOT.rglob("*.md") if visible(path))
OURS = [page for page in PAGES if page.parent == ROOT or DOCS in page.parents]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path, *languages: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def inline_code(page: Path) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def shell_lines(page: Path) -> Iterator[str]:
    """Every command that a page tells to run, without prompt, comment and folder."""
    lines = [line for body in fences(page, "sh") for line in body.splitlines()]
    lines += inline_code(page)
    if page.name == "cli.md":
        lines += re.findall(r"Example: (commonweal .*)", page.read_text(encoding="utf-8"))
    for line in lines:
        command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if re.match(r"(commonweal|make)( |$)", command) and command != "commonweal":
            yield command


def maker(name: str) -> Any:
    """The module that makes a page of the docs."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        encoding="utf-8",
    )


def run_python(code: str, tmp_path: Path, *before: str) -> str:
    done = run(sys.executable, "-c", "\n".join((*before, code)), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# ----------------------------------------------------------------------------------- the tree


def tree() -> tuple[set[str], dict[str, str]]:
    """The paths in CONTRIBUTING's tree, and what it says of each."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## The tree\n\n```text\n(.*?)^```$", text, re.M | re.S)
    first, *rest = block.splitlines()
    paths, said = set(first.split()), {}
    folders: list[str] = []
    for line in rest:
        name, _, what = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [name]
        path = "".join(folders)
        paths.add(path)
        said[path] = what.strip()
    return paths, said


def test_tree_names_only_what_is_there():
    paths, said = tree()
    for path in paths:
        found = ROOT / path
        assert found.is_dir() if path.endswith("/") else found.is_file(), path
        for page in re.findall(r"\w+\.md", said.get(path, "")):
            assert (found / page).is_file(), f"{path}{page}"


def test_tree_names_all_that_is_there():
    paths, _ = tree()
    top = {path.split("/")[0] for path in paths}
    package = {path.split("/")[2] for path in paths if path.startswith("src/commonweal/") and path}
    assert {path.name for path in ROOT.iterdir() if visible(path)} <= top
    unnamed = {"__main__.py", "_version.py", "py.typed"}
    there = {path.name for path in (ROOT / "src" / "commonweal").iterdir() if visible(path)}
    assert there - unnamed == package - {""}


def test_counts_in_the_readme_are_right():
    tree_text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    n_groups = len(list((ROOT / "examples" / "groups").glob("*.toml")))
    assert f"{n_groups} groups written for this project" in tree_text
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    card = (ROOT / "src/commonweal/rewards/probe_card.md").read_text(encoding="utf-8")
    ((share, n_held_out),) = re.findall(
        r"random statement in (\d+) % of (\d+) held-out graded groups", card
    )
    assert f"On {n_held_out} held-out groups" in text
    assert f"picks beat a random statement in {share} %" in text


# ---------------------------------------------------------------------------------- the links


def slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{link} in {page}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{link} in {page}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_somebodys_machine(page: Path):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.~])/(?:root|home|work|Users|tmp)\b", text)


# ------------------------------------------------------------------------------- the commands


@cache
def the_command() -> Any:
    return get_command(app)


def check_commonweal(arguments: list[str]) -> None:
    command, path = the_command(), "commonweal"
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        if arguments[0] not in command.commands and hasattr(command, "default"):
            arguments = [command.default, *arguments]
        path += f" {arguments[0]}"
        assert arguments[0] in command.commands, f"there is no `{path}`"
        command = command.commands[arguments.pop(0)]
    if not arguments or set(arguments) <= {"--help", "-h", "--version"}:
        return
    assert not hasattr(command, "commands"), f"{path} {arguments}"
    # A mention of an option alone ("agree --candidates 16") leaves the file out.
    try:
        command.make_context(path, arguments)
    except typer.BadParameter as error:
        if type(error).__name__ != "MissingParameter":
            raise


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    variables = re.findall(r"^(\w+) \?=", makefile, re.MULTILINE)
    for line in shell_lines(page):
        tool, *arguments = shlex.split(line, comments=True)
        if tool == "commonweal":
            check_commonweal(arguments)
            continue
        for argument in arguments:
            name, assigned, _ = argument.partition("=")
            assert name in (variables if assigned else targets.split()), line


@pytest.mark.parametrize("line", CHEAP)
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
def test_cheap_commands_run(line: str):
    assert any(line in shell_lines(page) for page in OURS), f"{line} is documented nowhere"
    code = "import sys; sys.argv[0] = 'commonweal'; from commonweal.cli import main; main()"
    done = run(sys.executable, "-c", code, *line.split()[1:])
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "target",
    [
        "run",
        "test",
        "test-train",
        "test-slow",
        "check",
        "bench",
        "docs",
        "docs-site",
        "dist",
        "lock",
        "sbom",
    ],
)
def test_make_targets_are_documented_and_can_be_planned(target: str):
    assert any(f"make {target}" in shell_lines(page) for page in OURS)
    done = run("make", "--dry-run", target)
    assert done.returncode == 0, done.stderr


def test_pre_commit_does_what_make_check_does():
    (recipe,) = re.findall(
        r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    checks = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert re.findall(r"\bentry: (.*?), language", hooks) == checks


def test_what_is_locked_is_the_same_everywhere():
    """What `make run` installs is part of what tests need, that of everything; no torch before."""
    app, dev, full = (
        set((ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8").splitlines())
        for name in ("app", "dev", "full")
    )
    assert app <= dev <= full
    assert {line.partition("=")[0] for line in full} >= {"torch", "transformers", "trl", "bambi"}
    assert not {line.partition("=")[0] for line in dev} & {"torch", "transformers", "trl", "bambi"}


def test_command_reference_is_current():
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert written == maker("make_cli_reference").reference(), "run `make docs`"


@pytest.mark.parametrize("name", ["record_format", "training_config"])
def test_pages_made_from_the_code_are_current(name: str):
    written = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert written == maker(f"make_{name}").page(), "run `make docs`"


def test_every_command_is_in_the_guide():
    documented = list(shell_lines(DOCS / "guide.md"))
    module = maker("make_cli_reference")
    paths = list(module.commands(get_command(app), ("commonweal",)))
    leaves = [path for path in paths if not any(p[:-1] == path for p in paths)]
    for path in leaves:
        name = " ".join(path)
        assert any(line.startswith(name) for line in documented), name


def test_every_environment_variable_is_in_the_guide():
    read = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        constants = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant))
        read |= {
            n.value
            for n in constants
            if isinstance(n.value, str)
            and re.fullmatch(r"COMMONWEAL(_[A-Z]+)+|[A-Z]+_API_KEY", n.value)
        }
    assert {"COMMONWEAL_CACHE", "COMMONWEAL_DATABASE", "OPENAI_API_KEY"} <= read
    text = (DOCS / "guide.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert table == read


# ----------------------------------------------------------------------- examples and samples


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# In place of the model's own drawing of tokens, which is all that the tests leave out: the small
# model writes little that can be shown, and is asked again and again.
SENTENCES = """
from types import SimpleNamespace

from commonweal.models.embedded_engine import EmbeddedModel

_WHERE = ("one town", "two villages", "the old centre", "every district", "a few streets")
_THEN = ("ask again after a year", "see what it costs", "hear from those who use it", "decide")


def _written(self, requests, finished, on_done):
    for index, (_, config) in enumerate(requests):
        where, then = _WHERE[config.rng_seed % 5], _THEN[config.rng_seed % 4]
        said = self._token_ids(f"We should try this in {where} first, and then {then} together.")
        ended = SimpleNamespace(generated_ids=said, finish_reason=SimpleNamespace(name="STOP"))
        finished(index, ended)


EmbeddedModel._run = _written
"""

by_sentences_and_slowly_by_the_model = pytest.mark.parametrize(
    "before",
    [
        pytest.param((SENTENCES,), id="sentences"),
        pytest.param((), id="model", marks=pytest.mark.slow),
    ],
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
@by_sentences_and_slowly_by_the_model
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
def test_examples_run(path: Path, before: tuple[str, ...], tmp_path: Path):
    code = path.read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 25
    assert run_python(code, tmp_path, *before, f"__file__ = {str(path)!r}").strip()


SHOWN = [(page, code) for page in OURS for code in fences(page, "python")]
TESTED = {path.read_text(encoding="utf-8") for path in EXAMPLES}


def test_the_readme_shows_an_example():
    assert TESTED & {code for page, code in SHOWN if page.name == "README.md"}


@pytest.mark.parametrize(
    "code",
    [pytest.param(code, id=name_of(page)) for page, code in SHOWN if code not in TESTED],
)
@by_sentences_and_slowly_by_the_model
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
def test_python_in_the_pages_runs(code: str, before: tuple[str, ...], tmp_path: Path):
    assert run_python(code, tmp_path, *before).strip()


def test_group_files_in_the_guide_are_the_same_group(tmp_path: Path):
    groups = []
    for kind in ("toml", "json", "csv"):
        (text,) = fences(DOCS / "guide.md", kind)
        path = tmp_path / f"group.{kind}"
        path.write_text(text, encoding="utf-8")
        groups.append(read_group(path))
    assert groups[0] == groups[1] == groups[2]


def test_every_field_of_the_json_is_in_the_guide():
    said = "We want buses that people can afford, and we differ on who should pay for them."
    result = find_agreement(
        "Should local buses be free?",
        ["Yes, please.", "No, thanks."],
        policy=load_policy("zero_shot", ScriptedModel(["Sure.", said, said])),
        reward=ScriptedRewardModel([1.0, -1.0]),
        n_candidates=1,
    )
    text = (DOCS / "guide.md").read_text(encoding="utf-8")
    section = text[text.index("### The JSON") : text.index("### What can be reproduced")]
    data = result.to_dict()
    assert data["rejections"]
    assert data["predicted_dissent"]
    assert f"`{data['schema']}`" in section
    names = set(data) | set(data["provenance"]) | set(data["timings_seconds"])
    for part in ("candidates", "opinions", "rejections", "predicted_dissent"):
        names |= set(data[part][0])
    assert [name for name in sorted(names) if f"`{name}`" not in section] == []


def test_every_rejection_reason_is_explained():
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    section = glossary[glossary.index("## Rejection reasons") :]
    for reason in RejectionReason:
        assert re.search(rf"^\|[^|]*\b{reason}\b[^|]*\|", section, re.MULTILINE), reason


def test_parsing_limits_in_the_decision_are_those_of_the_code():
    text = " ".join((DOCS / "decisions/005-parsing.md").read_text(encoding="utf-8").split())
    for words in (
        f"more than {parsing.MAX_WORDS} words, fewer than {parsing.MIN_WORDS}",
        f"{parsing.MAX_PROMPT_RUN} words in a row from instructions",
        f"{parsing.MAX_OPINION_RUN} words in a row, or over {parsing.MAX_OPINION_SHARE:.0%}",
        f"under {parsing.MIN_DISTINCT_SHARE:.0%}",
        f"to {parsing.NEAR_DUPLICATE:.0%}",
    ):
        assert words in text.replace(" %", "%")


def test_every_base_dependency_is_explained():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (DOCS / "decisions/008-dependencies.md").read_text(encoding="utf-8")
    extras = data["project"]["optional-dependencies"]
    in_app = [each for name in ("data", "embedded", "plots") for each in extras[name]]
    for requirement in [*data["project"]["dependencies"], *in_app]:
        name = re.split(r"[<>=~!\[; ]", requirement)[0]
        assert re.search(rf"^\|[^|]*\b{name}\b[^|]*\|", text, re.MULTILINE), name


# -------------------------------------------------------------------------------- the paper map


def test_paper_map_names_only_what_exists():
    page = DOCS / "paper_map.md"
    for code in inline_code(page):
        if "/" in code and " " not in code:
            assert (ROOT / code).exists(), code
    text = prose(page)
    for names, path in re.findall(r"((?:`[\w.]+`,? )+)in `([^`]+\.py)`", text):
        source = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"\b{name.split('.')[-1]}\b", source), f"{name} in {path}"


@pytest.mark.parametrize("page", OURS, ids=name_of)
def test_pages_lead_to_nothing_that_a_reader_cannot_see(page: Path):
    """Neither an issue of ours nor a plan that is not in the repository."""
    assert not re.findall(r"\(issue: |\bDESIGN\b", page.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------ the docs site


def test_every_page_is_in_the_sites_navigation():
    """MkDocs' own file is YAML with Python tags, so the lines are read as they stand."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": ([\w/]+\.md)$", text[text.index("\nnav:") :], re.MULTILINE))
    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    records = {name for name in there if name.startswith("decisions/")}
    assert named == (there - records) | {"index.md"}


def test_every_public_name_is_in_the_python_reference():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: commonweal\.(\w+)$", text, re.MULTILINE))
    errors = {name for name in commonweal.__all__ if name.endswith("Error")}
    assert shown - {"errors"} == set(commonweal.__all__) - errors - {"__version__"}
    assert "errors" in shown


def test_benchmarks_page_names_what_is_there():
    ages = maker("benchmark_ages")
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = ages.rows(text)
    assert len(rows) == len(re.findall(r"^\| [^-]", text, re.MULTILINE)) - 1
    for row in rows:
        assert (ROOT / row.command.split()[1]).is_file(), row.command
        assert all((ROOT / path).exists() for path in row.code), row.code
    listed = {Path(row.command.split()[1]).name for row in rows}
    assert {path.name for path in (ROOT / "benchmarks").glob("*.py")} <= listed


def test_figures_older_than_their_code_are_marked():
    ages = maker("benchmark_ages")
    row = "| what | here | {} | `python benchmarks/threads.py` | peer | `src/commonweal` |"
    assert "**older than its code**" in ages.marked(row.format("2020-01-01"))
    assert "newer than its code" in ages.marked(row.format("2999-01-01"))
    gone = row.format("2020-01-01").replace("src/commonweal", "src/nowhere")
    assert "not known" in ages.marked(gone)


# ------------------------------------------------------------------------------- the tutorials


TUTORIAL_CSV = ("group.csv", "critiques.csv")
# What the small model writes may not be worth showing: the steps are tried here, not the text.
TRIED_WITH = ("--model", "embedded:small", "--candidates", "3", "--min-quality", "1")


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2_gguf", "encoder_folder")
@pytest.mark.parametrize("name", ["facilitator", "researcher"])
def test_tutorials_work_from_top_to_bottom(name: str, tmp_path: Path):
    """Each command as it stands, in one folder; a smaller model writes, and no server is left."""
    page = DOCS / "tutorials" / f"{name}.md"
    for file, text in zip(TUTORIAL_CSV, fences(page, "csv"), strict=False):
        (tmp_path / file).write_text(text, encoding="utf-8")
    ours = "We would close the street on Sundays from two to five in the afternoon."
    (tmp_path / "ours.txt").write_text(ours, encoding="utf-8")
    main = "import sys; sys.argv[0] = 'commonweal'; from commonweal.cli import main; main()"
    for line in (line for body in fences(page, "sh") for line in body.splitlines()):
        tool, *arguments = shlex.split(line)
        assert tool == "commonweal"
        if arguments[:2] in (["models", "pull"], ["study", "quick"]):
            continue
        is_written = arguments[0] == "agree" and not {"--compare-rules", "--edited"} & {*arguments}
        small = TRIED_WITH if is_written else ()
        done = subprocess.run(
            [sys.executable, "-c", main, *arguments, *small],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    shown = {"facilitator": "second.html", "researcher": "evaluation.html"}[name]
    assert "<html" in (tmp_path / shown).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=name_of)
def test_decisions_are_short_and_numbered(page: Path):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {page.name[:3]}. ")
    assert len(lines) <= 55


# --------------------------------------------------------------------------------- the release


def test_workflows_call_make_targets_that_there_are():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    called = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        called |= set(re.findall(r"\bmake ([\w-]+)", path.read_text(encoding="utf-8")))
    assert called <= set(targets.split())
    assert called >= {"check", "test", "test-train", "docs-site", "dist", "audit", "sbom"}


def test_a_release_needs_a_tag_that_everything_agrees_with(tmp_path: Path):
    wrong = maker("release_check").wrong
    for name in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "src/commonweal/_version.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    version, here = commonweal.__version__, "https://forge.example/us/commonweal"
    with (tmp_path / "CHANGELOG.md").open("a", encoding="utf-8") as file:
        file.write(f"\n## [{version}] - 2026-12-01\n")
    text = (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    text = text.replace("[project.urls]\n", f'[project.urls]\nRepository = "{here}"\n')
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert wrong(f"v{version}", here, tmp_path) == []
    assert len(wrong("v9.9.9", here, tmp_path)) == 1
    assert len(wrong(f"v{version}", "https://forge.example/them/commonweal", tmp_path)) == 1
    (tmp_path / "CITATION.cff").write_text("version: 0.0.1\n", encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n", encoding="utf-8")
    assert len(wrong(f"v{version}", "", tmp_path)) == 3


# ------------------------------------------------------------------------------------- the cards


CARDS = {
    "src/commonweal/rewards/reader_card.md": {"library_name", "license", "base_model"},
    "src/commonweal/rewards/first_card.md": {"library_name"},
    "src/commonweal/policies/sft/README.md": {"library_name", "base_model"},
    "examples/graded_groups/README.md": {"license", "configs"},
    "examples/critiques/README.md": {"license", "configs"},
    "examples/statements/README.md": {"license"},
    "examples/groups/README.md": {"license"},
}


@pytest.mark.parametrize("name", CARDS)
def test_cards_are_in_the_hubs_format(name: str):
    from huggingface_hub import RepoCard

    told = RepoCard((ROOT / name).read_text(encoding="utf-8"), ignore_metadata_errors=False).data
    told = told.to_dict()
    assert CARDS[name] <= set(told), told
    assert "tags" in told
    for config in told.get("configs", ()):
        for each in config["data_files"]:
            assert ((ROOT / name).parent / each["path"]).is_file()
