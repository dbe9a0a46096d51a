"""Tasks: results, failures, retries, catches, time-outs and reports."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from pollflow.errors import InvalidTaskToken
from pollflow.fdl.model import Pattern, Retry
from pollflow.machine import (
    Arrived,
    AwaitReport,
    Decision,
    Level,
    MessageMetadata,
    Outcome,
    Phase,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Returned,
    ScheduleCall,
    Status,
    Submitted,
    TimedOut,
    call_of,
    is_awaited,
    read_task_token,
    verify,
)
from pollflow.machine.retry import delay_before_retry
from tests.unit.machine.builders import (
    ARN,
    INFO,
    after,
    at,
    at_next,
    entered,
    event,
    failed,
    flow_of,
    left,
    maps,
    scheduled,
    step,
)


def again(attempt: int, seconds: float) -> Any:
    return event("TaskScheduled", "T", resourceArn=ARN, attempt=attempt, afterSeconds=seconds)


def failure(error: str, cause: str = "", attempt: int = 1, type_: str = "TaskFailed") -> Any:
    return event(type_, "T", error=error, cause=cause, attempt=attempt)


def test_a_task_is_entered_as_a_call_with_its_timeout() -> None:
    flow = flow_of(step("pass", "A"), step("task", "T", timeoutSeconds=60))
    assert after(flow, at(), Arrived()) == Decision(
        (*left("A"), *scheduled("T")),
        state=at_next(at(), 1, events=2),
        wake=ScheduleCall(MessageMetadata("task", "T", 1, 2), timeout=60),
    )


def test_a_result_is_the_output_of_the_task() -> None:
    flow = flow_of(step("task", "T"), step("pass", "Next"))
    assert after(flow, at(), Returned({"a": 1})).history == (
        event("TaskSucceeded", "T", output={"a": 1}),
        *left("T", {"a": 1}, {"a": 1}),
        *entered("Next", {}, {"a": 1}),
    )


def test_output_mappings_read_the_result_and_the_input_of_the_task() -> None:
    mappings = maps(a="$local.x", b="$input.y", c="$local.nope", id="$context.step.eventId")
    flow = flow_of(step("task", "T", inputMappings=maps(y=1), outputMappings=mappings))
    decision = after(flow, at(), Returned({"x": 2}))
    assert decision.outcome == Outcome(Status.SUCCEEDED, {"a": 2, "b": 1, "id": 9})


@pytest.mark.parametrize(("value", "kind"), [([1], "list"), (None, "NoneType"), ("text", "str"), (1, "int")])
def test_a_result_that_is_not_an_object_is_an_invalid_local(value: Any, kind: str) -> None:
    flow = flow_of(step("task", "T"))
    cause = f"the result must be a JSON object, not {kind}"
    assert after(flow, at(), Returned(value)) == Decision(
        (failure("FnF.InvalidLocal", cause), *failed("T", error="FnF.InvalidLocal", cause=cause)),
        outcome=Outcome(Status.FAILED, None, "FnF.InvalidLocal", cause),
    )


def test_a_result_over_the_limit_does_not_enter_history_and_is_not_caught() -> None:
    flow = flow_of(step("task", "T", catch=[{"errors": ["FnF.ALL"], "goto": "T"}]))
    cause = "the data of step 'T' has 209 bytes, more than the limit of 100 (pollflow_max_payload_bytes)"
    assert after(flow, at(), Returned({"big": "x" * 199}), payload_bytes=100) == Decision(
        failed("T", error="FnF.DataLimitExceeded", cause=cause),
        outcome=Outcome(Status.FAILED, None, "FnF.DataLimitExceeded", cause),
    )


POLICIES = [
    {"errors": ["Throttled"], "intervalSeconds": 10, "maxAttempts": 2},
    {"errors": ["Flaky"], "maxAttempts": 1},
    {"errors": ["Never"], "maxAttempts": 0},
]
CAUGHT = flow_of(
    step(
        "task",
        "T",
        timeoutSeconds=5,
        retry=POLICIES,
        catch=[{"errors": ["Fatal"], "goto": "A"}, {"errors": ["FnF.ALL"], "goto": "B"}],
        errorMappings=maps(e="$local.error", c="$local.cause", n="$input.n", k=1),
        outputMappings=maps(never="$input.n"),
    ),
    step("pass", "A"),
    step("pass", "B"),
)


def test_a_failure_is_retried_by_the_first_policy_that_names_it() -> None:
    assert after(CAUGHT, at(), Raised("Throttled", "busy")) == Decision(
        (failure("Throttled", "busy"), again(2, 10)),
        state=at(phase=Phase.RETRYING, attempt=2, retries=(1, 0, 0), last_error="Throttled"),
        wake=ScheduleCall(MessageMetadata("task", "T", 2, 1), after=10, timeout=5),
    )


def test_the_next_retry_waits_longer() -> None:
    state = at(phase=Phase.RETRYING, attempt=2, retries=(1, 0, 0))
    assert after(CAUGHT, state, Raised("Throttled")).wake == ScheduleCall(
        MessageMetadata("task", "T", 3, 1), after=20, timeout=5
    )


def test_each_policy_counts_its_own_retries() -> None:
    state = at(phase=Phase.RETRYING, attempt=3, retries=(2, 0, 0))
    decision = after(CAUGHT, state, Raised("Flaky"))
    assert decision.state == replace(state, attempt=4, retries=(2, 1, 0), last_error="Flaky")


def test_an_exhausted_retry_is_caught_with_error_mappings() -> None:
    state = at(input={"n": 5}, phase=Phase.RETRYING, attempt=3, retries=(2, 0, 0))
    local = {"e": "Throttled", "c": "busy", "n": 5, "k": 1}
    assert after(CAUGHT, state, Raised("Throttled", "busy")) == Decision(
        (
            failure("Throttled", "busy", 3),
            event("StepFailed", "T", error="Throttled", cause="busy", goto="B"),
            event("StepExited", "T", local=local),
            *entered("B", {"n": 5}, local),
        ),
        state=at_next(state, 2, local, events=3),
        wake=after(flow_of(step("pass", "x"), step("pass", "B")), at(), Arrived()).wake,
    )


@pytest.mark.parametrize(("error", "target"), [("Fatal", 1), ("Never", 2), ("Other", 2)])
def test_the_first_matching_catch_chooses_the_next_step(error: str, target: int) -> None:
    state = after(CAUGHT, at(), Raised(error)).state
    assert state is not None and state.levels[0].step == target


def test_an_error_matches_by_base_class_too() -> None:
    state = after(CAUGHT, at(), Raised("Mine", also=("Fatal", "Exception"))).state
    assert state is not None and state.levels[0].step == 1


def test_a_caught_failure_without_error_mappings_has_no_output() -> None:
    flow = flow_of(step("task", "T", catch=[{"errors": ["E"], "goto": "A"}]), step("pass", "A"))
    state = after(flow, at(local={"old": 1}), Raised("E", "c")).state
    assert state is not None and state.levels[0].local == {"old": 1}


def test_an_uncaught_failure_fails_the_execution() -> None:
    flow = flow_of(step("task", "T", catch=[{"errors": ["Other"], "goto": "T"}]))
    assert after(flow, at(), Raised("E", "c")) == Decision(
        (failure("E", "c"), *failed("T", error="E", cause="c")), outcome=Outcome(Status.FAILED, None, "E", "c")
    )


def test_a_timeout_is_a_failure_named_task_timeout() -> None:
    assert after(CAUGHT, at(), TimedOut()).history[0] == failure(
        "FnF.TaskTimeout", "no result within 5 s", type_="TaskTimedOut"
    )


def test_a_second_visit_has_all_its_retries_again() -> None:
    flow = flow_of(step("task", "T", retry=POLICIES), step("choice", "C", default={"goto": "T"}))
    state = at(1, entry=2, retries=(2, 1, 0), visits={"steps@0": 1, "steps@1": 1})
    visits = {"steps@0": 2, "steps@1": 1}
    assert after(flow, state, Arrived()).state == replace(at_next(state, 0, events=2), visits=visits)


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Retry(("E",)), [1, 2, 4, 8]),
        (Retry(("E",), 10), [10, 20, 40, 80]),
        (Retry(("E",), 2, multiplier=3, max_interval_seconds=10), [2, 6, 10, 10]),
        (Retry(("E",), 10, multiplier=1), [10, 10, 10, 10]),
        (Retry(("E",), 1, multiplier=1.5), [1, 1.5, 2.25, 3.375]),
        (Retry(("E",), 100, max_interval_seconds=5), [5, 5, 5, 5]),
    ],
)
def test_delays_grow_up_to_their_cap(policy: Retry, delays: list[float]) -> None:
    assert [delay_before_retry(policy, done) for done in range(4)] == delays


def test_a_delay_after_a_million_retries_is_the_cap() -> None:
    assert delay_before_retry(Retry(("E",), multiplier=1e300), 1_000_000) == 86_400


CALLBACK = flow_of(
    step(
        "task",
        "T",
        pattern="waitForCallback",
        inputMappings=maps(token="$context.task.token"),
        outputMappings=maps(by="$local.by", token="$context.task.token"),
        retry=[{"errors": ["Refused"], "maxAttempts": 1}],
    )
)


def test_a_callback_task_waits_for_a_report_after_its_call() -> None:
    assert after(CALLBACK, at(), Submitted({})) == Decision(
        (event("TaskSubmitted", "T"),), state=at(phase=Phase.CALLBACK), wake=AwaitReport()
    )


def test_a_reported_output_is_the_local_of_the_task() -> None:
    decision = after(CALLBACK, at(phase=Phase.CALLBACK), ReportedSucceeded({"by": "boss"}))
    assert decision.outcome == Outcome(Status.SUCCEEDED, {"by": "boss"})


def test_a_report_may_come_before_the_call_has_returned() -> None:
    assert after(CALLBACK, at(), ReportedSucceeded({})).outcome == Outcome(Status.SUCCEEDED, {})


def test_a_reported_failure_is_retried() -> None:
    decision = after(CALLBACK, at(phase=Phase.CALLBACK), ReportedFailed("Refused", "no"))
    assert decision == Decision(
        (failure("Refused", "no"), again(2, 1)),
        state=at(phase=Phase.RETRYING, attempt=2, retries=(1,), last_error="Refused"),
        wake=ScheduleCall(MessageMetadata("task", "T", 2, 1, is_callback=True), after=1),
    )


def test_a_retry_has_a_new_task_token_and_refuses_the_old_one() -> None:
    first, second = at(), at(attempt=2)
    tokens = [call_of(CALLBACK, state, INFO).payload["token"] for state in (first, second)]  # type: ignore[union-attr]
    one, two = map(read_task_token, tokens)
    assert (is_awaited(one, first), is_awaited(one, second), is_awaited(two, second)) == (True, False, True)


def test_a_token_is_verified_by_the_execution_that_signed_it() -> None:
    token = call_of(CALLBACK, at(), INFO).payload["token"]  # type: ignore[union-attr]
    verify(read_task_token(token), INFO)
    for other in (replace(INFO, secret="other"), replace(INFO, execution_id="other")):
        with pytest.raises(InvalidTaskToken):
            verify(read_task_token(token), other)


@pytest.mark.parametrize(
    "token",
    ["", "x", "ä", "====", base64.b64encode(b"v1#a#b").decode(), base64.b64encode(b"v1#f#x#r#1#@0#1#s").decode()],
)
def test_an_invalid_task_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidTaskToken):
        read_task_token(token)


def test_no_other_step_has_a_task_token() -> None:
    flow = flow_of(step("task", "T", inputMappings=maps(token="$context.task.token", who="$context.step.name")))
    request = call_of(flow, at(), INFO)
    assert request is not None and request.payload == {"who": "T"}


def test_a_call_has_the_input_of_the_step_and_an_idempotency_key() -> None:
    flow = flow_of(step("task", "T", inputMappings=maps(a="$input.a", b="$local.b"), timeoutSeconds=7))
    request = call_of(flow, at(input={"a": 1}, local={"b": 2}, entry=3), INFO)
    assert request is not None
    assert (request.step, request.payload, request.params, request.attempt) == ("T", {"a": 1, "b": 2}, None, 1)
    assert (request.idempotency_key, request.timeout_seconds, request.pattern) == (
        "id/T/r.3",
        7,
        Pattern.REQUEST_RESPONSE,
    )


def test_a_retry_has_its_own_idempotency_key() -> None:
    request = call_of(flow_of(step("task", "T")), at(attempt=2), INFO)
    assert request is not None and request.idempotency_key == "id/T/r.1/2"


def test_an_action_is_called_with_its_parameters_alone() -> None:
    params = {"Id": "$.job.id", "All": "$", "Gone": "$.nope", "List": ["$.nope", "$.job.id", 1], "Text": "$5"}
    flow = flow_of(step("task", "T", action="ocr:Read", serviceParams=params))
    request = call_of(flow, at(input={"job": {"id": 7}}), INFO)
    assert request is not None
    assert request.payload == {"Id": 7, "All": {"job": {"id": 7}}, "List": [7, 1], "Text": "$5"}


def test_a_function_ignores_service_parameters() -> None:
    flow = flow_of(step("task", "T", serviceParams={"InvocationType": "Async"}))
    request = call_of(flow, at(input={"a": 1}), INFO)
    assert request is not None and (request.payload, request.ignore_result) == ({"a": 1}, True)


def test_other_steps_call_nothing() -> None:
    assert call_of(flow_of(step("pass", "A")), at(), INFO) is None


def test_a_task_in_an_option_has_the_input_of_the_choice() -> None:
    inner = step("task", "T", inputMappings=maps(a="$input.a", b="$local.b"))
    choice = step("choice", "C", inputMappings=maps(a="$input.x"), default={"steps": [inner]})
    state = at(input={"x": 1})
    state = replace(state, levels=(*state.levels, Level("steps[0].default.steps", 0, {"b": 2})))
    request = call_of(flow_of(choice), state, INFO)
    assert request is not None and request.payload == {"a": 1, "b": 2}
