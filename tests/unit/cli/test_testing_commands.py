from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pollflow.cli.app import app
from pollflow.cli.init import write_project
from pollflow.cli.interruptions import Interrupted
from pollflow.fdl import json_schema

CASES = """
definition:
  version: v1
  type: flow
  steps:
    - {type: wait, name: Hour, duration: 3600}
    - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
cases:
  - name: an hour passes at once
    functions: {s/ask: [{returns: {ok: true}}]}
    expect: {status: Succeeded, seconds: 3600, output: {ok: EXPECTED}}
"""
SCRIPT = """
functions:
  s/ask: [{returns: {ok: true}, takes: 5}]
"""
FAILING = """
app = Celery("a")
pollflow.attach(app, "redis://127.0.0.1:1/0")


@pollflow.function("s/ask")
def ask(input, context):
    raise ValueError("1 2")
"""


def run(*args: str, input: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, args, input=input)
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.flowtest.yaml").write_text(CASES.replace("EXPECTED", "true"))
    definition = CASES.partition("definition:\n")[2].partition("cases:")[0]
    (tmp_path / "flow.yaml").write_text("\n".join(line[2:] for line in definition.splitlines()))
    (tmp_path / "script.yaml").write_text(SCRIPT)
    return tmp_path


def test_passed_flow_tests_print_a_line_per_case_and_exit_with_0(folder: Path) -> None:
    status, output = run("test", str(folder))
    assert status == 0
    assert output.splitlines()[0].startswith("ok")
    assert output.splitlines()[-1] == "1 passed, 0 failed"


def test_failed_flow_tests_print_the_differences_and_exit_with_1(folder: Path) -> None:
    (folder / "bad.flowtest.yaml").write_text(CASES.replace("EXPECTED", "false"))
    status, output = run("test", str(folder), "--junit", str(folder / "junit.xml"))
    assert status == 1
    assert "output" in output and output.splitlines()[-1] == "1 passed, 1 failed"
    assert "<failure" in (folder / "junit.xml").read_text()


def test_a_keyword_selects_cases(folder: Path) -> None:
    assert run("test", str(folder), "-k", "an hour")[0] == 0
    status, output = run("test", str(folder), "-k", "no such case")
    assert (status, output) == (2, "pollflow: no case has 'no such case' in its name or file name\n")


def test_a_folder_without_flow_tests_is_an_error(tmp_path: Path) -> None:
    assert run("test", str(tmp_path)) == (2, f"pollflow: {tmp_path}: contains no *.flowtest.yaml\n")


def test_the_flow_test_that_init_writes_passes(tmp_path: Path) -> None:
    write_project(tmp_path)
    status, output = run("test", str(tmp_path / "flows"))
    assert (status, output.splitlines()[-1]) == (0, "4 passed, 0 failed")


def test_a_missing_path_exits_with_2(tmp_path: Path) -> None:
    assert run("test", str(tmp_path / "nothing"))[0] == 2


def test_a_simulation_with_a_script_draws_the_run(folder: Path) -> None:
    status, output = run("simulate", str(folder / "flow.yaml"), "--script", str(folder / "script.yaml"))
    assert status == 0
    assert "Hour" in output and "Ask" in output and "Succeeded after 3605 s" in output.replace(",", "")


def test_a_simulation_asks_for_results_at_the_terminal(folder: Path) -> None:
    status, output = run("simulate", str(folder / "flow.yaml"), input='{"from": "me"}\n')
    assert status == 0
    assert '"from": "me"' in output


def test_a_failed_simulation_exits_with_1(folder: Path) -> None:
    assert run("simulate", str(folder / "flow.yaml"), input="! Broken badly\n")[0] == 1


def test_a_simulation_without_a_result_exits_with_2(folder: Path) -> None:
    status, output = run("simulate", str(folder / "flow.yaml"), input="")
    assert status == 2
    assert output.splitlines()[-1].startswith("pollflow: no reply was given for acs:fc:::services/s/functions/ask")
    assert "Traceback" not in output


def test_ctrl_c_at_the_prompt_of_a_simulation_interrupts_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(question: str) -> str:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("builtins.input", interrupt)
    assert run("simulate", str(folder / "flow.yaml")) == (130, "")


def test_a_function_that_fails_in_a_simulation_has_no_traceback(folder: Path) -> None:
    (folder / "worker.py").write_text("import pollflow\nfrom celery import Celery\n" + FAILING)
    result = subprocess.run(
        [sys.executable, "-m", "pollflow.cli", "simulate", "flow.yaml", "--functions"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Failed after 3600 s: ValueError: 1 2" in result.stdout
    assert "the function failed\n  ValueError: 1 2\n" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("simulate", "-A", "proj"), ("-A", "proj", "simulate")], ids=" ".join)
def test_a_simulation_calls_the_functions_of_the_app_that_an_option_names(words: tuple[str, ...], folder: Path) -> None:
    (folder / "worker.py").write_text("import pollflow\nfrom celery import Celery\n" + FAILING)
    answering = FAILING.replace('raise ValueError("1 2")', 'return {"from": "proj"}')
    (folder / "proj.py").write_text("import pollflow\nfrom celery import Celery\n" + answering)
    result = subprocess.run(
        [sys.executable, "-m", "pollflow.cli", *words, "flow.yaml", "--functions"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert '{"from": "proj"}' in result.stdout


def test_schema_prints_the_json_schema_of_flows() -> None:
    status, output = run("schema")
    assert (status, json.loads(output)) == (0, json_schema())
