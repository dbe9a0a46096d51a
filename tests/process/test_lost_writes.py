"""Redis loses its last writes under running workers: stale tokens are refused and executions recover."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from redis import Redis

from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.servers import RedisServer

pytestmark = pytest.mark.process


def test_an_older_append_only_file_is_restored_under_running_workers(
    jobs: Jobs, redis_server: RedisServer, tmp_path: Path
) -> None:
    with Redis.from_url(jobs.url) as client:
        client.config_set("appendfsync", "always")
    for name in ("one", "two"):
        jobs.worker("-c", "2", name=name)
    executions = [jobs.client.start("polling", {"wait": 0.5 + n / 10, "done_at": 12}) for n in range(8)]
    jobs.until(executions[0], "StepStarted", "Wait", count=3)
    older = tmp_path / "older"
    shutil.copytree(redis_server.folder, older, ignore=shutil.ignore_patterns("*.sock"))
    jobs.until(executions[0], "StepStarted", "Wait", count=8)
    known = {execution.name: len(execution.history()) for execution in executions}
    redis_server.kill()
    for entry in older.iterdir():
        if entry.is_dir():
            shutil.rmtree(redis_server.folder / entry.name)
            shutil.copytree(entry, redis_server.folder / entry.name)
    redis_server.start()
    assert any(len(execution.history()) < known[execution.name] for execution in executions)
    for execution in executions:
        execution = execution.wait(60)
        assert execution.status == "Succeeded"
        assert execution.output is not None and execution.output["tries"] == 12
        assert_sound(execution)
    # Calls that Redis lost were repeated under the same idempotency keys.
    keys = Counter(call["key"] for call in calls(jobs.url) if call["step"] == "Status")
    assert len(keys) == 12 * len(executions)
