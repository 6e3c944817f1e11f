"""Make the README's pictures of the studio: a service of its own, clips by the bundled model, a real browser.

    HANEUL_CHROMIUM=/path/to/chromium python tools/make_studio_pictures.py docs/img

Sentences and seeds are fixed and nothing is picked. Together the pictures stay below 120 KB.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from serving import Running  # noqa: E402 - what runs a service for the tests does it here too

WAIT = 900_000  # milliseconds: the clips are made by two cores
MOST = 59_000  # bytes of a picture
WIDTH = 1024  # pixels of a picture
TAKES = "a red rubber ball bounces down grey stairs in a desert at sunset"
SHOTS = (
    "노란 공이 숲에서 왼쪽으로 굴러간다",
    "파란 자동차가 밤에 네온 거리를 달린다",
    "주황색 물고기가 바다에서 헤엄친다",
)


def save(page: Any, path: Path) -> None:
    """What the page shows, as the best JPEG that is small enough."""
    page.wait_for_timeout(6000)  # notes go away
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.LANCZOS)
    for quality in range(90, 30, -2):
        packed = io.BytesIO()
        shot.save(packed, "JPEG", quality=quality, optimize=True, progressive=True)
        if packed.tell() <= MOST:
            path.write_bytes(packed.getvalue())
            print(f"{path}: {packed.tell()} bytes, quality {quality}")
            return
    raise SystemExit(f"{path} cannot be made small enough")


def create(page: Any, root: str) -> None:
    """A sentence, what was understood of it, and its takes."""
    page.goto(f"{root}/#/create")
    page.fill("#prompt", TAKES)
    more = page.locator("summary", has_text="More")
    more.click()
    page.fill("#seed", "1")
    more.click()
    page.wait_for_selector(".chips .chip")
    page.click("#make")
    page.wait_for_selector(".grid.four .clip:nth-child(4) .badge")
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")


def board(page: Any, root: str, identity: str) -> None:
    """Three shots in order."""
    page.goto(f"{root}/#/board/{identity}")
    for number in range(len(SHOTS)):
        page.locator(".shot").nth(number).get_by_role("button", name="만들기").click()
        page.locator(".shot").nth(number).locator(".seen .badge").wait_for()
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        home = Path(scratch) / "home"
        home.mkdir()
        service = Running(home, Path(scratch) / "data", "--steps", "24")
        browser = playwright.chromium.launch(executable_path=os.environ.get("HANEUL_CHROMIUM"), args=["--no-sandbox"])

        def page(height: int, **how: str) -> Any:
            context = browser.new_context(viewport={"width": 1280, "height": height}, reduced_motion="reduce", **how)
            context.set_default_timeout(WAIT)
            return context.new_page()

        try:
            shown = page(1060, locale="en-US", color_scheme="light")
            create(shown, service.root)
            save(shown, folder / "studio-create.jpg")
            shots = [
                {"key": f"s{n}", "prompt": words, "transition": "dissolve" if n else "cut", "seconds": 2}
                for n, words in enumerate(SHOTS)
            ]
            told = {"title": "하늘 아래", "plan": {"shots": shots}}
            identity = service.http.post("/haneul/boards", json=told).json()["id"]
            shown = page(800, locale="ko-KR", color_scheme="dark")
            board(shown, service.root, identity)
            save(shown, folder / "studio-board.jpg")
        finally:
            browser.close()
            service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
