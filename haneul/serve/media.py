"""Uploaded files, characters, and references to them: whatever a request names becomes a file of the job's own."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haneul.errors import InputError
from haneul.serve.config import ServeConfig
from haneul.serve.database import Row, Tables
from haneul.serve.decode import Found, Kind, inspect
from haneul.serve.fetch import Outside
from haneul.serve.store import Store

_DATA_URL = re.compile(r"data:([a-z0-9.+/-]*);base64,", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)@(\w[\w-]*)")
MOST_URL = 64 * 2**20  #: bytes of a reference that is fetched


@dataclass(frozen=True, kw_only=True)
class Given:
    """A file that a job was given: where it lies and what it holds."""

    key: str
    kind: Kind
    width: int
    height: int
    seconds: float
    source: str | None = None  #: the video of this service that it is a copy of

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


class Media:
    """The tables of files and characters, and the way in for everything that users send."""

    def __init__(self, config: ServeConfig, database: Tables, store: Store, outside: Outside) -> None:
        self.config, self.db, self.store, self.outside = config, database, store, outside
        config.staging.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """A path to write to, of which nothing remains unless it is taken away."""
        path = self.config.staging / secrets.token_hex(16)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def take(self, staged: Path, key: str, want: Kind | None) -> Given:
        """Checks a staged file and stores it; the key gets the right suffix."""
        found = inspect(staged, want=want)
        self.store.put(key + found.suffix, staged)
        return _given(key + found.suffix, found)

    def from_url(self, url: str, key: str, want: Kind | None) -> Given:
        """A reference by https: or data: URL. Raises InputError."""
        with self.staged() as path:
            if url[:5].lower() == "data:":
                path.write_bytes(data_of(url))
            else:
                self.outside.download(url, path, most=min(MOST_URL, self.config.max_body))
            return self.take(path, key, want)

    # --------------------------------------------------------------------------------------------------- files

    def add_file(
        self, owner: str, staged: Path, filename: str, purpose: str, *, kept_for: float | None = None
    ) -> dict[str, Any]:
        """Keeps an uploaded picture or video under an id, for so many seconds (None: as the service does)."""
        identity, size, now = f"file-{secrets.token_hex(12)}", staged.stat().st_size, time.time()
        until = now + (self.config.retention if kept_for is None else kept_for)
        given = self.take(staged, f"files/{identity}/content", None)
        with self.db.write(durable=True) as sql:
            row = sql.execute(
                "INSERT INTO files (id, owner, filename, purpose, content, bytes, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
                (identity, owner, filename, purpose, given.key, size, now, until),
            ).fetchone()
        return shown(row)

    def file(self, owner: str, identity: str) -> Row | None:
        row: Row | None = self.db.connection.execute(
            "SELECT * FROM files WHERE owner = ? AND id = ?", (owner, identity)
        ).fetchone()
        return row

    def page(
        self, owner: str, after: str | None, limit: int, ascending: bool, purpose: str | None
    ) -> tuple[list[dict[str, Any]], bool]:
        first = self.file(owner, after) if after else None
        if after and first is None:
            raise InputError(f"there is no file {after!r} to go on after")
        compare, order = (">", "ASC") if ascending else ("<", "DESC")
        seq = first["seq"] if first else 0 if ascending else 2**62
        rows = self.db.connection.execute(
            f"SELECT * FROM files WHERE owner = ? AND seq {compare} ? AND (CAST(? AS TEXT) IS NULL OR purpose = ?)"
            f" ORDER BY seq {order} LIMIT ?",
            (owner, seq, purpose, purpose, limit + 1),
        ).fetchall()
        return [shown(row) for row in rows[:limit]], len(rows) > limit

    def delete_file(self, owner: str, identity: str) -> bool:
        with self.db.write(durable=True) as sql:
            gone = sql.execute("DELETE FROM files WHERE owner = ? AND id = ?", (owner, identity)).rowcount
        if gone:
            self.store.delete(f"files/{identity}")
        return bool(gone)

    def expire_files(self) -> None:
        with self.db.write() as sql:
            rows = sql.execute("DELETE FROM files WHERE expires_at < ? RETURNING id", (time.time(),)).fetchall()
        for row in rows:
            self.store.delete(f"files/{row['id']}")

    # ---------------------------------------------------------------------------------------------- characters

    def add_character(self, owner: str, name: str, staged: Path) -> dict[str, Any]:
        """Keeps a short video under a name that prompts can mention as @name."""
        if not _MENTION.fullmatch(f"@{name.replace(' ', '-')}"):
            raise InputError(f"the name {name!r} cannot be mentioned; use letters, digits, spaces and hyphens")
        identity, now = f"char_{secrets.token_hex(12)}", time.time()
        given = self.take(staged, f"characters/{identity}/clip", "video")
        with self.db.write(durable=True) as sql:
            row = sql.execute(
                "INSERT INTO characters (id, owner, name, clip, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *",
                (identity, owner, name, given.key, now),
            ).fetchone()
        return character_json(row)

    def character(self, owner: str, identity: str) -> dict[str, Any] | None:
        row = self.db.connection.execute(
            "SELECT * FROM characters WHERE owner = ? AND id = ?", (owner, identity)
        ).fetchone()
        return character_json(row) if row else None

    def mentioned(self, owner: str, prompt: str) -> dict[str, str]:
        """The characters that a prompt mentions, mention -> id; the newest of a name. Raises InputError for none."""
        found: dict[str, str] = {}
        for mention in dict.fromkeys(_MENTION.findall(prompt)):
            row = self.db.connection.execute(
                "SELECT id FROM characters WHERE owner = ? AND LOWER(REPLACE(name, ' ', '-')) = LOWER(?)"
                " ORDER BY created_at DESC LIMIT 1",
                (owner, mention),
            ).fetchone()
            if row is None:
                raise InputError(f"there is no character named {mention!r}; create it first, or leave out the @")
            found[mention] = row["id"]
        return found


def data_of(url: str) -> bytes:
    """The bytes in a data URL. Raises InputError."""
    head = _DATA_URL.match(url[:200])
    if head is None:
        raise InputError("the data URL is not base64; write data:image/png;base64,...")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the data URL cannot be decoded: {error}") from error


def _given(key: str, found: Found) -> Given:
    return Given(key=key, kind=found.kind, width=found.width, height=found.height, seconds=found.seconds)


def shown(row: Row) -> dict[str, Any]:
    """A file as the API shows it."""
    return {
        "id": row["id"], "object": "file", "bytes": row["bytes"], "created_at": int(row["created_at"]),
        "expires_at": int(row["expires_at"]), "filename": row["filename"], "purpose": row["purpose"],
        "status": "processed",
    }  # fmt: skip


def character_json(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "object": "character", "name": row["name"], "created_at": int(row["created_at"])}
