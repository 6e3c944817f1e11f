"""/v1/haneul/videos/{id}/export: a finished video as a GIF or a WebM, made when it is first asked for and then kept
beside it.

Each is signed, with the video as its ingredient; a WebM cannot hold its credentials, so it comes with them in a ZIP.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from haneul.serve.aside import once, program
from haneul.serve.problems import Problem
from haneul.serve.sent import stored
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS, VideoId
from haneul.trust.credentials import beside

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)
Format = Literal["gif", "webm"]
KINDS: dict[Format, tuple[str, str]] = {"gif": ("gif", "image/gif"), "webm": ("zip", "application/zip")}
_CLI = "from haneul.cli import run; run()"


@router.get(
    "/videos/{video_id}/export", response_class=FileResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for _, kind in KINDS.values()}}
    },
)  # fmt: skip
async def export(
    request: Request, video_id: VideoId, format: Format,
    width: Annotated[int | None, Query(ge=64, le=4096, description="Pixels; by default the video's own.")] = None,
) -> Response:  # fmt: skip
    """Download a finished video as a GIF (12 frames a second), or as a ZIP file with a WebM (VP9) and its credentials.
    The first time it takes about as long as the video lasts, or longer."""
    service, key = service_of(request), key_of(request, "read")
    job, source = await run_in_threadpool(service.finished, video_id, key)
    assert job.result is not None
    size = scaled(job.result["size"], width)
    suffix, kind = KINDS[format]
    name = f"videos/{job.id}/export-{size}.{suffix}"

    await once(service, name, lambda folder: _made(service, source, job.id, format, size, folder))

    def there() -> Response:
        try:
            return stored(
                service.store, name, request.headers, media_type=kind, filename=f"{job.id}.{suffix}",
                headers={"cache-control": "private, no-cache"},
            )  # fmt: skip
        except KeyError:
            raise Problem(404, f"the files of {job.id} are gone", code="video_expired") from None

    return await run_in_threadpool(there)


def scaled(size: str, width: int | None) -> str:
    """A size such as "896x512" at another width, with even sides and never larger than it is."""
    w, h = (int(side) for side in size.split("x"))
    if width is None or width >= w:
        return size
    return f"{2 * round(width / 2)}x{2 * max(1, round(h * width / w / 2))}"


async def _made(service: Service, source: str, title: str, format: Format, size: str, folder: Path) -> Path:
    """`haneul assemble` in a program of its own. Raises Problem."""
    try:
        video = await run_in_threadpool(service.store.local, source)
    except KeyError:
        raise Problem(404, "the files of this video have expired", code="video_expired") from None
    made = folder / f"{title}.{format}"
    await program(_CLI, "assemble", str(video), "-o", str(made), "--size", size, "--quiet")
    return await run_in_threadpool(_packed, made) if format == "webm" else made


def _packed(film: Path) -> Path:
    packed = film.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:  # videos do not get smaller
        for path in (film, beside(film)):
            file.write(path, path.name)
    return packed
