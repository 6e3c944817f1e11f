"""Work for a request that may take long, done beside those that only look something up.

No request waits for ever. What can be asked for again goes on after PATIENCE, and whoever asks again waits for the same
work (`joined`, `once`); of what cannot, so much is done at a time (`Turns`), within the time that `deadline.py` tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from haneul.serve import deadline
from haneul.serve.problems import Problem, busy, still_working
from haneul.serve.service import Service

Made = TypeVar("Made")
PATIENCE = 40.0  #: seconds for which a request waits for work that goes on without it
_GIVING = 30.0  # seconds for what a request gives to be fetched and looked at
_KEPT = 300.0  # seconds for which a result waits for whoever asks again
_MOST = 8  # works of this kind that wait or run
_SECONDS = 600.0  # for a program
_works: dict[str, asyncio.Task[Any]] = {}
_turn = asyncio.Semaphore(1)  # each takes a whole core


class Turns:
    """So many at a time; who has waited `seconds` in vain is told to come again."""

    def __init__(self, at_once: int, seconds: float = 15.0) -> None:
        self._free, self.seconds = asyncio.Semaphore(at_once), seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises Problem where none comes."""
        try:
            await asyncio.wait_for(self._free.acquire(), self.seconds)
        except TimeoutError:
            raise busy() from None
        try:
            yield
        finally:
            self._free.release()


#: Requests that give something, which is fetched, decoded and screened: fewer than there are threads, so that those who
#: only look find one free.
GIVERS = Turns(24, 25.0)
#: Files that are verified at once, each by a program.
VERIFIERS = Turns(2)


async def given(work: Callable[[], Made]) -> Made:
    """What `work` returns, in a thread: it may fetch, decode and screen what a request gives, for as long as one may
    take. Raises Problem where no turn comes, and what `work` raises."""

    def run() -> Made:
        with deadline.within(_GIVING):
            return work()

    async with GIVERS.turn():
        return await run_in_threadpool(run)


def going_on(name: str) -> bool:
    """Whether there is such a work, or its result."""
    return name in _works


async def joined(name: str, work: Callable[[], Awaitable[Made]], turn: asyncio.Semaphore = _turn) -> Made:
    """What `work` brings; who asks under the same name meanwhile waits for the same work. Raises Problem where it takes
    longer than PATIENCE (it goes on, and its result is kept for who asks again) or too much of this kind waits, and
    what `work` raises."""
    task: asyncio.Task[Made] | None = _works.get(name)
    if task is None:
        if sum(not other.done() for other in _works.values()) >= _MOST:
            raise Problem(
                429, "too much of this kind waits; try again later", code="busy", headers={"Retry-After": "20"}
            )

        async def run() -> Made:
            async with turn:
                return await work()

        def ended(done: asyncio.Task[Made]) -> None:
            if not done.cancelled():
                done.exception()  # else it is said to be lost, where nobody asks again
            asyncio.get_running_loop().call_later(_KEPT, _forget, name, done)

        task = _works[name] = asyncio.create_task(run())
        task.add_done_callback(ended)
    await asyncio.wait([task], timeout=PATIENCE)
    if not task.done():
        raise still_working("this takes longer than a request may wait, and goes on")
    _forget(name, task)
    return task.result()


def _forget(name: str, task: asyncio.Task[Any]) -> None:
    if _works.get(name) is task:
        del _works[name]


async def once(service: Service, name: str, work: Callable[[Path], Awaitable[Path]]) -> None:
    """Sees to it that something lies under a key of the store: else `work` makes it in a folder and says which file it
    is. Raises as `joined`."""
    if await run_in_threadpool(_there, service, name):
        return

    async def make() -> None:
        if not await run_in_threadpool(_there, service, name):  # else whoever waited before made it
            with tempfile.TemporaryDirectory(dir=service.config.staging) as folder:
                await run_in_threadpool(service.store.put, name, await work(Path(folder)))

    await joined(f"file {name}", make)


def _there(service: Service, name: str) -> bool:
    try:
        service.store.size(name)
    except KeyError:
        return False
    return True


async def program(code: str, *arguments: str) -> None:
    """Runs Python code that finds the arguments in sys.argv[1:], later than whoever waits for an answer. Raises Problem
    with the last line that it said where it fails, and when it takes too long."""
    try:
        status, _, said = await output("-c", f"import os; os.nice(10); {code}", *arguments, seconds=_SECONDS)
    except TimeoutError:
        raise Problem(400, "this takes too long; ask for less", code="too_long") from None
    if status:
        words = said.decode(errors="replace").strip().splitlines()
        raise Problem(400, words[-1].removeprefix("error: ") if words else "it could not be made")


async def output(*arguments: str, seconds: float) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a Python program. Raises TimeoutError where it takes longer; then it has been
    ended, as when nobody waits for it any more."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, said = await asyncio.wait_for(running.communicate(), seconds)
    finally:
        if running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            await running.wait()
    return running.returncode or 0, out, said
