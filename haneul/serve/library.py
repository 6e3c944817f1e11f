"""The library: a catalogue of what was made, with what its maker says about it, which can be searched.

The jobs stay the job engine's, whichever that is. The catalogue follows it: `follow` reads what was accepted since, and
looks again at what was not over. What only the catalogue knows (favourites, folders, stars, boards, preferences) is in
the same file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from haneul.serve.database import Database
from haneul.serve.jobs import Job, JobEngine

Order = Literal["newest", "oldest", "longest", "starred"]
_ORDERS: dict[Order, str] = {
    "newest": "number DESC", "oldest": "number", "longest": "seconds DESC, number DESC",
    "starred": "COALESCE(stars, 0) DESC, number DESC",
}  # fmt: skip
_AT_ONCE = 500  #: jobs that are read from the engine in one go
MOST_FAMILY = 300  #: clips of one family tree

_CLIPS = (
    """CREATE TABLE clips (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, number INTEGER NOT NULL,  -- the order in which they were accepted
        mode TEXT NOT NULL, prompt TEXT NOT NULL, folded TEXT NOT NULL,  -- the prompt for searching
        status TEXT NOT NULL, size TEXT NOT NULL, seconds REAL NOT NULL, created_at REAL NOT NULL,
        favourite INTEGER NOT NULL DEFAULT 0, folder TEXT, stars INTEGER) WITHOUT ROWID""",
    "CREATE INDEX clips_of_owner ON clips (owner, number)",
    "CREATE INDEX clips_open ON clips (owner, status) WHERE status IN ('queued', 'in_progress')",
    """CREATE TABLE parents (
        child TEXT NOT NULL, parent TEXT NOT NULL, PRIMARY KEY (child, parent)) WITHOUT ROWID""",
    "CREATE INDEX parents_back ON parents (parent)",
)
_BOARDS = (
    """CREATE TABLE boards (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        revision INTEGER NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX boards_of_owner ON boards (owner, updated_at)",
)
_PREFERENCES = (
    """CREATE TABLE preferences (
        number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL,
        choice TEXT NOT NULL CHECK (choice IN ('first', 'second', 'same')), told TEXT NOT NULL,  -- JSON of both
        created_at REAL NOT NULL)""",
    "CREATE INDEX preferences_of_owner ON preferences (owner, number)",
)
#: Never change one that was released; add another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_CLIPS, _BOARDS, _PREFERENCES)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is looked for; None is everything."""

    words: str = ""  #: all of them must be in the prompt
    status: tuple[str, ...] = ()
    mode: str | None = None
    favourite: bool = False
    folder: str | None = None
    order: Order = "newest"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A clip as the catalogue has it."""

    job: Job
    favourite: bool
    folder: str | None
    stars: int | None
    parents: tuple[str, ...]
    children: int


class Library:
    """The catalogue of all keys; every call names whose."""

    def __init__(self, path: Path, jobs: JobEngine) -> None:
        self.db = Database(path, MIGRATIONS)
        self.jobs = jobs
        self._turn = threading.Lock()

    # ------------------------------------------------------------------------------------------------- following

    def follow(self, owner: str) -> list[Job]:
        """Brings the catalogue up to date; returns the jobs that are not over, the oldest first."""
        with self._turn:
            row = self.db.connection.execute(
                "SELECT id FROM clips WHERE owner = ? ORDER BY number DESC LIMIT 1", (owner,)
            ).fetchone()
            after = row["id"] if row else None
            while True:
                found = self.jobs.page(owner, after=after, limit=_AT_ONCE, ascending=True)
                if found is None:  # that one was deleted long ago
                    after = None
                    continue
                self._put(found[0])
                if not found[1]:
                    break
                after = found[0][-1].id
            rows = self.db.connection.execute(
                "SELECT id, status FROM clips WHERE owner = ? AND status IN ('queued', 'in_progress') ORDER BY number",
                (owner,),
            ).fetchall()
            now = [(row, self.jobs.get(row["id"], owner)) for row in rows]
            self._put([job for row, job in now if job is not None and job.status != row["status"]])
        for row, job in now:
            if job is None:
                self.forget(row["id"])
        return [job for _, job in now if job is not None and not job.over]

    def _put(self, jobs: Iterable[Job]) -> None:
        rows, lines = [], []
        for job in jobs:
            prompt, shown = job.request.get("prompt") or "", job.request["shown"]
            size = "{}x{}".format(*shown["size"]) if job.result is None else job.result["size"]
            seconds = shown["seconds"] if job.result is None else job.result["seconds"]
            rows.append(
                (
                    job.id, job.owner, job.seq, job.mode, prompt, prompt.casefold(), job.status, size, float(seconds),
                    job.created_at,
                )
            )  # fmt: skip
            lines += [(job.id, parent) for parent in (*job.request.get("parents", ()), job.request.get("source"))]
        if not rows:
            return
        with self.db.write() as sql:
            sql.executemany(
                "INSERT INTO clips (id, owner, number, mode, prompt, folded, status, size, seconds, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " status = excluded.status, size = excluded.size, seconds = excluded.seconds",
                rows,
            )
            sql.executemany("INSERT OR IGNORE INTO parents VALUES (?, ?)", [line for line in lines if line[1]])

    def forget(self, identity: str) -> None:
        """A clip that was deleted: nothing of it stays, but that its children had a parent."""
        with self.db.write(durable=True) as sql:
            sql.execute("DELETE FROM clips WHERE id = ?", (identity,))
            sql.execute("DELETE FROM parents WHERE child = ?", (identity,))
            sql.execute("DELETE FROM preferences WHERE first = ?1 OR second = ?1", (identity,))

    # --------------------------------------------------------------------------------------------------- looking

    def page(self, owner: str, look: Look, *, offset: int, limit: int) -> tuple[list[Entry], int]:
        """Clips that fit, and how many there are in all."""
        self.follow(owner)
        where, values = ["owner = ?"], [owner]
        for word in look.words.casefold().split():
            where.append("(instr(folded, ?) > 0 OR id = ?)")
            values += [word, word]
        if look.status:
            where.append(f"status IN ({', '.join('?' * len(look.status))})")
            values += look.status
        if look.mode is not None:
            where.append("mode = ?")
            values.append(look.mode)
        if look.favourite:
            where.append("favourite = 1")
        if look.folder is not None:
            where.append("folder = ?")
            values.append(look.folder)
        which = " AND ".join(where)
        sql = self.db.connection
        total = int(sql.execute(f"SELECT COUNT(*) FROM clips WHERE {which}", values).fetchone()[0])
        rows = sql.execute(
            f"SELECT id FROM clips WHERE {which} ORDER BY {_ORDERS[look.order]} LIMIT ? OFFSET ?",
            (*values, limit, offset),
        ).fetchall()
        found = [self.entry(owner, row["id"]) for row in rows]
        return [entry for entry in found if entry is not None], total

    def entry(self, owner: str, identity: str) -> Entry | None:
        """One clip; None if there is none, or none any more."""
        job = self.jobs.get(identity, owner)
        sql = self.db.connection
        row = sql.execute("SELECT * FROM clips WHERE id = ? AND owner = ?", (identity, owner)).fetchone()
        if job is None:
            if row is not None:
                self.forget(identity)
            return None
        if row is None:  # in turn: whoever is put in before those that came earlier would hide them
            self.follow(owner)
        elif row["status"] != job.status:
            self._put([job])
        if row is None or row["status"] != job.status:
            row = sql.execute("SELECT * FROM clips WHERE id = ?", (identity,)).fetchone()
        parents = sql.execute("SELECT parent FROM parents WHERE child = ?", (identity,)).fetchall()
        children = sql.execute("SELECT COUNT(*) FROM parents WHERE parent = ?", (identity,)).fetchone()[0]
        return Entry(
            job=job, favourite=bool(row["favourite"]), folder=row["folder"], stars=row["stars"],
            parents=tuple(parent["parent"] for parent in parents), children=int(children),
        )  # fmt: skip

    def change(self, owner: str, identity: str, changes: dict[str, Any]) -> Entry | None:
        """`changes`: new values of favourite, folder and stars."""
        if self.entry(owner, identity) is None:
            return None
        names = [name for name in ("favourite", "folder", "stars") if name in changes]
        if names:
            with self.db.write() as sql:
                sql.execute(
                    f"UPDATE clips SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ? AND owner = ?",
                    (*(changes[name] for name in names), identity, owner),
                )
        return self.entry(owner, identity)

    def folders(self, owner: str) -> list[tuple[str, int]]:
        """Names of folders and how many clips each holds."""
        rows = self.db.connection.execute(
            "SELECT folder, COUNT(*) FROM clips WHERE owner = ? AND folder IS NOT NULL GROUP BY folder ORDER BY folder",
            (owner,),
        ).fetchall()
        return [(str(row[0]), int(row[1])) for row in rows]

    def family(self, owner: str, identity: str) -> tuple[list[str], list[tuple[str, str]]]:
        """All that a clip descends from and all that descends from it: ids, and lines (parent, child) between them. An
        id may be of a clip that was deleted."""
        sql = self.db.connection
        seen, lines, waiting = {identity}, set(), [identity]
        while waiting and len(seen) < MOST_FAMILY:
            at = waiting.pop(0)
            rows = sql.execute("SELECT parent, child FROM parents WHERE child = ?1 OR parent = ?1", (at,)).fetchall()
            for row in rows:
                lines.add((row["parent"], row["child"]))
                for other in (row["parent"], row["child"]):
                    if other not in seen and len(seen) < MOST_FAMILY:
                        seen.add(other)
                        waiting.append(other)
        return sorted(seen), sorted(line for line in lines if seen.issuperset(line))

    # ---------------------------------------------------------------------------------------------------- boards

    def boards(self, owner: str) -> list[dict[str, Any]]:
        rows = self.db.connection.execute(
            "SELECT * FROM boards WHERE owner = ? ORDER BY updated_at DESC", (owner,)
        ).fetchall()
        return [dict(row) | {"body": json.loads(row["body"])} for row in rows]

    def board(self, owner: str, identity: str) -> dict[str, Any] | None:
        row = self.db.connection.execute(
            "SELECT * FROM boards WHERE owner = ? AND id = ?", (owner, identity)
        ).fetchone()
        return dict(row) | {"body": json.loads(row["body"])} if row else None

    def save_board(
        self, owner: str, identity: str, title: str, body: dict[str, Any], *, revision: int, now: float
    ) -> dict[str, Any] | None:
        """Writes a board whose last known revision is `revision` (0: a new one); None where another was saved since."""
        text = json.dumps(body, ensure_ascii=False)
        with self.db.write(durable=True) as sql:
            if revision == 0:
                done = sql.execute(
                    "INSERT OR IGNORE INTO boards VALUES (?, ?, ?, ?, 1, ?, ?)",
                    (identity, owner, title, text, now, now),
                ).rowcount
            else:
                done = sql.execute(
                    "UPDATE boards SET title = ?, body = ?, revision = revision + 1, updated_at = ?"
                    " WHERE id = ? AND owner = ? AND revision = ?",
                    (title, text, now, identity, owner, revision),
                ).rowcount
        return self.board(owner, identity) if done else None

    def delete_board(self, owner: str, identity: str) -> bool:
        with self.db.write(durable=True) as sql:
            return bool(sql.execute("DELETE FROM boards WHERE owner = ? AND id = ?", (owner, identity)).rowcount)

    # ----------------------------------------------------------------------------------------------- preferences

    def prefer(self, owner: str, first: str, second: str, choice: str, told: dict[str, Any], now: float) -> int:
        """Keeps which of two clips somebody liked better; `told` is what there is to know of both."""
        with self.db.write(durable=True) as sql:
            done = sql.execute(
                "INSERT INTO preferences (owner, first, second, choice, told, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                (owner, first, second, choice, json.dumps(told, ensure_ascii=False), now),
            )
            return int(done.lastrowid or 0)

    def preferences(self, owner: str) -> list[dict[str, Any]]:
        """The oldest first."""
        rows = self.db.connection.execute(
            "SELECT * FROM preferences WHERE owner = ? ORDER BY number", (owner,)
        ).fetchall()
        return [dict(row) | {"told": json.loads(row["told"])} for row in rows]

    def starred(self, owner: str) -> list[str]:
        rows = self.db.connection.execute(
            "SELECT id FROM clips WHERE owner = ? AND stars IS NOT NULL ORDER BY number", (owner,)
        ).fetchall()
        return [row["id"] for row in rows]

    def undo_preference(self, owner: str, number: int) -> bool:
        with self.db.write(durable=True) as sql:
            return bool(sql.execute("DELETE FROM preferences WHERE owner = ? AND number = ?", (owner, number)).rowcount)
