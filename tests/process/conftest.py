"""Fixtures of process tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.process.jobs import Jobs
from tests.processes import Processes
from tests.servers import RedisServer


@pytest.fixture
def jobs(redis_server: RedisServer, processes: Processes) -> Iterator[Jobs]:
    jobs = Jobs(redis_server.url, processes)
    yield jobs
    jobs.client.close()
