"""A process of another user of the machine reaches nothing of the embedded server, nor takes its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from pollflow.errors import ConfigurationError
from pollflow.server import ProjectServer
from pollflow.server.folders import temporary_folder
from pollflow.store import RedisLocation

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user"),
]

STRANGER = 65534
SECRET = "hunter2-in-an-input"
PLACES = ["project", "d" * 150]
"""A project whose path is short enough for a socket, and one whose server listens in the runtime folder."""

# It tries everything on each path that it is given, and prints what it could do.
HOSTILE = f"""
import fcntl, json, os, shutil, socket, sys, tempfile
from pathlib import Path
os.setgroups([]), os.setgid({STRANGER}), os.setuid({STRANGER})
own = tempfile.mkdtemp()
done = []

def attempt(what, path, action):
    try:
        action()
    except OSError:
        return
    done.append([what, path])

def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)

def listen(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)

def lock(path):
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

for path in sys.stdin.read().splitlines():
    inner = os.path.join(path, "stranger")
    attempt("read", path, lambda: open(path, "rb").read())
    attempt("list", path, lambda: os.listdir(path))
    attempt("write", path, lambda: open(path, "ab").close())
    attempt("lock", path, lambda: lock(path))
    attempt("connect", path, lambda: connect(path))
    attempt("make", path, lambda: (os.mkdir(inner), os.rmdir(inner)))
    attempt("listen", path, lambda: (listen(inner), os.unlink(inner)))
    attempt("open to all", path, lambda: os.chmod(path, 0o777))
    attempt("link", path, lambda: os.link(path, own + "/link"))
    attempt("move", path, lambda: os.rename(path, own + "/moved"))
    attempt("replace", path, lambda: os.rename(own, path))
    attempt("delete", path, lambda: os.unlink(path))
shutil.rmtree(own, ignore_errors=True)
print(json.dumps(done))
"""


def attempts_of_the_stranger(paths: list[Path]) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE], input="\n".join(map(str, paths)), capture_output=True, text=True, check=True
    )
    attempts: list[list[str]] = json.loads(done.stdout)
    return attempts


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder that everybody can enter, with one for temporary files in it, where everybody can write."""
    with tempfile.TemporaryDirectory(prefix="pf-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield folder


@contextmanager
def served(shared: Path, place: str) -> Iterator[tuple[Path, RedisLocation]]:
    """Run the server of a project that everybody can read, with a secret in its data."""
    project = shared / place
    project.mkdir(0o755)
    (project / "worker.py").write_text("readable by everybody")
    (project / "worker.py").chmod(0o644)
    with ProjectServer(project) as server, Redis.from_url(server.url) as client:
        client.set("input", SECRET)
        yield project, RedisLocation.parse(server.url)


@pytest.mark.parametrize("place", PLACES)
def test_another_user_can_do_nothing_with_the_files_of_a_running_server(shared: Path, place: str) -> None:
    with served(shared, place) as (project, location):
        found = [project / ".pollflow", *(project / ".pollflow").rglob("*"), *(shared / "tmp").rglob("*")]
        assert Path(location.path) in found
        assert attempts_of_the_stranger(found) == []
        # The stranger does reach the project itself.
        readable = project / "worker.py"
        assert attempts_of_the_stranger([readable]) == [["read", str(readable)], ["lock", str(readable)]]


@pytest.mark.parametrize("place", PLACES)
def test_another_user_can_do_nothing_with_the_files_that_a_server_leaves(shared: Path, place: str) -> None:
    with served(shared, place) as (project, _):
        pass
    found = [project / ".pollflow", *(project / ".pollflow").rglob("*"), *(shared / "tmp").rglob("*")]
    assert SECRET.encode() in b"".join(path.read_bytes() for path in found if path.is_file())
    assert attempts_of_the_stranger(found) == []


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_the_temporary_folder_of_a_squatter_is_refused(shared: Path, kind: str) -> None:
    squatted, project = shared / "tmp" / "pollflow-0", shared / PLACES[1]
    project.mkdir()
    if kind == "folder":
        squatted.mkdir(0o777)
    else:
        (shared / "target").mkdir(0o700)
        squatted.symlink_to(shared / "target")
    os.lchown(squatted, STRANGER, STRANGER)
    expected = r"pollflow-0 (belongs to another user|is a link).*delete it.*; or set TMPDIR to a folder of your own"
    with pytest.raises(ConfigurationError, match=expected):
        ProjectServer(project).__enter__()
    assert list(squatted.iterdir()) == []


def test_the_folder_of_a_project_that_another_user_has_made_is_refused(shared: Path) -> None:
    project = shared / "project"
    (project / ".pollflow" / "redis").mkdir(parents=True)
    os.chown(project / ".pollflow", STRANGER, STRANGER)
    for use in (ProjectServer(project).__enter__, ProjectServer(project).is_running):
        with pytest.raises(ConfigurationError, match=r"\.pollflow belongs to another user \(uid 65534, not 0\)"):
            use()
    os.chown(project / ".pollflow", 0, 0)
    os.chown(project / ".pollflow" / "redis", STRANGER, STRANGER)
    with pytest.raises(ConfigurationError, match=r"redis belongs to another user"):
        ProjectServer(project).__enter__()


def test_a_project_in_a_folder_of_another_user_keeps_its_socket_elsewhere(shared: Path) -> None:
    theirs = shared / "theirs"
    (theirs / "project").mkdir(parents=True)
    os.chown(theirs, STRANGER, STRANGER)
    with ProjectServer(theirs / "project") as server, Redis.from_url(server.url) as client:
        assert Path(RedisLocation.parse(server.url).path).parent == temporary_folder()
        assert client.ping()
