"""The command in a new project, on the embedded server, with piped output."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pollflow.cli import workers
from pollflow.cli.init import write_project
from pollflow.server import EmbeddedServer
from tests.processes import PROC, Processes, Started, wait_until
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-m", "pollflow.cli"]
FLOW = "flows/task_polling.yaml"


class Project:
    """A project from `pollflow init` with shorter waits, and commands that run in it."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder = folder
        self.processes = processes
        write_project(folder)
        self.set_wait("1")

    def set_wait(self, seconds: str) -> None:
        flow = self.folder / FLOW
        flow.write_text(re.sub(r"duration: .*", f"duration: {seconds}", flow.read_text()))

    def configure(self, **settings: object) -> None:
        worker = self.folder / "worker.py"
        lines = "".join(f"app.conf.{name} = {value!r}\n" for name, value in settings.items())
        worker.write_text(worker.read_text().replace("pollflow.attach(", lines + "pollflow.attach(", 1))

    def command(self, *words: str, **env: str) -> Started:
        # With an empty URL, no Redis is configured.
        return self.processes.start("pollflow", [*COMMAND, *words], cwd=self.folder, env={ENV: "", **env})

    def run(self, *words: str, **env: str) -> tuple[int, str]:
        """Run a command and return its exit status and output."""
        started = self.command(*words, **env)
        return started.process.wait(60), started.output()

    def isolated(self, *words: str) -> tuple[int, str]:
        """Run a command on the server of `pollflow run`."""
        return self.run(*words, "--isolated")

    def json(self, *words: str) -> object:
        status, output = self.run(*words, "--json", *([] if words[0] == "run" else ["--isolated"]))
        assert status == 0, output
        return json.loads(output)

    def server(self) -> EmbeddedServer:
        server = EmbeddedServer(self.folder / ".pollflow" / "redis")
        assert server.join()
        return server


ENV = "POLLFLOW_REDIS_URL"


@pytest.fixture
def project(tmp_path: Path, processes: Processes) -> Iterator[Project]:
    yield Project(tmp_path / "project", processes)
    assert processes_in(tmp_path) == []


def processes_in(folder: Path) -> list[str]:
    """Return the running processes with a working directory below a folder."""
    if not PROC.is_dir():
        return []
    found = []
    for process in (path for path in PROC.iterdir() if path.name.isdigit()):
        try:
            cwd, command = (process / "cwd").readlink(), (process / "cmdline").read_bytes()
        except OSError:
            continue  # the process has just ended
        if cwd.is_relative_to(folder):
            found.append(f"{process.name} {command!r}")
    return found


def files_in(folder: Path) -> list[Path]:
    """Return what is below a folder, except the user's own folder in one for temporary files, which remains."""
    return sorted(path for path in folder.rglob("*") if path != folder / f"pollflow-{os.getuid()}")


def assert_no_traceback(output: str) -> None:
    assert "Traceback" not in output
    assert 'File "' not in output


def follow_command(output: str) -> list[str]:
    """Return the arguments of the follow command that the output shows."""
    match = re.search(r"^  pollflow (run --follow \S+)$", output, re.MULTILINE)
    assert match, output
    return match[1].split()


def test_a_run_prints_a_line_per_step_and_the_next_commands(project: Project) -> None:
    status, output = project.run("run", FLOW, "--input", '{"delay": 1.5}', "--name", "one")
    assert status == 0, output
    lines = [re.sub(r"^ *\+[0-9.]+s  |[0-9.]+ s$", "", line).split() for line in output.splitlines() if " (" in line]
    left = [line[1] for line in lines if line[0] == "left"]
    assert left == [
        *("StartJob", "Wait10s", "GetJobStatus", "CheckJobStatus"),
        *("Wait10s", "GetJobStatus", "CheckJobStatus", "JobSucceeded"),
    ]
    assert [line[1] for line in lines if line[0] == "entered"] == left
    assert "left    GetJobStatus (task) visit 2 after " in output
    assert "\x1b" not in output
    assert "\nSucceeded after " in output
    assert "pollflow show task-polling/one --isolated" in output


def test_a_run_prints_one_json_document(project: Project) -> None:
    document = project.json("run", FLOW, "--input", '{"delay": 0}', "--name", "one")
    assert isinstance(document, dict)
    assert (document["flow"], document["name"], document["status"]) == ("task-polling", "one", "Succeeded")
    assert document["output"]["job_status"] == "success"
    shown = project.json("show", "task-polling/one")
    assert isinstance(shown, dict)
    assert shown.items() >= document.items()
    assert shown["last_step"] == "JobSucceeded"
    events = project.json("history", "task-polling/one")
    assert isinstance(events, list)
    assert [event["id"] for event in events] == list(range(1, shown["events"] + 1))


def test_a_failed_execution_gives_status_one(project: Project) -> None:
    project.set_wait("0.1")
    status, output = project.run("run", FLOW, "--input", '{"delay": 0, "outcome": "failed"}')
    assert status == 1
    assert output.count("left    GetJobStatus") == 1
    assert "\nFailed after " in output
    assert "\nerror: JobFailed\n" in output
    assert_no_traceback(output)


def test_a_bad_flow_gives_status_two_with_every_problem(project: Project) -> None:
    bad = project.folder / "flows" / "bad.yaml"
    bad.write_text(
        "version: v1\ntype: flow\nsteps:\n  - type: wait\n    name: A\n    duration: ten\n    goto: Nowhere\n"
    )
    status, output = project.run("run", "flows/bad.yaml")
    assert status == 2
    lines = output.splitlines()
    assert lines[0].startswith("flows/bad.yaml:6:15: steps[0].duration: ")
    assert lines[1].startswith("flows/bad.yaml:7:5: steps[0].goto: ")
    assert_no_traceback(output)
    assert not (project.folder / ".pollflow").exists()


@pytest.mark.parametrize("input", ["[1]", "{", "@missing.json", '{"a": NaN}'])
def test_bad_input_gives_status_two_and_starts_nothing(project: Project, input: str) -> None:
    status, output = project.run("run", FLOW, "--input", input)
    assert status == 2
    assert_no_traceback(output)
    assert not (project.folder / ".pollflow").exists()


ENDLESS = """version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: 10}
  - type: choice
    name: Again
    choices:
      - {condition: "$.go", goto: Wait}
    default: {goto: Wait}
"""


def test_the_settings_of_the_project_limit_flows(project: Project) -> None:
    project.configure(pollflow_max_events=5000, pollflow_max_wait=9.0)
    (project.folder / "endless.yaml").write_text(ENDLESS.replace("duration: 10", "duration: 9"))
    status, output = project.run("lint", "--functions", "endless.yaml")
    assert status == 0, output
    assert "before the limit of 5,000 events" in output
    project.set_wait("10")
    refusal = "the wait takes 10 s, more than the limit of 9 s (pollflow_max_wait)"
    status, output = project.run("lint", "--functions", FLOW)
    assert (status, refusal in output) == (1, True), output
    status, output = project.run("run", FLOW)
    assert status == 2, output
    assert re.search(rf"^{FLOW}:\d+:\d+: steps\[1\].duration: {re.escape(refusal)}", output, re.MULTILINE), output
    project.set_wait("9")
    assert project.isolated("deploy", FLOW)[0] == 0
    project.set_wait("10")
    status, output = project.isolated("deploy", FLOW)
    assert (status, refusal in output) == (2, True), output


def test_the_maximum_wait_is_a_setting(project: Project) -> None:
    project.configure(pollflow_max_wait=1e9)
    project.set_wait("40000000")
    assert project.run("lint", "--functions", FLOW)[0] == 0
    run = project.command("run", FLOW)
    run.wait_for_output("entered Wait10s")
    run.signal_group(signal.SIGINT)
    assert run.process.wait(60) == 130
    assert project.isolated("deploy", FLOW)[0] == 0


def test_a_missing_function_is_reported_with_near_names(project: Project) -> None:
    flow = project.folder / FLOW
    flow.write_text(flow.read_text().replace("functions/GetJobStatus", "functions/GetJobState"))
    status, output = project.run("run", FLOW)
    assert status == 2
    assert "step GetJobStatus: no function is registered as 'fnf-demo/GetJobState'" in output
    assert "fnf-demo/GetJobStatus" in output.partition("did you mean ")[2]
    assert_no_traceback(output)
    assert project.json("list") == []


def test_a_worker_that_cannot_start_is_reported_with_its_log(project: Project) -> None:
    (project.folder / "tasks" / "polling.py").write_text("import no_such_module\n")
    status, output = project.run("run", FLOW)
    assert status == 2
    assert "the worker exited with status " in output
    assert "No module named 'no_such_module'" in output
    status, output = project.run("worker")
    assert status == 2
    message = "pollflow: a module of the Celery app worker (from worker.py) cannot be imported: ModuleNotFoundError: "
    assert output.splitlines()[0] == f"{message}No module named 'no_such_module'"
    assert_no_traceback(output)


def test_a_worker_that_is_not_ready_in_time_is_reported_with_its_log(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "START_SECONDS", 0.0)
    started = processes.start("slow", [sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path)
    log = tmp_path / "worker.log"
    log.write_text("from an earlier worker\nCannot connect to amqp://elsewhere\n")
    worker = workers.Worker(started.process, log, len("from an earlier worker\n"), -1, 0.0)
    with pytest.raises(workers.CommandError) as raised:
        worker.wait_until_ready()
    lines = str(raised.value).splitlines()
    assert "check that its broker can be reached" in lines[0]
    assert lines[1:] == ["  Cannot connect to amqp://elsewhere"]


@pytest.mark.parametrize("command", ["worker", "list", "run"])
def test_an_app_that_cannot_be_imported_is_reported_with_the_remedies(project: Project, command: str) -> None:
    (project.folder / "worker.py").write_text("import no_such_module\n")
    status, output = project.run(command, *([FLOW] if command == "run" else []))
    assert status == 2
    assert output.startswith(
        f"pollflow: the Celery app worker (from worker.py) cannot be imported in {project.folder}: "
        "ModuleNotFoundError: No module named 'no_such_module'\n  -A MODULE[:NAME] "
    )
    assert_no_traceback(output)


def test_without_an_app_the_remedies_are_printed(tmp_path: Path, processes: Processes) -> None:
    project = Project(tmp_path / "project", processes)
    (project.folder / "worker.py").unlink()
    for words in (["run", FLOW], ["worker"]):
        status, output = project.run(*words)
        assert status == 2
        assert "pollflow init DIR" in output
        assert "-A MODULE[:NAME]" in output
    assert not (project.folder / ".pollflow").exists()


@pytest.mark.parametrize("words", [["run", FLOW], ["list"], ["show", "a/b"], ["deploy", FLOW]])
def test_a_wrong_redis_url_is_an_error_without_a_traceback(project: Project, words: list[str]) -> None:
    status, output = project.run(*words, "--redis", f"redis://127.0.0.1:{free_port()}/0")
    assert status == 2
    assert "pollflow: Redis cannot serve: " in output
    assert "Connection refused" in output
    assert_no_traceback(output)


def test_a_run_continues_after_redis_was_killed(project: Project) -> None:
    project.set_wait("3")
    run = project.command("run", FLOW, "--input", '{"delay": 0}')
    run.wait_for_output("entered Wait10s")
    os.kill(project.server().pid, signal.SIGKILL)
    assert run.process.wait(60) == 2
    assert "pollflow: Redis cannot serve: " in run.output()
    assert_no_traceback(run.output())
    assert processes_in(project.folder) == []
    status, output = project.run(*follow_command(run.output()))
    assert status == 0, output
    assert output.count("left    GetJobStatus") == 1


def test_redis_lost_during_a_list_is_an_error_without_a_traceback(project: Project, redis_server: RedisServer) -> None:
    with CuttingProxy(redis_server.url, b"ZREVRANGEBYSCORE") as proxy:
        status, output = project.run("list", "--redis", proxy.url)
    assert proxy.has_cut
    assert status == 2
    assert "pollflow: Redis cannot serve: " in output
    assert_no_traceback(output)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_stops_all_and_prints_how_to_follow(project: Project, number: int, expected: int) -> None:
    project.set_wait("8")
    run = project.command("run", FLOW, "--input", '{"delay": 0}', "--name", "one")
    run.wait_for_output("entered Wait10s")
    run.signal_group(number)
    assert run.process.wait(60) == expected
    assert_no_traceback(run.output())
    assert "interrupted: stopping the worker. Running calls have 10 s to end" in run.output()
    assert processes_in(project.folder) == []
    assert follow_command(run.output()) == ["run", "--follow", "task-polling/one"]
    status, output = project.run(*follow_command(run.output()))
    assert status == 0, output
    # A busy machine may need longer than the wait until it follows.
    assert re.search(r"following; \d+ events so far, at \w+", output)
    assert output.count("left    Wait10s") <= 1


def test_a_second_interruption_kills_the_running_call(project: Project) -> None:
    jobs = project.folder / "tasks" / "polling.py"
    jobs.write_text(
        f"{jobs.read_text()}\n\n@pollflow.function('sleep')\ndef sleep(input, context):\n"
        "    import pathlib, time\n    pathlib.Path('called').touch()\n    time.sleep(600)\n"
    )
    flow = project.folder / "flows" / "sleep.yaml"
    flow.write_text("version: v1\ntype: flow\nsteps:\n  - {type: task, name: Sleep, resourceArn: sleep}\n")
    run = project.command("run", "flows/sleep.yaml", "--name", "one")
    wait_until((project.folder / "called").exists, "call of the function", 60)
    run.signal_group(signal.SIGINT)
    # The answer comes while the call runs. Without the second signal the worker would end it after ten seconds.
    run.wait_for_output("Ctrl-C again kills them")
    assert run.process.poll() is None
    run.signal_group(signal.SIGINT)
    assert run.process.wait(60) == 130
    assert_no_traceback(run.output())
    assert follow_command(run.output()) == ["run", "--follow", "sleep/one"]


def with_closed_pipe(project: Project, *words: str) -> tuple[int, str]:
    """Run a command whose output has no reader. Return its exit status and what it writes to standard error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    env = {**os.environ, ENV: "", "TMPDIR": str(project.folder)}
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=project.folder,
        env=env,
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    return done.returncode, done.stderr


def test_a_closed_pipe_ends_a_command_with_a_server_quietly(project: Project) -> None:
    project.set_wait("0.1")
    assert project.run("run", FLOW, "--input", '{"delay": 0}', "--name", "one")[0] == 0
    commands = [
        *(["list"], ["flows"], ["history", "task-polling/one"], ["show", "task-polling/one"], ["deploy", FLOW]),
        *(["start", "task-polling", "--name", "two"], ["stop", "task-polling/two"], ["purge", "task-polling/two"]),
    ]
    for words in (*([*words, "--isolated"] for words in commands), ["run", FLOW]):
        assert (words, with_closed_pipe(project, *words)) == (words, (1, ""))
    # The commands have done what they were to do.
    assert "two" not in project.isolated("list")[1]


def test_a_closed_pipe_ends_the_demo_quietly(project: Project) -> None:
    before = files_in(project.folder)
    assert with_closed_pipe(project, "demo") == (1, "")
    assert files_in(project.folder) == before


def test_a_worker_continues_after_the_end_of_its_reader(project: Project) -> None:
    close = (
        "import os, sys; r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", close, *COMMAND, "worker", "--isolated"]
    worker = project.processes.start("worker", command, cwd=project.folder, env={ENV: ""})
    worker.wait_for_output(" ready.")
    assert "server: isolated; unix:///" in worker.output()
    assert project.isolated("deploy", FLOW)[0] == 0
    status, output = project.isolated("start", "task-polling", "--input", '{"delay": 0}', "--name", "one", "--wait")
    assert status == 0, output
    worker.signal_group(signal.SIGINT)
    assert worker.process.wait(30) == 0
    assert_no_traceback(worker.output())


def test_a_run_with_the_name_of_a_running_execution_follows_it(project: Project) -> None:
    project.set_wait("1")
    assert project.isolated("deploy", FLOW)[0] == 0
    assert project.isolated("start", "task-polling", "--name", "one", "--input", '{"delay": 0}')[0] == 0
    status, output = project.run("run", FLOW, "--name", "one", "--input", '{"delay": 1000}')
    assert status == 0, output
    assert 'task-polling/one  {"delay": 0}\n' in output
    assert re.search(r"already running; \d+ events so far", output)


def test_the_worker_and_server_of_a_killed_run_are_stopped(project: Project) -> None:
    project.set_wait("60")
    run = project.command("run", FLOW, "--name", "one")
    run.wait_for_output("entered Wait10s")
    run.kill_group()
    wait_until(lambda: not any("celery" in line for line in processes_in(project.folder)), "end of the worker")
    assert project.isolated("stop", "task-polling/one")[0] == 0
    assert processes_in(project.folder) == []


def test_a_run_with_a_timeout_prints_how_to_follow(project: Project) -> None:
    project.set_wait("60")
    status, output = project.run("run", FLOW, "--timeout", "1", "--name", "one")
    assert status == 1
    assert "task-polling/one has not ended after 1 seconds" in output
    assert follow_command(output) == ["run", "--follow", "task-polling/one"]


def test_a_worker_serves_the_commands_of_another_terminal(project: Project) -> None:
    worker = project.command("worker")
    worker.wait_for_output(" ready.")
    assert "server: unix:///" in worker.output()
    assert project.run("deploy", FLOW)[0] == 0
    status, output = project.run("start", "task-polling", "--input", '{"delay": 0}', "--name", "one", "--wait")
    assert status == 0, output
    assert project.run("start", "task-polling", "--name", "one")[0] == 2
    status, output = project.run("start", "task-polling", "--input", '{"delay": 0}', "--name", "two", "--follow")
    assert (status, "left    GetJobStatus (task)" in output) == (0, True), output
    assert project.run("list")[1].count(" Succeeded ") == 2
    interrupted = project.command("start", "task-polling", "--name", "three", "--follow")
    interrupted.wait_for_output("left    Wait10s")
    interrupted.signal_group(signal.SIGINT)
    assert interrupted.process.wait(30) == 130
    command = "start task-polling --name three --follow"
    assert f"\n  pollflow {command}\n" in interrupted.output()
    status, output = project.run(*command.split(), "--timeout", "1")
    assert (status, "already running; " in output, "the new input" in output) == (1, True, False), output
    worker.signal_group(signal.SIGINT)
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize(
    "words", [["list"], ["start", "f"], ["show", "f/a"], ["deploy", FLOW], ["start", "f", "--follow"]]
)
def test_without_a_configured_redis_a_command_says_what_to_set(project: Project, words: list[str]) -> None:
    status, output = project.run(*words)
    assert status == 2
    assert output.startswith("pollflow: no Redis is configured by the app worker (from worker.py), and the embedded")
    for remedy in ("POLLFLOW_REDIS_URL=URL", "-A MODULE[:NAME]", "pollflow worker", "--isolated"):
        assert f"\n  {remedy} " in output
    assert not (project.folder / ".pollflow").exists()


def test_deploy_skips_flow_tests(project: Project) -> None:
    test_file = "flows/task_polling.flowtest.yaml"
    (project.folder / test_file).write_text("cases: []\n")
    status, output = project.isolated("deploy", test_file, FLOW)
    assert status == 0, output
    assert f"skipped: {test_file} is a flow test; run it with: pollflow test {test_file}\n" in output
    assert "deployed task-polling from flows/task_polling.yaml" in output


def test_an_execution_can_be_listed_shown_stopped_and_purged(project: Project) -> None:
    assert project.isolated("deploy", FLOW)[0] == 0
    flows = project.json("flows")
    assert isinstance(flows, list)
    assert [flow["name"] for flow in flows] == ["task-polling"]
    assert project.isolated("start", "task-polling", "--name", "one")[0] == 0
    status, output = project.isolated("start", "task-polling", "--name", "one")
    assert (status, output.splitlines()[0]) == (0, "already running: task-polling/one")
    status, output = project.isolated("start", "task-polling", "--name", "one", "--input", '{"delay": 1}')
    assert (status, output.splitlines()[0]) == (0, "task-polling/one is already running, with the input {}")
    assert "the new input is not used" in output
    assert project.isolated("purge", "task-polling/one")[0] == 2
    stopped = project.json("stop", "task-polling/one", "--error", "NotNeeded", "--cause", "a test")
    assert isinstance(stopped, dict)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("Stopped", "NotNeeded", "a test")
    status, output = project.isolated("list", "--status", "stopped")
    assert (status, output.split()[-1]) == (0, "NotNeeded")
    status, output = project.isolated("show", "task-polling/one")
    assert "cause      a test" in output
    assert project.isolated("purge", "task-polling/one")[0] == 0
    status, output = project.isolated("show", "task-polling/one")
    assert status == 2
    assert output.startswith(
        'pollflow: execution "task-polling/one" does not exist; flow "task-polling" has no executions\n'
        "server: isolated; unix:///"
    )


def test_the_demo_checks_the_recovery_and_leaves_nothing(tmp_path: Path, processes: Processes) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    env = {ENV: "redis://127.0.0.1:1/0", "TMPDIR": str(folder)}
    demo = processes.start("demo", [*COMMAND, "demo"], cwd=tmp_path, env=env)
    assert demo.process.wait(90) == 0, demo.output()
    assert "with SIGKILL in the middle of a wait" in demo.output()
    assert "Each transition was committed exactly once." in demo.output()
    assert "pollflow init my-project" in demo.output()
    assert files_in(folder) == []
    assert processes_in(folder) == []


@pytest.mark.parametrize("said", ["Starting a private Redis", "entered Wait10s"])
def test_an_interrupted_demo_leaves_nothing_and_says_so(said: str, tmp_path: Path, processes: Processes) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    errors = tmp_path / "errors"
    command = ["sh", "-c", f'exec "$0" "$@" 2>{errors}', *COMMAND, "demo"]
    demo = processes.start("demo", command, cwd=tmp_path, env={"TMPDIR": str(folder)})
    demo.wait_for_output(said)
    demo.signal_group(signal.SIGINT)
    assert demo.process.wait(60) == 130
    assert (
        errors.read_text()
        == "interrupted: the demo stops its processes and deletes its files; nothing is left behind\n"
    )
    assert files_in(folder) == []
    assert processes_in(folder) == []


class CuttingProxy:
    """A proxy for Redis that closes all connections when a request contains a word."""

    def __init__(self, url: str, word: bytes) -> None:
        match = re.fullmatch(r"(redis://.*@)127\.0\.0\.1:(\d+)(/\d+)", url)
        assert match
        self._target, self._word = int(match[2]), word
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{match[1]}127.0.0.1:{self._listener.getsockname()[1]}{match[3]}"
        self.has_cut = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        self._listener.close()

    def _serve(self) -> None:
        """Serve one connection at a time, as a command opens one after another."""
        while not self.has_cut:
            client, _ = self._listener.accept()
            with client, socket.create_connection(("127.0.0.1", self._target)) as server:
                while data := client.recv(65_536):
                    if self._word in data:
                        self.has_cut = True
                        break
                    server.sendall(data)
                    client.sendall(server.recv(65_536))
        self._listener.close()
