"""The job engine by itself, and jobs of a running service whose processes are killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from clusters import emptied
from serving import Running, wait_for

from haneul.errors import OutputError
from haneul.serve.children import API, WORKER
from haneul.serve.database import Database, migrate
from haneul.serve.jobs import EVERYBODY, Job, KeyReused, Limits, NewJob, QueueFull, Used
from haneul.serve.leased import LeasedJobs
from haneul.serve.migrations import MIGRATIONS


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["embedded", "cluster"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[LeasedJobs]:
    """An empty engine of each kind."""
    given: dict[str, Any] = {"lease": 30, "clock": clock, "queue_limit": 100, "queue_limit_per_key": 50}
    if request.param == "embedded":
        database = Database(tmp_path / "jobs.sqlite")
        yield LeasedJobs(database, **given)
        database.close()
    else:
        url = request.getfixturevalue("postgres")
        pytest.importorskip("procrastinate")
        from haneul.serve.cluster import ClusterJobs
        from haneul.serve.postgres import PostgresTables

        emptied(url)
        tables = PostgresTables(url)
        yield ClusterJobs(tables, **given)
        tables.shut()


def ask(jobs: LeasedJobs, name: str, owner: str = "ann", **given: object) -> Job:
    new = NewJob(id=name, owner=owner, mode="generate", request={"n": name}, seconds=4.0, **given)  # type: ignore[arg-type]
    return jobs.submit(new)[0]


def claimed(jobs: LeasedJobs, worker: str = "w") -> Job:
    job = jobs.claim(worker)
    assert job is not None
    return job


def test_a_job_from_the_queue_to_its_end(jobs: LeasedJobs) -> None:
    ask(jobs, "a")
    job = claimed(jobs)
    assert (job.id, job.status, job.attempts, job.request) == ("a", "in_progress", 1, {"n": "a"})
    assert jobs.claim("other") is None
    assert jobs.report(job, 40, "denoising")
    assert jobs.report(job, 20, "denoising")
    found = jobs.get("a", "ann")
    assert found is not None
    assert found.progress == 40  # it only goes on
    assert jobs.complete(job, {"files": {}}, size=7)
    found = jobs.get("a", "ann")
    assert found is not None
    assert (found.status, found.progress, found.result) == ("completed", 100, {"files": {}})
    assert jobs.get("a", "bob") is None


def test_a_lease_that_ended_is_another_workers_and_the_first_one_counts_no_more(jobs: LeasedJobs, clock: Clock) -> None:
    ask(jobs, "a")
    slow = claimed(jobs, "slow")
    clock.now += 20
    assert jobs.renew(slow)
    clock.now += 20
    assert jobs.claim("quick") is None
    clock.now += 11
    second = claimed(jobs, "quick")
    assert second.attempts == 2
    assert not jobs.mine(slow)
    assert not jobs.renew(slow)
    assert not jobs.report(slow, 99, "drawing")
    assert not jobs.complete(slow, {}, size=1)
    assert not jobs.fail(slow, "x", "y")
    assert not jobs.release(slow)
    assert jobs.complete(second, {}, size=1)
    assert not jobs.complete(second, {}, size=1)


def test_the_third_dead_worker_sets_a_job_aside_and_those_who_wait_are_told(jobs: LeasedJobs, clock: Clock) -> None:
    told: list[tuple[str, str]] = []
    jobs.on_end = lambda _sql, job: told.append((job.id, job.status))
    ask(jobs, "bad")
    for attempt in (1, 2):
        assert claimed(jobs).attempts == attempt
        clock.now += 31
        assert jobs.reap() == 1
        assert told == []
    claimed(jobs, "third")
    assert jobs.worker_gone("third") == 1
    job = jobs.get("bad", "ann")
    assert job is not None
    assert job.error == ("worker_died", "3 workers died while they made this video, so it was set aside")
    assert told == [("bad", "failed")]
    assert jobs.claim("w") is None


def test_what_is_handed_over_has_not_been_tried(jobs: LeasedJobs) -> None:
    ask(jobs, "a")
    for _ in range(5):
        assert jobs.release(claimed(jobs))
    assert claimed(jobs).attempts == 1


def test_priorities_come_first_and_keys_take_turns(jobs: LeasedJobs) -> None:
    for n in range(4):
        ask(jobs, f"a{n}", "ann")
    for n in range(2):
        ask(jobs, f"b{n}", "bob")
    ask(jobs, "c0", "cyd", priority=-1)
    ask(jobs, "a9", "ann", priority=5)
    order = []
    while (job := jobs.claim("w")) is not None:
        order.append(job.id)
    assert order == ["a9", "b0", "a0", "b1", "a1", "a2", "a3", "c0"]


def test_a_pause_holds_what_waits_and_what_runs(jobs: LeasedJobs) -> None:
    running = claimed(jobs) if ask(jobs, "a") else None
    ask(jobs, "b")
    ask(jobs, "z", owner="bea", priority=-5)
    assert running is not None
    assert jobs.pause("ann") == 1
    assert (jobs.paused("ann"), jobs.paused("bea"), jobs.paused(EVERYBODY)) == (True, False, False)
    assert not jobs.report(running, 50, "denoising 1/2")  # its worker hears that the job is not its own any more
    held = jobs.get("a", "ann")
    assert held is not None
    assert (held.status, held.attempts) == ("queued", 0)
    ask(jobs, "c")  # is accepted, and waits
    assert claimed(jobs).id == "z"  # nobody else waits for it, and a held job's priority counts for nothing
    assert jobs.claim("w") is None
    assert jobs.pause(EVERYBODY) == 1
    jobs.resume("ann")
    assert jobs.claim("w") is None  # each pause is ended by itself
    jobs.resume(EVERYBODY)
    assert [claimed(jobs).id for _ in range(4)] == ["a", "b", "c", "z"]


def test_an_idempotency_key_gives_the_same_job_and_no_other(jobs: LeasedJobs) -> None:
    first = ask(jobs, "a", idempotency_key="k", digest="1")
    again, fresh = jobs.submit(
        NewJob(id="b", owner="ann", mode="generate", request={}, seconds=4, idempotency_key="k", digest="1")
    )
    assert (again.id, fresh) == (first.id, False)
    with pytest.raises(KeyReused):
        ask(jobs, "c", idempotency_key="k", digest="2")
    assert ask(jobs, "d", "bob", idempotency_key="k", digest="2").id == "d"
    jobs.delete("a", "ann")
    assert ask(jobs, "e", idempotency_key="k", digest="2").id == "e"


def test_a_full_queue_and_each_limit_of_a_key(jobs: LeasedJobs, clock: Clock) -> None:
    ask(jobs, "a", limits=Limits(waiting=1))
    with pytest.raises(QueueFull, match="of this key") as full:
        ask(jobs, "b", limits=Limits(waiting=1))
    assert full.value.retry_after is not None
    with pytest.raises(QueueFull, match="a minute"):
        ask(jobs, "b", limits=Limits(requests_per_minute=1))
    with pytest.raises(QueueFull, match="a day"):
        ask(jobs, "b", limits=Limits(seconds_per_day=7.9))
    ask(jobs, "b", limits=Limits(seconds_per_day=8))
    jobs.complete(claimed(jobs), {}, size=100)
    with pytest.raises(QueueFull, match="delete some") as storage:
        ask(jobs, "c", limits=Limits(storage=100))
    assert storage.value.retry_after is None
    clock.now += 61
    ask(jobs, "c", limits=Limits(requests_per_minute=1))
    for n in range(98):
        ask(jobs, f"x{n}", f"owner{n}")
    with pytest.raises(QueueFull, match="as many as this service takes"):
        ask(jobs, "y", "zoe")


def test_what_a_key_has_used(jobs: LeasedJobs, clock: Clock) -> None:
    ask(jobs, "old")
    assert jobs.complete(claimed(jobs), {}, size=1000)
    clock.now += 3600
    ask(jobs, "new")
    ask(jobs, "hers", owner="bea")
    assert jobs.used("ann") == Used(waiting=1, requests_per_minute=1, seconds_per_day=8.0, storage=1000)
    assert jobs.used("nobody") == Used(waiting=0, requests_per_minute=0, seconds_per_day=0.0, storage=0)


def test_a_key_may_keep_its_videos_for_another_time(jobs: LeasedJobs, clock: Clock) -> None:
    ask(jobs, "short", limits=Limits(retention=3600))
    ask(jobs, "usual")
    ask(jobs, "long", limits=Limits(retention=30 * 86400))
    for _ in range(3):
        assert jobs.complete(claimed(jobs), {}, size=100)
    clock.now += 3601
    assert jobs.sweep() == ["short"]
    clock.now += 7 * 86400
    assert jobs.sweep() == ["usual"]
    clock.now += 23 * 86400 - 3000  # a row lasts thirty days longer than its files
    assert jobs.sweep() == ["long"]


def test_expired_files_and_old_marks_are_swept(jobs: LeasedJobs, clock: Clock) -> None:
    ask(jobs, "a")
    jobs.complete(claimed(jobs), {}, size=100)
    ask(jobs, "b")
    jobs.delete("b", "ann")
    assert jobs.sweep() == []
    clock.now += 8 * 86400
    assert sorted(jobs.sweep()) == ["a", "b"]
    assert jobs.sweep() == []
    assert jobs.get("a", "ann") is not None  # its row stays a while
    clock.now += 31 * 86400
    assert jobs.sweep() == ["a"]


def test_many_threads_claim_every_job_once(jobs: LeasedJobs) -> None:
    jobs.queue_limit, jobs.clock = 1000, time.time
    for n in range(200):
        ask(jobs, f"j{n}", f"owner{n % 7}")
    done: list[str] = []

    def work(name: str) -> None:
        while (job := jobs.claim(name)) is not None:
            if jobs.complete(job, {}, size=1):
                done.append(job.id)
        jobs.db.close()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(done) == Counter(f"j{n}" for n in range(200))


def test_one_request_that_comes_eight_times_at_once_is_one_job(jobs: LeasedJobs) -> None:
    begin, found = threading.Barrier(8), Counter[str]()

    def submit(n: int) -> None:
        begin.wait()
        found[ask(jobs, f"j{n}", idempotency_key="k", digest="d").id] += 1
        jobs.db.close()

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [8]
    assert jobs.counts().queued == 1


#: As the first version wrote it.
OLD_JOB = (
    "INSERT INTO jobs (id, owner, mode, request, status, created_at, completed_at)"
    " VALUES ('old', 'ann', 'generate', '{\"prompt\": \"a ball\"}', 'completed', 1.0, 2.0)"
)


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_table_of_every_earlier_version_is_brought_to_the_newest(tmp_path: Path, version: int) -> None:
    old, new = sqlite3.connect(tmp_path / "old", isolation_level=None), Database(tmp_path / "new")
    migrate(old, upto=version)
    if version:
        old.execute(OLD_JOB)
    assert migrate(old) == version
    shape = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert old.execute(shape).fetchall() == [tuple(row) for row in new.connection.execute(shape)]
    if version:
        kept = LeasedJobs(Database(tmp_path / "old"))
        found = kept.get("old", "ann")
        assert found is not None
        assert (found.status, found.request) == ("completed", {"prompt": "a ball"})
        kept.db.close()
    old.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(OutputError, match="a newer one wrote it"):
        migrate(old)
    old.close()
    new.close()


# ------------------------------------------------------------------------------------------- processes are killed


def test_a_killed_worker_and_a_killed_api_lose_nothing(service: Running) -> None:
    first = service.make(steps=3)
    headers = {"idempotency-key": "once"}
    body = {"prompt": "a red ball", "seconds": "0.2", "size": "64x64"}
    second = service.http.post("/videos", json=body, headers=headers).json()
    os.kill(service.worker_pid(first["id"]), signal.SIGKILL)
    api = service.row("SELECT 1")  # the table answers without the API
    assert api == (1,)
    wait_for(lambda: len(service.processes(API)) == 2, 60)
    answering, standing_by = service.processes(API)
    os.kill(answering, signal.SIGKILL)
    with httpx2.Client(base_url=service.url, timeout=60) as fresh:  # answered by who stood by: the socket stayed open
        again = fresh.post("/videos", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, second["id"])
    assert service.processes(API)[0] == standing_by
    wait_for(lambda: service._answers("/readyz"), 60)
    for video in (first, second):
        assert service.over(video["id"])["status"] == "completed"
    assert service.row("SELECT attempts FROM jobs WHERE id = ?", first["id"]) == (2,)
    assert service.http.get(f"/videos/{first['id']}/content").status_code == 200
    assert [entry.name for entry in (service.data / "store" / "videos" / first["id"]).iterdir()] != []


def test_a_killed_workers_steps_are_not_made_again(service: Running) -> None:
    job = service.make(steps=200, seconds="4")["id"]
    worker = service.worker_pid(job)
    kept = service.data / "store" / "kept" / job
    wait_for(lambda: kept.is_dir() and any(kept.iterdir()), 60)
    os.kill(worker, signal.SIGKILL)
    assert service.over(job, 300)["status"] == "completed"
    attempts, result = service.row("SELECT attempts, result FROM jobs WHERE id = ?", job)
    assert attempts == 2
    assert json.loads(result)["resumed"] > 0
    left = (kept, service.data / "work" / job)
    wait_for(lambda: not any(path.exists() for path in left), 30)  # they go after the word that the video is there


def test_what_is_paused_goes_on_from_where_it_was(service: Running) -> None:
    job = service.make(steps=200, seconds="4")["id"]
    kept = service.data / "store" / "kept" / job
    wait_for(lambda: kept.is_dir() and any(kept.iterdir()), 60)
    assert service.http.post("/haneul/queue/pause", json={}).json() == {"paused": True, "everybody": False}
    other = service.make()["id"]
    time.sleep(1)
    assert [service.http.get(f"/videos/{name}").json()["status"] for name in (job, other)] == ["queued", "queued"]
    assert service.http.get("/haneul/queue").json()["paused"]
    assert service.http.post("/haneul/queue/resume", json={}).json() == {"paused": False, "everybody": False}
    assert service.over(job, 300)["status"] == "completed"
    assert service.over(other)["status"] == "completed"
    attempts, result = service.row("SELECT attempts, result FROM jobs WHERE id = ?", job)
    assert (attempts, json.loads(result)["resumed"] > 0) == (1, True)


def test_a_job_that_kills_its_workers_is_set_aside(service: Running) -> None:
    bad = service.make(steps=200, seconds="8")["id"]
    killed: set[int] = set()
    while len(killed) < 3:
        pid = service.worker_pid(bad)
        if pid in killed:
            time.sleep(0.05)
            continue
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
    done = service.over(bad)
    assert (done["status"], done["error"]["code"]) == ("failed", "worker_died")
    assert service.over(service.make()["id"])["status"] == "completed"


def test_a_worker_in_a_dead_ones_place_has_everything_loaded(service: Running) -> None:
    job = service.make(steps=200, seconds="8")["id"]
    dead = service.worker_pid(job)
    os.kill(dead, signal.SIGKILL)
    wait_for(lambda: service.worker_pid(job) != dead, 60)
    spent = Path(f"/proc/{service.worker_pid(job)}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    assert sum(map(int, spent)) / os.sysconf("SC_CLK_TCK") < 2  # seconds of computing; loading takes more than 4
    assert service.http.delete(f"/videos/{job}").status_code == 200


def test_asked_to_end_the_service_hands_over_what_runs(serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data", "--grace", "0.5")
    try:
        job = running.make(steps=200, seconds="8")["id"]
        running.worker_pid(job)
        began = time.monotonic()
    finally:
        code = running.stop()
    assert code == 0
    assert time.monotonic() - began < 15
    assert running.row("SELECT status, attempts FROM jobs WHERE id = ?", job) == ("queued", 0)


def test_whoever_dies_is_replaced_and_without_the_supervisor_all_end(serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data")
    try:
        (worker,) = running.processes(WORKER)
        os.kill(parent(worker), signal.SIGKILL)  # what the worker is a copy of
        wait_for(lambda: running.processes(WORKER) not in ([], [worker]), 120)
        assert running.over(running.make()["id"])["status"] == "completed"
        (copy,) = running.processes(WORKER)
        everybody = [copy, parent(copy), *running.processes(API)]
        running.process.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everybody), 60)
    finally:
        running.stop()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
