"""Memory of a worker and of Redis, and published messages, for many long waits.

It starts executions that wait for a week, and one worker that enters the waits. It compares the memory of the main
process of the worker and of Redis before and after. The worker has only the messages that are due within the
maximum countdown. Progress goes to standard error after each hundred thousand waits. Redis writes no file, since the
disk is not measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.frame import Report, Site, site
from pollflow import Client

PROGRESS_EVERY = 100_000
FLOW = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: $.seconds}
  - {type: pass, name: After}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--waits", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=7 * 86_400, help="length of a wait")


def run(options: argparse.Namespace) -> Report:
    """Start the waits, and measure after each part of them."""
    with site() as at, Client(at.url) as client:
        worker = at.start_worker("worker", "-c", "2")
        client.deploy_text(FLOW, "long")
        at.redis.config_set("appendonly", "no")
        client.start("long", {"seconds": 0}).wait(60)
        for _ in range(500):
            client.start("long", {"seconds": options.seconds})
        wait_until_idle(at.redis)
        before, memory = rss_mb(worker.pid), used_memory(at)
        lines, figures = [f"worker (main process): {before:.1f} MB before"], []
        for number in range(1, options.waits + 1):
            client.start("long", {"seconds": options.seconds})
            if number % PROGRESS_EVERY == 0 or number == options.waits:
                wait_until_idle(at.redis)
                found = measure(at, number, rss_mb(worker.pid), memory)
                figures.append(found)
                lines.append(
                    f"{number} waits of {options.seconds} s: published {found['published']}, worker "
                    f"{found['worker_mb']:.1f} MB, Redis {found['redis_bytes_per_wait']:.0f} bytes per wait"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    return Report(lines, {"seconds": options.seconds, "worker_mb_before": before, "figures": figures})


def measure(at: Site, waits: int, worker_mb: float, memory: int) -> dict[str, Any]:
    """Return the figures after a number of waits."""
    return {
        "waits": waits,
        "published": published(at.redis),
        "worker_mb": round(worker_mb, 1),
        "redis_bytes_per_wait": round((used_memory(at) - memory) / waits),
    }


def used_memory(at: Site) -> int:
    info: Any = at.redis.info("memory")
    return int(info["used_memory"])


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def published(redis: Redis) -> int:
    """Return the number of messages that are queued or reserved by the worker."""
    return int(redis.llen("celery")) + int(redis.hlen("unacked"))  # type: ignore[arg-type]


def wait_until_idle(redis: Redis) -> None:
    """Wait until the queue has been empty for two seconds."""
    empty_since = time.monotonic()
    while time.monotonic() - empty_since < 2:
        if published(redis):
            empty_since = time.monotonic()
        time.sleep(0.1)
