"""A client that lives while workers are deployed with other queues and settings."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pollflow import Client
from pollflow.client import registered
from pollflow.client.registered import MAX_AGE_SECONDS, RegisteredContainer
from pollflow.runtime.registry import WorkerRegistry
from pollflow.runtime.routes import Routes
from tests.contract.conftest import Bench
from tests.flows import PASSES


class LongLived:
    """A client whose time the test moves, and the workers that register."""

    def __init__(self, bench: Bench, client: Client) -> None:
        self.bench, self.client = bench, client
        self.seconds = 0.0
        bench.clock.frozen_at = time.time()  # clients have the clock of the server
        client._registered = RegisteredContainer(
            bench.redis, bench.container.store.keys, monotonic_time=lambda: self.seconds
        )

    def register(self, queue: str, **settings: object) -> None:
        container = self.bench.build_container(routes=Routes(queues=dict.fromkeys(("pass", "task"), queue)), **settings)
        WorkerRegistry(
            container.directory, container.reading, container.routes, container.settings, self.bench.functions
        ).register()

    def queue_lengths(self, *queues: str) -> list[int]:
        return [self.bench.redis.llen(queue) for queue in queues]


@pytest.fixture
def long_lived(bench: Bench) -> Iterator[LongLived]:
    with Client("redis://") as client:
        client._redis.close()
        yield LongLived(bench, client)


def test_starts_follow_the_queues_of_the_workers(long_lived: LongLived) -> None:
    client = long_lived.client
    long_lived.register("old")
    client.deploy_text(PASSES, "flow")
    client.start("flow", name="a")
    assert long_lived.queue_lengths("old", "new") == [1, 0]
    long_lived.register("new")
    long_lived.seconds += MAX_AGE_SECONDS
    client.start("flow", name="b")
    assert long_lived.queue_lengths("old", "new") == [1, 1]


def test_the_settings_follow_too_and_handles_of_executions_with_them(long_lived: LongLived) -> None:
    client = long_lived.client
    long_lived.register("celery", max_payload_bytes=100)
    client.deploy_text(PASSES, "flow")
    execution = client.start("flow", name="a")
    assert (client.settings.max_payload_bytes, execution._container().settings.max_payload_bytes) == (100, 100)
    long_lived.register("celery", max_payload_bytes=200)
    long_lived.seconds += MAX_AGE_SECONDS
    assert (client.settings.max_payload_bytes, execution._container().settings.max_payload_bytes) == (200, 200)


def test_nothing_is_read_again_before_the_maximum_age_and_nothing_built_without_a_change(
    long_lived: LongLived, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = long_lived.client
    long_lived.register("celery")
    first = client._container
    with monkeypatch.context() as patched:
        patched.setattr(registered.Routes, "load", lambda directory: pytest.fail("read"))
        long_lived.seconds += MAX_AGE_SECONDS / 2
        assert client._container is first
    long_lived.seconds += MAX_AGE_SECONDS
    assert client._container is first


def test_a_start_by_a_stale_route_is_published_again_to_the_new_queue(long_lived: LongLived) -> None:
    client, bench = long_lived.client, long_lived.bench
    long_lived.register("old")
    client.deploy_text(PASSES, "flow")
    client.start("flow", name="a")
    long_lived.register("new")
    client.start("flow", name="b")  # within the maximum age
    bench.pass_time(3600)
    bench.sweep()
    assert long_lived.queue_lengths("new") == [2]


def test_a_start_before_the_first_worker_leaves_the_message_to_the_sweep(long_lived: LongLived) -> None:
    client, bench = long_lived.client, long_lived.bench
    client.deploy_text(PASSES, "flow")
    client.start("flow", name="a")
    assert bench.redis.keys("celery*") == []
    long_lived.register("mine")
    bench.pass_time(3600)
    bench.sweep()
    assert long_lived.queue_lengths("mine") == [1]
