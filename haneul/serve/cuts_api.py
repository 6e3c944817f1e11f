"""/v1/haneul/assemble: finished clips, cut and put one after another. One cut alone is a trimmed clip."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from haneul.assemble import DISSOLVE
from haneul.serve.haneul_api import Ref, resolver
from haneul.serve.keys import Key
from haneul.serve.media import Given
from haneul.serve.problems import Problem
from haneul.serve.schemas import Size, Strict, Video
from haneul.serve.service import Service, Wish, new_id
from haneul.serve.videos import ERRORS, submitted

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)


class CutFrom(Strict):
    """A part of a clip, and how it follows the one before."""

    clip: Ref
    start: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False, description="Seconds.")
    end: float | None = Field(None, gt=0, le=3600, allow_inf_nan=False, description="Seconds; null: to its end.")
    dissolve: bool = Field(False, description="Crosses with the one before for half a second.")


class Assemble(Strict):
    """Clips, cut and put one after another as one signed file."""

    cuts: list[CutFrom] = Field(min_length=1, max_length=200)
    title: str = Field("", max_length=200)
    size: Size | None = Field(None, description="By default the first clip's.")
    priority: int = 0


@router.post("/assemble", response_model=Video)
async def assemble(request: Request, response: Response, asked: Assemble) -> Video:
    """Trim a clip, or join several: nothing is imagined, the frames stay as they are."""

    def words(service: Service, key: Key, identity: str) -> Wish:
        resolve = resolver(service, key, identity)
        media: list[Given] = []
        known: dict[str, int] = {}
        cuts: list[dict[str, Any]] = []
        seconds = 0.0
        for number, cut in enumerate(asked.cuts):
            name = cut.clip.model_dump_json()
            if name not in known:
                known[name] = len(media)
                media.append(resolve(cut.clip, f"cut{number}", "video"))
            given = media[known[name]]
            end = given.seconds if cut.end is None else cut.end
            if not cut.start < end <= given.seconds + 0.5:
                raise Problem(
                    400, f"{cut.start:g} s to {end:g} s is no part of a clip of {given.seconds:g} s",
                    code="invalid_value", param=f"cuts.{number}",
                )  # fmt: skip
            seconds += end - cut.start - (DISSOLVE if cut.dissolve and number else 0)
            cuts.append(cut.model_dump(include={"start", "end", "dissolve"}, exclude_none=True) | {"clip": known[name]})
        return Wish(
            mode="assemble", prompt=asked.title.strip() or _words(service, key, media), args={"cuts": cuts}, options={},
            media=tuple(media), size=asked.size, shown_size=asked.size or media[0].size, seconds=max(0.1, seconds),
            priority=asked.priority,
        )  # fmt: skip

    return await submitted(request, response, words, new_id())


def _words(service: Service, key: Key, media: list[Given]) -> str:
    """What the clips were asked for with."""
    found = []
    for given in media:
        job = service.jobs.get(given.source, key.id) if given.source else None
        found.append((job.request.get("prompt") or "") if job else "")
    return " / ".join(dict.fromkeys(filter(None, found)))[:2000] or "cut"
