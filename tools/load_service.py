"""Many clients at a service whose workers and API are killed meanwhile: does every job finish once, and how fast?

    python tools/load_service.py --jobs 2000 --clients 200 --workers 2 --kill-every 10

Starts `haneul serve` by itself, with the weights of the settings in force (HANEUL_HOME chooses others), asks for the
smallest videos, and prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
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

import httpx2

BODY = {"prompt": "a red ball rolls", "seconds": "0.1", "size": "64x64", "steps": 1}


class Load:
    """The clients, the killer, and what they measured."""

    def __init__(self, url: str, supervisor: int, options: argparse.Namespace) -> None:
        self.url, self.supervisor, self.options = url, supervisor, options
        self.took: dict[str, list[float]] = collections.defaultdict(list)
        self.answers: collections.Counter[str] = collections.Counter()
        self.ends: collections.Counter[str] = collections.Counter()
        self.killed: collections.Counter[str] = collections.Counter()
        self.memory: list[tuple[int, int]] = []
        self.todo = iter(range(options.jobs))
        self.accepted: list[str] = []

    async def call(self, client: httpx2.AsyncClient, name: str, method: str, path: str, **given: object) -> dict:
        """One request, repeated until there is an answer that is no refusal for now."""
        while True:
            began = time.perf_counter()
            try:
                answer = await client.request(method, path, **given)
            except httpx2.TransportError as error:
                self.answers[f"{name} {type(error).__name__}"] += 1
                await asyncio.sleep(0.2)
                continue
            self.took[name].append(time.perf_counter() - began)
            self.answers[f"{name} {answer.status_code}"] += 1
            if answer.status_code == 200:
                return answer.json()
            if answer.status_code != 429 and answer.status_code < 500:
                raise RuntimeError(answer.text)
            await asyncio.sleep(min(2.0, float(answer.headers.get("retry-after", 1))))

    async def client(self, client: httpx2.AsyncClient) -> None:
        for number in self.todo:
            headers = {"idempotency-key": f"load-{number}"}
            video = await self.call(client, "create", "POST", "/videos", json=BODY, headers=headers)
            self.accepted.append(video["id"])
            while video["status"] not in ("completed", "failed"):
                await asyncio.sleep(random.uniform(0.5, 1.5))
                video = await self.call(client, "retrieve", "GET", f"/videos/{video['id']}")
                if random.random() < 0.1:
                    await self.call(client, "list", "GET", "/videos", params={"limit": 20})
            self.ends[video["status"]] += 1

    def children(self, module: str) -> list[int]:
        path = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children")
        return [int(p) for p in path.read_text().split() if module in Path(f"/proc/{p}/cmdline").read_text()]

    async def killer(self) -> None:
        """A worker at every interval; the API once a third of the jobs is done and once two thirds are."""
        due, kills = time.monotonic() + self.options.kill_every, 0
        while True:
            await asyncio.sleep(0.2)
            for pid in self.children("haneul.serve.app")[:1]:
                status = Path(f"/proc/{pid}/status").read_text()
                if "VmRSS" in status:
                    rss = int(status.split("VmRSS:")[1].split()[0]) // 1024
                    self.memory.append((rss, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())))
            if time.monotonic() > due:
                due += self.options.kill_every
                if workers := self.children("haneul.serve.work"):
                    os.kill(random.choice(workers), signal.SIGKILL)
                    self.killed["worker"] += 1
            if kills < self.options.kill_api and sum(self.ends.values()) > (kills + 1) * self.options.jobs / 3:
                for pid in self.children("haneul.serve.app")[:1]:  # who answers; the other one stands by
                    os.kill(pid, signal.SIGKILL)
                kills += 1
                self.killed["api"] += 1

    async def run(self) -> None:
        killer = asyncio.create_task(self.killer())
        most = httpx2.Limits(max_connections=self.options.clients)  # one pool: each would load certificates of its own
        async with httpx2.AsyncClient(base_url=self.url, timeout=60, limits=most) as client:
            await asyncio.gather(*(self.client(client) for _ in range(self.options.clients)))
        killer.cancel()

    def figures(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, took in self.took.items():
            centiles = statistics.quantiles(took, n=100) if len(took) > 1 else [took[0]] * 99
            found[name] = {
                "calls": len(took), "p50_ms": round(1000 * centiles[49], 1), "p99_ms": round(1000 * centiles[98], 1),
                "max_ms": round(1000 * max(took), 1),
            }  # fmt: skip
        return found


def finished_twice(log: Path) -> int:
    """Jobs that more than one worker says it completed."""
    done: collections.Counter[str] = collections.Counter()
    for line in log.read_text(encoding="utf-8").splitlines():
        if line.startswith("{") and '"completed"' in line and (entry := json.loads(line)).get("message") == "completed":
            done[entry["job"]] += 1
    return sum(count > 1 for count in done.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--kill-api", type=int, default=2, metavar="TIMES")
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
            while httpx2.get(f"{url.removesuffix('/v1')}/readyz", timeout=120).status_code != 200:
                time.sleep(0.2)
            load, began = Load(url, service.pid, options), time.monotonic()
            asyncio.run(load.run())
            took = time.monotonic() - began
        finally:
            service.terminate()
            service.wait()
        table = sqlite3.connect(f"{folder}/data/jobs.sqlite")
        states = dict(table.execute("SELECT status, COUNT(*) FROM jobs GROUP BY status").fetchall())
        errors = table.execute("SELECT error_code, COUNT(*) FROM jobs WHERE error_code NOT NULL GROUP BY 1").fetchall()
        attempts = dict(table.execute("SELECT attempts, COUNT(*) FROM jobs GROUP BY attempts").fetchall())
        making = table.execute("SELECT AVG(completed_at - started_at) FROM jobs WHERE attempts = 1").fetchone()[0]
        print(
            json.dumps(
                {
                    "jobs": options.jobs, "clients": options.clients, "seconds": round(took, 1),
                    "accepted": len(set(load.accepted)), "lost": options.jobs - sum(states.values()), "states": states,
                    "errors": errors, "attempts": attempts, "finished_twice": finished_twice(log),
                    "killed": load.killed, "mean_making_s": round(making, 3), "calls": load.figures(),
                    "answers": load.answers, "api_mib_first_last": [load.memory[0][0], load.memory[-1][0]],
                    "api_mib_most": max(rss for rss, _ in load.memory),
                    "api_handles_most": max(handles for _, handles in load.memory),
                },
                indent=1,
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
