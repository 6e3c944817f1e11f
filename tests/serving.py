"""A really running `haneul serve` for the tests: its own process, port and folder."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parent.parent


class Running:
    """`haneul serve` on a free port; `url` is its /v1. More options as on the command line."""

    def __init__(self, home: Path, data: Path, *options: str, ready: bool = True, jobs: str | None = None) -> None:
        self.data, self.log, self.jobs = data, data.with_name(f"{data.name}.log"), jobs
        environment = os.environ | {"HANEUL_HOME": str(home), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "haneul", "serve", "--port", "0", "--data", str(data), "--steps", "1"]
        command += ["--jobs", jobs] if jobs else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *options], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.log.read_text(encoding="utf-8")
        self.http = httpx2.Client(base_url=self.url, timeout=60)
        self.root = self.url.removesuffix("/v1")
        try:
            wait_for(lambda: self._answers("/readyz" if ready else "/healthz"), 120)
        except BaseException:
            self.stop()
            raise

    def _answers(self, path: str) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return self.http.get(f"{self.root}{path}").status_code == 200
        return False

    def row(self, query: str, *values: object) -> Any:
        """What stands in the service's own table."""
        if self.jobs is not None:
            import psycopg

            with psycopg.connect(self.jobs, options="-c search_path=haneul") as raw:
                return raw.execute(query.replace("?", "%s"), values).fetchone()  # type: ignore[arg-type]
        with contextlib.closing(sqlite3.connect(self.data / "jobs.sqlite", timeout=30)) as sql:
            return sql.execute(query, values).fetchone()

    def worker_pid(self, job: str) -> int:
        """The process that works on a job; waits for one to begin."""
        query = "SELECT worker FROM jobs WHERE id = ? AND status = 'in_progress'"
        wait_for(lambda: self.row(query, job) is not None, 60)
        return int(self.row(query, job)[0].rpartition(":")[2])

    def processes(self, name: str) -> list[int]:
        """Those of the service that have this name (children.py), in the order in which they were started."""
        found, looked = [], [self.process.pid]
        while looked:
            folder = Path(f"/proc/{looked.pop()}")
            with contextlib.suppress(OSError):  # it has ended meanwhile
                looked += map(int, (folder / f"task/{folder.name}/children").read_text(encoding="ascii").split())
                if (folder / "comm").read_text(encoding="ascii").strip() == name:
                    found.append((started(int(folder.name)), int(folder.name)))
        return [pid for _, pid in sorted(found)]

    def make(self, **given: Any) -> dict[str, Any]:
        """Ask for a video of the smallest kind."""
        body = {"prompt": "a red ball rolls", "seconds": "0.2", "size": "64x64", "seed": 1} | given
        answer = self.http.post("/videos", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def over(self, job: str, seconds: float = 90) -> dict[str, Any]:
        """Waits until a video is completed or failed."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            nonlocal found
            found = self.http.get(f"/videos/{job}").json()
            return found["status"] in ("completed", "failed")

        wait_for(ended, seconds)
        return found

    def stop(self, seconds: float = 60) -> int:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code


def wait_for(what: Any, seconds: float) -> None:
    """Until `what()` is true."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, f"nothing happened within {seconds} s"
        time.sleep(0.05)


def started(pid: int) -> int:
    """When a process began, in clock ticks since the machine's start; numbers of processes begin again from 1."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])


def nices(pid: int) -> set[int]:
    """Of a process's threads."""
    stats = (path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return {int(stat.rpartition(")")[2].split()[16]) for stat in stats}
