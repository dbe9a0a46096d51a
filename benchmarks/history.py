"""History: the last page of a long history."""

from __future__ import annotations

import argparse

from benchmarks.frame import Report, site
from benchmarks.polls import FLOW
from benchmarks.reads import read_times, report_of
from benchmarks.seeding import lengthen_history, waiting_execution
from pollflow import Client

TARGET_MS = 5
PAGE = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--events", type=int, default=130_000, help="events of a day of polling every ten seconds")
    parser.add_argument("--reads", type=int, default=200)


def run(options: argparse.Namespace) -> Report:
    """Seed a history and read its last page."""
    with site() as at, Client(at.url) as client:
        execution = waiting_execution(at, client, FLOW, seconds=3600)
        lengthen_history(at.redis, execution.description.key.ref, options.events)

        def read() -> None:
            found = execution.history(after=options.events - PAGE)
            assert len(found) == PAGE and found[-1].id == options.events

        times = read_times(at, read, options.reads)
    return report_of(f"last {PAGE} of {options.events:,} events", times, TARGET_MS)
