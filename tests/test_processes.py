"""Work for several processes, which ends whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from haneul.data.processes import each
from haneul.errors import InputError, TrainingError


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def damaged(number: int) -> int:
    if number == 1:
        raise InputError("shard 1 is damaged")
    return number


def die(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def wait_for_ever(folder: Path) -> None:
    (folder / f"{os.getpid()}.begun").touch()
    time.sleep(3600)


def test_every_job_is_done_once_by_several_processes() -> None:
    results = list(each(double, range(40), workers=3))
    assert sorted(r for r, _ in results) == [2 * n for n in range(40)]
    assert 1 < len({pid for _, pid in results} - {os.getpid()}) <= 3
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("jobs", [[], [None], [None, None]])
def test_few_jobs(jobs: list[None]) -> None:
    assert list(each(repr, jobs, workers=3)) == ["None"] * len(jobs)


def test_what_a_job_raises_is_raised() -> None:
    with pytest.raises(InputError, match="shard 1 is damaged"):
        list(each(damaged, [0, 1, 2], workers=1))


@pytest.mark.parametrize(("how", "code"), [("killed", "-9"), ("gone", "3")])
def test_a_process_that_dies_is_not_waited_for(how: str, code: str) -> None:
    with pytest.raises(TrainingError, match=f"ended with code {code} .* run the same again with fewer workers"):
        list(each(die, [how], workers=1))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """It is heard, which a shell's background job ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_what_runs_at_once(tmp_path: Path) -> None:
    def press() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(each(wait_for_ever, [tmp_path] * 3, workers=2))
    assert not [p for p in tmp_path.iterdir() if psutil.pid_exists(int(p.stem))]
