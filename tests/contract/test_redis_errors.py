"""Each error of redis-py at each request of the store: transient ones are retried, and no result is discarded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Any

import fakeredis
import pytest
from redis import Redis
from redis import exceptions as errors
from redis.client import Pipeline

from pollflow import NotDurable, StoreRefused, StoreUnavailable
from pollflow.store import ExecutionRef, Keys, RetryPolicy, retrying
from pollflow.store.connection import unavailable
from pollflow.store.durability import Durability
from tests.contract.conftest import Bench

FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: A, resourceArn: "acs:fc:::services/s/functions/f"}
  - {type: pass, name: B}
"""

TEMPORARY = [
    errors.ConnectionError("Connection closed by server."),
    errors.ConnectionError("max number of clients reached"),
    errors.TimeoutError("Timeout reading from socket"),
    errors.BusyLoadingError("Redis is loading the dataset in memory"),
    errors.MaxConnectionsError("Too many connections"),
    errors.InvalidResponse("Protocol Error"),
    errors.ReadOnlyError("You can't write against a read only replica."),
    errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    errors.NoScriptError("No matching script. Please use EVAL."),
    errors.ExecAbortError("Transaction discarded because of previous errors."),
    errors.TryAgainError("Multiple keys request during rehashing of slot"),
    errors.ClusterDownError("The cluster is down"),
    errors.MasterDownError("Link with MASTER is down"),
    errors.AskError("1 127.0.0.1:1"),
    errors.WatchError("Watched variable changed."),
    errors.ChildDeadlockedError("the lock of the pool is taken"),
    errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
    errors.ResponseError("NOREPLICAS Not enough good replicas to write."),
    errors.ResponseError("BUSY Redis is busy running a script."),
    errors.ResponseError("Error running script: MASTERDOWN Link with MASTER is down"),
    errors.ResponseError("UNBLOCKED force unblock from blocking operation"),
    errors.ResponseError("Error running script: Script killed by user with SCRIPT KILL."),
]
REFUSED = [
    errors.AuthenticationError("Authentication required."),
    errors.AuthenticationError("WRONGPASS invalid username-password pair"),
    errors.AuthorizationError("no"),
    errors.AuthenticationWrongNumberOfArgsError("wrong number of arguments for 'auth' command"),
    errors.NoPermissionError("this user has no permissions to run the 'evalsha' command"),
    errors.ResponseError("ACL failure in script: this user has no permissions to access one of the keys"),
    errors.MovedError("1 127.0.0.1:1"),
]
PERMANENT = [
    errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    errors.ResponseError("Error running script: attempt to index a nil value"),
    errors.ModuleError("Error loading the extension"),
    errors.DataError("Invalid input of type: 'object'"),
]
INJECTED = [
    errors.ConnectionError("Connection closed by server."),
    errors.NoScriptError("No matching script. Please use EVAL."),
    errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    errors.MasterDownError("Link with MASTER is down"),
    errors.ResponseError("BUSY Redis is busy running a script."),
    errors.ChildDeadlockedError("the lock of the pool is taken"),
    errors.NoPermissionError("this user has no permissions to run the 'evalsha' command"),
    errors.AuthenticationError("WRONGPASS invalid username-password pair"),
]
"""One of each kind; `test_what_is_retried_by_whom` has all classes."""


class Faults:
    """Raises an error at one request: before the server executes it, or after, so that only the reply is lost."""

    def __init__(self) -> None:
        self.count = self.at = 0
        self.error: Exception | None = None
        self.is_past = False
        self.when = "before"

    def inject(self, at: int, error: Exception, when: str) -> Faults:
        self.count, self.at, self.error, self.when = 0, at, error, when
        return self

    def end(self) -> None:
        """Inject no more. `is_past` then says whether the work made fewer requests."""
        self.is_past = self.count < self.at
        self.error = None

    def request(self, execute: Callable[[], Any]) -> Any:
        self.count += 1
        if self.count != self.at or self.error is None:
            return execute()
        if self.when == "after":
            execute()
        raise self.error


class Faulty:
    """The part of a client that counts requests; a pipeline is one."""

    faults: Faults

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return self.faults.request(lambda: super(Faulty, self).execute_command(*args, **options))  # type: ignore[misc]

    def pipeline(self, *args: Any, **options: Any) -> Any:
        pipe = super().pipeline(*args, **options)  # type: ignore[misc]
        execute = pipe.execute
        pipe.execute = lambda *args, **options: self.faults.request(lambda: execute(*args, **options))
        return pipe


class FaultyFakeRedis(Faulty, fakeredis.FakeRedis): ...


class FaultyRedis(Faulty, Redis): ...


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying.time, "sleep", lambda _: None)


def name_of(error: Exception) -> str:
    return type(error).__name__


def finish(bench: Bench, ref: ExecutionRef) -> None:
    """Work as workers and sweeps do until the execution has ended."""
    for _ in range(12):
        bench.work()
        if bench.status(ref) != "Running":
            return
        bench.pass_time(30)
        bench.sweep()


def each_request() -> Iterator[int]:
    """Yield the numbers of the requests. The test ends the loop with the first number that no request has."""
    yield from range(1, 40)
    raise AssertionError("the work has no end")


@pytest.fixture(scope="module")
def faulty() -> tuple[Bench, Faults]:
    client = FaultyFakeRedis(decode_responses=True, server=fakeredis.FakeServer())
    client.faults = Faults()
    return Bench(client), client.faults


@pytest.fixture
def bench(faulty: tuple[Bench, Faults]) -> Bench:
    bench, _ = faulty
    bench.redis.flushall()
    bench.build_container(retry_policy=RetryPolicy(claim_seconds=inf, commit_seconds=inf))
    return bench


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", INJECTED, ids=name_of)
def test_a_worker_calls_a_function_once_whatever_request_fails(bench: Bench, error: Exception, when: str) -> None:
    for at in each_request():
        calls = bench.returns(f"s/f{at}", {"v": 1})
        ref = bench.start(FLOW.replace("functions/f", f"functions/f{at}"), name=f"x{at}")
        key = bench.take()
        faults = bench.redis.faults.inject(at, error, when)
        bench.container.engine.handle(key)
        faults.end()
        finish(bench, ref)
        assert (bench.status(ref), bench.output(ref), len(calls)) == ("Succeeded", {"v": 1}, 1), f"request {at}"
        if faults.is_past:
            return


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", INJECTED, ids=name_of)
def test_a_start_may_be_repeated_whatever_request_fails(bench: Bench, error: Exception, when: str) -> None:
    bench.build_container()
    bench.deploy(FLOW)
    bench.returns("s/f", {})
    for at in each_request():
        faults = bench.redis.faults.inject(at, error, when)
        try:
            bench.container.starter.start("flow", {}, f"x{at}")
        except StoreUnavailable as raised:
            assert isinstance(raised, StoreRefused) is any(isinstance(error, type(other)) for other in REFUSED[:5])
        faults.end()
        ref = bench.container.starter.start("flow", {}, f"x{at}").key.ref
        finish(bench, ref)
        assert bench.status(ref) == "Succeeded", f"request {at}"
        if faults.is_past:
            return


@pytest.mark.parametrize("error", INJECTED, ids=name_of)
def test_a_sweep_loses_no_message_whatever_request_fails(bench: Bench, error: Exception) -> None:
    bench.returns("s/f", {})
    for at in each_request():
        ref = bench.start(FLOW, name=f"x{at}")
        bench.take()  # and lose it
        bench.pass_time(3)
        faults = bench.redis.faults.inject(at, error, "before")
        with suppress(StoreUnavailable):
            bench.sweep()
        faults.end()
        finish(bench, ref)
        assert bench.status(ref) == "Succeeded", f"request {at}"
        if faults.is_past:
            return


@pytest.fixture
def durable(store_url: str) -> Any:
    client = FaultyRedis.from_url(store_url, decode_responses=True)
    client.faults = Faults()
    if not client.eval("return redis.pcall('COMMAND', 'INFO', 'waitaof')[1]", 0):
        pytest.skip("this server does not support WAITAOF")
    client.config_set("appendfsync", "always")
    bench = Bench(client)
    bench.build_container(retry_policy=RetryPolicy(claim_seconds=inf, commit_seconds=inf, is_durable=True))
    yield bench
    client.config_set("appendonly", "yes")
    client.config_set("appendfsync", "everysec")
    client.close()


@pytest.mark.parametrize("error", INJECTED, ids=name_of)
def test_a_durable_commit_keeps_the_result_whatever_request_fails(durable: Bench, error: Exception) -> None:
    for at in each_request():
        calls = durable.returns(f"s/f{at}", {"v": 1})
        ref = durable.start(FLOW.replace("functions/f", f"functions/f{at}"), name=f"x{at}")
        durable.container.store.durability = Durability(durable.redis, Keys().mark())
        key = durable.take()
        faults = durable.redis.faults.inject(at, error, "before")
        durable.container.engine.handle(key)
        faults.end()
        finish(durable, ref)
        assert (durable.status(ref), len(calls)) == ("Succeeded", 1), f"request {at}"
        if faults.is_past:
            return


def test_a_server_that_restarts_between_script_exists_and_the_pipeline_loses_no_result(
    durable: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    load = Pipeline.load_scripts

    def load_and_forget(pipe: Any) -> None:
        load(pipe)
        if len(flushed) % 3 < 2:  # twice in a row, so that the immediate repetition fails too
            durable.redis.script_flush()
        flushed.append(1)

    monkeypatch.setattr(Pipeline, "load_scripts", load_and_forget)
    calls = durable.returns("s/f", {"v": 1})
    durable.deploy(FLOW)
    with pytest.raises(StoreUnavailable):
        durable.build_container().starter.start("flow", {}, "y", durable=True)
    durable.build_container(retry_policy=RetryPolicy(claim_seconds=inf, commit_seconds=inf, is_durable=True))
    ref = durable.container.starter.start("flow", {}, "x").key.ref
    finish(durable, ref)
    assert (durable.status(ref), len(calls)) == ("Succeeded", 1)


def test_a_durable_commit_waits_for_an_append_only_file_that_was_turned_off(
    durable: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = durable.returns("s/f", {"v": 1})
    ref = durable.start(FLOW)
    durable.container.store.durability = Durability(durable.redis, Keys().mark())
    durable.redis.config_set("appendonly", "no")
    pauses: list[float] = []

    def operator(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            durable.redis.config_set("appendonly", "yes")

    monkeypatch.setattr(retrying.time, "sleep", operator)
    durable.container.engine.handle(durable.take())
    finish(durable, ref)
    assert (durable.status(ref), len(calls)) == ("Succeeded", 1)
    assert len(pauses) >= 3


@pytest.mark.parametrize("error", [*TEMPORARY, *REFUSED, *PERMANENT], ids=str)
def test_what_is_retried_by_whom(error: Exception) -> None:
    found = unavailable(error)
    assert retrying.is_temporary(found) is (error in TEMPORARY)
    assert retrying.is_not_final(found) is (error not in PERMANENT)
    assert retrying.is_not_final(NotDurable("no"))
