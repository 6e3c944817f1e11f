"""The room Play in a real browser, against a running service. Needs Chromium, named by HANEUL_CHROMIUM."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from serving import Running, wait_for
from visiting import PATIENCE, Visit, Wire, needs_browser, until

from haneul.serve.children import API, PLAY

pytestmark = needs_browser


def on(page: Any) -> None:
    """Waits until the world is seen."""
    page.wait_for_selector(".live[data-state=on]")


def frames(page: Any) -> int:
    return int(page.get_attribute(".live", "data-frames") or 0)


def over(page: Any, words: str) -> None:
    page.wait_for_selector(f".live[data-state=over] p:has-text('{words}')")


def test_a_ride_by_keyboard_alone(visit: Visit, service: Running) -> None:
    page = visit.to("play/nothing%20but%20a%20try/7")
    assert page.input_value("#ride") == "nothing but a try"
    until(page, "document.activeElement.type === 'submit'")
    assert page.get_attribute(".live", "data-state") == "idle", "an address alone begins nothing"
    page.fill("#ride", "a red car in the desert")
    page.keyboard.press("Enter")
    on(page)
    until(page, "document.activeElement.matches('.live')")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("a")
    assert page.locator(".pad.held").count() == 2
    page.keyboard.up("a")
    until(page, "document.querySelector('.live').dataset.delay > 0")
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("+document.querySelector('.map').dataset.things") > 5
    page.keyboard.up("ArrowUp")
    assert page.locator(".pad.held").count() == 0
    page.get_by_role("button", name="Go").focus()
    page.keyboard.down(" ")
    assert page.locator(".pad.held").count() == 1
    page.keyboard.up(" ")
    wait_for(lambda: frames(page) > 40, PATIENCE / 1000)
    page.get_by_role("button", name="Save the ride").focus()
    with page.expect_response(lambda answer: answer.url.endswith("/save")) as saved:
        page.keyboard.press("Enter")
    video = saved.value.json()["id"]
    page.wait_for_selector(".notes button:has-text('Open')")
    wait_for(lambda: frames(page) > 80, PATIENCE / 1000)
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog")
    page.keyboard.press("Escape")
    assert page.get_attribute(".live", "data-state") == "on"
    page.get_by_role("button", name="Stop").click()
    page.click("dialog button:has-text('Just stop')")
    over(page, "The ride is over.")
    assert service.http.get("/haneul/play").json()["worlds"] == []
    assert service.over(video)["status"] == "completed"
    page.goto(f"{visit.root}/#/clip/{video}")
    page.wait_for_selector(".facts dd:has-text('Ride')")
    assert page.locator("text=Make again").count() == 0


def test_by_finger_in_korean(browser: Any, service: Running) -> None:
    phone = {"locale": "ko-KR", "color_scheme": "dark", "viewport": {"width": 360, "height": 740}, "has_touch": True}
    visit = Visit(browser, service.root, **phone)
    page = visit.to("play")
    page.click("button:has-text('시작')")
    on(page)
    box = page.get_by_role("button", name="앞으로").bounding_box()
    assert box["height"] >= 44
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    assert page.locator(".pad.held").count() == 1
    until(page, "document.querySelector('.live').dataset.delay > 0")
    page.mouse.up()
    assert page.locator(".pad.held").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    [world] = service.http.get("/haneul/play").json()["worlds"]
    page.click("nav a[data-room=library]")  # a world that is left for a moment is found again
    page.wait_for_selector(".room[data-room=library]")
    page.click("nav a[data-room=play]")
    on(page)
    assert service.http.get("/haneul/play").json()["worlds"] == [world]
    service.http.delete(f"/haneul/play/{world}")
    over(page, "주행이 끝났습니다.")
    problems = visit.problems
    visit.context.close()
    assert problems == []


def test_what_goes_wrong_is_said(browser: Any, service: Running) -> None:
    visit = Visit(browser, service.root)
    page = visit.to("play")
    page.fill("#ride", "a naked woman")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert] .note.warn")
    page.fill("#ride", "")
    page.keyboard.press("Enter")
    on(page)
    other = visit.context.new_page()
    other.goto(f"{service.root}/#/play")  # another tab of the same person sees the same world
    on(other)
    other.close()
    for pid in service.processes(PLAY):
        os.kill(pid, signal.SIGKILL)
    over(page, "has died")
    page.click("button:has-text('Begin another')")
    on(page)
    for pid in service.processes(API)[:1]:
        os.kill(pid, signal.SIGKILL)
    over(page, "The ride is over: the service was started anew")
    visit.context.close()


def test_a_ride_outlives_a_cut_network_and_a_closed_tab(browser: Any, service: Running) -> None:
    wire = Wire(service.root)
    visit = Visit(browser, wire.root)
    page = visit.to("play")
    page.fill("#ride", "a red car in the desert")
    page.keyboard.press("Enter")
    on(page)
    [world] = service.http.get("/haneul/play").json()["worlds"]
    page.keyboard.down("ArrowUp")
    wait_for(lambda: frames(page) > 40, PATIENCE / 1000)
    wire.cut()
    page.wait_for_selector(".live[data-state=lost] p:has-text('Looking for your world')")
    assert page.locator(".pad.held").count() == 0, "nobody holds a key of a world that is not seen"
    with page.expect_request(lambda asked: asked.url.endswith("/keys")) as told:
        wire.mend()
    assert told.value.post_data_json["go"] == 0, "and the world is told so"
    on(page)
    wait_for(lambda: not page.locator(".notes > div:has-text('does not answer')").count(), PATIENCE / 1000)
    page.keyboard.up("ArrowUp")
    page.close()
    visit.page = page = visit.context.new_page()
    page.goto(f"{wire.root}/#/play")
    on(page)
    assert service.http.get("/haneul/play").json()["worlds"] == [world]
    assert page.input_value("#ride") == "a red car in the desert"
    wait_for(lambda: frames(page) > 40, PATIENCE / 1000)  # of the whole ride
    with page.expect_response(lambda answer: answer.url.endswith("/save")) as saved:
        page.get_by_role("button", name="Save the ride").click()
    video = saved.value.json()
    assert float(video["seconds"]) > 40 / 12, "with what was played before the cut"
    page.get_by_role("button", name="Stop").click()
    over(page, "The ride is over.")
    service.http.post(f"/haneul/videos/{video['id']}/cancel")  # that rides are drawn is seen elsewhere
    visit.context.close()
    wire.close()


def test_a_ride_left_for_long_is_saved_afterwards(browser: Any, serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data", "--world-idle", "2s", "--workers", "0", ready=False)
    try:
        visit = Visit(browser, running.root)
        page = visit.to("play")
        page.click("button:has-text('Begin')")
        on(page)
        wait_for(lambda: frames(page) > 40, PATIENCE / 1000)
        page.close()
        wait_for(lambda: running.http.get("/haneul/play").json()["unsaved"], PATIENCE / 1000)
        visit.page = page = visit.context.new_page()
        page.goto(f"{running.root}/#/play")
        over(page, "can still be saved")
        with page.expect_response(lambda answer: answer.url.endswith("/save")) as saved:
            page.click(".over button:has-text('Save the ride')")
        assert float(saved.value.json()["seconds"]) > 40 / 12
        page.wait_for_selector(".notes button:has-text('Open')")
        assert page.locator(".over button:has-text('Save the ride')").count() == 0
        page.reload()
        page.wait_for_selector(".live[data-state=idle]")
        assert visit.problems == []
        visit.context.close()
    finally:
        assert running.stop() == 0


def test_where_nothing_can_be_played(browser: Any, serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data", "--workers", "0", "--worlds", "0", ready=False)
    try:
        visit = Visit(browser, running.root)
        page = visit.to("play")
        page.wait_for_selector("h2:has-text('Nothing can be played here')")
        assert "--worlds" in page.inner_text(".empty")
        visit.context.close()
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stays_in_sight(browser: Any, service: Running, scheme: str) -> None:
    """World, buttons and tools are seen at once on an ordinary screen."""
    visit = Visit(browser, service.root, color_scheme=scheme)
    page = visit.to("play")
    page.click("button:has-text('Begin')")
    on(page)
    bottom = page.get_by_role("button", name="Stop").bounding_box()
    assert bottom["y"] + bottom["height"] <= 900
    page.get_by_role("button", name="Stop").click()
    if page.locator("dialog").count():
        page.click("dialog button:has-text('Just stop')")
    over(page, "The ride is over.")
    problems = visit.problems
    visit.context.close()
    assert problems == []
