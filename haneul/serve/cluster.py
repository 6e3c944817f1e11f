"""The job engine of many machines: the leased table in PostgreSQL, and procrastinate's queue before it.

Every job that waits has a ticket in the queue, written in the same transaction. procrastinate wakes a worker for each
ticket (LISTEN/NOTIFY, SKIP LOCKED, again later where it failed), and the worker then claims whichever job is next by
our rules. What a job is and who may write to it stands in our rows alone, for procrastinate cannot promise that: its
finish_job and retry_job ask for no owner, so a worker that was only slow would end a job that is another's by now; the
order is priority and age, without turns between keys; and it keeps neither progress, result, idempotency nor a count
of dead workers (tests/test_serve_cluster.py shows the first two). A ticket too many finds nothing and ends at once;
one too few is written by `reap`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from procrastinate import App, PsycopgConnector, RetryStrategy, SyncPsycopgConnector
from procrastinate.jobs import Status

from haneul.serve.database import Sql
from haneul.serve.leased import LeasedJobs
from haneul.serve.postgres import SEARCH, PostgresTables, Transaction

QUEUE, TASK = "haneul", "haneul.make"
_LOOK = 0.1  # seconds between looks whether a worker is to end
_POLL = 5.0  # seconds after which a worker looks though nobody woke it


class ClusterJobs(LeasedJobs):
    """See JobEngine. `database` is PostgreSQL's."""

    quick = False

    def __init__(self, database: PostgresTables, **given: Any) -> None:
        super().__init__(database, **given)
        self.tables = database
        connector = SyncPsycopgConnector()
        connector.open(database.pool)
        self.queue = App(connector=connector)

    def _waits(self, sql: Sql, count: int) -> None:
        assert isinstance(sql, Transaction)
        ticket = self.queue.configure_task(TASK, queue=QUEUE, connection=sql.raw)
        ticket.batch_defer(*({} for _ in range(count)))

    def reap(self) -> int:
        found = super().reap()
        waiting = self._claimable(self.db.connection)
        tickets = sum(queue["todo"] for queue in self.queue.job_manager.list_queues(queue=QUEUE))
        if waiting > tickets:
            with self.db.write() as sql:
                self._waits(sql, waiting - tickets)
        return found

    def attend(self, serve: Callable[[], bool], over: Callable[[], bool]) -> None:
        connector = PsycopgConnector(conninfo=self.tables.url, kwargs={"options": SEARCH}, min_size=1, max_size=4)
        app = App(connector=connector)
        retry = RetryStrategy(max_attempts=5, exponential_wait=2, retry_exceptions=self.db.errors)

        @app.task(name=TASK, queue=QUEUE, retry=retry)
        def make() -> None:
            """Runs in a thread; the loop goes on beating procrastinate's heart meanwhile."""
            if not over():
                serve()

        async def work() -> None:
            async with app.open_async():
                for dead in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=self.lease):
                    # Its job's own row tells what becomes of that job; the ticket is used up.
                    await app.job_manager.finish_job(dead, Status.FAILED, delete_job=True)
                working = asyncio.create_task(
                    app.run_worker_async(
                        queues=[QUEUE], concurrency=1, install_signal_handlers=False, delete_jobs="always",
                        fetch_job_polling_interval=_POLL, update_heartbeat_interval=self.lease / 3,
                        stalled_worker_timeout=self.lease,
                    )
                )  # fmt: skip
                while not working.done() and not over():
                    await asyncio.wait([working], timeout=_LOOK)
                if over():
                    working.cancel()  # it takes no other ticket and waits for the one that it has
                with contextlib.suppress(asyncio.CancelledError):
                    await working

        asyncio.run(work())
