"""What apps of that API use beside videos: models, uploaded files, webhooks."""

from __future__ import annotations

import functools
import json
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from haneul.serve import aside
from haneul.serve.forms import body_of, uploaded
from haneul.serve.problems import not_found
from haneul.serve.schemas import Deleted, Page, Strict
from haneul.serve.sent import stored
from haneul.serve.service import ALIASES, key_of, service_of
from haneul.serve.videos import ERRORS
from haneul.serve.webhooks import EVENTS, event, in_force, new_secret, shown, signed

router = APIRouter(prefix="/v1", responses=ERRORS)
_BORN = 1763942400  # when the model was made, as far as that API needs a date
Identity = Annotated[str, Path(max_length=100)]
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
Event = Literal["video.completed", "video.failed"]


class Model(BaseModel):
    """A model that this service has, or a name to which it answers."""

    id: str
    object: Literal["model"] = "model"
    created: int = _BORN
    owned_by: str = "haneul"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class File(BaseModel):
    """An uploaded picture or video."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"]


class FileList(Page[File]):
    """A page of files."""


class UploadFields(Strict):
    """A file comes as `file`."""

    purpose: Purpose
    expires_after: dict[str, Any] | None = None


class NewWebhook(Strict):
    """Where to tell what."""

    event_types: list[Event] = Field(min_length=1)
    name: str = Field(min_length=1, max_length=200)
    url: str = Field(min_length=1, max_length=2000)


class ChangedWebhook(Strict):
    """What is left out stays."""

    event_types: list[Event] | None = Field(None, min_length=1)
    name: str | None = Field(None, min_length=1, max_length=200)
    url: str | None = Field(None, min_length=1, max_length=2000)


class Rotation(Strict):
    """A new secret."""

    keep_old_secret_active_for_24_hours: bool = False


class Trial(Strict):
    """A delivery of a made-up event."""

    event_type: Event


class Webhook(BaseModel):
    """Who is told what."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: int
    updated_at: int
    event_types: list[str]
    name: str
    url: str
    signing_secret_hint: str


class WebhookWithSecret(Webhook):
    """The secret is shown this once."""

    signing_secret: str


class WebhookList(Page[Webhook]):
    """A page of webhooks."""


class TrialResult(BaseModel):
    """What the receiver answered."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    event_type: str
    status_code: int
    success: Literal[True] = True
    webhook_endpoint_id: str


class EventTypes(BaseModel):
    """What can be told."""

    object: Literal["list"] = "list"
    data: list[str]


# ------------------------------------------------------------------------------------------------------- models


@router.get("/models", response_model=ModelList, tags=["Models"])
async def models(request: Request) -> ModelList:
    """The model at hand, and the names of that API's models to which it answers."""
    key_of(request, "read")
    own = await run_in_threadpool(service_of(request).model)
    return ModelList(data=[Model(id=name) for name in (own, *ALIASES)])


@router.get("/models/{model}", response_model=Model, tags=["Models"])
async def model(request: Request, model: Annotated[str, Path(max_length=200)]) -> Model:
    """One of them."""
    key_of(request, "read")
    await run_in_threadpool(service_of(request).check_model, model)
    return Model(id=model)


# -------------------------------------------------------------------------------------------------------- files

_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object", "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(Purpose.__args__)},  # type: ignore[attr-defined]
                    },
                }
            }
        },
    }
}  # fmt: skip


@router.post("/files", response_model=File, tags=["Files"], openapi_extra=_UPLOAD)
async def upload(request: Request) -> File:
    """Upload a picture or video to be referred to by its id. It is decoded at once; what is neither is refused."""
    service, key = service_of(request), key_of(request, "write")
    async with body_of(request) as body:
        asked = body.checked(UploadFields, "file")
        async with uploaded(service, body, "file") as (staged, said):
            name = "".join(c for c in said if c.isprintable() and c not in '/\\"')[:200] or "upload"
            keep = functools.partial(
                service.media.add_file, key.id, staged, name, asked.purpose, kept_for=key.limits.retention
            )
            return File(**await aside.given(keep))


@router.get("/files", response_model=FileList, tags=["Files"])
async def files(
    request: Request, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000, order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None, purpose: Purpose | None = None,
) -> FileList:  # fmt: skip
    """List uploaded files, newest first unless asked otherwise."""
    service, key = service_of(request), key_of(request, "read")
    found, more = await run_in_threadpool(service.media.page, key.id, after, limit, order == "asc", purpose)
    return FileList.of([File(**entry) for entry in found], more)


@router.get("/files/{file_id}", response_model=File, tags=["Files"])
async def file(request: Request, file_id: Identity) -> File:
    """What is known of a file."""
    from haneul.serve.media import shown as file_json

    service, key = service_of(request), key_of(request, "read")
    row = await run_in_threadpool(service.media.file, key.id, file_id)
    if row is None:
        raise not_found("file", file_id)
    return File(**file_json(row))


@router.get("/files/{file_id}/content", response_class=FileResponse, tags=["Files"])
async def file_content(request: Request, file_id: Identity) -> Response:
    """The file itself."""
    service, key = service_of(request), key_of(request, "read")
    row = await run_in_threadpool(service.media.file, key.id, file_id)
    if row is None:
        raise not_found("file", file_id)
    return await run_in_threadpool(
        lambda: stored(service.store, row["content"], request.headers, filename=row["filename"], headers={})
    )


@router.delete("/files/{file_id}", response_model=Deleted, tags=["Files"])
async def delete_file(request: Request, file_id: Identity) -> Deleted:
    """Delete a file. Videos that were asked for with it keep their copy."""
    service, key = service_of(request), key_of(request, "write")
    if not await run_in_threadpool(service.media.delete_file, key.id, file_id):
        raise not_found("file", file_id)
    return Deleted(id=file_id, object="file")


# ----------------------------------------------------------------------------------------------------- webhooks


@router.get("/webhook_event_types", response_model=EventTypes, tags=["Webhooks"])
async def event_types(request: Request) -> EventTypes:
    """What a webhook can be told."""
    key_of(request, "read")
    return EventTypes(data=list(EVENTS))


@router.post("/webhook_endpoints", response_model=WebhookWithSecret, tags=["Webhooks"])
async def create_webhook(request: Request, asked: NewWebhook) -> WebhookWithSecret:
    """Tell an address when a video is completed or has failed. The answer holds the secret that deliveries are signed
    with."""
    service, key = service_of(request), key_of(request, "write")
    service.outside.check(asked.url)
    made = await run_in_threadpool(
        service.webhooks.create, key.id, asked.name, asked.url, list(dict.fromkeys(asked.event_types))
    )
    return WebhookWithSecret(**made)


@router.get("/webhook_endpoints", response_model=WebhookList, tags=["Webhooks"])
async def webhooks(
    request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> WebhookList:  # fmt: skip
    """List webhooks, the oldest first."""
    service, key = service_of(request), key_of(request, "read")
    found, more = await run_in_threadpool(service.webhooks.page, key.id, after, limit)
    return WebhookList.of([Webhook(**entry) for entry in found], more)


@router.get("/webhook_endpoints/{webhook_id}", response_model=Webhook, tags=["Webhooks"])
async def webhook(request: Request, webhook_id: Identity) -> Webhook:
    """One webhook."""
    service, key = service_of(request), key_of(request, "read")
    row = await run_in_threadpool(service.webhooks.get, key.id, webhook_id)
    if row is None:
        raise not_found("webhook", webhook_id)
    return Webhook(**shown(row))


async def _changed(request: Request, webhook_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    service, key = service_of(request), key_of(request, "write")
    made = await run_in_threadpool(service.webhooks.update, key.id, webhook_id, changes)
    if made is None:
        raise not_found("webhook", webhook_id)
    return made


@router.post("/webhook_endpoints/{webhook_id}", response_model=Webhook, tags=["Webhooks"])
async def update_webhook(request: Request, webhook_id: Identity, asked: ChangedWebhook) -> Webhook:
    """Change a webhook."""
    changes: dict[str, Any] = asked.model_dump(include={"name", "url"}, exclude_none=True)
    if asked.event_types is not None:
        changes["events"] = " ".join(dict.fromkeys(asked.event_types))
    if asked.url is not None:
        service_of(request).outside.check(asked.url)
    return Webhook(**await _changed(request, webhook_id, changes))


@router.delete("/webhook_endpoints/{webhook_id}", response_model=Deleted, tags=["Webhooks"])
async def delete_webhook(request: Request, webhook_id: Identity) -> Deleted:
    """Tell this address nothing more."""
    service, key = service_of(request), key_of(request, "write")
    if not await run_in_threadpool(service.webhooks.delete, key.id, webhook_id):
        raise not_found("webhook", webhook_id)
    return Deleted(id=webhook_id, object="webhook_endpoint.deleted")


@router.post("/webhook_endpoints/{webhook_id}/rotate_secret", response_model=WebhookWithSecret, tags=["Webhooks"])
async def rotate_secret(request: Request, webhook_id: Identity, asked: Rotation | None = None) -> WebhookWithSecret:
    """A new secret; the old one may go on signing for a day."""
    service, key = service_of(request), key_of(request, "write")
    row = await run_in_threadpool(service.webhooks.get, key.id, webhook_id)
    if row is None:
        raise not_found("webhook", webhook_id)
    secret, keep = new_secret(), asked is not None and asked.keep_old_secret_active_for_24_hours
    changes = {
        "secret": secret, "old_secret": row["secret"] if keep else None,
        "old_until": time.time() + 86400 if keep else None,
    }  # fmt: skip
    return WebhookWithSecret(**await _changed(request, webhook_id, changes), signing_secret=secret)


@router.post("/webhook_endpoints/{webhook_id}/test", response_model=TrialResult, tags=["Webhooks"])
async def test_webhook(request: Request, response: Response, webhook_id: Identity, asked: Trial) -> TrialResult:
    """Deliver a made-up event at once."""
    service, key = service_of(request), key_of(request, "write")
    row = await run_in_threadpool(service.webhooks.get, key.id, webhook_id)
    if row is None:
        raise not_found("webhook", webhook_id)
    told = event(asked.event_type, "video_test", time.time())
    body = json.dumps(told).encode()
    headers = signed(in_force(row), told["id"], body, time.time())
    status = await aside.given(lambda: service.outside.post(row["url"], body, headers))
    return TrialResult(event_type=asked.event_type, status_code=status, webhook_endpoint_id=webhook_id)
