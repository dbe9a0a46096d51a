"""Durable starts and commits wait until they are in the append-only file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pollflow import Client, ConfigurationError, NotDurable
from pollflow.runtime.health import check_durability
from pollflow.runtime.settings import Settings
from pollflow.store import Keys, RetryPolicy
from pollflow.store.durability import Durability
from tests.contract.conftest import Bench
from tests.flows import PASSES


@pytest.fixture
def server(server: Bench) -> Iterator[Bench]:
    server.redis.config_set("appendfsync", "always")
    if not server.redis.eval("return redis.pcall('COMMAND', 'INFO', 'waitaof')[1]", 0):
        pytest.skip("this server does not support WAITAOF")
    yield server
    # Other tests use this server.
    server.redis.config_set("appendonly", "yes")
    server.redis.config_set("appendfsync", "everysec")


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


def test_a_durable_start_of_a_running_execution_waits_too(server: Bench, store_url: str) -> None:
    client = Client(store_url)
    client.deploy_text(PASSES, "flow")
    client.start("flow", name="x", durable=True)
    before = waits(server)
    client.start("flow", name="x", durable=True)
    assert waits(server) > before
    client.close()


def test_a_durable_start_without_an_aof_is_refused(server: Bench, store_url: str) -> None:
    server.redis.config_set("appendonly", "no")
    client = Client(store_url)
    client.deploy_text(PASSES, "flow")
    with pytest.raises(NotDurable, match=r"nothing was written: .*appendonly is no"):
        client.start("flow", name="x", durable=True)
    assert client.executions() == []
    with pytest.raises(ConfigurationError, match="pollflow_durable is set, but Redis cannot acknowledge commits"):
        check_durability(server.container.store)
    client.close()


def test_a_durable_start_without_acknowledgement_may_be_repeated(server: Bench) -> None:
    server.deploy(PASSES)
    store = server.container.store
    # With `no`, the operating system decides when to sync; it does not within 50 ms.
    server.redis.config_set("appendfsync", "no")
    store.durability = Durability(server.redis, Keys().mark(), seconds=0.05)
    with pytest.raises(NotDurable, match=r"not acknowledged it within 0.05 s, so it may be lost"):
        server.container.starter.start("flow", {}, "x", durable=True)
    server.redis.config_set("appendfsync", "always")
    store.durability = Durability(server.redis, Keys().mark())
    assert server.container.starter.start("flow", {}, "x", durable=True).key.ref.name == "x"


def test_a_server_without_waitaof_is_named_in_the_error(bench: Bench) -> None:
    if bench.redis.__class__.__name__ != "FakeRedis":
        pytest.skip("only fakeredis does not support WAITAOF")
    bench.deploy(PASSES)
    with pytest.raises(NotDurable, match="does not know WAITAOF"):
        bench.container.starter.start("flow", {}, "x", durable=True)
    assert bench.redis.keys("*execution*") == []


def test_commits_wait_for_the_aof_when_the_setting_says_so(server: Bench) -> None:
    reported: list[NotDurable] = []
    server.build_container(
        retry_policy=RetryPolicy(is_durable=Settings(durable=True).durable, on_not_durable=reported.append)
    )
    before = waits(server)
    ref = server.start(PASSES)
    server.work()
    # One check of the server; then the start, the commit of A, and the commit of B with the end.
    assert waits(server) == before + 1 + 3
    assert (server.status(ref), reported) == ("Succeeded", [])


def test_a_commit_without_acknowledgement_is_logged_and_kept(server: Bench) -> None:
    reported: list[NotDurable] = []
    server.build_container(retry_policy=RetryPolicy(is_durable=True, on_not_durable=reported.append))
    ref = server.start(PASSES)
    server.redis.config_set("appendfsync", "no")
    server.container.store.durability._milliseconds = 20
    server.work()
    assert server.status(ref) == "Succeeded"
    assert len(reported) == 2
