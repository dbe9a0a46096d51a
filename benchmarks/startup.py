"""Start time of commands that need no server, against `python -c "from celery import Celery"`.

    python benchmarks/startup.py [ROUNDS]

Each round runs every command once, so that a busy machine slows all of them alike. Prints the median and the spread
of the wall time and its ratio to the baseline. `lint` runs twice: outside a project, where it imports no Celery, and
in this project, where it imports the app to check the names of functions.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FLOW = PROJECT / "flows" / "task_polling.yaml"
MIN_ROUNDS = 5
BASELINE = 'python -c "from celery import Celery"'


def seconds(command: list[str], folder: Path) -> float:
    """Run a command and return its wall time."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the wall times of each command."""
    shutil.copy(FLOW, folder / FLOW.name)
    pollflow = [sys.executable, "-m", "pollflow.cli"]
    commands = {
        BASELINE: ([sys.executable, "-c", "from celery import Celery"], folder),
        "pollflow --help": ([*pollflow, "--help"], folder),
        "pollflow lint FLOW": ([*pollflow, "lint", FLOW.name], folder),
        "pollflow lint FLOW (in a project)": ([*pollflow, "lint", str(FLOW)], PROJECT),
    }
    for command, cwd in commands.values():  # warm-up: writes the bytecode files
        seconds(command, cwd)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (command, cwd) in commands.items():
            times[name].append(seconds(command, cwd))
    return times


def main() -> None:
    rounds = max(MIN_ROUNDS, int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    with tempfile.TemporaryDirectory(prefix="pollflow-startup-") as folder:
        times = measure(rounds, Path(folder))
    baseline = statistics.median(times[BASELINE])
    print(f"{rounds} rounds, Python {sys.version.split()[0]}")
    for name, measured in times.items():
        median = statistics.median(measured)
        spread = f"{min(measured):.3f}-{max(measured):.3f}"
        print(f"{name:<40} {median:.3f} s  ({spread})  {median / baseline:.2f} x")


if __name__ == "__main__":
    main()
