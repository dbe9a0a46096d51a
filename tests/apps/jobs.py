"""The Celery app of process tests: functions that record every call in Redis, and block if their input says so.

The settings come from POLLFLOW_TEST_CONF (JSON of Celery configuration). Run as `celery -A tests.apps.jobs worker`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from celery import Celery
from redis import Redis

import pollflow

url = os.environ["POLLFLOW_REDIS_URL"]
app = Celery("jobs", broker=os.environ.get("POLLFLOW_TEST_BROKER", url))
app.conf.broker_connection_retry_on_startup = True
app.conf.update(json.loads(os.environ.get("POLLFLOW_TEST_CONF", "{}")))
pollflow.attach(app, url)
app.conf.beat_schedule = pollflow.beat_schedule(1)
# The calls may be recorded by another user than that of the worker.
redis = Redis.from_url(os.environ.get("POLLFLOW_TEST_CALLS", url), decode_responses=True)


def record(input: dict[str, Any], context: pollflow.Context) -> int:
    """Record a call. Return the number of calls with its idempotency key, including this one."""
    call = {"step": context.step, "key": context.idempotency_key, "input": input, "pid": os.getpid()}
    redis.rpush("test:calls", json.dumps(call))
    return int(redis.hincrby("test:keys", context.idempotency_key, 1))


@app.task(name="own.quick", ignore_result=True)  # type: ignore[untyped-decorator]
def quick() -> None:
    """Do nothing: a task of the app itself."""


@app.task(name="own.double", ignore_result=False)  # type: ignore[untyped-decorator]
def double(number: int) -> int:
    """Return twice the number: a task of the app itself with a result."""
    return 2 * number


@pollflow.function("jobs/start")
def start(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    record(input, context)
    return {"job_id": f"job-{context.execution_name}", "tries": 0}


@pollflow.function("jobs/status")
def status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return success at query number `input["done_at"]`.

    The first call takes `input["block"]` seconds, or lasts until the key `input["release"]` exists.
    """
    calls = record(input, context)
    tries = input["tries"] + 1
    if calls == context.attempt == tries == 1:
        time.sleep(input.get("block", 0))
        while "release" in input and not redis.exists(input["release"]):
            time.sleep(0.05)
    return {"tries": tries, "job_status": "success" if tries >= input.get("done_at", 2) else "running"}


@pollflow.function("jobs/die")
def die(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Kill the own process."""
    record(input, context)
    os.kill(os.getpid(), 9)
    return {}


@pollflow.function("jobs/raise")
def raise_(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Raise what `input["error"]` names."""
    record(input, context)
    match input["error"]:
        case "exit":
            sys.exit(3)
        case "cancelled":
            raise asyncio.CancelledError
        case "generator exit":
            raise GeneratorExit
        case "secret":
            context.logger.info("logs %s\n[ERROR] imitated\x1b[2J", input["password"])
            raise ValueError(f"{input['password']} is wrong\n[ERROR] imitated\x1b[2J; token {input.get('callback')}")
        case "other redis":
            pollflow.Client("redis://127.0.0.1:1/0").flows()
    return {}


@pollflow.function("jobs/echo")
def echo(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    record(input, context)
    return input


@pollflow.function("jobs/slow")
def slow(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return after `input["seconds"]`."""
    record(input, context)
    time.sleep(input["seconds"])
    return {}


@pollflow.function("jobs/report")
def report(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Report the success of the own step, then continue for `input["seconds"]`."""
    with pollflow.Client(url) as client:
        client.report_succeeded(input["token"], {"v": 1})
    time.sleep(input["seconds"])
    record(input, context)
    return {}


@pollflow.function("jobs/fail")
def fail(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Fail with `input["error"]`, from attempt `input["succeeds_at"]` on succeed."""
    record(input, context)
    if context.attempt < input.get("succeeds_at", 1_000):
        raise pollflow.TaskError(input["error"], "no such bucket")
    return {}
