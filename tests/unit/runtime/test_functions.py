from __future__ import annotations

import json
from typing import Any

import pytest

from pollflow import Context, Functions, TaskError, fc_handler
from pollflow.fdl.model import Pattern, ServiceResource
from pollflow.machine import Raised, Returned, Submitted
from pollflow.runtime.functions import Function, missing_cause
from pollflow.runtime.invoke import invoke
from tests.calling import CONTEXT, RESOURCE, call


def nothing(input: dict[str, Any], context: Context) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("names", [["status"], ["jobs/status", "status"], [RESOURCE.arn, "jobs/status", "status"]])
def test_a_function_is_found_by_its_arn_then_with_its_service_then_alone(names: list[str]) -> None:
    functions = Functions()
    made: dict[str, Function] = {}
    for name in names:
        made[name] = lambda input, context: {}
        functions.register(name, made[name])
    assert functions.find(RESOURCE) is made[names[0]]


def test_a_function_of_another_service_is_not_found_by_its_name_alone() -> None:
    functions = Functions()
    functions.register("other/status", nothing)
    assert functions.find(RESOURCE) is None
    assert missing_cause(RESOURCE, functions) == (
        "no function is registered as 'jobs/status'; did you mean other/status? registered: other/status; "
        "a worker registers the functions of the modules that worker.py, `imports` or `autodiscover_tasks` import"
    )


def test_a_missing_cause_lists_a_few_of_many_names() -> None:
    functions = Functions()
    for number in range(200):
        functions.register(f"f{number:03}", nothing)
    cause = missing_cause(RESOURCE, functions)
    assert "registered: f000, f001, f002, f003, f004, f005, f006, f007, f008, f009 and 190 more;" in cause


def test_the_decorator_takes_a_name_or_the_functions_own() -> None:
    functions = Functions()

    @functions.function
    def one(input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}

    @functions.function("jobs/two")
    def two(input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}

    assert list(functions) == ["jobs/two", "one"]
    assert functions.find(ServiceResource("one", takes_params=True)) is one


def test_async_functions_are_awaited() -> None:
    async def slow(input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {"got": input}

    assert invoke(slow, {"a": 1}, CONTEXT) == {"got": {"a": 1}}


def test_a_result_becomes_plain_json() -> None:
    assert invoke(lambda input, context: {"a": (1, 2)}, {}, CONTEXT) == {"a": [1, 2]}


def test_a_handler_of_function_compute_runs_unedited() -> None:
    def handler(event: bytes, context: Any) -> str:
        request = json.loads(event)
        documented = [
            *(context.function.name, context.function.handler, context.function.memory, context.function.timeout),
            *(context.function.qualifier, context.function.version_id, context.credentials.access_key_id),
            *(context.credentials.access_key_secret, context.credentials.security_token, context.region),
            *(context.service.name, context.service.log_project, context.service.log_store),
            *(context.service.qualifier, context.service.version_id, context.account_id, context.retry_count),
        ]
        context.logger.info("request for %s", documented)
        return json.dumps({"request": request, "request_id": context.request_id})

    result = invoke(fc_handler(handler), {"a": 1}, CONTEXT)
    assert result == {"request": {"a": 1}, "request_id": "id/step/r.1"}


def test_a_handler_of_function_compute_may_return_an_object() -> None:
    assert invoke(fc_handler(lambda event, context: {"ok": True}), {}, CONTEXT) == {"ok": True}


def test_a_handler_that_returns_no_json_fails_the_step() -> None:
    with pytest.raises(TaskError) as caught:
        invoke(fc_handler(lambda event, context: "oops"), {}, CONTEXT)
    assert caught.value.error == "FnF.InvalidLocal"


def test_the_return_value_of_a_function_is_the_result_of_the_call() -> None:
    assert call(lambda input, context: {"got": input}) == Returned({"got": {"a": 1}})


def test_log_lines_of_a_function_name_execution_and_step(caplog: pytest.LogCaptureFixture) -> None:
    def logs(input: dict[str, Any], context: Context) -> None:
        context.logger.warning("%d jobs", 3)

    call(logs, step="50% done")
    (record,) = caplog.records
    assert record.getMessage() == "f/x 50% done: 3 jobs"
    assert (vars(record)["flow"], vars(record)["execution"], vars(record)["step"]) == ("f", "x", "50% done")


def test_a_result_that_is_not_json_fails_the_step() -> None:
    event = call(lambda input, context: {"a": object()})
    assert isinstance(event, Raised) and event.error == "FnF.InvalidLocal"


def test_an_unregistered_function_is_reported_with_near_names() -> None:
    event = call(None)
    assert isinstance(event, Raised) and event.error == "FC.FunctionNotFound"
    assert event.cause.startswith("no function is registered as 'jobs/status'; registered: none; a worker registers")


def test_a_call_that_crashed_too_often_is_not_repeated() -> None:
    event = call(nothing, starts=4)
    assert event == Raised("FC.Unknown", "the process of the call ended 3 times before it returned")


def test_a_call_that_crashed_too_often_names_what_ended_the_last_one() -> None:
    event = call(nothing, starts=4, reason="was ended by Celery's hard time limit of 5 s")
    assert isinstance(event, Raised)
    assert event.cause.endswith(" before it returned; the last call was ended by Celery's hard time limit of 5 s")


def test_the_result_of_a_callback_call_is_ignored() -> None:
    assert call(nothing, pattern=Pattern.WAIT_FOR_CALLBACK) == Submitted({})


def test_the_result_of_an_async_call_is_dropped() -> None:
    assert call(lambda input, context: {"a": 1}, ignore_result=True) == Returned({})
