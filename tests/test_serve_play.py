"""Worlds over HTTP, from a running service: pictures, keys, saving, limits, and every way to end."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from serving import Running, nices, wait_for

from haneul import verify
from haneul.serve.children import API, PLAY
from haneul.serve.plays import WORTH

HEAD = struct.Struct(">II")
IDLE = 4.0


class Pictures:
    """A world's stream, read by a thread: what was told last, how much came, and the end."""

    def __init__(self, running: Running, world: str) -> None:
        self.told: list[dict[str, Any]] = []
        self.picture = b""
        self.end: dict[str, Any] | None = None
        self.cut = False
        self._leave = threading.Event()
        self._url = f"{running.url}/haneul/play/{world}/pictures"
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        try:
            with httpx2.stream("GET", self._url, timeout=60) as answer:
                for piece in answer.iter_bytes():
                    rest += piece
                    while len(rest) >= 8 and len(rest) >= 8 + sum(HEAD.unpack_from(rest)):
                        told, size = HEAD.unpack_from(rest)
                        found = json.loads(rest[8 : 8 + told])
                        if size:
                            self.picture = rest[8 + told : 8 + told + size]
                            self.told.append(found)
                        elif "end" in found:
                            self.end = found
                        rest = rest[8 + told + size :]
                    if self._leave.is_set():
                        return
        except httpx2.TransportError:
            self.cut = True

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(60)

    def wait_end(self, seconds: float = 60) -> dict[str, Any]:
        wait_for(lambda: self.end is not None, seconds)
        assert self.end is not None
        return self.end


@pytest.fixture(scope="module")
def theatre(serving_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service where worlds wait a few seconds only."""
    options = ("--world-idle", f"{IDLE:g}s", "--grace", "5")
    running = Running(serving_home, tmp_path_factory.mktemp("theatre"), *options)
    yield running
    assert running.stop() == 0


@pytest.fixture
def world(theatre: Running) -> Iterator[dict[str, Any]]:
    found = begun(theatre)
    yield found
    theatre.http.delete(f"/haneul/play/{found['id']}")


def begun(running: Running, **given: Any) -> dict[str, Any]:
    while True:
        answer = running.http.post("/haneul/play", json={"seed": 4} | given, timeout=200)
        if answer.status_code != 503:
            break
        assert answer.json()["error"]["code"] == "still_working"  # on a busy machine it takes long to load
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_can_be_played(theatre: Running) -> None:
    state = theatre.http.get("/haneul/play").json()
    assert state["available"]
    assert set(state["riders"]) == {"car", "robot", "bird", "camera"}
    assert "desert" in state["riders"]["car"]
    assert state["most"] == 1
    assert theatre.processes(PLAY) == [], "to ask loads nothing"
    theatre.http.get("/haneul/play", params={"soon": True})
    wait_for(lambda: len(theatre.processes(PLAY)) == 1, 60)


def test_keys_go_in_and_pictures_come_out(theatre: Running, world: dict[str, Any]) -> None:
    assert world["size"] == "448x256"
    assert set(world["said"] | world["added"]) >= {"kind", "setting", "color", "time"}
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: len(pictures.told) >= 3, 60)
    path = f"/haneul/play/{world['id']}/keys"
    assert theatre.http.post(path, json={"number": 5, "steer": -1, "go": 1}).json() == {"number": 5, "taken": True}
    assert theatre.http.post(path, json={"number": 4, "go": 0}).json() == {"number": 5, "taken": False}
    wait_for(lambda: pictures.told[-1]["keys"] == 5, 60)
    numbers = [told["number"] for told in pictures.told]
    assert numbers == sorted(set(numbers))
    assert all(told["delay"] > 0 for told in pictures.told)
    assert all(-22 < ahead < 22 and reach > 0 for told in pictures.told for ahead, _, reach in told["near"])
    with Image.open(io.BytesIO(pictures.picture)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (448, 256))
    now = theatre.http.get(f"/haneul/play/{world['id']}").json()
    assert now["status"] == "running"
    assert now["seconds"] > 0
    assert theatre.http.get("/haneul/play").json()["worlds"] == [world["id"]]
    assert theatre.http.delete(f"/haneul/play/{world['id']}").json()["deleted"]
    assert pictures.wait_end()["end"] == "stopped"
    gone = theatre.http.post(path, json={"number": 6})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "world_ended")
    assert theatre.http.get(f"/haneul/play/{world['id']}").json()["reason"] == "stopped"
    pictures.leave()


def test_a_saved_ride_is_a_video_like_any_other(theatre: Running, world: dict[str, Any], tmp_path: Path) -> None:
    nothing = theatre.http.post(f"/haneul/play/{world['id']}/save", json={})
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (400, "invalid_value")
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: len(pictures.told) >= 8, 60)
    video = theatre.http.post(f"/haneul/play/{world['id']}/save", json={"size": "112x64", "seconds": 0.5}).json()
    worker = theatre.worker_pid(video["id"])
    wait_for(lambda: 19 in nices(worker), 60)  # it is drawn last of all, for who rides goes on riding
    pictures.leave()
    theatre.http.delete(f"/haneul/play/{world['id']}")
    done = theatre.over(video["id"])
    assert done["status"] == "completed", done
    assert done["model"] == "haneul-live"
    clip = theatre.http.get(f"/haneul/library/{video['id']}").json()
    assert (clip["mode"], clip["seed"], clip["parents"]) == ("play", 4, [])
    (tmp_path / "ride.mp4").write_bytes(theatre.http.get(f"/videos/{video['id']}/content").content)
    verdict = verify(tmp_path / "ride.mp4")
    assert (verdict.mode, verdict.model, verdict.ai_generated) == ("play", "haneul-live", True)
    again = theatre.http.post(f"/haneul/library/{video['id']}/again", json={})
    assert again.status_code == 400
    child = theatre.http.post("/haneul/remix", json={"prompt": "a red car", "clip": {"video_id": video["id"]}}).json()
    assert theatre.http.get(f"/haneul/library/{child['id']}").json()["parents"] == [video["id"]]
    family = theatre.http.get(f"/haneul/library/{video['id']}/family").json()
    assert family["lines"] == [{"parent": video["id"], "child": child["id"]}]
    theatre.http.delete(f"/videos/{child['id']}")


def test_only_so_many_at_once_and_who_left_makes_room(theatre: Running, world: dict[str, Any]) -> None:
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: len(pictures.told) >= 1, 60)
    full = theatre.http.post("/haneul/play", json={})
    assert (full.status_code, full.json()["error"]["code"]) == (429, "worlds_full")
    assert int(full.headers["retry-after"]) >= 1
    pictures.leave()
    wait_for(lambda: theatre.http.post("/haneul/play", json={"seed": 5}, timeout=200).status_code == 200, 60)
    assert theatre.http.get(f"/haneul/play/{world['id']}").json()["reason"] == "closed"
    [other] = theatre.http.get("/haneul/play").json()["worlds"]
    assert other != world["id"]
    theatre.http.delete(f"/haneul/play/{other}")


def test_nobody_looks_so_it_rests_and_then_ends(theatre: Running, world: dict[str, Any]) -> None:
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: len(pictures.told) >= 3, 60)
    pictures.leave()
    time.sleep(1.5)
    rested = theatre.http.get(f"/haneul/play/{world['id']}").json()["seconds"]
    time.sleep(1)
    assert theatre.http.get(f"/haneul/play/{world['id']}").json()["seconds"] == rested
    back = Pictures(theatre, world["id"])  # a tab that is seen again
    wait_for(lambda: back.told and back.told[-1]["number"] > rested * world["fps"] + 1, 60)
    back.leave()
    wait_for(lambda: theatre.http.get(f"/haneul/play/{world['id']}").json()["status"] == "ended", 60)
    now = theatre.http.get(f"/haneul/play/{world['id']}").json()
    assert (now["reason"], now["saveable"]) == ("idle", now["seconds"] * world["fps"] >= WORTH)


def test_a_ride_that_nobody_stopped_can_be_saved_afterwards(theatre: Running, world: dict[str, Any]) -> None:
    at = f"/haneul/play/{world['id']}"
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: pictures.told and pictures.told[-1]["number"] >= WORTH + 2, 120)
    pictures.leave()  # the tab is closed
    wait_for(lambda: theatre.http.get(at).json()["status"] == "ended", 60)
    ended = theatre.http.get(at).json()
    assert (ended["reason"], ended["saveable"]) == ("idle", True)
    assert theatre.http.get("/haneul/play").json()["unsaved"][0] == world["id"]
    video = theatre.http.post(f"{at}/save", json={"size": "112x64", "seconds": 1}).json()
    assert video["seconds"] == "1"
    assert theatre.over(video["id"], 300)["status"] == "completed"
    assert theatre.http.get(at).json()["saveable"] is True, "that was a part of it"
    whole = theatre.http.post(f"{at}/save", json={"size": "112x64"}).json()
    assert float(whole["seconds"]) >= WORTH / world["fps"]
    assert theatre.http.get(at).json()["saveable"] is False  # all of it is in the library now
    again = theatre.http.post(f"{at}/save", json={})
    assert (again.status_code, again.json()["error"]["code"]) == (404, "world_ended")


def test_a_ride_that_was_stopped_is_gone(theatre: Running, world: dict[str, Any]) -> None:
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: pictures.told and pictures.told[-1]["number"] >= WORTH, 120)
    theatre.http.delete(f"/haneul/play/{world['id']}")
    pictures.leave()
    assert theatre.http.get(f"/haneul/play/{world['id']}").json()["saveable"] is False
    assert world["id"] not in theatre.http.get("/haneul/play").json()["unsaved"]


def test_its_program_dies(theatre: Running, world: dict[str, Any]) -> None:
    pictures = Pictures(theatre, world["id"])
    wait_for(lambda: len(pictures.told) >= 1, 60)
    for pid in theatre.processes(PLAY):
        os.kill(pid, signal.SIGKILL)
    assert pictures.wait_end(10)["end"] == "died"
    pictures.leave()
    assert theatre.http.get(f"/haneul/play/{world['id']}").json()["reason"] == "died"
    another = begun(theatre)
    theatre.http.delete(f"/haneul/play/{another['id']}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"prompt": "a naked woman"}, "moderation_blocked"),
        ({"seed": -1}, "invalid_value"),
        ({"speed": 3}, "unknown_parameter"),
        ({"prompt": "\u0000"}, "invalid_value"),
    ],
)
def test_what_is_refused(theatre: Running, body: dict[str, Any], code: str) -> None:
    answer = theatre.http.post("/haneul/play", json=body, timeout=200)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert theatre.http.get("/haneul/play").json()["worlds"] == []


@pytest.mark.parametrize("body", [{"number": 0}, {"number": 1, "steer": 2}, {"number": 1, "go": -1}, {"steer": 0}])
def test_keys_that_cannot_be(theatre: Running, body: dict[str, Any]) -> None:
    answer = theatre.http.post("/haneul/play/world_1/keys", json=body)
    assert answer.status_code == 400
    assert theatre.http.post("/haneul/play/world_1/keys", json={"number": 1}).status_code == 404
    assert theatre.http.get("/haneul/play/world_1/pictures").status_code == 404


def test_weights_without_a_live_model(weights: Path, tmp_path: Path) -> None:
    """And nobody's world outlives the service."""
    old = tmp_path / "old"
    old.mkdir()
    for path in weights.iterdir():
        if path.name != "live.safetensors":
            (old / path.name).symlink_to(path)
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'threads = 1\n\n[folders]\nweights = "{old}"\n', encoding="utf-8")
    running = Running(home, tmp_path / "data", "--workers", "0", "--grace", "2", ready=False)
    try:
        state = running.http.get("/haneul/play").json()
        assert not state["available"]
        assert "no live model" in state["reason"]
        answer = running.http.post("/haneul/play", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_live_model")
        (old / "live.safetensors").symlink_to(weights / "live.safetensors")
        found = begun(running)
        pictures = Pictures(running, found["id"])
        wait_for(lambda: len(pictures.told) >= 1, 60)
        [program] = running.processes(PLAY)
        for pid in running.processes(API):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{program}").exists(), 20)
        wait_for(lambda: pictures.cut or not pictures._thread.is_alive(), 20)
        assert pictures.end is None
    finally:
        running.stop()


def test_a_key_is_needed_where_keys_are_needed(serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data", "--require-key", "--workers", "0", "--worlds", "0", ready=False)
    try:
        for method, path in (("GET", ""), ("POST", ""), ("GET", "/world_1/pictures"), ("POST", "/world_1/keys")):
            assert running.http.request(method, f"/haneul/play{path}", json=None).status_code == 401
    finally:
        assert running.stop() == 0
