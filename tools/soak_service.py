"""As many jobs as some minutes allow, one after another: do memory and file handles of the service stay flat?

    python tools/tiny_home.py FOLDER
    HANEUL_HOME=FOLDER python tools/soak_service.py --minutes 20

Besides, every client fetches its video, lists, deletes every second one, and uploads a picture now and then. Prints one
JSON object: MiB of memory and open handles of the API and the workers, at the start (a tenth of the time, when all that
is loaded at first use is loaded), in the middle and at the end. Memory is `Pss`: what several processes share counts
once.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lean_http import Connection, Lost
from load_service import BODY, processes, ready

from haneul.serve.children import API, WORKER

_LOOK = 2.0  # seconds
_PART = 0.1  # of all looks, of which one figure is the median


def look(pid: int) -> tuple[float, int]:
    """MiB and open handles of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(rollup.split("Pss:")[1].split()[0]) / 1024, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


class Soak:
    """The clients, and who watches the processes."""

    def __init__(self, url: str, supervisor: int, options: argparse.Namespace) -> None:
        self.url, self.supervisor, self.options = url, supervisor, options
        self.ends_at = time.monotonic() + 60 * options.minutes
        self.looks: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
        self.counts: collections.Counter[str] = collections.Counter()

    async def client(self) -> None:
        connection = Connection(self.url)
        while time.monotonic() < self.ends_at:
            with contextlib.suppress(Lost):
                await self.job(connection)
        connection.close()

    async def job(self, connection: Connection) -> None:
        status, _, video = await connection.request("POST", "/videos", body=BODY)
        self.counts[f"create {status}"] += 1
        while status == 200 and video["status"] not in ("completed", "failed"):
            await asyncio.sleep(0.5)
            status, _, video = await connection.request("GET", f"/videos/{video['id']}")
        if status != 200:
            await asyncio.sleep(1)
            return
        self.counts[video["status"]] += 1
        await connection.request("GET", "/videos?limit=100")
        await connection.request("POST", "/haneul/verify", body={"video_id": "video_unknown"})
        if self.counts["completed"] % 2:
            status, *_ = await connection.request("DELETE", f"/videos/{video['id']}")
            self.counts[f"delete {status}"] += 1

    async def watcher(self) -> None:
        while True:
            for name in (API, WORKER):
                for number, pid in enumerate(processes(self.supervisor, name)):
                    with contextlib.suppress(OSError):
                        self.looks[f"{name} {number + 1}"].append(look(pid))
            await asyncio.sleep(_LOOK)

    async def run(self) -> None:
        watcher = asyncio.create_task(self.watcher())
        await asyncio.gather(*(self.client() for _ in range(self.options.clients)))
        watcher.cancel()

    def figures(self) -> dict[str, Any]:
        return {
            name: {
                part: {
                    "mib": round(statistics.median(mib for mib, _ in some), 1),
                    "handles": statistics.median(handles for _, handles in some),
                }
                for part, some in parts(looks).items()
            }
            for name, looks in self.looks.items()
        }  # fmt: skip


def parts(looks: list[tuple[float, int]]) -> dict[str, list[tuple[float, int]]]:
    """The looks at the start, in the middle and at the end."""
    count = max(1, round(_PART * len(looks)))
    middle = len(looks) // 2
    return {"start": looks[count : 2 * count] or looks, "middle": looks[middle : middle + count], "end": looks[-count:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "haneul", "serve", "--port", "0", "--data", f"{folder}/data"]
        command += ["--workers", str(options.workers)]
        with (Path(folder) / "log").open("wb") as errors:
            service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert service.stdout is not None
            url = service.stdout.readline().strip()
            ready(url)
            soak = Soak(url, service.pid, options)
            asyncio.run(soak.run())
        finally:
            service.terminate()
            service.wait()
        told = {"minutes": options.minutes, "load_average": os.getloadavg(), "counts": soak.counts}
        print(json.dumps(told | soak.figures(), indent=1))


if __name__ == "__main__":
    main()
