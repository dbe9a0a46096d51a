"""Values that are nested too deeply, and times that no date represents, are errors of their step or argument."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import EntityTooLarge, InvalidArgument
from pollflow.fdl import read_flow
from pollflow.runtime.fc import fc_handler
from pollflow.runtime.objects import checked_object
from tests.contract.conftest import Bench
from tests.flows import PARENT, TASK

DEPTHS = [300, 20_000]
TOO_DEEP = "is nested at least 201 levels deep, more than the limit of 200"
SUB = PARENT.format(pattern="sync", name="kid").replace("{seconds: $.seconds, n: 1}", "$.text")
PASS = "version: v1\ntype: flow\nsteps: [{type: pass, name: A}]\n"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["list", "object"])
def test_a_nested_input_of_a_sub_flow_is_an_error_of_the_step(bench: Bench, depth: int, opening: str) -> None:
    bench.build_container(max_payload_bytes=1 << 20)
    bench.deploy(PASS, "child")
    inner = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    ref = bench.start(SUB, {"text": f'{{"a": {inner}}}'})
    assert bench.work() < 5
    assert bench.status(ref) == "Succeeded"
    output = bench.output(ref)
    assert output["error"] in ("FnF.RuntimeError", "fnf.EntityTooLarge")
    assert TOO_DEEP in output["cause"]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_nested_argument_is_refused(bench: Bench, depth: int) -> None:
    with pytest.raises(EntityTooLarge, match=f"the input {TOO_DEEP}"):
        bench.start(TASK, {"a": nested(depth)})
    with pytest.raises(InvalidArgument, match=f"the output {TOO_DEEP}"):
        checked_object("output", {"a": nested(depth)}, 1 << 20)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_is_too_long_names_its_digits(sign: int) -> None:
    longest = sign * (10**4300 - 1)
    assert checked_object("input", {"a": longest}, 1 << 20) == {"a": longest}
    with pytest.raises(InvalidArgument, match=r"^input\.a is a number of 4,301 digits, more than the limit of 4,300$"):
        checked_object("input", {"a": sign * 10**4300}, 1 << 20)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", ["result", "text of a handler"])
def test_a_nested_result_is_an_error_of_the_step(bench: Bench, depth: int, kind: str) -> None:
    bench.build_container(max_payload_bytes=1 << 20)

    def call(*_: object) -> Any:
        return {"a": nested(depth)} if kind == "result" else '{"a":' + "[" * depth + "]" * depth + "}"

    bench.functions.register("call", call if kind == "result" else fc_handler(call))
    ref = bench.start(TASK)
    assert bench.work() == 1
    assert bench.status(ref) == "Failed"
    execution = bench.container.reading.execution(ref)
    assert execution.error in ("FnF.DataLimitExceeded", "FnF.InvalidLocal")
    assert execution.cause is not None and TOO_DEEP in execution.cause


TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-14:00"]
UNTIL = "version: v1\ntype: flow\nsteps: [{{type: wait, name: W, timestamp: {}}}]\n"


@pytest.mark.parametrize("time", TIMES)
def test_a_time_that_no_date_represents_is_refused(bench: Bench, time: str) -> None:
    ref = bench.start(UNTIL.format("$.at"), {"at": time})
    assert bench.work() == 1
    assert bench.container.reading.execution(ref).cause == (
        "timestamp of step 'W': $.at must be an RFC 3339 time with its offset"
    )
    for written in (time, f'"{time}"'):
        with pytest.raises(ValueError, match="must be a time such as"):
            read_flow(UNTIL.format(written))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "0001-01-01T23:00:00+14:00", "1969-12-31T23:59:59Z"])
@pytest.mark.parametrize("is_constant", [False, True])
def test_a_time_long_ago_ends_the_wait_at_once(bench: Bench, time: str, is_constant: bool) -> None:
    ref = bench.start(UNTIL.format(f'"{time}"' if is_constant else "$.at"), {"at": time})
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_an_integer_beyond_floats_is_no_duration(bench: Bench) -> None:
    text = "version: v1\ntype: flow\nsteps: [{type: wait, name: W, duration: $.seconds}]\n"
    ref = bench.start(text, {"seconds": 10**400})
    assert bench.work() == 1
    cause = bench.container.reading.execution(ref).cause
    assert cause is not None and cause.endswith("more than the limit of 365 days (pollflow_max_wait)")
