"""Inline steps in workers: fewer Celery tasks, and nothing is lost with a worker."""

from __future__ import annotations

import re

import pytest

from tests.process.jobs import Jobs
from tests.process.polling import SOON, assert_sound

pytestmark = pytest.mark.process


def test_a_poll_is_one_celery_task(jobs: Jobs) -> None:
    worker = jobs.worker(pollflow_inline_steps=True)
    execution = jobs.client.start("polling", {"wait": 0.1, "done_at": 3}).wait(30)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    # Entries 2, 5 and 8 are the waits, 4, 7 and 10 the choices, 11 is the end.
    assert set(re.findall(rf"{execution.id}-r\.(\d+)", worker.output())) == {"1", "3", "6", "9"}


def test_a_worker_killed_in_a_call_loses_no_inline_step(jobs: Jobs) -> None:
    first = jobs.worker(pollflow_inline_steps=True)
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300, "done_at": 1})
    jobs.until_called(execution, "Status")
    first.kill_group()
    jobs.worker(pollflow_inline_steps=True)
    execution = execution.wait(2 * SOON)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    assert [e.step for e in execution.history() if e.type == "StepEntered"] == [
        "Start",
        "Wait",
        "Status",
        "Check",
        "Done",
    ]
