"""The tables of many machines: a schema in PostgreSQL, with the same rows as the file of one (database.py).

Connections come from a pool. Transactions are READ COMMITTED; what must not happen twice at once takes a lock that ends
with its transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata, resources
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from haneul.errors import OutputError
from haneul.serve.migrations import MIGRATIONS

SCHEMA = "haneul"
SEARCH = f"-c search_path={SCHEMA}"  #: option of every connection, procrastinate's too
_MOST = 16  # connections of one process
_WAIT = 10.0  # seconds for one of them
_FILE = re.compile(r"(\d+)\.(\d+)\.(\d+)_.*\.sql")
#: What SQLite says otherwise. Its integers are as large as PostgreSQL's BIGINT.
_DIALECT = (
    (re.compile(r"\bINTEGER PRIMARY KEY AUTOINCREMENT\b"), "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\) WITHOUT ROWID$"), ")"),
)


class NamedRow:
    """A row whose values are found by name and by place, as those of SQLite are."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: dict[str, int], values: Sequence[Any]) -> None:
        self._names, self._values = names, values

    def __getitem__(self, key: str | int) -> Any:
        return self._values[key if isinstance(key, int) else self._names[key]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _named(cursor: psycopg.Cursor[Any]) -> Any:
    names = {column.name: place for place, column in enumerate(cursor.description or ())}
    return lambda values: NamedRow(names, values)


class Whole:
    """An answer that is here already: its connection may be another's by now."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.rowcount = cursor.rowcount
        self._rows = iter(cursor.fetchall() if cursor.description else ())

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class Transaction:
    """Statements of one transaction. `raw` is the connection itself."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Whole:
        return Whole(self.raw.execute(_marked(query), values))

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self.raw.cursor() as cursor:
            cursor.executemany(_marked(query), rows)


class Reads:
    """Statements that each take a connection for themselves."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]]) -> None:
        self._pool = pool

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Whole:
        with self._pool.connection() as raw:
            return Transaction(raw).execute(query, values)

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._pool.connection() as raw:
            Transaction(raw).executemany(query, rows)


def _marked(query: str) -> Any:
    """No statement of ours has a question mark or a percent sign that is not a value's place."""
    return query.replace("?", "%s")


class PostgresTables:
    """The tables at a URL such as postgresql://user@host/name; a password is better left to ~/.pgpass, since other
    users of the machine can see command lines. Raises OutputError where they cannot be used."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    away: tuple[type[Exception], ...] = (psycopg.OperationalError,)

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=10, options=SEARCH) as raw:
                migrate(raw)
        except psycopg.Error as error:
            message = " ".join(str(error).split())
            raise OutputError(f"the database of the jobs cannot be used: {message}; see --jobs") from error
        self.pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            url, kwargs={"autocommit": True, "row_factory": _named, "options": SEARCH}, min_size=1, max_size=_MOST,
            timeout=_WAIT, open=True, check=_check, name="haneul",
        )  # fmt: skip
        self._reads = Reads(self.pool)

    @property
    def connection(self) -> Reads:
        return self._reads

    @contextmanager
    def write(self, *, durable: bool = False, alone: str = "") -> Iterator[Transaction]:
        """See `Tables.write`. What is not durable survives the end of any process but the database's own."""
        with self.pool.connection() as raw, raw.transaction():
            if not durable:
                raw.execute("SET LOCAL synchronous_commit TO off")
            if alone:
                raw.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"{SCHEMA}.{alone}",))
            yield Transaction(raw)

    def close(self) -> None:
        """Nothing: connections go back to the pool after each statement."""

    def shut(self) -> None:
        """Closes all connections of this process."""
        self.pool.close()


def _check(raw: psycopg.Connection[Any]) -> None:
    """Connections that a restart of the database has cut are not given out."""
    if raw.info.transaction_status != TransactionStatus.IDLE:
        raise psycopg.OperationalError("not idle")
    ConnectionPool.check_connection(raw)


def migrate(raw: psycopg.Connection[Any], upto: int | None = None) -> int:
    """Brings our tables to the newest version, or to version `upto`, and procrastinate's to the installed one; returns
    our version that was found. Raises OutputError if a newer Haneul wrote them."""
    newest = len(MIGRATIONS)
    with raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"{SCHEMA}.migrate",))
        raw.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        raw.execute("CREATE TABLE IF NOT EXISTS versions (what TEXT PRIMARY KEY, version TEXT NOT NULL)")
        versions: dict[str, str] = dict(raw.execute("SELECT what, version FROM versions").fetchall())
        found = int(versions.get("haneul", "0"))
        if found > newest:
            raise OutputError(
                f"the database has version {found}, and this Haneul knows {newest}: a newer one wrote it; use that"
            )
        for step in MIGRATIONS[found : newest if upto is None else upto]:
            for statement in step:
                raw.execute(in_dialect(statement))
        _set(raw, "haneul", str(max(found, newest if upto is None else upto)))
        for script in queue_scripts(versions.get("procrastinate")):
            raw.execute(script)
        _set(raw, "procrastinate", metadata.version("procrastinate"))
    return found


def _set(raw: psycopg.Connection[Any], what: str, version: str) -> None:
    raw.execute(
        "INSERT INTO versions VALUES (%s, %s) ON CONFLICT (what) DO UPDATE SET version = excluded.version",
        (what, version),
    )


def in_dialect(statement: str) -> Any:
    """A statement that makes tables in SQLite, for PostgreSQL."""
    for pattern, words in _DIALECT:
        statement = pattern.sub(words, statement)
    return statement


def queue_scripts(version: str | None) -> list[Any]:
    """What brings procrastinate's tables from those of a version (None: there are none) to the installed one's."""
    if version is None:
        return [SchemaManager.get_schema()]
    before = tuple(int(part) for part in version.split(".")[:3])
    folder = resources.files("procrastinate.sql.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if _FILE.fullmatch(entry.name))
    later = [name for name in names if tuple(int(part) for part in name.split("_")[0].split(".")) > before]
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in later]
