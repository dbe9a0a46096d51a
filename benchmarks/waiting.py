"""Memory of Redis and of a worker while many executions wait.

`hour` waits for an hour. `poll` polls every 60 s: a worker cannot handle as many, so only memory is measured. Progress
goes to standard error. Redis writes no file, since the disk is not measured.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any

from benchmarks.bulk_starts import seed
from benchmarks.frame import Report, Site, site
from benchmarks.memory import redis_bytes, resident_mb
from benchmarks.workloads import POOLS
from pollflow import Client
from pollflow.store import SHARDS, Keys

FLOW = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: $.seconds}
  - {type: pass, name: After}
"""
POLLS = """
version: v1
type: flow
steps:
  - {type: wait, name: First, duration: $.seconds}
  - type: task
    name: Status
    resourceArn: acs:fc:::services/bench/functions/status
    inputMappings: [{target: number, source: "0"}, {target: polls, source: "100000"}]
  - {type: wait, name: Wait, duration: 60}
  - type: choice
    name: Check
    choices: [{condition: $.status == "running", goto: Status}]
"""
PERIOD = 60.0
SAMPLE_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--hour", type=int, nargs="*", default=[1_000, 100_000], help="executions that wait an hour")
    parser.add_argument("--poll", type=int, nargs="*", default=[200_000], help="executions that poll every 60 s")
    parser.add_argument("--watch", type=float, default=180, help="seconds for which the memory of polls is watched")
    parser.add_argument("--limit", type=int, help="pollflow_max_countdown_messages")


def run(options: argparse.Namespace) -> Report:
    """Measure each number of executions on a server and worker of its own."""
    lines, figures = [], []
    for kind, numbers in (("hour", options.hour), ("poll", options.poll)):
        for number in numbers:
            found = _measure(kind, number, watch=options.watch if kind == "poll" else 10, limit=options.limit)
            figures.append(found)
            lines.append(
                f"{kind} {number:,}: Redis {found['redis_bytes']:,} bytes per execution; worker {found['idle_mb']} MB "
                f"idle, at most +{found['worker_mb']} MB, {found['countdowns']:,} countdowns"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return Report(lines, {"figures": figures})


def _measure(kind: str, number: int, *, watch: float, limit: int | None) -> dict[str, Any]:
    env = {"BENCH_ACKS": "1", **({"BENCH_COUNTDOWNS": str(limit)} if limit else {})}
    with site() as at, Client(at.url) as client:
        at.redis.config_set("appendonly", "no")
        worker = at.start_worker("benchmarks.pollflow_app", *POOLS["prefork"], env=env)
        client.deploy_text(FLOW, "warm")
        client.start("warm", {"seconds": 0}).wait(60)
        time.sleep(2)
        idle, memory = resident_mb(worker.pid), redis_bytes(at)
        seed(at, kind, FLOW if kind == "hour" else POLLS, number, _input_of(kind))
        per_execution = (redis_bytes(at) - memory) / number
        highest, held = resident_mb(worker.pid), 0
        deadline = time.monotonic() + watch
        while time.monotonic() < deadline:
            highest, held = max(highest, resident_mb(worker.pid)), max(held, _countdowns(at))
            time.sleep(SAMPLE_SECONDS)
    return {
        "kind": kind,
        "executions": number,
        "redis_bytes": round(per_execution),
        "idle_mb": round(idle),
        "worker_mb": round(highest - idle),
        "countdowns": held,
    }


def _input_of(kind: str) -> Any:
    rng = random.Random(0)
    return lambda _: {"seconds": 3600 if kind == "hour" else round(rng.uniform(1, PERIOD), 3)}


def _countdowns(at: Site) -> int:
    """Return the number of messages that wait for their countdown."""
    pipe = at.redis.pipeline()
    for shard in range(SHARDS):
        pipe.zcount(Keys().countdowns(shard), time.time(), "+inf")
    return sum(pipe.execute())
