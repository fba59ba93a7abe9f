"""Says whether a tag may become a release: everything that names the version agrees with it.

python docs/release_check.py v0.1.0 https://forge.example/owner/commonweal
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wrong(tag: str, repository: str, root: Path = ROOT) -> list[str]:
    """What stands against releasing this tag from that repository; empty where nothing does."""

    def found(pattern: str, path: str) -> str:
        match = re.search(pattern, (root / path).read_text(encoding="utf-8"), re.MULTILINE)
        return match[1] if match else "none"

    version = found(r'^__version__ = "(.+)"$', "src/commonweal/_version.py")
    cited = found(r"^version: (.+)$", "CITATION.cff")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = project.get("urls", {}).get("Repository", "none")
    changes = f"## [{version}] - "
    return [
        text
        for is_wrong, text in (
            (tag != f"v{version}", f"the tag is {tag or 'none'}, _version.py has {version}"),
            (cited != version, f"CITATION.cff has version {cited}, expected {version}"),
            (
                changes not in (root / "CHANGELOG.md").read_text(encoding="utf-8"),
                f"CHANGELOG.md has no heading '{changes}YYYY-MM-DD'",
            ),
            (
                said != repository or not repository,
                f"[project.urls] has Repository = {said}, and this is {repository or 'nowhere'}",
            ),
        )
        if is_wrong
    ]


if __name__ == "__main__":
    against = wrong(*[*sys.argv[1:], "", ""][:2])
    print("\n".join(against) or "this tag can be released")  # noqa: T201 - a command's output
    sys.exit(2 if against else 0)
