"""What runs in the processes that `haneul serve` starts. The supervisor imports this, so it loads nothing by itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from haneul.serve.config import ServeConfig

_TURN = 0.001  # seconds for which a thread that computes may keep the one that answers waiting
_MAKING, _LAST = 10, 19  # nice values of who makes videos, and of what only computes when nobody else does
#: Of their sessions. With more a job starves where anything else computes here, and its lease is not renewed.
_SESSION, _LAST_SESSION = 5, 10
#: What the system calls the processes, where it lets them say so.
API, WORKER, PLAY = "haneul-api", "haneul-worker", "haneul-play"


def name_of(pid: int) -> str:
    """What a worker of this machine calls itself."""
    return f"{socket.gethostname()}:{pid}"


def api(config: ServeConfig, listening: socket.socket, gate: Connection | None) -> None:
    """Answers. With a `gate`, begins with the first word there; at its end, never."""
    begin(API)
    from haneul.serve import logs
    from haneul.serve.app import serve

    logs.set_up("api")
    sys.setswitchinterval(_TURN)
    serve(config, listening, orphan=_orphan(), gate=gate)


def worker(config: ServeConfig, threads: int) -> None:
    """Makes videos."""
    begin(WORKER)
    after_others()  # before what is loaded here too
    from haneul.serve import logs
    from haneul.serve.worker import run

    logs.set_up("worker")
    run(config, orphan=_orphan(), threads=threads)


def begin(name: str) -> None:
    """In a session of its own: Ctrl-C in a terminal is for the supervisor, which ends its children in order. And Linux
    divides a processor between sessions first, so that who answers does not wait for those who compute."""
    with contextlib.suppress(OSError):
        os.setsid()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(name, encoding="ascii")


def after_others() -> None:
    """Whoever waits for an answer, or plays, comes before this process, which makes videos."""
    with contextlib.suppress(OSError):
        os.nice(_MAKING)
    _session_nice(_SESSION)


@contextlib.contextmanager
def last_of_all() -> Iterator[None]:
    """For the calling thread of a worker, and threads that it starts: what is made comes after everybody else, for who
    asked for it is busy with something that must not wait. A thread cannot come back from there by itself, so it should
    be one that ends."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LAST)
    _session_nice(_LAST_SESSION)
    try:
        yield
    finally:
        _session_nice(_SESSION)


def _session_nice(value: int) -> None:
    """Where Linux divides processors between sessions first (autogroup, as on most desktops), nice values count within
    one only, and this one counts between them (man 7 sched). The kernel takes a change every tenth of a second."""
    if sys.platform != "linux":
        return
    for _ in range(3):
        try:
            Path("/proc/self/autogroup").write_text(str(value), encoding="ascii")
            return
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:
            return


def _orphan() -> Callable[[], bool]:
    """Says whether the supervisor is gone, or the process that this one was copied from, which tells the supervisor of
    its end."""
    source, supervisor = os.getppid(), multiprocessing.parent_process()
    return lambda: os.getppid() != source or (supervisor is not None and not supervisor.is_alive())
