"""Run one benchmark: `python -m benchmarks NAME [--json] [options]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from importlib import import_module

NAMES = (
    "table",
    "transitions",
    "polls",
    "start",
    "peers",
    "history",
    "list",
    "recovery",
    "growth",
    "codec",
    "plain_celery",
    "waiting",
    "lateness",
    "burst",
    "day_of_polling",
    "startup",
)


def main() -> None:
    """Parse the command line, run the benchmark and print its report."""
    # So that SIGTERM stops the servers and workers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(metavar="NAME", required=True)
    for name in NAMES:
        module = import_module(f"benchmarks.{name}")
        help = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=help, description=help)
        command.add_argument("--json", action="store_true", help="print the report as JSON")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    report = options.run(options)
    print(json.dumps(report.data, indent=2) if options.json else "\n".join(report.lines))


if __name__ == "__main__":
    sys.exit(main())
