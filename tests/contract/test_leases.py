"""Lease renewal, and the end of calls that can no longer commit: only the process that still runs the call ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from celery.worker import state as worker_state
from redis import Redis
from redis.client import Pipeline

from pollflow.machine import ReportedSucceeded, Status
from pollflow.runtime.call_marks import CallMarks
from pollflow.runtime.leases import LeaseRenewer, worker_name
from tests.contract.conftest import Bench
from tests.contract.sub_flows import token_of
from tests.flows import CALLBACK, RETRIES, TASK


@dataclass(eq=False)
class Request:
    """The request of a step task in Celery."""

    args: list[Any] = field(default_factory=lambda: ["flow", "x", "id", 1, "r", "token"])
    request_dict: dict[str, Any] = field(default_factory=dict)
    time_start: float = 0.0
    worker_pid: int | None = None
    name: ClassVar[str] = "pollflow.task"
    id: ClassVar[str] = "1"


PID = os.getpid()


@pytest.fixture
def marks() -> CallMarks:
    """Return the marks of this process, which is main process and pool child at once."""
    marks = CallMarks()
    marks.join(0)
    return marks


def run_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, marks: CallMarks, *, since_seconds: float = 0
) -> tuple[LeaseRenewer, list[tuple[int, int | None]]]:
    """Claim and mark the next message. Return the lease renewer of its worker and the signals that it sends."""
    headers, key, ended = bench.queued()[0]["headers"], bench.take(), list[tuple[int, int | None]]()
    bench.container.store.claim(key, f"{worker_name()}.1")
    execution = key.execution
    args = [key.ref.flow, key.ref.name, execution.id, execution.incarnation, key.frame, key.token]
    request = Request(args, headers, time.time() - since_seconds)
    marks.set(key.token)
    monkeypatch.setattr("pollflow.runtime.celery_internals.worker_state.active_requests", {request})

    def terminate(pid: int, number: int | None) -> None:
        ended.append((pid, number))

    return LeaseRenewer(bench.container.store, bench.container.reading, terminate, marks), ended


@pytest.mark.parametrize("child", ["running", "exited", "reaped"])
def test_the_lease_of_a_call_whose_child_has_ended_is_not_renewed(
    bench: Bench, child: str, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = bench.start(TASK)
    renewer, _ = run_next(bench, monkeypatch, marks)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (request,) = worker_state.active_requests
    request.worker_pid = process.pid
    if child != "running":
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | (os.WNOWAIT if child == "exited" else 0))
    before = bench.container.reading.frame(ref, "r")
    bench.pass_time(1)
    renewer.renew()
    after = bench.container.reading.frame(ref, "r")
    process.kill()
    process.communicate()
    assert before is not None and after is not None
    assert (after.lease > before.lease) is (child == "running")


@pytest.mark.parametrize("pattern", ["requestResponse", "waitForCallback"])
def test_a_function_whose_attempt_timed_out_is_terminated_and_then_killed_once(
    bench: Bench, pattern: str, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RETRIES.replace("Busy", "FnF.TaskTimeout") + f"    timeoutSeconds: 10\n    pattern: {pattern}\n"
    bench.start(text)
    renewer, ended = run_next(bench, monkeypatch, marks, since_seconds=11)
    bench.pass_time(11)
    bench.sweep()
    for _ in range(12):
        renewer.renew()
    assert ended == [(PID, None)]
    for _ in range(10):
        renewer.renew()
    assert ended == [(PID, None), (PID, signal.SIGKILL)]


@pytest.mark.parametrize("another", ["", "another token"])
def test_a_child_that_has_left_the_call_is_not_terminated(
    bench: Bench, another: str, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = bench.start(TASK)
    renewer, ended = run_next(bench, monkeypatch, marks)
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
    # Two rounds while the function runs, then the others while the child is idle or calls another function.
    for number in range(20):
        if number == 2:
            marks.set(another) if another else marks.clear()
        renewer.renew()
    assert ended == []


def test_a_child_that_just_leaves_the_call_is_not_terminated(
    bench: Bench, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = bench.start(TASK)
    renewer, ended = run_next(bench, monkeypatch, marks)
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
    # Another process changes the mark.
    with process_with_lock_of(marks):
        for _ in range(5):
            renewer.renew()
        assert ended == []
    renewer.renew()
    assert ended == [(PID, None)]


@contextmanager
def process_with_lock_of(marks: CallMarks) -> Iterator[None]:
    """Hold the lock of the first mark in a process of its own."""
    descriptor = marks._locks
    code = f"import fcntl; fcntl.lockf({descriptor}, fcntl.LOCK_EX, 1, 0); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[descriptor]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.kill()


def test_a_function_whose_callback_was_reported_is_not_terminated(
    bench: Bench, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = bench.start(CALLBACK + "  - {type: wait, name: Long, duration: 1000}\n")
    renewer, ended = run_next(bench, monkeypatch, marks)
    bench.container.engine.report(token_of(bench, ref), ReportedSucceeded({}))
    for _ in range(10):
        renewer.renew()
    assert ended == []


def test_many_leases_are_renewed_in_few_round_trips_before_any_call_is_ended(
    bench: Bench, marks: CallMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,200 requests, of which half can no longer commit."""
    requests = []
    for name in ("running", "stopped"):
        ref = bench.start(TASK, name=name)
        key = bench.take()
        bench.container.store.claim(key, f"{worker_name()}.1")
        args = [ref.flow, ref.name, key.execution.id, key.execution.incarnation, key.frame, key.token]
        requests += [Request(args) for _ in range(600)]
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
    monkeypatch.setattr("pollflow.runtime.celery_internals.worker_state.active_requests", set(requests))
    sent: list[str] = []
    execute, execute_command = Pipeline.execute, Redis.execute_command

    def spy_on_pipeline(self: Any, *args: Any, **options: Any) -> Any:
        sent.append("pipeline")
        return execute(self, *args, **options)

    def spy_on_command(self: Any, *args: Any, **options: Any) -> Any:
        sent.append(str(args[0]))
        return execute_command(self, *args, **options)

    monkeypatch.setattr(Pipeline, "execute", spy_on_pipeline)
    monkeypatch.setattr(Redis, "execute_command", spy_on_command)
    renewer = LeaseRenewer(bench.container.store, bench.container.reading, lambda *_: None, marks)
    for _ in range(3):
        sent.clear()
        renewer.renew()
    # Reading the state of calls that may be ended comes after the renewals, and is bounded.
    assert sent[:3] == ["pipeline"] * 3
    assert len(sent) <= 3 + 20 * 2
