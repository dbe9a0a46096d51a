"""`-A` and `--functions` of commands that read flows: whatever the app does changes no result of the command."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from pollflow.cli.app import app
from pollflow.cli.app_process import ANSWER_BYTES, OUTPUT_BYTES
from tests.processes import Processes, group_members, wait_until

FLOW = """\
version: v1
type: flow
steps:
  - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
"""
ATTACHED = """
import os, signal, subprocess, sys, time
import pollflow
from celery import Celery
app = Celery("a", broker="redis://127.0.0.1:1/0")
pollflow.attach(app)
"""
ASK = """
@pollflow.function("s/ask")
def ask(input, context):
"""
FORGE = """
import os, sys, time
os.write(int(sys.argv[1]), {line})
time.sleep(600)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("POLLFLOW_APP", "POLLFLOW_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW)
    return tmp_path


class Done(NamedTuple):
    """How a command has ended."""

    exit_code: object
    stdout: str
    stderr: str


def run(*words: str, input: str = "") -> Done:
    """Run a command in this process, with its streams apart."""
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(stdout), redirect_stderr(stderr), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(input))
        with pytest.raises(SystemExit) as end:
            app(words, prog_name="pollflow")
    texts = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))  # type: ignore[attr-defined]
    return Done(end.value.code, *texts)


def write(project: Path, code: str) -> None:
    (project / "worker.py").write_text(code)


def test_lint_checks_functions_and_limits_of_the_app_only_if_it_is_asked(project: Path) -> None:
    write(project, ATTACHED + ASK + "    pass\n")
    limited = ATTACHED.replace("pollflow.attach", "app.conf.pollflow_max_wait = 5.0\npollflow.attach")
    (project / "other.py").write_text(limited)
    wait = FLOW + "  - {type: wait, name: Wait, duration: 6}\n"
    assert (run("lint", "flow.yaml").stdout, run("lint", "--functions", "flow.yaml").stdout) == ("", "")
    (warning,) = json.loads(run("lint", "-A", "other", "--json", "flow.yaml").stdout)
    assert warning["code"] == "unknown-function"
    (project / "flow.yaml").write_text(wait)
    assert run("lint", "flow.yaml").exit_code == 0
    result = run("-A", "other", "lint", "flow.yaml")
    assert (result.exit_code, "more than the limit of 5 s (pollflow_max_wait)" in result.stdout) == (1, True)


def test_functions_without_an_app_are_a_warning(project: Path) -> None:
    result = run("lint", "--functions", "flow.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("warning: the app is not used: no Celery app (worker.py, or a pyproject.toml")


FAILURES = {
    "exit": ("raise SystemExit(0)", "cannot be imported in {project}: SystemExit: 0"),
    "exception": ("1 / 0", "cannot be imported in {project}: ZeroDivisionError: division by zero"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "no app": ("x = 1", "cannot be imported in {project}"),
    "end": (
        "import os; os._exit(0)",
        "ended with status 0; `celery -A worker report` in {project} imports the app too",
    ),
    "crash": ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
    "closed": ("import os; os.closerange(3, 100)", "the process of the Celery app worker (from worker.py) "),
    "not JSON": (FORGE.format(line=b"nonsense\n"), "sent an answer that is not JSON"),
    "deep": (FORGE.format(line=b"[" * 100_000 + b"\n"), "sent an answer that is not JSON"),
    "number": (FORGE.format(line=b'{"number": 7}\n'), "sent an answer to no request"),
    "facts": (
        FORGE.format(line=b'{"number": 1, "functions": ["a b"], "max_events": 1}\n'),
        "sent facts that cannot be used: the name of a function must be",
    ),
    "limits": (
        FORGE.format(line=b'{"number": 1, "functions": [], "max_events": 1, "max_wait": 1e999}\n'),
        "sent facts that cannot be used: not a number of more than 0",
    ),
    "controls": (FORGE.format(line=b'{"number": 1, "failed": "\\u001b[2J\\u202e"}\n'), "\\u202e"),
    "endless": (
        f"import os, sys\nfor _ in range(10): os.write(int(sys.argv[1]), b'x' * {ANSWER_BYTES // 4})\n",
        f"sent an answer of more than {ANSWER_BYTES:,} bytes",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_app_that_fails_changes_no_result_of_lint(project: Path, name: str) -> None:
    code, message = FAILURES[name]
    write(project, code)
    (project / "flow.yaml").write_text(FLOW.replace("name: Ask", "name: Ask, goto: Nowhere"))
    without = run("lint", "--json", "flow.yaml")
    result = run("lint", "--json", "--functions", "flow.yaml")
    assert (result.exit_code, result.stdout) == (1, without.stdout)
    assert result.stderr.startswith("warning: the app is not used: ")
    assert message.format(project=project) in result.stderr
    assert "worker" in result.stderr or name in ("interrupt", "controls")
    assert "Traceback" not in result.stderr and "\x1b" not in result.stderr


@pytest.mark.parametrize("limit", ["1e300", str(10**18), str(10**400)])
def test_a_limit_of_any_size_stops_no_lint(project: Path, limit: str) -> None:
    names = ("max_events", "max_wait", "max_definition_bytes")
    limits = ", ".join(f'"{name}": {limit}' for name in names)
    write(project, FORGE.format(line=f'{{"number": 1, "functions": ["s/ask"], "mask": [], {limits}}}\n'.encode()))
    result = run("lint", "--functions", "flow.yaml")
    assert (result.exit_code, result.stderr) == (0, "1 file, 0 errors, 0 warnings\n")


def test_what_an_app_prints_goes_to_standard_error_within_a_limit(project: Path) -> None:
    noise = "print('\\x1b[2Jnoise', flush=True)\nfor _ in range(300): os.write(1, b'x' * 9_999 + b'\\n')\n"
    write(project, ATTACHED + noise + ASK + "    pass\n")
    result = run("lint", "--json", "--functions", "flow.yaml")
    assert (result.exit_code, result.stdout) == (0, "[]\n")
    assert result.stderr.startswith("\\x1b[2Jnoise\nxxx")
    assert result.stderr.endswith(
        f"the app worker (from worker.py) printed more than {OUTPUT_BYTES:,} bytes; the rest is left out\n"
    )
    assert len(result.stderr) < OUTPUT_BYTES + 1_000


def test_an_app_that_hangs_is_ended_with_all_its_processes(project: Path) -> None:
    hang = "open('pids', 'w').write(f'{os.getpid()} {os.fork()}\\n')\nwhile True: time.sleep(1)\n"
    write(project, "import os, time\n" + hang)
    result = run("lint", "--functions", "--time-limit", "10", "flow.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "worker (from worker.py) has not answered within 10 s; --time-limit SECONDS allows more" in result.stderr
    process = int((project / "pids").read_text().split()[0])
    wait_until(lambda: group_members(process) == [], "end of the processes of the app")


def test_a_forked_process_that_keeps_the_streams_open_delays_nothing(project: Path) -> None:
    write(project, ATTACHED + ASK + "    pass\nif not (pid := os.fork()):\n    time.sleep(600)\n")
    assert run("lint", "--functions", "--time-limit", "60", "flow.yaml").stderr == "1 file, 0 errors, 0 warnings\n"
    write(project, "import os, time\nif not os.fork():\n    time.sleep(600)\nos._exit(3)\n")
    assert "ended with status 3" in run("lint", "--functions", "--time-limit", "60", "flow.yaml").stderr


def test_a_copy_of_the_process_answers_nothing(project: Path) -> None:
    write(project, ATTACHED + ASK + "    return {'from': 'first'}\nos.fork()\n")
    result = run("simulate", "--functions", "flow.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert '{"from": "first"}' in result.stdout


def test_the_process_ends_with_a_command_that_is_killed(project: Path, processes: Processes) -> None:
    write(project, "import os, time\nopen('pid', 'w').write(f'{os.getpid()}\\n')\nos.fork()\ntime.sleep(600)\n")
    command = [sys.executable, "-m", "pollflow.cli", "lint", "--functions", "flow.yaml"]
    started = processes.start("lint", command, cwd=project)
    pid = project / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"), "process of the app")
    os.kill(started.pid, signal.SIGKILL)
    wait_until(lambda: group_members(int(pid.read_text())) == [], "end of the processes of the app")


def test_simulate_calls_functions_in_their_process(project: Path) -> None:
    body = "    print('from the function')\n    context.logger.warning('%s', context.deadline)\n"
    write(project, ATTACHED + ASK + body + "    return {'pid': os.getpid(), **input, 'step': context.step}\n")
    for words in (["--functions"], ["-A", "worker"]):
        result = run("simulate", "flow.yaml", *words, "--input", '{"é": 1}')
        assert result.exit_code == 0, result.stderr
        assert "from the function\n" in result.stderr and "flow/test Ask: None" in result.stderr
        assert '"é": 1, "step": "Ask"}' in result.stdout
        assert f'"pid": {os.getpid()}' not in result.stdout


def test_what_a_function_raises_is_caught_as_without_a_process(project: Path) -> None:
    write(project, ATTACHED + "class Mine(LookupError): pass\n" + ASK + "    raise Mine('because')\n")
    catch = ", catch: [{errors: [LookupError], goto: Caught}]"
    (project / "flow.yaml").write_text(FLOW.replace("}", catch + "}") + "  - {type: succeed, name: Caught}\n")
    result = run("simulate", "--functions", "flow.yaml")
    assert (result.exit_code, "Mine: because" in result.stdout) == (0, True), result.stderr
    assert result.stderr == "flow/test Ask: the function failed\n  worker.Mine: because\n"


CALLS = {
    "os._exit(5)": "ended with status 5",
    "time.sleep(600)": "has not answered within 10 s",
    "os.write(int(sys.argv[1]), b'{}\\n'); time.sleep(600)": "sent an answer to no request",
    'os.write(int(sys.argv[1]), b\'{"number": 2, "raised": {"error": 1}}\\n\'); time.sleep(600)': (
        "sent a result that cannot be used: "
    ),
    "return {'big': 'x' * 9_000_000}": f"sent an answer of more than {ANSWER_BYTES:,} bytes",
}


@pytest.mark.parametrize("body", CALLS)
def test_a_call_without_a_usable_answer_ends_the_simulation(project: Path, body: str) -> None:
    write(project, ATTACHED + ASK + f"    {body}\n")
    result = run("simulate", "flow.yaml", "--functions", "--time-limit", "10")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("pollflow: s/ask was called: the process of the Celery app worker")
    assert CALLS[body] in result.stderr


def test_simulate_asks_at_the_terminal_if_the_app_fails(project: Path) -> None:
    write(project, "raise SystemExit(1)")
    result = run("simulate", "flow.yaml", "--functions", input='{"from": "me"}\n')
    assert (result.exit_code, '{"from": "me"}' in result.stdout) == (0, True)
    assert "SystemExit: 1" in result.stderr


@pytest.mark.parametrize("words", [["--functions"], ["-A", "worker"]])
def test_a_script_and_functions_exclude_each_other(project: Path, words: list[str]) -> None:
    result = run("simulate", "flow.yaml", "--script", "flow.yaml", *words)
    assert (result.exit_code, "--script excludes --functions and -A" in result.stderr) == (2, True)
