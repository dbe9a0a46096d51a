"""The Celery app of pollflow in benchmarks: with acknowledgements if BENCH_ACKS is 1, else a dedicated app without."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

import pollflow

app = Celery("bench", broker=os.environ["POLLFLOW_REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
if os.environ["BENCH_ACKS"] == "0":
    app.conf.broker_transport_options = {"ack_emulation": False, "visibility_timeout": 3600}
if "BENCH_COUNTDOWNS" in os.environ:
    app.conf.pollflow_max_countdown_messages = int(os.environ["BENCH_COUNTDOWNS"])
pollflow.attach(app)


@pollflow.function("bench/nothing")
def nothing(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return an empty output."""
    return {}


@pollflow.function("bench/status")
def status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return the status of a job that runs for `polls` polls."""
    number = input["number"] + 1
    return {"number": number, "status": "running" if number < input["polls"] else "done"}


@pollflow.function("bench/slow_status")
def slow_status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return the same after a pause, as a call over the network does."""
    time.sleep(0.02)
    return status(input, context)
