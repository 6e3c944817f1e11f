"""Stored files as answers, whole or in part (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.datastructures import Headers

from haneul.serve.store import FolderStore, Store

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def stored(
    store: Store, key: str, asked: Headers, *, media_type: str | None = None, filename: str, headers: Mapping[str, str]
) -> Response:
    """The file under a key as a download. Raises KeyError if there is none."""
    if isinstance(store, FolderStore):
        return FileResponse(store.local(key), media_type=media_type, filename=filename, headers=dict(headers))
    size = store.size(key)
    shown = FileResponse(key, media_type=media_type, filename=filename, headers=dict(headers)).headers
    said = {name: value for name, value in shown.items() if name != "content-type"} | {"accept-ranges": "bytes"}
    part = _part(asked, said.get("etag"), size)
    if part is None:
        return StreamingResponse(
            store.read(key), media_type=shown["content-type"], headers=said | {"content-length": str(size)}
        )
    first, end = part
    if first >= end:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    said |= {"content-range": f"bytes {first}-{end - 1}/{size}", "content-length": str(end - first)}
    return StreamingResponse(store.read(key, first, end), 206, media_type=shown["content-type"], headers=said)


def _part(asked: Headers, etag: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of what was asked for, empty where that is not there; None for all of it, as also where
    several parts are asked for, or one of another version."""
    found = _RANGE.fullmatch(asked.get("range", "").replace(" ", ""))
    if found is None or not (found[1] or found[2]) or asked.get("if-range", etag) != etag:
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) else (size, size)
    first, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    return None if found[2] and int(found[2]) < first else (first, end)
