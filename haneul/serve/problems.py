"""Errors as the videos API words them, {"error": {"message", "type", "param", "code"}}, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from haneul.errors import HaneulError, InputError, OutputError, RefusedError
from haneul.serve.jobs import JobsError, KeyReused
from haneul.serve.store import StoreError

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Problem(Exception):
    """An answer that is an error. `param` names the part of the request that it is about."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.headers = status, message, code, param, headers


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    reason: str | None = Field(None, description="Of what the screen refuses: its category, such as `gore`.")


class ErrorEnvelope(BaseModel):
    """Every error looks like this."""

    error: ErrorBody


def not_found(what: str, identity: str) -> Problem:
    return Problem(404, f"there is no {what} {identity[:100]!r}", code="not_found")


def busy(message: str = "too much of this kind is being done just now; try again later") -> Problem:
    return Problem(503, message, code="busy", headers={"Retry-After": "5"})


def still_working(what: str) -> Problem:
    """Of what goes on, and is found by whoever asks again."""
    return Problem(503, f"{what}; ask again", code="still_working", headers={"Retry-After": "2"})


def envelope(
    status: int, message: str, code: str | None = None, param: str | None = None,
    headers: Mapping[str, str] | None = None, reason: str | None = None,
) -> JSONResponse:  # fmt: skip
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    if reason is not None:
        body["error"]["reason"] = reason
    return JSONResponse(body, status, headers=dict(headers or {}))


def first_of(errors: list[Any]) -> tuple[str, str, str | None]:
    """Message, code and parameter of the first thing that validation found."""
    found = errors[0]
    place = [str(part) for part in found.get("loc", ()) if part not in ("body", "query", "path")]
    param = ".".join(place) or None
    if found["type"] == "extra_forbidden":
        return f"unknown parameter {param!r}", "unknown_parameter", param
    if found["type"] == "missing":
        return f"{repr(param) if param else 'the body'} is missing", "missing_required_parameter", param
    message = found["msg"].removeprefix("Value error, ")
    return f"{param}: {message}" if param else message, "invalid_value", param


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What can be done at the path of a request."""
    paths, here = app.openapi()["paths"], request.url.path
    fitting = [here] if here in paths else [path for path in paths if compile_path(path)[0].match(here)]
    return {name.upper() for path in fitting for name in paths[path]}


def install(app: FastAPI, away: tuple[type[Exception], ...]) -> None:
    """Every way to fail answers with the envelope. `away`: what it is when the database is out of reach."""

    def later(_request: Request, _error: Exception) -> Response:
        return envelope(
            503, "the database is out of reach; try again later", "database_unavailable", headers={"Retry-After": "5"}
        )

    for kind in away:
        app.add_exception_handler(kind, later)

    @app.exception_handler(Problem)
    def _(request: Request, error: Problem) -> Response:
        answer = envelope(error.status, error.message, error.code, error.param, error.headers)
        if error.code == "still_working" and "respond-async" in request.headers.get("prefer", "").lower():
            answer.status_code = 202  # RFC 7240, section 4.1: nothing went wrong for who is ready to ask again
            answer.headers["Preference-Applied"] = "respond-async"
        return answer

    @app.exception_handler(JobsError)
    def _(_request: Request, error: JobsError) -> Response:
        if isinstance(error, KeyReused):
            return envelope(422, str(error), error.code)
        wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return envelope(429, str(error), error.code, headers=wait)

    @app.exception_handler(HaneulError)
    def _(_request: Request, error: HaneulError) -> Response:
        message = " ".join(str(error).split())
        if isinstance(error, RefusedError):
            return envelope(400, message, "moderation_blocked", "prompt", reason=error.code)
        if isinstance(error, InputError):
            return envelope(400, message, "invalid_value")
        if isinstance(error, StoreError):
            return envelope(503, "the store of the videos is out of reach; try again later", "storage_unavailable")
        if isinstance(error, OutputError):
            return envelope(507, message, "storage_full")
        return envelope(500, message, "server_error")

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    def _(_request: Request, error: RequestValidationError | ValidationError) -> Response:
        message, code, param = first_of(list(error.errors()))
        return envelope(400, message, code, param)

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # of all routes of this path, where the framework names those of the first
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        return envelope(error.status_code, str(error.detail), code, headers=headers)
