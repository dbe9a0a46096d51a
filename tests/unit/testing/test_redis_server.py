"""The Redis server for virtual time starts at its first use, is empty, and stops with the last process."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from redis import Redis

from pollflow import ConfigurationError
from pollflow.testing import redis_server
from pollflow.testing.redis_server import RedisServer
from tests.processes import Processes

RUN = """
import os
from pollflow.testing import run_flow
from pollflow.testing.redis_server import REDIS_SERVER
run_flow("version: v1\\ntype: flow\\nsteps: [{type: pass, name: A}]\\n")
print("pid", REDIS_SERVER.client().info("server")["process_id"], REDIS_SERVER.client().dbsize())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_server() -> None:
        raise ConfigurationError("No server is installed.")

    monkeypatch.setattr(redis_server, "find_server", find_server)
    monkeypatch.delenv("POLLFLOW_SERVER", raising=False)


@pytest.mark.usefixtures("folder")
def test_processes_share_one_server_which_the_last_one_stops() -> None:
    one, other = RedisServer(), RedisServer()
    client = other.client()
    assert one.client().info("server")["run_id"] == client.info("server")["run_id"]
    assert one.client() is one.client()
    one.close()
    pid = client.info("server")["process_id"]
    other.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("folder")
def test_a_server_that_is_started_again_is_empty() -> None:
    server = RedisServer()
    server.client().set("left", "by a killed process")
    server.close()
    assert server.client().dbsize() == 0
    server.close()


def test_its_files_are_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    server = RedisServer()
    try:
        server.client()
        found = list(folder.rglob("*"))
        assert f"pollflow-{os.getuid()}" in {path.name for path in found}
        assert [path for path in found if path.lstat().st_mode & 0o077] == []
    finally:
        os.umask(before)
        server.close()


@pytest.mark.parametrize("name", ["pollflow-{uid}", "pollflow-{uid}/tests", "pollflow-{uid}/tests/.pollflow"])
def test_a_link_in_place_of_its_folder_is_refused(folder: Path, name: str) -> None:
    (folder / "victim").mkdir(0o755)
    link = folder / name.format(uid=os.getuid())
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.symlink_to(folder / "victim")
    with pytest.raises(ConfigurationError, match=f"{link} is a link"):
        RedisServer().client()
    assert list((folder / "victim").iterdir()) == []


def test_a_process_leaves_no_server_behind(tmp_path: Path, processes: Processes) -> None:
    run = processes.start("run", [sys.executable, "-c", RUN], cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert run.process.wait(60) == 0, run.output()
    _, pid, keys = run.output().split()
    assert keys == "0"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.usefixtures("no_server")
def test_fakeredis_replaces_a_server_that_is_not_installed() -> None:
    server = RedisServer()
    assert isinstance(server.client(), Redis)
    assert server.client().eval("return 1", 0) == 1
    server.close()


@pytest.mark.usefixtures("no_server")
def test_without_server_and_fakeredis_the_error_has_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"No server is installed(.|\n)*pip install 'pollflow\[testing\]'"):
        RedisServer().client()


def test_a_configured_server_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLFLOW_SERVER", "no-such-server")
    with pytest.raises(ConfigurationError, match="POLLFLOW_SERVER names 'no-such-server'"):
        RedisServer().client()
