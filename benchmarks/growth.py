"""Growth: commands, bytes and CPU per transition must not grow with executions, rounds or iterations.

Each comparison has a small and a large case: 1,000 and 1,000,000 executions that wait; the first rounds of polling and
those after 130,000 events, which is a day of polling every ten seconds; whole executions of a foreach of 10 items and
some iterations of one of 10,000. The engine runs in this process, without Celery and with a clock that stands still
between transitions. So commands and bytes do not depend on chance, except for the number of digits in times and events.
Commands of scripts count too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from benchmarks.figures import Round, comparison, environment, median_range, table
from benchmarks.frame import MIN_ROUNDS, Report, Site, site
from benchmarks.polls import FLOW
from benchmarks.seeding import copy_execution, lengthen_history, waiting_execution
from pollflow import Client
from pollflow.machine import ROOT
from pollflow.store.messages import MessageKey
from tests.contract.conftest import Bench

CLIENT = "growth"
EVENTS = 130_000
FEW_ITEMS = 10
WARM_UP_ITERATIONS = 200
FOREACH = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps: [{type: pass, name: Pass}]
"""
SMALL, LARGE = "small", "large"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--executions", type=int, default=1_000_000, help="waiting executions of the large case")
    parser.add_argument("--polls", type=int, default=100, help="polls and iterations of a round")
    parser.add_argument("--foreach", type=int, default=10_000, help="items of the large case")


def run(options: argparse.Namespace) -> Report:
    """Run the comparisons."""
    comparisons = {
        "waiting": _waiting(options),
        "rounds": _rounds(options),
        "foreach": _foreach(options, same_bytes=False),
        "foreach, same bytes of input": _foreach(options, same_bytes=True),
    }
    lines = table(comparisons)
    for title, data in comparisons.items():
        for figure in ("commands", "bytes"):
            small, large = (data["variants"][name][figure]["median"] for name in (SMALL, LARGE))
            lines.append(f"{title}: {figure} per unit {small:,.1f} and {large:,.1f}, ratio {large / small:.3f}")
    return Report(lines, {"environment": environment(), "comparisons": comparisons})


@dataclass
class Engine:
    """The engine in this process, on a site."""

    at: Site
    redis: Redis
    bench: Bench

    def start(self, flow: str, text: str, input: dict[str, Any]) -> Any:
        """Start an execution and return its ref."""
        self.bench.deploy(text, flow)
        self.bench.returns("status", {"status": "running"})
        return self.bench.container.starter.start(flow, input, None).key.ref

    def poll(self, number: int) -> int:
        """Make a number of polls, of two messages each: the status after a wait, and the choice, which waits again."""
        for _ in range(number):
            self.bench.pass_time(1)
            self.bench.handle_next()
            self.bench.handle_next()
        return number

    def iterate(self, iterations: int) -> int:
        """Handle messages until so many of iterations were among them."""
        left = iterations
        while left:
            key = self.bench.take()
            left -= key.frame != ROOT
            self.bench.container.engine.handle(key)
        return iterations

    def taken(self) -> list[MessageKey]:
        """Take all messages from the queue."""
        return list(iter(self.bench.take_or_none, None))

    def counters(self) -> dict[str, float]:
        """Return commands, bytes of this client in both directions, and CPU seconds so far."""
        statistics: Any = self.at.redis.info("commandstats")
        commands = sum(figures["calls"] for name, figures in statistics.items() if name[8:] not in _OF_COUNTERS)
        clients: Any = [each for each in self.at.redis.client_list() if each["name"] == CLIENT]
        transferred = sum(int(each[name]) for each in clients for name in ("tot-net-in", "tot-net-out"))
        cpu = {"server": self.at.server_seconds(), "client": time.process_time()}
        return {"commands": commands, "bytes": transferred, **cpu}


_OF_COUNTERS = ("info", "client|list")


@dataclass
class Case:
    """One side of a comparison: `prepare` returns the work of a round, which returns its number of units."""

    name: str
    engine: Engine
    prepare: Callable[[], Callable[[], int]]
    rounds: list[Round] = field(default_factory=list)
    counts: list[Mapping[str, float]] = field(default_factory=list)

    def measure(self) -> None:
        """Run one round and keep its figures."""
        work = self.prepare()
        before, started = self.engine.counters(), time.perf_counter()
        units = work()
        seconds = time.perf_counter() - started
        after = self.engine.counters()
        difference = {name: after[name] - before[name] for name in after}
        self.rounds.append(Round(units, seconds, {name: difference[name] for name in ("client", "server")}))
        self.counts.append({name: difference[name] / units for name in ("commands", "bytes")})


def compared(small: Case, large: Case, unit: str, rounds: int) -> dict[str, Any]:
    """Run the cases in turn, after a round to warm up, and return the comparison."""
    conditions = {"load_1m": round(os.getloadavg()[0], 2), "server": small.engine.at.server}
    for _ in range(max(MIN_ROUNDS, rounds) + 1):
        small.measure()
        large.measure()
    cases = {case.name: case for case in (small, large)}
    data = comparison(SMALL, dict.fromkeys(cases, unit), {name: case.rounds[1:] for name, case in cases.items()})
    for name, case in cases.items():
        for figure in ("commands", "bytes"):
            data["variants"][name][figure] = median_range(counts[figure] for counts in case.counts[1:])
    return {**conditions, **data}


@contextmanager
def _engine(waiting: int) -> Iterator[Engine]:
    """Provide the engine on a site where so many executions wait."""
    with site() as at, Client(at.url) as client:
        original = waiting_execution(at, client, FLOW, seconds=3600)
        copy_execution(at.redis, original.description.key, waiting)
        with Redis.from_url(at.url, decode_responses=True, client_name=CLIENT) as redis:
            yield Engine(at, redis, Bench(redis))


def _polling(engine: Engine, polls: int, events: int = 0) -> Callable[[], Callable[[], int]]:
    """Return how a round of polls is prepared. The execution already has so many events, if any."""

    def prepare() -> Callable[[], int]:
        engine.taken()  # the message of the execution of the last round
        ref = engine.start("polling", FLOW, {"polls": 0})
        engine.bench.handle_next()  # Init
        if events:
            lengthen_history(engine.redis, ref, events)
        return lambda: engine.poll(polls)

    return prepare


def _short_foreach(engine: Engine, iterations: int, padding: int = 0) -> Callable[[], Callable[[], int]]:
    """Return how a round of whole executions with ten iterations each is prepared; `padding` bytes are in the input."""

    def prepare() -> Callable[[], int]:
        engine.taken()
        for _ in range(iterations // FEW_ITEMS):
            engine.start("each", FOREACH, {"items": [0] * FEW_ITEMS, "padding": "x" * padding})
        return lambda: engine.iterate(iterations)

    return prepare


def _long_foreach(engine: Engine, items: int, iterations: int) -> Callable[[], Callable[[], int]]:
    """Return how a round of some iterations of one execution is prepared. It begins when the first ones have ended."""

    def prepare() -> Callable[[], int]:
        engine.taken()
        engine.start("each", FOREACH, {"items": [0] * items})
        engine.iterate(WARM_UP_ITERATIONS)
        return lambda: engine.iterate(iterations)

    return prepare


def _waiting(options: argparse.Namespace) -> dict[str, Any]:
    with _engine(1000) as few, _engine(options.executions) as many:
        small = Case(SMALL, few, _polling(few, options.polls))
        large = Case(LARGE, many, _polling(many, options.polls))
        return compared(small, large, "poll", options.rounds)


def _rounds(options: argparse.Namespace) -> dict[str, Any]:
    with _engine(0) as engine:
        small = Case(SMALL, engine, _polling(engine, options.polls))
        large = Case(LARGE, engine, _polling(engine, options.polls, EVENTS))
        return compared(small, large, "poll", options.rounds)


def _foreach(options: argparse.Namespace, *, same_bytes: bool) -> dict[str, Any]:
    """Compare iterations. Each has the input of its step, with the collection; `same_bytes` pads that of the short."""
    with _engine(0) as engine:
        padding = 2 * (options.foreach - FEW_ITEMS) if same_bytes else 0
        small = Case(SMALL, engine, _short_foreach(engine, options.polls, padding))
        large = Case(LARGE, engine, _long_foreach(engine, options.foreach, options.polls))
        return compared(small, large, "iteration", options.rounds)
