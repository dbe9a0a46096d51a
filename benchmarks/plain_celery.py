"""SIGKILL of the worker in the middle, put to a plain Celery poller and to pollflow, side by side.

    python benchmarks/plain_celery.py [--kills 20] [--jobs 8] [--visibility 30]

Each job starts something, and asks for its status every two seconds, three times. The plain poller is what the
Celery manual gives: `acks_late`, `reject_on_worker_lost`, `self.retry(countdown=2)`, and a visibility timeout that is
shortened from an hour so that the run ends today. Both run one prefork worker of two children on a private Redis. A
call of the status takes half a second, so that kills fall into waits and calls alike.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))
COUNTDOWN, QUERIES, CALL = 2.0, 3, 0.5

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


def note(redis: Any, job: str, what: str) -> None:
    redis.rpush("calls", json.dumps([job, what, time.time(), os.getpid()]))


if "BENCH_REDIS" in os.environ:  # the worker
    from celery import Celery
    from redis import Redis

    import pollflow

    url = os.environ["BENCH_REDIS"]
    redis = Redis.from_url(url, decode_responses=True)
    app = Celery("plain_celery", broker=url)
    app.conf.broker_connection_retry_on_startup = True
    app.conf.broker_transport_options = {
        "visibility_timeout": float(os.environ["BENCH_VISIBILITY"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }
    if os.environ["BENCH_KIND"] == "pollflow":
        app.conf.pollflow_max_countdown = 10.0
        pollflow.attach(app, url)

    @app.task(name="poll", bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=None, ignore_result=True)
    def poll(self: Any, job: str, queries: int = 0) -> None:
        if queries == 0:
            note(redis, job, "start")
        else:
            note(redis, job, f"status-{queries}")
            time.sleep(CALL)
        if queries == QUERIES:
            note(redis, job, "end")
            return
        raise self.retry(args=(job, queries + 1), countdown=COUNTDOWN)

    @pollflow.function("b/start")
    def start(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
        note(redis, context.execution_name, "start")
        return {"queries": 0}

    @pollflow.function("b/status")
    def status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
        queries = input["queries"] + 1
        note(redis, context.execution_name, f"status-{queries}")
        time.sleep(CALL)
        if queries == QUERIES:
            note(redis, context.execution_name, "end")
        return {"queries": queries, "job_status": "running" if queries < QUERIES else "success"}


class Trial:
    """One kind on a Redis of its own."""

    def __init__(self, kind: str, arguments: argparse.Namespace, folder: Path) -> None:
        from redis import Redis

        from pollflow import Client
        from pollflow.server import EmbeddedServer

        self.kind, self.arguments, self.folder = kind, arguments, folder
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        self.redis = Redis.from_url(self.server.url, decode_responses=True)
        self.client = Client(self.server.url)
        self.client.deploy_text(FLOW, "poll")
        self.env = {
            **os.environ,
            "BENCH_REDIS": self.server.url,
            "BENCH_KIND": kind,
            "BENCH_VISIBILITY": str(arguments.visibility),
        }
        self.pauses: list[float] = []
        self.jobs: list[str] = []

    def run(self) -> dict[str, Any]:
        worker = self.worker()
        for number in range(self.arguments.kills):
            for _ in range(self.arguments.jobs):
                self.begin()
            while {job for job, what, *_ in self.calls() if what == "start"} < set(self.jobs):
                time.sleep(0.02)
            time.sleep(0.3 * (number % 10))  # at another point of the round each time
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            open_jobs = [job for job in self.jobs if job not in self.ended()]
            worker = self.worker()
            self.pauses += self.gone_on(open_jobs, time.time())
        deadline = time.monotonic() + self.arguments.visibility * 2 + 20
        while time.monotonic() < deadline and not self.is_over():
            time.sleep(0.2)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        result = self.result()
        self.client.close()
        self.redis.close()
        self.server.stop()
        return result

    def worker(self) -> subprocess.Popen[bytes]:
        """Starts the worker, and waits until it is ready: that takes its time, and is neither's merit."""
        command = [sys.executable, "-m", "celery", "-A", "benchmarks.plain_celery", "worker", "-l", "INFO", "-c", "2"]
        path = self.folder / "worker.log"
        with path.open("wb") as log:
            worker = subprocess.Popen(
                command, cwd=PROJECT, env=self.env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        while " ready." not in path.read_text(errors="replace"):
            time.sleep(0.02)
        return worker

    def begin(self) -> None:
        name = f"job-{len(self.jobs)}"
        self.jobs.append(name)
        if self.kind == "pollflow":
            self.client.start("poll", {}, name=name)
        else:
            from celery import Celery

            with Celery("sender", broker=self.server.url) as sender:
                sender.send_task("poll", args=(name,))

    def calls(self) -> list[list[Any]]:
        return [json.loads(text) for text in self.redis.lrange("calls", 0, -1)]

    def ended(self) -> set[str]:
        return {job for job, what, *_ in self.calls() if what == "end"}

    def is_over(self) -> bool:
        return len(self.ended()) == len(self.jobs) and not self.client.executions(status="Running", limit=1)

    def gone_on(self, jobs: list[str], since: float) -> list[float]:
        """For each job that was open, how long until its next call; bounded, where one is lost."""
        most = self.arguments.visibility + 10
        found: dict[str, float] = {}
        while len(found) < len(jobs) and time.time() - since < most:
            for job, _, at, _ in self.calls():
                if at > since and job in jobs:
                    found.setdefault(job, at - since)
            time.sleep(0.05)
        return [found.get(job, most) for job in jobs]

    def result(self) -> dict[str, Any]:
        calls = self.calls()
        counted = Counter((job, what) for job, what, *_ in calls)
        pauses = sorted(self.pauses)
        histories = "-"
        if self.kind == "pollflow":
            statuses = Counter(execution.status for execution in self.client.executions(flow="poll", limit=10_000))
            histories = str(dict(statuses))
        return {
            "jobs": len(self.jobs),
            "lost": len(self.jobs) - len(self.ended()),
            "ran twice": sum(count - 1 for count in counted.values()),
            "p50": pauses[len(pauses) // 2],
            "max": pauses[-1],
            "ended": histories,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=8, help="started before each kill")
    parser.add_argument("--visibility", type=float, default=30)
    arguments = parser.parse_args()
    print(f"{arguments.kills} kills, {arguments.jobs} jobs each, visibility timeout {arguments.visibility:g} s")
    print("| | jobs | lost | calls made again | a job goes on after, p50 | max | executions |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in ("plain Celery", "pollflow"):
        with tempfile.TemporaryDirectory() as folder:
            found = Trial(kind, arguments, Path(folder)).run()
        print(
            f"| {kind} | {found['jobs']} | {found['lost']} | {found['ran twice']} | {found['p50']:.1f} s | "
            f"{found['max']:.1f} s | {found['ended']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
