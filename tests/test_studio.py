"""The studio in a real browser, against a running service. Needs Chromium, named by HANEUL_CHROMIUM."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
from serving import Running, wait_for
from visiting import ROOMS, THERE, Visit, needs_browser, until

from haneul.serve.children import API


def ask(page: Any, prompt: str, seconds: str) -> None:
    """Makes one smallest video in the room "create"."""
    page.fill("#prompt", prompt)
    page.select_option("#size", "own")
    page.fill("input[pattern='\\\\d+x\\\\d+']", "64x64")
    page.fill("#seconds", seconds)
    page.select_option("#count", "1")
    page.click("#make")


@needs_browser
@pytest.mark.parametrize(
    ("how", "sentence", "finished"),
    [
        ({"color_scheme": "light"}, "a red ball rolls past a zebra", "Library"),
        (
            {"locale": "ko-KR", "color_scheme": "dark", "viewport": {"width": 390, "height": 800}, "has_touch": True},
            "눈 속에서 빨간 공이 굴러간다", "보관함",
        ),
    ],
    ids=["English, desktop, light", "Korean, phone, dark"],
)  # fmt: skip
def test_from_a_sentence_to_the_library(
    browser: Any, service: Running, how: dict[str, Any], sentence: str, finished: str
) -> None:
    visit = Visit(browser, service.root, **how)
    page = visit.to("create")
    page.fill("#prompt", sentence)
    page.wait_for_selector(".chips .chip")
    if "zebra" in sentence:
        assert page.inner_text(".mirror mark") == "zebra"
    assert page.input_value("#caption")
    page.select_option("#size", "own")
    page.fill("input[pattern='\\\\d+x\\\\d+']", "64x64")
    page.fill("#seconds", "0.2")
    page.select_option("#count", "2")
    page.click("#make")
    until(page, "document.querySelectorAll('.grid.four .clip .badge').length === 2")
    first = page.locator(".grid.four .face").first
    first.focus()
    until(page, "document.querySelector('.grid.four video')?.readyState >= 2")
    page.click(f"nav a:has-text('{finished}')")
    page.wait_for_selector(".window .clip .badge")
    assert sentence in page.inner_text(".window .clip .words >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    problems = visit.problems
    visit.context.close()
    assert problems == []


@needs_browser
@pytest.mark.parametrize(
    "how", [{}, {"locale": "ko-KR", "color_scheme": "dark", "viewport": {"width": 360, "height": 740}}]
)
def test_every_room_opens_without_a_complaint(
    browser: Any, service: Running, clips: list[str], how: dict[str, Any]
) -> None:
    visit = Visit(browser, service.root, **how)
    for room in (*ROOMS, f"clip/{clips[0]}", f"edit/{clips[0]}", f"glass/{clips[0]}"):
        page = visit.to(room)
        page.wait_for_selector(THERE.get(room.partition("/")[0], "h1"), state="attached")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), room
        assert bool(re.search("[가-힣]", page.inner_text("nav"))) == bool(how), room
        assert page.evaluate("document.documentElement.lang") == ("ko" if how else "en")
    problems = visit.problems
    visit.context.close()
    assert problems == []


@needs_browser
def test_a_clip_is_sorted_varied_and_deleted(visit: Visit, service: Running, clips: list[str]) -> None:
    page = visit.to(f"clip/{clips[0]}")
    page.click("button.heart")
    page.get_by_label("4 of 5 stars").check()
    page.get_by_label("Folder").fill("boxes")
    page.get_by_label("Folder").blur()
    wait_for(lambda: service.http.get(f"/haneul/library/{clips[0]}").json()["folder"] == "boxes", 20)
    kept = service.http.get(f"/haneul/library/{clips[0]}").json()
    assert (kept["favourite"], kept["stars"]) == (True, 4)
    page.get_by_label("What to change").select_option("seed")
    page.click("button:has-text('Make again')")
    until(page, f"!location.hash.includes('{clips[0]}')")
    again = page.evaluate("location.hash.split('/')[2]")
    assert service.over(again)["status"] == "completed"
    page.wait_for_selector(".player video")
    page.click("button:has-text('Delete')")
    page.click("dialog button:has-text('Delete')")
    page.wait_for_selector(".room[data-room=library]")
    assert service.http.get(f"/videos/{again}").status_code == 404


@needs_browser
def test_the_editor_by_keyboard_alone(visit: Visit, service: Running, clips: list[str]) -> None:
    page = visit.to(f"edit/{clips[0]}")
    page.wait_for_selector(".film canvas")
    page.get_by_label("End", exact=True).focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("getComputedStyle(document.activeElement, '::-webkit-slider-thumb') !== null")
    while page.evaluate("document.activeElement.textContent") != "Trim":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".pane video")
    made = page.get_attribute("a:has-text('Go on with it')", "href").rpartition("/")[2]
    kept = service.http.get(f"/haneul/library/{made}").json()
    assert (kept["frames"], kept["parents"], kept["mode"]) == (12, [clips[0]], "assemble")
    page.get_by_label("Inpaint", exact=True).check()
    page.locator(".box").focus()
    before = page.locator(".box").bounding_box()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    after = page.locator(".box").bounding_box()
    assert after["x"] > before["x"]
    assert after["height"] > before["height"]


@needs_browser
def test_the_editor_is_found_as_it_was_left(visit: Visit, service: Running, clips: list[str]) -> None:
    page = visit.to(f"edit/{clips[1]}")
    page.wait_for_selector(".film canvas")
    page.get_by_label("Retake", exact=True).check()
    page.get_by_label("What should be seen").fill("a cyan box that is kept")
    page.get_by_label("End", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    end = page.get_by_label("End", exact=True).input_value()
    page.wait_for_timeout(300)
    with page.expect_response(lambda answer: answer.url.endswith("/haneul/retake")) as asked:
        page.click("button:has-text('Retake')")
    made = asked.value.json()["id"]
    page.wait_for_selector("[aria-label='Result'] .clip, .pane")
    page.wait_for_timeout(300)
    page.close()  # in the middle of it
    visit.page = visit.context.new_page()
    visit.watch(visit.page)
    page = visit.to("edit")
    page.wait_for_selector(".pane video")
    assert page.get_attribute("a:has-text('Go on with it')", "href") == f"#/edit/{made}"
    assert page.get_by_label("What should be seen").input_value() == "a cyan box that is kept"
    assert page.get_by_label("End", exact=True).input_value() == end


@needs_browser
def test_a_film_from_two_shots(visit: Visit, service: Running, tmp_path: Path) -> None:
    page = visit.to("board")
    page.click("button:has-text('New storyboard')")
    page.wait_for_selector(".shot textarea")
    board = page.evaluate("location.hash.split('/')[2]")
    plan = service.http.get(f"/haneul/boards/{board}").json()
    small = plan["plan"] | {"size": "64x64"}
    service.http.put(f"/haneul/boards/{board}", json={"title": "", "plan": small, "revision": plan["revision"]})
    page = visit.to(f"board/{board}")
    page.get_by_label("Title").fill("Two shots")
    page.locator(".shot textarea").fill("a black ball falls")
    page.get_by_label("Seconds").fill("0.7")
    page.click("button:has-text('Add a shot')")
    page.locator(".shot textarea").nth(1).fill("a pink ball falls")
    page.get_by_label("Seconds").nth(1).fill("0.7")
    page.get_by_label("How shot 2 follows").select_option("dissolve")
    page.locator(".mover").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".shot textarea").first.input_value() == "a pink ball falls"
    page.click("button:has-text('Undo')")
    assert page.locator(".shot textarea").first.input_value() == "a black ball falls"
    page.click("button:has-text('Make the film')")
    page.wait_for_selector("[aria-label='The film'] .player video")
    with page.expect_download() as download:
        page.click("button:has-text('Export OTIO')")
    download.value.save_as(tmp_path / "film.zip")
    with zipfile.ZipFile(tmp_path / "film.zip") as packed:
        assert sorted(name.partition("-")[0] for name in packed.namelist()) == [
            "Two shots.otio",
            "shots/01",
            "shots/02",
        ]

    page.click("[aria-label='The film'] button:has-text('GIF or WebM')")
    page.get_by_label("GIF, whole size").check()
    with page.expect_download() as download:
        page.click("dialog button:has-text('Download')")
    download.value.save_as(tmp_path / "film.gif")
    assert download.value.suggested_filename == "Two shots.gif"
    assert (tmp_path / "film.gif").read_bytes()[:6] == b"GIF89a"
    page.wait_for_selector("dialog", state="detached")

    # Another tab does not overwrite what was saved here.
    other = visit.context.new_page()
    other.goto(f"{service.root}/#/board/{board}")
    other.wait_for_selector(".shot textarea")
    page.get_by_label("Title").fill("Mine")
    wait_for(lambda: service.http.get(f"/haneul/boards/{board}").json()["title"] == "Mine", 30)
    other.get_by_label("Title").fill("Theirs")
    other.click("dialog button:has-text('Load the other one')")
    until(other, "document.querySelector('input.title')?.value === 'Mine'")
    assert service.http.get(f"/haneul/boards/{board}").json()["title"] == "Mine"
    visit.problems[:] = [text for text in visit.problems if "409" not in text]  # the browser tells of every refusal


@needs_browser
def test_the_queue_is_paused_and_goes_on(visit: Visit, service: Running) -> None:
    page = visit.to("queue")
    page.click("button:has-text('Pause')")
    page.wait_for_selector(".note:has-text('Paused')")
    video = service.make()["id"]
    page.wait_for_selector(f".jobs a[href='#/clip/{video}']")
    page.wait_for_selector(".jobs li:has-text('Paused')")
    assert service.http.get(f"/videos/{video}").json()["status"] == "queued"
    page.reload()  # it is told anew
    page.wait_for_selector("button:has-text('Go on')")
    page = visit.to("create")
    page.wait_for_selector("#about:has-text('Paused')")
    ask(page, "a green ball waits", "0.2")
    page.wait_for_selector(".grid.four .clip:has-text('Paused')")
    page.click("#notes button:has-text('Go on')")
    assert service.over(video)["status"] == "completed"
    page.wait_for_selector(".grid.four .clip .badge")
    page = visit.to("queue")
    page.wait_for_selector(".jobs:has-text('Nothing is being made')")


@needs_browser
def test_keys_limits_and_the_policy(browser: Any, serving_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"  # its policy is its own
    home.mkdir()
    shutil.copy(serving_home / "config.toml", home)
    running = Running(home, tmp_path / "data", "--workers", "0", ready=False)
    try:
        visit = Visit(browser, running.root)
        page = visit.to("admin")
        page.click("button:has-text('New key')")
        page.get_by_label("Whose it is").fill("Mina")
        page.get_by_role("spinbutton", name="Asked for in a minute").fill("3")
        page.get_by_role("spinbutton", name="Stored (MiB)").fill("5")
        page.click("button:has-text('Make the key')")
        secret = page.get_by_label("Key", exact=True).input_value()
        headers = {"authorization": f"Bearer {secret}"}
        me = running.http.get("/haneul/me", headers=headers).json()
        assert (me["name"], me["scopes"], me["limits"]["storage"]) == ("Mina", ["read", "write"], 5 * 2**20)
        page.click("dialog button:has-text('Close')")
        row = page.locator(f".keyring li[data-id='{me['id']}']")
        assert "0 of 3" in row.inner_text()
        row.get_by_role("button", name="Change").click()
        page.get_by_label("Make and delete").uncheck()
        page.get_by_role("spinbutton", name="Asked for in a minute").fill("")
        page.click("dialog button:has-text('Save')")
        wait_for(lambda: running.http.get("/haneul/me", headers=headers).json()["scopes"] == ["read"], 20)
        row.get_by_role("button", name="Revoke").click()
        page.click("dialog button:has-text('Revoke')")
        page.wait_for_selector("summary:has-text('1 revoked')")
        assert running.http.get("/haneul/me", headers=headers).status_code == 401

        page.get_by_label("What happens: a trademark").select_option("flag")
        page.click("summary:has-text('Words of your own')")
        page.get_by_label("Words that count too").fill("ectoplasm")
        page.click("button:has-text('Save the policy')")
        wait_for(lambda: len(running.http.get("/haneul/policy").json()["changes"]["terms"]) == 1, 20)
        page.get_by_label("Try a sentence").fill("ectoplasm drips from a box")
        page.keyboard.press("Enter")
        page.wait_for_selector(".note.bad:has-text('gore')")
        page = visit.to("admin")
        assert page.get_by_label("What happens: a trademark").input_value() == "flag"
        assert page.get_by_label("What happens: sexual content with minors").is_disabled()
        problems = visit.problems
        visit.context.close()
        assert problems == []
    finally:
        assert running.stop() == 0


@needs_browser
def test_a_cut_network_and_a_closed_tab_lose_nothing_of_a_board(visit: Visit, service: Running) -> None:
    page = visit.to("board")
    page.click("button:has-text('New storyboard')")
    page.wait_for_selector(".shot textarea")
    board = page.evaluate("location.hash.split('/')[2]")

    def kept(words: str) -> bool:
        return words in json.dumps(service.http.get(f"/haneul/boards/{board}").json())

    visit.context.set_offline(True)
    page.get_by_label("Title").fill("written while cut off")
    page.wait_for_selector("[role=status]:has-text('does not answer')")
    assert not kept("written while cut off")
    visit.context.set_offline(False)
    wait_for(lambda: kept("written while cut off"), 30)
    page.locator(".shot textarea").fill("typed in the last moment")
    page.close()  # before it is saved by itself
    wait_for(lambda: kept("typed in the last moment"), 10)
    visit.problems[:] = [text for text in visit.problems if "ERR_INTERNET_DISCONNECTED" not in text]


@needs_browser
def test_two_are_compared(visit: Visit, service: Running, clips: list[str]) -> None:
    before = service.http.get("/haneul/feedback/statistics").json()["pairs"]
    page = visit.to("compare")
    page.wait_for_selector(".sides video >> nth=1")
    page.click("button:has-text('Left is better')")
    wait_for(lambda: service.http.get("/haneul/feedback/statistics").json()["pairs"] == before + 1, 30)


@needs_browser
def test_a_file_is_looked_into(visit: Visit, service: Running, clips: list[str], tmp_path: Path) -> None:
    signed = service.http.get(f"/videos/{clips[0]}/content").content
    changed = bytearray(signed)
    changed[-200] ^= 1
    page = visit.to("glass")
    for content, kind in ((signed, "good"), (bytes(changed), "bad")):
        file = tmp_path / f"{kind}.mp4"
        file.write_bytes(content)
        page.set_input_files("#verify-file", file)
        page.wait_for_selector(f".verdict .note.{kind} strong")
        assert file.name in page.inner_text(".verdict .note")


@needs_browser
def test_what_went_into_a_clip_is_drawn(visit: Visit, service: Running, clips: list[str]) -> None:
    cuts = [{"clip": {"video_id": clip}} for clip in clips]
    film = service.http.post("/haneul/assemble", json={"cuts": cuts}).json()["id"]
    assert service.over(film)["status"] == "completed"
    page = visit.to(f"glass/{film}")
    page.wait_for_selector(f".tree a.here[href='#/clip/{film}']")
    drawn = page.eval_on_selector_all(".tree a", "links => links.map((link) => link.getAttribute('href'))")
    assert {f"#/clip/{clip}" for clip in (film, *clips)} <= set(drawn)
    assert page.locator(".verdict .flow li").count() == 2


@needs_browser
def test_a_scene_of_the_training_is_seen(visit: Visit) -> None:
    page = visit.to("glass")
    page.get_by_role("button", name="Show one").first.click()
    page.wait_for_selector(".scenes video.sample", timeout=300_000)
    until(page, "document.querySelector('video.sample').readyState >= 2")


@needs_browser
def test_what_the_screen_refuses_is_told_kindly(visit: Visit) -> None:
    page = visit.to("create")
    page.fill("#prompt", "graphic beheading, blood and gore everywhere")
    page.wait_for_selector(".note.warn strong")
    assert "gore" in page.inner_text(".note.warn >> nth=0")
    assert "without wounds" in page.inner_text(".note.warn >> nth=0")


@needs_browser
def test_a_service_that_goes_away_and_comes_back_loses_nothing(browser: Any, service: Running) -> None:
    visit = Visit(browser, service.root)
    page = visit.to("create")
    ask(page, "a brown ball that is kept", "2")
    page.wait_for_selector(".grid.four .clip")
    for pid in service.processes(API):
        os.kill(pid, signal.SIGKILL)
    page.wait_for_selector(".grid.four .clip .badge")
    page = visit.to("create")
    assert page.input_value("#prompt") == "a brown ball that is kept"
    page.wait_for_selector(".grid.four .clip .badge")
    visit.context.close()


@needs_browser
def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Any, serving_home: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = Running(serving_home, data, "--require-key", "--workers", "0", ready=False)
    try:
        from haneul.serve.database import Database
        from haneul.serve.keys import Keys

        key = Keys(Database(data / "jobs.sqlite")).create("studio")
        visit = Visit(browser, running.root)
        page = visit.page
        page.goto(running.root)
        page.fill("dialog input", "hnl_wrong_key")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog .note.bad")
        page.fill("dialog input", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#prompt")
        page.click("nav a:has-text('Library')")
        page.wait_for_selector(".empty h2")
        assert page.evaluate("sessionStorage.length === 1 && !JSON.stringify(localStorage).includes('hnl_')")
        visit.context.close()
    finally:
        assert running.stop() == 0
