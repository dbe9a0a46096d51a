"""Wrong arguments of the public API: InvalidArgument names the argument, and nothing is stored."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

import pollflow
from pollflow import Client, Execution, InvalidArgument, InvalidTaskToken, PollflowError
from pollflow import testing as flow_testing
from pollflow.errors import DefinitionError
from pollflow.fdl import read_flow
from pollflow.testing import RunResult, VirtualRun

FLOW = "version: v1\ntype: flow\nsteps:\n- {type: wait, name: W, duration: 100}\n"
PASS = read_flow("version: v1\ntype: flow\nsteps:\n- {type: pass, name: P}\n")


class Text(str, Enum):
    A = "a"
    EMPTY = ""


class Number(IntEnum):
    ONE = 1


class Plain(Enum):
    A = "a"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("this is not called")

    __str__ = __repr__


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = [value]
    return value


ANYTHING = [5, 1.5, True, b"text", [], {}, (), {1}, object(), Unprintable(), Plain.A, Decimal(1), datetime(2026, 1, 1)]
NOT_TEXTS = [value for value in ANYTHING if not isinstance(value, str)]
NAMES = [*NOT_TEXTS, "", " ", "a b", "a/b", "é", "-a", "1a", "x" * 129, "\ud800", "a\n", "a\x00", Text.EMPTY]
NUMBERS = ["5", "", b"5", [], {}, True, -1, -0.001, math.nan, math.inf, -math.inf, Decimal(1), Unprintable(), 10**5000]
INTEGERS = [*NUMBERS, 1.0, 1.5, 0, 10_001]
FLAGS = [0, 1, "yes", "", [], 1.0, Unprintable()]
TIMES = [*NOT_TEXTS, "2026-01-01", datetime(2026, 1, 1), datetime(2026, 1, 1).date()]
OBJECTS: list[Any] = [
    *(value for value in ANYTHING if value != {}),
    "text",
    {1: "a", "1": "b"},
    {"a": [{None: 1}]},
    {"a": {True: 1}},
    {(1, 2): 3},
    {"a": math.nan},
    {"a": [math.inf]},
    {"a": 10**5000},
    {"a": Decimal(1)},
    {"a": datetime(2026, 1, 1)},
    {"a": b"bytes"},
    {"a": {1}},
    {"a": Unprintable()},
    {"a": Plain.A},
    {"\ud83d\ude00": 1, "😀": 2},
    circular(),
]
ERRORS = [*NOT_TEXTS, "x" * 129]
CAUSES = [*NOT_TEXTS, "x" * 4097]
TEXTS = [*CAUSES, "\ud800"]
WHO = [*NOT_TEXTS, "", "x" * 129, "\ud800"]
PATHS = [*NOT_TEXTS, ""]
INSTANCES = [*ANYTHING, "text"]
NONE = [None]

METHODS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "Client.deploy": (
        {"definition": "unused.yaml"},
        {"definition": [*PATHS, None], "name": NAMES, "description": [*TEXTS, None], "by": WHO},
    ),
    "Client.deploy_text": (
        {"text": FLOW, "name": "other"},
        {
            "text": [*NOT_TEXTS, None],
            "name": [*NAMES, None],
            "description": [*TEXTS, None],
            "path": [*CAUSES, None],
            "by": WHO,
        },
    ),
    "Client.flow": ({"name": "flow"}, {"name": [*NAMES, None]}),
    "Client.flows": ({}, {}),
    "Client.start": (
        {"flow": "flow"},
        {"flow": [*NAMES, None], "input": OBJECTS, "name": NAMES, "durable": [*FLAGS, None], "by": WHO},
    ),
    "Client.start_many": (
        {"flow": "flow", "inputs": [{}]},
        {
            "flow": [*NAMES, None],
            "inputs": [
                None,
                5,
                b"x",
                "text",
                [5],
                [None],
                [{}, [1]],
                *([{}, wrong] for wrong in OBJECTS),
                Unprintable(),
            ],
            "names": [5, "text", b"x", [], [5], [None], ["a", "b"], *([name] for name in NAMES), Unprintable()],
            "durable": [*FLAGS, None],
            "by": WHO,
        },
    ),
    "Client.execution": ({"flow": "flow", "name": "x"}, {"flow": [*NAMES, None], "name": [*NAMES, None]}),
    "Client.executions": (
        {},
        {"flow": NAMES, "status": [*NOT_TEXTS, "", "nope"], "limit": [*INTEGERS, None], "before": TIMES},
    ),
    "Client.report_succeeded": ({"token": "x"}, {"token": [*CAUSES, None], "output": OBJECTS, "by": WHO}),
    "Client.report_failed": (
        {"token": "x", "error": "E"},
        {"token": [*CAUSES, None], "error": [*ERRORS, "", None], "cause": [*CAUSES, None], "by": WHO},
    ),
    "Client.audit": ({}, {"flow": NAMES, "limit": [*INTEGERS, None]}),
    "Client.functions": ({}, {"within": NUMBERS}),
    "Client.close": ({}, {}),
    "Execution.refresh": ({}, {}),
    "Execution.wait": ({}, {"timeout": NUMBERS}),
    "Execution.history": ({}, {"after": [value for value in [*INTEGERS, None] if value not in (0, 10_001)]}),
    "Execution.events": ({}, {"after": [value for value in [*INTEGERS, None] if value not in (0, 10_001)]}),
    "Execution.stop": ({}, {"error": [*ERRORS, None], "cause": [*CAUSES, None], "by": WHO}),
    "Execution.purge": ({}, {"by": WHO}),
}
"""Valid arguments of each method, and wrong values of each parameter."""


def draw(result: Any) -> str:
    return flow_testing.draw(result)


def handle(event: bytes, context: Any) -> None: ...


FUNCTIONS: dict[Callable[..., Any], tuple[dict[str, Any], dict[str, list[Any]]]] = {
    pollflow.attach: (
        {"app": Celery("x", broker="redis://localhost:1/0")},
        {"app": [*INSTANCES, None], "redis_url": NOT_TEXTS, "functions": INSTANCES},
    ),
    pollflow.beat_schedule: ({}, {"every": [*NUMBERS, None, 0]}),
    pollflow.fc_handler: ({}, {"handler": [*INSTANCES, None]}),
    Client: ({"source": "redis://localhost:1/0"}, {"source": NOT_TEXTS, "key_prefix": [*TEXTS, ""], "by": WHO}),
    flow_testing.Reply: ({}, {"raises": INSTANCES, "lost": [*FLAGS, None], "takes": [*NUMBERS, None]}),
    flow_testing.Stop: (
        {"seconds": 1},
        {"seconds": [*NUMBERS, None], "error": [*ERRORS, None], "cause": [*CAUSES, None]},
    ),
    flow_testing.ReportSucceeded: (
        {"seconds": 1, "step": "s"},
        {"seconds": [*NUMBERS, None], "step": [*NOT_TEXTS, "", None], "output": [*OBJECTS, None]},
    ),
    flow_testing.ReportFailed: (
        {"seconds": 1, "step": "s"},
        {
            "seconds": [*NUMBERS, None],
            "step": [*NOT_TEXTS, "", None],
            "error": [*ERRORS, None],
            "cause": [*CAUSES, None],
        },
    ),
    flow_testing.draw: ({}, {"result": [*INSTANCES, None]}),
    flow_testing.load_cases: ({}, {"path": [*PATHS, None]}),
    flow_testing.run_paths: (
        {"paths": []},
        {
            "paths": [5, "text", b"x", None, [5], [None], Path("x"), Unprintable()],
            "keyword": NOT_TEXTS,
            "on_verdict": INSTANCES,
            "runner": INSTANCES,
        },
    ),
    flow_testing.run_flow: (
        {"flow": PASS},
        {
            "flow": [*(value for value in PATHS if value != {}), None, {"a": {1}}, circular()],
            "input": OBJECTS,
            "functions": [*(value for value in INSTANCES if value != {}), {"f": 5}, {"f": []}, {"f": [5]}, {"f": "x"}],
            "flows": [*(value for value in INSTANCES if value != {}), {"a": 5}, {"a b": PASS}, {5: PASS}],
            "at": [5, "x", b"x", None, [5], [None]],
            "limits": INSTANCES,
            "until": NUMBERS,
        },
    ),
    flow_testing.VirtualRun: (
        {"flow": PASS},
        {
            "flow": [*INSTANCES, None],
            "input": OBJECTS,
            "functions": [*(value for value in INSTANCES if value != {}), {"f": 5}, {"f": []}],
            "flows": [*(value for value in INSTANCES if value != {}), {"a": "b"}],
            "stimuli": [5, "x", None, [5]],
            "limits": INSTANCES,
            "flow_name": NAMES,
            "execution_name": [*NAMES, None],
        },
    ),
}
RESULTS = {"Case", "FlowTestReport", "Verdict", "CallMade", "RunResult", "Context", "DeployedFlow", "Description"}
RESULTS |= {"AuditEntry", "Execution", "HistoryEntry", "OpenStep", "StepState"}
"""Classes that pollflow constructs, not its users."""
RESULTS |= {"Codec", "CodecContext"}
CHECKED_AT_IMPORT = {"Functions", "function"}
CONFIGURATION = {"AesGcmCodec", "ZstdCodec"}
"""Wrong parameters of these are ConfigurationError: tests/unit/store/test_codecs.py."""
UNCHECKED = {("Reply", "returns"), ("VirtualRun", "client")}
"""A reply may be any value, which the run checks; `client` is a connection of redis-py."""


def rows(table: dict[Any, Any]) -> Iterator[Any]:
    for function, (valid, wrong) in table.items():
        name = function if isinstance(function, str) else function.__name__
        for parameter, values in wrong.items():
            for number, value in enumerate(values):
                yield pytest.param(function, valid, parameter, value, id=f"{name}-{parameter}-{number}")


@dataclass
class Store:
    client: Client
    execution: Execution
    redis: Redis

    def contents(self) -> dict[bytes, Any]:
        return {key: self.redis.dump(key) for key in self.redis.scan_iter()}


@pytest.fixture(scope="module")
def store(shared_server: Any) -> Iterator[Store]:
    with Redis.from_url(shared_server.url) as redis, Client(shared_server.url) as client:
        redis.flushall()
        client.deploy_text(FLOW, "flow")
        yield Store(client, client.start("flow", name="x"), redis)


def parameters_of(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_the_table_has_every_parameter_of_the_public_api() -> None:
    for owner in (Client, Execution):
        methods = {
            name: method for name, method in vars(owner).items() if name[0] != "_" and inspect.isfunction(method)
        }
        for name, method in methods.items():
            assert parameters_of(method) == set(METHODS[f"{owner.__name__}.{name}"][1]), name
    exported = {name: getattr(module, name) for module in (pollflow, flow_testing) for name in module.__all__}
    for name, function in exported.items():
        is_exception = isinstance(function, type) and issubclass(function, Exception)
        if is_exception or name in RESULTS | CHECKED_AT_IMPORT | CONFIGURATION:
            continue
        unchecked = {parameter for owner, parameter in UNCHECKED if owner == name}
        assert parameters_of(function) - unchecked == set(FUNCTIONS[function][1]), name


@pytest.mark.parametrize(("method", "valid", "parameter", "value"), list(rows(METHODS)))
def test_a_wrong_argument_of_a_method_is_named(
    store: Store, method: str, valid: dict[str, Any], parameter: str, value: Any
) -> None:
    owner, name = method.split(".")
    before = store.contents()
    function = getattr(store.client if owner == "Client" else store.execution, name)
    with pytest.raises(InvalidArgument, match=rf"\b{parameter}\b") as raised:
        function(**{**valid, parameter: value})
    assert len(str(raised.value)) < 400
    assert store.contents() == before


@pytest.mark.parametrize(("function", "valid", "parameter", "value"), list(rows(FUNCTIONS)))
def test_a_wrong_argument_of_a_function_is_named(
    function: Callable[..., Any], valid: dict[str, Any], parameter: str, value: Any
) -> None:
    with pytest.raises(InvalidArgument, match=rf"\b{parameter}\b") as raised:
        made = function(**{**valid, parameter: value})
        if isinstance(made, VirtualRun):
            made.run()
    assert len(str(raised.value)) < 400


def test_wrong_arguments_of_results_are_named(tmp_path: Path) -> None:
    result = VirtualRun(PASS).run()
    assert isinstance(result, RunResult)
    for call in (
        lambda: result.calls_of(None),  # type: ignore[arg-type]
        lambda: VirtualRun(PASS).run(until=math.nan),
        lambda: flow_testing.FlowTestReport().write_junit(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgument):
            call()


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "a#b", "djMj", "v3#a#b#c#1#r#1#s#1#sig", "\x00"])
def test_any_other_text_is_no_task_token(store: Store, token: str) -> None:
    with pytest.raises(InvalidTaskToken) as raised:
        store.client.report_succeeded(token)
    assert token not in str(raised.value) or len(token) < 2


def test_subclasses_of_text_number_and_dict_are_accepted(store: Store) -> None:
    class Input(dict[str, Any]):
        pass

    started = store.client.start("flow", Input(a=Text.A, n=Number.ONE, t=(1, 2)), name=Text.A)
    try:
        assert (started.name, started.input) == ("a", {"a": "a", "n": 1, "t": [1, 2]})
        assert store.client.executions(flow="flow", limit=Number.ONE) == [started]
    finally:
        started.stop().purge()


def test_a_message_shows_no_secret_and_no_long_value(store: Store) -> None:
    for call in (
        lambda: store.client.report_succeeded("SECRET" * 2000),
        lambda: store.client.start("flow", name="SECRET" * 2000),
        lambda: store.client.start("flow", {"a": b"SECRET"}),
        lambda: pollflow.attach(Celery("x"), b"redis://:SECRET@host"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgument) as raised:
            call()
        assert "SECRET" not in str(raised.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(sorted(METHODS)),
    arguments=st.dictionaries(st.sampled_from(["flow", "name", "error", "cause", "limit", "before", "after"]), values),
)
def test_only_documented_errors_come_out(store: Store, method: str, arguments: dict[str, Any]) -> None:
    owner, name = method.split(".")
    if name in ("close", "wait", "purge", "stop"):
        return
    function = getattr(store.client if owner == "Client" else store.execution, name)
    taken = {key: value for key, value in arguments.items() if key in METHODS[method][1]}
    try:
        function(**{**METHODS[method][0], **taken})
    except (PollflowError, DefinitionError) as error:
        assert re.search(r"\w", str(error))


def test_the_time_zone_of_before_is_used(store: Store) -> None:
    later = datetime.max.replace(tzinfo=timezone.utc)
    assert store.execution in store.client.executions(before=later)
    assert store.client.executions(before=datetime.min.replace(tzinfo=timezone.utc)) == []
