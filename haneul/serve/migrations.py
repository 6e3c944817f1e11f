"""The tables, as numbered steps that only ever get longer: a file of any earlier version is brought to the newest."""

from __future__ import annotations

_JOBS = (
    """CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they were accepted
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,  -- the key that asked for it
        mode TEXT NOT NULL,
        request TEXT NOT NULL,  -- JSON
        priority INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed', 'deleted')),
        stage TEXT NOT NULL DEFAULT '',
        progress INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,  -- of video that was asked for
        worker TEXT,
        lease TEXT,  -- the token of whoever works on it
        lease_until REAL,
        created_at REAL NOT NULL,
        started_at REAL,
        completed_at REAL,
        expires_at REAL,
        result TEXT,  -- JSON
        error_code TEXT,
        error_message TEXT,
        bytes INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX jobs_waiting ON jobs (status, priority, owner, seq)",
    "CREATE INDEX jobs_of_owner ON jobs (owner, status, seq)",
    "CREATE INDEX jobs_leases ON jobs (lease_until) WHERE status = 'in_progress'",
    "CREATE TABLE turns (owner TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE idempotency (
        owner TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job TEXT NOT NULL, created_at REAL NOT NULL,
        PRIMARY KEY (owner, key)) WITHOUT ROWID""",
    """CREATE TABLE workers (
        name TEXT PRIMARY KEY, started_at REAL NOT NULL, seen_at REAL NOT NULL, able TEXT NOT NULL) WITHOUT ROWID""",
)
_KEYS = (
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, digest TEXT NOT NULL, old_digest TEXT,
        old_until REAL, created_at REAL NOT NULL, revoked_at REAL, limits TEXT NOT NULL DEFAULT '{}') WITHOUT ROWID""",
)
_MEDIA = (
    """CREATE TABLE files (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, filename TEXT NOT NULL,
        purpose TEXT NOT NULL, content TEXT NOT NULL, bytes INTEGER NOT NULL, created_at REAL NOT NULL,
        expires_at REAL)""",
    "CREATE INDEX files_of_owner ON files (owner, seq)",
    """CREATE TABLE characters (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, clip TEXT NOT NULL,
        look TEXT, created_at REAL NOT NULL)""",
    "CREATE INDEX characters_of_owner ON characters (owner, name)",
)
_WEBHOOKS = (
    """CREATE TABLE webhooks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, name TEXT NOT NULL,
        url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, old_secret TEXT, old_until REAL,
        created_at REAL NOT NULL, updated_at REAL NOT NULL)""",
    """CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        event TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
        last_error TEXT)""",
    "CREATE INDEX deliveries_due ON deliveries (next_at)",
)

_GLIMPSES = (
    """CREATE TABLE glimpses (  -- what is becoming of the jobs that run, the newest of each
        job TEXT PRIMARY KEY, step INTEGER NOT NULL, steps INTEGER NOT NULL, picture BLOB NOT NULL,  -- WebP
        at REAL NOT NULL) WITHOUT ROWID""",
)

_PAUSES = (
    """CREATE TABLE pauses (  -- keys whose jobs wait until they go on; '' stands for everybody's
        owner TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID""",
)

_KEPT = ("ALTER TABLE jobs ADD COLUMN kept_for REAL",)  # seconds for which a finished video is; NULL: the service's own

#: Never change one that was released; add another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_JOBS, _KEYS, _MEDIA, _WEBHOOKS, _GLIMPSES, _PAUSES, _KEPT)
