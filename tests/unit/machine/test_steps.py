"""Pass, wait, choice, succeed and fail steps: each test compares the whole decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pollflow.machine import (
    Arrived,
    Decision,
    FrameState,
    IllegalEvent,
    Level,
    MessageMetadata,
    Outcome,
    Phase,
    Returned,
    ScheduleCall,
    ScheduleStep,
    Status,
    TimedOut,
    begin,
)
from pollflow.machine.limits import Limits
from tests.unit.machine.builders import INFO, after, at, at_next, entered, event, failed, flow_of, left, maps, step


def succeeded(*history: Any, output: Any = None) -> Decision:
    end = event("ExecutionSucceeded", output=output or {})
    return Decision((*history, end), outcome=Outcome(Status.SUCCEEDED, output or {}))


def broken(*names: str, error: str, cause: str = "", before: tuple[Any, ...] = ()) -> Decision:
    history = (*before, *failed(*names, error=error, cause=cause))
    return Decision(history, outcome=Outcome(Status.FAILED, None, error, cause))


def test_an_execution_begins_at_the_first_step_of_the_flow() -> None:
    flow = flow_of(step("pass", "A"))
    assert begin(flow, {"a": 1}, replace(INFO, events=0), Limits()) == Decision(
        (event("ExecutionStarted", input={"a": 1}), *entered("A", {"a": 1})),
        state=replace(at(input={"a": 1}), levels=(Level("steps", 0, {}, entered=2),)),
        wake=ScheduleStep(MessageMetadata("pass", "A")),
    )


def test_the_flows_mappings_make_its_input() -> None:
    flow = flow_of(step("pass", "A"), inputMappings=maps(b="$input.a", who="$context.execution.name", c=1))
    decision = begin(flow, {"a": 1}, INFO, Limits())
    assert decision.history[0] == event("ExecutionStarted", input={"a": 1})
    assert decision.state is not None and decision.state.input == {"b": 1, "who": "x", "c": 1}


def test_a_pass_returns_its_mappings_and_enters_the_next_step() -> None:
    flow = flow_of(step("pass", "A", outputMappings=maps(b="$input.a", c=2)), step("pass", "B"))
    state = at(input={"a": 1}, local={"c": 0, "d": 3})
    local = {"b": 1, "c": 2, "d": 3}
    assert after(flow, state, Arrived()) == Decision(
        (*left("A", {"b": 1, "c": 2}, local), *entered("B", {"a": 1}, local)),
        state=at_next(state, 1, local, events=2),
        wake=ScheduleStep(MessageMetadata("pass", "B", entry=2)),
    )


def test_the_last_step_ends_the_flow_with_its_local_as_output() -> None:
    flow = flow_of(step("pass", "A", outputMappings=maps(a=1)))
    history = left("A", {"a": 1}, {"a": 1, "b": 2})
    assert after(flow, at(local={"b": 2}), Arrived()) == succeeded(*history, output={"a": 1, "b": 2})


def test_the_flows_output_mappings_make_its_output() -> None:
    flow = flow_of(step("pass", "A"), outputMappings=maps(x="$local.b", y="$input.c", z="$local.nope"))
    decision = after(flow, at(input={"c": 3}, local={"b": 2}), Arrived())
    assert decision == succeeded(*left("A", local={"b": 2}), output={"x": 2, "y": 3})


@pytest.mark.parametrize("last", [step("pass", "A", end=True), step("succeed", "A")])
def test_end_and_succeed_end_the_steps_before_the_last(last: dict[str, Any]) -> None:
    flow = flow_of(last, step("fail", "Never", error="Bug"))
    assert after(flow, at(), Arrived()) == succeeded(*left("A"))


def test_a_fail_fails_the_execution_with_its_error_and_cause() -> None:
    flow = flow_of(step("fail", "F", error="E", cause="$.why"))
    assert after(flow, at(input={"why": "so"}), Arrived()) == broken("F", error="E", cause="so")


@pytest.mark.parametrize("input", [{}, {"why": None}])
def test_a_cause_whose_path_is_missing_is_empty(input: Any) -> None:
    flow = flow_of(step("fail", "F", error="E", cause="$.why"))
    assert after(flow, at(input=input), Arrived()) == broken("F", error="E")


def test_a_cause_that_is_not_text_is_a_runtime_error() -> None:
    flow = flow_of(step("fail", "F", error="E", cause="$.why"))
    decision = after(flow, at(input={"why": [1]}), Arrived())
    assert decision == broken("F", error="FnF.RuntimeError", cause="cause of step 'F': $.why is not a text")


@pytest.mark.parametrize("field", ["error", "cause"])
def test_a_text_of_a_fail_over_the_limit_names_size_limit_and_setting(field: str) -> None:
    flow = flow_of(step("fail", "F", **{"error": "E", field: "$.why"}))
    cause = f"{field} of step 'F' has 102 bytes, more than the limit of 100 (pollflow_max_payload_bytes)"
    decision = after(flow, at(input={"why": "x" * 100}), Arrived(), payload_bytes=100)
    assert decision == broken("F", error="FnF.DataLimitExceeded", cause=cause)


def test_the_message_of_a_wait_is_that_of_the_next_step() -> None:
    flow = flow_of(step("wait", "W", duration=10), step("pass", "B"))
    assert after(flow, at(), Arrived()) == Decision(
        (),
        state=replace(at(), phase=Phase.WAITING),
        wake=ScheduleStep(MessageMetadata("pass", "B", entry=2), after=10.0),
    )


def test_the_message_of_the_last_wait_is_its_own() -> None:
    flow = flow_of(step("wait", "W", duration="$.s"))
    decision = after(flow, at(input={"s": 0.5}), Arrived())
    assert decision.wake == ScheduleStep(MessageMetadata("wait", "W", entry=2), after=0.5)


def test_a_wait_until_a_timestamp_has_no_duration() -> None:
    flow = flow_of(step("wait", "W", timestamp="2026-01-01T00:01:00Z"))
    assert after(flow, at(), Arrived()).wake == ScheduleStep(MessageMetadata("wait", "W", entry=2), at=1_767_225_660.0)


def test_a_timestamp_from_the_input_may_have_any_offset() -> None:
    flow = flow_of(step("wait", "W", timestamp="$.at"))
    decision = after(flow, at(input={"at": "2026-01-01T09:00:00+08:00"}), Arrived())
    assert decision.wake == ScheduleStep(MessageMetadata("wait", "W", entry=2), at=1_767_229_200.0)


def test_a_wait_ends_when_it_is_due() -> None:
    flow = flow_of(step("wait", "W", duration=10), step("pass", "B"))
    state = at(phase=Phase.WAITING)
    assert after(flow, state, Arrived()) == Decision(
        (*left("W"), *entered("B")),
        state=at_next(state, 1, events=2),
        wake=ScheduleStep(MessageMetadata("pass", "B", entry=2)),
    )


@pytest.mark.parametrize("pause", [None, "10", True, -1, [], 1e400])
def test_an_invalid_duration_is_a_runtime_error(pause: Any) -> None:
    flow = flow_of(step("wait", "W", duration="$.pause"))
    decision = after(flow, at(input={"pause": pause}), Arrived())
    assert decision.outcome is not None and decision.outcome.error == "FnF.RuntimeError"
    assert decision.outcome.cause.startswith("duration of step 'W': $.pause must be ")


@pytest.mark.parametrize(
    ("pause", "shown"), [(31_536_001, "365 days 1 s"), (1_811_808_000.0, "20,970 days"), (10**4000, "1e+15 s or more")]
)
def test_a_wait_that_is_too_long_names_limit_value_and_setting(pause: Any, shown: str) -> None:
    flow = flow_of(step("wait", "W", duration="$.pause"))
    decision = after(flow, at(input={"pause": pause}), Arrived())
    assert decision.outcome is not None
    assert decision.outcome.cause == (
        f"duration of step 'W': the wait takes {shown}, more than the limit of 365 days (pollflow_max_wait)"
    )


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", "9999-12-31T23:00:00-14:00"])
def test_a_time_that_no_date_represents_is_a_runtime_error(moment: str) -> None:
    flow = flow_of(step("wait", "W", timestamp="$.at"))
    decision = after(flow, at(input={"at": moment}), Arrived(at=1.8e9))
    assert decision.outcome is not None and decision.outcome.error == "FnF.RuntimeError"
    assert decision.outcome.cause.endswith("must be an RFC 3339 time with its offset")


def test_a_wait_until_the_first_year_ends_at_once() -> None:
    flow = flow_of(step("wait", "W", timestamp="$.at"))
    decision = after(flow, at(input={"at": "0001-01-01T00:00:00Z"}), Arrived(at=1.8e9))
    assert isinstance(decision.wake, ScheduleStep) and decision.wake.at == 0.0


@pytest.mark.parametrize("moment", [None, "tomorrow", 1_767_225_660, "2026-01-01", "2026-01-01T00:00:00"])
def test_an_invalid_timestamp_is_a_runtime_error(moment: Any) -> None:
    flow = flow_of(step("wait", "W", timestamp="$.at"))
    decision = after(flow, at(input={"at": moment}), Arrived())
    cause = "timestamp of step 'W': $.at must be an RFC 3339 time with its offset"
    assert decision == broken("W", error="FnF.RuntimeError", cause=cause)


def test_the_longest_wait_is_a_setting() -> None:
    flow = flow_of(step("wait", "W", duration="$.s"))
    cause = "duration of step 'W': the wait takes 6 s, more than the limit of 5 s (pollflow_max_wait)"
    decision = after(flow, at(input={"s": 6}), Arrived(), max_wait_seconds=5)
    assert decision == broken("W", error="FnF.RuntimeError", cause=cause)


CHOICE = flow_of(
    step(
        "choice",
        "C",
        choices=[
            {"condition": "$.a == 1", "steps": [step("pass", "One", outputMappings=maps(one="$input.a"))]},
            {"condition": "$.a == 2", "steps": [step("pass", "Two")], "goto": "Last"},
            {"condition": "$.a == 3", "goto": "Last"},
            {"condition": "$.a == 4"},
        ],
        default={"steps": [step("fail", "Other", error="E")]},
        outputMappings=maps(one="$local.one", a="$input.a"),
    ),
    step("pass", "Next"),
    step("pass", "Last"),
)


def test_the_steps_of_an_option_are_one_level_deeper() -> None:
    state = at(input={"a": 1}, local={"b": 2})
    inner = Level("steps[0].choices[0].steps", 0, {}, entered=11)
    assert after(CHOICE, state, Arrived()) == Decision(
        entered("One", {"a": 1, "b": 2}),
        state=replace(state, levels=(*state.levels, inner), entry=2),
        wake=ScheduleStep(MessageMetadata("pass", "One", entry=2)),
    )


def test_a_choice_ends_with_the_output_of_its_option() -> None:
    inner = Level("steps[0].choices[0].steps", 0, {}, entered=11)
    outer = at(input={"a": 1}, entry=2)
    state = replace(outer, levels=(*outer.levels, inner))
    local = {"one": 1, "a": 1}
    assert after(CHOICE, state, Arrived()) == Decision(
        (*left("One", {"one": 1}, {"one": 1}), *left("C", local, local), *entered("Next", {"a": 1}, local)),
        state=at_next(state, 1, local, events=4),
        wake=ScheduleStep(MessageMetadata("pass", "Next", entry=3)),
    )


def test_the_goto_of_an_option_follows_its_steps() -> None:
    outer = at(input={"a": 2}, entry=2)
    state = replace(outer, levels=(*outer.levels, Level("steps[0].choices[1].steps", 0, {}, entered=11)))
    decision = after(CHOICE, state, Arrived())
    assert decision.state == at_next(state, 2, {"a": 2}, events=4)


def test_an_option_with_only_a_goto_goes_there_at_once() -> None:
    state = at(input={"a": 3})
    local = {"a": 3}
    assert after(CHOICE, state, Arrived()) == Decision(
        (*left("C", local, local), *entered("Last", {"a": 3}, local)),
        state=at_next(state, 2, local, events=2),
        wake=ScheduleStep(MessageMetadata("pass", "Last", entry=2)),
    )


def test_an_empty_option_continues_with_the_next_step() -> None:
    state = at(input={"a": 4})
    assert after(CHOICE, state, Arrived()).state == at_next(state, 1, {"a": 4}, events=2)


def test_a_choice_without_a_true_condition_takes_the_default() -> None:
    state = at(input={"a": 5})
    inner = Level("steps[0].default.steps", 0, {}, entered=11)
    assert after(CHOICE, state, Arrived()).state == replace(state, levels=(*state.levels, inner), entry=2)


def test_a_choice_without_a_match_or_default_continues() -> None:
    flow = flow_of(step("choice", "C", choices=[{"condition": "$.a", "goto": "C"}]), step("pass", "Next"))
    assert after(flow, at(), Arrived()).state == at_next(at(), 1, events=2)


def test_a_choice_may_go_to_itself() -> None:
    flow = flow_of(step("choice", "C", choices=[{"condition": "$.a", "goto": "C"}]))
    state = at(input={"a": True}, visits={"steps@0": 1})
    assert after(flow, state, Arrived()).state == replace(at_next(state, 0, events=2), visits={"steps@0": 2})


def test_a_failure_in_an_option_fails_the_choice() -> None:
    outer = at(input={"a": 5}, entry=2)
    state = replace(outer, levels=(*outer.levels, Level("steps[0].default.steps", 0, {}, entered=11)))
    assert after(CHOICE, state, Arrived()) == broken("Other", "C", error="E")


def test_a_condition_that_is_not_a_boolean_is_a_runtime_error() -> None:
    flow = flow_of(step("choice", "C", choices=[{"condition": "$.flag", "goto": "C"}]))
    decision = after(flow, at(input={"flag": "yes"}), Arrived())
    assert decision.outcome is not None and decision.outcome.error == "FnF.RuntimeError"
    assert decision.outcome.cause.startswith("condition '$.flag' of step 'C': ")


def test_conditions_after_a_match_are_not_evaluated() -> None:
    choices = [{"condition": "$.a == 1", "goto": "C"}, {"condition": "$.a / 0 > 1", "goto": "C"}]
    flow = flow_of(step("choice", "C", choices=choices))
    assert after(flow, at(input={"a": 1}), Arrived()).outcome is None


WAIT = step("wait", "W", duration=1)
NEXT = step("pass", "Next")
ASK = step("task", "Ask", pattern="waitForCallback", timeoutSeconds=5)


def in_default(phase: Phase = Phase.READY, *further: Level) -> FrameState:
    """Return the root frame at the first step of the default of the first choice, or at an inner level."""
    outer = at(entry=2 + len(further), phase=phase)
    return replace(outer, levels=(*outer.levels, Level("steps[0].default.steps", 0, {}), *further))


@pytest.mark.parametrize(
    ("steps", "goto", "metadata"),
    [
        ([WAIT], {}, MessageMetadata("pass", "Next", entry=3)),
        ([WAIT, step("pass", "Inner")], {}, MessageMetadata("pass", "Inner", entry=3)),
        ([{**WAIT, "end": True}, step("pass", "Never")], {}, MessageMetadata("pass", "Next", entry=3)),
        ([WAIT], {"goto": "C"}, MessageMetadata("choice", "C", entry=3)),
        ([WAIT], {"goto": "Ask"}, MessageMetadata("task", "Ask", entry=3, is_callback=True, timeout=5)),
    ],
)
def test_a_wait_in_an_option_carries_the_message_of_the_next_step(
    steps: list[Any], goto: dict[str, str], metadata: MessageMetadata
) -> None:
    flow = flow_of(step("choice", "C", default={"steps": steps, **goto}), NEXT, ASK)
    assert after(flow, in_default(), Arrived()).wake == ScheduleStep(metadata, after=1)
    following = after(flow, in_default(Phase.WAITING), Arrived()).wake
    assert isinstance(following, ScheduleStep | ScheduleCall) and following.metadata == metadata


def test_a_wait_that_ends_nested_options_has_the_message_of_the_next_step() -> None:
    inner = step("choice", "D", default={"steps": [WAIT]})
    flow = flow_of(step("choice", "C", default={"steps": [inner], "goto": "Last"}), NEXT, step("pass", "Last"))
    state = in_default(Phase.READY, Level("steps[0].default.steps[0].default.steps", 0, {}))
    assert after(flow, state, Arrived()).wake == ScheduleStep(MessageMetadata("pass", "Last", entry=4), after=1)


@pytest.mark.parametrize("more", [{}, {"end": True}])
def test_a_wait_that_ends_its_frame_has_its_own_message(more: dict[str, Any]) -> None:
    flow = flow_of(step("choice", "C", default={"steps": [WAIT]}, **more), *([NEXT] if more else []))
    assert after(flow, in_default(), Arrived()).wake == ScheduleStep(MessageMetadata("wait", "W", entry=3), after=1)


@pytest.mark.parametrize("happened", [Returned({}), TimedOut()])
def test_an_event_that_does_not_fit_the_step_is_refused(happened: Any) -> None:
    flow = flow_of(step("pass", "A"))
    with pytest.raises(IllegalEvent, match="a pass step has no rule for the event"):
        after(flow, at(), happened)


def test_data_over_the_limit_fails_the_step() -> None:
    flow = flow_of(step("pass", "A", outputMappings=maps(a="x" * 100)))
    cause = "the data of step 'A' has 112 bytes, more than the limit of 100 (pollflow_max_payload_bytes)"
    decision = after(flow, at(), Arrived(), payload_bytes=100)
    assert decision == broken("A", error="FnF.DataLimitExceeded", cause=cause)


def test_a_local_that_grows_over_the_limit_fails_the_step() -> None:
    flow = flow_of(step("pass", "A", outputMappings=maps(a="x" * 50)))
    decision = after(flow, at(local={"b": "y" * 30}), Arrived(), payload_bytes=80)
    assert decision.outcome is not None and decision.outcome.error == "FnF.DataLimitExceeded"


def test_the_event_limit_fails_the_execution() -> None:
    flow = flow_of(step("pass", "A"))
    cause = "the execution would have 11 events, more than the limit of 10 (pollflow_max_events)"
    decision = after(flow, at(), Arrived(), events=10)
    assert decision == broken("A", error="FnF.EventLimitExceeded", cause=cause)


def test_equal_arguments_give_equal_decisions() -> None:
    state = at(input={"a": 1})
    assert after(CHOICE, state, Arrived()) == after(CHOICE, state, Arrived())


@pytest.mark.parametrize(("ahead", "outcome"), [(10, None), (11, "FnF.RuntimeError")])
def test_a_timestamp_beyond_the_longest_wait_is_refused(ahead: int, outcome: str | None) -> None:
    flow = flow_of(step("wait", "W", timestamp="2026-01-01T00:00:00Z"), step("pass", "B"))
    arrived = Arrived(at=1_767_225_600.0 - ahead)
    decision = after(flow, at(), arrived, max_wait_seconds=10)
    assert (decision.outcome.error if decision.outcome else None) == outcome


def test_data_that_nests_deeper_in_every_loop_reaches_a_limit() -> None:
    nested: Any = 1
    for _ in range(250):
        nested = {"a": nested}
    decision = after(flow_of(step("pass", "A")), at(local=nested), Arrived())
    assert decision.outcome is not None and decision.outcome.error == "FnF.DataLimitExceeded"
    cause = "the data of step 'A' is nested at least 201 levels deep, more than the limit of 200"
    assert decision.outcome.cause == cause


def test_the_message_of_a_step_in_a_loop_names_its_visit() -> None:
    loop = flow_of(step("wait", "W", duration=1), step("choice", "C", choices=[{"condition": "$.a == 1", "goto": "W"}]))
    first = after(loop, at(visits={"steps@0": 2, "steps@1": 1}), Arrived()).wake
    assert first == ScheduleStep(MessageMetadata("choice", "C", entry=2, visit=2), after=1)
    again = after(loop, at(1, input={"a": 1}, entry=4, visits={"steps@0": 2, "steps@1": 2}), Arrived()).wake
    assert again == ScheduleStep(MessageMetadata("wait", "W", entry=5, visit=3))
