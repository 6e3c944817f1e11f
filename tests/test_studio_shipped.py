"""The studio with the weights that ship, in a real browser: takes of a sentence, shots of a film, a ride.

Needs Chromium, named by HANEUL_CHROMIUM. HANEUL_PICTURES names a folder for the README's pictures, which these tests
then make on their way (`tools/make_studio_pictures.py` runs them so): sentences and seeds are fixed, nothing is picked.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import Running, wait_for
from visiting import Visit, needs_browser, until

from haneul.backbones.native import BUNDLED
from haneul.evals.reader import load_reader
from haneul.evals.similar import build_index

pytestmark = needs_browser

PICTURES = os.environ.get("HANEUL_PICTURES")
STEPS, SECONDS = ("12", "2") if PICTURES else ("1", "0.5")  # without pictures nobody looks at what is made
WAIT = 900_000  # milliseconds: two cores that may be shared make it
MOST = 40_000  # bytes of a picture
WIDTH = 896  # pixels of a picture
TAKES = "a red rubber ball bounces down grey stairs in a desert at sunset"
SHOTS = (
    "노란 공이 숲에서 왼쪽으로 굴러간다",
    "파란 자동차가 밤에 네온 거리를 달린다",
    "주황색 물고기가 바다에서 헤엄친다",
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service as it is after `pip install`: no settings, and so the bundled weights."""
    root = tmp_path_factory.mktemp("shipped")
    (root / "home").mkdir()
    running = Running(root / "home", root / "data", "--steps", STEPS)
    yield running
    assert running.stop() == 0


def visited(browser: Any, root: str, height: int, **how: Any) -> Visit:
    visit = Visit(browser, root, viewport={"width": 1280, "height": height}, reduced_motion="reduce", **how)
    visit.context.set_default_timeout(WAIT)
    return visit


def picture(page: Any, name: str) -> None:
    """What the page shows, as the best JPEG that is small enough."""
    if not PICTURES:
        return
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")
    until(page, "!document.querySelector('.notes > div')")
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.LANCZOS)
    for quality in range(90, 30, -2):
        packed = io.BytesIO()
        shot.save(packed, "JPEG", quality=quality, optimize=True, progressive=True)
        if packed.tell() <= MOST:
            (Path(PICTURES) / f"{name}.jpg").write_bytes(packed.getvalue())
            return
    raise AssertionError(f"{name} cannot be made small enough")


def closed(visit: Visit) -> None:
    """Ends a visit; nothing may have been said against it."""
    visit.context.close()
    assert visit.problems == []


def test_a_sentence_and_its_takes(browser: Any, shipped: Running) -> None:
    visit = visited(browser, shipped.root, 1060, color_scheme="light")
    page = visit.to("create")
    page.fill("#prompt", TAKES)
    page.fill("#seconds", SECONDS)
    more = page.locator("summary", has_text="More")
    more.click()
    page.fill("#seed", "1")
    more.click()
    page.wait_for_selector(".chips .chip:has-text('desert')")
    page.click("#make")
    page.wait_for_selector(".grid.four .clip:nth-child(4) .badge")
    picture(page, "studio-create")
    assert page.locator(".grid.four img").count() == 4
    closed(visit)


def test_a_storyboard_in_korean(browser: Any, shipped: Running) -> None:
    shots = [
        {"key": f"s{n}", "prompt": words, "transition": "dissolve" if n else "cut", "seconds": float(SECONDS)}
        for n, words in enumerate(SHOTS)
    ]
    told = {"title": "하늘 아래", "plan": {"shots": shots}}
    board = shipped.http.post("/haneul/boards", json=told).json()["id"]
    visit = visited(browser, shipped.root, 800, locale="ko-KR", color_scheme="dark")
    page = visit.to(f"board/{board}")
    for number in range(len(SHOTS)):
        page.locator(".shot").nth(number).get_by_role("button", name="만들기").click()
        page.locator(".shot").nth(number).locator(".seen .badge").wait_for()
    picture(page, "studio-board")
    plan = shipped.http.get(f"/haneul/boards/{board}").json()["plan"]
    for shot in plan["shots"]:
        assert shipped.http.get(f"/videos/{shot['video_id']}").json()["status"] == "completed"
    closed(visit)


def test_the_nearest_training_clips_of_a_video(browser: Any, shipped: Running, shards: Path) -> None:
    asked = {"prompt": "a blue ball rolls in the snow", "seconds": "0.5", "size": "448x256"}
    video = shipped.over(shipped.http.post("/videos", json=asked).json()["id"], WAIT / 1000)["id"]
    visit = visited(browser, shipped.root, 900)
    page = visit.to(f"glass/{video}")
    look = page.get_by_role("button", name="Look for them")
    look.click()
    page.wait_for_selector(".note:has-text('There is no index of training clips on this machine')")
    path = shipped.data.parent / "home" / "cache" / "training-clips.npz"
    path.parent.mkdir(exist_ok=True)
    index = build_index(load_reader(BUNDLED / "reader.safetensors"), shards, path)
    look.click()
    page.wait_for_selector(".note:has-text('of the training clips are as near to another one')")
    rows = page.locator("div:has(> h3:has-text('Nearest training clips')) tbody tr")
    names = rows.locator("td:first-child").all_inner_texts()
    distances = [float(told) for told in rows.locator("td.number").all_inner_texts()]
    assert names
    assert set(names) <= set(index.names)
    assert distances == sorted(distances)
    closed(visit)


def test_a_ride_is_saved_to_the_library(browser: Any, shipped: Running) -> None:
    visit = visited(browser, shipped.root, 900)
    page = visit.to("play")
    page.fill("#ride", "a red car in the desert")
    page.keyboard.press("Enter")
    page.wait_for_selector(".live[data-state=on]")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("ArrowLeft")
    wait_for(lambda: int(page.get_attribute(".live", "data-frames") or 0) >= 24, WAIT / 1000)
    page.keyboard.up("ArrowLeft")
    page.keyboard.up("ArrowUp")
    with page.expect_response(lambda answer: answer.url.endswith("/save")) as saved:
        page.get_by_role("button", name="Save the ride").click()
    video = saved.value.json()["id"]
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(300)
    assert page.locator("dialog").count() == 0, "it was saved just now, so nobody is asked"
    page.wait_for_selector(".live[data-state=over]")

    page.click("nav a[data-room=library]")
    page.get_by_label("Made by").select_option("play")
    page.wait_for_selector(f".window .clip[data-id={video}] .badge")
    card = page.locator(f".clip[data-id={video}]")
    assert "a red car in the desert" in card.inner_text()
    card.locator(".face").click()
    page.wait_for_selector(".player video")
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "document.querySelector('.player video').currentTime > 0.2")
    assert re.search(r"Ride.*haneul-live", page.inner_text(".facts"), re.DOTALL)
    kept = shipped.http.get(f"/haneul/library/{video}").json()
    assert (kept["mode"], kept["video"]["size"]) == ("play", "896x512")
    assert kept["frames"] > 40  # two seconds and more of a world, drawn with twice as many frames

    page.click("a:has-text('Glass box') >> nth=-1")
    page.wait_for_selector(".verdict .note.good strong")
    assert "haneul-live" in page.inner_text(".verdict")
    closed(visit)
