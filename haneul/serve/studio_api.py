"""/v1/haneul: what the studio shows beside videos. Prompts as they are understood, variations, everything that runs in
one stream of events, the model and what it learned from, nearest training clips, the audit log's state, disk use."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from haneul.config import load_settings
from haneul.prompt.camera import MOVES
from haneul.screen.audit import AuditLog
from haneul.serve.aside import Turns, given, joined, output
from haneul.serve.haneul_api import Generate, resolver
from haneul.serve.jobs import Job
from haneul.serve.problems import Problem
from haneul.serve.queue_api import Queue, state_of
from haneul.serve.schemas import Prompt, Strict, Video, video_of
from haneul.serve.service import Service, key_of, new_id, service_of
from haneul.serve.store import FolderStore
from haneul.serve.videos import ERRORS, VideoId
from haneul.video.sizes import SIZES

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)
BUNDLED = Path(__file__).resolve().parent.parent / "weights"
_LOOK = 0.3  # seconds between looks at everything that runs
_ALIVE = 10.0
_askers = Turns(4)  # one question at a time is answered; more of those who wait would hold threads
_SEARCH_TIME = 120.0  # seconds
_searching = asyncio.Semaphore(1)  # searches for nearest clips, each of which loads a model


# ------------------------------------------------------------------------------------------------------ the prompt


class AskPrompt(Strict):
    """A prompt, and what else decides what is filled in."""

    prompt: Prompt
    remember: str = Field("", max_length=32000, description="What holds where the prompt is silent.")
    seed: int = Field(0, ge=0, lt=2**63, description="Draws what is filled in.")
    camera: str = Field("", max_length=1000)
    expand: bool = True


class Understood(BaseModel):
    """What a slot was taken to hold."""

    value: str
    probability: float


class Unknown(BaseModel):
    """A word that the model never learned, and the nearest ones that it knows."""

    word: str
    nearest: list[str]


class Screened(BaseModel):
    """What the screen finds; `action` says what comes of it."""

    code: str
    title: str
    action: Literal["refuse", "flag", "allow"]
    advice: str


class PromptRead(BaseModel):
    """What the model makes of a prompt, slot by slot."""

    language: str
    said: dict[str, Understood] = Field(description="By the prompt.")
    remembered: dict[str, Understood] = Field(description="By what is remembered, where the prompt is silent.")
    filled: dict[str, str] = Field(description="By a scene that the model has seen, where both are silent.")
    unknown: list[Unknown]
    findings: list[Screened]


@router.post("/prompt", response_model=PromptRead)
async def read_prompt(request: Request, asked: AskPrompt) -> PromptRead:
    """What the model understands of a prompt, what it would fill in, which words it does not know, and whether the
    screen would refuse it. Nothing is made, and nothing kept."""
    service = service_of(request)
    key_of(request, "read")
    question = asked.model_dump()
    question["way"] = question.pop("camera")
    async with _askers.turn():
        return PromptRead(**await run_in_threadpool(service.prompting.ask, question))


# ------------------------------------------------------------------------------------------------------ variations


class Variations(Generate):
    """Several videos of one prompt, to choose from: their seeds follow one another."""

    count: int = Field(4, ge=1, le=9)


class VideosMade(BaseModel):
    """Videos that were asked for together."""

    object: Literal["list"] = "list"
    data: list[Video]


@router.post("/variations", response_model=VideosMade)
async def variations(request: Request, asked: Variations) -> VideosMade:
    """Ask for several videos of one prompt at once; all of them are accepted, or none."""
    service, key = service_of(request), key_of(request, "write")
    idempotent = request.headers.get("idempotency-key")

    def run() -> list[Job]:
        service.check_room()
        made: list[Job] = []
        first = secrets.randbelow(2**31) if asked.seed is None else asked.seed
        try:
            for number in range(asked.count):
                identity = new_id()
                single = asked.model_copy(update={"seed": first + number})
                try:
                    wish = single.wish(resolver(service, key, identity))
                    again = f"{idempotent}.{number}"[:255] if idempotent else None
                    made.append(service.submit(identity, wish, key, again))
                except BaseException:
                    service.drop_inputs(identity)
                    raise
        except BaseException:
            for job in made:
                service.delete(job.id, key)
            raise
        return made

    jobs = await given(run)
    return VideosMade(data=[video_of(job, service.model()) for job in jobs])


# ------------------------------------------------------------------------------------------------ what runs just now


def _told(service: Service, job: Job | None, identity: str) -> str:
    if job is None:
        return json.dumps({"id": identity, "deleted": True})
    shown = {"id": job.id, "video": video_of(job, service.model()).model_dump(), "stage": job.stage, "mode": job.mode}
    return json.dumps(shown, ensure_ascii=False)


@router.get(
    "/events", response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `job` and `queue`."}},
)  # fmt: skip
async def events(request: Request) -> StreamingResponse:
    """Everything of this key that waits or runs, in one stream of server-sent events: each job once at the beginning,
    and again whenever it changes, to its end; and whether its jobs are held, at the beginning and when that changes."""
    service, key = service_of(request), key_of(request, "read")
    newest: str | None = None
    held: Queue | None = None

    def new() -> list[Job]:
        """Jobs that were accepted since the last look; at the first look there are none."""
        nonlocal newest
        found = None if newest is None else service.jobs.page(key.id, after=newest or None, limit=100, ascending=True)
        if found is None:  # the first look, or that one was deleted
            last = service.jobs.page(key.id, after=None, limit=1, ascending=False)
            newest = last[0][0].id if last and last[0] else ""
            return []
        if found[0]:
            newest = found[0][-1].id
        return found[0]

    def look(seen: dict[str, str]) -> list[tuple[str, str]]:
        """What is to be told, as event and data; `seen` is brought up to date."""
        nonlocal held
        before, held = held, state_of(service, key)
        return [("queue", held.model_dump_json())] * (held != before) + [("job", data) for data in jobs(seen)]

    def jobs(seen: dict[str, str]) -> list[str]:
        fresh = new()
        running = {job.id: job for job in service.library.follow(key.id)}
        # What began and ended between two looks.
        told = [_told(service, job, job.id) for job in fresh if job.over and job.id not in seen]
        for identity in [identity for identity in seen if identity not in running]:
            told.append(_told(service, service.jobs.get(identity, key.id), identity))
            del seen[identity]
        for identity, job in running.items():
            data = _told(service, job, identity)
            if seen.get(identity) != data:
                seen[identity] = data
                told.append(data)
        return told

    async def stream() -> AsyncIterator[str]:
        seen: dict[str, str] = {}
        silent = 0.0
        yield ": hello\n\n"
        while True:
            told = await run_in_threadpool(look, seen)
            for event, data in told:
                yield f"event: {event}\ndata: {data}\n\n"
            if told:
                silent = 0.0
            elif silent >= _ALIVE:
                silent = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(_LOOK)
            silent += _LOOK

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


# ------------------------------------------------------------------------------------------------------- the model


class Part(BaseModel):
    """One file of weights, and its card: what its maker says about it."""

    name: str
    bytes: int
    sha256: str
    card: dict[str, Any] | None


class ModelCard(BaseModel):
    """The model at hand."""

    model: str
    data_ledger_root: str | None
    licence: str | None
    trained: str | None
    parts: list[Part]
    fps: int | None
    max_seconds: float | None
    max_size: list[int] | None
    default_steps: int | None
    default_guidance: float | None
    modes: list[str]
    vocabulary: dict[str, list[str]] = Field(description="What it knows, slot by slot.")
    sizes: dict[str, list[int]] = Field(description="Sizes by name.")
    camera: list[str] = Field(description="Moves of the camera.")
    indexed: bool = Field(description="Whether there is an index of training clips here, in which to find the nearest.")


def weights_folder() -> Path:
    return load_settings().weights or BUNDLED


@lru_cache(maxsize=32)
def _part(path: Path, _changed: float) -> Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with safetensors.safe_open(path, framework="numpy") as tensors:
            card = json.loads((tensors.metadata() or {}).get("card", "null"))
    except (safetensors.SafetensorError, ValueError):
        card = None
    return Part(name=path.stem, bytes=path.stat().st_size, sha256=digest, card=card)


def parts() -> list[Part]:
    """The files of weights in use."""
    return [_part(path, path.stat().st_mtime) for path in sorted(weights_folder().glob("*.safetensors"))]


@router.get("/model", response_model=ModelCard)
async def model_card(request: Request) -> ModelCard:
    """What the model is, what it can do, and what its weights say about themselves."""
    service = service_of(request)
    key_of(request, "read")

    def run() -> ModelCard:
        able = service.jobs.able() or {}
        found = parts()
        card = next((part.card for part in found if part.name == "dit"), None) or {}
        return ModelCard(
            model=service.model(), data_ledger_root=card.get("data_ledger_root"), licence=card.get("licence"),
            trained=card.get("trained"), parts=found, fps=able.get("fps"), max_seconds=able.get("max_seconds"),
            max_size=able.get("max_size"), default_steps=service.config.steps or able.get("default_steps"),
            default_guidance=able.get("default_guidance"), modes=able.get("modes", []),
            vocabulary=able.get("vocabulary", {}), sizes={name: list(size) for name, size in SIZES.items()},
            camera=list(MOVES), indexed=load_settings().clip_index.is_file(),
        )  # fmt: skip

    return await run_in_threadpool(run)


class NearClip(BaseModel):
    """A training clip and how far it is, in units of the clips' own spread."""

    name: str
    distance: float


class Nearest(BaseModel):
    """The training clips that are nearest to a video, and what that means."""

    closeness: Literal["ordinary", "close", "near copy"]
    nearest: list[NearClip]
    share: float = Field(description="Of the training clips that are at least as near to another one.")
    caught: float = Field(description="Share of real copies that are called near copies.")


@router.get("/videos/{video_id}/nearest", response_model=Nearest)
async def nearest(request: Request, video_id: VideoId) -> Nearest:
    """Which training clips a finished video is nearest to. It needs an index of them (`haneul eval index`)."""
    service, key = service_of(request), key_of(request, "read")

    _, source = await run_in_threadpool(service.finished, video_id, key)

    async def work() -> Nearest:
        path = await run_in_threadpool(service.store.local, source)
        try:
            _, out, said = await output("-m", "haneul", "similar", "--json", str(path), seconds=_SEARCH_TIME)
            found = json.loads(out)
        except TimeoutError:
            raise Problem(400, "the search takes too long", code="too_long") from None
        except ValueError:
            message = said.decode(errors="replace").removeprefix("error: ").strip().splitlines()
            raise Problem(404, "there is no index of training clips here", code="no_index") from (
                RuntimeError(message[-1]) if message else None
            )
        rows = [NearClip(name=name, distance=distance) for name, distance in found["nearest"]]
        return Nearest(closeness=found["closeness"], nearest=rows, share=found["share"], caught=found["caught"])

    return await joined(f"nearest {video_id}", work, _searching)


# ------------------------------------------------------------------------------------------------- this installation


class Audit(BaseModel):
    """Whether the log of what the screen decided is as it was written. A head that was noted elsewhere shows later
    whether an older log was put in its place."""

    records: int
    whole: bool
    problems: list[str]
    head: str


@router.get("/audit", response_model=Audit)
async def audit(request: Request, head: Annotated[str | None, Query(max_length=120)] = None) -> Audit:
    """Check the audit log. Needs an admin key."""
    key_of(request, "admin")

    def run() -> Audit:
        report = AuditLog(load_settings()).verify(head or None)
        return Audit(
            records=report.head.count, whole=report.whole, problems=list(report.problems), head=str(report.head)
        )

    return await run_in_threadpool(run)


class Storage(BaseModel):
    """What lies on this machine's disk, in bytes."""

    videos: int
    inputs: int = Field(description="Pictures and videos that jobs were given.")
    files: int = Field(description="Uploaded files and characters.")
    other: int = Field(description="Tables, and what is unfinished.")
    free: int
    low_water: int = Field(description="Free space below which no new job is taken.")
    retention: float = Field(description="Seconds that finished videos are kept.")
    queued: int
    running: int
    workers: int
    typical: float | None = Field(description="Seconds that a video took of late.")


@router.get("/storage", response_model=Storage)
async def storage(request: Request) -> Storage:
    """How much room there is, what takes it, and how busy the service is."""
    service = service_of(request)
    key_of(request, "read")

    def run() -> Storage:
        counts, data = service.jobs.counts(), service.config.data
        # What lies in a bucket is not on this machine.
        root = service.store.root if isinstance(service.store, FolderStore) else None
        videos, inputs, files, characters = (
            0 if root is None else size_of(root / top) for top in ("videos", "inputs", "files", "characters")
        )
        kept = videos + inputs + files + characters
        inside = kept if root is not None and root.is_relative_to(data) else 0
        return Storage(
            videos=videos, inputs=inputs, files=files + characters, other=max(0, size_of(data) - inside),
            free=shutil.disk_usage(data).free, low_water=service.config.low_water,
            retention=service.config.retention, queued=counts.queued, running=counts.running, workers=counts.workers,
            typical=counts.typical,
        )  # fmt: skip

    return await run_in_threadpool(run)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; what goes away meanwhile counts as nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(where, name)).st_size  # noqa: PTH116, PTH118 - for thousands of files
    return total
