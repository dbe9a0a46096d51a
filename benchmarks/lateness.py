"""How late waits end: many waits whose ends are spread over some minutes, on one worker.

The lateness of a wait is the time from its end to the entry into the next step, both by Redis' clock.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from statistics import median, quantiles
from typing import Any

from benchmarks.bulk_starts import seed
from benchmarks.burst import count_ended
from benchmarks.figures import environment
from benchmarks.frame import Report, Site
from benchmarks.waiting import FLOW
from benchmarks.workloads import pollflow_site
from pollflow.store import ExecutionRef, Keys

SEEDED_PER_SECOND = 400
READ_AT_ONCE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--waits", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=600, help="the time in which all waits end")


def run(options: argparse.Namespace) -> Report:
    """Let the waits end, and read the histories."""
    with pollflow_site("prefork", acks=False) as at:
        rng, lead = random.Random(0), options.waits / SEEDED_PER_SECOND + 5
        begin = time.time() + lead
        ends = [begin + rng.uniform(0, options.seconds) for _ in range(options.waits)]
        seed(at, "late", FLOW, options.waits, lambda index: {"seconds": round(max(1, ends[index] - time.time()), 3)})
        if time.time() > begin:
            print("seeding took longer than planned: the first waits were short", file=sys.stderr)
        while count_ended(at.redis) < options.waits:
            time.sleep(1)
        late = sorted(_lateness(at, options.waits))
    percentiles = quantiles(late, n=1000)
    figures = {
        "p50_ms": round(median(late) * 1000, 1),
        "p90_ms": round(percentiles[899] * 1000, 1),
        "p99_ms": round(percentiles[989] * 1000, 1),
        "max_ms": round(late[-1] * 1000, 1),
        "early": sum(each < 0 for each in late),
    }
    shown = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    line = f"{options.waits:,} waits within {options.seconds:g} s: {shown}"
    return Report([line], {"environment": environment(), "waits": options.waits, **figures})


def _lateness(at: Site, number: int) -> list[float]:
    keys, found = Keys(), []
    for first in range(0, number, READ_AT_ONCE):
        pipe = at.redis.pipeline(transaction=False)
        for index in range(first, min(number, first + READ_AT_ONCE)):
            ref = ExecutionRef("late", f"seed-{index}")
            pipe.lrange(keys.history(ref), 0, -1).hget(keys.execution(ref), "input")
        replies: Any = pipe.execute()
        found += [_late(events, json.loads(input)) for events, input in zip(replies[::2], replies[1::2], strict=True)]
    return found


def _late(events: list[str], input: dict[str, float]) -> float:
    times = {tuple(event[:2]): at for at, _, event in map(json.loads, events)}
    due: float = times["StepStarted", "Wait"] + input["seconds"]
    entered: float = times["StepEntered", "After"]
    return entered - due
