"""What the API's routes share: the engine, the store and the tables, and how a request becomes a job."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from haneul import screen
from haneul.config import load_settings
from haneul.engine import check_numbers, check_shape
from haneul.prompt import camera, language
from haneul.serve import deadline, loaded
from haneul.serve.config import ServeConfig
from haneul.serve.engines import database_of, jobs_of, store_of
from haneul.serve.fetch import Outside
from haneul.serve.jobs import PRIORITIES, Counts, Job, JobEngine, NewJob
from haneul.serve.keys import LOCAL, Key, Keys
from haneul.serve.library import Library
from haneul.serve.media import Given, Media
from haneul.serve.memory import give_back
from haneul.serve.plays import Plays
from haneul.serve.problems import Problem, busy, not_found
from haneul.serve.prompting import Prompting
from haneul.serve.store import Store, StoreError
from haneul.serve.webhooks import Courier, Webhooks

MODEL = "haneul-nano"  #: until a worker has said which it has
#: Names of that API's models, which apps send; our own model answers to them.
ALIASES = ("sora-2", "sora-2-pro", "sora-2-2025-10-06", "sora-2-pro-2025-10-06", "sora-2-2025-12-08")
Found = TypeVar("Found")
_FRESH = 2.0  # seconds
#: Characters of all shots of a film, which are screened together in a time that grows with the square.
_MOST_TEXT = 24_000
_SOONEST, _LATEST = 0.5, 5.0  # seconds after which it is worth asking again
_log = logging.getLogger("haneul.serve.api")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A video that is asked for, as every route words it. `size` None and `seconds` are what they are once it is made,
    and what is shown until then."""

    mode: str
    prompt: str
    args: dict[str, Any]  #: of the mode's function
    options: dict[str, Any]  #: of `engine.make`
    media: tuple[Given, ...] = ()
    size: tuple[int, int] | None  #: asked for
    shown_size: tuple[int, int]
    seconds: float
    source: str | None = None  #: the video that it was made from
    parents: tuple[str, ...] = ()  #: videos that were given, beside those that the media say themselves
    priority: int = 0
    shots: tuple[dict[str, Any], ...] = ()
    model: str | None = None


class Service:
    """Everything that the routes need; `start` and `stop` are the API process's."""

    def __init__(self, config: ServeConfig) -> None:
        self.config, self.settings = config, load_settings()
        self.db = database_of(config)
        self.jobs: JobEngine = jobs_of(config, self.db)
        self.store: Store = store_of(config)
        self.library = Library(config.data / "library.sqlite", self.jobs)
        self.prompting = Prompting()
        self.plays = Plays(config)
        self.keys = Keys(self.db)
        self.outside = Outside(config.trusted_hosts)
        self.media = Media(config, self.db, self.store, self.outside)
        self.webhooks = Webhooks(self.db)
        self.courier = Courier(self.webhooks, self.outside)
        self._screening = threading.Lock()  # it computes: many at once would keep everybody else waiting
        self._able: dict[str, Any] | None = None
        self._able_until = 0.0
        self._counts: Counts | None = None  # as of the housekeeper's last round
        self._over = threading.Event()
        self._housekeeper = threading.Thread(target=self._keep_house, name="housekeeper", daemon=True)

    def start(self) -> None:
        self.courier.start()
        self._housekeeper.start()
        # A copy has it already (preload.py). Else whoever asks first for a video would wait for all of it.
        threading.Thread(target=loaded.attempt, args=(loaded.screen,), name="screen", daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        self.courier.stop()
        self.prompting.stop()
        self._housekeeper.join(5)
        self.outside.close()

    def _keep_house(self) -> None:
        """Takes jobs of dead workers back, and now and then removes what has expired or belongs to nothing."""
        rounds = 0
        passing: tuple[type[Exception], ...] = (*self.db.errors, OSError, StoreError)
        with contextlib.suppress(*passing, sqlite3.Error):
            self.library.follow(LOCAL.id)  # so that the first look at a large library does not wait for it
        while not self._over.wait(min(2.0, self.config.lease / 4)):
            try:
                self.jobs.reap()
                self._counts = self.jobs.counts()
                if rounds % 30 == 0:
                    self.clean(orphans=rounds % 1800 == 0)
                    give_back()
            except passing:
                _log.exception("housekeeping failed; it is tried again")
            rounds += 1

    def clean(self, *, orphans: bool = True) -> None:
        """Files of videos that have expired, and what a process that died has left, for which all must be listed."""
        for identity in self.jobs.sweep():
            self._forget_files(identity)
        self.media.expire_files()
        if not orphans:
            return
        known = {row["id"] for row in self.db.connection.execute("SELECT id FROM jobs WHERE status != 'deleted'")}
        for top in ("inputs", "videos", "kept"):
            for identity in self.store.groups(top, older=3600):
                if identity not in known:
                    self.store.delete(f"{top}/{identity}")

    def _forget_files(self, identity: str) -> None:
        self.store.delete(f"videos/{identity}")
        self.store.delete(f"inputs/{identity}")
        self.store.delete(f"kept/{identity}")

    # ------------------------------------------------------------------------------------------------- a new job

    def model(self) -> str:
        able = self.able()
        return str(able["model"]) if able else MODEL

    def able(self) -> dict[str, Any] | None:
        """What the workers can do. Nearly every answer names the model, so it is remembered for a moment."""
        if time.monotonic() > self._able_until:
            self._able, self._able_until = self.jobs.able(), time.monotonic() + _FRESH
        return self._able

    def patience(self, job: Job) -> float:
        """Seconds until it is worth asking for a job again: the longer, the more jobs wait, for those who ask too often
        keep both from being served."""
        if job.status != "queued":
            return _SOONEST
        counts = self._counts
        wait = (counts.typical or 0.0) * counts.queued / max(1, counts.workers) if counts else 0.0
        return min(_LATEST, max(_SOONEST, wait / 20))

    def check_model(self, name: str | None) -> None:
        if name is not None and name not in (*ALIASES, self.model()):
            raise Problem(
                404, f"there is no model {name[:80]!r}; this service has {self.model()}", code="model_not_found",
                param="model",
            )  # fmt: skip

    def check_room(self) -> None:
        """Before anything is stored."""
        if self.store.free() < self.config.low_water:
            raise Problem(
                507, "the disk of this service is almost full; delete videos, or ask whoever runs it for space",
                code="storage_full",
            )  # fmt: skip

    def check(self, wish: Wish, key: Key) -> None:
        """Refuses what no worker could make, before anything waits in the queue."""
        self.check_model(wish.model)
        most = min(self.config.max_seconds, (self.able() or {}).get("max_seconds", self.config.max_seconds))
        if not 0 < wish.seconds <= most:
            raise Problem(
                400, f"{wish.seconds:g} s cannot be made; choose 0.1 to {most:g}", code="invalid_value", param="seconds"
            )
        check_shape(min(wish.seconds, 1.0), wish.size or (896, 512))
        if wish.size is not None and wish.size[0] * wish.size[1] > self.config.max_pixels:
            raise Problem(
                400, f"{wish.size[0]}x{wish.size[1]} is larger than what this service makes", code="invalid_value",
                param="size",
            )  # fmt: skip
        together = [shot["prompt"] for shot in wish.shots]
        length = sum(map(len, together))
        if length > _MOST_TEXT:
            raise Problem(
                400, f"the shots have {length:,} characters together; the most is {_MOST_TEXT:,}: shorten them",
                code="invalid_value", param="shots",
            )  # fmt: skip
        for entry in (wish.options | {"prompt": wish.prompt}, *wish.shots):
            language.check(entry.get("prompt", ""))
            for name in ("negative", "remember"):
                if (entry.get(name) or "").strip():  # as the engine would; and the screen takes long for long texts
                    language.check(entry[name])
            check_numbers(entry.get("steps"), entry.get("guidance"), entry.get("seed"))
            if entry.get("camera"):
                camera.parse(entry["camera"])
            self._screen(entry, together)
            together = []  # once is enough
        low, high = PRIORITIES
        if not low <= wish.priority <= high or (wish.priority > 0 and not key.may("admin")):
            raise Problem(
                400, f"the priority is {wish.priority}; choose {low} to 0, or with an admin key up to {high}",
                code="invalid_value", param="priority",
            )  # fmt: skip

    def _screen(self, entry: dict[str, Any], shots: list[str]) -> None:
        """Raises RefusedError, and Problem where a request's time is over before it is its turn."""
        wait = deadline.left(60.0)
        if not wait or not self._screening.acquire(timeout=wait):
            raise busy()
        try:
            screen.words(
                self.settings, prompt=entry.get("prompt", ""), negative=entry.get("negative") or "",
                remember=entry.get("remember") or "", shots=shots, where="admission",
            )  # fmt: skip
        finally:
            self._screening.release()

    def submit(self, identity: str, wish: Wish, key: Key, idempotency_key: str | None) -> Job:
        """Accepts a job, or finds the one that the same request made before."""
        self.check(wish, key)
        characters = self.media.mentioned(key.id, wish.prompt)
        request = {
            "prompt": wish.prompt, "args": wish.args, "media": [given.key for given in wish.media],
            "size": wish.size, "shown": {"size": wish.shown_size, "seconds": wish.seconds},
            "source": wish.source, "characters": characters, "shots": list(wish.shots), **wish.options,
            "parents": list(dict.fromkeys([*wish.parents, *(given.source for given in wish.media if given.source)])),
        }  # fmt: skip
        if idempotency_key is not None and not 0 < len(idempotency_key) <= 255:
            raise Problem(400, "an Idempotency-Key has 1 to 255 characters", code="invalid_value")
        # Inputs lie under the new job's id; what they hold counts, not where.
        told = request | {"media": [self._digest(given.key) for given in wish.media] if idempotency_key else []}
        digest = hashlib.sha256(json.dumps([wish.mode, told], sort_keys=True).encode()).hexdigest()
        new = NewJob(
            id=identity, owner=key.id, mode=wish.mode, request=request, seconds=wish.seconds, priority=wish.priority,
            idempotency_key=idempotency_key, digest=digest, limits=key.limits,
        )  # fmt: skip
        job, fresh = self.jobs.submit(new)
        if not fresh:
            self.store.delete(f"inputs/{identity}")
        return job

    def _digest(self, key: str) -> str:
        with self.store.local(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def drop_inputs(self, identity: str) -> None:
        """Of a job that was not accepted."""
        self.store.delete(f"inputs/{identity}")

    # ----------------------------------------------------------------------------------------------- an old one

    def job(self, identity: str, key: Key) -> Job:
        found = self.jobs.get(identity, key.id)
        if found is None:
            raise not_found("video", identity)
        return found

    async def looked(self, look: Callable[[], Found]) -> Found:
        """What a look at the table brings: at once where it takes microseconds and waits for nobody."""
        return look() if self.jobs.quick else await run_in_threadpool(look)

    def delete(self, identity: str, key: Key) -> None:
        if not self.jobs.delete(identity, key.id):
            raise not_found("video", identity)
        self.library.forget(identity)
        self._forget_files(identity)

    def finished(self, identity: str, key: Key) -> tuple[Job, str]:
        """A finished video and the key of its file, to make another from. Raises Problem."""
        job = self.job(identity, key)
        if job.status != "completed" or job.result is None:
            raise Problem(
                400,
                f"{job.id} is {job.status}; only a completed video can be used",
                code="video_not_ready",
                param="video",
            )
        return job, str(job.result["files"]["video"])


def new_id() -> str:
    return f"video_{secrets.token_hex(16)}"


def service_of(request: Request) -> Service:
    """For the routes."""
    found: Service = request.app.state.service
    return found


def key_of(request: Request, scope: str) -> Key:
    """Who calls; Problem unless the key may do this."""
    key: Key = request.state.key
    if not key.may(scope):
        raise Problem(403, f"this key has no scope {scope!r}; ask for one that does", code="missing_scope")
    return key
