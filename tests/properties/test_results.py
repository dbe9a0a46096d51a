"""Hostile inputs, results and exceptions of functions raise documented errors only, within CPU and memory limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pollflow import EntityTooLarge, InvalidArgument, TaskError
from pollflow.fdl import read_flow
from pollflow.machine import Status
from pollflow.testing import VirtualRun
from tests.bounds import bounded_time
from tests.hostile import payloads
from tests.hostile.payloads import nested

FLOW = read_flow("""
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/f
    outputMappings: [{target: all, source: $local}]
  - {type: choice, name: Check, choices: [{condition: $.all.a > 1, goto: Bad}]}
  - {type: foreach, name: Each, iterationMapping: {collection: $.all.list, item: x}, steps: [{type: pass, name: P}]}
  - {type: succeed, name: Good}
  - {type: fail, name: Bad, error: Bad, cause: $.all.why}
""")
KNOWN = {"Bad", "FnF.InvalidLocal", "FnF.RuntimeError", "FnF.DataLimitExceeded", "Odd", "Strange"}


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


texts = st.text(max_size=20) | st.sampled_from(["\ud800", "\x00", "\x00\x00a", "a" * 40_000, "'; DROP", "{}"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400)
odd = st.sampled_from([b"bytes", {1, 2}, object, datetime(2026, 1, 1), (1, 2)])
deep = st.sampled_from([150, 250, 900, 5000]).map(nested)
values = st.recursive(
    scalars | odd | deep,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.fixed_dictionaries({}, optional={"a": values, "list": values, "why": values, "more": values})
raised = st.sampled_from([Odd(), TaskError("Strange", "\ud800"), TaskError("Strange", "x" * 100_000), None, None, None])


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(input=objects, result=objects | values, error=raised)
def test_only_documented_errors_are_raised(input: Any, result: Any, error: Any) -> None:
    def function(_: Any, context: Any) -> Any:
        if error is not None:
            raise error
        return result

    with bounded_time():
        run_once(input, function)


def run_once(input: Any, function: Callable[..., Any]) -> None:
    try:
        result = VirtualRun(FLOW, input, functions={"f": function}).run()
    except (InvalidArgument, EntityTooLarge):
        return
    assert result.status in (Status.SUCCEEDED, Status.FAILED)
    assert result.status is Status.SUCCEEDED or result.error in KNOWN


@payloads.requires_memory_limit
def test_hostile_payloads_are_refused_in_bounded_memory_and_time() -> None:
    expected = {name: [of_input, of_result] for name, (of_input, of_result, _) in payloads.VALUES.items()}
    assert payloads.results_of("values") == expected


@pytest.mark.parametrize(
    "input", [{"a": float("nan")}, {"a": object()}, {"a": nested(5000)}, {"a": {1, 2}}], ids=range(4)
)
def test_input_that_is_not_json_is_refused_before_anything_is_stored(input: Any) -> None:
    with pytest.raises(InvalidArgument):
        VirtualRun(FLOW, input).run()
