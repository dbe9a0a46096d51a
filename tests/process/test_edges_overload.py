"""Overload is not a fault: what waits in a long queue is neither lost nor late by any rule."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from redis import Redis

from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls

pytestmark = pytest.mark.process

STARTS = 600
# Longer than a call may take by itself, shorter than most of them wait for a worker.
FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Slow, resourceArn: "acs:fc:::services/jobs/functions/slow", timeoutSeconds: 2}
"""


def test_ten_times_what_a_worker_can_do_is_done_in_turn(jobs: Jobs) -> None:
    jobs.client.deploy_text(FLOW, "slow")
    worker = jobs.worker("-c", "2")
    executions = [jobs.client.start("slow", {"seconds": 0.03}) for _ in range(STARTS)]
    backlog = []
    with Redis.from_url(jobs.url) as client:
        while not backlog or backlog[-1]:
            backlog.append(client.llen("celery"))
            time.sleep(0.1)
    for execution in executions:
        assert execution.wait(30).status == "Succeeded"
    assert_sound(executions[0])
    # Most of it stood in the queue for longer than the grace after which a message may be taken for lost.
    assert len(backlog) > 40
    assert backlog[0] > STARTS / 2
    redelivered = worker.output().count("redelivered")
    assert redelivered <= STARTS * 0.05
    # No hump: it never grows by more than what was published again.
    assert all(later - earlier <= redelivered for earlier, later in pairwise(backlog))
    assert len(calls(jobs.url)) == STARTS
