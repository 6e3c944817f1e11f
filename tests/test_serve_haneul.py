"""/v1/haneul: every mode of the engine, progress as events, verification; and what HTTP itself promises."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import Running, wait_for

from haneul.serve.haneul_api import MODES
from haneul.serve.modes import FUNCTIONS, Share, with_characters
from haneul.video.io import stream_video


@pytest.fixture(scope="module")
def clip(service: Running) -> dict[str, str]:
    """A finished short video, as a reference."""
    done = service.over(service.make(seconds="0.7")["id"])
    assert done["status"] == "completed"
    return {"video_id": done["id"]}


def picture_url() -> str:
    made = io.BytesIO()
    Image.new("RGB", (64, 64), "gold").save(made, "PNG")
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()


def bodies(clip: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The smallest request of each mode."""
    picture = {"url": picture_url()}
    return {
        "generate": {"seconds": 0.2, "size": "64x64", "image": picture},
        "extend": {"clip": clip, "seconds": 0.3, "backward": True},
        "connect": {"first": clip, "second": picture, "seconds": 0.3, "only_new": True},
        "loop": {"clip": clip, "seconds": 0.3},
        "retake": {"clip": clip, "start": 0.2, "end": 0.5},
        "keyframes": {
            "keyframes": [{"at": 0, "image": picture}, {"at": 0.6, "image": picture}], "seconds": 0.7, "size": "64x64",
        },
        "remix": {"clip": clip, "strength": 0.3, "camera": "push in"},
        "inpaint": {"clip": clip, "box": [0.5, 0, 1, 1]},
        "blend": {"first": clip, "second": clip, "seconds": 0.3},
        "storyboard": {
            "size": "64x64", "seed": 4, "remember": "a red ball",
            "shots": [
                {"prompt": "it rolls", "seconds": 0.3, "image": picture},
                {"prompt": "it bounces", "seconds": 0.3, "transition": "connect", "steps": 1},
            ],
        },
    }  # fmt: skip


def test_every_mode(service: Running, clip: dict[str, str]) -> None:
    asked = bodies(clip)
    assert set(asked) == set(MODES) == set(FUNCTIONS) | {"storyboard"}
    made = {}
    for mode, body in asked.items():
        prompt = {} if mode == "storyboard" else {"prompt": "a red ball rolls", "seed": 3}
        answer = service.http.post(f"/haneul/{mode}", json=prompt | body)
        assert answer.status_code == 200, (mode, answer.text)
        made[mode] = answer.json()
    for mode, video in made.items():
        done = service.over(video["id"])
        assert (mode, done["status"], done["error"]) == (mode, "completed", None)
        assert done["size"] == "64x64"
        verdict = service.http.post("/haneul/verify", json={"video_id": video["id"]}).json()
        assert verdict["state"] == "trusted"
        assert verdict["mode"] == {
            "generate": "image-to-video", "storyboard": "film"
        }.get(mode, mode)  # fmt: skip
    details = service.http.get(f"/haneul/videos/{made['remix']['id']}").json()
    assert (details["mode"], details["seed"], details["frames"]) == ("remix", 3, 17)
    assert details["report"]["model"]["model"] == "haneul-nano"
    assert details["video"]["id"] == made["remix"]["id"]


@pytest.mark.parametrize(
    ("mode", "body"),
    [
        ("inpaint", {"clip": {"url": "data:,"}, "box": [0, 0, 2, 1]}),
        ("extend", {"clip": {"video_id": "video_none"}}),
        ("extend", {"clip": {"video_id": "a", "url": "b"}}),
        ("extend", {}),
        ("generate", {"image": {"url": picture_url()}, "loop": True}),
        ("keyframes", {"keyframes": [{"at": 9, "image": {"url": picture_url()}}]}),
        ("storyboard", {"shots": [{"prompt": "a", "transition": "cut", "seconds": 9e9}]}),
        ("storyboard", {"shots": [{"prompt": "a", "transition": "dissolve"}]}),
    ],
)
def test_modes_refuse_what_cannot_be(service: Running, mode: str, body: dict[str, Any]) -> None:
    prompt = {} if mode == "storyboard" else {"prompt": "a ball"}
    answer = service.http.post(f"/haneul/{mode}", json=prompt | body)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["message"]


def test_progress_as_events(service: Running) -> None:
    video = service.make(steps=60)  # so that some of them are seen
    with service.http.stream("GET", f"/haneul/videos/{video['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    seen = [event for event in told if "video" in event]
    assert [event["video"]["status"] for event in seen][-1] == "completed"
    progress = [event["video"]["progress"] for event in seen]
    assert progress == sorted(progress)
    assert any(event["stage"].startswith("denoising") for event in seen)


def test_pictures_of_what_a_video_is_becoming(service: Running) -> None:
    video = service.make(steps=200, seconds="8", size="320x192")
    seen: list[dict[str, Any]] = []
    with service.http.stream("GET", f"/haneul/videos/{video['id']}/events") as answer:
        event = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif event == "preview" and line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                if len(seen) == 2:
                    break
    service.http.delete(f"/videos/{video['id']}")
    assert 0 < seen[0]["step"] < seen[1]["step"] <= seen[1]["of"]
    for found in seen:
        head, _, data = found["image"].partition(",")
        assert head == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert (picture.format, picture.size) == ("WEBP", (192, 116))
    assert service.row("SELECT COUNT(*) FROM glimpses WHERE job = ?", video["id"]) in ((0,), (1,))


def test_cancel_ends_a_video_within_a_step(service: Running) -> None:
    video = service.make(steps=200, seconds="8")["id"]
    service.worker_pid(video)
    cancelled = service.http.post(f"/haneul/videos/{video}/cancel").json()
    assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", "cancelled")
    query = "SELECT COUNT(*) FROM jobs WHERE status = 'in_progress'"
    next_one = service.make()
    wait_for(lambda: service.over(next_one["id"])["status"] == "completed", 30)
    assert service.row(query) == (0,)


def test_ranges_and_etags(service: Running, clip: dict[str, str]) -> None:
    path = f"/videos/{clip['video_id']}/content"
    whole = service.http.get(path)
    assert whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    part = service.http.get(path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    tail = service.http.get(path, headers={"range": "bytes=-5", "if-range": etag})
    assert (tail.status_code, tail.content) == (206, whole.content[-5:])
    changed = service.http.get(path, headers={"range": "bytes=-5", "if-range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, len(whole.content))
    assert service.http.get(path, headers={"range": f"bytes={2**40}-"}).status_code == 416
    assert service.http.get(path, headers={"if-none-match": f'"x", {etag}'}).status_code == 304
    assert service.http.get(path, params={"variant": "gif"}).status_code == 400


def test_a_video_that_is_not_there_yet_has_no_content(service: Running) -> None:
    video = service.make(steps=200, seconds="8")["id"]
    answer = service.http.get(f"/videos/{video}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "video_not_ready")
    waiting = service.http.get(f"/videos/{video}")
    assert int(waiting.headers["openai-poll-after-ms"]) > 0
    remix = service.http.post(f"/videos/{video}/remix", json={"prompt": "x"})
    assert (remix.status_code, remix.json()["error"]["code"]) == (400, "video_not_ready")
    assert service.http.delete(f"/videos/{video}").json() == {"id": video, "object": "video.deleted", "deleted": True}


def test_forms_and_json_say_the_same(service: Running) -> None:
    form = {"prompt": "a red ball", "seconds": "0.2", "size": "64x64", "input_reference[image_url]": picture_url()}
    first = service.http.post("/videos", files={name: (None, value) for name, value in form.items()})
    second = service.make(prompt="a red ball", input_reference={"image_url": picture_url()})
    text = {"prompt": (None, "x"), "video": (None, json.dumps({"id": "video_none"}))}
    third = service.http.post("/videos/edits", files=text)
    assert (first.status_code, third.status_code) == (200, 404)
    for video in (first.json(), second):
        assert service.over(video["id"])["status"] == "completed"


def test_the_description_names_every_body(service: Running) -> None:
    found = service.http.get(f"{service.root}/openapi.json").json()
    kinds = found["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    assert set(kinds) == {"application/json", "multipart/form-data"}
    text = json.dumps(found)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in found["components"]["schemas"], name


def test_progress_only_goes_on() -> None:
    share = Share()
    told = [("shot 1/2 denoising", 1, 2), ("shot 1/2 drawing", 1, 4), ("shot 1/2 denoising", 2, 2),
            ("shot 1/2 drawing", 4, 4), ("shot 2/2 denoising", 0, 2), ("shot 2/2 drawing", 2, 2)]  # fmt: skip
    assert [share(*one) for one in told] == [16, 20, 37, 50, 50, 66]
    alone = Share()
    told = [("denoising", 0, 4), ("denoising", 4, 4), ("drawing", 9, 9), ("something else", 1, 1)]
    assert [alone(*one) for one in told] == [0, 66, 99, 99]


def test_a_video_is_watched_while_it_is_made(service: Running, tmp_path: Path) -> None:
    video = service.make(seconds="2")
    with service.http.stream("GET", f"/haneul/videos/{video['id']}/live") as answer:
        assert answer.headers["content-type"] == "video/mp4"
        pieces = list(answer.iter_raw())
    assert service.over(video["id"])["status"] == "completed"
    assert len(pieces) > 2  # it came as it was made
    (tmp_path / "live.mp4").write_bytes(b"".join(pieces))
    finished = service.http.get(f"/haneul/videos/{video['id']}/live", follow_redirects=True)
    (tmp_path / "done.mp4").write_bytes(finished.content)
    seen, done = (list(stream_video(tmp_path / name)) for name in ("live.mp4", "done.mp4"))
    assert len(seen) == len(done) == 48
    assert all((a == b).all() for a, b in zip(seen, done, strict=True))


def test_a_character_is_what_it_looks_like() -> None:
    look = {"1": "red ball", "2": "blue cube"}.__getitem__
    prompt, remember = with_characters("@ruby and @Ruby-2 meet", {"ruby": "1", "Ruby-2": "2"}, look)
    assert prompt == "the red ball and the blue cube meet"
    assert remember == "a red ball, a blue cube"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/videos", {"prompt": "a beheading with gore everywhere"}),
        ("/haneul/generate", {"prompt": "a ball", "remember": "a beheading with gore everywhere"}),
        ("/haneul/storyboard", {"shots": [{"prompt": "a ball"}, {"prompt": "a beheading with gore everywhere"}]}),
    ],
)
def test_what_the_screen_refuses_never_waits_in_the_queue(service: Running, path: str, body: dict[str, Any]) -> None:
    before = service.row("SELECT COUNT(*) FROM jobs")
    answer = service.http.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "moderation_blocked")
    assert error["reason"] in ("gore", "violence"), error
    assert service.row("SELECT COUNT(*) FROM jobs") == before
