"""List: the first 100 of many executions by flow and status, with their open steps."""

from __future__ import annotations

import argparse

from benchmarks.frame import Report, site
from benchmarks.polls import FLOW
from benchmarks.reads import read_times, report_of
from benchmarks.seeding import copy_execution, waiting_execution
from pollflow import Client

TARGET_MS = 20
LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--executions", type=int, default=1_000_000, help="seeded executions (default: a million)")
    parser.add_argument("--reads", type=int, default=200)


def run(options: argparse.Namespace) -> Report:
    """Seed executions that wait for an hour, and read the newest ones."""
    with site() as at, Client(at.url) as client:
        original = waiting_execution(at, client, FLOW, seconds=3600)
        copy_execution(at.redis, original.description.key, options.executions)

        def read() -> None:
            found = client.executions(flow="seeded", status="Running", limit=LIMIT)
            assert len(found) == LIMIT and all(each.description.open_steps[0].type == "wait" for each in found)

        times = read_times(at, read, options.reads)
    return report_of(f"first {LIMIT} of {options.executions:,} executions", times, TARGET_MS)
