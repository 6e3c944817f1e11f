"""/v1/haneul/queue: jobs held for a while. What runs goes back into the queue and later goes on from where it was."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from haneul.serve.jobs import EVERYBODY
from haneul.serve.keys import Key
from haneul.serve.schemas import Strict
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS

router = APIRouter(prefix="/v1/haneul/queue", tags=["Haneul"], responses=ERRORS)


class Whose(Strict):
    """Whose jobs are meant."""

    everybody: bool = Field(False, description="Those of all keys; needs an admin key.")


class Queue(BaseModel):
    """Whether jobs are held. Either pause holds them, and each is ended by itself."""

    paused: bool = Field(description="This key's.")
    everybody: bool = Field(description="Those of all keys.")


def state_of(service: Service, key: Key) -> Queue:
    return Queue(paused=service.jobs.paused(key.id), everybody=service.jobs.paused(EVERYBODY))


def _owner(request: Request, asked: Whose) -> tuple[Service, Key, str]:
    key = key_of(request, "admin" if asked.everybody else "write")
    return service_of(request), key, EVERYBODY if asked.everybody else key.id


@router.get("", response_model=Queue)
async def queue(request: Request) -> Queue:
    """Whether jobs are held."""
    service, key = service_of(request), key_of(request, "read")
    return await run_in_threadpool(state_of, service, key)


@router.post("/pause", response_model=Queue)
async def pause(request: Request, asked: Whose) -> Queue:
    """Hold jobs. New ones are still accepted, and wait."""
    service, key, owner = _owner(request, asked)

    def run() -> Queue:
        service.jobs.pause(owner)
        return state_of(service, key)

    return await run_in_threadpool(run)


@router.post("/resume", response_model=Queue)
async def resume(request: Request, asked: Whose) -> Queue:
    """Let jobs go on."""
    service, key, owner = _owner(request, asked)

    def run() -> Queue:
        service.jobs.resume(owner)
        return state_of(service, key)

    return await run_in_threadpool(run)
