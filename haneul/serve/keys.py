"""Keys to the service: hashed, scoped, rotated and revoked with `haneul keys`.

A key is hnl_<id>_<secret>. The secret has 256 random bits, so a plain SHA-256 of it keeps it as safe as a slow hash
would; what is stored cannot be used to call the service.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass, field

from haneul.errors import InputError
from haneul.serve.database import Row, Tables
from haneul.serve.jobs import Limits

PREFIX = "hnl_"
RETENTION = 60, 10**9  #: seconds for which a key's videos may be kept
#: What a key may do: look, make and delete, look after the service (metrics, priorities).
SCOPES = ("read", "write", "admin")


@dataclass(frozen=True, kw_only=True)
class Key:
    """Who calls. `id` owns the videos."""

    id: str
    name: str
    scopes: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    created_at: float = 0.0
    revoked_at: float | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes


#: Who calls from this machine where no key is asked for.
LOCAL = Key(id="local", name="this machine", scopes=SCOPES)


class Keys:
    """The table of keys."""

    def __init__(self, database: Tables) -> None:
        self.db = database

    def create(self, name: str, scopes: tuple[str, ...] = ("read", "write"), limits: Limits | None = None) -> str:
        """A new key; this is the only time that it can be seen."""
        _check(name, scopes, limits or Limits())
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self.db.write(durable=True) as sql:
            sql.execute(
                "INSERT INTO keys (id, name, scopes, digest, created_at, limits) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    identity, name.strip(), " ".join(scopes), _digest(secret), time.time(),
                    json.dumps(asdict(limits or Limits())),
                ),
            )  # fmt: skip
        return f"{PREFIX}{identity}_{secret}"

    def all(self) -> list[Key]:
        return [_key(row) for row in self.db.connection.execute("SELECT * FROM keys ORDER BY created_at")]

    def any_active(self) -> bool:
        return self.db.connection.execute("SELECT 1 FROM keys WHERE revoked_at IS NULL LIMIT 1").fetchone() is not None

    def get(self, identity: str) -> Key | None:
        row = self.db.connection.execute("SELECT * FROM keys WHERE id = ?", (identity,)).fetchone()
        return _key(row) if row else None

    def change(self, identity: str, *, name: str, scopes: tuple[str, ...], limits: Limits) -> None:
        """Another name, other scopes and limits for a key, from its next request on. Raises InputError as `create` and
        where there is no such key."""
        _check(name, scopes, limits)
        self._change(
            identity, "name = ?, scopes = ?, limits = ?", name.strip(), " ".join(scopes), json.dumps(asdict(limits))
        )

    def revoke(self, identity: str) -> None:
        """From now on the key opens nothing. Raises InputError if there is none."""
        self._change(identity, "revoked_at = ?", time.time())

    def rotate(self, identity: str, *, keep: float = 0.0) -> str:
        """A new secret for the same key; the old one opens for `keep` more seconds."""
        secret = secrets.token_urlsafe(32)
        self._change(
            identity, "old_digest = digest, old_until = ?, digest = ?", time.time() + keep, _digest(secret)
        )  # fmt: skip
        return f"{PREFIX}{identity}_{secret}"

    def _change(self, identity: str, changes: str, *values: object) -> None:
        with self.db.write(durable=True) as sql:
            done = sql.execute(
                f"UPDATE keys SET {changes} WHERE id = ? AND revoked_at IS NULL", (*values, identity)
            ).rowcount
        if not done:
            raise InputError(f"there is no key {identity!r} that opens anything; see haneul keys list")

    def check(self, presented: str) -> Key | None:
        """Whose key this is, if it opens anything."""
        identity, _, secret = presented.removeprefix(PREFIX).partition("_")
        if not presented.startswith(PREFIX) or not secret:
            return None
        row = self.db.connection.execute("SELECT * FROM keys WHERE id = ?", (identity,)).fetchone()
        if row is None or row["revoked_at"] is not None:
            return None
        digest = _digest(secret)
        old = row["old_digest"] if (row["old_until"] or 0) > time.time() else None
        fits = hmac.compare_digest(digest, row["digest"]) | (old is not None and hmac.compare_digest(digest, old))
        return _key(row) if fits else None


def _check(name: str, scopes: tuple[str, ...], limits: Limits) -> None:
    """Raises InputError for what no key can have."""
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise InputError(f"the name {name[:80]!r} cannot be used; give one of 1 to 80 letters")
    if unknown := set(scopes) - set(SCOPES):
        raise InputError(f"unknown scope {sorted(unknown)[0]!r}; known are {', '.join(SCOPES)}")
    if not scopes:
        raise InputError(f"a key needs a scope; known are {', '.join(SCOPES)}")
    shortest, longest = RETENTION
    if limits.retention is not None and not shortest <= limits.retention <= longest:
        raise InputError(f"a retention of {limits.retention:g} s cannot be kept; give {shortest} s to {longest:,} s")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Row) -> Key:
    return Key(
        id=row["id"], name=row["name"], scopes=tuple(row["scopes"].split()), created_at=row["created_at"],
        limits=Limits(**json.loads(row["limits"])), revoked_at=row["revoked_at"],
    )  # fmt: skip
