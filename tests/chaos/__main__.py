"""`python -m tests.chaos --duration 180 --seed 42`: do one run. The exit status is 1 if a check fails."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.chaos.harness import RunOptions, run, say
from tests.servers import choose_server


def main() -> int:
    """Run with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=180, help="seconds of faults (180)")
    parser.add_argument("--seed", type=int, default=None, help="the seed of load and faults (random, and printed)")
    parser.add_argument("--executions-per-minute", type=float, default=95, help="the rate of starts (95)")
    parser.add_argument(
        "--durability",
        choices=("always", "everysec"),
        default="always",
        help="appendfsync of the server; with everysec a crash may lose the last second (always)",
    )
    parser.add_argument("--summary", type=Path, default=None, help="write the summary as JSON to this file")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs of all processes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    choose_server()
    seed = random.randrange(2**31) if options.seed is None else options.seed
    run_options = RunOptions(seed, options.duration, options.executions_per_minute, options.durability)
    summary = run(run_options)
    say(str(summary))
    if options.summary is not None:
        options.summary.write_text(summary.as_json())
    if summary.problems or summary.unexpected_exits or options.keep:
        (run_options.folder / "summary.json").write_text(summary.as_json())
        say(f"the logs are in {run_options.folder}")
    else:
        shutil.rmtree(run_options.folder, ignore_errors=True)
    return 1 if summary.problems else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
