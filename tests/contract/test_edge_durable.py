"""An acknowledgement may be asked to mean that the append-only file of Redis has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from pollflow import Client, ConfigurationError, NotDurable
from pollflow.runtime.health import check_durability
from pollflow.runtime.settings import Settings
from pollflow.store import Keys, RetryPolicy
from pollflow.store.durability import Durability
from tests.contract.conftest import Bench
from tests.contract.flows import PASSES


@pytest.fixture
def server(store_url: str) -> Iterator[Bench]:
    with Redis.from_url(store_url, decode_responses=True) as client:
        client.config_set("appendfsync", "always")
        if not client.eval("return redis.pcall('COMMAND', 'INFO', 'waitaof')[1]", 0):
            pytest.skip("this server does not know WAITAOF")
        try:
            yield Bench(client)
        finally:
            client.config_set("appendonly", "yes")
            client.config_set("appendfsync", "everysec")


def waits(bench: Bench) -> int:
    return int(bench.redis.info("commandstats").get("cmdstat_waitaof", {"calls": 0})["calls"])


def test_a_durable_start_waits_for_the_append_only_file(server: Bench, store_url: str) -> None:
    client = Client(store_url)
    client.deploy_text(PASSES, "flow")
    before = waits(server)
    client.start("flow", name="quick")
    assert waits(server) == before
    assert client.start("flow", name="x", durable=True).status == "Running"
    assert waits(server) > before
    client.close()


def test_a_start_that_finds_its_execution_waits_too_since_the_first_may_not_have(server: Bench, store_url: str) -> None:
    client = Client(store_url)
    client.deploy_text(PASSES, "flow")
    client.start("flow", name="x", durable=True)
    before = waits(server)
    client.start("flow", name="x", durable=True)
    assert waits(server) > before
    client.close()


def test_without_an_append_only_file_a_durable_start_is_refused_and_nothing_written(
    server: Bench, store_url: str
) -> None:
    server.redis.config_set("appendonly", "no")
    client = Client(store_url)
    client.deploy_text(PASSES, "flow")
    with pytest.raises(NotDurable, match=r"nothing was written: .*appendonly is no"):
        client.start("flow", name="x", durable=True)
    assert client.executions() == []
    with pytest.raises(ConfigurationError, match="pollflow_durable is set, and cannot be kept"):
        check_durability(server.container.store)
    client.close()


def test_what_the_file_does_not_acknowledge_in_time_may_be_there_and_starting_again_settles_it(server: Bench) -> None:
    server.deploy(PASSES)
    store = server.container.store
    # Redis syncs when it pleases the system: not within a blink.
    server.redis.config_set("appendfsync", "no")
    store.durability = Durability(server.redis, Keys().mark(), seconds=0.05)
    with pytest.raises(NotDurable, match=r"may be lost: .* within 0.05 s; asking again settles it"):
        server.container.starter.start("flow", {}, "x", durable=True)
    server.redis.config_set("appendfsync", "always")
    store.durability = Durability(server.redis, Keys().mark())
    assert server.container.starter.start("flow", {}, "x", durable=True)[0].name == "x"


def test_a_server_that_does_not_know_it_is_named_as_the_reason(bench: Bench) -> None:
    if bench.redis.__class__.__name__ != "FakeRedis":
        pytest.skip("only the fake does not know WAITAOF")
    bench.deploy(PASSES)
    with pytest.raises(NotDurable, match="does not know WAITAOF"):
        bench.container.starter.start("flow", {}, "x", durable=True)
    assert bench.redis.keys("*execution*") == []


def test_commits_of_workers_wait_where_the_setting_says_so(server: Bench) -> None:
    told: list[NotDurable] = []
    server.build_container(
        retry_policy=RetryPolicy(is_durable=Settings(durable=True).durable, on_not_durable=told.append)
    )
    before = waits(server)
    ref = server.start(PASSES)
    server.work()
    # The question whether the server can, the start, and the commits of A, of B and of the end.
    assert waits(server) == before + 1 + 3
    assert (server.status(ref), told) == ("Succeeded", [])


def test_a_commit_that_is_not_acknowledged_is_told_and_stands(server: Bench) -> None:
    told: list[NotDurable] = []
    server.build_container(retry_policy=RetryPolicy(is_durable=True, on_not_durable=told.append))
    ref = server.start(PASSES)
    server.redis.config_set("appendfsync", "no")
    server.container.store.durability._milliseconds = 20
    server.work()
    assert server.status(ref) == "Succeeded"
    assert len(told) == 2
