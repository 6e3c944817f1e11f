"""/v1/haneul/keys, policy and me: who may use the service and how much, what the screen refuses, and what one's own key
may do. All but the last need an admin key; on a loopback address without keys, whoever is at this machine has one."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from haneul.config import load_settings
from haneul.screen import site
from haneul.screen.policy import LANGUAGES, Action, Policy, load_policy
from haneul.serve.jobs import Limits
from haneul.serve.keys import LOCAL, RETENTION, Key
from haneul.serve.problems import ErrorEnvelope, Problem, not_found
from haneul.serve.schemas import Strict
from haneul.serve.service import Service, key_of, service_of
from haneul.serve.videos import ERRORS

router = APIRouter(prefix="/v1/haneul", tags=["Administration"], responses=ERRORS)
KeyId = Annotated[str, Path(max_length=40, examples=["0123456789ab"])]
Scope = Literal["read", "write", "admin"]
DAY = 86400.0
_changing = threading.Lock()  # between a look at the policy and what is put in its place


class Quota(Strict):
    """What a key may use; null is no limit but the service's own."""

    waiting: int | None = Field(None, ge=1, le=10**6, description="Jobs that wait at once.")
    requests_per_minute: int | None = Field(None, ge=1, le=10**6, description="Videos asked for in a minute.")
    seconds_per_day: float | None = Field(
        None, gt=0, le=10**9, allow_inf_nan=False, description="Of video asked for in 24 hours."
    )
    storage: int | None = Field(None, ge=1, le=2**60, description="Bytes of finished videos that are kept.")
    retention: float | None = Field(
        None, ge=RETENTION[0], le=RETENTION[1], allow_inf_nan=False,
        description="Seconds for which finished videos and uploaded files are kept; null: as the service does.",
    )  # fmt: skip


class Usage(BaseModel):
    """What a key uses now."""

    waiting: int
    requests_per_minute: int
    seconds_per_day: float
    storage: int


class ApiKey(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    limits: Quota
    used: Usage
    created_at: int
    revoked_at: int | None
    own: bool = Field(description="Whether it is the key of this very request.")


class KeyList(BaseModel):
    """All keys, the oldest first."""

    object: Literal["list"] = "list"
    data: list[ApiKey]


class NewKey(ApiKey):
    """A key with its secret, which cannot be seen again."""

    key: str


class AskKey(Strict):
    """A key."""

    name: str = Field(min_length=1, max_length=80)
    scopes: list[Scope] = Field(["read", "write"], min_length=1)
    limits: Quota = Field(default_factory=lambda: Quota.model_validate({}))


class Rotate(Strict):
    """A new secret for a key."""

    keep: float = Field(0.0, ge=0, le=30 * DAY, description="Seconds for which the old one still opens.")


def _shown(service: Service, key: Key, asking: Key) -> dict[str, Any]:
    return {
        "id": key.id, "name": key.name, "scopes": list(key.scopes), "limits": asdict(key.limits),
        "used": asdict(service.jobs.used(key.id)), "created_at": int(key.created_at),
        "revoked_at": None if key.revoked_at is None else int(key.revoked_at), "own": key.id == asking.id,
    }  # fmt: skip


def _living(service: Service, identity: str) -> Key:
    found = service.keys.get(identity)
    if found is None or found.revoked_at is not None:
        raise not_found("key", identity)
    return found


def _not_own(identity: str, asking: Key) -> None:
    if identity == asking.id:
        raise Problem(
            400, "this key cannot take its own rights away; use another admin key, or haneul keys", code="own_key"
        )


@router.get("/me", response_model=ApiKey)
async def me(request: Request) -> ApiKey:
    """The key of this request: what it may do, and how much of it is used."""
    service, key = service_of(request), request.state.key
    return ApiKey(**await run_in_threadpool(_shown, service, key, key))


@router.get("/keys", response_model=KeyList)
async def keys(request: Request) -> KeyList:
    """List keys; revoked ones stay in the list."""
    service, asking = service_of(request), key_of(request, "admin")

    def run() -> KeyList:
        return KeyList(data=[ApiKey(**_shown(service, key, asking)) for key in service.keys.all()])

    return await run_in_threadpool(run)


def _new(service: Service, secret: str, asking: Key) -> NewKey:
    key = service.keys.check(secret)
    assert key is not None
    return NewKey(**_shown(service, key, asking), key=secret)


@router.post("/keys", response_model=NewKey)
async def create(request: Request, asked: AskKey) -> NewKey:
    """Make a key. Its secret is in this answer alone."""
    service, asking = service_of(request), key_of(request, "admin")

    def run() -> NewKey:
        limits = Limits(**asked.limits.model_dump())
        return _new(service, service.keys.create(asked.name, tuple(asked.scopes), limits), asking)

    return await run_in_threadpool(run)


@router.put("/keys/{key_id}", response_model=ApiKey)
async def change(request: Request, key_id: KeyId, asked: AskKey) -> ApiKey:
    """Give a key another name, other rights and limits."""
    service, asking = service_of(request), key_of(request, "admin")

    def run() -> ApiKey:
        _living(service, key_id)
        if "admin" not in asked.scopes:
            _not_own(key_id, asking)
        limits = Limits(**asked.limits.model_dump())
        service.keys.change(key_id, name=asked.name, scopes=tuple(dict.fromkeys(asked.scopes)), limits=limits)
        return ApiKey(**_shown(service, _living(service, key_id), asking))

    return await run_in_threadpool(run)


@router.post("/keys/{key_id}/rotate", response_model=NewKey)
async def rotate(request: Request, key_id: KeyId, asked: Rotate) -> NewKey:
    """Make a new secret for a key."""
    service, asking = service_of(request), key_of(request, "admin")

    def run() -> NewKey:
        _living(service, key_id)
        return _new(service, service.keys.rotate(key_id, keep=asked.keep), asking)

    return await run_in_threadpool(run)


@router.delete("/keys/{key_id}", response_model=ApiKey)
async def revoke(request: Request, key_id: KeyId) -> ApiKey:
    """Revoke a key: it opens nothing from now on. What was made with it stays."""
    service, asking = service_of(request), key_of(request, "admin")

    def run() -> ApiKey:
        _living(service, key_id)
        _not_own(key_id, asking)
        service.keys.revoke(key_id)
        found = service.keys.get(key_id)
        assert found is not None
        return ApiKey(**_shown(service, found, asking))

    return await run_in_threadpool(run)


# ------------------------------------------------------------------------------------------------------- the policy


class Screens(BaseModel):
    """One thing that is screened for."""

    name: str
    title: str
    advice: str
    action: Action
    threshold: float = Field(description="How sure the classifier must be, 0 to 1; above 1 leaves it to the rules.")
    locked: bool = Field(description="Cannot be changed.")


class CategoryChange(Strict):
    """What a site changes of a category."""

    action: Action | None = None
    threshold: float | None = Field(None, gt=0, allow_inf_nan=False)


Words = dict[Literal["en", "es", "ko", "ja", "zh"], Annotated[str, Field(max_length=20000)]]


class TermChange(Strict):
    """Words, apart by commas, that a site adds to a list or takes from it, by language."""

    add: Words = Field(default_factory=dict)
    remove: Words = Field(default_factory=dict)


class AuditChange(Strict):
    """What the audit log holds."""

    prompts: bool = Field(False, description="Prompts in plain text, and not only a keyed hash of each.")


class SiteChanges(Strict):
    """All that a site changes of the shipped policy."""

    categories: dict[str, CategoryChange] = Field(default_factory=dict)
    terms: dict[str, TermChange] = Field(default_factory=dict)
    audit: AuditChange = Field(default_factory=lambda: AuditChange.model_validate({}))


class PutPolicy(SiteChanges):
    """A site's changes, and the policy that they were written for."""

    digest: str = Field(max_length=64, description="As it was read; another one since is not overwritten.")


class PolicyNow(BaseModel):
    """What is in force on this machine."""

    digest: str
    file: str | None = Field(description="Where it is set by hand: it cannot be changed here.")
    categories: list[Screens]
    lists: dict[str, dict[str, int]] = Field(description="How many words each list has, by language.")
    languages: list[str]
    changes: SiteChanges


def _policy(policy: Policy, changes: dict[str, Any], file: str | None) -> PolicyNow:
    return PolicyNow(
        digest=policy.digest, file=file,
        categories=[
            Screens(
                name=found.name, title=found.title, advice=found.advice, action=found.action,
                threshold=found.threshold, locked=found.locked,
            )
            for found in policy.categories.values()
        ],
        lists={name: {lang: len(words) for lang, words in entry.items()} for name, entry in policy.terms.items()},
        languages=list(LANGUAGES), changes=SiteChanges.model_validate(changes),
    )  # fmt: skip


@router.get("/policy", response_model=PolicyNow)
async def policy(request: Request) -> PolicyNow:
    """What the screen refuses, flags and allows, and what this site changed of that."""
    key_of(request, "admin")

    def run() -> PolicyNow:
        settings = load_settings()
        return _policy(load_policy(settings), site.changes(settings), str(settings.policy or "") or None)

    return await run_in_threadpool(run)


@router.put(
    "/policy", response_model=PolicyNow,
    responses={409: {"model": ErrorEnvelope, "description": "It was changed since it was loaded."}},
)  # fmt: skip
async def set_policy(request: Request, asked: PutPolicy) -> PolicyNow:
    """Put other changes in place of the site's. They hold on this machine from the next decision on; the audit log says
    whose key did it. The category that is always refused cannot be changed."""
    key = key_of(request, "admin")

    def run() -> PolicyNow:
        settings = load_settings()
        table = asked.model_dump(exclude_none=True, exclude={"digest"})
        by = "this machine" if key.id == LOCAL.id else f"key {key.id}"
        with _changing:
            if asked.digest != load_policy(settings).digest:
                raise Problem(409, "the policy was changed since; load it again", code="policy_changed", param="digest")
            return _policy(site.change(settings, table, by=by), site.changes(settings), None)

    return await run_in_threadpool(run)
