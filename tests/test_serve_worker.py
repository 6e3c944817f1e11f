"""One worker by itself, with a real model and a real table that is now and then out of reach."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haneul.backbones.native import Native
from haneul.config import load_settings
from haneul.serve.database import Database
from haneul.serve.jobs import Job, NewJob
from haneul.serve.leased import LeasedJobs
from haneul.serve.modes import Bench, seed_of
from haneul.serve.store import FolderStore
from haneul.serve.worker import Worker


class Shaky(LeasedJobs):
    """A table to which the connection breaks, before or after what was said was heard."""

    before: int = 0  #: reports that do not get through
    unheard: int = 0  #: answers to `complete` that do not come back

    def report(self, job: Job, progress: int, stage: str) -> bool:
        if self.before:
            self.before -= 1
            raise sqlite3.OperationalError("out of reach")
        return super().report(job, progress, stage)

    def complete(self, job: Job, result: dict[str, Any], *, size: int) -> bool:
        done = super().complete(job, result, size=size)
        if self.unheard:
            self.unheard -= 1
            raise sqlite3.OperationalError("cut off")
        return done


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture
def jobs(tmp_path: Path) -> Shaky:
    return Shaky(Database(tmp_path / "jobs.sqlite"))


@pytest.fixture
def worker(tmp_path: Path, jobs: Shaky, native: Native) -> Callable[[], Worker]:
    """Makes one, as a new process would be."""
    store = FolderStore(tmp_path / "store")
    bench = Bench(store=store, settings=load_settings(), backbone=native, look=lambda _: "", steps=2)
    return lambda: Worker(jobs, store, bench, tmp_path / "work", lease=30.0, grace=0.0)


def claimed(jobs: Shaky, **args: Any) -> Job:
    request = {"prompt": "a red ball", "args": {"seconds": 0.2} | args, "size": [64, 64]}
    jobs.submit(NewJob(id="video_1", owner="ann", mode="generate", request=request, seconds=0.2))
    job = jobs.claim("w")
    assert job is not None
    return job


def finished(jobs: Shaky) -> dict[str, Any]:
    job = jobs.get("video_1", "ann")
    assert job is not None
    assert (job.status, job.error) == ("completed", None)
    assert job.result is not None
    return job.result


def test_a_table_out_of_reach_for_a_while_costs_nothing(
    jobs: Shaky, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    jobs.before, jobs.unheard = 2, 1  # a job of any length reports its two stages
    worker().work(claimed(jobs))
    result = finished(jobs)
    assert (jobs.before, jobs.unheard) == (0, 0)
    for key in result["files"].values():
        assert (tmp_path / "store" / key).is_file()
    assert result["seed"] == seed_of("video_1")
    assert not (tmp_path / "work" / "video_1").exists()


def test_what_is_handed_over_goes_on_with_the_next_worker(
    jobs: Shaky, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    first = worker()
    job = claimed(jobs, seconds=8.0)  # two windows of two steps

    def report(_job: Job, _progress: int, _stage: str) -> bool:
        first.stop()  # heard at the next step
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "report", report)
        first.work(job)
    assert len(list((tmp_path / "store" / "kept" / "video_1").iterdir())) == 1
    again = jobs.claim("other")
    assert again is not None
    assert again.attempts == 1
    worker().work(again)
    assert finished(jobs)["resumed"] > 0
    assert not (tmp_path / "store" / "kept" / "video_1").exists()


def test_leftovers_of_dead_workers_are_swept(jobs: Shaky, worker: Callable[[], Worker], tmp_path: Path) -> None:
    job = claimed(jobs)
    for name in (job.id, "video_gone"):
        (tmp_path / "work" / name / "1").mkdir(parents=True)
    worker()._sweep()
    assert [entry.name for entry in (tmp_path / "work").iterdir()] == [job.id]
