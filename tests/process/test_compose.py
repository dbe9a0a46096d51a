"""docker-compose.yml without Docker: the command and the health check of each service run as processes.

Host names and ports are those of this machine. Wrappers on the PATH run `redis-server` and `redis-cli` on a free port.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from pollflow.server import find_server
from tests.processes import Processes, Started, wait_until
from tests.servers import free_port
from tests.workers import PROJECT

pytestmark = pytest.mark.process

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
APPLICATION = ("worker.py", "beat_config.py", "tasks", "flows")

# Replaces redis-cli where it is not installed; it can do what the health check needs.
REDIS_CLI = """\
import sys
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
answer = Redis(port={port}, retry=Retry(NoBackoff(), 0)).execute_command(*sys.argv[1:])
print("PONG" if answer is True else answer)
"""


@dataclass
class Machine:
    """Run the services on this machine instead of in containers."""

    folder: Path
    processes: Processes
    redis_port: int
    flower_port: int

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        }

    def install(self) -> None:
        """Install the application and the wrappers."""
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "data").mkdir()
        for name in APPLICATION:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, self.folder / name)
        own = f"--bind 127.0.0.1 --port {self.redis_port} --dir {shlex.quote(str(self.folder / 'data'))}"
        self._wrap("redis-server", f'{shlex.quote(str(find_server().path))} "$@" {own}')
        client = shutil.which("redis-cli")
        if client is None:
            script = self.folder / "redis_cli.py"
            script.write_text(REDIS_CLI.format(port=self.redis_port))
            self._wrap("redis-cli", f'{shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"')
        else:
            self._wrap("redis-cli", f'{client} -p {self.redis_port} "$@"')

    def _wrap(self, name: str, command: str) -> None:
        wrapper = self.folder / "bin" / name
        wrapper.write_text(f"#!/bin/sh\nexec {command}\n")
        wrapper.chmod(0o755)

    def start(self, service: str) -> Started:
        command = shlex.split(_unescaped(SERVICES[service]["command"]))
        return self.processes.start(service, command, cwd=self.folder, env=self._env_of(service))

    def is_healthy(self, service: str) -> bool:
        kind, *test = SERVICES[service]["healthcheck"]["test"]
        command = [_unescaped(part) for part in test]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        seconds = int(SERVICES[service]["healthcheck"]["timeout"].removesuffix("s"))
        check = self.processes.start(f"{service}-health", command, cwd=self.folder, env=self._env_of(service))
        try:
            return check.process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            check.kill_group()
            return False

    def wait_until_healthy(self, service: str) -> None:
        wait_until(lambda: self.is_healthy(service), f"the health of {service}", timeout=60)

    def _env_of(self, service: str) -> dict[str, str]:
        env = {name: _unescaped(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}
        if "POLLFLOW_REDIS_URL" in env:
            assert "//redis:6379" in env["POLLFLOW_REDIS_URL"]
            env["POLLFLOW_REDIS_URL"] = env["POLLFLOW_REDIS_URL"].replace(
                "//redis:6379", f"//127.0.0.1:{self.redis_port}"
            )
        if service == "flower":
            env.update(FLOWER_PORT=str(self.flower_port), FLOWER_ADDRESS="127.0.0.1")
        return {**env, **self.env}


def _unescaped(text: str) -> str:
    return text.replace("$$", "$")


@pytest.fixture
def machine(tmp_path: Path, processes: Processes) -> Machine:
    machine = Machine(tmp_path / "app", processes, redis_port=free_port(), flower_port=free_port())
    machine.install()
    return machine


@pytest.fixture
def redis(machine: Machine) -> Started:
    started = machine.start("redis")
    machine.wait_until_healthy("redis")
    return started


def test_redis_keeps_acknowledged_writes_after_a_kill(machine: Machine, redis: Started) -> None:
    with Redis(port=machine.redis_port) as client:
        client.set("key", "value")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    redis.kill_group()
    assert not machine.is_healthy("redis")
    machine.start("redis")
    machine.wait_until_healthy("redis")
    with Redis(port=machine.redis_port) as client:
        assert client.get("key") == b"value"


@pytest.mark.usefixtures("redis")
def test_the_worker_is_healthy_while_it_answers(machine: Machine) -> None:
    worker = machine.start("worker")
    machine.wait_until_healthy("worker")
    worker.stop()
    assert not machine.is_healthy("worker")


@pytest.mark.usefixtures("redis")
def test_beat_is_healthy_while_it_sends(machine: Machine) -> None:
    beat = machine.start("beat")
    machine.wait_until_healthy("beat")
    beat.stop()
    long_ago = time.time() - 120
    for file in machine.folder.glob("celerybeat-schedule*"):
        os.utime(file, (long_ago, long_ago))
    assert not machine.is_healthy("beat")


@pytest.mark.usefixtures("redis")
def test_flower_is_healthy_while_it_serves(machine: Machine) -> None:
    flower = machine.start("flower")
    machine.wait_until_healthy("flower")
    flower.kill_group()
    assert not machine.is_healthy("flower")


def test_every_service_has_a_health_check() -> None:
    assert set(SERVICES) == {"redis", "worker", "beat", "flower"}
    assert all("healthcheck" in service for service in SERVICES.values())


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_append_only_file_is_on_a_volume() -> None:
    volume, _, target = SERVICES["redis"]["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"]
    assert target == "/data"
