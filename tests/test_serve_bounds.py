"""No request waits for ever: work that goes on without it, turns that do not come, others who do not answer."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from serving import Running, nices, wait_for

from haneul.errors import InputError
from haneul.serve import aside, deadline, prompting
from haneul.serve.children import WORKER
from haneul.serve.config import ServeConfig
from haneul.serve.decode import inspect
from haneul.serve.problems import Problem
from haneul.serve.prompting import Prompting
from haneul.serve.service import Service


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has an event loop of its own, so also semaphores of its own."""
    monkeypatch.setattr(aside, "_works", {})


def test_who_asks_again_waits_for_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PATIENCE", 0.05)
    begun: list[float] = []

    async def work() -> str:
        begun.append(time.monotonic())
        await asyncio.sleep(0.12)
        return "made"

    async def run() -> None:
        turn = asyncio.Semaphore(1)
        with pytest.raises(Problem) as told:
            await aside.joined("a film", work, turn)
        assert (told.value.status, told.value.code, told.value.headers) == (503, "still_working", {"Retry-After": "2"})
        await asyncio.sleep(0.1)
        assert aside.going_on("a film")
        assert await aside.joined("a film", work, turn) == "made"
        assert len(begun) == 1
        assert not aside.going_on("a film"), "what was fetched is not kept"
        monkeypatch.setattr(aside, "PATIENCE", 5.0)
        both = await asyncio.gather(*(aside.joined("a film", work, turn) for _ in range(2)))
        assert (both, len(begun)) == (["made", "made"], 2)

    asyncio.run(run())


def test_who_asks_again_is_told_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PATIENCE", 0.02)

    async def work() -> str:
        await asyncio.sleep(0.05)
        raise InputError("it is damaged")

    async def run() -> None:
        turn = asyncio.Semaphore(1)
        with pytest.raises(Problem):
            await aside.joined("a film", work, turn)
        await asyncio.sleep(0.06)
        with pytest.raises(InputError, match="damaged"):
            await aside.joined("a film", work, turn)

    asyncio.run(run())


def test_too_much_of_a_kind_and_turns_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PATIENCE", 0.01)

    async def run() -> None:
        turn = asyncio.Semaphore(1)
        for number in range(8):
            with pytest.raises(Problem, match="goes on"):
                await aside.joined(f"film {number}", lambda: asyncio.sleep(1), turn)
        with pytest.raises(Problem, match="too much") as told:
            await aside.joined("one more", lambda: asyncio.sleep(1), turn)
        assert told.value.status == 429
        turns = aside.Turns(1, 0.02)
        async with turns.turn():
            with pytest.raises(Problem) as told:
                await turns.turn().__aenter__()
        assert (told.value.status, told.value.code) == (503, "busy")
        async with turns.turn():
            pass

    asyncio.run(run())


def test_a_program_that_takes_too_long_is_ended() -> None:
    async def run() -> None:
        assert await aside.output("-c", "print(7)", seconds=60) == (0, b"7\n", b"")
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await aside.output("-c", "import time; time.sleep(60)", seconds=0.3)
        assert time.monotonic() - began < 20

    asyncio.run(run())


def test_what_a_request_gives_has_one_end_for_all_of_it(plain: Path) -> None:
    assert deadline.left(5.0) == 5.0
    with deadline.within(100.0):
        with deadline.within(1.0):
            assert 0.5 < deadline.left(5.0) <= 1.0
            with deadline.within(50.0):
                assert deadline.left(5.0) <= 1.0, "the nearest end counts"
        assert deadline.left(5.0) == 5.0
    assert inspect(plain).kind == "video"
    with deadline.within(0.0), pytest.raises(Problem, match="in time") as told:
        inspect(plain)
    assert told.value.status == 503


@pytest.fixture
def asked(serving_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompting]:
    monkeypatch.setenv("HANEUL_HOME", str(serving_home))
    program = Prompting()
    yield program
    program.stop()


def test_a_question_does_not_wait_until_the_model_is_loaded(asked: Prompting, monkeypatch: pytest.MonkeyPatch) -> None:
    question = {"prompt": "a red ball", "remember": "", "seed": 0, "way": "", "expand": False}
    monkeypatch.setattr(prompting, "PATIENCE", 0.1)
    with pytest.raises(Problem) as told:
        asked.ask(question)
    assert (told.value.status, told.value.code) == (503, "still_working")
    monkeypatch.setattr(prompting, "PATIENCE", 120.0)
    assert asked.ask(question)["language"] == "en"  # by the same program, which went on loading


def test_the_description_names_what_takes_longer(service: Running) -> None:
    paths = httpx2.get(f"{service.root}/openapi.json", timeout=60).json()["paths"]
    for path in ("/v1/videos/{video_id}", "/v1/haneul/prompt", "/v1/haneul/play", "/v1/files"):
        for operation in paths[path].values():
            assert "Retry-After" in operation["responses"]["503"]["description"]


@pytest.mark.parametrize("name", ["prompt", "negative", "remember"])
def test_a_text_that_is_too_long_is_not_screened(service: Running, name: str) -> None:
    body = {"prompt": "a red ball", "seconds": "0.2", "size": "64x64"} | {name: "0" * 32000}
    answer = service.http.post("/videos", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert "the most is 4,000" in answer.json()["error"]["message"]


def test_many_long_shots_are_not_screened_together(service: Running) -> None:
    body = {"shots": [{"prompt": "0" * 3900}] * 7, "size": "64x64"}
    answer = service.http.post("/haneul/storyboard", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "shots")
    assert "27,300 characters together" in answer.json()["error"]["message"]


def test_a_disk_that_is_almost_full_takes_no_job(home: Path, tmp_path: Path) -> None:
    service = Service(ServeConfig(data=tmp_path / "data"))
    service.check_room()
    full = Service(ServeConfig(data=tmp_path / "data", low_water=2**62))
    with pytest.raises(Problem, match="almost full") as told:
        full.check_room()
    assert (told.value.status, told.value.code) == (507, "storage_full")
    for one in (service, full):
        one.db.close()
        one.library.db.close()


# ------------------------------------------------------------------------------------------------- who comes first


@pytest.mark.skipif(sys.platform != "linux", reason="threads with nice values of their own")
def test_who_makes_videos_comes_after_who_answers(service: Running) -> None:
    wait_for(lambda: len(service.processes(WORKER)) == 1, 60)
    (worker,) = service.processes(WORKER)
    assert nices(worker) == {min(19, os.nice(0) + 10)}
    session = Path(f"/proc/{worker}/autogroup")
    if session.exists() and session.read_text(encoding="ascii").strip():  # not where sessions are not divided between
        assert session.read_text(encoding="ascii").split()[-1] == "5"


@pytest.mark.skipif(sys.platform != "linux", reason="threads with nice values of their own")
def test_only_the_thread_that_is_to_come_last_does() -> None:
    code = """
import os, threading
from haneul.serve.children import last_of_all
def nice(): return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
found = []
def draw():
    with last_of_all():
        inner = threading.Thread(target=lambda: found.append(nice()))
        inner.start()
        inner.join()
        found.append(nice())
thread = threading.Thread(target=draw)
thread.start()
thread.join()
print(found, nice())
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, start_new_session=True
    )
    assert told.stdout.strip() == f"[19, 19] {os.nice(0)}"


# --------------------------------------------------------------------------------------------------------- memory


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the allocator is not glibc's")
def test_freed_memory_goes_back_to_the_system() -> None:
    code = """
import ctypes
from pathlib import Path
from haneul.serve.memory import give_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def held(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20
blocks = [libc.malloc(64 * 1024) for _ in range(1600)]
for block in blocks: ctypes.memset(block, 1, 64 * 1024)
for block in blocks[:-1]: libc.free(block)  # the last one stays on top
before = held()
give_back()
print(before - held())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 50  # MiB of 100
