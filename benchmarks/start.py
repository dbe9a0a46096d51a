"""Starts per second of one client, one by one and many at once, against `apply_async` to a queue without a consumer."""

from __future__ import annotations

import argparse

from celery import Celery

from benchmarks.frame import MIN_ROUNDS, Report, Variant, compare, site
from benchmarks.workloads import pollflow_site
from pollflow import Client

FLOW = "{version: v1, type: flow, steps: [{type: pass, name: Pass}]}"
INPUT = {"job_id": "J1", "seconds": 60}
KINDS = ("client", "server")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--starts", type=int, default=2000, help="starts, and messages, per round")
    parser.add_argument("--many", type=int, default=10_000, help="starts of one start_many, in each round")


def run(options: argparse.Namespace) -> Report:
    """Start executions, and send tasks, from this process. No worker runs meanwhile."""
    with (
        pollflow_site("solo", acks=False) as ours,
        site() as raw,
        Client(ours.url) as client,
        Celery("sender", broker=raw.url) as sender,
    ):
        # The worker has registered its routes. Until then a client reads them again at each start.
        ours.stop_workers()
        client.deploy_text(FLOW, "start")

        @sender.task(name="job", ignore_result=True)  # type: ignore[untyped-decorator]
        def job(input: dict[str, object]) -> None:
            """Do nothing: no worker takes it."""

        def start() -> int:
            for _ in range(options.starts):
                client.start("start", INPUT)
            return int(options.starts)

        def start_many() -> int:
            return len(client.start_many("start", [INPUT] * options.many))

        def send() -> int:
            for _ in range(options.starts):
                job.apply_async((INPUT,))
            return int(options.starts)

        subjects = [
            Variant("start", "start", ours, start, KINDS),
            Variant("start_many", "start", ours, start_many, KINDS),
        ]
        baseline = Variant("apply_async", "task", raw, send, KINDS)
        return Report.of({"start": compare(subjects, baseline, options.rounds)})
