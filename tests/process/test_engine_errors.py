"""Real workers: an execution that the engine cannot continue ends, and the worker goes on."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.process.jobs import Jobs

pytestmark = pytest.mark.process

SUB = """
version: v1
type: flow
steps:
  - {type: task, name: Sub, resourceArn: "acs:fnf:::flow/polling", pattern: sync, serviceParams: {Input: $.text}}
"""
UNTIL = "version: v1\ntype: flow\nsteps: [{type: wait, name: Until, timestamp: $.at}]\n"
ERRORS = {"pollflow_redelivery_timeout": 0.2, "pollflow_max_engine_errors": 3}


@pytest.mark.slow
def test_a_definition_that_the_workers_refuse_ends_its_executions(jobs: Jobs) -> None:
    execution = jobs.client.start("polling", {"wait": 0.1})
    with Redis.from_url(jobs.url) as client:
        client.set(f"pollflow:definition:{execution.digest}", "version: v2\n")
    jobs.worker(**ERRORS)
    ended = execution.wait(60)
    assert (ended.status, ended.error) == ("Failed", "FnF.RuntimeError")
    assert (ended.cause or "").startswith("the engine failed at the reading of the definition: DefinitionError: ")
    assert "(error 3 of 3)" in jobs.log() and "Traceback" in jobs.log()
    ended.purge()


@pytest.mark.slow
def test_values_that_the_engine_cannot_use_fail_their_step(jobs: Jobs) -> None:
    jobs.client.deploy_text(SUB, "sub")
    jobs.client.deploy_text(UNTIL, "until")
    jobs.worker()
    nested = jobs.client.start("sub", {"text": '{"a": ' + "[" * 15_000 + "]" * 15_000 + "}"})
    until = jobs.client.start("until", {"at": "0001-01-01T00:00:00+14:00"})
    after = jobs.client.start("polling", {"wait": 0.1})
    errors = [execution.wait(60).error for execution in (nested, until, after)]
    assert errors == ["FnF.RuntimeError", "FnF.RuntimeError", None]
    assert "the engine failed" not in jobs.log()
