"""Recovery: time until the next step of executions whose worker is killed while another worker runs.

All executions poll every second, in one worker. A second worker starts, and as soon as it is ready, SIGKILL ends the
first one and its pool children. So nearly all waits and calls belong to the killed worker. The time of an execution is
that from the kill to its next event, by Redis' clock; it includes what was left of its wait. Then the second worker is
the loaded one, and so on.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
from typing import Any

from benchmarks.figures import environment
from benchmarks.frame import Report, Site, site
from benchmarks.polls import FLOW
from benchmarks.workloads import POOLS
from pollflow import Client, Execution
from tests.processes import wait_until

APP = "benchmarks.pollflow_app"
TARGETS = {"p50": 3.0, "max": 6.0}
FLOW_WITH_CALLS = FLOW.replace("functions/status", "functions/slow_status")
FOREVER = 1_000_000
STEADY_EVENTS = 30
"""Two polls."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--executions", type=int, default=30, help="executions that poll every second")


def run(options: argparse.Namespace) -> Report:
    """Kill workers of a dedicated app, then of one with acknowledgements."""
    found = {name: measure(options, acks) for name, acks in (("dedicated", False), ("acks", True))}
    lines = [f"{options.kills} kills, {options.executions} executions; seconds from a kill to the next event"]
    for name, figures in found.items():
        lines.append(f"{name}: p50 {figures['p50']} (target {TARGETS['p50']}), max {figures['max']} ({TARGETS['max']})")
    return Report(lines, {"environment": environment(), "targets": TARGETS, "seconds": found})


def measure(options: argparse.Namespace, acks: bool) -> dict[str, Any]:
    """Return the times after a number of kills."""
    env = {"BENCH_ACKS": str(int(acks))}
    with site() as at, Client(at.url) as client:
        at.start_worker(APP, *POOLS["prefork"], env=env)
        client.deploy_text(FLOW_WITH_CALLS, "polls")
        executions = [client.start("polls", {"polls": FOREVER}) for _ in range(options.executions)]
        wait_until(lambda: all(_events(each) > STEADY_EVENTS for each in executions), "polls of all executions")
        times: list[float] = []
        for _ in range(options.kills):
            loaded, seen = at.workers[-1], [_events(each) for each in executions]
            at.start_worker(APP, *POOLS["prefork"], env=env)
            killed_at = _redis_time(at)
            os.killpg(loaded.pid, signal.SIGKILL)
            loaded.wait()
            for execution, events in zip(executions, seen, strict=True):
                times.append(round(_next_event_at(execution, killed_at, events) - killed_at, 2))
    return {"p50": round(statistics.median(times), 2), "max": max(times), "times": times}


def _events(execution: Execution) -> int:
    return execution.refresh().description.events


def _redis_time(at: Site) -> float:
    found: Any = at.redis.time()
    return float(found[0] + found[1] / 1e6)


def _next_event_at(execution: Execution, since: float, seen: int) -> float:
    """Return the time of the first event after `since`; waits for it. `seen` events are older."""
    times: list[float] = []

    def has_happened() -> bool:
        found = (entry.time.timestamp() for entry in execution.history(after=seen))
        times.extend(time for time in found if time > since)
        return bool(times)

    wait_until(has_happened, f"the next event of {execution.name}")
    return times[0]
