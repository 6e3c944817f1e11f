"""The studio: pages for a browser, which do everything through the public API. Files only; what answers is elsewhere.

`/` is its one page, below `/studio/` lie scripts, styles and words. They are read once, packed once, and may be loaded
without a key: they hold nothing of anybody's.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from haneul.serve.problems import Problem

if TYPE_CHECKING:
    from haneul.serve.service import Service

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml",
}  # fmt: skip
#: Nothing from elsewhere, nothing inline, and no text ever becomes markup.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file, as it is sent."""

    body: bytes
    packed: bytes
    kind: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """All files by their path below the folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES:
            body = path.read_bytes()
            found[path.relative_to(FOLDER).as_posix()] = Asset(
                body=body, packed=gzip.compress(body, 9, mtime=0), kind=TYPES[path.suffix],
                etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            )  # fmt: skip
    return found


def public(path: str) -> bool:
    """Whether a path is of these files."""
    return path == "/" or path.startswith("/studio/")


def _sent(request: Request, name: str) -> Response:
    asset = assets().get(name)
    if asset is None:
        raise Problem(404, "there is no such page", code="not_found")
    headers = {
        "content-security-policy": POLICY, "cache-control": "no-cache", "etag": asset.etag, "vary": "accept-encoding",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }  # fmt: skip
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.kind, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.body, media_type=asset.kind, headers=headers)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The studio. Whoever opens it is about to write a prompt."""
    service: Service = request.app.state.service
    service.prompting.warm()
    return _sent(request, "index.html")


@router.api_route("/studio/{name:path}", methods=["GET", "HEAD"])
async def file(request: Request, name: str) -> Response:
    """A part of it."""
    return _sent(request, name)
