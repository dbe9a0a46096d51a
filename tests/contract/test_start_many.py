"""Starts of many executions: in slices, each start by itself, and safe to repeat under the same names."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from redis import Redis

import pollflow
from pollflow import Client, EntityTooLarge, FlowNotExists, InvalidArgument, NotDurable, StoreFull, StoreUnavailable
from pollflow.client.description import describe
from pollflow.runtime import starting
from pollflow.runtime.registry import WorkerRegistry
from pollflow.store import ExecutionRef, Keys
from pollflow.store.durability import Durability
from tests.contract.conftest import Bench
from tests.flows import PASSES
from tests.workers import PROJECT

GROWING = PASSES.replace(
    "name: A",
    "name: A, inputMappings: [{mappings}]".format(
        mappings=", ".join(f"{{target: t{number}, source: $input.a}}" for number in range(2_000))
    ),
)
"""Its first step copies a part of the input so often that it refuses a large one."""


@pytest.fixture
def client(server: Bench, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Return a client that starts three executions at once."""
    container = server.container
    WorkerRegistry(
        container.directory, container.reading, container.routes, container.settings, server.functions
    ).register()
    monkeypatch.setattr(starting, "STARTED_AT_ONCE", 3)
    with Client(store_url, by="ops") as client:
        client.deploy_text(PASSES, "flow")
        yield client


def numbered(number: int) -> list[dict[str, Any]]:
    return [{"n": index} for index in range(number)]


def names_of(number: int) -> list[str]:
    return [f"n{index}" for index in range(number)]


def contents(bench: Bench) -> dict[str, Any]:
    return {key: bench.redis.dump(key) for key in bench.redis.scan_iter()}


def test_each_input_starts_an_execution_in_their_order(server: Bench, client: Client) -> None:
    started = client.start_many("flow", numbered(7), names=names_of(7), by="me")
    assert [execution.input for execution in started] == numbered(7)
    assert [execution.name for execution in started] == names_of(7)
    assert all(execution.is_new for execution in started)
    assert [message["headers"]["root_id"] for message in server.queued()] == [each.id for each in started]
    for execution in started:
        assert execution.description == describe(server.container, execution.description.key.ref)
        assert execution.history()[0].by == "me"
    server.work()
    assert {execution.refresh().status for execution in started} == {"Succeeded"}


def test_executions_without_names_get_unique_ones(client: Client) -> None:
    started = client.start_many("flow", iter(numbered(4)))
    assert len({execution.name for execution in started}) == 4
    assert [execution.input for execution in started] == numbered(4)
    assert client.start_many("flow", []) == []


def test_a_repetition_returns_the_existing_executions_and_starts_the_others(server: Bench, client: Client) -> None:
    (ended,) = client.start_many("flow", [{}], names=["n1"])
    server.work()
    running = client.start("flow", name="n3")
    started = client.start_many("flow", numbered(5), names=names_of(5))
    assert [execution.is_new for execution in started] == [True, False, True, False, True]
    assert (started[1], started[3]) == (ended, running)
    assert [execution.status for execution in started[:2]] == ["Running", "Succeeded"]
    assert [execution.input for execution in started] == [{"n": 0}, {}, {"n": 2}, {}, {"n": 4}]
    before = contents(server)
    again = client.start_many("flow", numbered(5), names=names_of(5))
    assert (again, [execution.is_new for execution in again]) == (started, [False] * 5)
    assert contents(server) == before


@pytest.mark.parametrize(
    ("inputs", "names", "error", "message"),
    [
        ([{}, {"a": object()}], None, InvalidArgument, r"inputs\[1\]\.a is a value of type object"),
        ([{}, None], None, InvalidArgument, r"inputs\[1\] must be a JSON object \(a dict\), not None"),
        ([{}, {"a": "b" * 40_000}], None, EntityTooLarge, r"inputs\[1\] has 40,008 bytes"),
        ([{}, {}], ["a", "1x"], InvalidArgument, r"names\[1\] must be 1 to 128 letters"),
        ([{}, {}], ["a", "a"], InvalidArgument, r'names\[1\] is "a", as names\[0\] is; each name must be unique'),
        ([{}, {}], ["a"], InvalidArgument, r"names must have a name for each of the 2 inputs, not 1"),
    ],
)
def test_a_wrong_input_or_name_is_refused_before_the_first_start(
    server: Bench, client: Client, inputs: Any, names: Any, error: type[Exception], message: str
) -> None:
    before = contents(server)
    with pytest.raises(error, match=message):
        client.start_many("flow", inputs, names=names)
    assert contents(server) == before


def test_an_input_that_the_first_step_refuses_is_refused_before_the_first_start(server: Bench, client: Client) -> None:
    client.deploy_text(GROWING, "growing")
    before = contents(server)
    with pytest.raises(EntityTooLarge, match=r"^inputs\[5\]: the values that mappings read"):
        client.start_many("growing", [*numbered(5), {"a": "x" * 30_000}])
    assert contents(server) == before


def test_a_flow_that_is_not_deployed_starts_nothing(client: Client) -> None:
    with pytest.raises(FlowNotExists):
        client.start_many("other", [{}])


def test_one_read_and_one_round_trip_for_each_slice(
    server: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.start_many("flow", numbered(1))
    sent: list[int] = []
    pipeline = client._redis.pipeline

    def counted(*args: Any, **options: Any) -> Any:
        made = pipeline(*args, **options)
        execute = made.execute
        made.execute = lambda *args, **options: (sent.append(len(made)), execute(*args, **options))[1]
        return made

    monkeypatch.setattr(client._redis, "pipeline", counted)
    monkeypatch.setattr(client._redis, "execute_command", lambda *args, **options: pytest.fail(f"{args[0]}"))
    client.start_many("flow", numbered(7))
    assert sent == [2, 3, 3, 1]  # flow and time, then the slices


@pytest.mark.parametrize(
    ("sizes", "slices"),
    [
        ([], []),
        ([1] * 7, [range(0, 3), range(3, 6), range(6, 7)]),
        ([9, 1, 1, 9, 9, 1], [range(0, 2), range(2, 4), range(4, 6)]),
        ([11, 12], [range(0, 1), range(1, 2)]),
    ],
)
def test_a_slice_has_a_bounded_number_and_size(
    sizes: list[int], slices: list[range], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "STARTED_AT_ONCE", 3)
    monkeypatch.setattr(starting, "_BYTES_AT_ONCE", 10)
    assert list(starting._slices(sizes)) == slices


def test_a_redeploy_is_noticed_by_the_next_start(client: Client) -> None:
    client.start("flow")
    newer = client.deploy_text(GROWING, "flow")
    assert client.start("flow").description.digest == newer.digest
    assert [each.description.digest for each in client.start_many("flow", numbered(2))] == [newer.digest] * 2


def test_a_full_redis_refuses_some_and_the_error_has_the_others(server: Bench, client: Client) -> None:
    inputs, names = [{"n": index, "text": "x" * 20_000} for index in range(60)], names_of(60)
    server.redis.config_set("maxmemory", server.redis.info("memory")["used_memory"] + 2_000_000)
    try:
        with pytest.raises(StoreFull, match=r"; \d+ of 60 executions are known to be started$") as refused:
            client.start_many("flow", inputs, names=names)
    finally:
        server.redis.config_set("maxmemory", 0)
    started = refused.value.started
    assert 0 < len(started) < 60
    assert {index: execution.name for index, execution in started.items()} == {index: names[index] for index in started}
    assert {execution.name for execution in client.executions()} == {execution.name for execution in started.values()}
    again = client.start_many("flow", inputs, names=names)
    assert [execution.is_new for execution in again] == [index not in started for index in range(60)]
    assert len(server.queued()) == 60


def test_a_lost_connection_leaves_what_the_earlier_slices_started(
    server: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_many = client._container.store.start_many
    slices: list[int] = []

    def lose_the_second(executions: Any, **options: Any) -> Any:
        slices.append(len(executions))
        if len(slices) == 2:
            raise StoreUnavailable("Redis cannot serve: Connection reset by peer")
        return start_many(executions, **options)

    monkeypatch.setattr(
        type(client._container.store), "start_many", lambda _, *args, **kw: lose_the_second(*args, **kw)
    )
    with pytest.raises(StoreUnavailable, match=r"; 3 of 7 executions are known to be started$") as lost:
        client.start_many("flow", numbered(7), names=names_of(7))
    assert [lost.value.started[index].name for index in range(3)] == ["n0", "n1", "n2"]
    assert len(client.executions()) == 3


def test_the_same_start_repeated_after_a_lost_reply_is_still_new(server: Bench) -> None:
    server.deploy(PASSES)
    starter, store = server.container.starter, server.container.store
    new = starter._new(starter._current("flow"), "x", {}, "me")
    first, second = store.start(new), *store.start_many([new])
    assert not isinstance(second, StoreUnavailable)
    assert (second.key, second.is_new, second.snapshot) == (first.key, True, None)
    assert len(server.queued()) == 1


def waits(bench: Bench) -> int:
    return int(bench.redis.info("commandstats").get("cmdstat_waitaof", {"calls": 0})["calls"])


@pytest.fixture
def aof(server: Bench) -> Iterator[Bench]:
    if not server.redis.eval("return redis.pcall('COMMAND', 'INFO', 'waitaof')[1]", 0):
        pytest.skip("this server does not support WAITAOF")
    server.redis.config_set("appendfsync", "always")
    yield server
    server.redis.config_set("appendfsync", "everysec")  # other tests use this server


def test_durable_starts_wait_once_for_each_slice(aof: Bench, client: Client) -> None:
    client.start("flow", durable=True)  # asks the server once whether it can
    before = waits(aof)
    client.start_many("flow", numbered(7), names=names_of(7))
    assert waits(aof) == before
    again = client.start_many("flow", numbered(7), names=names_of(7), durable=True)
    assert waits(aof) == before + 3
    assert not any(execution.is_new for execution in again)


def test_a_slice_that_is_not_acknowledged_ends_the_call(aof: Bench, client: Client) -> None:
    store = client._container.store
    store.durability = Durability(client._redis, Keys().mark(), seconds=0.05)
    run = store.durability.run

    def run_without_sync(calls: Any) -> Any:
        # The first slice is acknowledged. Then the operating system decides when to sync; it does not within 50 ms.
        try:
            return run(calls)
        finally:
            aof.redis.config_set("appendfsync", "no")

    store.durability.run = run_without_sync  # type: ignore[method-assign]
    with pytest.raises(NotDurable, match=r"so it may be lost; .*; 3 of 7 executions are known to be started") as error:
        client.start_many("flow", numbered(7), names=names_of(7), durable=True)
    assert [error.value.started[index].name for index in range(3)] == ["n0", "n1", "n2"]
    assert {execution.name for execution in client.executions()} == set(names_of(6))
    store.durability.run = run  # type: ignore[method-assign]
    aof.redis.config_set("appendfsync", "always")
    again = client.start_many("flow", numbered(7), names=names_of(7), durable=True)
    assert [execution.is_new for execution in again] == [False] * 6 + [True]


def test_a_client_of_an_app_publishes_the_messages_of_another_broker(server: Bench, store_url: str) -> None:
    app = Celery("app", broker=store_url.removesuffix("/0") + "/1")
    attached = pollflow.attach(app, store_url)
    attached.container.routes.save(attached.container.directory, attached.settings)
    with Client(app) as client, Redis.from_url(store_url.removesuffix("/0") + "/1") as broker:
        client.deploy_text(PASSES, "flow")
        client.start_many("flow", numbered(4))
        assert broker.llen("celery") == 4
        assert server.queued() == []


KILLED = """
import sys
from pollflow import Client
with Client(sys.argv[1]) as client:
    client.start_many("flow", [{}] * 5_000, names=[f"n{index}" for index in range(5_000)])
"""


def test_after_a_kill_a_repetition_starts_each_execution_once(server: Bench, client: Client, store_url: str) -> None:
    server.clock.frozen_at = None
    process = subprocess.Popen([sys.executable, "-c", KILLED, store_url], cwd=PROJECT)
    try:
        deadline = time.monotonic() + 30
        while not (messages := server.redis.llen("celery")) and process.poll() is None and time.monotonic() < deadline:
            pass  # each question is a round trip
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    number = int(server.redis.llen("celery"))
    assert 0 < messages <= number < 5_000
    refs = [ExecutionRef("flow", f"n{index}") for index in range(number)]
    existed = {snapshot.execution.ref for snapshot in server.container.reading.snapshots(refs)[1]}
    assert existed == set(refs)  # a slice is sent in order
    wanted = number + 2
    again = client.start_many("flow", [{}] * wanted, names=names_of(wanted))
    assert [execution.is_new for execution in again] == [False] * number + [True] * 2
    assert server.redis.llen("celery") == wanted
