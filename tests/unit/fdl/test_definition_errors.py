"""Definitions that are refused: all problems at once, each with its position and a remedy."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.fdl import (
    Problem,
    load_flow,
    read_flow,
    read_yaml,
)
from tests.unit.fdl.texts import HEAD, problems_of, problems_of_steps, text_of

ROOT = FilePath(__file__).parents[3]


def test_all_errors_of_a_definition_are_reported_together() -> None:
    document = read_yaml((ROOT / "tests/flowtests/invalid.flowtest.yaml").read_text())
    assert problems_of(document["definition"]) == [
        '6:15: steps[0].duration: must be a number of seconds from 0 to 31536000, or a $ path, not "ten"',
        '9:5: steps[1].resouceArn: unknown field "resouceArn"; did you mean "resourceArn"?',
        '11:11: steps[2].name: "Wait" is already the name of steps[0] (line 4); use unique names in a series',
        '13:26: steps[2].choices[0].condition: is not a valid condition: unexpected "="; write == for equality '
        '(character 7 of "$.a === 1")',
        '14:15: steps[2].choices[0].goto: no step of this series is named "nowhere"',
    ]


def test_a_problem_says_file_line_column_and_field() -> None:
    with pytest.raises(DefinitionError) as refused:
        read_flow(text_of("type: wait, name: a, duration: -1"), path="flows/x.yaml")
    message = (
        "flows/x.yaml:4:37: steps[0].duration: must be a number of seconds from 0 to 31536000, or a $ path, not -1"
    )
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("step", "problems"),
    [
        ("type: pas, name: a", ["4:12: steps[0].type: must be one of task, pass, wait, choice, parallel, foreach, "
                                'succeed, fail, not "pas"; did you mean "pass"?']),
        ("tpye: pass, name: a", ['4:6: steps[0].tpye: unknown field "tpye"; did you mean "type"?']),
        ("name: a", ["4:5: steps[0].type: is missing; a step needs it: The kind of step."]),
        ("type: pass", ["4:5: steps[0].name: is missing; a pass step needs it: Unique within its series."]),
        ("type: pass, name: ''", ['4:24: steps[0].name: must be a non-empty text, not ""']),
        ("type: pass, name: [a]", ["4:24: steps[0].name: must be a non-empty text, not a list"]),
        ('type: pass, name: "a\\nb"', ["4:24: steps[0].name: must not contain line breaks or control characters"]),
        (f"type: pass, name: {'a' * 129}", ["4:24: steps[0].name: has 129 characters, more than the limit of 128"]),
        ("type: pass, name: a, colour: red", ['4:27: steps[0].colour: unknown field "colour"; a pass step has type, '
                                              "name, inputMappings, outputMappings, end"]),
        ("type: pass, name: a, end: maybe", ['4:32: steps[0].end: must be true or false, not "maybe"']),
        ("type: succeed, name: a, end: true", ['4:30: steps[0].end: unknown field "end"; a succeed step has type, '
                                               "name, inputMappings, outputMappings"]),
        ("type: wait, name: a", ["4:5: steps[0].duration: is missing; a wait step needs duration or timestamp"]),
        ("type: wait, name: a, duration: 1, timestamp: 2020-01-01", [
            "4:40: steps[0].timestamp: a wait step has duration or timestamp, not both"]),
        ("type: wait, name: a, duration: true", [
            "4:37: steps[0].duration: must be a number of seconds from 0 to 31536000, or a $ path, not true"]),
        ("type: wait, name: a, duration: 31536001", [
            "4:37: steps[0].duration: the wait takes 365 days 1 s, more than the limit of 365 days "
            "(pollflow_max_wait)"]),
        ("type: wait, name: a, duration: $input.x", [
            "4:37: steps[0].duration: must be a number of seconds from 0 to 31536000, or a $ path, not "
            '"$input.x"; here $ is the step\'s own input, so write $.key']),
        ("type: wait, name: a, duration: $.a b", [
            '4:40: steps[0].duration: is not a valid path: unexpected " "; quote a key in brackets, as ["a b"] '
            '(character 4 of "$.a b")']),
        ("type: wait, name: a, timestamp: '2020-01-01T00:00:00'", [
            "4:38: steps[0].timestamp: must be a time such as 2026-01-31T12:00:00Z, or a $ path, not "
            '"2020-01-01T00:00:00"']),
        ("type: choice, name: a", ["4:5: steps[0].choices: is missing; a choice step needs choices or default"]),
        ("type: choice, name: a, choices: [{goto: a}]", [
            "4:39: steps[0].choices[0].condition: is missing; an option needs it: A test of the step's input, $."]),
        ("type: choice, name: a, default: 5", ["4:38: steps[0].default: must be an object, not 5"]),
        ("type: choice, name: abc, default: {goto: acb}", [
            '4:47: steps[0].default.goto: no step of this series is named "acb"; did you mean "abc"?']),
        ("type: parallel, name: a, branches: []", ["4:41: steps[0].branches: must not be empty"]),
        ("type: parallel, name: a, branches: 1", ["4:41: steps[0].branches: must be a list, not 1"]),
        (f"type: parallel, name: a, branches: [{', '.join(['{steps: [{type: pass, name: b}]}'] * 101)}]", [
            "4:41: steps[0].branches: has 101 elements, more than the limit of 100"]),
        ("type: parallel, name: a, branches: [{steps: []}]", [
            "4:50: steps[0].branches[0].steps: must have at least one step"]),
        ("type: foreach, name: a, steps: [{type: pass, name: b}]", [
            "4:5: steps[0].iterationMapping: is missing; a foreach step needs it: The list, and the keys of its "
            "element and position in the input of an iteration."]),
        ("type: foreach, name: a, steps: [{type: pass, name: b}], iterationMapping: {collection: x, item: i, "
         "index: i}", [
            "4:80: steps[0].iterationMapping: item and index must be two different keys",
            "4:93: steps[0].iterationMapping.collection: must be a $ path to a list in the step's input, such as "
            '$.names, not "x"']),
        ("type: task, name: a", ["4:5: steps[0].resourceArn: is missing; a task step needs resourceArn or action"]),
        ("type: task, name: a, resourceArn: x, action: a:b", [
            "4:43: steps[0].action: a task step has resourceArn or action, not both"]),
        ("type: task, name: a, action: b", [
            '4:35: steps[0].action: must be product:Operation, such as fnf:StartExecution, not "b"']),
        ("type: task, name: a, resourceArn: x, pattern: Sync", [
            "4:52: steps[0].pattern: must be one of requestResponse, sync, waitForCallback, not \"Sync\"; did you mean "
            '"sync"?']),
        ("type: task, name: a, resourceArn: x, timeoutSeconds: 0", [
            "4:59: steps[0].timeoutSeconds: must be a number of seconds from 0.001 to 31536000, not 0"]),
        ("type: task, name: a, resourceArn: x, serviceParams: [1]", [
            "4:58: steps[0].serviceParams: must be an object, not a list"]),
        ("type: task, name: a, resourceArn: x, retry: [{errors: []}, {erors: [A]}, {errors: A}]", [
            "4:60: steps[0].retry[0].errors: must be a list of error names, such as [FnF.ALL], not an empty list",
            '4:66: steps[0].retry[1].erors: unknown field "erors"; did you mean "errors"?',
            '4:88: steps[0].retry[2].errors: must be a list of error names, such as [FnF.ALL], not "A"']),
        ("type: task, name: a, resourceArn: x, retry: [{errors: [A], intervalSeconds: 0, maxAttempts: -1, "
         "multiplier: 0.9, maxIntervalSeconds: 86401}]", [
            "4:82: steps[0].retry[0].intervalSeconds: must be a whole number of seconds from 1 to 86400, not 0",
            "4:98: steps[0].retry[0].maxAttempts: must be a whole number of 0 or more, not -1",
            "4:114: steps[0].retry[0].multiplier: must be a number of 1 or more, not 0.9",
            "4:139: steps[0].retry[0].maxIntervalSeconds: must be a whole number of seconds from 1 to 86400, "
            "not 86401"]),
        ("type: task, name: a, resourceArn: x, catch: [{errors: [A]}]", [
            "4:51: steps[0].catch[0].goto: is missing; a catch needs it: A step of the task's own series."]),
        ("type: pass, name: a, outputMappings: [{target: b}, {source: 1}, 7]", [
            "4:44: steps[0].outputMappings[0].source: is missing; a mapping needs it: A path that starts with $input, "
            "$local or $context, or a constant.",
            "4:57: steps[0].outputMappings[1].target: is missing; a mapping needs it: A key of the new object.",
            "4:70: steps[0].outputMappings[2]: must be an object, not 7"]),
        ("type: pass, name: a, outputMappings: [{target: b, source: $input.a..b}]", [
            '4:73: steps[0].outputMappings[0].source: is not a valid path: unexpected "." (character 10 of '
            '"$input.a..b")']),
    ],
)  # fmt: skip
def test_a_wrong_step_gives_exactly_these_problems(step: str, problems: list[str]) -> None:
    assert problems_of_steps(step) == problems


def test_a_goto_across_levels_is_refused_with_the_reason() -> None:
    assert problems_of_steps(
        "type: parallel, name: p, branches: [{steps: [{type: pass, name: deep}]}]",
        "type: foreach, name: f, iterationMapping: {collection: $.x, item: i}, steps: [{type: choice, name: c, "
        "default: {goto: p}}]",
        "type: choice, name: d, default: {goto: deep, steps: [{type: pass, name: opt}]}",
        "type: choice, name: e, choices: [{condition: true, goto: opt}, {condition: true, goto: c}]",
    ) == [
        '5:124: steps[1].steps[0].default.goto: "p" (steps[0], line 4) is in the flow\'s own series; goto can only '
        "name a step of its own series",
        '6:45: steps[2].default.goto: "deep" (steps[0].branches[0].steps[0], line 4) is inside a branch of "p"; '
        "goto can only name a step of its own series",
        '7:63: steps[3].choices[0].goto: "opt" (steps[2].default.steps[0], line 6) is inside an option of "d"; '
        "goto can only name a step of its own series",
        '7:93: steps[3].choices[1].goto: "c" (steps[1].steps[0], line 5) is inside the iterations of "f"; goto can '
        "only name a step of its own series",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("- 1", ["1:1: a definition is an object with version, type and steps, not a list"]),
        ("{}", [
            "1:1: version: is missing; a flow needs it: The language's version.",
            "1:1: type: is missing; a flow needs it: The type of the document.",
            "1:1: steps: is missing; a flow needs it: Steps that run one after another."]),
        ("version: 1\ntype: flows\nname: 9x\nsteps: []\ntimeoutSeconds: 1.5\n", [
            '1:10: version: must be "v1" or "v1beta1", not 1; did you mean "v1"?',
            '2:7: type: must be "flow", not "flows"',
            "3:7: name: must be 1 to 128 letters, digits, _ or -, with a letter or _ first, not \"9x\"",
            "4:8: steps: must have at least one step",
            "5:17: timeoutSeconds: must be a whole number of seconds from 1 to 31536000, not 1.5"]),
        ("version: v1\ntype: flow\nsteps: 5\n", ["3:8: steps: must be a list of steps, not 5"]),
        (HEAD + "  - 7\n", ["4:5: steps[0]: must be a step, an object with type and name, not 7"]),
    ],
)  # fmt: skip
def test_a_wrong_document_gives_exactly_these_problems(text: str, problems: list[str]) -> None:
    assert problems_of(text) == problems


def test_the_longest_wait_is_a_setting() -> None:
    text = text_of("type: wait, name: a, duration: 5")
    assert problems_of(text, max_wait_seconds=5) == []
    assert problems_of(text, max_wait_seconds=4) == [
        "4:37: steps[0].duration: the wait takes 5 s, more than the limit of 4 s (pollflow_max_wait)"
    ]


def test_a_flow_has_at_most_ten_thousand_steps() -> None:
    steps = [f"type: pass, name: s{number}" for number in range(10_001)]
    assert problems_of_steps(*steps) == [
        "10004:5: steps[10000]: the flow has at least 10,001 steps, more than the limit of 10,000"
    ]
    assert problems_of_steps(*steps[:-1]) == []


def test_the_number_of_reported_problems_is_bounded() -> None:
    steps = [f"type: choice, name: s{number}, default: {{goto: t{number}}}, x{number}: 1" for number in range(300)]
    found = problems_of_steps(*steps)
    assert len(found) == 201
    assert found[-1] == "104:48: and 400 more, the first of them here"


def test_a_file_that_cannot_be_read_is_an_invalid_argument(tmp_path: FilePath) -> None:
    for path, message in [
        (tmp_path / "none.yaml", "the file does not exist"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "a\0b", "cannot be read"),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            load_flow(path)
        assert str(refused.value).startswith(str(path))
        assert message in str(refused.value)


def test_a_file_that_is_not_text_has_a_problem_with_its_line(tmp_path: FilePath) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: v1\nname: caf\xe9\n")
    with pytest.raises(DefinitionError) as refused:
        load_flow(path)
    assert refused.value.problems == (
        Problem(str(path), 2, 1, "", "not UTF-8 text: byte 0xe9; save it as UTF-8", "syntax"),
    )


def test_a_file_that_is_too_large_is_not_read(tmp_path: FilePath) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(DefinitionError, match="more than the limit of 1,048,576"):
        load_flow(tmp_path / "large.yaml")


@pytest.mark.parametrize(
    ("step", "word", "meant"),
    [
        ("type: wait, name: a, seconds: 5", "seconds", "duration"),
        ("type: wait, name: a, sleep: 5", "sleep", "duration"),
        ("type: wait, name: a, until: x", "until", "timestamp"),
        ("type: task, name: a, function: f", "function", "resourceArn"),
        ("type: task, name: a, Resource: f", "Resource", "resourceArn"),
        ("type: task, name: a, resource_arn: f", "resource_arn", "resourceArn"),
        ("type: task, name: a, resourceArn: f, timeout: 5", "timeout", "timeoutSeconds"),
        ("type: task, name: a, resourceArn: f, seconds: 5", "seconds", "timeoutSeconds"),
        ("type: task, name: a, resourceArn: f, parameters: {}", "parameters", "serviceParams"),
        ("type: task, name: a, resourceArn: f, retry: [{errors: [A], max_attempts: 2}]", "max_attempts", "maxAttempts"),
        ("type: task, name: a, resourceArn: f, retry: [{errors: [A], backoff_rate: 2}]", "backoff_rate", "multiplier"),
        ("type: task, name: a, resourceArn: f, retry: [{ErrorEquals: [A]}]", "ErrorEquals", "errors"),
        ("type: task, name: a, resourceArn: f, catch: [{errors: [A], next: a}]", "next", "goto"),
        ("type: choice, name: a, options: []", "options", "choices"),
        ("type: choice, name: a, choices: [], else: {}", "else", "default"),
        ("type: choice, name: a, choices: [{if: $.a}]", "if", "condition"),
        ("type: choice, name: a, choices: [{condition: $.a, then: b}]", "then", "steps"),
        ("type: parallel, name: a, steps: []", "steps", "branches"),
        ("type: foreach, name: a, items: $.a, steps: [{type: pass, name: b}]", "items", "iterationMapping"),
        ("type: fail, name: a, message: x", "message", "cause"),
        ("type: pass, name: a, output: []", "output", "outputMappings"),
        ("type: pass, name: a, outputMappings: [{key: a, value: 1}]", "key", "target"),
        ("type: pass, name: a, ends: true", "ends", "end"),
    ],
)
def test_a_wrong_field_suggests_one_that_the_step_can_have(step: str, word: str, meant: str) -> None:
    found = [problem for problem in problems_of_steps(step) if f'unknown field "{word}"' in problem]
    assert [problem.rpartition("; ")[2] for problem in found] == [f'did you mean "{meant}"?']


@pytest.mark.parametrize(
    "step",
    [
        "type: wait, name: a, duration: 5, until: x",
        "type: wait, name: a, duration: 5, seconds: 5",
        "type: task, name: a, resourceArn: f, operation: b",
        "type: pass, name: a, seconds: 5",
        "type: succeed, name: a, stop: true",
    ],
)
def test_a_field_that_the_step_cannot_have_is_never_suggested(step: str) -> None:
    (problem,) = problems_of_steps(step)
    assert "did you mean" not in problem
    assert "step has type, name," in problem


@pytest.mark.parametrize(
    ("type", "meant"),
    [("sleep", "wait"), ("Function", "task"), ("switch", "choice"), ("map", "foreach")],
)
def test_a_wrong_step_type_suggests_the_nearest_one(type: str, meant: str) -> None:
    (problem,) = problems_of_steps(f"type: {type}, name: a")
    assert problem.endswith(f'did you mean "{meant}"?')


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", "10"),
        ("'10'", "10"),
        ("5m", "300"),
        ("1h30m", "5400"),
        ("1h 30m", "5400"),
        ("500ms", "0.5"),
        ("2 minutes", "120"),
        ("PT10M", "600"),
        ("P1DT1H", "90000"),
        ("00:10:00", "600"),
        ("1 day", "86400"),
    ],
)
@pytest.mark.parametrize(
    "step",
    [
        "type: wait, name: a, duration: TEXT",
        "type: task, name: a, resourceArn: f, timeoutSeconds: TEXT",
        "type: task, name: a, resourceArn: f, retry: [{errors: [A], intervalSeconds: TEXT}]",
        "type: task, name: a, resourceArn: f, retry: [{errors: [A], maxIntervalSeconds: TEXT}]",
    ],
)
def test_a_duration_in_another_form_says_what_to_write(step: str, text: str, seconds: str) -> None:
    (problem,) = problems_of_steps(step.replace("TEXT", text))
    assert "number of seconds from " in problem
    assert problem.endswith(f"; write {seconds}")


@pytest.mark.parametrize("text", ["ten", "10 parsecs", "s", "10:99999", "[10s]", "1e", "--5s"])
def test_a_text_that_is_no_duration_has_no_hint(text: str) -> None:
    (problem,) = problems_of_steps(f"type: wait, name: a, duration: '{text}'")
    assert "; write" not in problem
