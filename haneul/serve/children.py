"""What runs in the processes that `haneul serve` starts. The supervisor imports this, so it loads nothing by itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from haneul.serve.config import ServeConfig

_TURN = 0.001  # seconds for which a thread that computes may keep the one that answers waiting
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
    with contextlib.suppress(OSError):
        os.nice(10)  # whoever waits for an answer comes first, before what is loaded here too
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


def _orphan() -> Callable[[], bool]:
    """Says whether the supervisor is gone, or the process that this one was copied from, which tells the supervisor of
    its end."""
    source, supervisor = os.getppid(), multiprocessing.parent_process()
    return lambda: os.getppid() != source or (supervisor is not None and not supervisor.is_alive())
