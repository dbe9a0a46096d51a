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
from tests.process.polling import assert_sound, calls
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
    jobs.until(execution, "TaskStarted", "Status")
    jobs.worker()
    assert first.stop() == 0
    assert "Traceback" not in first.output()
    assert execution.wait(20).status == "Succeeded"
    assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status"]
    assert_sound(execution)


def test_a_soft_shutdown_releases_interrupted_calls(jobs: Jobs) -> None:
    jobs.processes.env["REMAP_SIGTERM"] = "SIGQUIT"
    # The step would fail if the interruption counted as a crash.
    conf = {"worker_soft_shutdown_timeout": 1.0, "pollflow_max_crashes": 1}
    first = jobs.worker(**conf)
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300, "done_at": 1})
    jobs.until(execution, "TaskStarted", "Status")
    jobs.worker(**conf)
    stopped = time.time()
    first.process.send_signal(signal.SIGTERM)
    jobs.until(execution, "TaskStarted", "Status", count=2)
    second = [e.time for e in execution.history() if e.type == "TaskStarted" and e.step == "Status"][1]
    # The second of the soft stop, and no lease after it.
    assert 1 <= second.timestamp() - stopped < 3
    assert execution.wait(20).status == "Succeeded"
    assert "an interrupted call was released" in jobs.log()
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
    blocking = jobs.client.start("polling", {"wait": 0.1, "block": 15, "done_at": 1})
    jobs.until(blocking, "TaskStarted", "Status")
    # Taken by the first worker, behind the call.
    behind = [jobs.client.start("polling", {"wait": 0.1, "done_at": 1}) for _ in range(3)]
    with Redis.from_url(jobs.url) as client:
        while client.llen("celery"):
            time.sleep(0.02)
    stop(jobs, first)
    second = jobs.worker("-c", "1", **conf)
    begun = time.monotonic()
    for execution in behind:
        assert execution.wait(10).status == "Succeeded"
    # Redelivered 2 s after they were due, or by the sweep after that.
    assert time.monotonic() - begun < 5
    assert waiting.wait(15).status == "Succeeded"
    assert max(lateness(waiting, 6)) < 5
    assert blocking.refresh().status == "Running"
    assert blocking.wait(30).status == "Succeeded"
    for execution in (waiting, blocking, *behind):
        assert_sound(execution)
    assert second.process.poll() is None
    assert len(calls(jobs.url)) == 10


@ACKS
def test_a_rolling_restart_under_load_delays_no_step_by_over_five_seconds(jobs: Jobs, ack_emulation: bool) -> None:
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
    # A message that a stopping worker takes with it is redelivered after 2 s; those are a few at each stop.
    assert late[0] >= 0 and late[-len(late) // 4] < 1 and late[-1] < 5, late[-80:]
    assert len(calls(jobs.url)) == 30 * 10
