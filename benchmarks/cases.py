"""Runs cases that failed for users and prints how many are mended, per kind.

    python benchmarks/cases.py ../shared/cases [--only servers|files]

The folder holds ``servers/quirk_server.py`` (an OpenAI-compatible server on loopback with one quirk
at a time) and ``files/``, a folder a case; its README says where each was seen and what is right.
Each server is asked for a statement of a group of the examples, through the library, with four
candidates judged by the reward model ``first``, which is loaded once.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from commonweal.agreement import find_agreement
from commonweal.datasets.importers.habermas import import_habermas
from commonweal.datasets.importers.polis import import_polis
from commonweal.errors import CommonwealError
from commonweal.groups import Group, read_group
from commonweal.rewards import load_reward_model

ROOT = Path(__file__).parents[1]
GROUP = ROOT / "examples" / "groups" / "bus-fares.toml"

STATEMENT = ""
"""The right result is a statement; of the others part of the error."""

SERVERS: dict[str, dict[str, str]] = {
    "reasoning": {
        "reasoning_stop": "reasoning",
        "reasoning_length": "for reasoning",
        "reasoning_ok": STATEMENT,
        "think_tags": STATEMENT,
        "think_tags_nostop": STATEMENT,
        "empty_think": STATEMENT,
        "empty_think_nostop": STATEMENT,
    },
    "refused parameters": {
        "no_stop": STATEMENT,
        "gpt5": STATEMENT,
        "claude": STATEMENT,
        "gemini": STATEMENT,
        "no_system": STATEMENT,
        "o1_system": STATEMENT,
    },
    "envelopes": {
        "parts": STATEMENT,
        "finish_empty": STATEMENT,
        "finish_stop_sequence": STATEMENT,
        "finish_eos": STATEMENT,
        "stream_default": STATEMENT,
        "sse": STATEMENT,
        "leading_newline": STATEMENT,
        "preamble": STATEMENT,
        "keepalive": STATEMENT,
        "no_usage": STATEMENT,
        "long": STATEMENT,
        "lmstudio_200": "/v1",
        "error_in_200": "Provider returned error",
        "choices_empty": "choices are empty",
        "context": "do not fit the model's context",
    },
    "extra body": {"dashscope": STATEMENT},
    "silent truncation": {"ollama_truncates": "the server cut the prompt"},
}
OPTIONS = {"dashscope": "?body.enable_thinking=false"}
WITHOUT_V1 = ("lmstudio_200",)

Case = tuple[str, str, str]
"""Kind, name, and what went wrong ("" for nothing)."""


def main() -> None:
    """Prints the table, and what is not mended."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("servers", "files"), default="")
    args = parser.parse_args()
    found: list[Case] = []
    if args.only != "files":
        found += servers(args.folder / "servers" / "quirk_server.py")
    if args.only != "servers":
        found += files(args.folder / "files")
    print("| kind | mended | of |\n|---|---|---|")
    for kind in dict.fromkeys(kind for kind, _, _ in found):
        wrongs = [wrong for each, _, wrong in found if each == kind]
        print(f"| {kind} | {wrongs.count('')} | {len(wrongs)} |")
    print(f"| **all** | {sum(not wrong for *_, wrong in found)} | {len(found)} |")
    for kind, name, wrong in found:
        if wrong:
            print(f"not mended: {kind}, {name}: {wrong}")


def servers(script: Path) -> list[Case]:
    """Each quirk of the server, asked for a statement."""
    reward, group = load_reward_model("first"), read_group(GROUP)
    found = []
    for kind, quirks in SERVERS.items():
        for quirk, right in quirks.items():
            port = _free_port()
            command = [sys.executable, str(script), str(port), quirk]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
                try:
                    _wait_for(port)
                    path = "" if quirk in WITHOUT_V1 else "/v1"
                    spec = f"openai:http://127.0.0.1:{port}{path}#m{OPTIONS.get(quirk, '')}"
                    wrong = _difference(lambda: _statement(group, spec, reward), right)  # noqa: B023
                finally:
                    server.kill()
            found.append((kind, quirk, wrong))
            print(f"{kind}, {quirk}: {wrong or 'right'}", file=sys.stderr)
    return found


def _statement(group: Group, spec: str, reward: object) -> str:
    found = find_agreement(
        group.question, group.opinions, model=spec, reward=reward, n_candidates=4
    )
    return found.statement or f"no statement: {found.outcome} {' '.join(found.notes)}"


def files(folder: Path) -> list[Case]:
    """Each file, read as its README says."""
    groups, polis = folder / "14-group-csv-of-spreadsheets", folder / "13-polis-download-names"
    asked = "Should local buses be free?"

    def group(name: str, n: int, **more: str) -> Callable[[], str]:
        def read() -> str:
            people = read_group(groups / name, **more).opinions
            return "" if len(people) == n else f"{len(people)} people, expected {n}"

        return read

    def conversation(path: Path, **more: str) -> Callable[[], str]:
        return lambda: "" if import_polis(path, **more).ratings.height else "no ratings"

    def without_meta() -> str:
        there = import_polis(folder / "12-polis-is-meta" / "export").candidates["candidate_id"]
        return "the fact about the person is a candidate" if "90" in there.to_list() else ""

    def without_mock() -> str:
        with TemporaryDirectory() as name:
            script = folder / "15-habermas-mock-opinions" / "make.py"
            subprocess.run([sys.executable, str(script), name], cwd=ROOT, check=True)
            texts = import_habermas(Path(name)).opinions["text"].to_list()
        return "a mock opinion was taken" if any("mock" in text for text in texts) else ""

    cases: dict[str, dict[str, tuple[Callable[[], str], str]]] = {
        "group files": {
            "blankrows": (group("blankrows.csv", 3), ""),
            "trailing_comma": (group("trailing_comma.csv", 3), ""),
            "semicolon": (group("semicolon.csv", 3), ""),
            "blank_ids": (group("blank_ids.csv", 3), ""),
            "spaces": (group("spaces.csv", 2), ""),
            "strings": (group("strings.json", 2), ""),
            "forms: a hint": (group("forms.csv", 2), "--opinion-column"),
            "forms": (group("forms.csv", 2, opinion_column="What do you think?"), ""),
            "qualtrics": (group("qualtrics.csv", 2, opinion_column="Q1"), ""),
        },
        "Polis exports": {
            "prefixed": (conversation(polis / "prefixed"), ""),
            "zip": (conversation(polis / "export.zip"), ""),
            "no_summary: a hint": (conversation(polis / "no_summary"), "--question"),
            "no_summary": (conversation(polis / "no_summary", question=asked), ""),
            "blank_topic": (conversation(polis / "blank_topic", question=asked), ""),
            "semicolons": (conversation(polis / "semicolons"), ""),
            "excel_timestamps": (conversation(polis / "excel_timestamps"), ""),
            "turned signs": (
                conversation(folder / "11-polis-signs-turned-in-both-files" / "export"),
                "--turn-signs",
            ),
            "is-meta": (without_meta, ""),
        },
        "Habermas Machine files": {"mock opinions": (without_mock, "")},
    }
    return [
        (kind, name, _difference(read, right, is_text=False))
        for kind, named in cases.items()
        for name, (read, right) in named.items()
    ]


def _difference(run: Callable[[], str], right: str, *, is_text: bool = True) -> str:
    """How the result differs from the right one; "" where it does not.

    Args:
        run: returns the statement, or, without ``is_text``, what is wrong.
        right: part of the error that is right, "" for none.
        is_text: as said.
    """
    try:
        told = run()
    except CommonwealError as error:
        said = " ".join(str(error).split())
        return "" if right and right in said else f"the error {said[:200]}"
    except Exception as error:  # whatever escapes is a fault of ours
        return f"{type(error).__name__}: {error}"
    if is_text and right and told.startswith("no statement"):
        return "" if right in told else told[:200]
    wrong = told if not is_text else told[:200] if told.startswith("no statement") else ""
    return wrong or (f"no error that says {right!r}" if right else "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


if __name__ == "__main__":
    main()
