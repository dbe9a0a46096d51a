"""Kill the worker repeatedly: a plain Celery poller against pollflow.

Each job makes a start call and then three status calls, two seconds apart. The plain poller follows the Celery
manual: `acks_late`, `reject_on_worker_lost`, `self.retry(countdown=2)`. Its visibility timeout is reduced from an hour
to shorten the run. Both variants run one prefork worker with two children on a Redis of their own. A status call takes
half a second, so that kills interrupt both waits and calls.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections import Counter
from typing import Any

from celery import Celery

from benchmarks.frame import Report, Site, site
from pollflow import Client

APP = "benchmarks.plain_celery_app"
COUNTDOWN = 2.0

FLOW = f"""
version: v1
type: flow
steps:
  - {{type: task, name: Start, resourceArn: "acs:fc:::services/b/functions/start"}}
  - {{type: wait, name: Wait, duration: {COUNTDOWN:g}}}
  - type: task
    name: Status
    resourceArn: acs:fc:::services/b/functions/status
  - type: choice
    name: Check
    choices:
      - {{condition: '$.job_status == "running"', goto: Wait}}
  - {{type: succeed, name: Done}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=8, help="started before each kill")
    parser.add_argument("--visibility", type=float, default=30, help="visibility timeout in seconds")


def run(options: argparse.Namespace) -> Report:
    """Run the plain poller, then pollflow."""
    lines = [
        f"{options.kills} kills, {options.jobs} jobs each, visibility timeout {options.visibility:g} s",
        "| | jobs | lost | repeated calls | pause after a kill, p50 | max | executions |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    results: dict[str, dict[str, Any]] = {}
    for variant in ("plain Celery", "pollflow"):
        with site() as at, Client(at.url) as client:
            result = results[variant] = Trial(variant, options, at, client).run()
        lines.append(
            f"| {variant} | {result['jobs']} | {result['lost']} | {result['repeated']} | {result['p50']:.1f} s | "
            f"{result['max']:.1f} s | {result['statuses']} |"
        )
    return Report(lines, results)


class Trial:
    """One variant on a Redis of its own."""

    def __init__(self, variant: str, options: argparse.Namespace, at: Site, client: Client) -> None:
        self.variant, self.options, self.at, self.client = variant, options, at, client
        client.deploy_text(FLOW, "poll")
        self.pauses: list[float] = []
        self.jobs: list[str] = []

    def run(self) -> dict[str, Any]:
        """Start jobs and kill the worker in turn, then wait until all jobs have ended."""
        self.start_worker()
        for number in range(self.options.kills):
            for _ in range(self.options.jobs):
                self.start_job()
            while {job for job, event, *_ in self.calls() if event == "start"} < set(self.jobs):
                time.sleep(0.02)
            time.sleep(0.3 * (number % 10))  # kill at a different point of the loop in each round
            self.kill_worker()
            open_jobs = [job for job in self.jobs if job not in self.ended()]
            self.start_worker()
            self.pauses += self.pauses_of(open_jobs, time.time())
        deadline = time.monotonic() + self.options.visibility * 2 + 20
        while time.monotonic() < deadline and not self.is_over():
            time.sleep(0.2)
        self.kill_worker()
        return self.result()

    def start_worker(self) -> None:
        """Start the worker and wait until it is ready, so that its start time counts for neither variant."""
        env = {"BENCH_VARIANT": self.variant, "BENCH_VISIBILITY": str(self.options.visibility)}
        self.at.start_worker(APP, "-c", "2", env=env)

    def kill_worker(self) -> None:
        worker = self.at.workers[-1]
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def start_job(self) -> None:
        name = f"job-{len(self.jobs)}"
        self.jobs.append(name)
        if self.variant == "pollflow":
            self.client.start("poll", {}, name=name)
        else:
            with Celery("sender", broker=self.at.url) as sender:
                sender.send_task("poll", args=(name,))

    def calls(self) -> list[list[Any]]:
        return [json.loads(text) for text in self.at.redis.lrange("calls", 0, -1)]

    def ended(self) -> set[str]:
        return {job for job, event, *_ in self.calls() if event == "end"}

    def is_over(self) -> bool:
        return len(self.ended()) == len(self.jobs) and not self.client.executions(status="Running", limit=1)

    def pauses_of(self, jobs: list[str], since: float) -> list[float]:
        """Return the seconds until the next call of each open job, or the limit for a lost job."""
        limit = self.options.visibility + 10
        found: dict[str, float] = {}
        while len(found) < len(jobs) and time.time() - since < limit:
            for job, _, at, _ in self.calls():
                if at > since and job in jobs:
                    found.setdefault(job, at - since)
            time.sleep(0.05)
        return [found.get(job, limit) for job in jobs]

    def result(self) -> dict[str, Any]:
        counted = Counter((job, event) for job, event, *_ in self.calls())
        pauses = sorted(self.pauses) or [0.0]
        statuses = Counter(execution.status for execution in self.client.executions(flow="poll", limit=10_000))
        return {
            "jobs": len(self.jobs),
            "lost": len(self.jobs) - len(self.ended()),
            "repeated": sum(count - 1 for count in counted.values()),
            "p50": pauses[len(pauses) // 2],
            "max": pauses[-1],
            "statuses": dict(statuses),
        }
