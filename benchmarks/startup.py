"""Wall time of commands that need no server, against `python -c "from celery import Celery"`."""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.frame import MIN_ROUNDS, PROJECT, Report

FLOW = PROJECT / "flows" / "task_polling.yaml"
BASELINE = 'python -c "from celery import Celery"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=10)


def run(options: argparse.Namespace) -> Report:
    """Run every command once in each round, so that a busy machine slows all of them alike."""
    rounds = max(MIN_ROUNDS, options.rounds)
    with tempfile.TemporaryDirectory(prefix="pollflow-startup-") as folder:
        shutil.copy(FLOW, folder)
        commands = commands_in(Path(folder))
        for command in commands.values():  # warm-up: writes the bytecode files
            command()
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                times[name].append(command())
    return report_of(times, rounds)


def commands_in(folder: Path) -> dict[str, Callable[[], float]]:
    """Return the commands by name; each runs once when it is called, and returns its wall time."""
    pollflow = [sys.executable, "-m", "pollflow.cli"]
    numbers = itertools.count()
    return {
        BASELINE: lambda: seconds([sys.executable, "-c", "from celery import Celery"], folder),
        "pollflow --help": lambda: seconds([*pollflow, "--help"], folder),
        "pollflow run --help": lambda: seconds([*pollflow, "run", "--help"], folder),
        "pollflow init": lambda: seconds([*pollflow, "init", f"project-{next(numbers)}"], folder),
        "pollflow schema": lambda: seconds([*pollflow, "schema"], folder),
        "pollflow lint FLOW": lambda: seconds([*pollflow, "lint", FLOW.name], folder),
        "pollflow lint --functions FLOW": lambda: seconds([*pollflow, "lint", "--functions", str(FLOW)], PROJECT),
    }


def seconds(command: list[str], folder: Path) -> float:
    """Run a command and return its wall time."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def report_of(times: dict[str, list[float]], rounds: int) -> Report:
    """Return medians, spread, and ratios to the baseline."""
    baseline = statistics.median(times[BASELINE])
    lines = [f"{rounds} rounds, Python {sys.version.split()[0]}: median (lowest-highest), ratio to the baseline"]
    data = {}
    for name, measured in times.items():
        median = statistics.median(measured)
        data[name] = {"median": median, "min": min(measured), "max": max(measured), "ratio": median / baseline}
        spread = f"({min(measured):.3f}-{max(measured):.3f})"
        lines.append(f"{name:<40} {median:.3f} s  {spread}  {median / baseline:.2f} x")
    return Report(lines, {"unit": "second", "rounds": rounds, "commands": data})
