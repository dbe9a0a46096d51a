"""Any text is data: half of a character, NUL, controls and emoji come out as they went in, at each entrance."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import Context, TaskError
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from tests.contract.conftest import Bench
from tests.contract.sub_flows import ask, run_until_idle
from tests.flows import PARENT, TASK

TEXTS = [
    "half \ud83d",
    "\ude00",
    "\x00",
    "\x00\x00a",
    "a\x00b\x1b[31m\x85",
    "中文 é 😀",
    "\u202e\u200b\ufeff",
    "\\ud83d",
    '"',
]
TEXTS += ["\ud83d" * 200, "\x00" * 200, "中" * 200]
"""The last ones are stored once and referred to by digest."""
FAIL = "version: v1\ntype: flow\nsteps:\n- {type: fail, name: F, error: $.e, cause: $.c}\n"
FOREACH = """
version: v1
type: flow
steps:
- type: foreach
  name: Each
  iterationMapping: {collection: $.all, item: x}
  steps: [{type: task, name: T, resourceArn: "acs:fc:::services/s/functions/call"}]
  outputMappings: [{target: all, source: "$local[*].x"}]
"""


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_inputs_and_results_come_out_as_they_went_in(bench: Bench, text: str) -> None:
    value = {text: [text, {"a": text}], "text": text}
    inputs = bench.returns("call", {"r": text, text: text})
    ref = bench.start(TASK, value)
    bench.work()
    assert (inputs, bench.output(ref)) == ([value], {"r": text, text: text})
    assert bench.container.reading.execution(ref).input == value
    assert next(event for event in bench.history(ref) if event.type == "StepEntered").detail["input"] == value


def test_items_of_a_foreach_come_out_as_they_went_in(bench: Bench) -> None:
    bench.functions.register("call", lambda input, context: {"x": input["x"]})
    ref = bench.start(FOREACH, {"all": TEXTS})
    bench.work()
    assert bench.output(ref) == {"all": TEXTS}


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_errors_and_causes_come_out_as_they_went_in(bench: Bench, text: str) -> None:
    error = text[:128]

    def ends(ref: Any) -> None:
        record = bench.container.reading.execution(ref)
        assert (record.error, record.cause) == (error, text)
        assert bench.history(ref)[-1].detail == {"error": error, "cause": text}

    def call(input: dict[str, Any], context: Context) -> None:
        raise TaskError(error, text)

    bench.functions.register("call", call)
    ref = bench.start(TASK, {}, "raised")
    bench.work()
    ends(ref)
    ref = bench.start(FAIL, {"e": error, "c": text}, "failed")
    bench.work()
    ends(ref)
    ref = bench.start(TASK, {}, "stopped")
    bench.container.engine.end(bench.key(ref), Status.STOPPED, error, text)
    ends(ref)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_reports_come_out_as_they_went_in(bench: Bench, text: str) -> None:
    ref, token = ask(bench)
    bench.container.engine.report(token, ReportedSucceeded({"text": text}))
    bench.work()
    assert bench.output(ref) == {"text": text}


def test_a_failure_report_with_half_a_character(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.report(token, ReportedFailed("\ud83d", "\x00\ude00"))
    record = bench.container.reading.execution(ref)
    assert (record.status, record.error, record.cause) == (Status.FAILED, "\ud83d", "\x00\ude00")


def test_the_error_of_a_sub_flow_reaches_its_parent(bench: Bench) -> None:
    bench.deploy(FAIL, "child")
    parent = PARENT.replace("{{seconds: $.seconds, n: 1}}", "$").format(pattern="sync", name="kid")
    ref = bench.start(parent, {"e": "\ud83d", "c": "\x00中"})
    run_until_idle(bench)
    assert bench.output(ref) == {"error": "\ud83d", "cause": "\x00中"}


CATCH = """
version: v1
type: flow
steps:
- type: task
  name: T
  resourceArn: acs:fc:::services/s/functions/call
  catch: [{errors: [NAME], goto: C}]
  errorMappings: [{target: error, source: $local.error}, {target: cause, source: $local.cause}]
- {type: succeed, name: C}
"""


def test_a_long_error_name_is_cut_and_still_caught(bench: Bench) -> None:
    name = "E" * 200

    def call(input: dict[str, Any], context: Context) -> None:
        raise TaskError(name, "c" * 10_000)

    bench.functions.register("call", call)
    ref = bench.start(CATCH.replace("NAME", name))
    bench.work()
    assert bench.output(ref) == {"error": "E" * 127 + "…", "cause": "c" * 4095 + "…"}
    assert max(len(event.detail.get("error", "")) for event in bench.history(ref)) == 128


@pytest.mark.parametrize("field", ["e", "c"])
def test_a_long_error_of_a_fail_step_is_cut(bench: Bench, field: str) -> None:
    ref = bench.start(FAIL, {"e": "E", "c": "C", field: "x" * 9000})
    bench.work()
    record = bench.container.reading.execution(ref)
    lengths = (len(record.error or ""), len(record.cause or ""))
    assert lengths == ((128, 1) if field == "e" else (1, 4096))


def test_the_name_of_a_class_is_cut(bench: Bench) -> None:
    bench.returns("call", type("X" * 500, (Exception,), {})("why"))
    ref = bench.start(TASK)
    bench.work()
    assert bench.container.reading.execution(ref).error == "X" * 127 + "…"
