"""A worker drops every message with a revoked id, for hours. So each message has an id of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from pollflow import TaskError
from pollflow.runtime import messages
from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.store import ExecutionRef, MessageKey
from tests.contract.conftest import Bench
from tests.flows import BRANCHES, EACH, LOOP, RETRIES, WAIT

LAST_WAIT = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: 5}
"""
FLOWS = {"each": EACH, "branches": BRANCHES, "loop": LOOP, "retries": RETRIES, "wait": WAIT, "last wait": LAST_WAIT}


@dataclass
class Worker:
    """Takes messages until the execution ends. `revokes`: the first message of each entry and attempt is revoked."""

    bench: Bench
    revokes: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    def run(self, ref: ExecutionRef) -> None:
        for _ in range(1000):
            text = self.bench.redis.rpop(DEFAULT_QUEUE)
            if text is not None:
                self._take(json.loads(text))
            elif self.bench.status(ref) != "Running":
                return
            else:
                self.bench.pass_time(3)
                self.bench.sweep()
        raise AssertionError(f"the execution does not end; revoked: {sorted(self.revoked)}")

    def _take(self, message: dict[str, Any]) -> None:
        headers, engine = message["headers"], self.bench.container.engine
        self.taken.append(headers)
        if headers["id"] in self.revoked:
            return
        key = messages.key_of(json.loads(message["body"])[0])
        is_first = "~" not in headers["id"]
        if self.revokes and is_first:
            self.revoked.add(headers["id"])
        if is_first and self.revokes == "queued":
            return
        self._await_countdown(key)
        if is_first and self.revokes == "running" and headers["task"] == "pollflow.task":
            engine.release(self.bench.claim(key))
        else:
            engine.handle(key)

    def _await_countdown(self, key: MessageKey) -> None:
        record = self.bench.container.reading.frame(key.ref, key.frame)
        if record is not None and record.due > self.bench.now():
            self.bench.pass_time(record.due - self.bench.now())


def start(bench: Bench, flow: str) -> ExecutionRef:
    bench.build_container(max_concurrency=2)
    bench.returns("status", {"done": False}, {"done": True})
    bench.returns("call", *([TaskError("Busy"), {"v": 1}] if flow == "retries" else [{"v": 1}]))
    bench.returns("left", {})
    return bench.start(FLOWS[flow], {"items": [1, 2, 3, 4, 5], "seconds": 5})


@pytest.mark.parametrize("flow", FLOWS)
def test_a_step_whose_queued_message_is_revoked_runs_within_seconds(bench: Bench, flow: str) -> None:
    ref, worker = start(bench, flow), Worker(bench, revokes="queued")
    before = bench.now()
    worker.run(ref)
    assert bench.status(ref) == "Succeeded"
    waits = {"branches": 100, "loop": 10, "retries": 10, "wait": 5, "last wait": 5}.get(flow, 0)
    assert bench.now() - before - waits <= 6 * len(worker.revoked)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_running_call_whose_message_is_revoked_is_called_again(bench: Bench, flow: str) -> None:
    ref, worker = start(bench, flow), Worker(bench, revokes="running")
    worker.run(ref)
    assert bench.status(ref) == "Succeeded"


@pytest.mark.parametrize("flow", FLOWS)
def test_no_two_messages_of_an_execution_have_the_same_id(bench: Bench, flow: str) -> None:
    ref, worker = start(bench, flow), Worker(bench)
    bench.redis.delete(DEFAULT_QUEUE)  # the first message is lost
    worker.run(ref)
    ids = Counter(headers["id"] for headers in worker.taken)
    assert max(ids.values()) == 1


def test_a_redelivered_message_belongs_to_the_execution_and_the_first_message(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 0})
    (first,) = bench.queued()
    bench.redis.delete(DEFAULT_QUEUE)
    bench.pass_time(3)
    bench.sweep()
    (second,) = bench.queued()
    execution, identity = bench.key(ref).id, first["headers"]["id"]
    assert second["headers"]["id"] == second["properties"]["correlation_id"] == f"{identity}~2"
    assert (second["headers"]["root_id"], second["headers"]["parent_id"]) == (execution, identity)
    assert second["headers"]["argsrepr"] == first["headers"]["argsrepr"]
