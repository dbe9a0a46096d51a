"""Commands that need no server: usage, input, existing files and problems of flows."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pollflow import HistoryEntry
from pollflow.cli.app import app
from pollflow.cli.commands import BY_NAME, COMMANDS, GROUPS, Command
from pollflow.cli.executions import lines_of
from pollflow.cli.history_check import findings
from pollflow.cli.init import templates, write_project
from pollflow.cli.inputs import read_input, split_execution
from pollflow.cli.project_app import AppName, nearest_project
from pollflow.cli.required_functions import check_functions
from pollflow.cli.selection import Uses
from pollflow.cli.session import ProjectLocation, find_location
from pollflow.cli.texts import columns, countdown, counted, duration
from pollflow.errors import InvalidArgument, PollflowError
from pollflow.fdl import read_flow
from pollflow.printable import clean

PROJECT = Path(__file__).parents[3]
BAD = "version: v1\ntype: flow\nsteps:\n  - type: wait\n    name: A\n    duration: ten\n"
REFERENCE_FILES = [
    *("worker.py", "beat_config.py", "docker-compose.yml", "tasks/__init__.py"),
]

runner = CliRunner()


@pytest.mark.parametrize("command", BY_NAME)
def test_every_command_has_a_help_with_an_example(command: str) -> None:
    result = runner.invoke(app, [command, "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert f" {command} [OPTIONS]" in result.output
    assert f"  Example:\n    {BY_NAME[command].example}\n" in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_summary_of_a_command_is_the_first_line_of_its_docstring(command: Command) -> None:
    assert (command.function().__doc__ or "").splitlines()[0] == command.summary


def test_a_command_that_only_uses_files_has_no_further_options() -> None:
    # The value of this member is no tuple on Python 3.11.0 to 3.11.2.
    assert Uses.FILES.options == ()


def test_the_help_lists_every_command_in_its_group() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    lines = [line.split("  ")[:2] for line in result.output.splitlines()]
    headings = [line[0].rstrip(":") for line in lines if line[0].rstrip(":") in GROUPS]
    assert headings == list(GROUPS)
    names = [line[1].split(" ")[0] for line in lines if line[0] == "" and line[1:] and line[1].split(" ")[0] in BY_NAME]
    assert names == list(BY_NAME)


def test_a_misspelt_command_is_refused_with_the_near_name() -> None:
    result = runner.invoke(app, ["simulat"])
    assert (result.exit_code, "Did you mean 'simulate'?" in result.output) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["run"],
        ["run", "missing.yaml"],
        ["show", "no-slash"],
        ["list", "--status", "odd"],
        ["deploy", "a.yaml", "b.yaml", "--name", "one"],
        ["list", "--redis", "nonsense"],
        ["list", "--redis", "redis://127.0.0.1:6379/abc"],
        ["run", "--follow", "no-slash"],
    ],
)
def test_bad_usage_gives_status_two(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("input", "message"),
    [
        ("[1]", "must be a JSON object such as {}, not a list"),
        ("null", "not null"),
        ("3", "not a number"),
        ('"a"', "not a string"),
        ("{", "is not valid JSON"),
        ('{"a": NaN}', "is not valid JSON"),
        ("@/no/such/file", "cannot be read"),
        ("[" * 100_000, "--input is nested at least 201 levels deep, more than the limit of 200"),
    ],
)
def test_an_input_that_is_not_a_json_object_is_refused(input: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message.replace("{", r"\{").replace("}", r"\}")):
        read_input(input)


def test_input_is_read_from_the_option_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input.json").write_text('{"a": "ä"}', "utf-8")
    assert read_input('{"a": 1}') == {"a": 1}
    assert read_input(f"@{tmp_path / 'input.json'}") == {"a": "ä"}
    with (tmp_path / "input.json").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_input("-") == {"a": "ä"}


def test_an_execution_is_identified_by_flow_and_name() -> None:
    assert split_execution("flow/name") == ("flow", "name")
    for wrong in ("flow", "flow/", "/name", ""):
        with pytest.raises(InvalidArgument):
            split_execution(wrong)


def test_init_writes_the_files_of_the_reference_application() -> None:
    written = templates()
    assert {path: (PROJECT / path).read_text() for path in REFERENCE_FILES} == {
        path: written[path] for path in REFERENCE_FILES
    }


def test_init_writes_every_file_that_its_dockerfile_copies() -> None:
    written = templates()
    copied = [line.split()[1:-1] for line in written["Dockerfile"].splitlines() if line.startswith("COPY")]
    for name in (name for names in copied for name in names):
        assert any(path == name or path.startswith(f"{name}/") for path in written), name


def test_init_never_overwrites_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert runner.invoke(app, ["init", str(folder)]).exit_code == 0
    assert runner.invoke(app, ["init", str(folder)]).exit_code == 0
    (folder / "worker.py").write_text("mine\n")
    (folder / "tasks" / "polling.py").unlink()
    result = runner.invoke(app, ["init", str(folder)])
    assert result.exit_code == 2
    assert f"exists  {folder / 'worker.py'}: not changed" in result.output
    assert (folder / "worker.py").read_text() == "mine\n"
    assert (folder / "tasks" / "polling.py").read_text() == templates()["tasks/polling.py"]
    assert write_project(folder).kept == ("worker.py",)


def test_init_prints_no_cd_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "cd " not in runner.invoke(app, ["init", "."]).output
    assert "cd sub" in runner.invoke(app, ["init", "sub"]).output


def test_lint_prints_text_json_github_and_sarif(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD)
    result = runner.invoke(app, ["lint", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{bad}:6:15: steps[0].duration: " in result.output
    (problem,) = json.loads(runner.invoke(app, ["lint", str(bad), "--json"]).output)
    assert (problem["line"], problem["column"], problem["severity"]) == (6, 15, "error")
    github = runner.invoke(app, ["lint", str(bad), "--format", "github"]).output
    assert github.startswith(f"::error file={bad},line=6,col=15,title=")
    sarif = json.loads(runner.invoke(app, ["lint", str(bad), "--format", "sarif"]).output)
    (found,) = sarif["runs"][0]["results"]
    assert found["locations"][0]["physicalLocation"]["region"] == {"startLine": 6, "startColumn": 15}
    assert {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]} == {found["ruleId"]}


def test_lint_succeeds_if_there_are_only_warnings(tmp_path: Path) -> None:
    flow = PROJECT / "flows" / "task_polling.yaml"
    result = runner.invoke(app, ["lint", str(flow)])
    assert result.exit_code == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert runner.invoke(app, ["lint", str(empty)]).exit_code == 2


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a flow and a flow test."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "g.yaml").write_text("version: v1\ntype: flow\nsteps:\n  - {type: succeed, name: A}\n")
    (folder / "g.flowtest.yaml").write_text("flow: g.yaml\ncases:\n  - {name: a, expect: {seconds: 0}}\n")
    return folder


def test_lint_skips_flow_tests(flows: Path) -> None:
    result = runner.invoke(app, ["lint", "flows"])
    assert (result.exit_code, result.output) == (0, "1 file, 0 errors, 0 warnings\n")
    result = runner.invoke(app, ["lint", "flows/g.flowtest.yaml", "flows/g.yaml"])
    assert result.exit_code == 0
    assert (
        "skipped: flows/g.flowtest.yaml is a flow test; run it with: pollflow test flows/g.flowtest.yaml\n"
        in result.output
    )


@pytest.mark.parametrize("command", ["lint", "deploy", "run", "simulate"])
def test_a_flow_test_is_refused_with_the_command_that_runs_it(flows: Path, command: str) -> None:
    result = runner.invoke(app, [command, "flows/g.flowtest.yaml"])
    message = "pollflow: flows/g.flowtest.yaml is a flow test; run it with: pollflow test flows/g.flowtest.yaml\n"
    assert (result.exit_code, result.output) == (2, message)


def test_lint_reports_all_files_if_one_is_not_utf8(flows: Path) -> None:
    (flows / "bad.yaml").write_text(BAD)
    (flows / "latin.yaml").write_bytes(b"version: v1\nname: caf\xe9\n")
    problems = json.loads(runner.invoke(app, ["lint", "flows", "--json"]).output)
    assert [(problem["path"], problem["line"]) for problem in problems] == [
        ("flows/bad.yaml", 6),
        ("flows/latin.yaml", 2),
    ]


def test_the_project_is_the_nearest_parent_folder_with_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLLFLOW_REDIS_URL", raising=False)
    inner = tmp_path / "project" / "flows" / "deep"
    inner.mkdir(parents=True)
    assert nearest_project(inner) == inner
    (tmp_path / "project" / "worker.py").touch()
    assert nearest_project(inner) == tmp_path / "project"
    monkeypatch.chdir(tmp_path)
    location = find_location(None, None, near=Path("project/flows/a.yaml"))
    app = AppName("worker", "worker.py")
    assert location == ProjectLocation(tmp_path / "project", None, app, is_nearest=False)
    assert location.command("list") == f"pollflow list --project {tmp_path / 'project'}"
    monkeypatch.chdir(inner)
    assert find_location(None, None).command("list") == "pollflow list"


@pytest.mark.parametrize(
    "words",
    [["list"], ["show", "f/a"], ["history", "f/a"], ["stop", "f/a"], ["purge", "f/a"], ["flows"], ["start", "f"]],
)
def test_without_a_project_commands_fail_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("POLLFLOW_REDIS_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, words)
    assert result.exit_code == 2
    assert result.output.startswith(
        "pollflow: no pollflow project (worker.py, or a pyproject.toml that names the app) found in "
        f"{tmp_path} or its parent folders\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_not_printed(tmp_path: Path) -> None:
    assert "secret" not in ProjectLocation(tmp_path, "redis://:secret@host/0").command("list")
    assert ProjectLocation(tmp_path, "redis://host/0").command("list") == "pollflow list --redis redis://host/0"


def test_missing_functions_are_reported_with_near_names() -> None:
    arns = ["acs:fc:::services/s/functions/start", "acs:fc:::services/s/functions/stat", "acs:fnf:::flow/other"]
    steps = "".join(f'  - {{type: task, name: S{i}, resourceArn: "{arn}"}}\n' for i, arn in enumerate(arns))
    flow = read_flow(f"version: v1\ntype: flow\nsteps:\n{steps}")
    check_functions(flow, ["s/start", "stat"])
    with pytest.raises(PollflowError) as raised:
        check_functions(flow, ["s/start", "s/state"])
    assert "step S1: no function is registered as 's/stat'; did you mean s/state" in str(raised.value)
    assert "S0" not in str(raised.value)
    assert "S2" not in str(raised.value)


def test_a_history_with_a_gap_or_a_duplicate_fails_the_check() -> None:
    now = datetime.now(timezone.utc)
    types = ["ExecutionStarted", "StepEntered", "StepStarted", "StepSucceeded", "StepExited", "ExecutionSucceeded"]
    whole = [HistoryEntry(i, i - 1, now, type, "A", {}) for i, type in enumerate(types, start=1)]
    assert all(is_met for is_met, _ in findings(whole))
    assert not all(is_met for is_met, _ in findings([*whole[:2], *whole[3:]]))
    assert not all(is_met for is_met, _ in findings([*whole[:2], whole[1], *whole[2:]]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"),
        (0.034, "0.03 s"),
        (12.44, "12.4 s"),
        (59.96, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (200_000, "2 d 07 h"),
    ],
)
def test_durations_have_a_short_form(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_history_prints_the_date_when_it_changes() -> None:
    noon = datetime(2026, 1, 31, 12).astimezone()
    moments = [noon, noon + timedelta(hours=1), noon + timedelta(days=1)]
    events = [HistoryEntry(i, i - 1, moment, "StepEntered", "A", {}) for i, moment in enumerate(moments, start=1)]
    assert [line.strip().partition(" ")[0] for line in lines_of(events)] == ["2026-01-31", "1", "2", "2026-02-01", "3"]


def test_countdowns_columns_and_counts_are_formatted() -> None:
    assert [countdown(9.2), countdown(0), countdown(-3), countdown(75.5)] == ["10 s", "0 s", "0 s", "1 min 16 s"]
    assert clean("a\x1b[2J\nb") == "a\\x1b[2J b"
    assert columns([("a", "b"), ("ccc", "d")]) == ["a    b", "ccc  d"]
    assert [counted(0, "error"), counted(1, "error"), counted(2000, "file")] == ["0 errors", "1 error", "2,000 files"]
