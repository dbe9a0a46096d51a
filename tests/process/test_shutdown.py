"""Workers that shut down finish or release their calls, and other workers take what they held."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from celery import Celery
from redis import Redis

from pollflow import Execution
from tests.process.jobs import Jobs
from tests.process.polling import SOON, assert_sound, calls
from tests.processes import Started

pytestmark = pytest.mark.process

ACKS = pytest.mark.parametrize("ack_emulation", [True, False])


def restarted_after(execution: Execution, step: str) -> float:
    """Return the seconds between the first and the second call of a step."""
    first, second, *_ = [e.time for e in execution.history() if e.type == "TaskStarted" and e.step == step]
    return (second - first).total_seconds()


def lateness(execution: Execution, wait: float) -> list[float]:
    """Return for each wait the seconds from its end to the next step."""
    return [
        (after.time - event.time).total_seconds() - wait
        for event, after in pairwise([e for e in execution.history() if e.type in ("StepStarted", "StepExited")])
        if event.type == "StepStarted" and event.step == "Wait"
    ]


def test_a_warm_shutdown_lets_a_call_end_and_commits_it(jobs: Jobs) -> None:
    first = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 4, "done_at": 1})
    jobs.until_called(execution, "Status")
    jobs.worker()
    assert first.stop() == 0
    assert "Traceback" not in first.output()
    assert execution.wait(20).status == "Succeeded"
    assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status"]
    assert_sound(execution)


def test_a_soft_shutdown_releases_interrupted_calls(jobs: Jobs) -> None:
    jobs.processes.env["REMAP_SIGTERM"] = "SIGQUIT"
    # The step would fail if the interruption counted as a crash.
    # The lease is so long that only a release makes the second call within this test.
    conf = {"worker_soft_shutdown_timeout": 1.0, "pollflow_max_crashes": 1, "pollflow_lease": 300.0}
    first = jobs.worker(**conf)
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300, "done_at": 1})
    jobs.until_called(execution, "Status")
    jobs.worker(**conf)
    stopped = time.time()
    first.process.send_signal(signal.SIGTERM)
    jobs.until(execution, "TaskStarted", "Status", count=2, timeout=SOON)
    second = [e.time for e in execution.history() if e.type == "TaskStarted" and e.step == "Status"][1]
    assert second.timestamp() - stopped >= 1
    assert execution.wait(20).status == "Succeeded"
    assert "released an interrupted call" in jobs.log()
    assert_sound(execution)
    keys = Counter(call["key"] for call in calls(jobs.url) if call["step"] == "Status")
    assert list(keys.values()) == [2]


def by_signal(jobs: Jobs, worker: Started) -> None:
    worker.process.send_signal(signal.SIGTERM)


def by_remote_control(jobs: Jobs, worker: Started) -> None:
    with Celery(broker=jobs.url) as app:
        app.control.shutdown()


@pytest.mark.parametrize(("stop", "ack_emulation"), [(by_signal, True), (by_signal, False), (by_remote_control, True)])
def test_messages_of_a_stopping_worker_go_to_other_workers(
    jobs: Jobs, stop: Callable[[Jobs, Started], None], ack_emulation: bool
) -> None:
    conf = {"broker_transport_options": {"ack_emulation": ack_emulation}}
    first = jobs.worker("-c", "1", **conf)
    waiting = jobs.client.start("polling", {"wait": 6, "done_at": 1})
    jobs.until(waiting, "StepStarted", "Wait")
    blocking = jobs.client.start("polling", {"wait": 0.1, "release": "test:release", "done_at": 1})
    jobs.until(blocking, "TaskStarted", "Status")
    # Taken by the first worker, behind the call.
    behind = [jobs.client.start("polling", {"wait": 0.1, "done_at": 1}) for _ in range(3)]
    with Redis.from_url(jobs.url) as client:
        while client.llen("celery"):
            time.sleep(0.02)
    stop(jobs, first)
    second = jobs.worker("-c", "1", **conf)
    for execution in (*behind, waiting):
        assert execution.wait(SOON).status == "Succeeded"
    assert blocking.refresh().status == "Running"
    with Redis.from_url(jobs.url) as client:
        client.set("test:release", 1)
    assert blocking.wait(SOON).status == "Succeeded"
    for execution in (waiting, blocking, *behind):
        assert_sound(execution)
    assert second.process.poll() is None
    assert len(calls(jobs.url)) == 10


@ACKS
def test_a_rolling_restart_under_load_loses_and_repeats_no_step(jobs: Jobs, ack_emulation: bool) -> None:
    conf = {"broker_transport_options": {"ack_emulation": ack_emulation}}
    workers = [jobs.worker("-c", "1", name=f"worker{number}", **conf) for number in range(3)]
    executions = [jobs.client.start("polling", {"wait": 1, "done_at": 9}) for _ in range(30)]
    for number, worker in enumerate(workers):
        assert worker.stop() == 0
        jobs.worker("-c", "1", name=f"worker{number}-again", **conf)
    for execution in executions:
        assert execution.wait(30).status == "Succeeded"
        assert_sound(execution)
    late = sorted(seconds for execution in executions for seconds in lateness(execution, 1))
    assert len(late) == 30 * 9
    # A message that a stopping worker takes with it is redelivered after 2 s.
    assert late[0] >= 0 and late[-1] < SOON, late[-80:]
    assert len(calls(jobs.url)) == 30 * 10
