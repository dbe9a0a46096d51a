"""The frame of the benchmarks: a server and workers, alternating rounds, and CPU time by kind of process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.cpu import children_seconds, process_seconds
from benchmarks.figures import Round, comparison, environment, table
from tests.servers import TcpServer

PROJECT = Path(__file__).parents[1]
MIN_ROUNDS = 5
READY_SECONDS = 60
WORK = ("main", "children", "server")
"""The kinds of processes that do the work: main processes of workers, their pool children, Redis."""


@dataclass(frozen=True)
class Report:
    """The result of a benchmark: lines for people, data for programs."""

    lines: list[str]
    data: Mapping[str, Any]

    @classmethod
    def of(cls, comparisons: Mapping[str, Mapping[str, Any]]) -> Report:
        """Return the report of comparisons by title."""
        return cls(table(comparisons), {"environment": environment(), "comparisons": comparisons})


class Site:
    """A server on a free port and workers on it, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = TcpServer(folder / "redis")
        self._server.start()
        self.url = self._server.url
        self.redis = Redis.from_url(self.url, decode_responses=True)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, app: str, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own, and return it when it is ready."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", *options]
        environment = {**os.environ, "POLLFLOW_REDIS_URL": self.url, **(env or {})}
        with log.open("wb") as output:
            worker = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self.workers.append(worker)
        deadline = time.monotonic() + READY_SECONDS
        while " ready." not in log.read_text(errors="replace"):
            if worker.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not start: {log.read_text(errors='replace')}")
            time.sleep(0.02)
        return worker

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time so far, by kind of process. The client is this process."""
        server: Any = self.redis.info("cpu")
        workers = [worker.pid for worker in self.workers if worker.poll() is None]
        return {
            "main": sum(map(process_seconds, workers)),
            "children": sum(map(children_seconds, workers)),
            "server": sum(server[f"used_cpu_{name}"] for name in ("user", "sys", "user_children", "sys_children")),
            "client": time.process_time(),
        }

    def signal_workers(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the running workers."""
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, number)

    def stop_workers(self) -> None:
        """Stop all workers."""
        self.signal_workers(signal.SIGCONT)
        for worker in self.workers:
            worker.terminate()
            worker.wait()

    def stop(self) -> None:
        """Stop all workers, then the server."""
        self.stop_workers()
        self.redis.close()
        self._server.stop()


@contextmanager
def site() -> Iterator[Site]:
    """Provide a site that is stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="pollflow-bench-") as folder:
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.stop()


@dataclass
class Variant:
    """One side of a comparison. `work` runs one round and returns its number of units.

    `kinds` are the kinds of processes whose CPU time counts.
    """

    name: str
    unit: str
    at: Site
    work: Callable[[], int]
    kinds: Sequence[str] = WORK
    rounds: list[Round] = field(default_factory=list)

    def measure(self) -> Round:
        """Run one round and measure it. Workers of the site run only meanwhile."""
        self.at.signal_workers(signal.SIGCONT)
        before, started = self.at.cpu_seconds(), time.perf_counter()
        units = self.work()
        seconds, after = time.perf_counter() - started, self.at.cpu_seconds()
        self.at.signal_workers(signal.SIGSTOP)
        return Round(units, seconds, {kind: after[kind] - before[kind] for kind in self.kinds})


def compare(subjects: Sequence[Variant], baseline: Variant, rounds: int = MIN_ROUNDS) -> dict[str, Any]:
    """Warm up all variants, then measure them in turn for a number of rounds, and return the comparison."""
    variants = [baseline, *subjects]
    load = os.getloadavg()[0]
    # Idle workers use CPU too: they poll their queues, sweep and renew leases. So the others are stopped.
    for variant in variants:
        variant.at.signal_workers(signal.SIGSTOP)
    for variant in variants:
        variant.measure()
    for _ in range(max(MIN_ROUNDS, rounds)):
        for variant in variants:
            variant.rounds.append(variant.measure())
    units = {variant.name: variant.unit for variant in variants}
    measured = {variant.name: variant.rounds for variant in variants}
    server: Any = baseline.at.redis.info("server")
    name, version = server.get("server_name", "redis"), server.get("valkey_version", server["redis_version"])
    conditions = {"load_1m": round(load, 2), "server": f"{name} {version}"}
    return {**conditions, **comparison(baseline.name, units, measured)}
