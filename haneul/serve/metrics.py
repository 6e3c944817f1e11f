"""Figures for Prometheus. Jobs are counted from the table when somebody asks, so no process can forget any."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from haneul.serve.jobs import JobEngine
from haneul.serve.store import Store


class Metrics(Collector):
    """`request` for every answer; `text` is what /metrics says."""

    def __init__(self, jobs: JobEngine, store: Store) -> None:
        self.jobs, self.store = jobs, store
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "haneul_requests", "Answers by route and status.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "haneul_request_seconds", "Time to the end of an answer.", ["route"], registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )  # fmt: skip
        self.registry.register(self)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = self.jobs.counts()
        jobs = GaugeMetricFamily("haneul_jobs", "Jobs that are not over.", labels=["status"])
        jobs.add_metric(["queued"], counts.queued)
        jobs.add_metric(["in_progress"], counts.running)
        yield jobs
        yield GaugeMetricFamily("haneul_workers", "Workers that live.", value=counts.workers)
        yield GaugeMetricFamily("haneul_disk_free_bytes", "Free space where videos are kept.", value=self.store.free())

    def text(self) -> bytes:
        return generate_latest(self.registry)
