"""The registry: the credentials of everything that was made here, by the number in its watermark.

One SQLite file in the data folder. A record holds the signed manifest itself, byte for byte, so what a lookup gives can
be checked like the credentials in a file, and served to others as it is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.config import Settings
from haneul.errors import CredentialError, OutputError

_WAIT = 30.0  #: seconds for which a writer waits for another
_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER NOT NULL, key TEXT NOT NULL, made TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL, manifest BLOB NOT NULL, parts TEXT NOT NULL,
    PRIMARY KEY (number, sha256)
) STRICT;
CREATE TABLE IF NOT EXISTS parts (
    part INTEGER NOT NULL, whole INTEGER NOT NULL, PRIMARY KEY (part, whole)
) STRICT, WITHOUT ROWID;
"""
_COLUMNS = "number, key, made, title, sha256, media_type, manifest, parts"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is kept of one file. `parts` are the numbers of marked files that it was put together from."""

    number: int
    key: str  #: fingerprint of the watermark key
    title: str
    sha256: str  #: of the signed file
    media_type: str
    manifest: bytes
    parts: tuple[int, ...] = ()
    made: str = ""

    @property
    def id(self) -> str:
        """The number as the credentials write it."""
        return id_of(self.number)


def id_of(number: int) -> str:
    """A watermark's number as 12 hexadecimal digits."""
    return f"{number:012x}"


def number_of(text: str) -> int | None:
    """The number behind such digits; None where they are none."""
    try:
        return int(text, 16) if len(text) == 12 else None
    except ValueError:
        return None


def registry_path(settings: Settings) -> Path:
    return settings.data / "registry.sqlite"


class Registry:
    """Opens the file anew for each call, so it may be used from several threads and processes at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Makes the file if there is none, and finds out whether something can be kept in it: before any compute is
        spent.

        Raises OutputError where it can't be written, CredentialError where it is damaged.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the registry {self.path} cannot be made: {error.strerror or error}") from error
        with self._open(write=True) as base:
            base.executescript(_TABLES)
            base.execute("BEGIN IMMEDIATE")  # is refused here if the file or its folder is read-only
            base.execute("INSERT INTO parts VALUES (-1, -1)")
            base.execute("ROLLBACK")

    def keep(self, record: Record) -> None:
        """Adds a record; the same request made again has the same number, and each of its files a record. Raises as
        `check`."""
        made = record.made or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        row = (
            record.number, record.key, made, record.title, record.sha256, record.media_type, record.manifest,
            json.dumps(record.parts),
        )  # fmt: skip
        with self._open(write=True) as base, base:
            base.execute("BEGIN IMMEDIATE")
            base.execute(f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            base.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", [(p, record.number) for p in record.parts])

    def find(self, number: int) -> Record | None:
        """The latest record of a number, None if there is none. Raises as `check` where the registry can't be read."""
        found = self._records("WHERE number = ? ORDER BY made DESC, rowid DESC", number)
        return found[0] if found else None

    def wholes(self, number: int) -> list[Record]:
        """The records of what was put together from the file of this number, such as films."""
        return self._records("WHERE number IN (SELECT whole FROM parts WHERE part = ?) ORDER BY made", number)

    def numbers(self, key: str) -> NDArray[np.int64]:
        """All numbers that a key marked."""
        if not self.path.exists():
            return np.zeros(0, np.int64)
        with self._open() as base:
            rows = base.execute("SELECT DISTINCT number FROM records WHERE key = ?", (key,)).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def strangers(self, key: str | None) -> int:
        """How many records were marked with other keys than this one: without those, they can't be found."""
        if not self.path.exists():
            return 0
        with self._open() as base:
            return int(base.execute("SELECT count(*) FROM records WHERE key IS NOT ?", (key,)).fetchone()[0])

    def _records(self, where: str, *values: int) -> list[Record]:
        if not self.path.exists():
            return []
        with self._open() as base:
            rows = base.execute(f"SELECT {_COLUMNS} FROM records {where}", values).fetchall()
        names = [name.strip() for name in _COLUMNS.split(",")]
        tables = [dict(zip(names, row, strict=True)) for row in rows]
        return [Record(**(table | {"parts": tuple(json.loads(table["parts"]))})) for table in tables]

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection; what SQLite refuses becomes an error that says what to do."""
        base: sqlite3.Connection | None = None
        try:
            mode = "rwc" if write else "ro"
            base = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_WAIT)
            base.isolation_level = None
            if write:
                base.execute("PRAGMA journal_mode = WAL")
                base.execute("PRAGMA synchronous = FULL")
            yield base
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise OutputError(
                    f"the registry {self.path} cannot be used ({error}); make it and its folder readable and writable, "
                    "and free some space"
                ) from error
            raise CredentialError(
                f"the registry {self.path} is damaged ({error}); restore a copy, or move it away and register signed "
                "files anew (haneul registry add FILE ...)"
            ) from error
        finally:
            if base is not None:
                base.close()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
