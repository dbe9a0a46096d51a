"""The fixtures of all tests: real servers, and processes that end with their test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from tests.processes import Processes
from tests.servers import RedisServer, choose_server
from tests.workers import Workers

# Every run uses the same examples, so that a new failure is caused by the change.
# --hypothesis-profile=default searches for new examples. No example has a time limit: a busy machine fails no test.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


SERVER_FIXTURES = {"shared_server", "store_url", "redis_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a real server."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.fixture(scope="session", autouse=True)
def chosen_server() -> None:
    """Use the server that POLLFLOW_TEST_SERVER names, in fixtures and in started commands."""
    choose_server()


@pytest.fixture(scope="session", autouse=True)
def handled_signals() -> None:
    """Handle the signals that this process ignores (nohup, `&` in a script), since its children would inherit that."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a server that is shared by all tests that neither stop nor kill it."""
    server = RedisServer(tmp_path_factory.mktemp("shared-redis"))
    yield server
    server.stop()


@pytest.fixture
def store_url(shared_server: RedisServer) -> str:
    """Return the URL of an empty Redis server."""
    with Redis.from_url(shared_server.url) as client:
        client.flushall()
    return shared_server.url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server that the test may stop, kill and restart."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Return a starter of processes that write their output to files in `tmp_path`."""
    started = Processes(tmp_path)
    yield started
    started.end_all()


@pytest.fixture
def workers(redis_server: RedisServer, processes: Processes) -> Workers:
    """Return a starter of Celery workers and beats on `redis_server`, by default those of the reference application."""
    processes.env["POLLFLOW_REDIS_URL"] = redis_server.url
    return Workers(processes)
