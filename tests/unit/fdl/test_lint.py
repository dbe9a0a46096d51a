from __future__ import annotations

import re
from pathlib import Path as FilePath

import pytest

from pollflow.fdl import LINT_CODES, lint, load_flow, read_flow
from tests.bounds import bounded_time
from tests.unit.fdl.texts import HEAD, codes_of, flow_of, text_of

ROOT = FilePath(__file__).parents[3]
WAIT = "type: wait, name: wait, duration: 10"
ASK = "type: task, name: ask, resourceArn: 'acs:fc:::services/s/functions/ask'"
DONE = "type: succeed, name: done"


def poll(choice: str, *, wait: str = WAIT, head: str = HEAD) -> list[tuple[str, str]]:
    return codes_of(flow_of(wait, ASK, f"type: choice, name: check, {choice}", DONE, head=head))


def messages(flow_text: str, **options: object) -> list[str]:
    flow = read_flow(flow_text)
    return [str(problem).removeprefix("<definition>:") for problem in lint(flow, **options)]  # type: ignore[arg-type]


def test_the_polling_flow_has_one_correct_warning() -> None:
    problems = lint(load_flow(ROOT / "flows/task_polling.yaml"), path="flows/task_polling.yaml")
    assert [str(problem) for problem in problems] == [
        'flows/task_polling.yaml:25:5: steps[4]: no default: if no condition holds, "JobSucceeded" is next; '
        'this includes a job in a status other than "success", "running" [choice-falls-through]'
    ]
    assert problems[0].severity == "warning"


def test_a_loop_that_reaches_the_event_limit_reports_its_duration() -> None:
    text = text_of(WAIT, ASK, "type: choice, name: check, choices: [{condition: $.done, goto: done}], "
                   "default: {goto: wait}", DONE)  # fmt: skip
    assert messages(text, event_limit=5000) == [
        '4:5: steps[0]: nothing bounds the rounds of the loop of "wait", "ask", "check", and the flow has no timeout '
        "[loop-without-bound]",
        '4:5: steps[0]: the loop of "wait", "ask", "check" can reach the event limit: at most 333 rounds, 55 minutes, '
        "before the limit of 5,000 events [event-limit]",
    ]
    assert "at most 16,666 rounds, 46 hours, before the limit of 250,000 events" in messages(text)[1]


@pytest.mark.parametrize(
    ("choice", "bounded"),
    [
        ("choices: [{condition: $.count > 9, goto: done}], default: {goto: wait}", True),
        ("choices: [{condition: 9 < $.count, goto: done}], default: {goto: wait}", True),
        ("choices: [{condition: $.count == 9, goto: done}], default: {goto: wait}", True),
        ("choices: [{condition: $.code == 200, goto: done}], default: {goto: wait}", False),
        ("choices: [{condition: $.count < 9, goto: wait}], default: {goto: done}", True),
        ("choices: [{condition: '$.go && $.count < 9', goto: wait}], default: {goto: done}", True),
        ("choices: [{condition: '$.go || $.count < 9', goto: wait}], default: {goto: done}", False),
        ("choices: [{condition: $.count < 9, goto: wait}], default: {goto: ask}", False),
        ("choices: [{condition: $.go, goto: wait}, {condition: $.count > 9, goto: done}]", False),
        ("choices: [{condition: $.count > $.most, goto: done}], default: {goto: wait}", True),
    ],
)
def test_a_counter_bounds_a_loop_that_cannot_bypass_it(choice: str, bounded: bool) -> None:
    assert (("loop-without-bound", "steps[0]") in poll(choice)) is not bounded


def test_a_bound_or_a_timeout_within_the_event_limit_is_no_warning() -> None:
    def event_limit(choice: str, limit: int, head: str = HEAD) -> bool:
        flow = flow_of(WAIT, ASK, f"type: choice, name: check, {choice}", DONE, head=head)
        return ("event-limit", "steps[0]") in codes_of(flow, event_limit=limit)

    counted = "choices: [{condition: $.count >= 9, goto: done}], default: {goto: wait}"
    assert not event_limit(counted, 9 * 15)
    assert event_limit(counted, 9 * 15 - 1)
    endless = "default: {goto: wait}"
    timeout = HEAD.replace("steps", "timeoutSeconds: 100\nsteps")
    assert not event_limit(endless, 150, timeout)
    assert event_limit(endless, 149, timeout)
    hand_over = "inputMappings: [{target: id, source: $context.step.eventId}], choices: [{condition: $.id > 4000, goto: done}], default: {goto: wait}"  # fmt: skip  # noqa: E501
    assert not event_limit(hand_over, 5000)
    assert event_limit(hand_over, 3000)


def test_a_flow_with_a_timeout_has_no_endless_loop() -> None:
    head = HEAD.replace("steps", "timeoutSeconds: 100\nsteps")
    assert poll("default: {goto: wait}", head=head) == [("unreachable-step", "steps[3]")]


def test_a_loop_without_a_wait_is_a_busy_loop() -> None:
    flow = flow_of(ASK, "type: choice, name: c, choices: [{condition: $.count < 3, goto: ask}], default: {}")
    assert codes_of(flow) == [("loop-without-wait", "steps[0]")]


@pytest.mark.parametrize(
    "pause",
    [
        WAIT,
        "type: wait, name: wait, duration: $.pause",
        "type: wait, name: wait, timestamp: $.at",
        "type: task, name: wait, resourceArn: x:y, pattern: waitForCallback",
        "type: task, name: wait, resourceArn: 'acs:fnf:::flow/sub', pattern: sync",
        "type: parallel, name: wait, branches: [{steps: [{type: wait, name: w, duration: 1}]}]",
        "type: choice, name: wait, default: {steps: [{type: wait, name: w, duration: 1}]}",
    ],
)
def test_steps_that_take_time_count_as_waits(pause: str) -> None:
    flow = flow_of(pause, "type: choice, name: c, choices: [{condition: $.n < 3, goto: wait}], default: {}")
    assert "loop-without-wait" not in dict(codes_of(flow))


@pytest.mark.parametrize(
    "pause", ["type: wait, name: wait, timestamp: 2020-01-01", "type: wait, name: wait, duration: 0"]
)
def test_steps_that_end_at_once_are_not_waits(pause: str) -> None:
    flow = flow_of(pause, "type: choice, name: c, choices: [{condition: $.n < 3, goto: wait}], default: {}")
    assert ("loop-without-wait", "steps[0]") in codes_of(flow)


def test_a_catch_can_close_a_loop() -> None:
    flow = flow_of(f"{ASK}, catch: [{{errors: [A], goto: ask}}]")
    assert [code for code, _ in codes_of(flow)] == ["loop-without-wait", "loop-without-bound", "event-limit"]


def test_a_wait_of_less_than_a_second_in_a_loop_is_reported() -> None:
    choice = "choices: [{condition: $.count > 9, goto: done}], default: {goto: wait}"
    assert poll(choice, wait="type: wait, name: wait, duration: 0.5") == [("short-wait", "steps[0].duration")]
    assert poll(choice, wait="type: wait, name: wait, duration: 1") == []
    nested = "type: choice, name: wait, default: {steps: [{type: wait, name: w, duration: 0.1}]}"
    assert poll(choice, wait=nested) == [("short-wait", "steps[0].default.steps[0].duration")]
    assert codes_of(flow_of("type: wait, name: w, duration: 0.1")) == []


def test_a_choice_without_a_default_can_fall_through() -> None:
    assert codes_of(flow_of("type: choice, name: c, choices: [{condition: $.a, goto: d}]", "type: pass, name: d")) == [
        ("choice-falls-through", "steps[0]")
    ]
    assert codes_of(flow_of("type: choice, name: c, choices: [{condition: true}]")) == []


def test_an_unhandled_status_is_polled_forever() -> None:
    text = text_of(
        "type: choice, name: check, choices: [{condition: '$.status == \"success\" || $.count > 9', goto: done}, "
        "{condition: $.status == `failed`, goto: done}]",
        WAIT, "type: choice, name: again, default: {goto: check}", DONE,
    )  # fmt: skip
    assert messages(text) == [
        '4:5: steps[0]: no default: a job that ends in a status other than "success", "failed" is polled without end '
        "[unnamed-status]"
    ]


def test_unreachable_steps_are_reported_at_every_level() -> None:
    flow = flow_of(
        "type: choice, name: c, default: {goto: e, steps: [{type: fail, name: f}, {type: pass, name: f2}]}",
        "type: pass, name: d",
        "type: pass, name: e",
    )
    assert codes_of(flow) == [
        ("unreachable-step", "steps[0].default.steps[1]"),
        ("unreachable-step", "steps[1]"),
        ("unreachable-step", "steps[2]"),
    ]
    whole = flow_of(
        "type: parallel, name: p, branches: [{steps: [{type: succeed, name: s}, {type: pass, name: t}]}]",
        "type: pass, name: d, end: true",
        "type: pass, name: e",
    )
    assert codes_of(whole) == [
        ("unreachable-step", "steps[0].branches[0].steps[1]"),
        ("unreachable-step", "steps[2]"),
    ]


@pytest.mark.parametrize(
    ("steps", "warned"),
    [
        (["type: pass, name: a, inputMappings: [{target: x, source: $local.y}]"], "steps[0].inputMappings[0].source"),
        (["type: pass, name: a, outputMappings: [{target: x, source: $local.y}]"], "steps[0].outputMappings[0].source"),
        (["type: pass, name: a, outputMappings: [{target: x, source: 1}]",
          "type: pass, name: b, inputMappings: [{target: x, source: $local.x}]"], None),
        (["type: pass, name: a, outputMappings: [{target: x, source: 1}]",
          "type: pass, name: b, inputMappings: [{target: x, source: $local.y}]"], "steps[1].inputMappings[0].source"),
        ([ASK, "type: pass, name: b, inputMappings: [{target: x, source: $local.y}]"], None),
        (["type: pass, name: b, inputMappings: [{target: x, source: $local.y}]", ASK],
         "steps[0].inputMappings[0].source"),
        ([f"{ASK}, outputMappings: [{{target: x, source: 1}}]",
          "type: pass, name: b, inputMappings: [{target: x, source: $local.y}]"], "steps[1].inputMappings[0].source"),
        ([f"{ASK}, outputMappings: [], errorMappings: [{{target: y, source: $local.error}}], "
          "catch: [{errors: [A], goto: b}]",
          "type: pass, name: b, inputMappings: [{target: x, source: $local.y}]"], None),
        ([f"{ASK}, errorMappings: [{{target: y, source: $local.reason}}]"], "steps[0].errorMappings[0].source"),
        ([f"{ASK}, serviceParams: {{InvocationType: Async}}, outputMappings: [{{target: y, source: $local.a}}]"],
         "steps[0].outputMappings[0].source"),
        # The steps of an option write the local of the choice, not of the series around it.
        (["type: pass, name: a, outputMappings: [{target: x, source: 1}]",
          "type: choice, name: c, default: {steps: [{type: pass, name: b, "
          "inputMappings: [{target: y, source: $local.x}]}]}"],
         "steps[1].default.steps[0].inputMappings[0].source"),
        (["type: choice, name: c, default: {steps: [{type: pass, name: b, outputMappings: [{target: x, source: 1}]}]}",
          "type: pass, name: d, inputMappings: [{target: y, source: $local.x}]"], None),
        (["type: parallel, name: p, branches: [{steps: [{type: pass, name: b, outputMappings: [{target: x, "
          "source: 1}]}]}], outputMappings: [{target: y, source: '$local[*].x'}]"], None),
        (["type: parallel, name: p, branches: [{steps: [{type: pass, name: b}]}], "
          "outputMappings: [{target: y, source: '$local[*].x'}]"], "steps[0].outputMappings[0].source"),
        (["type: foreach, name: f, iterationMapping: {collection: $.l, item: i}, steps: [{type: pass, name: b}], "
          "outputMappings: [{target: y, source: $local.x}]"], "steps[0].outputMappings[0].source"),
    ],
)  # fmt: skip
def test_a_local_that_is_never_set_is_reported(steps: list[str], warned: str | None) -> None:
    found = [field for code, field in codes_of(flow_of(*steps)) if code == "unset-local"]
    assert found == ([] if warned is None else [warned])


def test_a_local_set_later_in_the_same_loop_is_not_reported() -> None:
    flow = flow_of(
        "type: pass, name: a, inputMappings: [{target: x, source: $local.n}]",
        "type: wait, name: w, duration: 1, outputMappings: [{target: n, source: 1}]",
        "type: choice, name: c, choices: [{condition: $.try > 3, goto: d}], default: {goto: a}",
        "type: pass, name: d",
    )
    assert codes_of(flow) == []


def test_the_mappings_of_the_flow_are_checked() -> None:
    head = HEAD.replace(
        "steps",
        "inputMappings: [{target: a, source: $local.a}]\noutputMappings: [{target: b, source: $local.b}]\nsteps",
    )
    assert codes_of(flow_of("type: pass, name: a", head=head)) == [
        ("unset-local", "inputMappings[0].source"),
        ("unset-local", "outputMappings[0].source"),
    ]


@pytest.mark.parametrize(
    ("step", "code", "field"),
    [
        ("type: pass, name: a, outputMappings: [{target: x, source: $.key}]", "constant-path",
         "steps[0].outputMappings[0].source"),
        ("type: pass, name: a, outputMappings: [{target: x, source: $imput.key}]", "constant-path",
         "steps[0].outputMappings[0].source"),
        ("type: fail, name: a, cause: $input.why", "constant-path", "steps[0].cause"),
        (f"{ASK}, serviceParams: {{A: [{{B: $local.x}}]}}", "constant-path", "steps[0].serviceParams.A[0].B"),
        ("type: pass, name: a, outputMappings: [{target: x, source: 1}, {target: x, source: 2}]", "duplicate-target",
         "steps[0].outputMappings[1].target"),
        (f"{ASK}, inputMappings: [{{target: t, source: $context.task.token}}]", "task-token",
         "steps[0].inputMappings[0].source"),
        (f"{ASK}, pattern: waitForCallback, outputMappings: [{{target: t, source: $context.task.token}}]",
         "task-token", "steps[0].outputMappings[0].source"),
        ("type: pass, name: a, outputMappings: [{target: t, source: $context.flow.id}]", "unknown-context",
         "steps[0].outputMappings[0].source"),
        (f"{ASK}, serviceParams: {{InvocationType: Async}}", "async-invocation",
         "steps[0].serviceParams.InvocationType"),
        (f"{ASK}, catch: [{{errors: [A, FnF.EventLimitExceeded], goto: ask}}]", "uncatchable-error",
         "steps[0].catch[0].errors[1]"),
        ("type: task, name: a, resourceArn: 'acs:fc:::services/s/function/f'", "odd-arn", "steps[0].resourceArn"),
        ("type: task, name: a, resourceArn: 'arn:aws:lambda:f'", "odd-arn", "steps[0].resourceArn"),
        ("type: task, name: a, resourceArn: 'a/b/c'", "odd-arn", "steps[0].resourceArn"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_step_is_reported_at_its_field(step: str, code: str, field: str) -> None:
    assert (code, field) in codes_of(flow_of(step))


@pytest.mark.parametrize(
    "step",
    [
        f"{ASK}, pattern: waitForCallback, inputMappings: [{{target: t, source: $context.task.token}}]",
        "type: pass, name: a, outputMappings: [{target: t, source: $context.execution}]",
        "type: pass, name: a, outputMappings: [{target: t, source: $context}, {target: u, source: $5 a piece}]",
        "type: task, name: a, resourceArn: 'acs:mns:::/topics/T/messages', serviceParams: {MessageBody: $}",
        "type: task, name: a, resourceArn: 'acs:fnf:::flow/sub', pattern: sync, end: true, "
        "retry: [{errors: [FnF.ExecutionTimeout]}]",
    ],
)
def test_correct_flows_have_no_warnings(step: str) -> None:
    assert codes_of(flow_of(step)) == []


def test_a_missing_function_is_reported_with_near_names() -> None:
    text = text_of(
        ASK, "type: task, name: b, action: 'ocr:Read'", "type: task, name: c, resourceArn: 'acs:fnf:::flow/x'"
    )
    assert messages(text, known_functions=["s/aks", "other"]) == [
        "4:42: steps[0].resourceArn: no function is registered for s/ask; similar names: s/aks [unknown-function]",
        "5:35: steps[1].action: no function is registered for ocr:Read [unknown-function]",
    ]
    for names in (["ask", "ocr:Read"], {"s/ask", "ocr:Read"}, ["acs:fc:::services/s/functions/ask", "ocr:Read"]):
        assert messages(text, known_functions=names) == []
    assert messages(text) == []


def test_repeated_and_different_names_are_reported() -> None:
    text = "name: mine\n" + text_of(
        "type: pass, name: a", "type: choice, name: c, default: {steps: [{type: pass, name: a}]}"
    )
    assert messages(text, flow_name="mine") == [
        '6:66: steps[1].default.steps[0].name: "a" is also the name of steps[0] (line 5) [repeated-name]'
    ]
    assert messages(text, flow_name="yours")[0] == (
        '1:7: name: "mine" is not the name of the flow, which is "yours" [flow-name]'
    )


def test_long_flows_are_checked_quickly() -> None:
    steps = [f"type: pass, name: s{number}, inputMappings: [{{target: x, source: $local.y{number}}}]"
             for number in range(4000)]  # fmt: skip
    flow = flow_of(*steps, "type: choice, name: last, default: {goto: s0}")
    with bounded_time(20):
        found = lint(flow)
    assert len(found) == 201
    assert (found[-1].message, found[-1].code) == ("and 3,803 more, the first of them here", "more-problems")


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs/fdl.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(LINT_CODES)


@pytest.mark.parametrize(
    "arn", ["media/StartJob", "StartJob", "my-service/job_1.v2", "acs:mns:::/topics/t", "tasks.run"]
)
def test_a_short_resource_is_no_warning(arn: str) -> None:
    assert codes_of(flow_of(f"type: task, name: a, resourceArn: '{arn}'")) == []


@pytest.mark.parametrize("list", ["retry: [{errors: [NAME]}]", "catch: [{errors: [NAME], goto: a}]"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("all", "FnF.ALL"),
        ("ALL", "FnF.ALL"),
        ("'*'", "FnF.ALL"),
        ("States.ALL", "FnF.ALL"),
        ("fnf.all", "FnF.ALL"),
        ("FnF.Timeout", "FnF.TaskTimeout"),
        ("FnF.TaskTimedOut", "FnF.TaskTimeout"),
        ("fnf.tasktimeout", "FnF.TaskTimeout"),
        ("FnF.FlowNotExists", "fnf.FlowNotExists"),
        ("FC.Unkown", "FC.Unknown"),
        ("FC.ResourceThrotled", "FC.ResourceThrottled"),
        ("fc.unknown", "FC.Unknown"),
        ("IOError", "OSError"),
        ("FnF\uff0eALL", "FnF.ALL"),
        ("'FnF.ALL\u200b'", "FnF.ALL"),
    ],
)
def test_an_error_that_does_not_exist_is_reported_with_the_one_that_does(list: str, name: str, meant: str) -> None:
    flow = flow_of(f"type: task, name: a, resourceArn: f, {list.replace('NAME', name)}")
    found = [problem for problem in lint(flow) if problem.code == "unknown-error"]
    assert [problem.message.rpartition("; ")[2] for problem in found] == [f'did you mean "{meant}"?']
    assert found[0].field.endswith(".errors[0]")


def test_a_look_alike_in_an_error_name_is_named() -> None:
    flow = flow_of("type: task, name: a, resourceArn: f, retry: [{errors: [FnF\uff0eALL]}]")
    (found,) = [problem.message for problem in lint(flow) if problem.code == "unknown-error"]
    assert found.partition(";")[2].startswith(" it contains \uff0e (U+FF0E FULLWIDTH FULL STOP): type .; did you mean")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "FnF.ALL",
            "FnF.TaskTimeout",
            "FC.Unknown",
            "FC.FunctionNotFound",
            "fnf.FlowNotExists",
            "FC.ResourceThrottled",
        ),
        *(
            "FC.FunctionNotReady",
            "FnF.OwnError",
            "FC.Custom",
            "Card.Refused",
            "Timeout",
            "TaskTimeout",
            "OSError",
            "Busy",
        ),
    ],
)
def test_an_error_that_a_function_may_raise_is_not_reported(name: str) -> None:
    assert codes_of(flow_of(f"type: task, name: a, resourceArn: f, retry: [{{errors: ['{name}']}}]")) == []


MAPPED = "inputMappings: [{target: status, source: $local.job}, {target: n, source: 1}]"


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([f"type: choice, name: a, {MAPPED}, choices: [{{condition: $.state == 1}}], default: {{}}"],
         "steps[1].choices[0].condition"),
        ([f"type: choice, name: a, {MAPPED}, choices: [{{condition: '!($.n > 1 || $.m[0])'}}], default: {{}}"],
         "steps[1].choices[0].condition"),
        ([f"type: wait, name: a, {MAPPED}, duration: $.delay"], "steps[1].duration"),
        ([f"type: wait, name: a, {MAPPED}, timestamp: $.at"], "steps[1].timestamp"),
        ([f"type: fail, name: a, {MAPPED}, cause: $.why"], "steps[1].cause"),
        ([f"{ASK}, {MAPPED}, serviceParams: {{A: [{{B: $.b}}]}}"], "steps[1].serviceParams.A[0].B"),
        ([f"{ASK}, {MAPPED}, outputMappings: [{{target: x, source: $input.job}}]"],
         "steps[1].outputMappings[0].source"),
        ([f"{ASK}, {MAPPED}, errorMappings: [{{target: x, source: $input.job}}], catch: [{{errors: [A], goto: ask}}]"],
         "steps[1].errorMappings[0].source"),
        ([f"type: foreach, name: a, {MAPPED}, iterationMapping: {{collection: $.rows, item: row}}, "
          "steps: [{type: pass, name: b}]"], "steps[1].iterationMapping.collection"),
        ([f"type: foreach, name: a, {MAPPED}, iterationMapping: {{collection: $.n, item: row, index: i}}, "
          "steps: [{type: wait, name: b, duration: $.row}, {type: wait, name: c, duration: $.seconds}]"],
         "steps[1].steps[1].duration"),
        ([f"type: parallel, name: a, {MAPPED}, branches: [{{steps: [{{type: wait, name: b, duration: $.seconds}}]}}]"],
         "steps[1].branches[0].steps[0].duration"),
        ([f"type: choice, name: a, {MAPPED}, default: {{steps: [{{type: wait, name: b, duration: $.seconds}}]}}"],
         "steps[1].default.steps[0].duration"),
        ([f"type: choice, name: a, {MAPPED}, default: {{steps: [{{type: pass, name: b, "
          "inputMappings: [{target: x, source: $input.job}]}]}"],
         "steps[1].default.steps[0].inputMappings[0].source"),
    ],
)  # fmt: skip
def test_a_path_that_nothing_in_the_flow_produces_is_reported(steps: list[str], field: str) -> None:
    first = "type: task, name: first, resourceArn: f"
    assert [found for found in codes_of(flow_of(first, *steps)) if found[0] == "unset-input"] == [
        ("unset-input", field)
    ]


def test_a_flow_with_mapped_input_is_checked_to_its_end() -> None:
    head = HEAD.replace("steps:", "inputMappings: [{target: job, source: $input.id}]\noutputMappings: "
                        "[{target: out, source: $input.jbo}]\nsteps:")  # fmt: skip
    flow = flow_of(
        "type: pass, name: a, outputMappings: [{target: x, source: 1}]",
        "type: wait, name: b, duration: $.y",
        "type: wait, name: c, duration: $.x",
        head=head,
    )
    assert codes_of(flow) == [("unset-input", "outputMappings[0].source"), ("unset-input", "steps[1].duration")]


def test_an_input_that_may_have_any_key_is_not_reported() -> None:
    flow = flow_of(f"{ASK}", "type: wait, name: b, duration: $.anything", "type: wait, name: c, duration: $.other")
    assert codes_of(flow) == []
