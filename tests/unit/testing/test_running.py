"""Runs of flow test files: differences, reports, JUnit XML and the commands."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pollflow import Functions, InvalidArgument
from pollflow.testing import command, run_paths

FLOW = """\
definition:
  version: v1
  type: flow
  steps:
    - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call"}
    - {type: wait, name: Wait, duration: 10}
    - {type: pass, name: End}
cases:
"""
CASE = "  - {name: one, functions: {call: [{returns: {a: 1, b: [1, 2]}}]}, expect: %s}\n"


def differences_of(tmp_path: Path, expect: str) -> list[str]:
    (tmp_path / "x.flowtest.yaml").write_text(FLOW + CASE % expect, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    return list(verdict.differences)


@pytest.mark.parametrize(
    ("expect", "differences"),
    [
        ("{}", []),
        ("{status: Succeeded, output: {a: 1.0, b: [1, 2]}, seconds: 10, output_contains: {a: 1}}", []),
        ("{status: Failed}", ["status: expected Failed, actual Succeeded"]),
        ("{seconds: 9.5}", ["seconds: expected 9.5, actual 10"]),
        ("{output: {a: 2, c: 1}}", ["output.a: expected 2, actual 1", "output.c: expected 1, actual: missing"]),
        ("{output: {a: true, b: [1, 2]}}", ["output.a: expected true, actual 1"]),
        ("{output_contains: {b: [1, 3]}}", ["output.b[1]: expected 3, actual 2"]),
        ("{output: null}", ['output: expected nothing, actual {"a": 1, "b": [1, 2]}']),
        ("{error: {error: E}}", ['error: expected "E", actual nothing']),
        ("{error: {cause_contains: x}}", ['cause: expected to contain "x", actual nothing']),
        ("{visits: {Wait: 2, Nope: 0}}", ["visits of Wait: expected 2, actual 1"]),
        ("{calls: {s/call: []}}", ["calls of s/call: expected [], actual [{}]"]),
        ("{calls: {call: [{x: 1}]}}", ["calls of call[0].x: expected 1, actual: missing"]),
        ("{refused: 1}", ["refused: expected 1, actual 0"]),
        ("{invalid: []}", ["the definition is not refused"]),
        (
            "{steps: [Call, End]}",
            ["steps:\n      expected  actual\n    1 Call      Call\n!   2           Wait\n    3 End       End"],
        ),
    ],
)
def test_differences_are_reported(tmp_path: Path, expect: str, differences: list[str]) -> None:
    found = differences_of(tmp_path, expect)
    if differences and differences[0].startswith("output.a: expected 2"):
        differences = [*differences, "output.b: unexpected: [1, 2]"]
    assert found == differences


def test_a_failed_execution_shows_its_error(tmp_path: Path) -> None:
    case = "  - {name: one, functions: {call: [{raises: {error: E, cause: c}}]}, expect: {status: Succeeded}}\n"
    (tmp_path / "x.flowtest.yaml").write_text(FLOW + case, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    assert verdict.differences == ("status: expected Succeeded, actual Failed (E: c)",)


def test_a_failed_case_shows_refused_stimuli(tmp_path: Path) -> None:
    case = (
        "  - {name: one, functions: {call: [{returns: {}}]}, at: [{seconds: 99, stop: }], expect: {status: Stopped}}\n"
    )
    (tmp_path / "x.flowtest.yaml").write_text(FLOW + case, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    assert verdict.differences[1] == "at 99 s: the execution has ended, so it cannot be stopped"


def test_a_report_at_an_unknown_step_fails_the_case(tmp_path: Path) -> None:
    case = "  - {name: one, at: [{seconds: 1, report_failed: {step: Nope}}], expect: {status: Failed}}\n"
    (tmp_path / "x.flowtest.yaml").write_text(FLOW + case, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    assert verdict.differences == ("at: no step is named 'Nope'",)


def test_an_invalid_definition_fails_its_cases(tmp_path: Path) -> None:
    text = (
        "definition: |\n  version: v1\n  type: flow\n  steps: [{type: wait, name: W}]\ncases: [{name: x, expect: {}}]"
    )
    (tmp_path / "x.flowtest.yaml").write_text(text.replace("{}}]", "{seconds: 1}}]"), encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    assert "the definition is refused: " in verdict.differences[0] and ":3:" in verdict.differences[0]


def test_missing_and_unexpected_errors_are_reported(tmp_path: Path) -> None:
    text = (
        "definition: |\n  version: v1\n  type: flow\n  steps: [{type: wait, name: W}]\n"
        "cases: [{name: x, expect: {invalid: [{line: 1, message_contains: duration}]}}]"
    )
    (tmp_path / "x.flowtest.yaml").write_text(text, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    missing, unexpected = verdict.differences
    assert missing == "missing: line 1: … duration …"
    assert unexpected.startswith("unexpected: line 3: steps[0].duration: ")


def test_lint_is_checked_if_expected(tmp_path: Path) -> None:
    case = "  - {name: one, lint: [short-wait]}\n"
    (tmp_path / "x.flowtest.yaml").write_text(FLOW + case, encoding="utf-8")
    (verdict,) = run_paths([tmp_path]).verdicts
    assert verdict.differences == ("lint: missing: short-wait",)


def test_the_command_writes_a_line_per_case_and_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "x.flowtest.yaml"
    path.write_text(FLOW + CASE % "{}" + CASE.replace("one", "two") % "{status: Failed}", encoding="utf-8")
    lines: list[str] = []
    assert command.test([tmp_path], write=lines.append) == 1
    assert lines == [
        f"ok     {path}: one",
        f"FAILED {path}: two\n    status: expected Failed, actual Succeeded",
        "1 passed, 1 failed",
    ]
    assert command.test([path], keyword="ONE", write=lines.append) == 0
    assert lines[-1] == "1 passed, 0 failed"
    with pytest.raises(InvalidArgument, match="no case has 'nothing' in its name or file name"):
        command.test([path], keyword="nothing", write=lines.append)


def test_an_invalid_file_fails_and_a_missing_path_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.flowtest.yaml"
    path.write_text("cases: 1", encoding="utf-8")
    report = run_paths([path])
    assert (report.summary, report.verdicts[0].differences[0][: len(str(path))]) == ("0 passed, 1 failed", str(path))
    with pytest.raises(InvalidArgument, match="does not exist"):
        run_paths([tmp_path / "nope"])


def test_junit_xml_contains_every_case(tmp_path: Path) -> None:
    path = tmp_path / "x.flowtest.yaml"
    path.write_text(FLOW + CASE % "{}" + CASE.replace("one", "two") % '{output: "\\u0001<"}', encoding="utf-8")
    assert command.test([path], junit=tmp_path / "out.xml", write=lambda line: None) == 1
    suite = ET.parse(tmp_path / "out.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [(case.get("name"), len(case)) for case in suite] == [("one", 0), ("two", 1)]
    with pytest.raises(InvalidArgument, match="cannot be written"):
        command.test([path], junit=tmp_path / "no" / "out.xml", write=lambda line: None)


def test_a_simulation_draws_the_run(tmp_path: Path) -> None:
    flow, script = tmp_path / "f.yaml", tmp_path / "script.yaml"
    lines = FLOW.splitlines()[1:-1]
    flow.write_text("\n".join(line[2:] for line in lines), encoding="utf-8")
    script.write_text("functions: {call: [{lost: true, takes: 1}, {returns: {a: 1}}]}", encoding="utf-8")
    drawn: list[str] = []
    command.simulate(flow, script=script, write=drawn.append)
    assert drawn[0].splitlines() == [
        '        0 s  Call        1 s  → {"a": 1}',
        "                              · attempt 1: called again after its worker died",
        "        1 s  Wait       10 s  → {}",
        "       11 s  End              → {}",
        'Succeeded after 11 s: {"a": 1}',
    ]


def test_a_simulation_asks_for_replies(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_text("\n".join(line[2:] for line in FLOW.splitlines()[1:-1]), encoding="utf-8")
    answers = iter(["{a: ", "raise FC.X boom", "!", "[1]", "{a: 2}"])
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return next(answers)

    result = command.simulate(flow, {"x": "é"}, ask=ask, write=lambda text: None)
    assert (result.output, len(prompts)) == ({"a": 2}, 5)
    assert prompts[0].startswith('acs:fc:::services/s/functions/call is called with {"x": "é"}\n')
    assert all(prompt.endswith("\n  reply: ") for prompt in prompts[1:])
    assert ["that is not a reply; write " in prompt for prompt in prompts[1:]] == [False, True, False, True]
    assert "the error is missing" in prompts[3]
    failed = command.simulate(flow, ask=lambda prompt: "! Mine because", write=lambda text: None)
    assert (failed.error, failed.cause) == ("Mine", "because")


def test_a_simulation_without_a_reply_ends(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_text("\n".join(line[2:] for line in FLOW.splitlines()[1:-1]), encoding="utf-8")

    def ask(prompt: str) -> str:
        raise EOFError

    with pytest.raises(InvalidArgument, match="no reply was given for acs:fc:::services/s/functions/call"):
        command.simulate(flow, ask=ask, write=lambda text: None)


def test_a_simulation_calls_functions_of_an_application(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_text("\n".join(line[2:] for line in FLOW.splitlines()[1:-1]), encoding="utf-8")
    functions = Functions()

    @functions.function
    def call(input: Any, context: Any) -> dict[str, Any]:
        return {"step": context.step}

    assert command.simulate(flow, functions=functions, write=lambda text: None).output == {"step": "Call"}
