"""Throughput while many waits are due at the same moment, or many messages are queued: is it flat until the end?

The rate of each tenth of the executions is printed, in executions per second; then the CPU time and the messages of an
execution. The end of a wait needs one message; the others were published again.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from typing import Any

from redis import Redis

from benchmarks.bulk_starts import seed
from benchmarks.figures import environment
from benchmarks.frame import WORK, Report, Site, site
from benchmarks.waiting import FLOW
from benchmarks.workloads import POOLS, SUCCEEDED
from pollflow import Client

TENTHS = 10
INTERVAL_SECONDS = 0.02
LEAD_SECONDS = 30.0
"""From the start of the seeding to the moment at which the waits are due, at least."""
SEEDED_PER_SECOND = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--waits", type=int, default=14_000)
    parser.add_argument("--queued", type=int, default=9_000)
    parser.add_argument("--acks", type=int, default=0, help="1: an app with acknowledgements")


def run(options: argparse.Namespace) -> Report:
    """Run the two bursts, each on a server of its own."""
    lines, figures = [], {}
    for name, number, burst in (("waits", options.waits, _waits), ("queued", options.queued, _queued)):
        if number:
            with site() as at:
                found = burst(at, number, {"BENCH_ACKS": str(options.acks)})
            figures[name] = {"executions": number, **found}
            rates = " ".join(f"{rate:.0f}" for rate in found["per_second"])
            cpu = ", ".join(f"{kind} {value:,}" for kind, value in found["cpu_us"].items())
            lines.append(f"{name} {number:,}: {rates} per second; CPU us: {cpu}; messages: {found['messages']:g}")
            print(lines[-1], file=sys.stderr, flush=True)
    return Report(lines, {"environment": environment(), **figures})


def _waits(at: Site, number: int, env: dict[str, str]) -> dict[str, Any]:
    at.start_worker("benchmarks.pollflow_app", *POOLS["prefork"], env=env)
    due = time.time() + LEAD_SECONDS + number / SEEDED_PER_SECOND
    seed(at, "burst", FLOW, number, lambda _: {"seconds": round(due - time.time(), 3)})
    time.sleep(max(0.0, due - time.time()))
    return _measure(at, number)


def _queued(at: Site, number: int, env: dict[str, str]) -> dict[str, Any]:
    # The worker registers its queues and is stopped, so that the starts are queued.
    at.start_worker("benchmarks.pollflow_app", *POOLS["prefork"], env=env)
    at.stop_workers()
    with Client(at.url) as client:
        client.deploy_text(FLOW, "queued")
        for _ in range(number):
            client.start("queued", {"seconds": 0})
    at.start_worker("benchmarks.pollflow_app", *POOLS["prefork"], env=env)
    return _measure(at, number)


def _measure(at: Site, number: int) -> dict[str, Any]:
    before, published = at.cpu_seconds(), _published(at.redis)
    rates = tenths(at.redis, number)
    after = at.cpu_seconds()
    cpu_us = {kind: round((after[kind] - before[kind]) / number * 1e6) for kind in WORK}
    return {"per_second": rates, "cpu_us": cpu_us, "messages": round((_published(at.redis) - published) / number, 2)}


def _published(redis: Redis) -> int:
    statistics: Any = redis.info("commandstats")
    return int(statistics.get("cmdstat_lpush", {"calls": 0})["calls"])


def tenths(redis: Redis, number: int) -> list[float]:
    """Return the rate of each tenth of the executions that end from now on."""
    marks = [time.perf_counter()]
    while len(marks) <= TENTHS:
        time.sleep(INTERVAL_SECONDS)
        count = count_ended(redis)
        while len(marks) <= TENTHS and count >= number * len(marks) // TENTHS:
            marks.append(time.perf_counter())
    return [round(number / TENTHS / (later - earlier), 1) for earlier, later in pairwise(marks)]


def count_ended(redis: Redis) -> int:
    """Return the number of executions that have ended."""
    pipe = redis.pipeline(transaction=False)
    for key in SUCCEEDED:
        pipe.zcard(key)
    return sum(pipe.execute())
