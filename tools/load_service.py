"""Many clients at a service whose workers and API are killed meanwhile: does every job finish once, and how fast?

    python tools/tiny_home.py FOLDER
    HANEUL_HOME=FOLDER python tools/load_service.py --jobs 2000 --clients 200 --workers 2 --kill-every 10

Starts `haneul serve` by itself, with the weights of the settings in force (HANEUL_HOME chooses others), asks for the
smallest videos, and prints one JSON object. A call is timed from its first try to its answer, so what a client waits
because the API died is in it. `calm` are calls that neither began nor ended within 15 s after the death of an API
process, `api_died` the others; `start` are those of the first 30 s, when all clients come at once.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from lean_http import Connection, Lost

from haneul.serve.children import API, WORKER

BODY = {"prompt": "a red ball rolls", "seconds": "0.1", "size": "64x64", "steps": 1}
_AFTER = 15.0  # seconds for which the death of an API process may be felt
_START = 30.0
_AGAIN = 0.05  # seconds until a client tries again whose connection was lost


def processes(supervisor: int, name: str) -> list[int]:
    """Processes of a service with this name, the oldest first."""
    found, looked = [], [supervisor]
    while looked:
        folder = Path(f"/proc/{looked.pop()}")
        with contextlib.suppress(OSError):  # it has ended meanwhile
            looked += map(int, (folder / f"task/{folder.name}/children").read_text().split())
            if (folder / "comm").read_text().strip() == name:
                found.append((int((folder / "stat").read_text().rpartition(")")[2].split()[19]), int(folder.name)))
    return [pid for _, pid in sorted(found)]


class Load:
    """The clients, the killer, and what they measured."""

    def __init__(self, url: str, supervisor: int, options: argparse.Namespace) -> None:
        self.url, self.supervisor, self.options = url, supervisor, options
        self.calls: list[tuple[str, float, float]] = []  # name, begin and end
        self.lags: list[float] = []  # by which this program itself was late
        self.answers: collections.Counter[str] = collections.Counter()
        self.ends: collections.Counter[str] = collections.Counter()
        self.killed: dict[str, list[float]] = {"worker": [], "api": []}
        self.memory: list[tuple[int, int]] = []
        self.scheduled: dict[int, tuple[int, int]] = {}  # API process -> ns that it ran, and waited for a processor
        self.todo = iter(range(options.jobs))
        self.accepted: list[str] = []
        self.began = time.monotonic()
        self.ends_at = self.began + options.limit

    async def call(self, connection: Connection, name: str, method: str, path: str, **given: Any) -> tuple[Any, float]:
        """One request, repeated until there is an answer that is no refusal for now: that, and after how many seconds
        the service says that it is worth asking again."""
        began = time.monotonic()
        while time.monotonic() < self.ends_at:
            try:
                status, headers, answer = await connection.request(method, path, **given)
            except Lost as error:
                self.answers[f"{name} {error}"] += 1
                await asyncio.sleep(_AGAIN)
                continue
            self.answers[f"{name} {status}"] += 1
            if status == 200:
                self.calls.append((name, began, time.monotonic()))
                return answer, float(headers.get("openai-poll-after-ms", 500)) / 1000
            if status != 429 and status < 500:
                raise RuntimeError(answer)
            await asyncio.sleep(min(2.0, float(headers.get("retry-after", 1))))
            if status == 429:  # the queue is full, which is an answer
                began = time.monotonic()
        raise TimeoutError

    async def client(self) -> None:
        with contextlib.suppress(TimeoutError):
            await self.ask()

    async def ask(self) -> None:
        connection = Connection(self.url)
        for number in self.todo:
            headers = {"idempotency-key": f"load-{number}"}
            video, after = await self.call(connection, "create", "POST", "/videos", body=BODY, headers=headers)
            self.accepted.append(video["id"])
            while video["status"] not in ("completed", "failed"):
                await asyncio.sleep(random.uniform(0.5, 1.5) * after)
                video, after = await self.call(connection, "retrieve", "GET", f"/videos/{video['id']}")
                if random.random() < 0.1:
                    await self.call(connection, "list", "GET", "/videos?limit=20")
            self.ends[video["status"]] += 1
        connection.close()

    async def killer(self) -> None:
        """A worker at every interval; the API once a third of the jobs is done and once two thirds are."""
        due = time.monotonic() + self.options.kill_every
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.2)
            self.lags.append(time.monotonic() - before - 0.2)
            apis = processes(self.supervisor, API)[:1]  # who answers; the other one stands by
            for pid in apis:
                with contextlib.suppress(OSError, IndexError):
                    ran, waited, _ = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
                    self.scheduled[pid] = ran, waited
                    rss = int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) // 1024
                    self.memory.append((rss, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())))
            if time.monotonic() > due:
                due += self.options.kill_every
                if workers := processes(self.supervisor, WORKER):
                    os.kill(random.choice(workers), signal.SIGKILL)
                    self.killed["worker"].append(time.monotonic())
            kills = len(self.killed["api"])
            if kills < self.options.kill_api and sum(self.ends.values()) > (kills + 1) * self.options.jobs / 3:
                for pid in apis:
                    os.kill(pid, signal.SIGKILL)
                    self.killed["api"].append(time.monotonic())

    async def run(self) -> None:
        killer = asyncio.create_task(self.killer())
        await asyncio.gather(*(self.client() for _ in range(self.options.clients)))
        killer.cancel()

    def phase(self, began: float, ended: float) -> str:
        if any(began < killed + _AFTER and ended > killed for killed in self.killed["api"]):
            return "api_died"
        return "start" if began < self.began + _START else "calm"

    def figures(self) -> dict[str, Any]:
        found: dict[str, dict[str, list[float]]] = collections.defaultdict(lambda: collections.defaultdict(list))
        for name, began, ended in self.calls:
            for phase in ("all", self.phase(began, ended)):
                found[name][phase].append(ended - began)
        return {
            name: {phase: told(took) for phase, took in sorted(phases.items())} for name, phases in found.items()
        }  # fmt: skip


def told(took: list[float]) -> dict[str, float]:
    """Seconds as a few figures in milliseconds."""
    centiles = statistics.quantiles(took, n=100) if len(took) > 1 else took * 99
    return {
        "calls": len(took), "p50_ms": round(1000 * centiles[49], 1), "p99_ms": round(1000 * centiles[98], 1),
        "max_ms": round(1000 * max(took), 1),
    }  # fmt: skip


def finished_twice(log: Path) -> int:
    """Jobs that more than one worker says it completed."""
    done: collections.Counter[str] = collections.Counter()
    for line in log.read_text(encoding="utf-8").splitlines():
        if line.startswith("{") and '"completed"' in line and (entry := json.loads(line)).get("message") == "completed":
            done[entry["job"]] += 1
    return sum(count > 1 for count in done.values())


def ready(url: str, seconds: float = 300.0) -> None:
    """Waits until a worker lives."""
    ends = time.monotonic() + seconds
    while httpx2.get(f"{url.removesuffix('/v1')}/readyz", timeout=120).status_code != 200:
        if time.monotonic() > ends:
            raise RuntimeError(f"no worker was ready within {seconds} s")
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--kill-api", type=int, default=2, metavar="TIMES")
    parser.add_argument("--limit", type=float, default=3600.0, metavar="SECONDS", help="with what is done by then")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "haneul", "serve", "--port", "0", "--data", f"{folder}/data"]
        command += ["--workers", str(options.workers)]
        with log.open("wb") as errors:
            service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert service.stdout is not None
            url = service.stdout.readline().strip()
            ready(url)
            load = Load(url, service.pid, options)
            asyncio.run(load.run())
            took = time.monotonic() - load.began
        finally:
            service.terminate()
            service.wait()
        table = sqlite3.connect(f"{folder}/data/jobs.sqlite")
        known = {row[0] for row in table.execute("SELECT id FROM jobs")}
        states = dict(table.execute("SELECT status, COUNT(*) FROM jobs GROUP BY status").fetchall())
        errors = table.execute("SELECT error_code, COUNT(*) FROM jobs WHERE error_code NOT NULL GROUP BY 1").fetchall()
        attempts = dict(table.execute("SELECT attempts, COUNT(*) FROM jobs GROUP BY attempts").fetchall())
        making = table.execute("SELECT AVG(completed_at - started_at) FROM jobs WHERE attempts = 1").fetchone()[0]
        print(
            json.dumps(
                {
                    "jobs": options.jobs, "clients": options.clients, "seconds": round(took, 1),
                    "jobs_per_second": round(sum(load.ends.values()) / took, 2), "load_average": os.getloadavg(),
                    "accepted": len(set(load.accepted)), "lost": len(set(load.accepted) - known), "states": states,
                    "errors": errors, "attempts": attempts, "finished_twice": finished_twice(log),
                    "killed": {name: len(when) for name, when in load.killed.items()},
                    "mean_making_s": round(making, 3), "calls": load.figures(), "clients_late": told(load.lags),
                    "api_ran_s": round(sum(ran for ran, _ in load.scheduled.values()) / 1e9, 1),
                    "api_waited_for_a_processor_s": round(sum(w for _, w in load.scheduled.values()) / 1e9, 1),
                    "answers": load.answers, "api_mib_first_last": [load.memory[0][0], load.memory[-1][0]],
                    "api_mib_most": max(rss for rss, _ in load.memory),
                    "api_handles_most": max(handles for _, handles in load.memory),
                },
                indent=1,
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
