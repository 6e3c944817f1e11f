"""The studio for everybody: WCAG 2.2 AA by axe-core on every page, and the whole way by keyboard alone.

Needs Chromium (HANEUL_CHROMIUM), and for the first part axe-core (HANEUL_AXE names its axe.min.js; `npm pack axe-core`
fetches it).
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from serving import Running, wait_for
from visiting import CHROMIUM, ROOMS, THERE, Visit, needs_browser, table, until

AXE = os.environ.get("HANEUL_AXE")
needs_axe = pytest.mark.skipif(
    not AXE or not CHROMIUM,
    reason="name a browser with HANEUL_CHROMIUM and axe-core with HANEUL_AXE=/path/to/axe.min.js",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOKS: dict[str, dict[str, Any]] = {
    "English, light, desktop": {"color_scheme": "light"},
    "English, dark, desktop": {"color_scheme": "dark"},
    "Korean, light, phone": {"locale": "ko-KR", "color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "Korean, dark, phone": {"locale": "ko-KR", "color_scheme": "dark", "viewport": {"width": 390, "height": 800}},
}


#: Rooms and the words on buttons that open a dialog there.
DIALOGS = {"clip/{}": ("vary.title", "export.open", "clip.delete"), "admin": ("keys.new",)}


def against(page: Any) -> list[str]:
    """What axe-core holds against a page as it stands, with everything opened that can be."""
    page.evaluate("() => document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    found = page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then((found) => found.violations"
        ".flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary}`)))",
        RULES,
    )
    return [str(entry) for entry in found]


@needs_axe
@pytest.mark.parametrize("how", LOOKS.values(), ids=LOOKS)
def test_nothing_stands_in_anybodys_way(
    browser: Any, service: Running, clips: list[str], how: dict[str, Any]
) -> None:  # fmt: skip
    assert AXE is not None
    shots = [{"key": f"s{n}", "prompt": "a ball", "video_id": clips[n]} for n in (0, 1)]
    board = service.http.post("/haneul/boards", json={"title": "Two", "plan": {"shots": shots}}).json()["id"]
    lost = service.make()["id"]
    service.http.post(f"/haneul/videos/{lost}/cancel")
    visit = Visit(browser, service.root, **how, reduced_motion="reduce")
    visit.context.add_init_script(path=AXE)  # not as a part of the page, whose policy would forbid it
    wrong: dict[str, list[str]] = {}
    pages = (*ROOMS, f"clip/{clips[0]}", f"clip/{lost}", f"edit/{clips[0]}", f"glass/{clips[0]}", f"board/{board}")
    try:
        for room in pages:
            page = visit.to(room)
            page.wait_for_selector(THERE.get(room.partition("/")[0], "h1"), state="attached")
            if room.startswith("glass/"):
                page.wait_for_selector(".verdict .facts")
            if room == "create":
                page.fill("#prompt", "a red ball rolls past a zebra")
                page.wait_for_selector(".chips .chip")
            wrong[room] = against(page)
        page = visit.to(f"edit/{clips[0]}")
        for tool in page.locator(".card .segments input[type=radio]").all()[:6]:
            tool.check()
            wrong[f"edit, {tool.get_attribute('value')}"] = against(page)
        words = table("ko" if "locale" in how else "en")
        for room, names in DIALOGS.items():
            page = visit.to(room.format(clips[0]))
            for name in names:
                page.click(f"button:has-text('{words[name]}') >> nth=0")
                page.wait_for_selector("dialog h2")
                wrong[f"dialog {name}"] = against(page)
                page.keyboard.press("Escape")
                page.wait_for_selector("dialog", state="detached")
        page = visit.to(f"board/{board}")
        for opens in (".picked-way", ".mover"):
            page.locator(opens).first.click()
            page.wait_for_selector("dialog h2")
            if opens == ".picked-way":
                page.click(f"dialog button:has-text('{words['camera.add']}')")
            wrong[f"dialog {opens}"] = against(page)
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog", state="detached")
        assert {name: found for name, found in wrong.items() if found} == {}
        assert visit.problems == []
    finally:
        visit.context.close()
        service.http.delete(f"/haneul/boards/{board}")
        service.http.delete(f"/videos/{lost}")


SEEN = """() => {
  if (document.activeElement === document.body) return true; // the page is over: it begins anew
  for (let one = document.activeElement; one && one !== document.body; one = one.parentElement) {
    const look = getComputedStyle(one);
    if (look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2) return true;
  }
  return false;
}"""


class Keyboard:
    """Somebody without a mouse. Everything that is passed on the way must show that it has the focus."""

    def __init__(self, page: Any) -> None:
        self.page, self.press, self.type = page, page.keyboard.press, page.keyboard.type

    def to(self, what: str, words: str = "", most: int = 120) -> None:
        """By Tab to an element that fits a selector and has some words in its text or name."""
        here = (
            "([what, words]) => { const one = document.activeElement; return one.matches(what)"
            " && `${one.textContent} ${one.getAttribute('aria-label') ?? ''}`.includes(words); }"
        )
        for _ in range(most):
            self.press("Tab")
            assert self.page.evaluate(SEEN), self.page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)")
            if self.page.evaluate(here, [what, words]):
                return
        raise AssertionError(f"no Tab leads to {what} {words!r}")

    def enter(self, what: str, words: str = "") -> None:
        self.to(what, words)
        self.press("Enter")


@needs_browser
def test_by_keyboard_alone(visit: Visit, service: Running, tmp_path: Path) -> None:
    page = visit.to("create")
    keys = Keyboard(page)
    keys.to("#prompt")
    keys.type("a white ball falls")
    keys.to("#size")
    keys.press("End")  # a size of one's own
    keys.to("input[pattern]")
    keys.press("Control+a")
    keys.type("64x64")
    keys.to("#seconds")
    keys.press("Control+a")
    keys.type("0.7")
    keys.to("#count")
    keys.press("Home")
    page.locator("#prompt").focus()
    keys.press("Control+Enter")
    page.wait_for_selector(".grid.four .clip .badge")
    keys.enter(".grid.four .face")
    page.wait_for_selector(".player video")
    keys.enter("button", "GIF or WebM")
    page.wait_for_selector("dialog h2")
    with page.expect_download() as download:
        keys.enter("dialog button", "Download")
    assert download.value.suggested_filename.endswith(".gif")
    page.wait_for_selector("dialog", state="detached")

    keys.enter("nav a", "Storyboard")
    page.wait_for_selector(".room[data-room=board] h1")
    keys.enter("button", "New storyboard")
    page.wait_for_selector(".shot textarea")
    board = page.evaluate("() => location.hash.split('/')[2]")
    keys.to(".controls select")
    keys.press("End")
    assert page.evaluate("() => document.activeElement.value") == "64x64"
    keys.to(".shot textarea")
    keys.type("a black ball falls")
    keys.enter("button", "Add a shot")
    keys.type("a pink ball falls")  # its field has the focus
    for number in (1, 2):
        page.locator(".shot textarea").nth(number - 1).focus()
        keys.to("input[type=number]")
        keys.press("Control+a")
        keys.type("0.3")
        keys.press("Tab")
    page.locator(".shot textarea").first.focus()
    keys.to(".mover")
    keys.press("ArrowLeft")
    wait_for(
        lambda: [s["prompt"] for s in service.http.get(f"/haneul/boards/{board}").json()["plan"]["shots"]]
        == ["a pink ball falls", "a black ball falls"], 30,
    )  # fmt: skip
    assert page.evaluate("() => document.activeElement.matches('.mover')")  # still, where it went
    page.locator("input.title").focus()
    keys.enter("button", "Make the film")
    page.wait_for_selector("[aria-label='The film'] .player video")
    page.locator("input.title").focus()
    with page.expect_download() as download:
        keys.enter("button", "Export OTIO")
    download.value.save_as(tmp_path / "film.zip")
    with zipfile.ZipFile(tmp_path / "film.zip") as packed:
        assert len([name for name in packed.namelist() if name.startswith("shots/")]) == 2
    until(page, "document.activeElement !== document.body")
