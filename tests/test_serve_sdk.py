"""The newest `openai` package, unmodified and with strict validation, against a running `haneul serve`."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Video
from PIL import Image
from serving import Running, wait_for

from haneul.serve.database import Database
from haneul.serve.jobs import NewJob
from haneul.serve.leased import LeasedJobs
from haneul.trust.credentials import verify
from haneul.video.io import probe

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
SIZE = "720x1280"  # the smallest that the SDK's strict types know


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    for video in service.http.get("/videos", params={"limit": 100}).json()["data"]:
        service.http.delete(f"/videos/{video['id']}")  # of other tests, in sizes that the SDK's types do not know
    with openai.OpenAI(
        api_key="any", base_url=service.url, _strict_response_validation=True, max_retries=0, timeout=60
    ) as found:
        yield found


@pytest.fixture(scope="module")
def made(client: openai.OpenAI) -> Video:
    """A finished video."""
    video = client.videos.create_and_poll(
        prompt="a red ball rolls",
        seconds="0.2",
        size=SIZE,
        model="sora-2",  # type: ignore[arg-type]
    )
    assert (video.status, video.progress, video.size, video.seconds) == ("completed", 100, SIZE, "0.2")
    assert video.completed_at is not None
    assert video.expires_at is not None
    assert video.created_at <= video.completed_at < video.expires_at
    return video


def test_the_three_variants_are_what_they_say_and_are_signed(
    client: openai.OpenAI, made: Video, tmp_path: Path, serving_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANEUL_HOME", str(serving_home))
    for variant, name, kind in (("video", "a.mp4", "video/mp4"), ("thumbnail", "a.webp", "image/webp"),
                                ("spritesheet", "a.jpg", "image/jpeg")):  # fmt: skip
        content = client.videos.download_content(made.id, variant=variant)  # type: ignore[arg-type]
        assert content.response.headers["content-type"] == kind
        path = tmp_path / name
        content.write_to_file(path)
        assert verify(path).state == "trusted"
        if variant == "video":
            info = probe(path)
            assert (info.width, info.height, info.frames) == (720, 1280, 5)
        else:
            with Image.open(path) as picture:
                assert picture.format == {"thumbnail": "WEBP", "spritesheet": "JPEG"}[variant]


def test_streamed_and_raw_forms(client: openai.OpenAI, made: Video, tmp_path: Path) -> None:
    whole = client.videos.download_content(made.id).content
    with client.videos.with_streaming_response.download_content(made.id) as response:
        response.stream_to_file(tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == whole
    raw = client.videos.with_raw_response.retrieve(made.id)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse() == made


def test_remix_edit_and_extend(client: openai.OpenAI, made: Video) -> None:
    remix = client.videos.remix(made.id, prompt="a blue ball rolls")
    assert (remix.status, remix.remixed_from_video_id) == ("queued", made.id)
    clip = ("clip.mp4", client.videos.download_content(made.id).content)
    edit = client.videos.edit(prompt="a green ball", video=clip)
    longer = client.videos.extend(prompt="it rolls on", seconds="0.4", video=clip)  # type: ignore[arg-type]
    for video in (remix, edit, longer):
        done = client.videos.poll(video.id)
        assert (done.status, done.error) == ("completed", None)
    assert float(done.seconds) > 0.5


def test_a_picture_to_begin_with_by_upload_url_and_file_id(client: openai.OpenAI, service: Running) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (90, 160), "navy").save(picture, "PNG")
    file = client.files.create(file=("night.png", picture.getvalue()), purpose="user_data")
    assert (file.status, client.files.retrieve(file.id).filename) == ("processed", "night.png")
    assert file.id in [found.id for found in client.files.list(purpose="user_data")]
    assert client.files.content(file.id).content == picture.getvalue()
    first = client.videos.create(
        prompt="a red ball rolls",
        input_reference=("night.png", picture.getvalue()),
        seconds="0.2",
        size=SIZE,  # type: ignore[arg-type]
    )
    second = service.make(size=SIZE, input_reference={"file_id": file.id})
    assert client.files.delete(file.id).deleted
    for video in (first.id, second["id"]):
        done = service.over(video)
        assert (done["status"], done["error"]) == ("completed", None)
    assert (
        service.http.post("/videos", json={"prompt": "x", "input_reference": {"file_id": file.id}}).status_code == 404
    )


def test_delete_stops_what_is_being_made(client: openai.OpenAI, service: Running) -> None:
    long = client.videos.create(prompt="a red ball", seconds="8", size=SIZE, extra_body={"steps": 200})
    wait_for(lambda: client.videos.retrieve(long.id).status == "in_progress", 30)
    assert client.videos.delete(long.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(long.id)
    assert service.over(service.make(size=SIZE)["id"])["status"] == "completed"  # the worker is free again
    wait_for(lambda: not (service.data / "work" / long.id).exists(), 30)  # other tests' jobs may have theirs
    with pytest.raises(openai.NotFoundError):
        client.videos.delete(long.id)


def test_characters(client: openai.OpenAI, made: Video) -> None:
    clip = client.videos.download_content(made.id).content
    character = client.videos.create_character(name="Ruby", video=("ruby.mp4", clip))
    assert character.id is not None
    assert client.videos.get_character(character.id).name == "Ruby"
    with pytest.raises(openai.BadRequestError, match="no character named"):
        client.videos.create(prompt="@nobody waves")
    with pytest.raises(openai.NotFoundError):
        client.videos.get_character("char_none")


def test_paging_in_both_orders_while_one_is_deleted(client: openai.OpenAI, service: Running) -> None:
    before = [video.id for video in client.videos.list(order="asc")]
    fresh = [service.make(size=SIZE, priority=-10)["id"] for _ in range(7)]
    up = [video.id for video in client.videos.list(order="asc", limit=3)]
    assert up == before + fresh
    assert [video.id for video in client.videos.list(limit=2)] == up[::-1]
    page = client.videos.list(order="asc", limit=2, after=fresh[0])
    assert [video.id for video in page.data] == fresh[1:3]
    assert client.videos.delete(fresh[2]).deleted  # the cursor of the page that is held
    assert [video.id for video in page.get_next_page().data] == fresh[3:5]
    for identity in set(fresh) - {fresh[2]}:
        client.videos.delete(identity)
    with pytest.raises(openai.BadRequestError):
        client.videos.list(after="video_never")


def test_paging_through_250_videos_both_ways(client: openai.OpenAI, service: Running) -> None:
    """Made by the engine's own means and cancelled at once, so that nothing is computed."""
    jobs = LeasedJobs(Database(service.data / "jobs.sqlite"))
    before = [video.id for video in client.videos.list(order="asc", limit=100)]
    request = {"prompt": "a ball", "args": {}, "shown": {"size": [720, 1280], "seconds": 4.0}}
    fresh = []
    for n in range(250):
        new = NewJob(
            id=f"video_page{n}", owner="local", mode="generate", request=request, seconds=4.0, priority=-10
        )  # fmt: skip
        fresh.append(jobs.submit(new)[0].id)
        jobs.cancel(new.id, "local")
    up = [video.id for video in client.videos.list(order="asc", limit=21)]
    assert up == before + fresh

    async def down() -> list[str]:
        async with openai.AsyncOpenAI(
            api_key="any", base_url=service.url, _strict_response_validation=True, max_retries=0
        ) as other:
            return [video.id async for video in other.videos.list(order="desc", limit=100)]

    assert asyncio.run(down()) == up[::-1]
    for identity in fresh:
        jobs.delete(identity, "local")
    jobs.db.close()
    assert [video.id for video in client.videos.list(order="asc", limit=100)] == before


def test_errors_come_as_the_sdk_knows_them(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.retrieve("video_none")
    assert missing.value.code == "not_found"
    with pytest.raises(openai.NotFoundError) as model:
        client.videos.create(prompt="a ball", model="gpt-5")
    assert (model.value.code, model.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as size:
        client.videos.create(prompt="a ball", size="big")  # type: ignore[arg-type]
    assert size.value.param == "size"
    with pytest.raises(openai.BadRequestError) as unknown:
        client.videos.create(prompt="a ball", extra_body={"colour": "red"})
    assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "colour")
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.videos.create(prompt="  ")


def test_models(client: openai.OpenAI) -> None:
    assert {"haneul-nano", "sora-2"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("sora-2-pro").id == "sora-2-pro"


def test_the_asynchronous_client(service: Running, made: Video) -> None:
    async def use() -> None:
        async with openai.AsyncOpenAI(
            api_key="any", base_url=service.url, _strict_response_validation=True, max_retries=0
        ) as client:
            videos = await asyncio.gather(
                *(client.videos.create(prompt="a red ball", seconds="0.2", size=SIZE) for _ in range(2))  # type: ignore[arg-type]
            )
            done = await asyncio.gather(*(client.videos.poll(video.id, poll_interval_ms=100) for video in videos))
            assert [video.status for video in done] == ["completed", "completed"]
            content = await client.videos.download_content(done[0].id, variant="thumbnail")
            assert content.content[8:12] == b"WEBP"
            assert {video.id for video in videos} <= {video.id async for video in client.videos.list(limit=1)}
            clip = ("clip.mp4", (await client.videos.download_content(made.id)).content)
            more = [
                await client.videos.remix(done[0].id, prompt="a blue ball"),
                await client.videos.edit(prompt="a green ball", video=clip),
                await client.videos.extend(prompt="it rolls on", seconds="0.2", video=clip),  # type: ignore[arg-type]
                await client.videos.create_and_poll(prompt="a red ball", seconds="0.2", size=SIZE),  # type: ignore[arg-type]
            ]
            assert (more[0].remixed_from_video_id, more[-1].status) == (done[0].id, "completed")
            assert [(await client.videos.poll(video.id)).status for video in more] == ["completed"] * 4
            character = await client.videos.create_character(name="Opal", video=clip)
            assert character.id is not None
            assert (await client.videos.get_character(character.id)).name == "Opal"
            raw = await client.videos.with_raw_response.retrieve(made.id)
            assert raw.parse() == made
            async with client.videos.with_streaming_response.download_content(made.id) as response:
                assert b"".join([part async for part in response.iter_bytes()]) == clip[1]
            for video in (*videos, *more):
                assert (await client.videos.delete(video.id)).deleted
            with pytest.raises(openai.NotFoundError):
                await client.videos.retrieve(more[0].id)

    asyncio.run(use())


# ----------------------------------------------------------------------------------------------------- webhooks


class Receiver(HTTPServer):
    """Keeps what is delivered; the first delivery of each event is refused."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.refused: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        identity = self.headers["webhook-id"]
        first = identity not in receiver.refused
        receiver.refused.add(identity)
        receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(503 if first else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_webhooks_are_signed_repeated_and_managed_by_the_sdk(client: openai.OpenAI, service: Running) -> None:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        endpoint = client.webhooks.create(
            name="studio", url=f"http://localhost:{receiver.server_port}/hook", event_types=["video.completed"]
        )
        assert client.webhooks.retrieve(endpoint.id).event_types == ["video.completed"]
        video = service.over(service.make(size=SIZE)["id"])
        wait_for(lambda: len(receiver.got) >= 2, 20)
        (headers, body), (again, repeated) = receiver.got[:2]
        assert (headers["webhook-id"], body) == (again["webhook-id"], repeated)
        event: Any = client.webhooks.unwrap(body, again, secret=endpoint.signing_secret)
        assert (event.type, event.data.id) == ("video.completed", video["id"])
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body.replace(b"completed", b"deleted  "), again, secret=endpoint.signing_secret)
        rotated = client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True)
        client.webhooks.update(endpoint.id, event_types=["video.completed", "video.failed"])
        assert client.webhooks.test(endpoint.id, event_type="video.failed").status_code == 503
        headers, body = receiver.got[-1]
        for secret in (endpoint.signing_secret, rotated.signing_secret):
            client.webhooks.verify_signature(body, headers, secret=secret)
        assert json.loads(body)["type"] == "video.failed"
        assert [found.id for found in client.webhooks.list()] == [endpoint.id]
        assert client.webhooks.event_types.list().data == ["video.completed", "video.failed"]
    finally:
        for found in client.webhooks.list():
            client.webhooks.delete(found.id)
        receiver.shutdown()
        receiver.server_close()
    assert list(client.webhooks.list()) == []
