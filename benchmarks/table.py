"""One table of transitions, polls and start, in sizes that take at most 12 minutes on two idle cores."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import polls, start, transitions
from benchmarks.frame import MIN_ROUNDS, Report

SIZES = (
    (transitions, ("--executions", "20")),
    # Each execution waits for a second before each poll, so 300 of them make at most 300 polls per second.
    (polls, ("--executions", "300", "--polls", "5", "--chains", "20")),
    (start, ("--starts", "1000", "--many", "5000")),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)


def run(options: argparse.Namespace) -> Report:
    """Run the benchmarks one after another, and print the table of each to standard error as soon as it is known."""
    comparisons: dict[str, Any] = {}
    for module, sizes in SIZES:
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        report = module.run(parser.parse_args([*sizes, "--rounds", str(options.rounds)]))
        print(*report.lines, sep="\n", file=sys.stderr, flush=True)
        comparisons |= report.data["comparisons"]
    return Report.of(comparisons)
