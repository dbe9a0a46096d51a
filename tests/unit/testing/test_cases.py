"""Flow test files are read, and their problems are reported with lines."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.machine import Limits, Status
from pollflow.testing import Reply, ReportFailed, ReportSucceeded, Stop, load_cases

FLOW = "definition: {version: v1, type: flow, steps: [{type: pass, name: A}]}\n"


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str, name: str = "x.flowtest.yaml") -> Path:
        path = tmp_path / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


def test_a_case_with_every_field(write) -> None:  # type: ignore[no-untyped-def]
    path = write(
        FLOW
        + """\
cases:
  - name: all
    input: {a: 1}
    functions:
      f: [{returns: {b: 1}, takes: 1.5}, {raises: {error: E, cause: 503}}, {lost: true}]
    at:
      - {seconds: 1, stop: {error: S, cause: c}}
      - {seconds: 2, report_succeeded: {step: A, output: {x: 1}}}
      - {seconds: 3, report_failed: {step: A, error: E}}
    limits: {events: 7, max_concurrency: 2}
    until: 60
    expect: {status: TimedOut, error: {cause_contains: x}, seconds: 1, steps: [A], refused: 1}
    lint: [short-wait]
"""
    )
    (case,) = load_cases(path)
    assert (case.name, case.line, case.input, case.until, case.lint) == ("all", 3, {"a": 1}, 60, ("short-wait",))
    first, second, third = case.functions["f"]
    assert (first, third) == (Reply({"b": 1}, takes=1.5), Reply(lost=True))
    assert second.raises is not None and (second.raises.error, second.raises.cause) == ("E", "503")
    assert case.stimuli == (Stop(1, "S", "c"), ReportSucceeded(2, "A", {"x": 1}), ReportFailed(3, "A", "E"))
    assert case.limits == Limits(events=7, max_concurrency=2)
    assert (case.expected.status, case.expected.steps, case.expected.refused) == (Status.TIMED_OUT, ("A",), 1)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("cases: [{name: x, expect: {}}]", 1, '"flow" or "definition" is missing'),
        (FLOW + "flow: nowhere.yaml\ncases: [{name: x, expect: {}}]", 2, "does not exist"),
        (FLOW, 1, '"cases" is missing'),
        (FLOW + "cases: []", 2, "at least one case"),
        (FLOW + "cases:\n  - expect: {}", 3, '"name" is missing'),
        (FLOW + "cases:\n  - name: x", 3, '"expect" or "lint" is missing'),
        (FLOW + "cases:\n  - name: x\n    expct: {}", 4, 'did you mean "expect"?'),
        (FLOW + "cases:\n  - name: x\n    expect:\n      status: Done", 5, "must be one of Running"),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    functions:\n      f: []", 6, "at least one reply"),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    functions:\n      f: [{}]", 6, "exactly one of returns"),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    functions:\n      f: [{lost: no}]", 6, "must be true"),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    functions: {f: [{returns: 1, takes: -1}]}", 5, "0 or more"),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    at: [{stop: }]", 5, '"seconds" is missing'),
        (FLOW + "cases:\n  - name: x\n    expect: {}\n    at: [{seconds: 1}]", 5, "exactly one of stop"),
        (FLOW + "cases:\n  - name: x\n    expect: {visits: {A: 1.5}}", 4, "whole number"),
        (FLOW + "cases:\n  - name: x\n    expect: {output_contains: 1}", 4, "must be an object"),
        (FLOW + "cases:\n  - name: x\n    expect: {steps: A}", 4, "must be a list"),
        (FLOW + "cases:\n  - name: x\n    input: [1]\n    expect: {}", 4, "must be an object"),
        ("flow: nowhere.yaml\ncases: [{name: x, expect: {}}]", 1, "does not exist"),
        (
            FLOW + "cases:\n  - {name: x, expect: {}}\n  - {name: x, lint: []}",
            4,
            'has the same name, "x"',
        ),
        ("cases: [", 1, "not YAML"),
    ],
)
def test_a_problem_shows_its_line(write, text: str, line: int, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write(text)
    with pytest.raises(DefinitionError) as caught:
        load_cases(path)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == (str(path), line)
    assert message in problem.message


def test_all_problems_of_a_file_are_reported_at_once(write) -> None:  # type: ignore[no-untyped-def]
    path = write(
        FLOW
        + """\
cases:
  - name: one
    input: [1]
    functions:
      f: [{lost: no}, {takes: -1, returns: 1}]
      g: []
    expect: {status: Done, seconds: x, visits: {A: b}, invalid: [{line: 0.5}, {}]}
  - expct: {}
    at: [{stop: }, {seconds: 1}]
  - lint: {}
flws: {}
"""
    )
    with pytest.raises(DefinitionError) as caught:
        load_cases(path)
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (4, "cases[0].input"),
        (6, "cases[0].functions.f[0].lost"),
        (6, "cases[0].functions.f[1].takes"),
        (7, "cases[0].functions.g"),
        (8, "cases[0].expect.status"),
        (8, "cases[0].expect.seconds"),
        (8, "cases[0].expect.visits.A"),
        (8, "cases[0].expect.invalid[0].line"),
        (8, "cases[0].expect.invalid[1]"),
        (9, "cases[1].expct"),
        (10, "cases[1].at[0]"),
        (10, "cases[1].at[1]"),
        (11, "cases[2]"),
        (11, "cases[2].lint"),
        (12, "flws"),
    ]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="does not exist"):
        load_cases(tmp_path / "x.flowtest.yaml")


def test_a_definition_keeps_its_own_text_and_lines(write) -> None:  # type: ignore[no-untyped-def]
    path = write(
        """\
        definition:
          version: v1      # a comment
          type: flow
          name: mine

          steps:
            - {type: wait, name: W, timestamp: 2026-01-01}
        cases: [{name: x, expect: {}}]
        """
    )
    definition = load_cases(path)[0].definition
    assert definition.text.splitlines()[0] == "version: v1      # a comment"
    assert definition.name == "mine"
    assert definition.read().steps.steps[0].line == 6


def test_a_definition_on_one_line_is_read_as_json(write) -> None:  # type: ignore[no-untyped-def]
    flow = load_cases(write(FLOW + "cases: [{name: x, expect: {}}]"))[0].definition.read()
    assert [step.name for step in flow.steps.steps] == ["A"]


def test_a_flow_runs_under_the_name_of_its_file(write) -> None:  # type: ignore[no-untyped-def]
    write("version: v1\ntype: flow\nsteps: [{type: pass, name: A}]", "my_flow.yaml")
    path = write("flow: my_flow.yaml\ncases: [{name: x, expect: {}}]")
    assert load_cases(path)[0].definition.name == "my_flow"
