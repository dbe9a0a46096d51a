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


NEW = """
version: v1
type: flow
steps: [{type: task, name: New, resourceArn: "acs:fc:::services/jobs/functions/new"}]
"""


def test_an_old_worker_leaves_steps_to_workers_that_have_the_function(jobs: Jobs) -> None:
    old = jobs.worker("-c", "1", name="worker-old")
    jobs.client.deploy_text(NEW, "new")
    executions = [jobs.client.start("new") for _ in range(EXECUTIONS)]
    old.wait_for_output("waits for a worker that has the function jobs/new")
    jobs.worker("-c", "1", name="worker-newer", app="tests.apps.newer", pollflow_max_crashes=1)
    for execution in executions:
        ended = execution.wait(120)
        assert (ended.status, ended.output) == ("Succeeded", {"attempt": 1})
        assert_sound(ended)
    assert len(calls(jobs.url)) == EXECUTIONS


def test_a_misspelt_function_fails_with_the_registered_names(jobs: Jobs) -> None:
    jobs.worker("-c", "1", pollflow_function_grace=1)
    jobs.client.deploy_text(NEW.replace("functions/new", "functions/strat"), "misspelt")
    ended = jobs.client.start("misspelt").wait(60)
    assert ended.error == "FC.FunctionNotFound"
    assert ended.cause is not None and "did you mean jobs/start" in ended.cause
