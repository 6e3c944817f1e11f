"""Work for a request that takes seconds: done by a program of its own, one at a time, and kept in the store."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi.concurrency import run_in_threadpool

from haneul.serve.problems import Problem
from haneul.serve.service import Service

_SECONDS = 600.0
_MOST_WAITING = 8
_turn = asyncio.Semaphore(1)  # it takes a whole core
_waiting = 0


async def once(service: Service, name: str, work: Callable[[Path], Awaitable[Path]]) -> None:
    """Sees to it that something lies under a key of the store: else `work` makes it in a folder and says which file it
    is. Raises Problem where too much waits, and what `work` raises."""
    global _waiting
    if await run_in_threadpool(_there, service, name):
        return
    if _waiting >= _MOST_WAITING:
        raise Problem(429, "too much of this kind waits; try again later", code="busy", headers={"Retry-After": "20"})
    _waiting += 1
    try:
        async with _turn:
            if await run_in_threadpool(_there, service, name):  # whoever waited before made it
                return
            with tempfile.TemporaryDirectory(dir=service.config.staging) as folder:
                await run_in_threadpool(service.store.put, name, await work(Path(folder)))
    finally:
        _waiting -= 1


def _there(service: Service, name: str) -> bool:
    try:
        service.store.size(name)
    except KeyError:
        return False
    return True


async def program(code: str, *arguments: str) -> None:
    """Runs Python code that finds the arguments in sys.argv[1:], later than whoever waits for an answer. Raises Problem
    with the last line that it said where it fails, and when it takes too long."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import os; os.nice(10); {code}", *arguments, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await asyncio.wait_for(running.communicate(), _SECONDS)
    except TimeoutError:
        raise Problem(400, "this takes too long; ask for less", code="too_long") from None
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    if running.returncode:
        words = said.decode(errors="replace").strip().splitlines()
        raise Problem(400, words[-1].removeprefix("error: ") if words else "it could not be made")
