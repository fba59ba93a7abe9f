"""Draws docs/study.png and docs/study_de.png: a quick session in a real browser.

    python docs/make_study_pictures.py [en] [de]

Three phones and the facilitator's screen, in Chromium without a window. The statements are made for
the picture; nobody took part, and no model wrote. Run it after the pages have changed, and look at
what came out.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "tests"), str(DOCS.parent / "tests" / "study")]

from serving import free_port  # noqa: E402
from test_room_browsers import on_port  # noqa: E402

from commonweal.study.domain.quick import open_session, quick_study  # noqa: E402
from commonweal.study.simulation import stock  # noqa: E402
from commonweal.study.storage.store import Store  # noqa: E402

QUESTION = {
    "en": "Should local buses be free for everyone?",
    "de": "Sollten Busse in unserer Stadt für alle kostenlos sein?",
}
OPINIONS = {
    "en": (
        "I can't drive, and the fares eat a day's wage every week.",
        "Somebody pays for it. Put the money into more buses in the villages first.",
        "Free for children and pensioners, yes. I can pay my own way.",
    ),
    "de": (
        "Ich habe kein Auto, und die Fahrkarten kosten mich jede Woche einen Tageslohn.",
        "Irgendwer bezahlt das. Erst sollten mehr Busse in die Dörfer fahren.",
        "Für Kinder und Rentner gern. Ich selbst kann meine Fahrkarte bezahlen.",
    ),
}
STARTS = {
    "en": ("We would make buses free for children and pensioners first, and",),
    "de": ("Wir würden Busse zuerst für Kinder und Rentner kostenlos machen und",),
}
ENDS = {
    "en": (
        "run more of them in the villages before fares fall for all",
        "ask the council what free fares for everyone would cost",
        "keep a low fare for those who can pay it",
        "look after two years at who rides and who pays",
    ),
    "de": (
        "in den Dörfern mehr davon fahren lassen, bevor sie für alle billiger werden",
        "die Stadt fragen, was kostenlose Fahrten für alle kosten würden",
        "einen kleinen Preis behalten für alle, die ihn zahlen können",
        "nach zwei Jahren sehen, wer fährt und wer bezahlt",
    ),
}
PHONE, PROJECTOR = {"width": 320, "height": 640}, {"width": 1280, "height": 720}
MOST_STEPS = 40


def main() -> None:
    """Draws the pictures of the languages that are named, of both without a name."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for language in sys.argv[1:] or ("en", "de"):
            shots = session(chromium, language)
            put_together(chromium, shots, DOCS / f"study{'' if language == 'en' else '_de'}.png")
        chromium.close()


def session(chromium: Browser, language: str) -> list[bytes]:
    """The pictures of one session, in the order of what happens."""
    stock._STARTS, stock._ENDS = STARTS[language], ENDS[language]
    shots: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/quick.db"
        store = Store(url)
        study = quick_study([QUESTION[language]], language=language)
        study_id, token = open_session(store, study)
        store.close()
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        with on_port(port, url, study_id, base_url="http://192.0.2.17:8000"):
            room = chromium.new_context(viewport=PROJECTOR, locale=language).new_page()
            room.goto(f"{address}/f/{token}")
            people = [phone(chromium, address, language) for _ in OPINIONS[language]]
            room.reload()
            joining = room.screenshot()
            press(room, "form[action='/facilitator/start'] button")
            for page, text in zip(people, OPINIONS[language], strict=True):
                page.wait_for_selector("textarea", timeout=60_000)
                page.fill("textarea", text)
            shots.append(people[0].screenshot())
            for page in people:
                press(page, "form[action='/here/opinion'] button:not([formaction])")
                if page is people[0]:
                    shots.append(page.screenshot())
            for page in people:
                page.wait_for_selector("form[data-rating]", timeout=60_000)
            shots.append(people[0].screenshot())
            for place, page in enumerate(people):
                rate(page, 6 - place % 2)
            people[0].wait_for_selector("blockquote", timeout=60_000)
            people[0].wait_for_timeout(500)
            shots.append(people[0].screenshot())
            room.wait_for_timeout(2500)
            return [*shots, joining, room.screenshot()]


def phone(chromium: Browser, address: str, language: str) -> Page:
    """Somebody's phone, in the session."""
    page = chromium.new_context(viewport=PHONE, locale=language).new_page()
    page.goto(f"{address}/join")
    press(page, "button[value=agree]")
    return page


def rate(page: Page, agreement: int) -> None:
    """Rates statement after statement, until there is none."""
    for _ in range(MOST_STEPS):
        if not page.locator("form[data-rating]").count():
            return
        page.check(f"input[name=agreement][value='{agreement}']")
        if page.locator("input[name=quality]").count():
            page.check("input[name=quality][value='5']")
        press(page, "form[data-rating] button:not([formaction])")
        page.wait_for_timeout(200)


def press(page: Page, selector: str) -> None:
    """Presses a button that leads to another page."""
    page.wait_for_timeout(900)  # what is pressed while a page changes does nothing
    with page.expect_navigation(timeout=60_000):
        page.locator(selector).last.click()


def put_together(chromium: Browser, shots: list[bytes], path: Path) -> None:
    """One picture: the phones in a row, the facilitator's screens beside them."""
    pictures = [
        f'<img src="data:image/png;base64,{base64.b64encode(each).decode()}">' for each in shots
    ]
    page = chromium.new_page(viewport={"width": 1980, "height": 680})
    page.set_content(
        "<style>body{margin:0;background:#cdd2dd;display:flex;gap:20px;padding:20px;width:1940px}"
        "img{display:block}div{display:flex;flex-direction:column;gap:16px}"
        "div img{width:555px}</style>"
        + "".join(pictures[:4])
        + f"<div>{''.join(pictures[4:])}</div>"
    )
    page.wait_for_timeout(300)
    path.write_bytes(page.screenshot())
    page.close()


if __name__ == "__main__":
    main()
