"""`haneul serve`: one process that starts the API and the workers, and starts them again when they die.

It holds the listening socket itself, and a second API process stands by, with everything loaded and its event loop
running: when the first one dies, it answers those who call, and another one takes its place. On Linux children are
copies of a process that has loaded everything (multiprocessing's fork server), so that a worker too is there at once.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from haneul.config import load_settings
from haneul.errors import InputError, OutputError
from haneul.serve import children
from haneul.serve.config import ServeConfig
from haneul.serve.engines import database_of, jobs_of, store_of
from haneul.serve.keys import Keys

_log = logging.getLogger("haneul.serve.supervisor")
_SOON, _LATE = 0.1, 30.0  # seconds before a child is started again, at first and at most
_FIRST = 15.0  # seconds that the first start has for itself
_LOOK = 0.05  # seconds between looks at the children
_REST = 1.0  # seconds that who has just taken over has for itself, before another one is made that stands by
_PRELOAD = ["haneul.serve.preload", "haneul.serve.preload_model"]
COPIES = sys.platform == "linux"  #: whether a process that has loaded PyTorch may be copied (elsewhere it may not)
_STEADY = 8.0  # seconds after which a child that died is thought to have worked


def listen(config: ServeConfig) -> socket.socket:
    """A listening socket. Raises InputError for an address that strangers reach while no key exists, OutputError for
    one that cannot be used."""
    if not config.loopback and not Keys(database_of(config)).any_active():
        raise InputError(
            f"{config.host} can be reached from elsewhere and no key exists; make one first: haneul keys create NAME"
        )
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
        listening.listen(1024)
    except OSError as error:
        raise OutputError(
            f"{config.host} port {config.port} cannot be used ({error.strerror or error}); choose another with --port"
        ) from error
    return listening


@dataclass(kw_only=True)
class Child:
    """A process that is kept running: `run`, which may wait for a word at its gate before it begins."""

    run: Callable[..., None]
    given: tuple[Any, ...]
    context: ForkServerContext | SpawnContext
    worker: bool = False
    process: BaseProcess | None = None
    gate: Connection | None = None  #: our end
    started: float = 0.0
    wait: float = _SOON
    due: float = field(default=0.0)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def start(self) -> None:
        given = self.given
        if not self.worker:
            theirs, self.gate = self.context.Pipe(duplex=False)
            given += (theirs,)
        process = self.context.Process(target=self.run, args=given)
        process.start()
        if not self.worker:
            theirs.close()
        self.process, self.started = process, time.monotonic()

    def open(self) -> None:
        """Lets it begin."""
        if self.gate is not None:
            with contextlib.suppress(BrokenPipeError):
                self.gate.send_bytes(b".")
            self.shut()

    def shut(self) -> None:
        if self.gate is not None:
            self.gate.close()
            self.gate = None


class _Ended(BaseException):
    """The supervisor was asked to end while it waited for what children are copied from."""


class Supervisor:
    """`run` returns when asked to end by SIGTERM or SIGINT, once all children have ended."""

    def __init__(self, config: ServeConfig, listening: socket.socket) -> None:
        self.config = config
        self.db = database_of(config)
        self.jobs = jobs_of(config, self.db)
        store_of(config)
        self.signals = 0
        self._loading = False
        spawn = multiprocessing.get_context("spawn")
        copied = multiprocessing.get_context("forkserver") if COPIES else spawn
        ours = config.model is None and not load_settings().model  # others may want a GPU, which forbids copies
        copied.set_forkserver_preload(_PRELOAD[: 2 if config.workers and ours else 1])
        threads = max(1, (os.cpu_count() or 1) // max(1, config.workers))
        # The first to answer does not wait until there is something to copy.
        self.apis = [Child(run=children.api, given=(config, listening), context=spawn)]
        if config.standby:
            later = time.monotonic() + _FIRST  # not in the way of the first start
            self.apis.append(Child(run=children.api, given=(config, listening), context=copied, due=later))
        self.workers = [
            Child(run=children.worker, given=(config, threads), context=copied if ours else spawn, worker=True)
            for _ in range(config.workers)
        ]
        self._copied, self._copies = copied, False

    @property
    def children(self) -> list[Child]:
        return [*self.apis, *self.workers]

    def run(self) -> None:
        def end(_number: int, _frame: FrameType | None) -> None:
            self.signals += 1
            if self._loading:
                raise _Ended

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        try:
            while not self.signals:
                for child in self.children:
                    self._look(child)
                living = [child.process.sentinel for child in self.children if child.process is not None]
                multiprocessing.connection.wait(living, _LOOK)  # a death ends it
        except _Ended:
            pass
        finally:
            self._end()

    def _look(self, child: Child) -> None:
        """Starts a child that does not run; takes its job back first if it was a worker."""
        now = time.monotonic()
        if child.process is not None:
            if child.process.is_alive():
                return
            self._bury(child, child.process, now)
        if now >= child.due:
            # The first copy waits until there is something to copy, some seconds.
            self._loading = child.context is self._copied and not self._copies
            try:
                child.start()
            except (EOFError, OSError) as error:  # what is copied died meanwhile, and is there again for the next try
                _log.warning("a child could not be started: %r", error)
                child.shut()
                child.due = now + child.wait
                return
            finally:
                self._loading = False
            self._copies = self._copies or child.context is self._copied
            if child is self.apis[0]:
                child.open()

    def _bury(self, child: Child, dead: BaseProcess, now: float) -> None:
        if taken := child is self.apis[0] and len(self.apis) > 1 and self.apis[1].alive:
            self.apis.reverse()
            self.apis[0].open()
        child.wait = _SOON if now - child.started > _STEADY else min(_LATE, 2 * child.wait)
        child.due = now + (max(child.wait, _REST) if taken else child.wait)
        child.process = None
        if not child.worker:
            child.context = self._copied
        _log.warning("a child ended", extra={"worker": child.worker, "pid": dead.pid, "code": dead.exitcode})
        child.shut()
        if child.worker and dead.pid is not None:
            self._take_back(dead.pid)
        dead.close()

    def _take_back(self, pid: int) -> None:
        """If the table is out of reach, the lease's end does it."""
        try:
            self.jobs.worker_gone(children.name_of(pid))
        except self.db.errors as error:
            _log.warning("jobs of a dead worker wait for the end of its lease: %s", error)

    def _end(self) -> None:
        """First no more is accepted, then what runs may finish; a second signal hands it over at once."""
        for child in self.apis:
            child.shut()  # who stands by ends
        running = [child.process for child in self.children if child.alive and child.process is not None]
        for process in running:
            process.terminate()
        hard, told = time.monotonic() + self.config.grace + 15, self.signals
        while any(process.is_alive() for process in running) and time.monotonic() < hard:
            if self.signals > told:
                told = self.signals
                for process in running:
                    process.terminate()
            time.sleep(0.05)
        for process in running:
            if process.is_alive():
                process.kill()
                process.join()
        for child in self.workers:
            if child.process is not None and child.process.pid is not None:
                self._take_back(child.process.pid)
