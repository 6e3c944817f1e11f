"""The API process: the routes, the gate before them, and the server around both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic.json_schema import models_json_schema
from starlette.middleware.cors import CORSMiddleware

from haneul import __version__
from haneul.serve import (
    admin_api,
    boards_api,
    cuts_api,
    examples,
    export_api,
    feedback_api,
    haneul_api,
    ledger_api,
    library_api,
    other_api,
    play_api,
    problems,
    queue_api,
    studio,
    studio_api,
    verify_api,
    videos,
)
from haneul.serve.config import ServeConfig
from haneul.serve.gate import OPEN, Gate
from haneul.serve.metrics import Metrics
from haneul.serve.schemas import CreateCharacter, CreateVideo, EditVideo, ExtendVideo, RemixVideo
from haneul.serve.service import Service, key_of

_log = logging.getLogger("haneul.serve.api")
_LOOK = 0.5  # seconds between looks whether there is still a reason to go on


def create_app(config: ServeConfig) -> FastAPI:
    """The whole service but its workers."""
    service = Service(config)
    metrics = Metrics(service.jobs, service.store)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.plays.stop()
        await run_in_threadpool(service.stop)

    app = FastAPI(
        title="Haneul", version=__version__, lifespan=lifespan, redoc_url=None,
        description="OpenAI's videos API, served by this machine; and under /v1/haneul what that API lacks.",
    )  # fmt: skip
    app.state.service = service
    problems.install(app, service.db.away)
    for part in (
        videos,
        other_api,
        haneul_api,
        verify_api,
        library_api,
        studio_api,
        ledger_api,
        cuts_api,
        export_api,
        boards_api,
        play_api,
        feedback_api,
        queue_api,
        admin_api,
        studio,
    ):
        app.include_router(part.router)

    @app.get("/healthz", tags=["Service"])
    async def healthz() -> dict[str, str]:
        """Whether this process answers."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz", tags=["Service"], responses={503: {"description": "No worker lives."}})
    async def readyz() -> Response:
        """Whether videos are being made: 503 until a worker has loaded the model."""
        counts = await run_in_threadpool(service.jobs.counts)
        body = {"status": "ready" if counts.workers else "no worker lives", "workers": counts.workers}
        return JSONResponse(body, 200 if counts.workers else 503)

    @app.get("/metrics", tags=["Service"], response_class=PlainTextResponse, responses=videos.ERRORS)
    async def figures(request: Request) -> Response:
        """Figures for Prometheus."""
        key_of(request, "admin")
        return Response(await run_in_threadpool(metrics.text), media_type="text/plain; version=0.0.4")

    app.add_middleware(Gate, config=config, keys=service.keys, metrics=metrics)
    if config.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.origins), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"], max_age=600,
            expose_headers=["openai-poll-after-ms", "x-request-id", "etag", "retry-after", "content-disposition"],
        )  # fmt: skip
    _describe(app, needed=config.require_key or not config.loopback)
    return app


def _describe(app: FastAPI, *, needed: bool) -> None:
    """Adds to the OpenAPI description the bodies that routes read by themselves, and whether a key is needed."""

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            bodies = (CreateVideo, EditVideo, RemixVideo, ExtendVideo, CreateCharacter)
            _, extra = models_json_schema(
                [(body, "validation") for body in bodies], ref_template="#/components/schemas/{model}"
            )
            found["components"]["schemas"] |= extra["$defs"]
            examples.show(found["components"]["schemas"])
            found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"key": []}] if needed else [{"key": []}, {}]
            for path in OPEN:
                found["paths"][path]["get"]["security"] = []
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


class Server(uvicorn.Server):
    """Ends when it has become an orphan. With a `gate` it stands by, its loop running and everything ready, until the
    first word there; at the gate's end, it never answers."""

    def __init__(self, config: uvicorn.Config, gate: Connection | None = None) -> None:
        super().__init__(config)
        self.gate = gate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.gate is not None and not await self._let_in(self.gate):
            self.should_exit = True
            return
        await super().startup(sockets)

    async def _let_in(self, gate: Connection) -> bool:
        word, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(gate.fileno(), word.set)
        try:
            while not (word.is_set() or self.should_exit):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(word.wait(), _LOOK)
        finally:
            loop.remove_reader(gate.fileno())
        try:
            return not self.should_exit and bool(gate.recv_bytes())
        except EOFError:
            return False

    def watch(self, orphan: Callable[[], bool]) -> None:
        def look() -> None:
            while not orphan():
                time.sleep(_LOOK)
            self.should_exit = True

        threading.Thread(target=look, name="parent", daemon=True).start()


def serve(
    config: ServeConfig, listening: socket.socket, *, orphan: Callable[[], bool] | None = None,
    gate: Connection | None = None,
) -> None:  # fmt: skip
    """Answers on a listening socket until asked to end; what is being answered is finished first. `gate`: see
    `Server`."""
    server = Server(
        uvicorn.Config(
            create_app(config), log_config=None, access_log=False, lifespan="on", server_header=False,
            timeout_graceful_shutdown=round(max(1, min(10, config.grace))), timeout_keep_alive=15,
            # httptools would be faster, but reads headers of any length.
            limit_concurrency=2000, http="h11", h11_max_incomplete_event_size=64 * 1024,
        ),
        gate,
    )  # fmt: skip
    if orphan is not None:
        server.watch(orphan)
    server.run(sockets=[listening])
