"""Tables: what any database must do, and the one of one machine, a SQLite file. postgres.py has the one of many.

SQL is written once, for both: values stand as `?`, and only what both understand is used.

Of the file, every thread has its own connection. WAL lets readers go on while one writes; writers take turns by BEGIN
IMMEDIATE, so no transaction fails half-way because another began to write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from haneul.errors import OutputError
from haneul.serve.migrations import MIGRATIONS

_BUSY = 30.0  # seconds that a writer waits for its turn


class Row(Protocol):
    """One row: its values by name or by place."""

    def __getitem__(self, key: Any, /) -> Any: ...


class Answer(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Sql(Protocol):
    """Where statements go."""

    def execute(self, query: str, values: Sequence[Any] = ..., /) -> Answer: ...

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> Any: ...


class Tables(Protocol):
    """A database that every thread and process may use at once."""

    #: What its statements raise, and those of them that may pass: it is out of reach, locked, or full.
    errors: tuple[type[Exception], ...]
    away: tuple[type[Exception], ...]

    @property
    def connection(self) -> Sql:
        """For statements that only read, each by itself."""
        ...

    def write(self, *, durable: bool = False, alone: str = "") -> AbstractContextManager[Sql]:
        """One transaction that writes; nothing of it remains after an exception. With `durable` it survives a power
        cut when this returns. Of those with the same word in `alone`, one goes on at a time."""
        ...

    def close(self) -> None:
        """The calling thread needs it no more."""
        ...


class Database:
    """A file of tables, opened anew by each thread that uses it; `close` closes the calling thread's."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    away: tuple[type[Exception], ...] = (sqlite3.OperationalError,)

    def __init__(self, path: Path, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
        self.path = path
        self._threads = threading.local()
        # Threads of one process take turns here, in order: SQLite itself lets waiting writers try again at random.
        self._turn = threading.Lock()
        self._syncing = threading.Lock()
        self._committed = self._synced = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():  # else it must not be opened but by SQLite: closing it would give up SQLite's locks
                path.touch(mode=0o600)  # it holds webhooks' secrets
            migrate(self.connection, migrations=migrations)
        except (OSError, sqlite3.DatabaseError) as error:
            raise OutputError(f"the database {path} cannot be used: {error}") from error

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's."""
        found: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if found is None or getattr(self._threads, "process", None) != os.getpid():
            found = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode = WAL")
            found.execute(
                "PRAGMA synchronous = NORMAL"
            )  # survives kill -9; `write` syncs what must survive a power cut
            found.execute("PRAGMA foreign_keys = ON")
            self._threads.connection, self._threads.process = found, os.getpid()
        return found

    @contextmanager
    def write(self, *, durable: bool = False, alone: str = "") -> Iterator[sqlite3.Connection]:
        """See `Tables.write`: here one writes at a time anyway. What is not durable survives the end of any process."""
        connection = self.connection
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            self._committed += 1
            mine = self._committed
        if durable:
            self._sync(mine)

    def _sync(self, mine: int) -> None:
        """Waits until commit number `mine` is on the disk. Threads that wait at the same time share one sync: a commit
        has been written to the log file when it got its number, and what left that file for the table was synced."""
        with self._syncing:
            if self._synced >= mine:
                return
            upto = self._committed
            try:
                log = os.open(f"{self.path}-wal", os.O_RDWR)
            except FileNotFoundError:
                return  # it was moved into the table, with a sync
            try:
                os.fsync(log)
            finally:
                os.close(log)
            self._synced = upto

    def close(self) -> None:
        found: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if found is not None:
            found.close()
            self._threads.connection = None


def migrate(
    connection: sqlite3.Connection, upto: int | None = None, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS
) -> int:  # fmt: skip
    """Brings the tables to the newest version, or to version `upto`; returns the version that was found.

    Raises OutputError if a newer Haneul wrote the file.
    """
    newest = len(migrations)
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > newest:
            raise OutputError(
                f"the database has version {found}, and this Haneul knows {newest}: a newer one wrote it; use that"
            )
        for number in range(found + 1, (newest if upto is None else upto) + 1):
            for statement in migrations[number - 1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return found
