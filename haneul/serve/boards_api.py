"""/v1/haneul/boards: storyboards that are worked on, and their way to editing programs and back (OpenTimelineIO).

A board is a plan: its shots name the videos that were made for them. Who saves says which revision was changed, so two
tabs cannot overwrite each other.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import opentimelineio as otio
from fastapi import APIRouter, Request
from fastapi import Path as PathParam
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.background import BackgroundTask

from haneul.assemble import DISSOLVE
from haneul.errors import InputError
from haneul.serve.forms import body_of
from haneul.serve.keys import Key
from haneul.serve.problems import Problem, not_found
from haneul.serve.schemas import Deleted, Strict
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS

router = APIRouter(
    prefix="/v1/haneul/boards", tags=["Boards"],
    responses=ERRORS | {409: {"model": ERRORS[400]["model"], "description": "It was changed by somebody else."}},
)  # fmt: skip
BoardId = Annotated[str, PathParam(max_length=100, examples=["board_123"])]
FPS = 24.0  #: of a time line in which nothing is made yet
MOST_FILE = 4 * 2**20  #: bytes of a time line that is read


class BoardShot(Strict):
    """One shot. `video_id` is what was made for it, `made_of` what it was made of, in the words of who made it; with
    `bridge_id` another video leads to it."""

    key: str = Field(max_length=40, description="Stays when the order changes.")
    prompt: str = Field("", max_length=4000)
    seconds: float = Field(4.0, gt=0, le=3600, allow_inf_nan=False)
    transition: Literal["cut", "dissolve", "connect", "continue"] = "cut"
    camera: str = Field("", max_length=1000)
    seed: int | None = Field(None, ge=0, lt=2**63)
    image_id: str | None = Field(None, max_length=100, description="An uploaded picture that it begins with.")
    video_id: str | None = Field(None, max_length=100)
    bridge_id: str | None = Field(None, max_length=100)
    made_of: str = Field("", max_length=20000)


class Plan(Strict):
    """What is on a board."""

    size: str = Field("896x512", max_length=12, pattern=r"^\d{1,5}x\d{1,5}$")
    seed: int = Field(0, ge=0, lt=2**31)
    remember: str = Field("", max_length=4000)
    shots: list[BoardShot] = Field(default_factory=list, max_length=200)
    film_id: str | None = Field(None, max_length=100)


class NewBoard(Strict):
    """A board."""

    title: str = Field("", max_length=200)
    plan: Plan = Field(default_factory=lambda: Plan.model_validate({}))


class SavedBoard(NewBoard):
    """A board, and the revision that was changed."""

    revision: int = Field(ge=1)


class Board(BaseModel):
    """A board as it is kept."""

    id: str
    object: Literal["board"] = "board"
    title: str
    plan: Plan
    revision: int
    created_at: int
    updated_at: int


class BoardList(BaseModel):
    """All boards, the last changed one first."""

    object: Literal["list"] = "list"
    data: list[Board]


def _board(row: dict[str, Any]) -> Board:
    return Board(
        id=row["id"], title=row["title"], plan=Plan(**row["body"]), revision=row["revision"],
        created_at=int(row["created_at"]), updated_at=int(row["updated_at"]),
    )  # fmt: skip


def _found(service: Service, key: Key, identity: str) -> Board:
    row = service.library.board(key.id, identity)
    if row is None:
        raise not_found("board", identity)
    return _board(row)


def _new(service: Service, key: Key, asked: NewBoard) -> Board:
    row = service.library.save_board(
        key.id, f"board_{secrets.token_hex(12)}", asked.title, asked.plan.model_dump(), revision=0, now=time.time()
    )
    assert row is not None
    return _board(row)


@router.get("", response_model=BoardList)
async def boards(request: Request) -> BoardList:
    """List boards."""
    service, key = service_of(request), key_of(request, "read")
    rows = await run_in_threadpool(service.library.boards, key.id)
    return BoardList(data=[_board(row) for row in rows])


@router.post("", response_model=Board)
async def create(request: Request, asked: NewBoard) -> Board:
    """Begin a board."""
    service, key = service_of(request), key_of(request, "write")
    return await run_in_threadpool(_new, service, key, asked)


_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object", "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}  # fmt: skip


@router.post("/import", response_model=Board, openapi_extra=_FILE)
async def import_board(request: Request) -> Board:
    """A board of an OpenTimelineIO file: whole, if it was exported here; else names, lengths and dissolves of clips."""
    service, key = service_of(request), key_of(request, "write")
    async with body_of(request) as body:
        body.checked(Strict, "file")
        upload = body.files.get("file")
        if upload is None:
            raise Problem(400, "'file' is missing", code="missing_required_parameter", param="file")
        text = await upload.read(MOST_FILE + 1)
        if len(text) > MOST_FILE:
            raise Problem(413, "the time line is larger than 4 MiB", code="body_too_large", param="file")
        return await run_in_threadpool(lambda: _new(service, key, read_timeline(text)))


@router.get("/{board_id}", response_model=Board)
async def board(request: Request, board_id: BoardId) -> Board:
    """One board."""
    service, key = service_of(request), key_of(request, "read")
    return await run_in_threadpool(_found, service, key, board_id)


@router.put("/{board_id}", response_model=Board)
async def save(request: Request, board_id: BoardId, asked: SavedBoard) -> Board:
    """Save a board, unless somebody else has saved it since: then the answer is 409."""
    service, key = service_of(request), key_of(request, "write")

    def run() -> Board:
        row = service.library.save_board(
            key.id, board_id, asked.title, asked.plan.model_dump(), revision=asked.revision, now=time.time()
        )
        if row is None:
            now = _found(service, key, board_id)
            raise Problem(
                409, f"the board is at revision {now.revision} by now, not {asked.revision}; load it again",
                code="board_changed", param="revision",
            )  # fmt: skip
        return _board(row)

    return await run_in_threadpool(run)


@router.delete("/{board_id}", response_model=Deleted)
async def delete(request: Request, board_id: BoardId) -> Deleted:
    """Delete a board. What was made for it stays in the library."""
    service, key = service_of(request), key_of(request, "write")
    if not await run_in_threadpool(service.library.delete_board, key.id, board_id):
        raise not_found("board", board_id)
    return Deleted(id=board_id, object="board.deleted")


@router.get(
    "/{board_id}/export", response_class=FileResponse,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)  # fmt: skip
async def export(request: Request, board_id: BoardId) -> FileResponse:
    """The board as a ZIP file: an OpenTimelineIO time line and the shots that it names, each signed."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> FileResponse:
        found = _found(service, key, board_id)
        name = re.sub(r"[^\w가-힣 -]+", "", found.title).strip()[:60] or "film"
        path = service.config.staging / f"{secrets.token_hex(16)}.zip"
        try:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:  # videos do not get smaller
                pieces = _pieces(service, key, found.plan)
                for piece in pieces:
                    if piece.file is not None and piece.name not in packed.namelist():
                        packed.write(piece.file, piece.name)
                packed.writestr(f"{name}.otio", timeline(found, pieces))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return FileResponse(
            path, media_type="application/zip", filename=f"{name}.zip", background=BackgroundTask(path.unlink)
        )

    return await run_in_threadpool(run)


# ------------------------------------------------------------------------------------------------------ time lines


class Piece(BaseModel):
    """A shot or what leads to it, as an editing program sees it."""

    shot: BoardShot
    bridge: bool
    name: str
    file: Path | None
    frames: int
    fps: float


def _pieces(service: Service, key: Key, plan: Plan) -> list[Piece]:
    pieces = []
    for number, shot in enumerate(plan.shots, start=1):
        for bridge, identity in (
            (True, shot.bridge_id if shot.transition == "connect" else None),
            (False, shot.video_id),
        ):
            if bridge and identity is None:
                continue
            name = f"shots/{number:02d}{'-way' if bridge else ''}-{(identity or shot.key)[-12:]}.mp4"
            job = service.jobs.get(identity, key.id) if identity else None
            file, frames, fps = None, max(1, round(shot.seconds * FPS)), FPS
            if job is not None and job.status == "completed" and job.result is not None:
                frames, fps = int(job.result["frames"]), float(job.result["fps"])
                try:
                    file = service.store.local(job.result["files"]["video"])
                except KeyError:
                    raise Problem(404, f"the files of {job.id} have expired", code="video_expired") from None
            pieces.append(Piece(shot=shot, bridge=bridge, name=name, file=file, frames=frames, fps=fps))
    return pieces


def timeline(board: Board, pieces: list[Piece]) -> str:
    """The board as an OpenTimelineIO file. The board itself is in its metadata, so that it can be read back whole."""

    def moment(frames: int, fps: float) -> otio.opentime.RationalTime:
        return otio.opentime.RationalTime(frames, fps)

    # Through JSON, for the library keeps only its own kinds of values.
    told = json.loads(json.dumps({"board": {"title": board.title, "plan": board.plan.model_dump()}}))
    line = otio.schema.Timeline(name=board.title or "Haneul", metadata={"haneul": told})
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    line.tracks.append(track)
    entering = 0
    for number, piece in enumerate(pieces):
        following = pieces[number + 1] if number + 1 < len(pieces) else None
        leaving = 0
        if following is not None and following.shot.transition == "dissolve":
            leaving = min(round(DISSOLVE * piece.fps), piece.frames // 2, following.frames // 2)
        if entering:
            track.append(
                otio.schema.Transition(
                    transition_type=otio.schema.TransitionTypes.SMPTE_Dissolve,
                    in_offset=moment(entering - entering // 2, piece.fps),
                    out_offset=moment(entering // 2, piece.fps),
                )
            )
        first, last = entering - entering // 2, piece.frames - leaving // 2
        whole = otio.opentime.TimeRange(moment(0, piece.fps), moment(piece.frames, piece.fps))
        media = otio.schema.ExternalReference(piece.name, whole) if piece.file else otio.schema.MissingReference()
        track.append(
            otio.schema.Clip(
                name=piece.shot.prompt[:80] or piece.shot.key,
                media_reference=media,
                source_range=otio.opentime.TimeRange(moment(first, piece.fps), moment(last - first, piece.fps)),
            )
        )
        entering = leaving
    text: str = line.to_json_string(indent=2)
    return text


def read_timeline(text: bytes) -> NewBoard:
    """A board of a time line. It is read as plain JSON: what strangers made does not reach the library's own reader.
    Raises InputError for a file that is none."""
    try:
        found = json.loads(text)
        if not str(found["OTIO_SCHEMA"]).startswith("Timeline."):
            raise ValueError("no time line")
        ours = (found.get("metadata") or {}).get("haneul", {}).get("board")
        if ours is not None:
            return NewBoard(**ours)
        title = str(found.get("name") or "")[:200]
        return NewBoard.model_validate({"title": title, "plan": {"shots": [s.model_dump() for s in _shots(found)]}})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise InputError("the file is not an OpenTimelineIO time line") from error


def _shots(found: dict[str, Any]) -> list[BoardShot]:
    """Names and lengths of the clips on the first video track."""
    tracks = [track for track in found["tracks"]["children"] if track.get("kind", "Video") == "Video"]
    shots: list[BoardShot] = []
    crossing = False
    for child in tracks[0]["children"] if tracks else []:
        kind = str(child["OTIO_SCHEMA"])
        if kind.startswith("Transition."):
            crossing = True
        if not kind.startswith("Clip."):
            continue
        span = child.get("source_range") or _available(child)
        duration = span["duration"] if span else {"value": 4.0, "rate": 1.0}
        shots.append(
            BoardShot.model_validate(
                {
                    "key": f"s{len(shots) + 1}",
                    "prompt": str(child.get("name") or "")[:4000],
                    "seconds": min(120.0, max(0.2, float(duration["value"]) / float(duration["rate"]))),
                    "transition": "dissolve" if crossing and shots else "cut",
                }
            )
        )
        crossing = False
    return shots


def _available(clip: dict[str, Any]) -> dict[str, Any] | None:
    references = clip.get("media_references") or {"": clip.get("media_reference") or {}}
    ranges = [(reference or {}).get("available_range") for reference in references.values()]
    return next((found for found in ranges if found), None)
