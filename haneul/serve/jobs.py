"""What a job is and what any job engine must do: the embedded one here, one over many machines elsewhere.

A job is `queued` until a worker claims it, then `in_progress`, and at last `completed` or `failed`. A claim is a lease:
it names its holder by a random token and ends unless it is renewed, and every write of a worker carries the token. So a
job whose worker died is claimed again, and a worker that was only slow finds that nothing it says counts any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from haneul.errors import HaneulError

Status = Literal["queued", "in_progress", "completed", "failed", "deleted"]
PRIORITIES = (-10, 10)
EVERYBODY = ""  #: in place of a key: all of them


class JobsError(HaneulError):
    """A job was not accepted. `code` is for machines; `retry_after` says in how many seconds it may be (None: not by
    waiting)."""

    def __init__(self, message: str, *, code: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


class QueueFull(JobsError):
    """Too many jobs wait, or a key has used up what it may."""


class KeyReused(JobsError):
    """An idempotency key came with another request than the first time."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one key may use; None is no limit."""

    waiting: int | None = None  #: jobs that wait at once
    requests_per_minute: int | None = None
    seconds_per_day: float | None = None  #: of video
    storage: int | None = None  #: bytes of finished videos that are kept
    retention: float | None = None  #: seconds for which they are, instead of the service's own


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a key uses now of what `Limits` limits."""

    waiting: int
    requests_per_minute: int
    seconds_per_day: float
    storage: int


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is asked for. `digest` stands for the whole request, so that a repeated one is known again."""

    id: str
    owner: str
    mode: str
    request: dict[str, Any]
    seconds: float
    priority: int = 0
    idempotency_key: str | None = None
    digest: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as it stands. Times are Unix seconds; `lease` is the token of the claim that it came with."""

    id: str
    seq: int
    owner: str
    mode: str
    request: dict[str, Any]
    priority: int
    status: Status
    stage: str
    progress: int  # per cent
    attempts: int
    lease: str | None
    created_at: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None
    result: dict[str, Any] | None
    error: tuple[str, str] | None  # code, message

    @property
    def over(self) -> bool:
        return self.status not in ("queued", "in_progress")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is becoming of a job: a WebP picture of its making, after so many of so many steps."""

    picture: bytes
    step: int
    steps: int
    at: float


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs that wait and run, workers that live, and how long a video took of late (seconds; None: not known)."""

    queued: int
    running: int
    workers: int
    typical: float | None


#: Called inside the transaction that ends a job, so that what it writes is there if and only if the job is over.
OnEnd = Callable[[Any, Job], None]


class JobEngine(Protocol):
    """Every call is safe from any process and thread."""

    #: Whether a read takes microseconds and waits for nobody, so that an event loop may do it.
    quick: bool
    #: What its calls raise while it is out of reach.
    away: tuple[type[Exception], ...]

    # For those who ask.
    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Accepts a job; once this returns, it is not lost. The flag is False where the same request (by its
        idempotency key) came before, and the job is that one. Raises QueueFull, KeyReused."""
        ...

    def get(self, job: str, owner: str) -> Job | None: ...

    def page(self, owner: str, *, after: str | None, limit: int, ascending: bool) -> tuple[list[Job], bool] | None:
        """Jobs in the order in which they were accepted or against it, and whether more follow. `after` may have been
        deleted since; None: it never was there."""
        ...

    def cancel(self, job: str, owner: str) -> Job | None:
        """Ends a job that is not over as failed; its worker stops at its next report."""
        ...

    def delete(self, job: str, owner: str) -> bool:
        """Forgets a job, whatever it does; False if there was none."""
        ...

    def ahead(self, job: Job) -> int:
        """How many jobs wait that were accepted before it."""
        ...

    def counts(self) -> Counts: ...

    def used(self, owner: str) -> Used: ...

    def pause(self, owner: str) -> int:
        """Holds all jobs of a key, or EVERYBODY's: none is claimed, and those that run go back into the queue, to go on
        later from where they were. Returns how many ran."""
        ...

    def resume(self, owner: str) -> None:
        """Ends what `pause` began; a pause of EVERYBODY and one of a key end apart."""
        ...

    def paused(self, owner: str) -> bool:
        """Whether `pause` was called for this very key, or for EVERYBODY."""
        ...

    def look(self, job: str, *, since: float) -> Look | None:
        """The newest picture of a job that runs, if it is newer than `since`."""
        ...

    # For workers.
    def hello(self, worker: str, able: dict[str, Any]) -> None:
        """A worker lives; say it again now and then."""
        ...

    def able(self) -> dict[str, Any] | None:
        """What a living worker said it can do."""
        ...

    def claim(self, worker: str) -> Job | None:
        """The next job, leased to this worker; None: nothing waits."""
        ...

    def attend(self, serve: Callable[[], bool], over: Callable[[], bool]) -> None:
        """Calls `serve`, which makes at most one job and says whether one waited, whenever one may, until `over`."""
        ...

    def renew(self, job: Job) -> bool:
        """Lengthens the lease; False: the job is not this worker's any more, so stop."""
        ...

    def report(self, job: Job, progress: int, stage: str) -> bool:
        """Says how far it is; False as `renew`."""
        ...

    def show(self, job: Job, picture: bytes, step: int, steps: int) -> bool:
        """Keeps a WebP picture of what is becoming of it; False as `renew`."""
        ...

    def mine(self, job: Job) -> bool:
        """Whether the lease still holds: a cheap read for every step."""
        ...

    def complete(self, job: Job, result: dict[str, Any], *, size: int) -> bool:
        """False as `renew`: the result then counts for nothing."""
        ...

    def fail(self, job: Job, code: str, message: str) -> bool: ...

    def release(self, job: Job) -> bool:
        """Gives an unfinished job back to the queue, as if it had not been claimed."""
        ...

    # For whoever looks after the house.
    def unfinished(self) -> set[str]:
        """Ids of all jobs that wait or run."""
        ...

    def reap(self) -> int:
        """Takes jobs back whose lease ended, and sets those aside that killed too many workers."""
        ...

    def worker_gone(self, worker: str) -> int:
        """As `reap`, for a worker that is known to be dead."""
        ...

    def sweep(self) -> list[str]:
        """Ids of jobs whose files have expired or whose row is gone for good; remove the files."""
        ...
