"""What `list` and `show` print, and the filters and suggestions of the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pollflow import Client
from pollflow.cli.app import app
from pollflow.cli.session import ProjectLocation
from pollflow.cli.summary import next_commands
from pollflow.errors import ExecutionNotExists, FlowNotExists, InvalidArgument
from pollflow.machine import Status
from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench
from tests.flows import EACH_PASS, PASSES, WAIT

PARALLEL = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps: [{type: wait, name: Left, duration: 600}]
      - steps: [{type: wait, name: Right, duration: 600}]
      - steps: [{type: task, name: Retried, resourceArn: call, retry: [{errors: [FnF.ALL], intervalSeconds: 600}]}]
"""
FAILS = """
version: v1
type: flow
steps: [{type: fail, name: Broken, error: Broken, cause: as expected}]
"""
runner = CliRunner()


@pytest.fixture
def client(server: Bench, store_url: str) -> Iterator[Client]:
    with Client(store_url) as client:
        yield client


@pytest.fixture
def filled(server: Bench, client: Client) -> Client:
    """Return a client of a Redis with executions of three flows, in four statuses."""
    for flow, text, names in (("nightly", PASSES, "ab"), ("hourly", WAIT, "cde"), ("weekly", FAILS, "f")):
        server.deploy(text, flow)
        for name in names:
            server.container.starter.start(flow, {"seconds": 1000}, name)
            server.pass_time(1)
    server.work()
    client.execution("hourly", "d").stop("NotNeeded")
    return client


def names(client: Client, **filters: Any) -> str:
    return "".join(execution.name for execution in client.executions(**filters))


def run(store_url: str, *words: str) -> tuple[int, str]:
    result = runner.invoke(app, [*words, "--redis", store_url])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"status": "Running"}, "ec"),
        ({"status": ["running", "FAILED"]}, "fec"),
        ({"status": ("Succeeded", "Stopped", "Running")}, "edcba"),
        ({"flow": ["nightly", "weekly"]}, "fba"),
        ({"flow": ["hourly", "nightly"], "status": ["Stopped", "Succeeded"]}, "dba"),
        ({"flow": ["hourly", "hourly"]}, "edc"),
        ({"flow": ["hourly", "nightly"], "limit": 4}, "edcb"),
        ({"flow": ["unknown", "weekly"]}, "f"),
        ({}, "fedcba"),
    ],
)
def test_several_flows_and_statuses_are_a_union(filled: Client, filters: dict[str, Any], found: str) -> None:
    assert names(filled, **filters) == found


def test_executions_of_one_shard_are_listed_though_it_has_more_than_its_share(bench: Bench) -> None:
    bench.deploy(WAIT)
    refs = [ExecutionRef("flow", f"n{number}") for number in range(2000)]
    crowded = [ref for ref in refs if ref.shard == 3][:60]
    others = [ref for ref in refs if ref.shard != 3][:20]
    for ref in [*others[:10], *crowded, *others[10:]]:
        bench.container.starter.start("flow", {"seconds": 1000}, ref.name)
        bench.pass_time(1)
    expected = [*reversed(others[10:]), *reversed(crowded)]
    for limit in (5, 60, 70):
        assert bench.container.reading.refs(flow="flow", status=Status.RUNNING, limit=limit) == expected[:limit]


def test_pages_of_a_union_do_not_overlap(filled: Client) -> None:
    filters: dict[str, Any] = {"status": ["Running", "Succeeded", "Failed"], "limit": 2}
    pages, before = [], None
    while page := filled.executions(**filters, before=before):
        pages.append("".join(execution.name for execution in page))
        before = page[-1].started_at
    assert pages == ["fe", "cb", "a"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-s", "running", "-s", "failed"), ["weekly/f", "hourly/e", "hourly/c"]),
        (("--flow", "weekly", "--flow", "nightly"), ["weekly/f", "nightly/b", "nightly/a"]),
        (("-f", "hourly", "-s", "Stopped", "-s", "Failed"), ["hourly/d"]),
    ],
)
def test_repeated_options_are_a_union(filled: Client, store_url: str, words: tuple[str, ...], found: list[str]) -> None:
    status, output = run(store_url, "list", *words)
    assert (status, [line.split()[0] for line in output.splitlines()[1:]]) == (0, found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("list --flow nope", 'no flow "nope" is deployed; deployed: hourly, nightly, weekly'),
        ("list --flow Weekly", 'no flow "Weekly" is deployed; did you mean "weekly"?'),
        ("list --flow weekly --flow houry", 'no flow "houry" is deployed; did you mean "hourly"?'),
        ("list -s runing", "unknown status 'runing'; did you mean Running?"),
        ("list -s failed -s timeout", "unknown status 'timeout'; did you mean TimedOut?"),
        ("start nightli", 'no flow "nightli" is deployed; did you mean "nightly"?'),
        ("show hourly/F", 'execution "hourly/F" does not exist; the latest execution of "hourly" is "hourly/e"'),
        ("show hourly/E", 'execution "hourly/E" does not exist; did you mean "hourly/e"?'),
        ("history houry/e", 'execution "houry/e" does not exist; no flow "houry" is deployed; did you mean "hourly"?'),
        ("stop nightly/x", 'execution "nightly/x" does not exist; the latest execution of "nightly" is "nightly/b"'),
        ("purge weekly/F", 'execution "weekly/F" does not exist; did you mean "weekly/f"?'),
        ("show empty/x", 'execution "empty/x" does not exist; flow "empty" has no executions'),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(
    server: Bench, filled: Client, store_url: str, words: str, message: str
) -> None:
    if "empty" in words:
        server.deploy(PASSES, "empty")
    status, output = run(store_url, *words.split())
    assert status == 2
    assert message in output


def test_a_flow_without_executions_is_no_error(server: Bench, filled: Client, store_url: str) -> None:
    server.deploy(PASSES, "empty")
    status, output = run(store_url, "list", "--flow", "empty")
    assert (status, output.splitlines()[0]) == (0, "no executions found")


@pytest.mark.parametrize(("command", "message"), [("list", "no executions found"), ("flows", "no flows are deployed")])
def test_an_empty_table_says_which_server_was_read(server: Bench, store_url: str, command: str, message: str) -> None:
    status, output = run(store_url, command)
    first, second = output.splitlines()
    assert (status, first) == (0, message)
    assert second.startswith("server: ")
    assert "(from --redis), key prefix pollflow, " in second
    assert run(store_url, command, "-v")[1].count("server: ") == 1


CALL = """
version: v1
type: flow
steps: [{type: task, name: Ask, resourceArn: call}]
"""


def test_after_a_failure_the_next_commands_show_the_traceback(server: Bench, client: Client) -> None:
    server.deploy(CALL, "raises")
    server.deploy(FAILS, "fails")
    server.returns("call", ValueError("no"))
    for flow in ("raises", "fails"):
        server.container.starter.start(flow, {}, "x")
    server.work()
    location = ProjectLocation(Path.cwd())
    shown, events = "pollflow show {}/x", "pollflow history {}/x"
    assert [command for command, _ in next_commands(client.execution("raises", "x"), location)] == [
        shown.format("raises"),
        events.format("raises"),
        "pollflow show raises/x --traceback",
    ]
    assert [command for command, _ in next_commands(client.execution("fails", "x"), location)] == [
        shown.format("fails"),
        events.format("fails"),
    ]


def test_many_deployed_flows_are_not_all_named(server: Bench, client: Client) -> None:
    for number in range(12):
        server.deploy(PASSES, f"flow-{number:02}")
    with pytest.raises(FlowNotExists, match=r"deployed: flow-00, .*, flow-09 and 2 more$"):
        client.flow("zzz")


@pytest.mark.parametrize("value", [5, [5], [], [None]])
@pytest.mark.parametrize("argument", ["flow", "status"])
def test_a_filter_that_is_no_text_is_refused(client: Client, argument: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"^{argument} must "):
        client.executions(**{argument: value})


def test_a_missing_execution_of_a_flow_that_redis_has_lost_is_suggested(server: Bench, filled: Client) -> None:
    server.redis.delete(server.container.store.keys.flows())
    with pytest.raises(ExecutionNotExists, match="the latest execution of"):
        filled.execution("hourly", "nothing")


def test_show_lists_every_open_step(server: Bench, client: Client, store_url: str) -> None:
    server.returns("call", RuntimeError("no"))
    server.deploy(PARALLEL, "par")
    server.container.starter.start("par", {}, "x")
    server.work()
    status, output = run(store_url, "show", "par/x")
    assert status == 0
    lines = output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("open steps"))
    assert [line.removeprefix("open steps").split(":")[0].strip() for line in lines[first : first + 4]] == [
        *("Both (parallel)", "Left[0] (wait)", "Right[1] (wait)", "Retried[2] (task)"),
    ]
    assert "last error RuntimeError" in lines[first + 3]
    assert [line for line in lines if "step" in line.split("  ")[0]] == [lines[first]]


def test_open_steps_are_in_the_order_of_their_iterations(server: Bench, client: Client, store_url: str) -> None:
    server.deploy(EACH_PASS.replace("type: pass", "type: wait, duration: 600"), "each")
    server.container.starter.start("each", {"items": list(range(12))}, "x")
    server.work()
    document = json.loads(run(store_url, "show", "each/x", "--json")[1])
    assert [step["frame"].rpartition(".")[2] for step in document["open_steps"][1:]] == [str(n) for n in range(12)]


def values_in(document: Any) -> Iterator[Any]:
    yield document
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for value in inner:
        yield from values_in(value)


def test_a_json_document_has_only_the_keys_of_its_status(server: Bench, filled: Client, store_url: str) -> None:
    documents = json.loads(run(store_url, "list", "--json")[1])
    common = {"flow", "name", "status", "input", "started_at", "open_steps"}
    ended = common | {"ended_at", "seconds"}
    expected = {
        Status.RUNNING: common,
        Status.SUCCEEDED: ended | {"output"},
        Status.FAILED: ended | {"error", "cause"},
        Status.STOPPED: ended | {"error", "cause"},
    }
    assert {document["status"] for document in documents} == {status.value for status in expected}
    for document in documents:
        assert set(document) == expected[Status(document["status"])], document["status"]
    assert None not in list(values_in(documents))
    shown = json.loads(run(store_url, "show", "hourly/c", "--json")[1])
    assert set(shown) == common | {"events"}
    assert None not in list(values_in(shown))
