"""Times of reads, and their report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.figures import environment, median_range
from benchmarks.frame import Report, Site


@dataclass(frozen=True)
class ReadTimes:
    """Wall time, CPU time of the client and of Redis: milliseconds of each read, or of an average one for Redis."""

    wall: Sequence[float]
    client_cpu: Sequence[float]
    server_cpu: float


def read_times(at: Site, read: Callable[[], None], number: int) -> ReadTimes:
    """Read once to warm up, then measure a number of reads."""
    read()
    wall, cpu = list[float](), list[float]()
    before = at.server_seconds()
    for _ in range(number):
        started, cpu_started = time.perf_counter(), time.process_time()
        read()
        wall.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - cpu_started) * 1000)
    return ReadTimes(wall, cpu, (at.server_seconds() - before) / number * 1000)


def report_of(title: str, times: ReadTimes, target_ms: float) -> Report:
    """Return the report of reads with a target for the median."""
    wall, cpu = median_range(times.wall), median_range(times.client_cpu)
    server = round(times.server_cpu, 3)
    data = {"title": title, "reads": len(times.wall), "wall_ms": wall, "client_cpu_ms": cpu, "server_cpu_ms": server}
    return Report(
        [
            f"{title}: {wall['median']:.1f} ms ({wall['min']:.1f}-{wall['max']:.1f}), target {target_ms} ms",
            f"CPU: {cpu['median']:.1f} ms of the client, {server:.1f} ms of Redis",
        ],
        {"environment": environment(), **data, "target_ms": target_ms},
    )
