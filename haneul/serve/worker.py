"""A worker: one process that loads the model once, then claims and makes one job after another.

It needs nothing but the folder of the service: `haneul worker` beside a running service is one worker more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.backbones.base import Glimpse
from haneul.config import Settings, load_settings
from haneul.errors import HaneulError, OutputError, RefusedError
from haneul.serve.children import after_others, last_of_all, name_of
from haneul.serve.config import ServeConfig
from haneul.serve.engines import database_of, jobs_of, store_of
from haneul.serve.jobs import Job, JobEngine
from haneul.serve.kept import StoredMemory
from haneul.serve.loaded import backbone_of
from haneul.serve.looks import Looks
from haneul.serve.memory import give_back
from haneul.serve.modes import Bench, Made, Share, Watch, make
from haneul.serve.store import Store

_SHOW = 1.0  # seconds, at least, between pictures of one job
_AGAIN = 0.5  # seconds between calls to a database that is out of reach
_TELL = 0.25  # seconds between reports of one stage
_log = logging.getLogger("haneul.serve.worker")


class Stopped(Exception):
    """The job is not this worker's any more: cancelled, deleted, or its lease ended."""


class HandOver(Exception):
    """The worker is asked to end, and its time to finish is over."""


def scratch_of(scratch: Path, job: Job) -> Path:
    """Where a claim's unfinished files lie. A film's shots outlive a dead worker; of a single video, what outlives it
    is in the store (kept.py)."""
    return scratch / job.id / ("film" if job.mode == "storyboard" else str(job.lease))


class Worker:
    """`run` until `stop`, or until `orphan` says that there is no reason to go on."""

    def __init__(
        self, jobs: JobEngine, store: Store, bench: Bench, scratch: Path, *, lease: float, grace: float,
        orphan: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        self.jobs, self.store, self.bench, self.scratch = jobs, store, bench, scratch
        self.lease, self.grace, self.orphan = lease, grace, orphan
        self.name = name_of(os.getpid())
        self.job: Job | None = None
        self._ends: float | None = None  # when what is unfinished is handed over
        self._over = threading.Event()

    def stop(self, grace: float | None = None) -> None:
        """Finish what is at hand within the grace, then end. May be called from a signal handler."""
        ends = time.monotonic() + (self.grace if grace is None else grace)
        self._ends = ends if self._ends is None else min(ends, self._ends)

    def run(self) -> None:
        able = dataclasses.asdict(self.bench.backbone.capabilities())
        able |= {"model": self.bench.backbone.identity().model}
        self.jobs.hello(self.name, able)
        self._sweep()
        beat = threading.Thread(target=self._beat, args=(able,), name="heartbeat", daemon=True)
        beat.start()
        _log.info("ready", extra={"worker": self.name})
        try:
            self.jobs.attend(self._serve, lambda: self._ends is not None)
        finally:
            self._over.set()
            beat.join(5)

    def _sweep(self) -> None:
        """Removes what workers left who died while they made what is over by now."""
        found = list(self.scratch.iterdir()) if self.scratch.is_dir() else []
        running = self.jobs.unfinished()  # asked after: what is begun from now on is not among the found
        for entry in found:
            if entry.name not in running:
                shutil.rmtree(entry, ignore_errors=True)

    def _serve(self) -> bool:
        self.job = self.jobs.claim(self.name)
        if self.job is None:
            return False
        self.work(self.job)
        self.job = None
        give_back()
        return True

    def _beat(self, able: dict[str, Any]) -> None:
        """Keeps the lease while the model computes, and notices when the parent is gone."""
        said = time.monotonic()
        while not self._over.wait(min(1.0, self.lease / 5)):
            if self.orphan is not None and self.orphan():
                self.stop(0.0)
            if time.monotonic() - said < self.lease / 4:
                continue
            said = time.monotonic()
            try:
                self.jobs.hello(self.name, able)
                if (job := self.job) is not None:
                    self.jobs.renew(job)
            except Exception:  # noqa: BLE001 - a lost beat is no reason to lose the job
                _log.exception("the heartbeat failed once; the lease holds %.0f s", self.lease)

    def work(self, job: Job) -> None:
        """Makes one job and says what came of it. Nothing that goes wrong with it ends the worker."""
        began = time.monotonic()
        told = {"job": job.id, "mode": job.mode, "attempt": job.attempts}
        _log.info("begins", extra=told)
        folder = scratch_of(self.scratch, job)
        keys: list[str] = []
        outcome = "completed"
        memory: StoredMemory | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            memory = StoredMemory(self.store, job.id, folder)
            watch = Watch(progress=self._teller(job), glimpse=self._shower(job), memory=memory)
            made = (_behind if job.mode == "play" else make)(job, self.bench, folder, watch)
            made.told["resumed"] = memory.found
            size = sum(path.stat().st_size for path in made.files.values())
            for variant, path in made.files.items():
                # Under the claim's own name, so that a worker whose claim has ended overwrites nothing.
                keys.append(f"videos/{job.id}/{job.lease}/{path.name}")
                self.store.put(keys[-1], path)
                made.told.setdefault("files", {})[variant] = keys[-1]
            done = self._insist(lambda: self.jobs.complete(job, made.told, size=size))
            if not done and not self._holds(job, keys):
                raise Stopped
        except Stopped:
            outcome = "stopped"
        except self.jobs.away:
            _log.exception("the jobs are out of reach; this one is its next worker's", extra=told)
            outcome = "stopped"
        except HandOver:
            if memory is not None:
                memory.flush()
            with contextlib.suppress(*self.jobs.away):  # else the lease's end does it
                self.jobs.release(job)
            outcome = "handed over"
        except OutputError as error:
            outcome = self._failed(job, "storage_error", str(error))
        except RefusedError as error:
            outcome = self._failed(job, "moderation_blocked", str(error))
        except HaneulError as error:
            outcome = self._failed(job, "invalid_request", str(error))
        except Exception:  # noqa: BLE001 - a job must not end its worker
            _log.exception("could not be made", extra=told)
            outcome = self._failed(
                job, "server_error", "the video could not be made because of a defect of the service"
            )
        with contextlib.suppress(*self.jobs.away):  # where nobody can tell, they go when the video expires
            if outcome != "completed" and not self._holds(job, keys):
                for key in keys:
                    self.store.delete(key)
        with contextlib.suppress(*self.jobs.away):
            self._tidy(job, folder, memory)
        _log.info(outcome, extra=told | {"seconds": round(time.monotonic() - began, 3)})

    def _holds(self, job: Job, keys: list[str]) -> bool:
        """Whether a job is completed with these very files: what said so may have been cut off before it was heard."""
        now = self.jobs.get(job.id, job.owner)
        return now is not None and now.result is not None and sorted(now.result["files"].values()) == sorted(keys)

    def _tidy(self, job: Job, folder: Path, memory: StoredMemory | None) -> None:
        """Removes what nobody needs any more: of a job that is over all, else what only this claim could use."""
        now = self.jobs.get(job.id, job.owner)
        if now is None or now.over:
            if memory is None or memory.files or job.mode == "storyboard":
                self.store.delete(f"kept/{job.id}")
            shutil.rmtree(folder.parent, ignore_errors=True)
        elif job.mode != "storyboard":
            shutil.rmtree(folder, ignore_errors=True)

    def _failed(self, job: Job, code: str, message: str) -> str:
        words = " ".join(message.split())
        try:
            return "failed" if self._insist(lambda: self.jobs.fail(job, code, words)) else "stopped"
        except self.jobs.away:
            return "stopped"

    def _insist(self, call: Callable[[], bool]) -> bool:
        """Tries for as long as the lease may hold: a database that starts again must not cost a finished job."""
        ends = time.monotonic() + self.lease
        while True:
            try:
                return call()
            except self.jobs.away:
                if time.monotonic() > ends:
                    raise
                time.sleep(_AGAIN)

    def _teller(self, job: Job) -> Any:
        """The engine's progress callback: it is called at every step, so it is also where a job is stopped."""
        told, before, share = 0.0, "", Share()

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal told, before
            now, percent = time.monotonic(), share(stage, done, total)
            if self._ends is not None and now >= self._ends:
                raise HandOver
            try:
                if stage != before or now - told >= _TELL:
                    told, before = now, stage
                    still = self.jobs.report(job, percent, f"{stage} {done}/{total}")
                else:
                    still = self.jobs.mine(job)
            except self.jobs.away:  # it may be back before the lease ends; what is made meanwhile is not lost
                return
            if not still:
                raise Stopped

        return progress

    def _shower(self, job: Job) -> Glimpse:
        """Shows now and then what is becoming of the job: the longer it takes, the less often."""
        began, shown = time.monotonic(), time.monotonic()

        def glimpse(draw: Callable[[], NDArray[np.uint8]], step: int, steps: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown < max(_SHOW, (now - began) / 4):
                return
            shown = now
            picture = io.BytesIO()
            Image.fromarray(draw()).save(picture, "WEBP", quality=70)
            with contextlib.suppress(*self.jobs.away):
                self.jobs.show(job, picture.getvalue(), step, steps)

        return glimpse


def _behind(job: Job, bench: Bench, folder: Path, watch: Watch) -> Made:
    """`make` for a ride, which its rider saved and goes on playing: last of all, in a thread that ends with it."""

    def draw() -> Made:
        with last_of_all():
            return make(job, bench, folder, watch)

    with ThreadPoolExecutor(1, "ride") as thread:
        return thread.submit(draw).result()


def run(config: ServeConfig, *, orphan: Callable[[], bool] | None = None, threads: int | None = None) -> None:
    """Load everything and work until SIGTERM or SIGINT: once to finish, twice to hand over at once."""
    settings: Settings = load_settings()
    if threads:
        settings = dataclasses.replace(settings, threads=threads)
    if config.model is not None:
        settings = dataclasses.replace(settings, model=config.model)
    if orphan is None:  # else children.py did it
        after_others()
    database = database_of(config)
    store = store_of(config)
    bench = Bench(
        store=store, settings=settings, backbone=backbone_of(settings), look=Looks(database, store),
        steps=config.steps,
    )  # fmt: skip
    worker = Worker(
        jobs_of(config, database), store, bench, config.scratch, lease=config.lease, grace=config.grace,
        orphan=orphan,
    )  # fmt: skip

    def end(_number: int, _frame: FrameType | None) -> None:
        worker.stop(0.0 if worker._ends is not None else None)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    worker.run()
