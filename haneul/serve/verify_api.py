"""What a file says about its making, and what this service's registry knows of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from haneul.errors import InputError
from haneul.serve.aside import VERIFIERS, given, going_on, joined, output
from haneul.serve.decode import inspect
from haneul.serve.forms import Body, body_of, save
from haneul.serve.keys import Key
from haneul.serve.problems import Problem
from haneul.serve.schemas import Strict
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS
from haneul.trust.origin import Answer, look_up
from haneul.trust.registry import number_of

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)
_VERIFY_TIME, _SEARCH_TIME = 30.0, 180.0  # seconds; a watermark is looked for in many places
_looking = asyncio.Semaphore(1)


class VerifyFields(Strict):
    """A file comes as `file`; otherwise one of these."""

    video_id: str | None = Field(None, max_length=100)
    file_id: str | None = Field(None, max_length=100)


_VERIFY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/json": {
                "schema": {
                    "type": "object", "minProperties": 1,
                    "properties": {name: {"type": ["string", "null"]} for name in ("video_id", "file_id")},
                }
            },
        },
    }
}  # fmt: skip


@asynccontextmanager
async def meant(
    service: Service, key: Key, body: Body, *, video_id: str | None, file_id: str | None
) -> AsyncIterator[Path]:
    """The file that a request is about, as long as the block lasts. Raises Problem."""
    upload = body.files.get("file")
    with service.media.staged() as staged:
        if upload is not None:
            await save(upload, staged)
            yield staged
        elif video_id is not None:
            _, source = await run_in_threadpool(service.finished, video_id, key)
            yield await run_in_threadpool(service.store.local, source)
        elif file_id is not None:
            row = await run_in_threadpool(service.media.file, key.id, file_id)
            if row is None:
                raise Problem(404, f"there is no file {file_id!r}", code="not_found", param="file_id")
            yield await run_in_threadpool(service.store.local, row["content"])
        else:
            raise Problem(400, "'file' is missing", code="missing_required_parameter", param="file")


@router.post("/verify", openapi_extra=_VERIFY)
async def verify(request: Request) -> dict[str, Any]:
    """What a file says about its making, who signed that, and whether it was changed since."""
    service, key = service_of(request), key_of(request, "read")
    async with body_of(request) as body:
        asked = body.checked(VerifyFields, "file")
        video_id, file_id = asked.video_id, asked.file_id
        async with meant(service, key, body, video_id=video_id, file_id=file_id) as path, VERIFIERS.turn():
            return await verdict_of(path)


async def verdict_of(path: Path, *options: str, seconds: float = _VERIFY_TIME) -> dict[str, Any]:
    """`haneul verify` in a process of its own: it reads what strangers made."""
    try:
        _, out, _ = await output("-m", "haneul", "verify", "--json", *options, str(path), seconds=seconds)
        found: dict[str, Any] = json.loads(out)
    except TimeoutError:
        raise InputError(f"the file cannot be read within {seconds:.0f} s") from None
    except ValueError:
        raise InputError("the file cannot be read") from None
    return {name: value for name, value in found.items() if name not in ("path", "file")}


# ------------------------------------------------------------------------------------------------------ the registry


class LookupFields(VerifyFields):
    """A file comes as `file`; otherwise one of these."""

    number: str | None = Field(None, pattern="^[0-9a-fA-F]{12}$", examples=["0123456789ab"])


class Sure(BaseModel):
    """How surely a watermark was read off the frames."""

    z: float = Field(description="Standard deviations by which the mark stands out.")
    bits: float | None = Field(description="Share of the coded bits that were right.")
    false_alarm: float = Field(description="Bound on the chance that a file without a mark gives this.")


class Match(BaseModel):
    """A record, and how it was found."""

    number: str
    title: str
    made: str
    sha256: str = Field(description="Of the signed file.")
    media_type: str
    manifest: str = Field(description="The signed C2PA manifest, base64: who asks can check its signature.")
    state: str = Field(description="What the manifest's own signature is worth here: trusted, valid or invalid.")
    parts_of: list[str] = Field(description="Titles of films that hold it.")
    by: str = Field(description="`number` where it was asked for or named by credentials, `watermark` where seen.")
    sure: Sure | None = Field(description="None where it was found by its number.")


class Lookup(BaseModel):
    """What the registry knows, the surest first."""

    object: str = "registry.lookup"
    matches: list[Match]
    marks: int = Field(description="Watermarks that were seen, those without a record too.")


_LOOKUP = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary"}, "number": {"type": "string"},
                    },
                }
            },
            "application/json": {
                "schema": {
                    "type": "object", "minProperties": 1,
                    "properties": {name: {"type": ["string", "null"]} for name in ("number", "video_id", "file_id")},
                },
                "example": {"number": "0123456789ab"},
            },
        },
    }
}  # fmt: skip


@router.post("/registry/lookup", response_model=Lookup, openapi_extra=_LOOKUP)
async def lookup(request: Request) -> Lookup:
    """Find the credentials of something that was made here, by the number in its watermark or by the file itself, even
    when they were stripped from it and it was re-encoded, scaled or cropped."""
    service, key = service_of(request), key_of(request, "read")
    async with body_of(request) as body:
        asked = body.checked(LookupFields, "file")
        if asked.number is not None:
            number = number_of(asked.number)
            assert number is not None
            answer = await run_in_threadpool(look_up, number)
            return Lookup(matches=[match(answer, None)] if answer else [], marks=0)
        async with meant(service, key, body, video_id=asked.video_id, file_id=asked.file_id) as path:
            copy = await given(lambda: _copied(path, service.config.staging))

        async def work() -> Lookup:
            try:
                verdict = await verdict_of(copy, "--watermark", seconds=_SEARCH_TIME)
            finally:
                copy.unlink(missing_ok=True)
            return await run_in_threadpool(found_by, verdict)

        try:
            return await joined(copy.name, work, _looking)
        finally:
            if not going_on(copy.name):
                copy.unlink(missing_ok=True)


def _copied(path: Path, folder: Path) -> Path:
    """The file for a search that may outlive its request, named after what it holds. Raises InputError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # Readers go by names, which an upload has not.
    copy = folder / f"lookup-{digest}{path.suffix or inspect(path, want=None).suffix}"
    part = folder / secrets.token_hex(16)
    shutil.copyfile(path, part)
    return part.replace(copy)


def found_by(verdict: dict[str, Any]) -> Lookup:
    """What the watermarks in a file lead to, and the numbers that its credentials name."""
    matches: dict[str, Match] = {}
    for origin in verdict["origins"]:
        if origin["id"] is not None and (answer := look_up(int(origin["id"], 16))) is not None:
            sure = Sure(z=origin["z"], bits=origin["bits"], false_alarm=origin["false_alarm"])
            matches.setdefault(answer.record.id, match(answer, sure))
    for value in verdict["bindings"]:
        number = number_of(value)
        if value not in matches and number is not None and (answer := look_up(number)) is not None:
            matches[value] = match(answer, None)
    return Lookup(matches=list(matches.values()), marks=len(verdict["origins"]))


def match(answer: Answer, sure: Sure | None) -> Match:
    record = answer.record
    return Match(
        number=record.id, title=record.title, made=record.made, sha256=record.sha256, media_type=record.media_type,
        manifest=base64.b64encode(record.manifest).decode(), state=answer.credentials.state,
        parts_of=[whole.title for whole in answer.wholes], by="watermark" if sure else "number", sure=sure,
    )  # fmt: skip
