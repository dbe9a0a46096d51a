"""The Celery app of the benchmark `plain_celery`: a plain poller, or pollflow if BENCH_VARIANT is `pollflow`."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery
from redis import Redis

import pollflow

COUNTDOWN, QUERIES, CALL = 2.0, 3, 0.5

url = os.environ["POLLFLOW_REDIS_URL"]
redis = Redis.from_url(url, decode_responses=True)
app = Celery("plain_celery", broker=url)
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_transport_options = {
    "visibility_timeout": float(os.environ["BENCH_VISIBILITY"]),
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
if os.environ["BENCH_VARIANT"] == "pollflow":
    app.conf.pollflow_max_countdown = 10.0
    pollflow.attach(app, url)


def record(job: str, event: str) -> None:
    redis.rpush("calls", json.dumps([job, event, time.time(), os.getpid()]))


@app.task(name="poll", bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=None, ignore_result=True)
def poll(self: Any, job: str, queries: int = 0) -> None:
    if queries == 0:
        record(job, "start")
    else:
        record(job, f"status-{queries}")
        time.sleep(CALL)
    if queries == QUERIES:
        record(job, "end")
        return
    raise self.retry(args=(job, queries + 1), countdown=COUNTDOWN)


@pollflow.function("b/start")
def start(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    record(context.execution_name, "start")
    return {"queries": 0}


@pollflow.function("b/status")
def status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    queries = input["queries"] + 1
    record(context.execution_name, f"status-{queries}")
    time.sleep(CALL)
    if queries == QUERIES:
        record(context.execution_name, "end")
    return {"queries": queries, "job_status": "running" if queries < QUERIES else "success"}
