"""Workers of two releases at once, and deployments while executions run."""

from __future__ import annotations

import pytest

from tests.process.jobs import Jobs
from tests.process.polling import FLOW, assert_sound, calls

pytestmark = pytest.mark.process

EXECUTIONS = 12


def test_workers_of_two_releases_share_executions(jobs: Jobs) -> None:
    workers = [
        jobs.worker("-c", "1", name="worker-now"),
        jobs.worker("-c", "1", name="worker-later", app="tests.apps.later"),
    ]
    executions = [jobs.client.start("polling", {"wait": 0.5, "done_at": 3}) for _ in range(EXECUTIONS)]
    for execution in executions:
        assert execution.wait(60).status == "Succeeded"
        assert_sound(execution)
    assert len(calls(jobs.url)) == EXECUTIONS * 4
    assert "the state needs a later release" in workers[0].output()
    assert "the state needs a later release" not in workers[1].output()


def test_running_executions_keep_their_definition_after_a_deployment(jobs: Jobs) -> None:
    before = [jobs.client.start("polling", {"wait": 1, "done_at": 2}) for _ in range(EXECUTIONS)]
    jobs.worker()
    jobs.until(before[-1], "StepStarted", "Wait")
    jobs.client.deploy_text(FLOW.replace("name: Done", "name: DoneLater"), "polling")
    after = [jobs.client.start("polling", {"wait": 0.1, "done_at": 2}) for _ in range(EXECUTIONS)]
    for executions, last in ((before, "Done"), (after, "DoneLater")):
        for execution in executions:
            assert execution.wait(30).status == "Succeeded"
            assert [event.step for event in execution.history() if event.step][-1] == last
