"""/v1/haneul: what the videos API lacks. Every mode of the engine, progress as it happens, and verification."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field, model_validator

from haneul.errors import InputError
from haneul.serve.decode import Kind
from haneul.serve.jobs import Job
from haneul.serve.keys import Key
from haneul.serve.media import Given
from haneul.serve.modes import LIVE
from haneul.serve.problems import Problem
from haneul.serve.schemas import Options, Prompt, Seconds, Size, Strict, Video, video_of
from haneul.serve.service import Service, Wish, key_of, new_id, service_of
from haneul.serve.videos import ERRORS, VideoId, answer, given_file, given_video, submitted
from haneul.serve.worker import scratch_of

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)
_LOOK = 0.1  # seconds between looks at a job whose progress is told
_ALIVE = 10.0  # seconds after which silence is broken, so that nothing in between hangs up


class Ref(Strict):
    """A picture or video: a completed video of this service, an uploaded file, or a URL (https: or data:)."""

    video_id: str | None = Field(None, max_length=100, examples=["video_123"])
    file_id: str | None = Field(None, max_length=100)
    url: str | None = Field(None, max_length=64 * 2**20)

    @model_validator(mode="after")
    def _one(self) -> Ref:
        if sum(value is not None for value in (self.video_id, self.file_id, self.url)) != 1:
            raise ValueError("give exactly one of video_id, file_id and url")
        return self


#: Makes a reference the new job's own: (reference, its name there, what it must be).
Resolve = Callable[[Ref, str, Kind | None], Given]


class Mode(Options, ABC):
    """What all modes share."""

    prompt: Prompt

    @abstractmethod
    def wish(self, resolve: Resolve) -> Wish:
        """What is to be made, with what was given stored."""

    def worded(
        self, mode: str, media: tuple[Given, ...], args: dict[str, Any], *, seconds: float,
        size: tuple[int, int] | None,
    ) -> Wish:  # fmt: skip
        """The wish of a mode; the size is the first given file's unless asked for."""
        return Wish(
            mode=mode, prompt=self.prompt, args={name: value for name, value in args.items() if value is not None},
            options=self.options(), media=media, size=size, shown_size=size or media[0].size, seconds=seconds,
            priority=self.priority,
        )  # fmt: skip


class Generate(Mode):
    """A video from a prompt, and perhaps a picture that it begins with."""

    image: Ref | None = None
    seconds: Seconds = 4.0
    size: Size = (896, 512)
    loop: bool = False

    def wish(self, resolve: Resolve) -> Wish:
        if self.image and self.loop:
            raise Problem(400, "a loop has no beginning, so none can be given", code="invalid_value", param="loop")
        media = (resolve(self.image, "image", "picture"),) if self.image else ()
        args = {"seconds": self.seconds, "loop": self.loop}
        return self.worded("generate", media, args, seconds=self.seconds, size=self.size)


class Extend(Mode):
    """The clip and more after it, or before it."""

    clip: Ref
    seconds: Seconds = 4.0
    backward: bool = False
    start: float = Field(0.0, ge=0, description="Seconds of the clip where it is cut first.")
    end: float | None = Field(None, ge=0)
    only_new: bool = False
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        clip = resolve(self.clip, "clip", "video")
        args = {name: getattr(self, name) for name in ("seconds", "backward", "start", "end", "only_new")}
        total = self.seconds if self.only_new else self.seconds + (self.end or clip.seconds) - self.start
        return self.worded("extend", (clip,), args, seconds=max(total, self.seconds), size=self.size)


class Connect(Mode):
    """From one clip or picture to another."""

    first: Ref
    second: Ref
    seconds: Seconds = 2.0
    only_new: bool = False
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        media = resolve(self.first, "first", None), resolve(self.second, "second", None)
        args = {"seconds": self.seconds, "only_new": self.only_new}
        total = self.seconds + (0 if self.only_new else sum(given.seconds for given in media))
        return self.worded("connect", media, args, seconds=total, size=self.size)


class Loop(Mode):
    """The clip and more that leads from its end to its beginning."""

    clip: Ref
    seconds: Seconds = 2.0
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        clip = resolve(self.clip, "clip", "video")
        return self.worded(
            "loop", (clip,), {"seconds": self.seconds}, seconds=clip.seconds + self.seconds, size=self.size
        )


class Retake(Mode):
    """The clip with what lies between two moments made anew."""

    clip: Ref
    start: float = Field(ge=0, description="Seconds.")
    end: float = Field(gt=0, description="Seconds.")
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        clip = resolve(self.clip, "clip", "video")
        args = {"start": self.start, "end": self.end}
        return self.worded("retake", (clip,), args, seconds=clip.seconds, size=self.size)


class Keyframe(Strict):
    """A picture that the video passes through."""

    at: float = Field(ge=0, description="Seconds.")
    image: Ref


class Keyframes(Mode):
    """A video that passes through pictures at given moments."""

    keyframes: list[Keyframe] = Field(min_length=1, max_length=50)
    seconds: Seconds = 4.0
    size: Size = (896, 512)

    def wish(self, resolve: Resolve) -> Wish:
        moments = [frame.at for frame in self.keyframes]
        if len(set(moments)) < len(moments) or max(moments) > self.seconds:
            raise Problem(
                400, "keyframes need moments of their own within the video", code="invalid_value", param="keyframes"
            )
        media = tuple(resolve(frame.image, f"keyframe{i}", "picture") for i, frame in enumerate(self.keyframes))
        args = {"moments": moments, "seconds": self.seconds}
        return self.worded("keyframes", media, args, seconds=self.seconds, size=self.size)


class Remix(Mode):
    """The clip as the prompt says it."""

    clip: Ref
    strength: float = Field(0.6, ge=0, le=1, description="0: stays as it is; 1: all is made anew.")
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        clip = resolve(self.clip, "clip", "video")
        return self.worded("remix", (clip,), {"strength": self.strength}, seconds=clip.seconds, size=self.size)


class Inpaint(Mode):
    """The clip with what lies inside a box made anew."""

    clip: Ref
    box: tuple[float, float, float, float] = Field(
        description="Left, top, right, bottom as shares of the picture.", examples=[[0.5, 0.2, 1, 0.8]]
    )
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise Problem(400, "the box is left, top, right, bottom within 0 and 1", code="invalid_value", param="box")
        clip = resolve(self.clip, "clip", "video")
        return self.worded("inpaint", (clip,), {"box": self.box}, seconds=clip.seconds, size=self.size)


class Blend(Mode):
    """One clip turns into another."""

    first: Ref
    second: Ref
    seconds: Seconds = 2.0
    hold: float = Field(0.25, ge=0, le=1, description="How much of the two stays in the middle.")
    size: Size | None = None

    def wish(self, resolve: Resolve) -> Wish:
        media = resolve(self.first, "first", "video"), resolve(self.second, "second", "video")
        total = max(self.seconds, sum(given.seconds for given in media) - self.seconds)
        args = {"seconds": self.seconds, "hold": self.hold}
        return self.worded("blend", media, args, seconds=total, size=self.size)


class StoryShot(Strict):
    """One shot and how it follows the one before."""

    prompt: Prompt
    seconds: Seconds = 4.0
    transition: Literal["cut", "dissolve", "connect", "continue"] = "cut"
    image: Ref | None = None
    negative: str | None = Field(None, max_length=32000)
    camera: str | None = Field(None, max_length=1000)
    seed: int | None = Field(None, ge=0, lt=2**63)
    guidance: float | None = Field(None, ge=1, le=20)
    steps: int | None = Field(None, ge=1, le=200)


class Storyboard(Strict):
    """Several shots as one film. What was finished when a worker dies is not made again."""

    shots: list[StoryShot] = Field(min_length=1, max_length=50)
    title: str = Field("", max_length=200)
    size: Size = (896, 512)
    seed: int = Field(0, ge=0, lt=2**31)
    remember: str | None = Field(None, max_length=32000)
    priority: int = 0

    def wish(self, resolve: Resolve) -> Wish:
        if self.shots[0].transition != "cut":
            raise Problem(400, "shot 1 follows nothing; leave its transition out", code="invalid_value", param="shots")
        media: list[Given] = []
        shots: list[dict[str, Any]] = []
        for number, shot in enumerate(self.shots, start=1):
            words = shot.model_dump(exclude={"image"}, exclude_none=True)
            if shot.image is not None:
                if shot.transition == "continue":
                    raise Problem(
                        400, f"shot {number} continues the one before and cannot also begin with a picture",
                        code="invalid_value", param="shots",
                    )  # fmt: skip
                words["image"] = len(media)
                media.append(resolve(shot.image, f"shot{number}", "picture"))
            shots.append(words)
        options: dict[str, Any] = {"seed": self.seed, "title": self.title, "remember": self.remember}
        return Wish(
            mode="storyboard", prompt=" / ".join(shot.prompt for shot in self.shots)[:2000], args={}, options=options,
            media=tuple(media), size=self.size, shown_size=self.size,
            seconds=sum(shot.seconds for shot in self.shots), shots=tuple(shots), priority=self.priority,
        )  # fmt: skip


async def _made(request: Request, response: Response, asked: Mode | Storyboard) -> Video:
    def words(service: Service, key: Key, identity: str) -> Wish:
        return asked.wish(resolver(service, key, identity))

    return await submitted(request, response, words, new_id())


def resolver(service: Service, key: Key, identity: str) -> Resolve:
    """Makes references files of the job `identity`."""

    def resolve(ref: Ref, name: str, want: Kind | None) -> Given:
        target = f"inputs/{identity}/{name}"
        if ref.video_id is not None:
            given = given_video(service, key, ref.video_id, target)[0]
        elif ref.file_id is not None:
            return given_file(service, key, ref.file_id, target, want)
        else:
            return service.media.from_url(ref.url or "", target, want)
        if want == "picture":
            raise InputError(f"{ref.video_id} is a video; a picture is needed here")
        return given

    return resolve


def _add(path: str, model: type[Mode] | type[Storyboard]) -> None:
    async def route(request: Request, response: Response, asked: Mode | Storyboard) -> Video:
        return await _made(request, response, asked)

    route.__annotations__["asked"] = model
    route.__doc__, route.__name__ = model.__doc__, path
    router.add_api_route(f"/{path}", route, methods=["POST"], response_model=Video)


MODES: dict[str, type[Mode] | type[Storyboard]] = {
    "generate": Generate, "extend": Extend, "connect": Connect, "loop": Loop, "retake": Retake,
    "keyframes": Keyframes, "remix": Remix, "inpaint": Inpaint, "blend": Blend, "storyboard": Storyboard,
}  # fmt: skip
for _path, _model in MODES.items():
    _add(_path, _model)


# ------------------------------------------------------------------------------------------------- while it runs


class Details(BaseModel):
    """A video and all that is known of its making."""

    video: Video
    mode: str
    stage: str
    ahead: int = Field(description="Jobs that wait before it.")
    attempts: int
    priority: int
    seed: int | None
    frames: int | None
    warnings: list[str]
    report: dict[str, Any] | None
    sha256: dict[str, str] | None


def _details(service: Service, job: Job) -> Details:
    result = job.result or {}
    return Details(
        video=video_of(job, service.model()), mode=job.mode, stage=job.stage, attempts=job.attempts,
        priority=job.priority, ahead=service.jobs.ahead(job) if job.status == "queued" else 0,
        seed=result.get("seed"), frames=result.get("frames"), warnings=result.get("report", {}).get("warnings", []),
        report=result.get("report"), sha256=result.get("sha256"),
    )  # fmt: skip


@router.get("/videos/{video_id}", response_model=Details)
async def details(request: Request, video_id: VideoId) -> Details:
    """Stage, place in the queue, seed, warnings, and what the model understood."""
    service, key = service_of(request), key_of(request, "read")
    return await run_in_threadpool(lambda: _details(service, service.job(video_id, key)))


@router.post("/videos/{video_id}/cancel", response_model=Video)
async def cancel(request: Request, response: Response, video_id: VideoId) -> Video:
    """End a video that is not finished; it is then failed with the code `cancelled`."""
    service, key = service_of(request), key_of(request, "write")
    await run_in_threadpool(service.job, video_id, key)
    job = await run_in_threadpool(service.jobs.cancel, video_id, key.id)
    if job is None:
        raise Problem(404, f"there is no video {video_id!r}", code="not_found")
    return answer(service, job, response)


@router.get(
    "/videos/{video_id}/events", response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events `progress` and `preview`, then `end`."}
    },
)  # fmt: skip
async def events(request: Request, video_id: VideoId) -> StreamingResponse:
    """Progress as server-sent events, each with the video and its stage; the last one is named `end`. Now and then a
    `preview` comes between, {"image": "data:image/webp;base64,...", "step": 3, "of": 12}: what the video is becoming,
    at most 192 pixels long, watermarked but not signed."""
    service, key = service_of(request), key_of(request, "read")
    await run_in_threadpool(service.job, video_id, key)

    async def told() -> AsyncIterator[str]:
        before, silent, seen = "", 0.0, 0.0
        while True:
            job = await service.looked(lambda: service.jobs.get(video_id, key.id))
            if job is None:
                yield 'event: end\ndata: {"deleted": true}\n\n'
                return
            shown = {"video": video_of(job, service.model()).model_dump(), "stage": job.stage}
            data = json.dumps(shown, ensure_ascii=False)
            if job.over:
                yield f"event: end\ndata: {data}\n\n"
                return
            if data != before:
                before, silent = data, 0.0
                yield f"event: progress\ndata: {data}\n\n"
            elif silent >= _ALIVE:
                silent = 0.0
                yield ": still here\n\n"
            look = await service.looked(lambda: service.jobs.look(video_id, since=seen))  # noqa: B023 - at once
            if look is not None:
                seen, silent = look.at, 0.0
                image = f"data:image/webp;base64,{base64.b64encode(look.picture).decode()}"
                yield f"event: preview\ndata: {json.dumps({'image': image, 'step': look.step, 'of': look.steps})}\n\n"
            await asyncio.sleep(_LOOK)
            silent += _LOOK

    return StreamingResponse(told(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


@router.get(
    "/videos/{video_id}/live", response_class=StreamingResponse,
    responses={200: {"content": {"video/mp4": {}}, "description": "Fragmented MP4 that grows while it is sent."}},
)  # fmt: skip
async def live(request: Request, video_id: VideoId) -> Response:
    """Watch a video while it is made: `ffplay URL`, or the src of a <video>. It is watermarked like the finished one,
    but a signature covers a whole file, so only the finished one is signed; where that is there already, this leads to
    it. Of a storyboard there is nothing to see before it is finished."""
    service, key = service_of(request), key_of(request, "read")
    job = await run_in_threadpool(service.job, video_id, key)
    if job.status == "completed":
        return RedirectResponse(f"/v1/videos/{video_id}/content", 303)
    if job.over or job.mode == "storyboard":
        raise Problem(404, f"{job.id} is {job.status}; there is nothing to watch", code="video_not_ready")
    return StreamingResponse(_growing(service, job), media_type="video/mp4", headers={"x-accel-buffering": "no"})


async def _growing(service: Service, job: Job) -> AsyncIterator[bytes]:
    """What one claim writes, from its beginning to its end. Another claim's video would begin anew, so it ends here."""
    file: BinaryIO | None = None
    try:
        while True:
            now = await run_in_threadpool(service.jobs.get, job.id, job.owner)
            over = now is None or now.over or (job.lease is not None and now.lease != job.lease)
            if file is None and not over and now is not None and now.lease is not None:
                job = now
                with contextlib.suppress(FileNotFoundError):
                    file = (scratch_of(service.config.scratch, job) / LIVE).open("rb")
            if file is not None and (data := await run_in_threadpool(file.read)):
                yield data
            elif over:
                return
            else:
                await asyncio.sleep(_LOOK)
    finally:
        if file is not None:
            file.close()
