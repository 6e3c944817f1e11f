"""Work for several processes at once, which ends whatever becomes of them."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar, cast

from haneul.errors import TrainingError

Job = TypeVar("Job")
Result = TypeVar("Result")


def each(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None = None) -> Iterator[Result]:
    """`function(job)` of every job, as they are done; `workers` processes, by default one a core.

    A process has a pipe of its own and shares no lock, so that one that dies is noticed and never waited for, which
    `multiprocessing.Pool` does for ever. What a job raises is raised here, TrainingError where a process died. When
    this is left early, by Ctrl-C too, the processes are ended at once: a job should be one that can be begun again.
    `function` and jobs are pickled.
    """
    spawn = mp.get_context("spawn")
    waiting = list(reversed(jobs))
    running: dict[Connection, mp.process.BaseProcess] = {}
    try:
        for _ in range(min(workers or os.cpu_count() or 1, len(jobs))):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, function), daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
            ours.send((waiting.pop(),))
        while running:
            for ready in wait(list(running)):
                ours = cast(Connection, ready)
                try:
                    result, error = ours.recv()
                except EOFError:
                    running[ours].join()
                    raise TrainingError(
                        f"a process ended with code {running[ours].exitcode} in the middle of its work, as when memory "
                        "runs out; run the same again with fewer workers: what is finished is kept"
                    ) from None
                if error is not None:
                    raise error
                if waiting:
                    ours.send((waiting.pop(),))
                else:
                    ours.send(None)
                    running.pop(ours).join()
                yield result
    finally:
        for pipe, left in running.items():
            left.kill()
            left.join()
            pipe.close()


def _serve(pipe: Connection, function: Callable[[Job], Result]) -> None:
    """Do jobs until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits, which ends this one
    while (given := pipe.recv()) is not None:
        try:
            pipe.send((function(*given), None))
        except Exception as error:  # noqa: BLE001 - goes to the process that waits
            pipe.send((None, error))
