"""Reads a body that may be JSON or multipart, the same fields either way."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from haneul.serve.problems import Problem

if TYPE_CHECKING:
    from haneul.serve.service import Service

Model = TypeVar("Model", bound=BaseModel)
_INNER = re.compile(r"(\w+)\[(\w+)\]")  # video[id], as SDKs write what lies inside
_MOST_FIELDS = 40
_MOST_FIELD = 32 * 2**20  # bytes of a field that is no file: a picture in a data URL


class Body:
    """The fields of a request, and its files by name."""

    def __init__(self, fields: dict[str, Any], files: dict[str, UploadFile]) -> None:
        self.fields, self.files = fields, files

    def checked(self, model: type[Model], *files: str) -> Model:
        """The fields as a model; `files` are names under which a file may come. Raises ValidationError, Problem."""
        for name in self.files:
            if name not in files:
                raise Problem(400, f"{name!r} is no file here", code="unknown_parameter", param=name)
            if name in self.fields:
                raise Problem(400, f"{name!r} came twice", code="invalid_value", param=name)
        return model.model_validate(self.fields)


@asynccontextmanager
async def body_of(request: Request) -> AsyncIterator[Body]:
    """Parses the body; uploaded files are there until the block ends."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise Problem(400, "the body is not valid JSON", code="invalid_json") from error
        if not isinstance(fields, dict):
            raise Problem(400, "the body is not a JSON object", code="invalid_json")
        yield Body(fields, {})
    elif kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        try:
            form = await request.form(max_files=4, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD)
        except HTTPException as error:
            raise Problem(400, f"the form cannot be read: {error.detail}", code="invalid_form") from error
        try:
            yield _sorted(list(form.multi_items()))
        finally:
            await form.close()
    else:
        raise Problem(
            415, f"the content type is {kind[:60]!r}; send application/json or multipart/form-data",
            code="unsupported_media_type",
        )  # fmt: skip


def _sorted(items: list[tuple[str, Any]]) -> Body:
    fields: dict[str, Any] = {}
    files: dict[str, UploadFile] = {}
    for name, value in items:
        target: dict[str, Any] = files if isinstance(value, UploadFile) else fields
        inner = _INNER.fullmatch(name)
        if inner is not None and not isinstance(value, UploadFile):
            target, name = fields.setdefault(inner[1], {}), inner[2]
        if not isinstance(target, dict) or name in target:
            raise Problem(400, f"{name!r} came twice", code="invalid_value", param=name)
        target[name] = value
    for name, value in fields.items():  # an object in a field, as curl users write it
        if isinstance(value, str) and value[:1] == "{" and name in ("video", "input_reference"):
            try:
                fields[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue
    return Body(fields, files)


async def save(upload: UploadFile, path: Path) -> None:
    """Writes an upload to a file."""

    def copy() -> None:
        upload.file.seek(0)
        with path.open("wb") as file:
            while chunk := upload.file.read(2**20):
                file.write(chunk)

    await run_in_threadpool(copy)


@asynccontextmanager
async def uploaded(service: Service, body: Body, name: str) -> AsyncIterator[tuple[Path, str]]:
    """The file that came under a name, written where it may be looked at until the block ends, and what its sender
    calls it. Raises Problem when it is missing, or when there is no room."""
    file = body.files.get(name)
    if file is None:
        raise Problem(400, f"{name!r} is missing", code="missing_required_parameter", param=name)
    await run_in_threadpool(service.check_room)
    with service.media.staged() as staged:
        await save(file, staged)
        yield staged, file.filename or ""
