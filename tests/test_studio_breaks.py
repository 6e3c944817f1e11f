"""The studio when something breaks in the middle: in every room the network is cut, the service killed, the tab closed.

Nothing that somebody did is lost, nothing is done twice, and the page says how things stand. Needs Chromium, named by
HANEUL_CHROMIUM. Play, whose worlds live in the service's memory, is at the end.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from serving import Running, wait_for
from visiting import PATIENCE, Visit, needs_browser

from haneul.serve.children import API

pytestmark = needs_browser

SAID = ".notes > div, [role=alert], [role=status]"  # where a page says how things stand
CUT = "does not answer"
#: What the browser's console holds against a page whose network was cut: that it was.
EXPECTED = ("ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "ERR_NETWORK", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY")


@dataclass
class Scene:
    """One room and something that is done there."""

    service: Running
    clips: list[str]
    folder: Path
    seen: dict[str, Any] = field(default_factory=dict)  # what one step tells the next

    def get(self, path: str) -> Any:
        return self.service.http.get(f"/haneul/{path}").json()

    def words(self, text: str) -> list[Any]:
        """The videos of a sentence."""
        found: list[Any] = self.get(f"library?q={text}")["data"]
        return found


@dataclass(frozen=True)
class Flow:
    """`ready` fills the room of `room`, `act` does the thing, `done` tells whether the service has it; `itself` where
    the page does it by itself once it can, and need not be asked again."""

    room: Callable[[Scene], str]
    act: Callable[[Any, Scene], None]
    done: Callable[[Any, Scene], bool]
    ready: Callable[[Any, Scene], None] = lambda _page, _scene: None
    itself: bool = False


def write(page: Any, scene: Scene) -> None:
    page.fill("#prompt", "a violet ball rolls to and fro")
    page.select_option("#size", "own")
    page.fill("input[pattern='\\\\d+x\\\\d+']", "64x64")
    page.fill("#seconds", "0.2")
    page.select_option("#count", "1")


def emptied(page: Any, scene: Scene) -> None:
    page.get_by_label("Search the sentences").fill("nothing is called this")
    page.wait_for_selector(".empty h2")


def star(page: Any, scene: Scene) -> None:
    page.get_by_label(f"{scene.seen['stars']} of 5 stars").check(force=True)


def starred(page: Any, scene: Scene) -> bool:
    return bool(scene.get(f"library/{scene.clips[0]}")["stars"] == scene.seen["stars"])


def before_stars(page: Any, scene: Scene) -> None:
    page.wait_for_selector(".stars input", state="attached")
    scene.seen["stars"] = (scene.get(f"library/{scene.clips[0]}")["stars"] or 0) % 5 + 1


def before_trim(page: Any, scene: Scene) -> None:
    page.get_by_label("Trim", exact=True).check()
    page.get_by_label("End", exact=True).focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    scene.seen["cuts"] = scene.get("library?mode=assemble")["total"]


def new_board(scene: Scene) -> str:
    told = {"title": "", "plan": {"shots": [{"key": "a", "prompt": "a ball"}]}}
    scene.seen["board"] = scene.service.http.post("/haneul/boards", json=told).json()["id"]
    return f"board/{scene.seen['board']}"


def new_pair(scene: Scene) -> str:
    """Two clips that nobody has compared."""
    if "pair" not in scene.seen:
        body = {"prompt": "a grey box slides", "seconds": 0.2, "size": "64x64", "count": 2}
        scene.seen["pair"] = [
            one["id"] for one in scene.service.http.post("/haneul/variations", json=body).json()["data"]
        ]
        for one in scene.seen["pair"]:
            scene.service.over(one)
    return "compare"


def before_vote(page: Any, scene: Scene) -> None:
    page.wait_for_selector(".sides video >> nth=1")
    scene.seen["pairs"] = scene.get("feedback/statistics")["pairs"]


def drop(page: Any, scene: Scene) -> None:
    page.set_input_files("#verify-file", scene.folder / "asked.mp4")


def before_drop(page: Any, scene: Scene) -> None:
    signed = scene.service.http.get(f"/videos/{scene.clips[0]}/content").content
    (scene.folder / "asked.mp4").write_bytes(signed)


def unpause(page: Any, scene: Scene) -> None:
    scene.service.http.post("/haneul/queue/resume", json={})
    page.wait_for_selector(".figures strong")


FLOWS = {
    "create": Flow(
        lambda _: "create", lambda page, _: page.click("#make"),
        lambda _, scene: len(scene.words("violet ball rolls to and fro")) == 1, ready=write,
    ),
    "library": Flow(
        lambda _: "library",
        lambda page, scene: page.get_by_label("Search the sentences").fill("cyan box"),
        lambda page, _: page.locator(".window .clip .badge").count() >= 2, ready=emptied, itself=True,
    ),
    "clip": Flow(lambda scene: f"clip/{scene.clips[0]}", star, starred, ready=before_stars, itself=True),
    "edit": Flow(
        lambda scene: f"edit/{scene.clips[0]}", lambda page, _: page.click("button:has-text('Trim')"),
        lambda _, scene: scene.get("library?mode=assemble")["total"] == scene.seen["cuts"] + 1, ready=before_trim,
    ),
    "board": Flow(
        new_board, lambda page, _: page.get_by_label("Title").fill("never lost"),
        lambda _, scene: scene.get(f"boards/{scene.seen['board']}")["title"] == "never lost", itself=True,
    ),
    "compare": Flow(
        new_pair, lambda page, _: page.click("button:has-text('No difference')"),
        lambda _, scene: scene.get("feedback/statistics")["pairs"] == scene.seen["pairs"] + 1, ready=before_vote,
    ),
    "glass": Flow(
        lambda _: "glass", drop, lambda page, _: page.locator(".verdict .note.good strong").count() == 1,
        ready=before_drop,
    ),
    "queue": Flow(
        lambda _: "queue", lambda page, _: page.click("button:has-text('Pause')"),
        lambda _, scene: bool(scene.get("queue")["paused"]), ready=unpause,
    ),
    "admin": Flow(
        lambda _: "admin", lambda page, _: page.click("button:has-text('Pause everybody')"),
        lambda _, scene: bool(scene.get("queue")["everybody"]),
    ),
}  # fmt: skip


@pytest.fixture
def scene(service: Running, clips: list[str], tmp_path: Path) -> Iterator[Scene]:
    yield Scene(service, clips, tmp_path)
    service.http.post("/haneul/queue/resume", json={})
    service.http.post("/haneul/queue/resume", json={"everybody": True})
    for video in service.http.get("/haneul/library?q=violet ball rolls to and fro").json()["data"]:
        service.over(video["id"])
        service.http.delete(f"/videos/{video['id']}")


def harmless(problems: list[str]) -> list[str]:
    return [text for text in problems if not any(one in text for one in EXPECTED)]


def once_more(page: Any, flow: Flow, scene: Scene) -> None:
    """Does the thing again until the service has it, as somebody would who is told that it does not answer."""
    if not flow.itself:
        flow.act(page, scene)
    wait_for(lambda: flow.done(page, scene), PATIENCE / 1000)


def come_in(visit: Visit, scene: Scene, room: str) -> tuple[Flow, Any]:
    """A room whose flow is ready to be broken."""
    flow = FLOWS[room]
    page = visit.to(flow.room(scene))
    flow.ready(page, scene)
    page.wait_for_timeout(300)
    return flow, page


@pytest.mark.parametrize("room", FLOWS)
def test_a_cut_network(visit: Visit, scene: Scene, room: str) -> None:
    flow, page = come_in(visit, scene, room)
    visit.context.set_offline(True)
    flow.act(page, scene)
    page.wait_for_selector(f":is({SAID}):has-text('{CUT}')", state="attached")
    assert not flow.done(page, scene)
    visit.context.set_offline(False)
    page.wait_for_selector(".notes > div:has-text('Connected again')")
    once_more(page, flow, scene)
    visit.problems[:] = harmless(visit.problems)


@pytest.mark.parametrize("room", FLOWS)
def test_a_killed_service(visit: Visit, scene: Scene, room: str) -> None:
    flow, page = come_in(visit, scene, room)
    for pid in scene.service.processes(API):  # the one that answers, and the one that stands by
        os.kill(pid, signal.SIGKILL)
    flow.act(page, scene)
    page.wait_for_timeout(1000)
    scene.service.http.get(f"{scene.service.root}/healthz")  # it was started anew
    if not flow.done(page, scene):
        page.wait_for_timeout(1000)
        if not flow.done(page, scene):
            once_more(page, flow, scene)
    assert flow.done(page, scene)
    visit.problems[:] = harmless(visit.problems)


@pytest.mark.parametrize("room", FLOWS)
def test_a_closed_tab(visit: Visit, scene: Scene, room: str) -> None:
    flow, page = come_in(visit, scene, room)
    flow.act(page, scene)
    page.wait_for_timeout(100)
    page.close(run_before_unload=False)
    visit.page = visit.context.new_page()
    visit.watch(visit.page)
    page = visit.to(flow.room(scene) if room != "board" else f"board/{scene.seen['board']}")
    if room == "library":  # what was looked for is still there
        assert page.get_by_label("Search the sentences").input_value() == "cyan box"
    if room == "glass":  # nothing was kept of the file: it is dropped again
        drop(page, scene)
    wait_for(lambda: flow.done(page, scene), PATIENCE / 1000)


def test_a_room_that_is_opened_while_the_network_is_cut(visit: Visit, clips: list[str]) -> None:
    page = visit.to("create")
    page.wait_for_timeout(1500)  # the other rooms are there by then
    visit.context.set_offline(True)
    page.click("nav a[data-room=library]")
    page.wait_for_selector(".notes > div:has-text('does not answer')")
    page.click("nav a[data-room=glass]")
    page.click("nav a[data-room=queue]")
    page.wait_for_selector("h1:has-text('This did not work')")
    visit.context.set_offline(False)
    page.wait_for_selector(".room[data-room=queue] .figures strong")  # by itself
    page.click("nav a[data-room=library]")
    page.wait_for_selector(".window .badge")
    visit.problems[:] = harmless(visit.problems)


def test_a_film_that_is_made_while_the_tab_is_closed(visit: Visit, scene: Scene) -> None:
    """What was made of it is not made again."""
    service = scene.service
    shots = [
        {"key": f"s{n}", "prompt": f"a {color} ball that is filmed", "seconds": 0.3}
        for n, color in enumerate(("black", "pink"))
    ]
    plan = {"shots": shots, "size": "64x64"}
    board = service.http.post("/haneul/boards", json={"title": "Interrupted", "plan": plan}).json()["id"]
    page = visit.to(f"board/{board}")
    page.click("button:has-text('Make the film')")
    wait_for(lambda: len(scene.words("ball that is filmed")) >= 1, 30)
    page.wait_for_timeout(600)
    page.close()
    visit.page = visit.context.new_page()
    visit.watch(visit.page)
    page = visit.to(f"board/{board}")
    page.wait_for_selector(".shot textarea")
    page.click("button:has-text('Make the film')")
    page.wait_for_selector("[aria-label='The film'] .player video")
    assert len([video for video in scene.words("ball that is filmed") if video["mode"] == "generate"]) == 2
    kept = json.dumps(scene.get(f"boards/{board}"))
    assert all(video["id"] in kept for video in scene.words("ball that is filmed") if video["mode"] == "generate")
