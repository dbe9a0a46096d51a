"""Executions of pollflow, and hand-written chains of Celery tasks, that a round starts and whose ends it awaits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from celery import Celery

from benchmarks.frame import Site, Variant, site
from pollflow.machine import Status
from pollflow.store import Keys
from pollflow.store.keys import SHARDS

MAX_SECONDS = 900
POOLS = {"prefork": ("-P", "prefork", "-c", "2"), "threads": ("-P", "threads", "-c", "8"), "solo": ("-P", "solo")}
SUCCEEDED, FAILED = (
    tuple(Keys().index(shard, None, status) for shard in range(SHARDS)) for status in (Status.SUCCEEDED, Status.FAILED)
)

# A script with one small reply, for both sides: so the client uses no CPU to speak of.
_COUNT = "local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('ZCARD', key) end return n"
_COUNT_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True)
class Batch:
    """What a round does: `start` is called `number` times, and each of these makes `units`.

    `ended` and `failed` are the keys of sorted sets that hold those that have ended.
    """

    start: Callable[[], object]
    number: int
    units: int
    ended: tuple[str, ...] = SUCCEEDED
    failed: tuple[str, ...] = FAILED

    def run(self, at: Site) -> int:
        """Start all, wait until all have ended, and return the number of units."""
        count = at.redis.register_script(_COUNT)
        expected = int(count(self.ended)) + self.number
        for _ in range(self.number):
            self.start()
        deadline = time.monotonic() + MAX_SECONDS
        while (ended := int(count(self.ended))) < expected:
            if count(self.failed) or time.monotonic() > deadline:
                raise RuntimeError(f"{expected - ended} of {self.number} failed, or did not end within {MAX_SECONDS} s")
            time.sleep(_COUNT_INTERVAL_SECONDS)
        return self.number * self.units

    def variant(self, name: str, unit: str, at: Site) -> Variant:
        """Return the variant whose rounds run the batch."""
        return Variant(name, unit, at, lambda: self.run(at))


def chain_of(step: str, length: int) -> str:
    """Return the definition of a flow of `length` steps with the same fields."""
    steps = [f"  - {{{step}, name: Step{number}}}" for number in range(length)]
    return "\n".join(["version: v1", "type: flow", "steps:", *steps])


@contextmanager
def pollflow_site(pool: str, *, acks: bool) -> Iterator[Site]:
    """Provide a site with a worker of pollflow, with or without Celery's acknowledgements."""
    with site() as at:
        at.start_worker("benchmarks.pollflow_app", *POOLS[pool], env={"BENCH_ACKS": str(int(acks))})
        yield at


@contextmanager
def raw_hops(pool: str, chains: int, length: int) -> Iterator[Variant]:
    """Provide the baseline `raw`: chains of Celery tasks that run one script each, on a site of their own."""
    numbers = itertools.count()
    with site() as at, Celery("sender", broker=at.url) as sender:
        at.start_worker("benchmarks.raw_app", *POOLS[pool])

        def start() -> None:
            sender.send_task("hop", args=(f"chain-{next(numbers)}", 1, length))

        yield Batch(start, chains, length, ended=("ended",)).variant("raw", "hop", at)
