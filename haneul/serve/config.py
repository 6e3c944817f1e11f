"""How the service is set up: one frozen dataclass, which the API and the workers get from their supervisor."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from haneul.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Times are in seconds, sizes in bytes."""

    data: Path  #: folder of the jobs and their files, and of what is being made
    jobs: str | None = None  #: URL of a PostgreSQL database for many machines; None: a file in the folder
    store: str | None = None  #: folder or s3://bucket/prefix?endpoint=...; None: in the folder
    host: str = "127.0.0.1"
    port: int = 8000  #: 0: any free one
    workers: int = 1  #: processes that make videos, beside the one that answers; 0: none here
    standby: bool = True  #: whether a second API process waits for the death of the first
    model: str | None = None  #: an open checkpoint, a folder or owner/name; None: the settings'
    steps: int | None = None  #: denoising steps where a request names none; None: the model's
    require_key: bool = False  #: ask for keys on a loopback address too
    origins: tuple[str, ...] = ()  #: web pages that may call the service, such as https://studio.example
    trusted_hosts: tuple[str, ...] = ()  #: hosts that references and webhooks may name though they are private
    lease: float = 30.0  #: how long a worker may be silent before its job is another's
    max_attempts: int = 3  #: workers that a job may kill
    queue_limit: int = 1000  #: jobs that wait, of all keys
    queue_limit_per_key: int = 500
    retention: float = 7 * 86400.0  #: how long finished videos and uploaded files are kept
    worlds: int = 1  #: that are played at once, each by a program of two busy threads; 0: none
    world_idle: float = 20.0  #: how long a world waits for somebody to look at it again
    grace: float = 30.0  #: for what is running when the service is asked to stop; then it is handed over
    max_body: int = 128 * 2**20
    max_pixels: int = 1920 * 1920  #: of a video that is asked for
    max_seconds: float = 120.0  #: of a video that is asked for
    low_water: int = 512 * 2**20  #: free disk space below which no new job is taken
    log_prompts: bool = False

    def __post_init__(self) -> None:
        for name in ("lease", "grace", "retention", "max_seconds", "world_idle"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)!r}; give a number of seconds above 0")
        for name in ("max_attempts", "queue_limit", "queue_limit_per_key", "max_body", "max_pixels"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; give 1 or more")
        if self.jobs is not None and not self.jobs.startswith(("postgresql://", "postgres://")):
            raise InputError(f"jobs cannot be kept in {self.jobs.split('//')[0]!r}; give postgresql://user@host/name")
        if self.store is not None and "://" in self.store and not self.store.startswith("s3://"):
            raise InputError(f"videos cannot be kept in {self.store!r}; give a folder or s3://bucket/prefix")
        if not 0 <= self.port <= 65535:
            raise InputError(f"the port is {self.port}; give 1 to 65535, or 0 for a free one")
        if not 0 <= self.workers <= 64:
            raise InputError(f"{self.workers} workers cannot be started; choose 0 to 64")
        if not 0 <= self.worlds <= 64:
            raise InputError(f"{self.worlds} worlds cannot be played at once; choose 0 to 64")
        if self.steps is not None and not 1 <= self.steps <= 200:
            raise InputError(f"{self.steps} steps is out of range; choose 1 to 200")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def database(self) -> Path:
        return self.data / "jobs.sqlite"

    @property
    def scratch(self) -> Path:
        """Where workers of this machine keep what is not finished."""
        return self.data / "work"

    @property
    def staging(self) -> Path:
        """Where uploads lie until they are known to be harmless."""
        return self.data / "staging"

    def to_json(self) -> str:
        """For the command line of a child process."""
        return json.dumps(asdict(self) | {"data": str(self.data)})

    @classmethod
    def from_json(cls, text: str) -> ServeConfig:
        """The inverse of `to_json`."""
        found: dict[str, Any] = json.loads(text)
        for field in fields(cls):
            if isinstance(found.get(field.name), list):
                found[field.name] = tuple(found[field.name])
        return cls(**found | {"data": Path(found["data"])})


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
