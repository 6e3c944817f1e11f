"""/v1/haneul/boards, /assemble and /feedback on a running service."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from serving import Running

from haneul.errors import InputError
from haneul.serve.boards_api import read_timeline


@pytest.fixture(scope="module")
def takes(service: Running) -> list[str]:
    """Three clips of one sentence, the last with another number of steps."""
    body = {"prompt": "a white box falls", "seconds": 0.7, "size": "64x64", "count": 2, "seed": 8}
    ids = [video["id"] for video in service.http.post("/haneul/variations", json=body).json()["data"]]
    ids.append(service.make(prompt="a white box falls", seconds="0.7", steps=2)["id"])
    for video in ids:
        assert service.over(video)["status"] == "completed"
    return ids


def shot(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "prompt": f"shot {key}", "seconds": 0.7} | more


def test_assemble(service: Running, takes: list[str]) -> None:
    clip = {"video_id": takes[0]}
    cuts = [{"clip": clip, "start": 0.25, "end": 0.5}, {"clip": {"video_id": takes[1]}, "dissolve": True}]
    answer = service.http.post("/haneul/assemble", json={"cuts": cuts, "title": "two cuts"})
    assert answer.status_code == 200, answer.text
    done = service.over(answer.json()["id"])
    assert (done["status"], done["prompt"]) == ("completed", "two cuts")
    kept = service.http.get(f"/haneul/library/{done['id']}").json()
    assert (kept["mode"], sorted(kept["parents"]), kept["frames"]) == ("assemble", sorted(takes[:2]), 6 + 17 - 3)
    verdict = service.http.post("/haneul/verify", json={"video_id": done["id"]}).json()
    assert (verdict["state"], verdict["mode"], len(verdict["ingredients"])) == ("trusted", "assemble", 2)
    for wrong in ({"start": 0.5, "end": 0.2}, {"end": 9}, {"start": 3}):
        refused = service.http.post("/haneul/assemble", json={"cuts": [{"clip": clip} | wrong]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "cuts.0")
    refused = service.http.post(f"/haneul/library/{done['id']}/again", json={})
    assert refused.status_code == 400


def test_boards_are_not_overwritten(service: Running) -> None:
    made = service.http.post("/haneul/boards", json={"title": "하늘", "plan": {"shots": [shot("a")]}}).json()
    path = f"/haneul/boards/{made['id']}"
    mine = made["plan"] | {"remember": "mine"}
    saved = service.http.put(path, json={"title": "하늘", "plan": mine, "revision": made["revision"]})
    assert (saved.status_code, saved.json()["revision"]) == (200, made["revision"] + 1)
    theirs = service.http.put(path, json={"title": "x", "plan": made["plan"], "revision": made["revision"]})
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (409, "board_changed")
    assert service.http.get(path).json()["plan"]["remember"] == "mine"
    assert made["id"] in [board["id"] for board in service.http.get("/haneul/boards").json()["data"]]
    assert service.http.delete(path).json()["deleted"]
    assert service.http.get(path).status_code == service.http.delete(path).status_code == 404
    assert service.http.put(path, json={"title": "x", "plan": mine, "revision": 1}).status_code == 404


def test_a_board_goes_to_an_editing_program_and_back(service: Running, takes: list[str], tmp_path: Path) -> None:
    shots = [
        shot("a", video_id=takes[0]), shot("b", video_id=takes[1], transition="dissolve"),
        shot("c", video_id=takes[2], bridge_id=takes[0], transition="connect"), shot("d"),
    ]  # fmt: skip
    made = service.http.post("/haneul/boards", json={"title": "My film / 1", "plan": {"shots": shots}}).json()

    def export(board: str) -> dict[str, bytes]:
        answer = service.http.get(f"/haneul/boards/{board}/export")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            return {name: packed.read(name) for name in packed.namelist()}

    files = export(made["id"])
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    name = next(name for name in files if name.endswith(".otio"))
    line = otio.adapters.read_from_file(str(tmp_path / name))
    clips = list(line.find_clips())
    found = [c.media_reference for c in clips if isinstance(c.media_reference, otio.schema.ExternalReference)]
    assert len(found) == 4  # three shots and what leads to one; the fourth is not made
    assert all((tmp_path / reference.target_url).is_file() for reference in found)
    assert [clip.name for clip in clips] == ["shot a", "shot b", "shot c", "shot c", "shot d"]
    transitions = [item for item in line.tracks[0] if isinstance(item, otio.schema.Transition)]
    assert len(transitions) == 1
    assert line.duration().value == 17 + 17 - 8 + 17 + 17 + 17
    back = service.http.post("/haneul/boards/import", files={"file": (name, files[name])}).json()
    assert back["id"] != made["id"]
    assert (back["title"], back["plan"]) == (made["title"], made["plan"])
    assert export(back["id"]) == files


def test_a_foreign_time_line() -> None:
    line = otio.schema.Timeline(name="theirs")
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    line.tracks.append(track)
    span = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(50, 25))
    track.append(otio.schema.Clip(name="one", source_range=span))
    half = otio.opentime.RationalTime(6, 25)
    track.append(otio.schema.Transition(transition_type="SMPTE_Dissolve", in_offset=half, out_offset=half))
    track.append(
        otio.schema.Clip(name="two", media_reference=otio.schema.ExternalReference("x.mov", available_range=span))
    )
    board = read_timeline(line.to_json_string().encode())
    told = [(s.prompt, s.seconds, s.transition) for s in board.plan.shots]
    assert (board.title, told) == ("theirs", [("one", 2.0, "cut"), ("two", 2.0, "dissolve")])
    for wrong in (
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"OTIO_SCHEMA": "Clip.1"}',
        b"[" * 9999,
        b'{"OTIO_SCHEMA": "Timeline.1"}',
    ):
        with pytest.raises(InputError):
            read_timeline(wrong)


def test_preferences(service: Running, takes: list[str]) -> None:
    seen = []
    for _ in range(3):
        pair = service.http.get("/haneul/feedback/pair", params={"prompt": "white box falls"}).json()["pair"]
        assert len(pair) == 2
        seen.append(frozenset(clip["id"] for clip in pair))
        better = "first" if pair[0]["id"] == takes[2] else "second" if pair[1]["id"] == takes[2] else "same"
        body = {"first": pair[0]["id"], "second": pair[1]["id"], "choice": better}
        assert service.http.post("/haneul/feedback", json=body).status_code == 200
    assert len(set(seen)) == 3
    service.http.patch(f"/haneul/library/{takes[0]}", json={"stars": 2})
    rest = service.http.get("/haneul/feedback/pair", params={"prompt": "white box falls"}).json()["pair"]
    assert rest == []
    now = service.http.get("/haneul/feedback/statistics").json()
    steps = {row["value"]: (row["wins"], row["of"]) for row in now["wins"] if row["what"] == "steps"}
    assert steps == {"2": (2, 2), "1": (0, 2)}  # the tie was between two of one number
    assert (now["pairs"], now["stars"]["2"]) == (3, 1)
    answer = service.http.get("/haneul/feedback/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    pairs = [line for line in lines if line["kind"] == "pair"]
    assert [line["chosen"]["id"] for line in pairs if not line["tie"]] == [takes[2]] * 2
    assert all(len(line["chosen"]["sha256"]) == 64 and line["prompt"] == "a white box falls" for line in pairs)
    assert {"stars": 2, "kind": "stars"}.items() <= lines[-1].items()
    assert service.http.delete(f"/haneul/feedback/{pairs[0]['number']}").status_code == 200
    assert service.http.delete(f"/haneul/feedback/{pairs[0]['number']}").status_code == 404
    same = {"first": takes[0], "second": takes[0], "choice": "same"}
    assert service.http.post("/haneul/feedback", json=same).status_code == 400
    service.http.delete(f"/videos/{takes[2]}")
    assert service.http.get("/haneul/feedback/statistics").json()["pairs"] == 0 + sum(
        takes[2] not in pair for pair in seen[1:]
    )
