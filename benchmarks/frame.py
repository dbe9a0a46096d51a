"""The frame of the benchmarks: a server and workers, alternating rounds, medians with spread, CPU per process."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from tests.servers import TcpServer

PROJECT = Path(__file__).parents[1]
MIN_ROUNDS = 5
READY_SECONDS = 60
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Report:
    """The result of a benchmark: lines for people, data for programs."""

    lines: list[str]
    data: Mapping[str, Any]


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
        """Return the user and system time that the server and the workers have used."""
        cpu: Any = self.redis.info("cpu")
        groups = {worker.pid for worker in self.workers}
        return {"server": cpu["used_cpu_user"] + cpu["used_cpu_sys"], "workers": group_cpu_seconds(groups)}

    def stop(self) -> None:
        """Stop all workers, then the server."""
        for worker in self.workers:
            worker.terminate()
            worker.wait()
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


def group_cpu_seconds(groups: set[int]) -> float:
    """Return the CPU time of all running processes of the groups, including their ended children."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name: state ppid pgrp ..., utime stime cutime cstime are fields 11 to 14 from there.
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) in groups:
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / TICKS_PER_SECOND


@dataclass(frozen=True)
class Round:
    """One measured round: wall and CPU seconds for a number of units."""

    units: int
    seconds: float
    cpu: Mapping[str, float]


@dataclass
class Variant:
    """One side of a comparison. `work` runs one round and returns its number of units."""

    name: str
    at: Site
    work: Callable[[], int]
    rounds: list[Round] = field(default_factory=list)

    def measure(self) -> Round:
        """Run one round and measure it."""
        before, started = self.at.cpu_seconds(), time.perf_counter()
        units = self.work()
        seconds, after = time.perf_counter() - started, self.at.cpu_seconds()
        return Round(units, seconds, {name: after[name] - before[name] for name in after})

    def summary(self) -> dict[str, Any]:
        """Return medians per unit in microseconds, with the lowest and the highest round."""
        wall = [round.seconds / round.units * 1e6 for round in self.rounds]
        names = self.rounds[0].cpu
        cpu = {n: [round.cpu[n] / round.units * 1e6 for round in self.rounds] for n in names}
        return {"wall_us": _range(wall), "cpu_us": {name: _range(values) for name, values in cpu.items()}}


def compare(unit: str, subject: Variant, baseline: Variant, rounds: int = MIN_ROUNDS) -> Report:
    """Warm up both variants, then alternate them for a number of rounds."""
    for variant in (subject, baseline):
        variant.measure()
    for _ in range(max(MIN_ROUNDS, rounds)):
        for variant in (subject, baseline):
            variant.rounds.append(variant.measure())
    summaries = {variant.name: variant.summary() for variant in (subject, baseline)}
    ratio = summaries[subject.name]["wall_us"]["median"] / summaries[baseline.name]["wall_us"]["median"]
    data = {"unit": unit, "rounds": len(subject.rounds), "ratio": round(ratio, 3), "variants": summaries}
    lines = [f"{len(subject.rounds)} rounds, microseconds per {unit}: median (lowest-highest)"]
    for name, summary in summaries.items():
        figures = {"wall": summary["wall_us"], **{f"CPU of {n}": v for n, v in summary["cpu_us"].items()}}
        lines.append(f"{name:<12}" + "  ".join(f"{n} {_text(v)}" for n, v in figures.items()))
    return Report([*lines, f"{subject.name} / {baseline.name}: {ratio:.2f}"], data)


def _range(values: list[float]) -> dict[str, float]:
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 1) for name, value in figures.items()}


def _text(figures: Mapping[str, float]) -> str:
    return f"{figures['median']:.0f} ({figures['min']:.0f}-{figures['max']:.0f})"
