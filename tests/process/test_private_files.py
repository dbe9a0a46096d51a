"""Whatever the umask, the files of pollflow belong to their user alone, and links in their place lead nowhere."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pollflow.cli.init import templates
from pollflow.errors import ConfigurationError
from pollflow.server import EmbeddedServer, ProjectServer
from tests.processes import Processes, Started, wait_until

pytestmark = pytest.mark.process

WITHOUT_UMASK = ["sh", "-c", 'umask 0; exec "$@"', "sh", sys.executable, "-m", "pollflow.cli"]
FLOW = "flows/task_polling.yaml"


class Project:
    """A project that commands without a umask write and use, and a folder for their temporary files."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder, self.temporary = folder / "project", folder / "tmp"
        self.temporary.mkdir()
        self._processes = processes

    def start(self, *words: str) -> Started:
        env = {"POLLFLOW_REDIS_URL": "", "TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}
        cwd = self.folder if self.folder.exists() else self.folder.parent
        return self._processes.start("pollflow", [*WITHOUT_UMASK, *words], cwd=cwd, env=env)

    def run(self, *words: str) -> str:
        done = self.start(*words)
        assert done.process.wait(120) == 0, done.output()
        return done.output()

    def write(self) -> None:
        """Write the files of `pollflow init`, with a shorter wait."""
        self.run("init", str(self.folder))
        flow = self.folder / FLOW
        flow.write_text(re.sub(r"duration: .*", "duration: 0.1", flow.read_text()))

    def check(self) -> set[str]:
        """Check every file and folder of pollflow. Return their names, and `socket` for a socket."""
        theirs = {self.folder / path for path in templates()}
        theirs |= {path.parent for path in theirs}
        found = {path: path.lstat() for path in [*self.folder.rglob("*"), *self.temporary.rglob("*")]}
        ours = {path: status for path, status in found.items() if path not in theirs}
        open_to_others = {
            str(path): oct(status.st_mode)
            for path, status in ours.items()
            if status.st_mode & 0o077 or status.st_uid != os.getuid()
        }
        assert open_to_others == {}
        return {"socket" if stat.S_ISSOCK(status.st_mode) else path.stem for path, status in ours.items()}


@pytest.fixture
def project(tmp_path: Path, processes: Processes) -> Iterator[Project]:
    yield Project(tmp_path, processes)


def test_no_command_makes_a_file_that_others_can_read(project: Project) -> None:
    project.write()
    assert stat.S_IMODE((project.folder / "worker.py").stat().st_mode) == 0o666  # the user's, who chose the umask
    project.run("run", FLOW, "--input", '{"delay": 0}')
    worker = project.start("worker", "--beat")
    worker.wait_for_output(" ready.", timeout=90)
    wait_until(lambda: list(project.folder.glob(".pollflow/celerybeat-schedule*")), "the schedule of beat")
    assert project.check() >= {
        *(".pollflow", ".gitignore", "change", "users", "worker", "redis", "server", "socket"),
        *("appendonlydir", "appendonly.aof", "celerybeat-schedule"),
    }
    assert worker.stop() == 0
    project.check()


def test_the_files_of_a_demo_are_private_while_it_runs(project: Project) -> None:
    demo = project.start("demo")
    demo.wait_for_output("Starting a private Redis")
    wait_until(lambda: list(project.temporary.rglob("worker.log")), "the log of the worker")
    found = [*project.temporary.iterdir(), *project.temporary.glob("*/.pollflow"), *project.temporary.rglob("*.log")]
    assert [path for path in found if path.lstat().st_mode & 0o077] == []
    demo.stop()


KNOWN = [
    *("", "/.gitignore", "/change.lock", "/users.lock", "/worker.log", "/celerybeat-schedule"),
    *("/redis", "/redis/server.lock", "/redis/server.json", "/redis/server.json.new", "/redis/server.log"),
    *("/redis/redis.sock", "/redis/appendonlydir", "/redis/appendonlydir/appendonly.aof.manifest"),
]


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
@pytest.mark.parametrize("path", KNOWN)
def test_a_link_under_each_name_of_pollflow_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    victim = tmp_path / "victim"
    if kind == "file":
        victim.write_text("text")
        victim.chmod(0o644)
    elif kind == "folder":
        victim.mkdir(0o755)
    project = tmp_path / "project"
    link = Path(f"{project}/.pollflow{path}")
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    for use in (ProjectServer(project).__enter__, ProjectServer(project).is_running):
        with pytest.raises(ConfigurationError, match=f"{link} is a link, so pollflow does not use it; delete it"):
            use()
    assert victim.exists() is (kind != "nothing")
    if kind == "file":
        assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("text", 0o644)
    elif kind == "folder":
        assert (list(victim.iterdir()), stat.S_IMODE(victim.stat().st_mode)) == ([], 0o755)


@pytest.mark.parametrize("words", [("list", "--isolated"), ("worker", "--beat")])
def test_commands_refuse_a_folder_that_a_checkout_has_linked(project: Project, words: tuple[str, ...]) -> None:
    project.write()
    victim = project.folder.parent / "victim"
    victim.mkdir(0o755)
    (project.folder / ".pollflow").symlink_to(victim)
    command = project.start(*words)
    assert command.process.wait(120) == 2
    assert ".pollflow is a link, so pollflow does not use it; delete it or move it away, and retry" in command.output()
    assert "Traceback" not in command.output()
    assert (list(victim.iterdir()), stat.S_IMODE(victim.stat().st_mode)) == ([], 0o755)


def test_a_folder_that_others_could_enter_becomes_private(tmp_path: Path) -> None:
    with ProjectServer(tmp_path):
        pass
    found = [tmp_path / ".pollflow", *(tmp_path / ".pollflow").rglob("*")]
    for path in found:
        path.chmod(0o777)
    with ProjectServer(tmp_path):
        assert EmbeddedServer(tmp_path / ".pollflow" / "redis").is_alive()
        assert [path for path in found if path.exists() and path.stat().st_mode & 0o077] == []
