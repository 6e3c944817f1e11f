"""The engine of many machines: its tables, what procrastinate does and does not promise, and a running service."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import emptied
from serving import Running, wait_for
from test_serve_jobs import OLD_JOB

from haneul.errors import OutputError
from haneul.serve.migrations import MIGRATIONS

psycopg = pytest.importorskip("psycopg")
procrastinate = pytest.importorskip("procrastinate")

from haneul.serve.cluster import QUEUE, ClusterJobs  # noqa: E402
from haneul.serve.jobs import NewJob  # noqa: E402
from haneul.serve.postgres import SEARCH, PostgresTables, migrate, queue_scripts  # noqa: E402

SHAPE = (
    "SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns"
    " WHERE table_schema = 'haneul' ORDER BY 1, 2"
)
INDICES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'haneul' ORDER BY 1"


@pytest.fixture
def tables(postgres: str) -> Iterator[PostgresTables]:
    emptied(postgres)
    found = PostgresTables(postgres)
    yield found
    found.shut()


def ask(jobs: ClusterJobs, name: str) -> None:
    jobs.submit(NewJob(id=name, owner="ann", mode="generate", request={}, seconds=4.0))


def tickets(jobs: ClusterJobs) -> int:
    return sum(queue["todo"] for queue in jobs.queue.job_manager.list_queues(queue=QUEUE))


# ----------------------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_tables_of_every_earlier_version_are_brought_to_the_newest(postgres: str, version: int) -> None:
    shapes = []
    for steps in ((version, None), (None,)):
        emptied(postgres)
        with psycopg.connect(postgres, autocommit=True, options=SEARCH) as raw:
            for place, upto in enumerate(steps):
                assert migrate(raw, upto=upto) == (version if place else 0)
                if upto:
                    raw.execute(OLD_JOB)
            if version and len(steps) == 2:
                tables = PostgresTables(postgres)
                kept = ClusterJobs(tables).get("old", "ann")
                tables.shut()
                assert kept is not None
                assert kept.request == {"prompt": "a ball"}
            shapes.append((raw.execute(SHAPE).fetchall(), raw.execute(INDICES).fetchall()))
            raw.execute("UPDATE versions SET version = %s WHERE what = 'haneul'", (len(MIGRATIONS) + 1,))
            with pytest.raises(OutputError, match="a newer one wrote it"):
                migrate(raw)
    assert shapes[0] == shapes[1]


def test_tables_of_an_earlier_procrastinate_get_what_came_since() -> None:
    whole = queue_scripts(None)
    assert len(whole) == 1
    assert "CREATE TABLE procrastinate_jobs" in whole[0]
    assert queue_scripts("99.0.0") == []
    later = queue_scripts("3.2.0")
    assert later
    assert all("CREATE TABLE procrastinate_jobs" not in script for script in later)
    assert len(queue_scripts("3.0.0")) > len(later)


def test_a_database_that_is_not_there_is_named_in_one_line() -> None:
    with pytest.raises(OutputError, match="see --jobs") as refused:
        PostgresTables("postgresql:///none?host=/nowhere")
    assert "\n" not in str(refused.value)


# -------------------------------------------------------------------------------------- the queue before the rows


def test_why_the_rows_are_ours_the_queue_asks_for_no_owner_and_takes_no_turns(tables: PostgresTables) -> None:
    """If procrastinate ever learns these, cluster.py can be shorter."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=tables.url, kwargs={"options": SEARCH}))

    async def use() -> None:
        async with app.open_async():
            manager: Any = app.job_manager
            task = app.configure_task("theirs", queue="theirs")
            for owner in ("ann", "ann", "bob"):
                await task.defer_async(owner=owner)
            slow, quick = await manager.register_worker(), await manager.register_worker()
            first = await manager.fetch_job(queues=["theirs"], worker_id=slow)
            await manager.retry_job(first)  # as if its worker were dead
            again = await manager.fetch_job(queues=["theirs"], worker_id=quick)
            assert again.id == first.id
            await manager.finish_job(first, procrastinate.jobs.Status.SUCCEEDED, delete_job=False)  # by the slow one
            assert await manager.get_job_status_async(again.id) == procrastinate.jobs.Status.SUCCEEDED
            assert (await manager.fetch_job(queues=["theirs"], worker_id=quick)).task_kwargs == {"owner": "ann"}

    asyncio.run(use())


def test_every_job_that_waits_has_a_ticket(tables: PostgresTables) -> None:
    jobs = ClusterJobs(tables, lease=0.0)
    ask(jobs, "a")
    ask(jobs, "b")
    assert tickets(jobs) == 2
    first = jobs.claim("w")
    assert first is not None
    assert jobs.release(first)
    assert tickets(jobs) == 3  # one too many does no harm
    with tables.write() as sql:
        sql.execute("DELETE FROM procrastinate_jobs")
    assert jobs.reap() == 0
    assert tickets(jobs) == 2


def test_a_refused_job_leaves_no_ticket(tables: PostgresTables) -> None:
    jobs = ClusterJobs(tables)
    ask(jobs, "a")
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(jobs, "a")
    assert tickets(jobs) == 1


def test_a_worker_is_woken_and_makes_each_job_once(tables: PostgresTables) -> None:
    jobs, done = ClusterJobs(tables), []

    def serve() -> bool:
        job = jobs.claim("w")
        if job is None:
            return False
        done.append(job.id)
        assert jobs.complete(job, {}, size=1)
        if job.id == "b":
            ask(jobs, "c")  # while it works
        return True

    ask(jobs, "a")
    ask(jobs, "b")
    jobs.attend(serve, lambda: len(done) == 3)
    assert done == ["a", "b", "c"]
    wait_for(lambda: tickets(jobs) == 0, 5)


# ----------------------------------------------------------------------------------------------- a running service


def test_a_service_on_postgresql_survives_the_death_of_its_processes(
    serving_home: Path, tmp_path: Path, postgres: str
) -> None:
    emptied(postgres)
    running = Running(serving_home, tmp_path / "data", "--grace", "0.5", jobs=postgres)
    try:
        job = running.make(steps=3)
        os.kill(running.worker_pid(job["id"]), signal.SIGKILL)
        again = running.http.post("/videos", json={"prompt": "a red ball", "seconds": "0.2", "size": "64x64"})
        for video in (job, again.json()):
            done = running.over(video["id"])
            assert (done["status"], done["error"]) == ("completed", None)
        assert running.row("SELECT attempts FROM jobs WHERE id = ?", job["id"]) == (2,)
        assert running.http.get(f"/videos/{job['id']}/content").status_code == 200
        assert [video["id"] for video in running.http.get("/videos").json()["data"]] == [again.json()["id"], job["id"]]
        cut = running.make(steps=30, seconds="4")["id"]
        running.worker_pid(cut)
        with psycopg.connect(postgres, autocommit=True) as raw:  # as when the server starts again
            raw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        wait_for(lambda: running._answers("/healthz"), 30)
        done = running.over(cut)
        assert (done["status"], done["error"]) == ("completed", None)
        assert running.row("SELECT attempts FROM jobs WHERE id = ?", cut) == (1,)
        long = running.make(steps=200, seconds="8")["id"]
        running.worker_pid(long)
    finally:
        code = running.stop()
    assert code == 0
    assert running.row("SELECT status, attempts FROM jobs WHERE id = ?", long) == ("queued", 0)
    assert not (tmp_path / "data" / "jobs.sqlite").exists()
