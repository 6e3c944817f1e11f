"""The leased table of jobs: by itself the engine of one machine, and the rows of the engine of many (cluster.py).

See jobs.py for what each call promises. The SQL is what SQLite and PostgreSQL both read (database.py).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from haneul.serve.database import Row, Sql, Tables
from haneul.serve.jobs import EVERYBODY, Counts, Job, KeyReused, Look, NewJob, OnEnd, QueueFull, Used

DAY = 86400.0
_IDLE = 0.02  # seconds between looks for a job: a look costs some 30 microseconds
_KEPT = 30 * DAY  #: how long the row of an expired video stays
_BACK = "status = 'queued', stage = '', progress = 0, lease = NULL, worker = NULL"
#: A job whose key, or everybody, is paused; `j` is its table.
_HELD = "EXISTS (SELECT 1 FROM pauses p WHERE p.owner = j.owner OR p.owner = '')"
_MINE = "id = ? AND lease = ? AND status = 'in_progress'"


class LeasedJobs:
    """`lease` seconds of silence end a claim; `max_attempts` dead workers end a job."""

    quick = True

    def __init__(
        self, database: Tables, *, lease: float = 30.0, max_attempts: int = 3, queue_limit: int = 1000,
        queue_limit_per_key: int = 500, retention: float = 7 * DAY, on_end: OnEnd | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.db, self.away = database, database.away
        self.lease, self.max_attempts = lease, max_attempts
        self.queue_limit, self.queue_limit_per_key = queue_limit, queue_limit_per_key
        self.retention, self.on_end, self.clock = retention, on_end, clock

    # ------------------------------------------------------------------------------------------- those who ask

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        now = self.clock()
        with self.db.write(durable=True, alone="admission") as sql:
            if new.idempotency_key is not None:
                before = sql.execute(
                    "SELECT i.digest, j.* FROM idempotency i JOIN jobs j ON j.id = i.job"
                    " WHERE i.owner = ? AND i.key = ? AND j.status != 'deleted'",
                    (new.owner, new.idempotency_key),
                ).fetchone()
                if before is not None:
                    if before["digest"] != new.digest:
                        raise KeyReused(
                            "this Idempotency-Key came with another request before; use a new key for a new request",
                            code="idempotency_key_reused",
                        )
                    return _job(before), False
            self._check_room(sql, new, now)
            row = sql.execute(
                "INSERT INTO jobs (id, owner, mode, request, priority, seconds, status, created_at, kept_for)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?) RETURNING *",
                (
                    new.id, new.owner, new.mode, json.dumps(new.request), new.priority, new.seconds, now,
                    new.limits.retention,
                ),
            ).fetchone()  # fmt: skip
            if new.idempotency_key is not None:
                sql.execute(
                    "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner, key) DO UPDATE SET"
                    " digest = excluded.digest, job = excluded.job, created_at = excluded.created_at",
                    (new.owner, new.idempotency_key, new.digest, new.id, now),
                )
            self._waits(sql, 1)
            return _job(row), True

    def _waits(self, sql: Sql, count: int) -> None:
        """Called in the transaction that puts jobs into the queue, or back."""

    def _check_room(self, sql: Sql, new: NewJob, now: float) -> None:
        """Raises QueueFull, with a guess of when there will be room."""

        def one(query: str, *values: object) -> float:
            return float(sql.execute(query, values).fetchone()[0] or 0)

        waiting = one("SELECT COUNT(*) FROM jobs WHERE status = 'queued'")
        if waiting >= self.queue_limit:
            raise QueueFull(
                f"{waiting:.0f} jobs wait already, as many as this service takes; try again later",
                code="queue_full", retry_after=self._wait(sql, now),
            )  # fmt: skip
        mine = one("SELECT COUNT(*) FROM jobs WHERE owner = ? AND status = 'queued'", new.owner)
        most = self.queue_limit_per_key if new.limits.waiting is None else new.limits.waiting
        if mine >= most:
            raise QueueFull(
                f"{mine:.0f} jobs of this key wait already, as many as it may have; try again later",
                code="queue_full", retry_after=self._wait(sql, now),
            )  # fmt: skip
        since = "SELECT {} FROM jobs WHERE owner = ? AND created_at > ?"
        asked = new.limits.requests_per_minute
        if asked is not None and one(since.format("COUNT(*)"), new.owner, now - 60) >= asked:
            raise QueueFull(
                f"this key may ask for {asked} videos a minute; try again later",
                code="rate_limit_exceeded", retry_after=10,
            )  # fmt: skip
        per_day = new.limits.seconds_per_day
        if per_day is not None and one(since.format("SUM(seconds)"), new.owner, now - DAY) + new.seconds > per_day:
            raise QueueFull(
                f"this key may ask for {per_day:g} s of video a day, which this would exceed; try again tomorrow",
                code="insufficient_quota", retry_after=3600,
            )  # fmt: skip
        storage = new.limits.storage
        if storage is not None and one("SELECT SUM(bytes) FROM jobs WHERE owner = ?", new.owner) >= storage:
            raise QueueFull(
                f"the videos of this key fill the {storage / 2**20:.0f} MiB that it may keep; delete some",
                code="insufficient_quota",
            )

    def used(self, owner: str) -> Used:
        sql, now = self.db.connection, self.clock()

        def one(what: str, where: str, *values: object) -> float:
            query = f"SELECT {what} FROM jobs WHERE owner = ? AND {where}"
            return float(sql.execute(query, (owner, *values)).fetchone()[0] or 0)

        return Used(
            waiting=int(one("COUNT(*)", "status = 'queued'")),
            requests_per_minute=int(one("COUNT(*)", "created_at > ?", now - 60)),
            seconds_per_day=one("SUM(seconds)", "created_at > ?", now - DAY), storage=int(one("SUM(bytes)", "seq > 0")),
        )  # fmt: skip

    def _wait(self, sql: Sql, now: float) -> int:
        """Seconds until about a twentieth of the queue is done."""
        counts = self._counts(sql, now)
        return int(min(600, max(1, (counts.typical or 5.0) * counts.queued / 20 / max(1, counts.workers))))

    def get(self, job: str, owner: str) -> Job | None:
        row = self.db.connection.execute(
            "SELECT * FROM jobs WHERE id = ? AND owner = ? AND status != 'deleted'", (job, owner)
        ).fetchone()
        return _job(row) if row else None

    def page(self, owner: str, *, after: str | None, limit: int, ascending: bool) -> tuple[list[Job], bool] | None:
        sql = self.db.connection
        seq = 0 if ascending else 2**62
        if after is not None:
            row = sql.execute("SELECT seq FROM jobs WHERE id = ? AND owner = ?", (after, owner)).fetchone()
            if row is None:
                return None
            seq = row["seq"]
        compare, order = (">", "ASC") if ascending else ("<", "DESC")
        rows = sql.execute(
            f"SELECT * FROM jobs WHERE owner = ? AND status != 'deleted' AND seq {compare} ?"
            f" ORDER BY seq {order} LIMIT ?",
            (owner, seq, limit + 1),
        ).fetchall()
        return [_job(row) for row in rows[:limit]], len(rows) > limit

    def cancel(self, job: str, owner: str) -> Job | None:
        with self.db.write() as sql:
            sql.execute(
                "UPDATE jobs SET status = 'failed', error_code = 'cancelled', error_message = ?, completed_at = ?,"
                " lease = NULL WHERE id = ? AND owner = ? AND status IN ('queued', 'in_progress')",
                ("the video was cancelled before it was finished", self.clock(), job, owner),
            )
        return self.get(job, owner)

    def delete(self, job: str, owner: str) -> bool:
        """The row stays for a day as a mark for those who are leafing through the list just now, without content."""
        with self.db.write() as sql:
            return bool(
                sql.execute(
                    "UPDATE jobs SET status = 'deleted', lease = NULL, request = '{}', result = NULL, bytes = 0,"
                    " error_message = NULL, completed_at = ? WHERE id = ? AND owner = ? AND status != 'deleted'",
                    (self.clock(), job, owner),
                ).rowcount
            )

    def ahead(self, job: Job) -> int:
        row = self.db.connection.execute(
            "SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND (priority > ? OR (priority = ? AND seq < ?))",
            (job.priority, job.priority, job.seq),
        ).fetchone()
        return int(row[0])

    def counts(self) -> Counts:
        return self._counts(self.db.connection, self.clock())

    def pause(self, owner: str) -> int:
        with self.db.write(durable=True, alone="turns") as sql:
            sql.execute("INSERT INTO pauses VALUES (?, ?) ON CONFLICT (owner) DO NOTHING", (owner, self.clock()))
            # As `release`, by somebody else: the worker finds at its next step that the job is not its own any more.
            whose, values = ("", ()) if owner == EVERYBODY else (" AND owner = ?", (owner,))
            return sql.execute(
                f"UPDATE jobs SET {_BACK}, attempts = attempts - 1 WHERE status = 'in_progress'{whose}", values
            ).rowcount

    def resume(self, owner: str) -> None:
        with self.db.write(durable=True, alone="turns") as sql:
            if sql.execute("DELETE FROM pauses WHERE owner = ?", (owner,)).rowcount:
                self._waits(sql, self._claimable(sql))

    def paused(self, owner: str) -> bool:
        return self.db.connection.execute("SELECT 1 FROM pauses WHERE owner = ?", (owner,)).fetchone() is not None

    def _claimable(self, sql: Sql) -> int:
        """How many jobs wait for a worker, and not for the end of a pause."""
        return int(sql.execute(f"SELECT COUNT(*) FROM jobs j WHERE status = 'queued' AND NOT {_HELD}").fetchone()[0])

    def look(self, job: str, *, since: float) -> Look | None:
        row = self.db.connection.execute(
            "SELECT picture, step, steps, at FROM glimpses WHERE job = ? AND at > ?", (job, since)
        ).fetchone()
        return Look(picture=row["picture"], step=row["step"], steps=row["steps"], at=row["at"]) if row else None

    def _counts(self, sql: Sql, now: float) -> Counts:
        by = dict(
            sql.execute(
                "SELECT status, COUNT(*) FROM jobs WHERE status IN ('queued', 'in_progress') GROUP BY status"
            ).fetchall()
        )
        workers = sql.execute("SELECT COUNT(*) FROM workers WHERE seen_at > ?", (now - self.lease,)).fetchone()[0]
        typical = sql.execute(
            "SELECT AVG(took) FROM (SELECT completed_at - started_at AS took FROM jobs WHERE status = 'completed'"
            " ORDER BY seq DESC LIMIT 20) AS lately"
        ).fetchone()[0]
        return Counts(queued=by.get("queued", 0), running=by.get("in_progress", 0), workers=workers, typical=typical)

    # ------------------------------------------------------------------------------------------------- workers

    def hello(self, worker: str, able: dict[str, Any]) -> None:
        now = self.clock()
        with self.db.write() as sql:
            sql.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
                (worker, now, now, json.dumps(able)),
            )

    def able(self) -> dict[str, Any] | None:
        row = self.db.connection.execute("SELECT able FROM workers ORDER BY seen_at DESC LIMIT 1").fetchone()
        found: dict[str, Any] | None = json.loads(row[0]) if row else None
        return found

    def claim(self, worker: str) -> Job | None:
        now = self.clock()
        ready = (
            f"SELECT 1 FROM jobs j WHERE (status = 'queued' AND NOT {_HELD})"
            " OR (status = 'in_progress' AND lease_until < ?) LIMIT 1"
        )
        if self.db.connection.execute(ready, (now,)).fetchone() is None:
            return None  # without taking the turn of somebody who has something to write
        with self.db.write(alone="turns") as sql:
            self._take_back(sql, "lease_until < ?", now)
            # The highest priority first; within it, the key whose last turn is longest ago; of that, the oldest job.
            row = sql.execute(
                "SELECT j.owner, MIN(j.seq) AS first FROM jobs j LEFT JOIN turns t ON t.owner = j.owner"
                f" WHERE j.status = 'queued' AND NOT {_HELD} AND j.priority ="
                f" (SELECT MAX(j.priority) FROM jobs j WHERE j.status = 'queued' AND NOT {_HELD})"
                " GROUP BY j.owner, t.last ORDER BY COALESCE(t.last, 0), first LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            claimed = sql.execute(
                "UPDATE jobs SET status = 'in_progress', worker = ?, lease = ?, lease_until = ?, progress = 0,"
                " stage = 'starting', attempts = attempts + 1, started_at = ? WHERE seq = ? RETURNING *",
                (worker, secrets.token_hex(8), now + self.lease, now, row["first"]),
            ).fetchone()
            sql.execute(
                "INSERT INTO turns VALUES (?, (SELECT COALESCE(MAX(last), 0) + 1 FROM turns))"
                " ON CONFLICT (owner) DO UPDATE SET last = excluded.last",
                (row["owner"],),
            )
            return _job(claimed)

    def attend(self, serve: Callable[[], bool], over: Callable[[], bool]) -> None:
        while not over():
            if not serve():
                time.sleep(_IDLE)

    def renew(self, job: Job) -> bool:
        return self._update(job, "lease_until = ?", self.clock() + self.lease)

    def report(self, job: Job, progress: int, stage: str) -> bool:
        return self._update(
            job, "progress = CASE WHEN progress < ? THEN ? ELSE progress END, stage = ?, lease_until = ?",
            progress, progress, stage, self.clock() + self.lease,
        )  # fmt: skip

    def show(self, job: Job, picture: bytes, step: int, steps: int) -> bool:
        with self.db.write() as sql:
            return bool(
                sql.execute(
                    "INSERT INTO glimpses (job, step, steps, picture, at)"
                    f" SELECT id, ?, ?, ?, ? FROM jobs WHERE {_MINE} ON CONFLICT (job) DO UPDATE SET"
                    " step = excluded.step, steps = excluded.steps, picture = excluded.picture, at = excluded.at",
                    (step, steps, picture, self.clock(), job.id, job.lease),
                ).rowcount
            )

    def mine(self, job: Job) -> bool:
        found = self.db.connection.execute(f"SELECT 1 FROM jobs WHERE {_MINE}", (job.id, job.lease)).fetchone()
        return found is not None

    def complete(self, job: Job, result: dict[str, Any], *, size: int) -> bool:
        now = self.clock()
        return self._end(
            job, "status = 'completed', progress = 100, stage = '', result = ?, bytes = ?, completed_at = ?,"
            " expires_at = ? + COALESCE(kept_for, ?), lease = NULL", json.dumps(result), size, now, now, self.retention,
        )  # fmt: skip

    def fail(self, job: Job, code: str, message: str) -> bool:
        return self._end(
            job, "status = 'failed', stage = '', error_code = ?, error_message = ?, completed_at = ?, lease = NULL",
            code, message, self.clock(),
        )  # fmt: skip

    def release(self, job: Job) -> bool:
        with self.db.write() as sql:
            back = sql.execute(
                f"UPDATE jobs SET {_BACK}, attempts = attempts - 1 WHERE {_MINE}", (job.id, job.lease)
            ).rowcount
            if back:
                self._waits(sql, 1)
            return bool(back)

    def _update(self, job: Job, changes: str, *values: object) -> bool:
        with self.db.write() as sql:
            return bool(sql.execute(f"UPDATE jobs SET {changes} WHERE {_MINE}", (*values, job.id, job.lease)).rowcount)

    def _end(self, job: Job, changes: str, *values: object) -> bool:
        with self.db.write(durable=True) as sql:
            row = sql.execute(
                f"UPDATE jobs SET {changes} WHERE {_MINE} RETURNING *", (*values, job.id, job.lease)
            ).fetchone()
            if row is not None:
                self._ended(sql, row)
            return row is not None

    def _ended(self, sql: Sql, row: Row) -> None:
        sql.execute("DELETE FROM glimpses WHERE job = ?", (row["id"],))
        if self.on_end is not None:
            self.on_end(sql, _job(row))

    # ----------------------------------------------------------------------------------------- the housekeeper

    def unfinished(self) -> set[str]:
        rows = self.db.connection.execute("SELECT id FROM jobs WHERE status IN ('queued', 'in_progress')")
        return {row["id"] for row in rows}

    def reap(self) -> int:
        with self.db.write() as sql:
            return self._take_back(sql, "lease_until < ?", self.clock())

    def worker_gone(self, worker: str) -> int:
        with self.db.write() as sql:
            sql.execute("DELETE FROM workers WHERE name = ?", (worker,))
            return self._take_back(sql, "worker = ?", worker)

    def _take_back(self, sql: Sql, which: str, value: object) -> int:
        """One statement for each outcome, so that a worker that says something just now is not overheard."""
        lost = f"status = 'in_progress' AND {which}"
        again = sql.execute(
            f"UPDATE jobs SET {_BACK} WHERE {lost} AND attempts < ?", (value, self.max_attempts)
        ).rowcount
        if again:
            self._waits(sql, again)
        ended = sql.execute(
            "UPDATE jobs SET status = 'failed', stage = '', error_code = 'worker_died', error_message ="
            " CAST(attempts AS TEXT) || ' workers died while they made this video, so it was set aside',"
            f" completed_at = ?, lease = NULL WHERE {lost} RETURNING *",
            (self.clock(), value),
        ).fetchall()
        for row in ended:
            self._ended(sql, row)
        return again + len(ended)

    def sweep(self) -> list[str]:
        now = self.clock()
        with self.db.write() as sql:
            gone = sql.execute(
                "UPDATE jobs SET bytes = 0 WHERE status = 'completed' AND bytes > 0 AND expires_at < ? RETURNING id",
                (now,),
            ).fetchall()
            gone += sql.execute(
                "DELETE FROM jobs WHERE (status = 'deleted' AND completed_at < ?)"
                " OR (status IN ('completed', 'failed') AND COALESCE(expires_at, completed_at) < ?) RETURNING id",
                (now - DAY, now - _KEPT),
            ).fetchall()
            sql.execute("DELETE FROM glimpses WHERE job NOT IN (SELECT id FROM jobs WHERE status = 'in_progress')")
            sql.execute("DELETE FROM idempotency WHERE created_at < ?", (now - DAY,))
            sql.execute("DELETE FROM workers WHERE seen_at < ?", (now - DAY,))
        return [row["id"] for row in gone]


def _job(row: Row) -> Job:
    return Job(
        id=row["id"], seq=row["seq"], owner=row["owner"], mode=row["mode"], request=json.loads(row["request"]),
        priority=row["priority"], status=row["status"], stage=row["stage"], progress=row["progress"],
        attempts=row["attempts"], lease=row["lease"], created_at=row["created_at"], started_at=row["started_at"],
        completed_at=row["completed_at"], expires_at=row["expires_at"],
        result=json.loads(row["result"]) if row["result"] else None,
        error=(row["error_code"], row["error_message"] or "") if row["error_code"] else None,
    )  # fmt: skip
