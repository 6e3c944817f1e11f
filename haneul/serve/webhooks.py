"""Webhooks: who wants to know, and the deliveries, signed as the Standard Webhooks specification says.

A delivery is written in the transaction that ends a job, so each event is sent at least once; `webhook-id` is the
event's and stays the same, so a receiver can tell a repeated one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from haneul.errors import InputError
from haneul.serve.database import Row, Sql, Tables
from haneul.serve.fetch import Outside
from haneul.serve.jobs import Job

EVENTS = ("video.completed", "video.failed")
MOST = 20  #: endpoints of one key
#: Seconds before each further attempt: about three days in all.
BACK_OFF = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0, 24 * 3600.0)
_LEASE = 60.0  # for which a delivery is its sender's
_log = logging.getLogger("haneul.serve.webhooks")


def event(kind: str, video: str, now: float) -> dict[str, Any]:
    """What is sent."""
    return {
        "id": f"evt_{secrets.token_hex(16)}", "object": "event", "created_at": int(now), "type": kind,
        "data": {"id": video},
    }  # fmt: skip


def signed(secrets_in_force: list[str], identity: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a delivery: one signature for each secret that is in force, HMAC-SHA256 over id.time.body."""
    stamp = str(int(now))
    content = b".".join([identity.encode(), stamp.encode(), body])
    marks = []
    for secret in secrets_in_force:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        marks.append("v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode())
    return {
        "content-type": "application/json", "content-length": str(len(body)), "webhook-id": identity,
        "webhook-timestamp": stamp, "webhook-signature": " ".join(marks),
    }  # fmt: skip


def enqueue(sql: Sql, job: Job) -> None:
    """Called in the transaction that ends a job: a delivery for everybody who wants to know."""
    now, kind = time.time(), "video.completed" if job.status == "completed" else "video.failed"
    rows = sql.execute("SELECT id, events FROM webhooks WHERE owner = ?", (job.owner,)).fetchall()
    wanted = [row["id"] for row in rows if kind in row["events"].split()]
    if not wanted:
        return
    told = event(kind, job.id, now)
    sql.executemany(
        "INSERT INTO deliveries (webhook, event, body, next_at) VALUES (?, ?, ?, ?)",
        [(webhook, told["id"], json.dumps(told), now) for webhook in wanted],
    )


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


class Webhooks:
    """The tables of endpoints and deliveries."""

    def __init__(self, database: Tables) -> None:
        self.db = database

    def create(self, owner: str, name: str, url: str, events: list[str]) -> dict[str, Any]:
        secret, now = new_secret(), time.time()
        with self.db.write(durable=True) as sql:
            count = sql.execute("SELECT COUNT(*) FROM webhooks WHERE owner = ?", (owner,)).fetchone()[0]
            if count >= MOST:
                raise InputError(f"this key has {count} webhooks, as many as it may; delete one")
            row = sql.execute(
                "INSERT INTO webhooks (id, owner, name, url, events, secret, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
                (f"we_{secrets.token_hex(12)}", owner, name, url, " ".join(events), secret, now, now),
            ).fetchone()
        return shown(row) | {"signing_secret": secret}

    def get(self, owner: str, webhook: str) -> Row | None:
        row: Row | None = self.db.connection.execute(
            "SELECT * FROM webhooks WHERE owner = ? AND id = ?", (owner, webhook)
        ).fetchone()
        return row

    def page(self, owner: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
        first = self.get(owner, after) if after else None
        rows = self.db.connection.execute(
            "SELECT * FROM webhooks WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
            (owner, first["seq"] if first else 0, limit + 1),
        ).fetchall()
        return [shown(row) for row in rows[:limit]], len(rows) > limit

    def update(self, owner: str, webhook: str, changes: dict[str, Any]) -> dict[str, Any] | None:
        known = ("name", "url", "events", "secret", "old_secret", "old_until")
        columns = {name: changes[name] for name in known if name in changes}
        sets = ", ".join(f"{name} = ?" for name in [*columns, "updated_at"])
        with self.db.write(durable=True) as sql:
            row = sql.execute(
                f"UPDATE webhooks SET {sets} WHERE owner = ? AND id = ? RETURNING *",
                (*columns.values(), time.time(), owner, webhook),
            ).fetchone()
        return shown(row) if row else None

    def delete(self, owner: str, webhook: str) -> bool:
        with self.db.write(durable=True) as sql:
            return bool(sql.execute("DELETE FROM webhooks WHERE owner = ? AND id = ?", (owner, webhook)).rowcount)

    def due(self, limit: int) -> list[Row]:
        """Deliveries whose time has come, leased to the caller."""
        now = time.time()
        ready = "SELECT 1 FROM deliveries WHERE next_at <= ? LIMIT 1"
        if self.db.connection.execute(ready, (now,)).fetchone() is None:
            return []
        with self.db.write(alone="deliveries") as sql:
            rows = sql.execute(
                "SELECT d.*, w.url, w.secret, w.old_secret, w.old_until FROM deliveries d JOIN webhooks w"
                " ON w.id = d.webhook WHERE d.next_at <= ? ORDER BY d.next_at LIMIT ?",
                (now, limit),
            ).fetchall()
            sql.executemany(
                "UPDATE deliveries SET attempts = attempts + 1, next_at = ? WHERE seq = ?",
                [(now + _LEASE, row["seq"]) for row in rows],
            )
        return rows

    def done(self, seq: int) -> None:
        with self.db.write() as sql:
            sql.execute("DELETE FROM deliveries WHERE seq = ?", (seq,))

    def again(self, seq: int, attempts: int, error: str) -> bool:
        """When to try again; False: never, it is given up."""
        if attempts > len(BACK_OFF):
            self.done(seq)
            return False
        wait = BACK_OFF[attempts - 1] * (1 + secrets.randbelow(200) / 1000)  # not all of them at once
        with self.db.write() as sql:
            sql.execute(
                "UPDATE deliveries SET next_at = ?, last_error = ? WHERE seq = ?", (time.time() + wait, error, seq)
            )
        return True


def shown(row: Row) -> dict[str, Any]:
    """An endpoint as the API shows it."""
    return {
        "id": row["id"], "object": "webhook_endpoint", "created_at": int(row["created_at"]),
        "updated_at": int(row["updated_at"]), "event_types": row["events"].split(), "name": row["name"],
        "url": row["url"], "signing_secret_hint": f"whsec_...{row['secret'][-4:]}",
    }  # fmt: skip


def in_force(row: Row) -> list[str]:
    """An endpoint's secrets: the present one, and the one before while it may still be used."""
    old = row["old_secret"] if (row["old_until"] or 0) > time.time() else None
    return [row["secret"], *([old] if old else [])]


class Courier:
    """Sends what is due, from threads of its own."""

    def __init__(self, webhooks: Webhooks, outside: Outside) -> None:
        self.webhooks, self.outside = webhooks, outside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is on its way may arrive; the rest waits for the next start."""
        self._stop.set()
        self._thread.join(15)

    def _run(self) -> None:
        with ThreadPoolExecutor(8, "webhook") as pool:
            while not self._stop.wait(0.1):
                try:
                    list(pool.map(self.send, self.webhooks.due(32)))
                except self.webhooks.db.errors as error:
                    _log.error("deliveries wait: %s", error)
                    self._stop.wait(5)

    def send(self, row: Row) -> None:
        """One attempt."""
        body = str(row["body"]).encode()
        try:
            status = self.outside.post(row["url"], body, signed(in_force(row), row["event"], body, time.time()))
            problem = "" if 200 <= status < 300 else f"it answered {status}"
        except InputError as error:
            problem = str(error)
        if not problem:
            self.webhooks.done(row["seq"])
        elif not self.webhooks.again(row["seq"], row["attempts"] + 1, problem):
            _log.warning("gave up the delivery of %s to %s: %s", row["event"], row["webhook"], problem)
