"""/v1/haneul/library: what was made, searched and sorted; what it came from; and made again with one change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from haneul.serve.haneul_api import MODES
from haneul.serve.jobs import Job
from haneul.serve.keys import Key
from haneul.serve.library import Entry, Look, Order
from haneul.serve.media import Given
from haneul.serve.modes import OPTIONS
from haneul.serve.problems import Problem, not_found
from haneul.serve.schemas import Prompt, Seconds, Size, Strict, Video, video_of
from haneul.serve.service import Service, Wish, key_of, new_id, service_of
from haneul.serve.videos import ERRORS, VideoId, submitted

router = APIRouter(prefix="/v1/haneul", tags=["Library"], responses=ERRORS)
State = Literal["queued", "in_progress", "completed", "failed"]
Folder = Annotated[str, Field(min_length=1, max_length=80)]


class Clip(BaseModel):
    """A video and what its owner says about it."""

    id: str
    video: Video
    mode: str
    seed: int | None
    fps: float | None
    frames: int | None
    favourite: bool
    folder: str | None
    stars: int | None
    parents: list[str] = Field(description="Videos that it was made from; some may be gone.")
    children: int = Field(description="How many were made from it.")


class ClipList(BaseModel):
    """A part of the library."""

    object: Literal["list"] = "list"
    data: list[Clip]
    total: int = Field(description="How many there are in all.")
    offset: int


class Changes(Strict):
    """What is left out stays; null takes it away."""

    favourite: bool | None = None
    folder: Folder | None = None
    stars: int | None = Field(None, ge=1, le=5)


class FolderCount(BaseModel):
    """A folder."""

    name: str
    clips: int


class FolderList(BaseModel):
    """All folders."""

    object: Literal["list"] = "list"
    data: list[FolderCount]


class Line(BaseModel):
    """A video that another was made from."""

    parent: str
    child: str


class Family(BaseModel):
    """Everything that a video descends from and that descends from it. `gone` are ids of those that were deleted."""

    clips: list[Clip]
    lines: list[Line]
    gone: list[str]


class Recipe(BaseModel):
    """What a video was asked for with."""

    mode: str
    prompt: str
    options: dict[str, Any] = Field(description="Seed, steps, camera and the like, as far as they were named.")
    args: dict[str, Any] = Field(description="What is the mode's own: seconds, strength, box, ...")
    size: list[int] | None
    shots: list[dict[str, Any]]
    given: int = Field(description="How many pictures and videos were given.")
    parents: list[str]


class Again(Strict):
    """The one change; what is left out stays as it was, the seed too."""

    prompt: Prompt | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    steps: int | None = Field(None, ge=1, le=200)
    guidance: float | None = Field(None, ge=1, le=20)
    negative: str | None = Field(None, max_length=32000)
    remember: str | None = Field(None, max_length=32000)
    camera: str | None = Field(None, max_length=1000)
    expand: bool | None = None
    seconds: Seconds | None = None
    strength: float | None = Field(None, ge=0, le=1)
    size: Size | None = None
    priority: int = 0


def clip_of(service: Service, entry: Entry) -> Clip:
    result = entry.job.result or {}
    return Clip(
        id=entry.job.id, video=video_of(entry.job, service.model()), mode=entry.job.mode, seed=result.get("seed"),
        fps=result.get("fps"), frames=result.get("frames"), favourite=entry.favourite, folder=entry.folder,
        stars=entry.stars, parents=list(entry.parents), children=entry.children,
    )  # fmt: skip


@router.get("/library", response_model=ClipList)
async def library(
    request: Request,
    q: Annotated[str, Query(max_length=500, description="Words that must be in the prompt; or an id.")] = "",
    status: Annotated[list[State] | None, Query(description="Repeat it for several.")] = None,
    mode: Annotated[str | None, Query(max_length=40)] = None,
    favourite: bool = False,
    folder: Annotated[str | None, Query(max_length=80)] = None,
    order: Order = "newest",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 60,
) -> ClipList:
    """Search what was made."""
    service, key = service_of(request), key_of(request, "read")
    look = Look(words=q, status=tuple(status or ()), mode=mode, favourite=favourite, folder=folder, order=order)

    def run() -> ClipList:
        found, total = service.library.page(key.id, look, offset=offset, limit=limit)
        return ClipList(data=[clip_of(service, entry) for entry in found], total=total, offset=offset)

    return await run_in_threadpool(run)


@router.get("/folders", response_model=FolderList)
async def folders(request: Request) -> FolderList:
    """The folders that clips were put into."""
    service, key = service_of(request), key_of(request, "read")
    found = await run_in_threadpool(service.library.folders, key.id)
    return FolderList(data=[FolderCount(name=name, clips=count) for name, count in found])


def _entry(service: Service, key: Key, identity: str) -> Entry:
    found = service.library.entry(key.id, identity)
    if found is None:
        raise not_found("video", identity)
    return found


@router.get("/library/{video_id}", response_model=Clip)
async def one(request: Request, video_id: VideoId) -> Clip:
    """One clip."""
    service, key = service_of(request), key_of(request, "read")
    return await run_in_threadpool(lambda: clip_of(service, _entry(service, key, video_id)))


@router.patch("/library/{video_id}", response_model=Clip)
async def change(request: Request, video_id: VideoId, asked: Changes) -> Clip:
    """Make a clip a favourite, put it into a folder, give it stars."""
    service, key = service_of(request), key_of(request, "write")
    changes = asked.model_dump(exclude_unset=True)
    if changes.get("favourite", False) is None:
        raise Problem(400, "favourite is true or false", code="invalid_value", param="favourite")
    found = await run_in_threadpool(service.library.change, key.id, video_id, changes)
    if found is None:
        raise not_found("video", video_id)
    return clip_of(service, found)


@router.get("/library/{video_id}/family", response_model=Family)
async def family(request: Request, video_id: VideoId) -> Family:
    """What a clip came from, and what came from it."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> Family:
        _entry(service, key, video_id)
        ids, lines = service.library.family(key.id, video_id)
        found = {identity: service.library.entry(key.id, identity) for identity in ids}
        return Family(
            clips=[clip_of(service, entry) for entry in found.values() if entry is not None],
            lines=[Line(parent=parent, child=child) for parent, child in lines],
            gone=[identity for identity, entry in found.items() if entry is None],
        )

    return await run_in_threadpool(run)


@router.get("/library/{video_id}/recipe", response_model=Recipe)
async def recipe(request: Request, video_id: VideoId) -> Recipe:
    """What a clip was asked for with, to be asked for again."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> Recipe:
        entry = _entry(service, key, video_id)
        asked = entry.job.request
        return Recipe(
            mode=entry.job.mode, prompt=asked.get("prompt") or "", args=asked.get("args", {}), size=asked.get("size"),
            options={name: asked[name] for name in OPTIONS if asked.get(name) is not None},
            shots=asked.get("shots", []), given=len(asked.get("media", [])), parents=list(entry.parents),
        )  # fmt: skip

    return await run_in_threadpool(run)


@router.post("/library/{video_id}/again", response_model=Video)
async def again(request: Request, response: Response, video_id: VideoId, asked: Again) -> Video:
    """Make a video again with what it was made with, but for the changes that are named."""

    def words(service: Service, key: Key, identity: str) -> Wish:
        job = service.job(video_id, key)
        return changed(service, job, asked, identity)

    return await submitted(request, response, words, new_id())


def changed(service: Service, job: Job, asked: Again, identity: str) -> Wish:
    """A job's wish with changes; its given files become the new job's own."""
    before = job.request
    changes = asked.model_dump(exclude_unset=True, exclude_none=True, exclude={"priority"})
    if job.mode not in MODES and job.mode != "generate":
        raise Problem(400, f"a video by {job.mode} cannot be made again like this", code="invalid_value")
    shown = before["shown"]
    args = dict(before.get("args", {}))
    for name in ("seconds", "strength"):
        if name in changes:
            if name not in args:
                raise Problem(400, f"{job.mode} has no {name} to change", code="invalid_value", param=name)
            args[name] = changes[name]
    options = {name: before[name] for name in (*OPTIONS, "title") if before.get(name) is not None}
    if options.get("seed") is None and job.result is not None:
        options["seed"] = job.result["seed"]
    options |= {name: value for name, value in changes.items() if name in OPTIONS}
    size = changes.get("size") or (tuple(before["size"]) if before.get("size") else None)
    media = []
    for key in before.get("media", []):
        target = f"inputs/{identity}/{key.rpartition('/')[2]}"
        try:
            service.store.copy(key, target)
        except KeyError:
            raise Problem(400, f"what {job.id} was given is not there any more", code="video_expired") from None
        width, height = shown["size"]
        media.append(Given(key=target, kind="video", width=width, height=height, seconds=0.0))
    seconds = shown["seconds"] + (args.get("seconds", 0) - before.get("args", {}).get("seconds", 0))
    return Wish(
        mode=job.mode, prompt=changes.get("prompt", before.get("prompt") or ""), args=args, options=options,
        media=tuple(media), size=size, shown_size=size or tuple(shown["size"]), seconds=seconds,
        source=before.get("source"), priority=asked.priority, shots=tuple(before.get("shots", [])),
        parents=tuple(before.get("parents", ())),
    )  # fmt: skip
