"""The gate that every request passes: who calls, from where, how much; and what every answer carries.

Plain ASGI, so that bodies stream through it.
"""

from __future__ import annotations

import logging
import secrets
import time
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haneul.serve import studio
from haneul.serve.config import ServeConfig, is_loopback
from haneul.serve.keys import LOCAL, PREFIX, Key, Keys
from haneul.serve.metrics import Metrics
from haneul.serve.problems import Problem, envelope

_log = logging.getLogger("haneul.serve.access")
OPEN = ("/healthz", "/readyz")  #: paths that need no key
_PAGES = ("/docs", "/redoc", "/openapi.json")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-site",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "private, no-store",
}
#: The page of /docs is made of scripts and styles of one content network.
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; frame-ancestors 'none';"
    " script-src https://cdn.jsdelivr.net 'unsafe-inline'; style-src https://cdn.jsdelivr.net 'unsafe-inline'"
)


class Gate:
    """Refuses what may not come in, with the API's own errors."""

    def __init__(self, app: ASGIApp, *, config: ServeConfig, keys: Keys, metrics: Metrics) -> None:
        self.app, self.config, self.keys, self.metrics = app, config, keys, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, request_id = time.perf_counter(), f"req_{secrets.token_hex(12)}"
        headers, path = Headers(scope=scope), scope["path"]
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status, sent = 500, 0
        started = False

        async def answer(message: Message) -> None:
            nonlocal status, sent, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
                if path in _PAGES:
                    out["content-security-policy"] = _DOCS_POLICY
                out["x-request-id"] = request_id
                out["openai-processing-ms"] = str(round(1000 * (time.perf_counter() - began)))
                out["openai-version"] = "2020-10-01"
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            refused = self._refuse_place(headers) or self._refuse_length(headers)
            key = None
            if refused is None and path not in OPEN and not studio.public(path):
                key = await self._who(headers, path)
                if key is None:
                    refused = envelope(
                        401, "no valid API key; send Authorization: Bearer hnl_..., see haneul keys", "invalid_api_key",
                        headers={"WWW-Authenticate": "Bearer"},
                    )  # fmt: skip
            state["key"] = key
            if refused is not None:
                await refused(scope, receive, answer)
            else:
                await self.app(scope, self._limited(receive), answer)
        except Exception:
            _log.exception("defect", extra={"request": request_id})
            if started:
                raise
            await envelope(500, "this is a defect of the service; its log tells more", "server_error")(
                scope, receive, answer
            )
        finally:
            took = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "-")
            self.metrics.request(scope["method"], route, status, took)
            _log.info(
                "request", extra={
                    "request": request_id, "method": scope["method"], "route": route, "status": status,
                    "key": key.id if (key := state.get("key")) else None, "ms": round(1000 * took, 1), "bytes": sent,
                },
            )  # fmt: skip

    def _refuse_place(self, headers: Headers) -> ASGIApp | None:
        """Web pages of other sites must not use a service that trusts this machine: neither by a name that they let
        point here (the Host header tells), nor by a plain request from their page (the Origin header tells)."""
        if self.config.loopback and not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or "localhost"):
            return envelope(403, "this host name is not this service's", "wrong_host")
        origin = headers.get("origin")
        if origin is not None and origin not in self.config.origins and "*" not in self.config.origins:
            own = urlsplit(origin).netloc == headers.get("host")
            if not own:
                return envelope(403, f"pages of {origin[:100]} may not call; see haneul serve --origin", "wrong_origin")
        return None

    def _refuse_length(self, headers: Headers) -> ASGIApp | None:
        length = headers.get("content-length")
        if length is not None and (not length.isdecimal() or int(length) > self.config.max_body):
            return envelope(413, self._too_large, "body_too_large")
        if headers.get("content-encoding", "identity") != "identity":
            return envelope(415, "compressed bodies are not read; send it plain", "unsupported_encoding")
        return None

    @property
    def _too_large(self) -> str:
        return f"the body is larger than {self.config.max_body / 2**20:.0f} MiB"

    def _limited(self, receive: Receive) -> Receive:
        """Counts what comes in, for bodies that do not say how long they are."""
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.config.max_body:
                raise Problem(413, self._too_large, code="body_too_large")
            return message

        return counted

    async def _who(self, headers: Headers, path: str) -> Key | None:
        """Whose request it is. On a loopback address every key but a wrong one of ours will do, for SDKs insist on
        one."""
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        presented = presented.strip() if scheme.lower() == "bearer" else ""
        needed = self.config.require_key or not self.config.loopback
        if presented.startswith(PREFIX):
            return await run_in_threadpool(self.keys.check, presented)
        return None if needed else LOCAL
