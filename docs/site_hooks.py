"""What the docs site needs besides docs/*.md: pages and files that stand elsewhere in the tree.

The README is the landing page. A Markdown file outside docs/ that a page links to becomes a page
of its own; another text file becomes a page that shows it. So every link works in the repository
and on the site, and no text stands twice.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
from benchmark_ages import marked

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".json": "json", ".yml": "yaml"}
DECISIONS = "docs/decisions"
PROJECT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
CARDS = {
    "src/commonweal/rewards/reader_card.md": "Reward model reader",
    "src/commonweal/rewards/first_card.md": "Reward model first",
    "src/commonweal/policies/sft/README.md": "Policy sft",
}


def place_of(path: str) -> str:
    """Where a file of the tree stands on the site: a path below the site's root, in Markdown."""
    if path == "README.md":
        return "index.md"
    if path == DECISIONS:
        return "decisions/index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"tree/{path}" if path.endswith(".md") else f"tree/{path}.md"


def links(text: str) -> Iterator[str]:
    """The targets of a Markdown text's links to files, without those in code blocks."""
    for part in FENCE.split(text)[::2]:
        yield from (found[1] for found in LINK.findall(part) if ":" not in found[1])


def content_of(path: str) -> str:
    """The Markdown that shows a file of the tree, or lists a folder of it."""
    source = ROOT / path
    if path == DECISIONS:
        pages = {
            each.name: each.read_text(encoding="utf-8").split("\n", 1)[0] for each in _records()
        }
        return "# Decisions\n\n" + "".join(
            f"- [{t[2:]}](decisions/{n})\n" for n, t in pages.items()
        )
    if source.is_dir():
        names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in source.iterdir())
        return f"# {path}\n\n" + "".join(f"- `{name}`\n" for name in names if name[0] not in "._")
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".md":
        return text
    return f"# {path}\n\n````{LANGUAGES.get(source.suffix, 'text')}\n{text}\n````\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of docs/, and each file elsewhere that one of them leads to."""
    found: dict[str, str] = {}
    waiting = ["README.md", DECISIONS, *PROJECT, *CARDS]
    for file in files.documentation_pages():
        page = f"docs/{file.src_uri}"
        waiting += [_target(page, link) for link in links(file.content_string)]
    while waiting:
        path = waiting.pop()
        is_ours = path.startswith("docs/") and path != DECISIONS
        if path in found or is_ours or not (ROOT / path).exists():
            continue
        found[path] = content_of(path)
        if path.endswith(".md"):
            waiting += [_target(path, link) for link in links(found[path])]
    for path, text in found.items():
        page = File.generated(config, place_of(path), content=_moved(path, text))
        page.edit_uri = None
        files.append(page)
    decisions = ["decisions/index.md", *(f"decisions/{each.name}" for each in _records())]
    cards = [{name: place_of(path)} for path, name in CARDS.items()]
    project = [*(place_of(path) for path in PROJECT), {"Cards": cards}]
    config.nav += [{"Decisions": decisions}, {"Project": project}]
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """A page of docs/ with its links to the rest of the tree led to where that stands."""
    if page.file.generated_by is None:
        if page.file.src_uri == "benchmarks.md":
            markdown = marked(markdown)
        return _moved(f"docs/{page.file.src_uri}", markdown)
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]
    elif page.file.src_uri.startswith("tree/") and page.file.src_uri.count(".") > 1:
        page.meta["search"] = {"exclude": True}
    return markdown


def _records() -> list[Path]:
    return sorted((ROOT / DECISIONS).glob("*.md"))


def _target(page: str, link: str) -> str:
    """The path in the tree to which a link of a page leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _moved(page: str, text: str) -> str:
    """The text of a page with each link as it must be where the page stands on the site."""
    start = posixpath.dirname(place_of(page)) or "."

    def lead(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        target = _target(page, link)
        if ":" in link or not (ROOT / target).exists():
            return match[0]
        is_page = not target.startswith("docs/") or target.endswith(".md") or target == DECISIONS
        place = place_of(target) if is_page else target.removeprefix("docs/")
        return f"{before}{posixpath.relpath(place, start)}{after}"

    parts = FENCE.split(text)
    parts[::2] = [LINK.sub(lead, part) for part in parts[::2]]
    return "".join(parts)


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Refuses a site in which a link, a picture or an anchor leads nowhere, or elsewhere.

    MkDocs checks links in Markdown; this checks what a browser gets.
    """
    site = Path(config.site_dir)
    parsed = {each.relative_to(site).as_posix(): _Html(each) for each in site.rglob("*.html")}
    wrong = []
    for page, html in parsed.items():
        if page == "404.html":  # its links begin at the root of the server
            continue
        for link, is_loaded in html.links:
            where, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                wrong += [f"{page} loads {link}"] if is_loaded and link[:5] != "data:" else []
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), where))
            target = page if not where else target
            if not (site / target).is_file():
                wrong.append(f"{page} leads to {link}, which is not there")
            elif anchor and target in parsed and unquote(anchor) not in parsed[target].ids:
                wrong.append(f"{page} leads to {link}, and there is no such place")
    if wrong:
        raise PluginError("\n".join(sorted(set(wrong))))


class _Html(HTMLParser):
    """The ids of a page, and its links: (target, whether the browser loads it with the page)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = {"__top"}
        self.links: list[tuple[str, bool]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects what a tag names and where it leads."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if tag in ("a", "link") and name == "href" and value:
                self.links.append((value, tag == "link" and ("rel", "canonical") not in attrs))
            if tag in ("img", "script", "source") and name == "src" and value:
                self.links.append((value, True))
