"""The users that `pollflow acl` prints, on real servers: each role can do its work, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from celery import Celery
from redis import Redis

import pollflow
from pollflow import AesGcmCodec, Client, Execution
from pollflow.client.rotation import rotations
from pollflow.store import RedisLocation
from tests.processes import Processes, wait_until
from tests.servers import RedisServer
from tests.workers import PROJECT, Workers

pytestmark = pytest.mark.process

APP = "tests.apps.jobs"
PASSWORD = "p@ss/word"
ALL_STEPS = """
version: v1
type: flow
steps:
  - {type: pass, name: Begin, outputMappings: [{target: size, source: 0}]}
  - {type: wait, name: Wait, duration: 0.2}
  - type: task
    name: Retry
    resourceArn: acs:fc:::services/jobs/functions/fail
    inputMappings: [{target: error, source: Busy}, {target: succeeds_at, source: 2}]
    retry: [{errors: [Busy], intervalSeconds: 1, maxAttempts: 3}]
  - type: choice
    name: Size
    choices: [{condition: $.size < 1, steps: [{type: pass, name: Small}]}]
  - type: parallel
    name: Both
    branches:
      - steps: [{type: wait, name: Left, duration: 0.1}]
      - steps: [{type: task, name: Right, resourceArn: "acs:fc:::services/jobs/functions/echo"}]
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps: [{type: task, name: Render, resourceArn: "acs:fc:::services/jobs/functions/echo"}]
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    serviceParams: {Input: {seconds: 0}, ExecutionName: quick}
  - type: task
    name: LongSub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    timeoutSeconds: 1
    serviceParams: {Input: {seconds: 1000}, ExecutionName: long}
    catch: [{errors: [FnF.TaskTimeout], goto: Crash}]
  - type: task
    name: Crash
    resourceArn: acs:fc:::services/jobs/functions/die
    catch: [{errors: [FC.Unknown], goto: Ask}]
  - type: task
    name: Ask
    resourceArn: acs:fc:::services/jobs/functions/echo
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
  - {type: succeed, name: Done}
"""
CHILD = "version: v1\ntype: flow\nsteps: [{type: wait, name: Sleep, duration: $.seconds}]\n"
LIMITED = "version: v1\ntype: flow\ntimeoutSeconds: 1\nsteps: [{type: wait, name: Sleep, duration: 1000}]\n"
FAILING = "version: v1\ntype: flow\nsteps: [{type: fail, name: Refuse, error: Refused, cause: not today}]\n"


@dataclass
class Place:
    """Servers with the users of the app, and the processes of these users."""

    processes: Processes
    state: RedisServer
    broker: RedisServer
    conf: dict[str, Any]

    @property
    def prefix(self) -> str:
        return str(self.conf.get("pollflow_key_prefix", "pollflow"))

    def env(self, role: str) -> dict[str, str]:
        """Return the environment of a process of a role."""
        return {
            "POLLFLOW_REDIS_URL": self.url(role, self.state),
            "POLLFLOW_TEST_BROKER": self.url(role, self.broker),
            "POLLFLOW_TEST_CALLS": self.state.url,
            "POLLFLOW_TEST_CONF": json.dumps(self.conf),
        }

    def url(self, role: str, server: RedisServer | None = None) -> str:
        port = port_of(server or self.state)
        return f"redis://{self.prefix}-{role}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"

    def make_users(self) -> None:
        """Make the users of all roles, from the output of the command."""
        wanted = [(role, server) for server in dict.fromkeys((self.state, self.broker)) for role in self.roles(server)]
        commands = [
            [*("acl", role, "-A", APP, "--password-stdin", "--server", f"127.0.0.1:{port_of(server)}")]
            for role, server in wanted
        ]
        lines = run_commands(commands, env=self.env("worker"), input=f"{PASSWORD}\n" * len(wanted))
        for (_, server), line in zip(wanted, lines.splitlines(), strict=True):
            with Redis.from_url(server.url) as admin:
                admin.execute_command(*line.split())

    def roles(self, server: RedisServer) -> tuple[str, ...]:
        """Return the roles that use a server."""
        if self.broker is self.state:
            return ("worker", "client", "observer", "flower")
        return ("worker", "client", "observer") if server is self.state else ("worker", "flower")

    def denials(self) -> list[tuple[str, str, str]]:
        """Return what the servers refused: user, reason, and command, key or channel."""
        found = []
        for server in dict.fromkeys((self.state, self.broker)):
            with Redis.from_url(server.url, decode_responses=True) as admin:
                found += [(entry["username"], entry["reason"], entry["object"]) for entry in admin.acl_log()]
        return found


def port_of(server: RedisServer) -> int:
    return RedisLocation.parse(server.url).port


def knows_waitaof(server: RedisServer) -> bool:
    with Redis.from_url(server.url) as admin:
        return bool(admin.execute_command("COMMAND INFO", "waitaof")[0])


def run(command: list[str], *, env: Mapping[str, str], input: str | None = None) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **env}, input=input, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def run_commands(commands: list[list[str]], *, env: Mapping[str, str], input: str | None = None) -> str:
    """Run commands of pollflow in one process, which takes a second less for each. Return their output."""
    code = f"from pollflow.cli.app import app\nfor words in {commands!r}: app(words, standalone_mode=False)"
    return run([sys.executable, "-c", code], env=env, input=input).stdout


@pytest.fixture
def place(redis_server: RedisServer, processes: Processes) -> Place:
    found = Place(processes, redis_server, redis_server, {"pollflow_max_crashes": 1})
    found.make_users()
    return found


@pytest.fixture
def varied_place(redis_server: RedisServer, processes: Processes, tmp_path: Path) -> Iterator[Place]:
    """Another prefix, a broker on another server with prefixes and queues of its own, and results."""
    broker = RedisServer(tmp_path / "broker")
    conf = {
        "pollflow_max_crashes": 1,
        "pollflow_key_prefix": "orders",
        "pollflow_durable": knows_waitaof(redis_server),
        "task_routes": {"pollflow.task": {"queue": "calls [of] a?*"}},
        "broker_transport_options": {"global_keyprefix": "x:", "fanout_prefix": "/f{db}."},
    }
    found = Place(processes, redis_server, broker, conf)
    conf["result_backend"] = found.url("worker").replace("/0", "/3")
    found.make_users()
    yield found
    broker.stop()


def run_everything(place: Place) -> Execution:
    """Run all step types, a stop, a purge, timeouts and a crash. Return the execution of all step types."""
    workers = Workers(place.processes, PROJECT)
    workers.start("-E", app=APP, env=place.env("worker"))
    workers.beat(app=APP, env=place.env("worker"))
    celery = [sys.executable, "-m", "celery", "-A", APP]
    with Client(place.url("client"), key_prefix=place.prefix) as client:
        for name, text in {"all": ALL_STEPS, "child": CHILD, "limited": LIMITED, "failing": FAILING}.items():
            client.deploy_text(text, name)
        execution = client.start("all", {"items": [1, 2, 3]}, name="one")
        limited, failing = client.start("limited"), client.start("failing")
        client.start("child", {"seconds": 1000}, name="stopped").stop("NotNeeded").purge()
        run([*celery, "inspect", "ping", "-t", "5"], env=place.env("worker"))
        run([*celery, "inspect", "registered", "-t", "5"], env=place.env("flower"))
        if "result_backend" in place.conf:
            run([*celery, "call", "own.double", "--args", "[2]"], env=place.env("worker"))
        assert limited.wait(30).status == "TimedOut"
        assert failing.wait(30).status == "Failed"
        with Redis.from_url(place.state.url, decode_responses=True) as admin:
            wait_until(lambda: '"Ask"' in "".join(admin.lrange("test:calls", 0, -1)), "the callback", 60)
            token = json.loads(admin.lrange("test:calls", -1, -1)[0])["input"]["token"]
        client.report_succeeded(token, {"v": 1})
        execution = execution.wait(30)
        assert execution.status == "Succeeded"
        assert client.execution("child", "long").wait(30).status == "Stopped"
    return execution


def test_all_step_types_run_under_the_users_of_the_roles(place: Place) -> None:
    run_everything(place)
    observe(place)
    rotate(place)
    assert place.denials() == []


@pytest.mark.slow
def test_other_prefixes_queues_and_servers_have_users_of_their_own(varied_place: Place) -> None:
    place = varied_place
    run_everything(place)
    observe(place)
    with Redis.from_url(place.state.url.replace("/0", "/3")) as admin:
        assert len(list(admin.scan_iter("celery-task-meta-*"))) == 1
    assert place.denials() == []


def rotate(place: Place) -> None:
    """Encode everything as the worker, as `pollflow codec rotate` does."""
    app = Celery("rotating", broker=place.url("worker"))
    app.conf.pollflow_codec = AesGcmCodec({"new": b"n" * 32})
    pollflow.attach(app)
    with Client(app) as client:
        found = list(rotations(client))
        assert [(each.left, each.problems) for each in found] == [(0, [])] * len(client.executions())
        assert sum(each.rewritten["clear"] for each in found) > 50
        assert sum(sum(each.rewritten.values()) for each in rotations(client, is_dry=True)) == 0
        assert client.audit()[0].operation == "rotate"


def observe(place: Place) -> None:
    """Read everything as the observer."""
    commands = [["list"], ["list", "--json"], ["show", "all/one"], ["history", "all/one"], ["flows"], ["audit"]]
    assert "Succeeded" in run_commands([[*words, "-A", APP] for words in commands], env=place.env("observer"))
    with Client(place.url("observer"), key_prefix=place.prefix) as client:
        assert client.executions() and client.functions() and client.flow("all")
        assert list(client.execution("all", "one").refresh().events())
