"""What else is done in the rooms, each in English on a desk and in Korean, dark, on a phone. Needs HANEUL_CHROMIUM."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import Running, wait_for
from visiting import PATIENCE, Visit, needs_browser, table, until

pytestmark = needs_browser

LOOKS: dict[str, dict[str, Any]] = {
    "English, light, desktop": {"color_scheme": "light"},
    "Korean, dark, phone": {
        "locale": "ko-KR", "color_scheme": "dark", "viewport": {"width": 390, "height": 800}, "has_touch": True,
    },
}  # fmt: skip
DROP = """([data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], 'given.png', {type: 'image/png'}));
  document.querySelector('.say').dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
}"""


class Guest(Visit):
    """A visit whose words are looked up, so that one test walks in both languages."""

    def __init__(self, browser: Any, root: str, **how: Any) -> None:
        super().__init__(browser, root, **how)
        self.words = table("ko" if "locale" in how else "en")

    def press(self, name: str, within: str = "") -> None:
        """The button that is called so."""
        words = self.words[name]
        self.page.locator(f"{within} button").filter(has_text=words).or_(
            self.page.locator(f"{within} button[title='{words}']")
        ).first.click()

    def labelled(self, name: str) -> Any:
        return self.page.get_by_label(self.words[name], exact=True)


@pytest.fixture(params=LOOKS.values(), ids=LOOKS)
def guest(browser: Any, service: Running, request: pytest.FixtureRequest) -> Iterator[Guest]:
    made = Guest(browser, service.root, **request.param)
    yield made
    narrow = made.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    made.context.close()
    assert made.problems == []
    assert narrow, "nothing may be wider than the screen"


def test_a_picture_is_given_and_a_take_varied(guest: Guest, service: Running) -> None:
    page = guest.to("create")
    page.fill("#prompt", "a green box slides")
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (20, 120, 60)).save(file, "PNG")
    page.evaluate(DROP, [base64.b64encode(file.getvalue()).decode()])
    page.wait_for_selector(".given img")
    page.locator("summary", has_text=guest.words["camera.title"]).click()
    guest.press("camera.add")
    assert len(page.get_attribute(".dial .path", "d") or "") > 100  # the way is drawn
    page.select_option("#size", "own")
    page.fill("input[pattern='\\\\d+x\\\\d+']", "64x64")
    page.fill("#seconds", "0.2")
    page.select_option("#count", "1")
    page.click("#make")
    page.wait_for_selector(".grid.four .clip .badge")
    first = page.get_attribute(".grid.four .clip", "data-id")
    recipe = service.http.get(f"/haneul/library/{first}/recipe").json()
    assert recipe["options"]["camera"] == "orbit left"
    assert recipe["given"] == 1
    guest.press("vary.title", ".grid.four .clip")
    page.locator("dialog select").select_option("1")
    guest.press("vary.go", "dialog")
    until(page, "document.querySelectorAll('.grid.four .clip .badge').length === 2")
    varied = service.http.get(f"/haneul/library/{page.get_attribute('.grid.four .clip', 'data-id')}").json()
    assert (varied["mode"], varied["parents"]) == ("remix", [first])


def test_every_tool_of_the_editor(guest: Guest, service: Running, clips: list[str]) -> None:
    page = guest.to(f"edit/{clips[0]}")
    page.wait_for_selector(".film canvas")
    for tool in ("extend", "loop", "inpaint", "blend"):
        guest.labelled(f"edit.{tool}").check()
        if tool == "extend":
            guest.labelled("create.mode.before").check()
        if tool != "inpaint":
            guest.labelled("create.seconds").fill("0.3")
        if tool == "blend":
            guest.press("edit.other")
            page.locator("dialog .face").first.click()
            page.wait_for_selector("dialog", state="detached")
        if tool == "extend":
            guest.labelled("player.moment").fill("8")
            guest.press("edit.end.here")
        if tool == "inpaint":
            before = page.locator(".box").bounding_box()
            guest.press("edit.larger")
            page.locator(".player .screen").click(position={"x": 60, "y": 60})
            after = page.locator(".box").bounding_box()
            assert after["width"] > before["width"]
            assert after["x"] < before["x"]
        with page.expect_response(lambda answer, tool=tool: answer.url.endswith(f"/haneul/{tool}")) as asked:
            page.locator(".two .button.main").filter(has_text=guest.words[f"edit.{tool}.go"]).click()
        made = asked.value.json()["id"]
        page.wait_for_selector(f"a[href='#/edit/{made}']")  # before and after stand side by side
        slide = guest.labelled("edit.slide")
        slide.fill("20")
        assert page.evaluate("document.querySelector('.pane').style.getPropertyValue('--at')") == "20%"
        kept = service.http.get(f"/haneul/library/{made}").json()
        if tool == "extend":
            assert json.loads(asked.value.request.post_data)["end"] == pytest.approx(9 / 24)
        assert (kept["mode"], clips[0] in kept["parents"]) == (tool, True)


def test_a_storyboard_comes_back_from_an_editor(
    guest: Guest, service: Running, clips: list[str], tmp_path: Path
) -> None:
    shots = [
        {"key": f"k{n}", "prompt": f"a {word} box", "seconds": 0.3, "video_id": clips[n]}
        for n, word in enumerate(("red", "blue"))
    ]
    told = {"title": "Theirs", "plan": {"shots": shots, "size": "64x64"}}
    board = service.http.post("/haneul/boards", json=told).json()["id"]
    packed = zipfile.ZipFile(io.BytesIO(service.http.get(f"/haneul/boards/{board}/export").content))
    [name] = [one for one in packed.namelist() if one.endswith(".otio")]
    (tmp_path / "theirs.otio").write_bytes(packed.read(name))
    page = guest.to("board")
    page.set_input_files("input[accept^='.otio']", tmp_path / "theirs.otio")
    page.wait_for_selector(".shot >> nth=1 >> .badge")
    back = page.evaluate("location.hash.split('/')[2]")
    assert back != board

    def plan() -> Any:
        return service.http.get(f"/haneul/boards/{back}").json()["plan"]

    assert [shot["prompt"] for shot in plan()["shots"]] == ["a red box", "a blue box"]
    if page.viewport_size["width"] > 1000:
        page.locator(".shot .top").nth(1).drag_to(page.locator(".shot .top").first)
    else:  # by single presses
        guest.press("board.mover", ".shot >> nth=1 >>")
        page.locator("dialog select").select_option("0")
        guest.press("reading.take", "dialog")
    wait_for(lambda: [shot["prompt"] for shot in plan()["shots"]] == ["a blue box", "a red box"], PATIENCE / 1000)
    guest.labelled("board.remember").fill("in a snowy field")
    wait_for(lambda: plan()["remember"] == "in a snowy field", PATIENCE / 1000)
    page.locator("body").press("Control+z")
    page.locator(".picked-way").first.click()
    guest.press("camera.add", "dialog")
    guest.press("reading.take", "dialog")
    wait_for(lambda: plan()["shots"][0]["camera"] == "orbit left", PATIENCE / 1000)
    before = [shot["video_id"] for shot in plan()["shots"]]
    guest.press("board.make", ".shot >> nth=0 >>")  # one alone is made again
    wait_for(lambda: plan()["shots"][0]["video_id"] not in (None, before[0]), PATIENCE / 1000)
    assert plan()["shots"][1]["video_id"] == before[1]
    assert service.over(plan()["shots"][0]["video_id"])["status"] == "completed"
    for one in (board, back):
        service.http.delete(f"/haneul/boards/{one}")


def test_what_was_cancelled_is_tried_again_and_the_house_is_set_up(guest: Guest, service: Running) -> None:
    service.http.post("/haneul/queue/pause", json={})
    lost = service.make(prompt="a grey ball waits in vain")["id"]
    service.http.post(f"/haneul/videos/{lost}/cancel")
    service.http.post("/haneul/queue/resume", json={})
    page = guest.to("queue")
    row = page.locator(".jobs li").filter(has=page.locator(f"a[href='#/clip/{lost}']"))
    with page.expect_response(lambda answer: answer.url.endswith("/again")) as asked:
        row.get_by_role("button", name=guest.words["queue.retry"]).click()
    assert service.over(asked.value.json()["id"])["status"] == "completed"
    for theme in ("dark", "light"):
        guest.labelled(f"settings.theme.{theme}").check()
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
    other, name = ("en", "English") if "settings.theme" in guest.words and guest.words["cancel"] != "Cancel" else (
        "ko", "한국어",
    )  # fmt: skip
    page.get_by_label(name, exact=True).check()
    until(page, f"document.documentElement.lang === '{other}'")
    assert table(other)["queue.title"] in page.inner_text("h1")
    page.reload()
    page.wait_for_selector(f"h1:has-text('{table(other)['queue.title']}')")  # it is remembered
    service.http.delete(f"/videos/{lost}")


def test_the_library_is_searched_and_sorted(guest: Guest, service: Running, clips: list[str], tmp_path: Path) -> None:
    service.http.request("PATCH", f"/haneul/library/{clips[1]}", json={"favourite": True, "folder": "kept ones"})
    page = guest.to("library")
    page.wait_for_selector(".window .badge")
    guest.labelled("library.search").fill("cyan box")
    only = f".window:not(:has(.clip:not([data-id='{clips[1]}']))) .clip[data-id='{clips[1]}'] .badge"
    guest.press("library.favourites")
    page.wait_for_selector(only)
    guest.press("library.favourites")
    page.get_by_label(guest.words["library.folder"]).select_option("kept ones")
    page.wait_for_selector(only)
    guest.labelled("library.search").fill("there is no such clip")
    page.wait_for_selector(".empty h2")
    guest.press("library.all")  # one press leads out of it
    page.wait_for_selector(".window .clip .badge")
    face = page.locator(".window .clip:has(.badge) .face").first
    face.hover()
    until(page, "document.querySelector('.window video')?.currentTime > 0")  # it plays when one rests on it
    page.goto(f"{guest.root}/#/compare")
    with page.expect_download() as download:
        guest.press("compare.export")
    download.value.save_as(tmp_path / "preferences.jsonl")
    for line in (tmp_path / "preferences.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line)
    service.http.request("PATCH", f"/haneul/library/{clips[1]}", json={"favourite": False, "folder": None})
