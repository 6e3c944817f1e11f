"""/v1/haneul/feedback: which of two clips somebody liked better, and stars; as a data set that a tuning can read."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from haneul.serve.jobs import Job
from haneul.serve.keys import Key
from haneul.serve.library import Look
from haneul.serve.library_api import Clip, clip_of
from haneul.serve.modes import OPTIONS
from haneul.serve.problems import Problem, not_found
from haneul.serve.schemas import Deleted, Strict
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS

router = APIRouter(prefix="/v1/haneul/feedback", tags=["Feedback"], responses=ERRORS)
Choice = Literal["first", "second", "same"]
_LOOK = 400  #: newest clips among which pairs are looked for


class Preference(Strict):
    """Two finished videos, and the better one."""

    first: str = Field(max_length=100)
    second: str = Field(max_length=100)
    choice: Choice


class Kept(BaseModel):
    """A preference that is kept."""

    number: int
    first: str
    second: str
    choice: Choice
    created_at: int


class Pair(BaseModel):
    """Two videos of one prompt that nobody has judged yet; none when there are none left."""

    pair: list[Clip] = Field(description="Two, or none.")


class Wins(BaseModel):
    """How a model, mode or number of steps did. A tie counts half."""

    what: Literal["model", "mode", "steps"]
    value: str
    wins: float
    of: int
    share: float


class Statistics(BaseModel):
    """What was judged so far."""

    pairs: int
    starred: int
    stars: dict[str, int] = Field(description="Clips by number of stars.")
    wins: list[Wins]


def told_of(job: Job) -> dict[str, Any]:
    """What a data set needs to know of a video: what it was made of and by what."""
    result = job.result or {}
    report = result.get("report", {})
    request = job.request
    return {
        "id": job.id, "mode": job.mode, "prompt": request.get("prompt") or "", "seed": result.get("seed"),
        "size": result.get("size"), "seconds": result.get("seconds"), "sha256": result.get("sha256", {}).get("video"),
        "model": report.get("model", {}).get("model"), "weights_sha256": report.get("model", {}).get("weights_sha256"),
        "steps": (report.get("request") or {}).get("steps"),
        "options": {name: request[name] for name in OPTIONS if request.get(name) is not None},
    }  # fmt: skip


def _finished(service: Service, key: Key, identity: str) -> Job:
    return service.finished(identity, key)[0]


@router.get("/pair", response_model=Pair)
async def pair(request: Request, prompt: Annotated[str, Query(max_length=4000)] = "") -> Pair:
    """Two finished videos of one prompt that were not compared yet, those with the fewest judgements first."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> Pair:
        look = Look(status=("completed",), words=prompt)
        entries = [
            e for at in range(0, _LOOK, 200) for e in service.library.page(key.id, look, offset=at, limit=200)[0]
        ]
        judged: dict[str, int] = {}
        seen = set()
        for row in service.library.preferences(key.id):
            seen.add(frozenset((row["first"], row["second"])))
            for side in ("first", "second"):
                judged[row[side]] = judged.get(row[side], 0) + 1
        groups: dict[tuple[str, str], list[str]] = {}
        by_id = {entry.job.id: entry for entry in entries if entry.job.mode != "assemble"}
        for identity, entry in by_id.items():
            groups.setdefault((entry.job.mode, (entry.job.request.get("prompt") or "").casefold()), []).append(identity)
        fresh = [
            (judged.get(a, 0) + judged.get(b, 0), a, b)
            for ids in groups.values()
            for i, a in enumerate(ids[:20])
            for b in ids[i + 1 : 20]
            if frozenset((a, b)) not in seen
        ]
        if not fresh:
            return Pair(pair=[])
        _, a, b = min(fresh, key=lambda row: row[0])
        return Pair(pair=[clip_of(service, by_id[a]), clip_of(service, by_id[b])])

    return await run_in_threadpool(run)


@router.post("", response_model=Kept)
async def prefer(request: Request, asked: Preference) -> Kept:
    """Keep which of two was better."""
    service, key = service_of(request), key_of(request, "write")

    def run() -> Kept:
        if asked.first == asked.second:
            raise Problem(400, "both are the same video", code="invalid_value", param="second")
        told = {side: told_of(_finished(service, key, getattr(asked, side))) for side in ("first", "second")}
        now = time.time()
        number = service.library.prefer(key.id, asked.first, asked.second, asked.choice, told, now)
        return Kept(number=number, first=asked.first, second=asked.second, choice=asked.choice, created_at=int(now))

    return await run_in_threadpool(run)


@router.delete("/{number:int}", response_model=Deleted)  # so that other words here are no number
async def undo(request: Request, number: Annotated[int, Path(ge=0, lt=2**53)]) -> Deleted:
    """Take a judgement back."""
    service, key = service_of(request), key_of(request, "write")
    if not await run_in_threadpool(service.library.undo_preference, key.id, number):
        raise not_found("judgement", str(number))
    return Deleted(id=str(number), object="preference.deleted")


@router.get("/statistics", response_model=Statistics)
async def statistics(request: Request) -> Statistics:
    """Share of wins by model, mode and steps."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> Statistics:
        rows = service.library.preferences(key.id)
        tally: dict[tuple[str, str], list[float]] = {}
        for row in rows:
            for side, other in (("first", "second"), ("second", "first")):
                won = 0.5 if row["choice"] == "same" else float(row["choice"] == side)
                for what in ("model", "mode", "steps"):
                    mine, theirs = row["told"][side].get(what), row["told"][other].get(what)
                    if mine != theirs:  # against itself it says nothing
                        tally.setdefault((what, str(mine)), []).append(won)
        stars = [service.library.entry(key.id, identity) for identity in service.library.starred(key.id)]
        counted = {str(n): sum(entry is not None and entry.stars == n for entry in stars) for n in range(1, 6)}
        wins = [
            Wins.model_validate(
                {"what": what, "value": value, "wins": sum(won), "of": len(won), "share": sum(won) / len(won)}
            )
            for (what, value), won in sorted(tally.items())
        ]
        return Statistics(pairs=len(rows), starred=sum(counted.values()), stars=counted, wins=wins)

    return await run_in_threadpool(run)


@router.get(
    "/export", response_class=Response,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "JSON Lines."}},
)  # fmt: skip
async def export(request: Request) -> Response:
    """All judgements as JSON Lines: {"kind": "pair", "chosen", "rejected", "tie", ...} and {"kind": "stars", ...}."""
    service, key = service_of(request), key_of(request, "read")

    def run() -> str:
        lines = []
        for row in service.library.preferences(key.id):
            second = row["choice"] == "second"
            chosen, rejected = (row["told"][side] for side in (("second", "first") if second else ("first", "second")))
            lines.append(
                {
                    "kind": "pair", "number": row["number"], "prompt": chosen["prompt"], "chosen": chosen,
                    "rejected": rejected, "tie": row["choice"] == "same", "created_at": row["created_at"],
                }
            )  # fmt: skip
        for identity in service.library.starred(key.id):
            entry = service.library.entry(key.id, identity)
            if entry is not None and entry.job.status == "completed":
                lines.append({"kind": "stars", "stars": entry.stars, "clip": told_of(entry.job)})
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    return Response(
        await run_in_threadpool(run), media_type="application/jsonl",
        headers={"content-disposition": 'attachment; filename="preferences.jsonl"'},
    )  # fmt: skip
