"""Which database, job engine and store a service has, by its configuration."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haneul.errors import InputError, OutputError
from haneul.serve.config import ServeConfig
from haneul.serve.database import Database, Tables
from haneul.serve.jobs import JobEngine
from haneul.serve.leased import LeasedJobs
from haneul.serve.store import FolderStore, Store
from haneul.serve.webhooks import enqueue

if TYPE_CHECKING:
    from haneul.serve.postgres import PostgresTables


def database_of(config: ServeConfig) -> Tables:
    """PostgreSQL where a URL is given, else one file. Raises OutputError if it cannot be used."""
    return Database(config.database) if config.jobs is None else _postgres(config.jobs)


def _needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(f"{module} is not installed; run: pip install 'haneul[cluster]'")


def _postgres(url: str) -> PostgresTables:
    _needs("procrastinate", "psycopg", "psycopg_pool")
    from haneul.serve.postgres import PostgresTables

    return PostgresTables(url)


def jobs_of(config: ServeConfig, database: Tables) -> JobEngine:
    """The engine that belongs to a database."""
    given: dict[str, Any] = {
        "lease": config.lease, "max_attempts": config.max_attempts, "queue_limit": config.queue_limit,
        "queue_limit_per_key": config.queue_limit_per_key, "retention": config.retention, "on_end": enqueue,
    }  # fmt: skip
    if config.jobs is None:
        return LeasedJobs(database, **given)
    from haneul.serve.cluster import ClusterJobs
    from haneul.serve.postgres import PostgresTables

    assert isinstance(database, PostgresTables)
    return ClusterJobs(database, **given)


def store_of(config: ServeConfig) -> Store:
    """A bucket where its URL is given, else a folder. Raises OutputError where it cannot be used."""
    where = config.store
    if where is not None and where.startswith("s3://"):
        _needs("obstore")
        from haneul.serve.bucket import BucketStore

        return BucketStore(where, config.data / "cache")
    try:
        return FolderStore(config.data / "store" if where is None else Path(where).expanduser().absolute())
    except OSError as error:
        raise OutputError(f"videos cannot be kept in {where!r}: {error.strerror or error}; see --store") from error
