"""`haneul serve`: one process that starts the API and the workers, and starts them again when they die.

It holds the listening socket itself, and a second API process stands by, with everything loaded: when the first one
dies, it answers those who call within a tenth of a second, and another one takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

from haneul.errors import InputError, OutputError
from haneul.serve.config import ServeConfig
from haneul.serve.engines import database_of, jobs_of, store_of
from haneul.serve.keys import Keys
from haneul.serve.worker import name_of

_log = logging.getLogger("haneul.serve.supervisor")
_SOON, _LATE = 0.1, 30.0  # seconds before a child is started again, at first and at most
_FIRST = 15.0  # seconds that the first start has for itself
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
    """A process that is kept running. One with a `gate` waits for a word there before it begins."""

    command: list[str]
    worker: bool
    process: subprocess.Popen[bytes] | None = None
    gate: int | None = None  #: our end
    started: float = 0.0
    wait: float = _SOON
    due: float = field(default=0.0)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *passed: int) -> None:
        """In a session of its own: Ctrl-C in a terminal is for the supervisor, which ends its children in order."""
        self.process = subprocess.Popen(
            [*self.command, *map(str, passed)], pass_fds=passed, start_new_session=True, stdin=subprocess.DEVNULL
        )
        self.started = time.monotonic()

    def open(self) -> None:
        """Lets it begin."""
        if self.gate is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.gate, b".")
            self.shut()

    def shut(self) -> None:
        if self.gate is not None:
            os.close(self.gate)
            self.gate = None


class Supervisor:
    """`run` returns when asked to end by SIGTERM or SIGINT, once all children have ended."""

    def __init__(self, config: ServeConfig, listening: socket.socket) -> None:
        self.config, self.listening = config, listening
        self.db = database_of(config)
        self.jobs = jobs_of(config, self.db)
        store_of(config)
        self.signals = 0
        told, parent = config.to_json(), str(os.getpid())
        api = [sys.executable, "-m", "haneul.serve.app", told, parent]
        cores = os.cpu_count() or 1
        threads = max(1, cores // max(1, config.workers))
        worker = [sys.executable, "-m", "haneul.serve.work", told, parent, str(threads)]
        #: Who answers, and who stands by. The second one is not in the way of the first start.
        self.apis = [Child(command=api, worker=False)]
        if config.standby:
            self.apis.append(Child(command=api, worker=False, due=time.monotonic() + _FIRST))
        self.workers = [Child(command=worker, worker=True) for _ in range(config.workers)]

    @property
    def children(self) -> list[Child]:
        return [*self.apis, *self.workers]

    def run(self) -> None:
        def end(_number: int, _frame: FrameType | None) -> None:
            self.signals += 1

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        while not self.signals:
            for child in self.children:
                self._look(child)
            time.sleep(0.05)
        self._end()

    def _look(self, child: Child) -> None:
        """Starts a child that does not run; takes its job back first if it was a worker."""
        now = time.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            child.wait = _SOON if now - child.started > _STEADY else min(_LATE, 2 * child.wait)
            child.due = now + child.wait
            _log.warning("a child ended", extra={"worker": child.worker, "pid": child.process.pid, "code": code})
            if child.worker:
                self._take_back(child.process.pid)
            child.process = None
            child.shut()
            if child is self.apis[0] and len(self.apis) > 1 and self.apis[1].alive:
                self.apis.reverse()
                self.apis[0].open()
        if now >= child.due:
            if child.worker:
                child.start()
                return
            theirs, child.gate = os.pipe()
            child.start(self.listening.fileno(), theirs)
            os.close(theirs)
            if child is self.apis[0]:
                child.open()

    def _take_back(self, pid: int) -> None:
        """If the table is out of reach, the lease's end does it."""
        try:
            self.jobs.worker_gone(name_of(pid))
        except self.db.errors as error:
            _log.warning("jobs of a dead worker wait for the end of its lease: %s", error)

    def _end(self) -> None:
        """First no more is accepted, then what runs may finish; a second signal hands it over at once."""
        for child in self.apis:
            child.shut()  # who stands by ends
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        hard, told = time.monotonic() + self.config.grace + 15, self.signals
        while any(process.poll() is None for process in running) and time.monotonic() < hard:
            if self.signals > told:
                told = self.signals
                for process in running:
                    process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
        for child in self.children:
            if child.worker and child.process is not None:
                self._take_back(child.process.pid)
