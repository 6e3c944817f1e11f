"""The videos API of OpenAI, whole: create, list, retrieve, delete, content, remix, edits, extensions, characters."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile

from haneul.serve import aside
from haneul.serve.decode import Kind
from haneul.serve.forms import Body, body_of, save, uploaded
from haneul.serve.jobs import Job
from haneul.serve.keys import Key
from haneul.serve.media import Given
from haneul.serve.problems import ErrorEnvelope, Problem, not_found
from haneul.serve.schemas import (
    Character,
    CreateCharacter,
    CreateVideo,
    DeletedVideo,
    EditVideo,
    ExtendVideo,
    ImageRef,
    Options,
    RemixVideo,
    Video,
    VideoList,
    VideoRef,
    video_of,
)
from haneul.serve.sent import stored
from haneul.serve.service import Service, Wish, key_of, new_id, service_of

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorEnvelope, "description": words}
    for status, words in (
        (400, "What was sent cannot be used."), (401, "No valid key."), (403, "The key may not do this."),
        (404, "There is no such thing."), (413, "Too large."), (415, "Of another content type."),
        (422, "An idempotency key was used before."), (429, "Too much at once; see Retry-After."),
        (503, "The database or the store is out of reach for now, or this takes longer; see Retry-After."),
        (507, "The disk is almost full."),
    )
}  # fmt: skip
router = APIRouter(prefix="/v1/videos", tags=["Videos"], responses=ERRORS)

VideoId = Annotated[str, Path(max_length=100, examples=["video_123"])]
Variant = Literal["video", "thumbnail", "spritesheet"]
TYPES: dict[str, str] = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}


def accepts(model: type[Options] | type[CreateCharacter], *files: str, json: bool = True) -> dict[str, Any]:
    """The request body for the OpenAPI description: the same fields as JSON and as a form with files."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    upload = {"type": "object", "properties": {name: {"type": "string", "format": "binary"} for name in files}}
    form = {"allOf": [reference, upload]} if files else reference
    content = {"multipart/form-data": {"schema": form}} | ({"application/json": {"schema": reference}} if json else {})
    return {"requestBody": {"required": True, "content": content}}


def answer(service: Service, job: Job, response: Response) -> Video:
    """A job as the API shows it, and when it is worth asking again."""
    if not job.over:
        response.headers["openai-poll-after-ms"] = str(round(1000 * service.patience(job)))
    return video_of(job, service.model())


async def submitted(
    request: Request, response: Response, make: Callable[[Service, Key, str], Wish], identity: str
) -> Video:
    """Runs `make`, which stores what was given and words the wish, and submits that; nothing remains of a refusal."""
    service, key = service_of(request), key_of(request, "write")

    def run() -> Job:
        service.check_room()
        try:
            return service.submit(identity, make(service, key, identity), key, request.headers.get("idempotency-key"))
        except BaseException:
            service.drop_inputs(identity)
            raise

    return answer(service, await aside.given(run), response)


def given_picture(service: Service, key: Key, reference: ImageRef, target: str) -> Given:
    """A picture that a request names by URL or file id, as the job's own."""
    if reference.image_url is not None:
        return service.media.from_url(reference.image_url, target, "picture")
    assert reference.file_id is not None
    return given_file(service, key, reference.file_id, target, "picture")


def given_file(service: Service, key: Key, identity: str, target: str, want: Kind | None) -> Given:
    """An uploaded file as the job's own."""
    row = service.media.file(key.id, identity)
    if row is None:
        raise Problem(404, f"there is no file {identity!r}", code="not_found", param="file_id")
    with service.media.staged() as path:
        shutil.copyfile(service.store.local(row["content"]), path)
        return service.media.take(path, target, want)


def given_video(service: Service, key: Key, identity: str, target: str) -> tuple[Given, Job]:
    """A completed video as the new job's own, and its job."""
    job, source = service.finished(identity, key)
    assert job.result is not None
    service.store.copy(source, f"{target}.mp4")
    width, height = (int(side) for side in job.result["size"].split("x"))
    return Given(
        key=f"{target}.mp4", kind="video", width=width, height=height, seconds=float(job.result["seconds"]),
        source=job.id,
    ), job  # fmt: skip


@router.post("", response_model=Video, openapi_extra=accepts(CreateVideo, "input_reference"))
async def create(request: Request, response: Response) -> Video:
    """Create a video from a prompt, and perhaps a picture that it begins with."""
    identity = new_id()
    async with body_of(request) as body:
        asked = body.checked(CreateVideo, "input_reference")
        with service_of(request).media.staged() as staged:
            upload = body.files.get("input_reference")
            if upload is not None:
                await save(upload, staged)

            def make(service: Service, key: Key, identity: str) -> Wish:
                target = f"inputs/{identity}/input_reference"
                media: tuple[Given, ...] = ()
                if upload is not None:
                    media = (service.media.take(staged, target, "picture"),)
                elif asked.input_reference is not None:
                    media = (given_picture(service, key, asked.input_reference, target),)
                if media and asked.loop:
                    raise Problem(
                        400, "a loop has no beginning, so none can be given", code="invalid_value", param="loop"
                    )
                return Wish(
                    mode="generate", prompt=asked.prompt, args={"seconds": asked.seconds, "loop": asked.loop},
                    options=asked.options(), media=media, size=asked.size, shown_size=asked.size,
                    seconds=asked.seconds, priority=asked.priority, model=asked.model,
                )  # fmt: skip

            return await submitted(request, response, make, identity)


@router.get("", response_model=VideoList)
async def page(
    request: Request, limit: Annotated[int, Query(ge=0, le=100)] = 20, order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> VideoList:  # fmt: skip
    """List videos, newest first unless asked otherwise."""
    service, key = service_of(request), key_of(request, "read")

    def look() -> VideoList:
        found = service.jobs.page(key.id, after=after, limit=limit, ascending=order == "asc")
        if found is None:
            raise Problem(400, f"there is no video {after!r} to go on after", code="invalid_value", param="after")
        model = service.model()
        return VideoList.of([video_of(job, model) for job in found[0]], found[1])

    return await service.looked(look)


async def from_video(
    request: Request, response: Response, body: Body, video: VideoRef | None,
    words: Callable[[Given, Job | None], Wish],
) -> Video:  # fmt: skip
    """A new video from an uploaded or a completed one."""
    upload: UploadFile | None = body.files.get("video")
    with service_of(request).media.staged() as staged:
        if upload is not None:
            await save(upload, staged)

        def make(service: Service, key: Key, identity: str) -> Wish:
            target = f"inputs/{identity}/video"
            if upload is not None:
                return words(service.media.take(staged, target, "video"), None)
            if video is None:
                raise Problem(400, "'video' is missing", code="missing_required_parameter", param="video")
            return words(*given_video(service, key, video.id, target))

        return await submitted(request, response, make, new_id())


def remixed(asked: EditVideo | RemixVideo) -> Callable[[Given, Job | None], Wish]:
    return lambda given, source: Wish(
        mode="remix", prompt=asked.prompt, args={"strength": asked.strength}, options=asked.options(), media=(given,),
        size=None, shown_size=given.size, seconds=given.seconds, source=source.id if source else None,
        priority=asked.priority,
    )  # fmt: skip


@router.post("/edits", response_model=Video, openapi_extra=accepts(EditVideo, "video"))
async def edit(request: Request, response: Response) -> Video:
    """Make a given video anew, as the prompt says it."""
    async with body_of(request) as body:
        asked = body.checked(EditVideo, "video")
        return await from_video(request, response, body, asked.video, remixed(asked))


@router.post("/extensions", response_model=Video, openapi_extra=accepts(ExtendVideo, "video"))
async def extend(request: Request, response: Response) -> Video:
    """A given video and more after it, as one."""
    async with body_of(request) as body:
        asked = body.checked(ExtendVideo, "video")

        def words(given: Given, _source: Job | None) -> Wish:
            return Wish(
                mode="extend", prompt=asked.prompt, args={"seconds": asked.seconds}, options=asked.options(),
                media=(given,), size=None, shown_size=given.size, seconds=given.seconds + asked.seconds,
                priority=asked.priority,
            )  # fmt: skip

        return await from_video(request, response, body, asked.video, words)


@router.post("/characters", response_model=Character, openapi_extra=accepts(CreateCharacter, "video", json=False))
async def create_character(request: Request) -> Character:
    """Keep what a short video shows under a name, to be mentioned as @name in later prompts."""
    service, key = service_of(request), key_of(request, "write")
    async with body_of(request) as body:
        asked = body.checked(CreateCharacter, "video")
        async with uploaded(service, body, "video") as (staged, _):
            return Character(**await aside.given(lambda: service.media.add_character(key.id, asked.name, staged)))


@router.get("/characters/{character_id}", response_model=Character)
async def get_character(request: Request, character_id: Annotated[str, Path(max_length=100)]) -> Character:
    """Fetch a character."""
    service, key = service_of(request), key_of(request, "read")
    found = await run_in_threadpool(service.media.character, key.id, character_id)
    if found is None:
        raise not_found("character", character_id)
    return Character(**found)


@router.get("/{video_id}", response_model=Video)
async def retrieve(request: Request, response: Response, video_id: VideoId) -> Video:
    """The state of a video. `openai-poll-after-ms` says when it is worth asking again."""
    service, key = service_of(request), key_of(request, "read")
    return answer(service, await service.looked(lambda: service.job(video_id, key)), response)


@router.delete("/{video_id}", response_model=DeletedVideo)
async def delete(request: Request, video_id: VideoId) -> DeletedVideo:
    """Delete a video, whatever its state: what is being computed for it stops within one step."""
    service, key = service_of(request), key_of(request, "write")
    await run_in_threadpool(service.delete, video_id, key)
    return DeletedVideo(id=video_id)


@router.get(
    "/{video_id}/content", response_class=FileResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES.values()}},
        206: {"description": "The part that was asked for."}, 304: {"description": "It has not changed."},
        416: {"description": "There is no such part."},
    },
)  # fmt: skip
async def content(request: Request, video_id: VideoId, variant: Variant = "video") -> Response:
    """Download the video (MP4), its thumbnail (WebP) or a sprite sheet (JPEG). Each is signed."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> Response:
        job = service.job(video_id, key)
        if job.status != "completed" or job.result is None:
            raise Problem(404, f"{job.id} is {job.status}; there is no content yet", code="video_not_ready")
        etag = f'"{job.result["sha256"][variant]}"'
        headers = {"etag": etag, "cache-control": "private, no-cache"}
        if etag in [mark.strip().removeprefix("W/") for mark in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        source = str(job.result["files"][variant])
        name = f"{job.id}.{source.rpartition('.')[2]}"
        try:
            return stored(
                service.store, source, request.headers, media_type=TYPES[variant], filename=name, headers=headers
            )
        except KeyError:
            raise Problem(404, f"the files of {job.id} have expired", code="video_expired") from None

    return await run_in_threadpool(run)


@router.post("/{video_id}/remix", response_model=Video, openapi_extra=accepts(RemixVideo))
async def remix(request: Request, response: Response, video_id: VideoId) -> Video:
    """Make a completed video anew with another prompt."""
    async with body_of(request) as body:
        asked = body.checked(RemixVideo)
        return await from_video(request, response, body, VideoRef(id=video_id), remixed(asked))
