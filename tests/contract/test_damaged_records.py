"""Damaged records: one that cannot be decoded hides no others, and its error names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from pollflow import Client, DamagedRecord
from pollflow.cli.app import app
from pollflow.machine import Status
from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench
from tests.flows import PASSES, WAIT

runner = CliRunner()
TEXTS = {"cut off": "{", "too deep": "[" * 100_000}


@pytest.fixture(params=list(TEXTS))
def text(request: pytest.FixtureRequest) -> str:
    return TEXTS[request.param]


@pytest.fixture
def client(server: Bench, store_url: str) -> Iterator[Client]:
    with Client(store_url) as client:
        yield client


def damage(bench: Bench, ref: ExecutionRef, field: str, text: str = "{") -> None:
    bench.redis.hset(bench.container.store.keys.execution(ref), field, text)


def start_two(bench: Bench) -> tuple[ExecutionRef, ExecutionRef]:
    """Start two executions that end, the second one later."""
    good = bench.start(PASSES, {"v": 1}, name="good")
    bench.pass_time(1)
    bad = bench.start(PASSES, {"v": 2}, name="bad")
    bench.work()
    return good, bad


@pytest.mark.parametrize("field", ["input", "output", "error", "cause", "events", "started_at", "ended_at"])
def test_a_damaged_field_hides_no_execution(server: Bench, client: Client, field: str, text: str) -> None:
    _, bad = start_two(server)
    damage(server, bad, field, text)
    found = {execution.name: execution for execution in client.executions()}
    assert {name: (e.flow, e.status, e.description.damaged) for name, e in found.items()} == {
        "good": ("flow", "Succeeded", ()),
        "bad": ("flow", "Succeeded", (field,)),
    }
    assert found["good"].input == {"v": 1}


@pytest.mark.parametrize("field", ["id", "status", "incarnation"])
def test_an_execution_of_damaged_identity_or_status_is_left_out(server: Bench, client: Client, field: str) -> None:
    _, bad = start_two(server)
    if field == "id":
        server.redis.hdel(server.container.store.keys.execution(bad), "id")
    else:
        damage(server, bad, field)
    assert [execution.name for execution in client.executions()] == ["good"]


@pytest.mark.parametrize("field", ["state", "metadata", "due"])
def test_a_damaged_frame_hides_no_execution(server: Bench, client: Client, field: str, text: str) -> None:
    ref = server.start(WAIT, {"seconds": 1000})
    server.start(WAIT, {"seconds": 1000}, name="other")
    server.work()
    server.redis.hset(server.container.store.keys.frame(ref, "r"), field, text)
    found = {execution.name: execution for execution in client.executions()}
    assert sorted(found) == ["other", "x"]
    assert [step.name for step in found["other"].open_steps] == ["Wait"]
    assert found["x"].description.damaged == (() if field == "state" else ("frame r",))


@pytest.mark.parametrize("field", ["input", "output"])
def test_damaged_data_raise_an_error_that_names_it(server: Bench, client: Client, field: str, text: str) -> None:
    _, bad = start_two(server)
    damage(server, bad, field, text)
    execution = client.execution("flow", "bad")
    with pytest.raises(DamagedRecord, match=f'the {field} of execution "flow/bad" cannot be decoded'):
        getattr(execution, field)


def test_an_execution_with_a_damaged_input_can_be_stopped_and_purged(server: Bench, client: Client) -> None:
    ref = server.start(WAIT, {"seconds": 1000})
    damage(server, ref, "input")
    stopped = client.execution("flow", "x").stop()
    assert stopped.status == Status.STOPPED.value
    stopped.purge()
    assert client.executions() == []


def test_list_says_what_cannot_be_read(server: Bench, store_url: str) -> None:
    _, bad = start_two(server)
    damage(server, bad, "input")
    result = runner.invoke(app, ["list", "--redis", store_url], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["flow/bad", "Succeeded"], ["flow/good", "Succeeded"]]
    assert rows[0].rstrip().endswith("input cannot be read")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_show_names_the_damaged_field(server: Bench, store_url: str, options: tuple[str, ...]) -> None:
    _, bad = start_two(server)
    damage(server, bad, "input")
    result = runner.invoke(app, ["show", "flow/bad", "--redis", store_url, *options])
    assert isinstance(result.exception, DamagedRecord | SystemExit)
    assert 'the input of execution "flow/bad" cannot be decoded' in str(result.exception) + result.output


def test_a_damaged_event_is_named(server: Bench, client: Client, text: str) -> None:
    _, bad = start_two(server)
    server.redis.lset(server.container.store.keys.history(bad), 2, text)
    with pytest.raises(DamagedRecord, match='the event 3 of execution "flow/bad" cannot be decoded'):
        client.execution("flow", "bad").history()
    assert len(client.execution("flow", "good").history()) > 0


@pytest.mark.parametrize("damage_flow", ["times", "definition"])
def test_a_damaged_flow_hides_no_others(server: Bench, client: Client, damage_flow: str) -> None:
    server.deploy(PASSES, "good")
    server.deploy(WAIT, "bad")
    keys = server.container.store.keys
    if damage_flow == "times":
        server.redis.hset(keys.flow("bad"), "created_at", "soon")
    else:
        server.redis.delete(keys.definition(client.flow("bad").digest))
    assert [flow.name for flow in client.flows()] == ["good"]


def test_a_function_with_a_damaged_time_hides_no_others(server: Bench, client: Client) -> None:
    server.redis.hset(server.container.store.keys.functions(), mapping={"a": "1.0", "b": "soon"})
    assert client.functions() == ["a", "b"]
    assert client.functions(within=10.0**10) == ["a", "b"]
