"""/v1/haneul/play: a world that goes on as keys are held. Pictures come as one answer that does not end, keys go as
small requests.

No web socket: pictures go one way and a key is a few bytes, for which a kept connection is as quick; and so playing
passes the same gate as everything else (a browser cannot send a key with a web socket), and any HTTP client can play.
"""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import safetensors
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from haneul.backbones.layout import live_file
from haneul.errors import CheckpointError
from haneul.serve.media import Given
from haneul.serve.plays import Held, Play, Reason
from haneul.serve.problems import Problem
from haneul.serve.schemas import Deleted, Size, Strict, Video
from haneul.serve.service import Service, Wish, key_of, new_id, service_of
from haneul.serve.videos import ERRORS, submitted

router = APIRouter(prefix="/v1/haneul/play", tags=["Play"], responses=ERRORS)
BUNDLED = FilePath(__file__).resolve().parent.parent / "weights"
Soon = Annotated[bool, Query(description="Load a program meanwhile, for somebody who is about to begin.")]
WorldId = Annotated[str, Path(max_length=100, examples=["world_123"])]


class PlayState(BaseModel):
    """Whether worlds can be played here, and which."""

    available: bool = Field(description="Whether there is a live model.")
    reason: str | None = Field(None, description="Why not.")
    riders: dict[str, list[str]] = Field(
        description="What can be ridden, and the settings where it can.", examples=[{"car": ["desert", "street"]}]
    )
    playing: int = Field(description="Worlds that are played now, by anybody.")
    most: int = Field(description="As many as this service takes at once.")
    worlds: list[str] = Field(description="This key's own that go on, to be looked at again.", examples=[["world_123"]])
    unsaved: list[str] = Field(
        description="This key's own that ended without being stopped and can be saved still, the last one first."
    )
    resting_ends: float = Field(description="Seconds after which a world ends that nobody looks at.")


class BeginWorld(Strict):
    """What is ridden, and where."""

    prompt: str = Field(
        "", max_length=32000, examples=["a red car in a desert at dusk"],
        description="A car, a robot or a bird, its colour, the setting, the time of day, in English or Korean; or a"
        " walk, which leads the camera itself. What it leaves open is drawn by the seed; it may be empty.",
    )  # fmt: skip
    seed: int | None = Field(None, ge=0, lt=2**31, description="The same seed and keys give the same ride.")


class World(BaseModel):
    """A world that is played, or was."""

    id: str = Field(examples=["world_123"])
    object: Literal["world"] = "world"
    status: Literal["running", "ended"]
    reason: Reason | None = Field(
        None, description="Why it ended: by its player, by nobody's looking, by the screen, by an error, by the death"
        " of its program, by the service or another world."
    )  # fmt: skip
    message: str | None = None
    prompt: str
    seed: int
    said: dict[str, str] = Field(description="What the prompt was taken to say.", examples=[{"kind": "car"}])
    added: dict[str, str] = Field(description="What the seed added.", examples=[{"time": "dusk"}])
    warnings: list[str]
    size: str = Field(description="Of the pictures.", examples=["448x256"])
    fps: int = Field(description="Pictures a second, where the machine keeps up.", examples=[12])
    seconds: float = Field(description="Of the ride so far.")
    created_at: int
    saveable: bool = Field(description="Whether there is something to save; for an hour also when nobody stopped it.")


class HoldKeys(Strict):
    """All that is held from now on."""

    number: int = Field(
        ge=1, lt=2**53, description="Counts up: what comes after a higher number counts for nothing.", examples=[1]
    )
    steer: float = Field(0.0, ge=-1, le=1, description="-1 is left, 1 right, as who rides sees it.", examples=[-1])
    go: float = Field(0.0, ge=0, le=1, description="0 is no throttle, 1 all of it.", examples=[1])


class KeysHeld(BaseModel):
    """What counts now."""

    number: int
    taken: bool = Field(description="Whether it is what was sent; else something newer came before.")


class SaveRide(Strict):
    """How the ride is saved."""

    seconds: float | None = Field(
        None, gt=0, le=600, description="The last so many; by default all of it, up to what a video may last here."
    )
    size: Size = (896, 512)


def world_of(world: Play) -> World:
    told, end = world.told, world.end
    return World(
        id=world.id, status="running" if end is None else "ended", reason=None if end is None else end.reason,
        message=None if end is None else end.message, prompt=world.prompt, seed=told["seed"], said=told["said"],
        added=told["added"], warnings=told["warnings"], size="{}x{}".format(*told["size"]), fps=told["fps"],
        seconds=round(world.frames / told["fps"], 3), created_at=int(world.created_at),
        saveable=bool(world.aside if end else world.frames),
    )  # fmt: skip


def riders_of(folder: FilePath) -> dict[str, list[str]]:
    """What the live model of a folder was shown. Raises CheckpointError where there is none."""
    path = live_file(folder)
    try:
        with safetensors.safe_open(path, framework="numpy") as tensors:
            card = json.loads(tensors.metadata()["card"])
        return {kind: list(settings) for kind, (_, settings) in card["recipe"]["riders"].items()}
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the live model in {folder} is damaged: {error}; fetch it again") from error


def _no_model(error: CheckpointError) -> Problem:
    return Problem(404, f"nothing can be played here: {' '.join(str(error).split())}", code="no_live_model")


@router.get("", response_model=PlayState)
async def state(request: Request, soon: Soon = False) -> PlayState:
    """Whether worlds can be played here."""
    service, key = service_of(request), key_of(request, "read")
    riders: dict[str, list[str]] = {}
    reason = None if service.config.worlds else "this service takes no worlds; see haneul serve --worlds"
    try:
        riders = await run_in_threadpool(riders_of, service.settings.weights or BUNDLED)
    except CheckpointError as error:
        reason = str(error)
    if soon and reason is None and key.may("write"):
        service.plays.warm()
    return PlayState(
        available=reason is None, reason=reason, riders=riders, playing=service.plays.running,
        most=service.config.worlds, worlds=[world.id for world in service.plays.of(key.id)],
        unsaved=[world.id for world in service.plays.unsaved(key.id)],
        resting_ends=service.config.world_idle,
    )  # fmt: skip


@router.post("", response_model=World)
async def begin(request: Request, asked: BeginWorld) -> World:
    """Begin a world. It rests until somebody reads its pictures, and ends when nobody does. One that this key began
    before and nobody looks at ends in its favour."""
    service, key = service_of(request), key_of(request, "write")
    try:
        await run_in_threadpool(riders_of, service.settings.weights or BUNDLED)
        return world_of(await service.plays.begin(key.id, asked.prompt, asked.seed))
    except CheckpointError as error:
        raise _no_model(error) from error


@router.get("/{world_id}", response_model=World)
async def one(request: Request, world_id: WorldId) -> World:
    """How a world stands; for some minutes also why it ended."""
    service, key = service_of(request), key_of(request, "read")
    return world_of(service.plays.get(key.id, world_id))


@router.get(
    "/{world_id}/pictures", response_class=StreamingResponse,
    responses={
        200: {
            "description": "Records without end: two lengths (4 bytes each, big-endian), then JSON of the first length"
            ' and a JPEG picture of the second. With a picture the JSON is {"number": 7, "keys": 3, "delay": 0.08,'
            ' "near": [[4.2, -1.0, 0.4]]}: of the frame, of the keys that it was drawn with, the seconds from when'
            " these were read to when it was drawn, and what stands around the rider: metres ahead, to the left, and"
            ' how far it reaches. Without one it is {"waiting": true}, now and then while nothing comes, or at last'
            ' {"end": reason, "message": words, "code": the category where it was refused}.',
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
async def pictures(request: Request, world_id: WorldId) -> StreamingResponse:
    """A world's pictures as they are drawn, each watermarked. Who reads slowly gets fewer, always the newest."""
    service, key = service_of(request), key_of(request, "read")
    world = service.plays.get(key.id, world_id)
    return StreamingResponse(
        world.pictures(), media_type="application/octet-stream", headers={"x-accel-buffering": "no"}
    )


@router.post("/{world_id}/keys", response_model=KeysHeld)
async def keys(request: Request, world_id: WorldId, asked: HoldKeys) -> KeysHeld:
    """Hold keys, or let them go: it counts from the next frame on."""
    service, key = service_of(request), key_of(request, "write")
    world = service.plays.get(key.id, world_id)
    taken = world.hold(Held(number=asked.number, steer=asked.steer, go=asked.go))
    return KeysHeld(number=world.keys.number, taken=taken)


@router.post("/{world_id}/save", response_model=Video)
async def save(request: Request, response: Response, world_id: WorldId, asked: SaveRide) -> Video:
    """Save the ride so far as a video: a worker draws it anew, larger, and signs it, as any other; meanwhile the world
    goes on."""
    service, key = service_of(request), key_of(request, "write")
    world = service.plays.get(key.id, world_id)
    await run_in_threadpool(service.check_room)
    most = service.config.max_seconds
    at = world.aside if world.end is not None else world.frames
    with service.media.staged() as path:
        frames = await world.keep(path, min(asked.seconds or most, most))
        seconds = frames / world.told["fps"]

        def words(service: Service, _key: Any, identity: str) -> Wish:
            given = Given(
                key=f"inputs/{identity}/ride.safetensors", kind="video", width=world.told["size"][0],
                height=world.told["size"][1], seconds=seconds,
            )  # fmt: skip
            service.store.put(given.key, path)
            return Wish(
                mode="play", prompt=world.prompt.strip() or described(world.told), args={"seconds": seconds},
                options={"seed": world.told["seed"]}, media=(given,), size=asked.size, shown_size=asked.size,
                seconds=max(0.1, seconds),
            )  # fmt: skip

        video = await submitted(request, response, words, new_id())
    world.saved(frames, at)
    return video


def described(told: dict[str, Any]) -> str:
    """A world that nothing was said of, in words."""
    parts = told["said"] | told["added"]
    return f"a {parts['color']} {parts['kind']}, {parts['setting']}, {parts['time']}"


@router.delete("/{world_id}", response_model=Deleted)
async def stop(request: Request, world_id: WorldId) -> Deleted:
    """End a world. What was not saved of it is gone."""
    service, key = service_of(request), key_of(request, "write")
    world = service.plays.get(key.id, world_id)
    await world.stop()
    world.drop()
    return Deleted(id=world_id, object="world.deleted")
