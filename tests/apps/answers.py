"""The Celery app of random flows: functions `f0` to `f2` return what a test has stored for the flow."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from redis import Redis

import pollflow

url = os.environ["POLLFLOW_REDIS_URL"]
app = Celery("answers", broker=url)
app.conf.update(
    broker_connection_retry_on_startup=True,
    pollflow_max_events=400,
    pollflow_max_concurrency=3,
    pollflow_max_payload_bytes=4096,
)
pollflow.attach(app, url)
redis = Redis.from_url(url, decode_responses=True)


def register(name: str) -> None:
    @pollflow.function(name)
    def function(input: dict[str, Any], context: pollflow.Context) -> Any:
        answer = json.loads(redis.hget("test:answers", context.flow_name) or "{}")[name]
        if answer["raises"]:
            raise pollflow.TaskError(*answer["raises"])
        return answer["returns"]


for number in range(3):
    register(f"f{number}")
