"""Draws docs/report.png: the top of the report that `make run` writes.

    python docs/make_report_picture.py [out/report.html]

In Chromium without a window, down to the part that says what it is not. Run it after the text of
`make run` or the report's layout has changed, and look at what came out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
NOT_SHOWN = "section.caution"
"""The first part of the report that is not shown."""
WIDTH = 900


def draw(report: Path, picture: Path) -> None:
    """The picture of this report, WIDTH pixels wide."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": 1200})
        page.goto(report.resolve().as_uri())
        rest = page.locator(NOT_SHOWN).bounding_box()
        assert rest is not None  # noqa: S101 - every report has that part
        shown = {"x": 0, "y": 0, "width": WIDTH, "height": rest["y"]}
        page.screenshot(path=picture, full_page=True, clip=shown)
        chromium.close()


if __name__ == "__main__":
    draw(Path([*sys.argv[1:], "out/report.html"][0]), DOCS / "report.png")
