"""The polling flow of the process tests, and the check of its runs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from redis import Redis

from pollflow import Execution

SOON = 15.0
"""Seconds: many times what recovery takes, so that a busy machine fails no test. Benchmarks measure the real figure."""

FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Start, resourceArn: "acs:fc:::services/jobs/functions/start"}
  - {type: wait, name: Wait, duration: $.wait}
  - type: task
    name: Status
    resourceArn: acs:fc:::services/jobs/functions/status
  - type: choice
    name: Check
    choices:
      - {condition: '$.job_status == "running"', goto: Wait}
  - {type: succeed, name: Done}
"""


def calls(redis_url: str) -> list[dict[str, Any]]:
    """Return every call of a function, in order."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        return [json.loads(text) for text in client.lrange("test:calls", 0, -1)]


def assert_sound(execution: Execution) -> None:
    """Check that the history has no gap and no duplicate."""
    history = execution.history()
    assert [event.id for event in history] == list(range(1, len(history) + 1))
    assert [event.time for event in history] == sorted(event.time for event in history)
    assert all(event.cause < event.id for event in history)
    kinds = Counter(event.type for event in history)
    assert kinds["ExecutionStarted"] == 1
    assert sum(kinds[f"Execution{end}"] for end in ("Succeeded", "Failed", "Stopped", "TimedOut")) == 1
    assert kinds["StepEntered"] == kinds["StepStarted"] == kinds["StepExited"] == kinds["StepSucceeded"]
    assert kinds["TaskSucceeded"] == kinds["TaskScheduled"]
