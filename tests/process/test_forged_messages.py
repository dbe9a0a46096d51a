"""A worker that gets forged messages logs one line for each, changes nothing, and runs its executions."""

from __future__ import annotations

import pytest
from redis import Redis

from pollflow.runtime.routes import DEFAULT_QUEUE
from tests.hostile.messages import forged
from tests.process.jobs import Jobs
from tests.process.polling import assert_sound

pytestmark = pytest.mark.process


def test_forged_messages_cost_one_line_each_and_harm_no_execution(jobs: Jobs) -> None:
    jobs.register()
    messages = forged()
    with Redis.from_url(jobs.url) as client:
        client.lpush(DEFAULT_QUEUE, *messages)
        worker = jobs.worker()
        execution = jobs.client.start("polling", {"wait": 0.1, "done_at": 2})
        assert execution.wait(30).status == "Succeeded"
        assert_sound(execution)
        assert client.hlen("unacked") == 0
    assert worker.stop() == 0
    log = worker.output()
    assert "Traceback" not in log
    assert "INJECTED" not in log
    assert max(map(len, log.splitlines())) < 1000
    assert log.count("that pollflow does not send") == len(messages)
