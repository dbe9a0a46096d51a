"""The frame of the benchmarks: a server and workers, alternating rounds, and CPU time by kind of process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

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


class Workers:
    """Worker processes with a folder of their own, and the server that they use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def server(self) -> str:
        """The name and the version of the server."""
        raise NotImplementedError

    def server_seconds(self) -> float:
        """Return the CPU time of the server so far."""
        raise NotImplementedError

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own, and return it when it has printed that it is ready."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                command, cwd=PROJECT, env={**os.environ, **env}, stdout=output, stderr=output, start_new_session=True
            )
        self.workers.append(worker)
        await_line(log, " ready.", worker)
        return worker

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time so far, by kind of process. The client is this process."""
        workers = [worker.pid for worker in self.workers if worker.poll() is None]
        return {
            "main": sum(map(process_seconds, workers)),
            "children": sum(map(children_seconds, workers)),
            "server": self.server_seconds(),
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


class Site(Workers):
    """A Redis on a free port and workers on it, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = TcpServer(folder / "redis")
        self._server.start()
        self.url = self._server.url
        self.redis = Redis.from_url(self.url, decode_responses=True)

    @property
    def server(self) -> str:
        """The name and the version of the server, such as `valkey 9.1.2`."""
        server: Any = self.redis.info("server")
        return f"{server.get('server_name', 'redis')} {server.get('valkey_version', server['redis_version'])}"

    def server_seconds(self) -> float:
        """Return the CPU time of Redis so far."""
        cpu: Any = self.redis.info("cpu")
        return float(sum(cpu[f"used_cpu_{name}"] for name in ("user", "sys", "user_children", "sys_children")))

    def start_worker(self, app: str, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker of Celery, and return it when it is ready."""
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", *options]
        return self.start(command, {"POLLFLOW_REDIS_URL": self.url, **(env or {})})

    def stop(self) -> None:
        """Stop all workers, then the server."""
        super().stop()
        self.redis.close()
        self._server.stop()


def await_line(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the log of a process contains the text. Raises RuntimeError if the process ends or is too slow."""
    deadline = time.monotonic() + READY_SECONDS
    while text not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the process did not start: {log.read_text(errors='replace')}")
        time.sleep(0.02)


W = TypeVar("W", bound=Workers)


@contextmanager
def running(kind: Callable[[Path], W]) -> Iterator[W]:
    """Provide workers and their server in a new folder, which are stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="pollflow-bench-") as folder:
        at = kind(Path(folder))
        try:
            yield at
        finally:
            at.stop()


def site() -> AbstractContextManager[Site]:
    """Provide a site that is stopped and deleted at the end."""
    return running(Site)


@dataclass
class Variant:
    """One side of a comparison. `work` runs one round and returns its number of units.

    `kinds` are the kinds of processes whose CPU time counts.
    """

    name: str
    unit: str
    at: Workers
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
    """Measure all variants, and return the comparison."""
    conditions = measure([baseline, *subjects], rounds)
    return {**conditions, **compared(subjects, baseline)}


def measure(variants: Sequence[Variant], rounds: int = MIN_ROUNDS) -> dict[str, Any]:
    """Warm up all variants, then measure them in turn for a number of rounds, and return the conditions."""
    load = os.getloadavg()[0]
    # Idle workers use CPU too: they poll their queues, sweep and renew leases. So the others are stopped.
    for variant in variants:
        variant.at.signal_workers(signal.SIGSTOP)
    for variant in variants:
        variant.measure()
    for _ in range(max(MIN_ROUNDS, rounds)):
        for variant in variants:
            variant.rounds.append(variant.measure())
    return {"load_1m": round(load, 2), "server": variants[0].at.server}


def compared(subjects: Sequence[Variant], baseline: Variant) -> dict[str, Any]:
    """Return the comparison of variants that have been measured in turn with their baseline."""
    variants = [baseline, *subjects]
    units = {variant.name: variant.unit for variant in variants}
    return comparison(baseline.name, units, {variant.name: variant.rounds for variant in variants})
