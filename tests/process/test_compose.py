"""docker-compose.yml without Docker: the command and the health check of each service run as processes.

Host names, ports and folders are those of this machine. Wrappers on the PATH run `redis-server` and `redis-cli` on a
free port. The users of Redis and their passwords are made by the commands in the first lines of the file.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from pollflow import Client
from pollflow.server import find_server
from tests.processes import Processes, Started, wait_until
from tests.servers import free_port
from tests.workers import PROJECT

pytestmark = pytest.mark.process

TEXT = (PROJECT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TMPFS = "/tmp"  # noqa: S108 - that of a container
APPLICATION = ("worker.py", "beat_config.py", "tasks", "flows")

# Replaces redis-cli where it is not installed; it can do what the health check needs.
REDIS_CLI = """\
import sys
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
words = [word for word in sys.argv[1:] if word != "--no-auth-warning"]
options = dict(zip(words[::2], words[1::2])) if words[0].startswith("--") else {{}}
user, password = options.get("--user"), options.get("--pass")
answer = Redis(port={port}, username=user, password=password, retry=Retry(NoBackoff(), 0)).execute_command(words[-1])
print("PONG" if answer is True else answer)
"""


@dataclass
class Machine:
    """Run the services on this machine instead of in containers."""

    folder: Path
    processes: Processes
    redis_port: int
    flower_port: int
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        }

    def install(self, users: Path) -> None:
        """Install the application, the wrappers, and the users of Redis."""
        (self.folder / "bin").mkdir(parents=True)
        for name in ("data", "tmp"):
            (self.folder / name).mkdir()
        shutil.copy(users / "users.acl", self.folder)
        self.secrets = dict(line.split("=", 1) for line in (users / ".env").read_text().splitlines())
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

    def url(self, role: str) -> str:
        """Return the URL of Redis for a role."""
        return f"redis://pollflow-{role}:{self.secrets[f'{role.upper()}_PASSWORD']}@127.0.0.1:{self.redis_port}/0"

    def local(self, text: str) -> str:
        """Return a text of the file with the values of variables, and with folders of this machine."""
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.secrets[found[1]], text)
        here = {"@redis:6379": f"@127.0.0.1:{self.redis_port}", "$$": "$"}
        here |= {inside: str(self.folder / Path(inside).name) for inside in ("/etc/redis/users.acl", TMPFS)}
        # In one pass, since the folder of the test may be below the other one.
        return re.sub("|".join(map(re.escape, here)), lambda found: here[found[0]], text)

    def _wrap(self, name: str, command: str) -> None:
        wrapper = self.folder / "bin" / name
        wrapper.write_text(f"#!/bin/sh\nexec {command}\n")
        wrapper.chmod(0o755)

    def start(self, service: str) -> Started:
        command = shlex.split(self.local(SERVICES[service]["command"]))
        return self.processes.start(service, command, cwd=self.folder, env=self._env_of(service))

    def is_healthy(self, service: str) -> bool:
        kind, *test = SERVICES[service]["healthcheck"]["test"]
        command = [self.local(part) for part in test]
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
        env = {name: self.local(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}
        if service == "flower":
            env.update(FLOWER_PORT=str(self.flower_port), FLOWER_ADDRESS="127.0.0.1")
        return {**env, **self.env}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the commands ran that the file names for the time before the first start."""
    folder = tmp_path_factory.mktemp("users")
    for name in APPLICATION:
        (folder / name).symlink_to(PROJECT / name)
    commands = TEXT.split("#\n# Print the users again")[0].split("#\n", 1)[1]
    script = re.sub(r"^# {1,3}", "", commands, flags=re.M)
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    subprocess.run(["/bin/sh", "-euc", script], cwd=folder, env=env, check=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, processes: Processes, users: Path) -> Machine:
    machine = Machine(tmp_path / "app", processes, redis_port=free_port(), flower_port=free_port())
    machine.install(users)
    return machine


@pytest.fixture
def redis(machine: Machine) -> Started:
    started = machine.start("redis")
    machine.wait_until_healthy("redis")
    return started


def test_redis_keeps_acknowledged_writes_after_a_kill(machine: Machine, redis: Started) -> None:
    with Client(machine.url("client")) as client:
        client.deploy(machine.folder / "flows" / "task_polling.yaml")
    redis.kill_group()
    assert not machine.is_healthy("redis")
    machine.start("redis")
    machine.wait_until_healthy("redis")
    with Client(machine.url("observer")) as observer:
        assert [flow.name for flow in observer.flows()] == ["task-polling"]


@pytest.mark.usefixtures("redis")
def test_redis_serves_nobody_without_a_password(machine: Machine) -> None:
    for user, password in ((None, None), ("default", None), ("default", ""), ("pollflow-worker", "wrong")):
        client = Redis(port=machine.redis_port, username=user, password=password)
        with client, pytest.raises(AuthenticationError):
            client.get("key")
    with Redis(port=machine.redis_port, username="health", password="any") as client:
        assert client.ping()
        with pytest.raises(NoPermissionError):
            client.get("key")


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
    for file in (machine.folder / "tmp").glob("celerybeat-schedule*"):
        os.utime(file, (long_ago, long_ago))
    assert not machine.is_healthy("beat")


def status(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    """Return the status of a reply of Flower."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status


@pytest.mark.usefixtures("redis")
def test_flower_is_healthy_while_it_serves(machine: Machine) -> None:
    flower = machine.start("flower")
    machine.wait_until_healthy("flower")
    login = base64.b64encode(machine.secrets["FLOWER_BASIC_AUTH"].encode()).decode()
    for path in ("/", "/api/workers", "/api/tasks"):
        assert status(machine.flower_port, path) == 401
    assert status(machine.flower_port, "/api/tasks", {"Authorization": f"Basic {login}"}) == 200
    flower.kill_group()
    assert not machine.is_healthy("flower")


def test_an_execution_ends_and_no_user_lacks_a_right(machine: Machine) -> None:
    with (machine.folder / "users.acl").open("a") as users:
        users.write("user admin reset on nopass +acl +client\n")  # of this test
    for service in SERVICES:
        machine.start(service)
        machine.wait_until_healthy(service)
    with Client(machine.url("client")) as client:
        client.deploy(machine.folder / "flows" / "task_polling.yaml")
        assert client.start("task-polling", {"delay": 0}).wait(60).status == "Succeeded"
    with Redis(port=machine.redis_port, username="admin", password="any", decode_responses=True) as redis:
        assert [(entry["username"], entry["object"]) for entry in redis.acl_log()] == []


def test_every_service_has_a_health_check() -> None:
    assert set(SERVICES) == {"redis", "worker", "beat", "flower"}
    assert all("healthcheck" in service for service in SERVICES.values())


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_confined(service: str) -> None:
    found = SERVICES[service]
    assert found["user"] in ("app", "redis")
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["read_only"] is True
    assert found["tmpfs"] == [TMPFS]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(found)


def test_images_are_pinned_to_a_minor_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += [line.split()[1] for line in (PROJECT / "Dockerfile").read_text().splitlines() if line.startswith("FROM")]
    assert images
    assert all(re.fullmatch(r"[\w/-]+:\d+\.\d+(\.\d+)?(-\w+)?", image) for image in images)


def test_secrets_are_required_and_not_in_the_file() -> None:
    variables = re.findall(r"(?<!\$)\$\{([^}]*)\}", "\n".join(line for line in TEXT.splitlines() if line[:1] != "#"))
    assert {name.partition(":?")[0] for name in variables} == {
        "WORKER_PASSWORD",
        "FLOWER_PASSWORD",
        "FLOWER_BASIC_AUTH",
    }
    assert all(re.fullmatch(r"\w+:\?.+", name) for name in variables)
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    assert {".env", COMPOSE["configs"]["users"]["file"].removeprefix("./")} <= set(ignored)


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_append_only_file_is_on_a_volume() -> None:
    volume, _, target = SERVICES["redis"]["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"]
    assert target == "/data"
