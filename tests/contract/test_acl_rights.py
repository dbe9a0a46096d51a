"""What the users of `pollflow acl` may not do, asked of a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from typer.testing import CliRunner

from pollflow import Client, StoreUnavailable
from pollflow.cli.app import app
from pollflow.errors import StoreRefused
from pollflow.store import RedisLocation
from pollflow.store.scripts import source
from tests.servers import RedisServer
from tests.workers import PROJECT

PASSWORD = "secret"
WAIT = "version: v1\ntype: flow\nsteps: [{type: wait, name: Wait, duration: 1000}]\n"


def rule(role: str, *options: str) -> list[str]:
    words = ["acl", role, "--key-prefix", "pollflow", "--password-stdin", *options]
    result = CliRunner().invoke(app, words, input=f"{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    return result.stdout.split()


class Users:
    """A server with the users of all roles."""

    def __init__(self, server: RedisServer) -> None:
        self.location = RedisLocation.parse(server.url)
        self.admin: Any = Redis.from_url(server.url, decode_responses=True)
        for role in ("worker", "client", "observer", "flower"):
            self.admin.execute_command(*rule(role))

    def url(self, role: str) -> str:
        return f"redis://pollflow-{role}:{PASSWORD}@127.0.0.1:{self.location.port}/0"

    def may_run(self, role: str, command: str, *args: str) -> bool:
        """Return whether the user may run a command, with any keys if no arguments are given."""
        words = command.split("|")
        if not args:
            args = ("1",) * (self._arity(words) - len(words))
        reply = self.admin.execute_command("ACL", "DRYRUN", f"pollflow-{role}", *words, *args)
        return reply == "OK" or (len(args) > 0 and args == ("1",) * len(args) and "to run" not in reply)

    def _arity(self, words: list[str]) -> int:
        (found,) = self.admin.execute_command("COMMAND INFO", "|".join(words))
        return abs(int(found[1]))

    def category(self, *names: str) -> set[str]:
        return {command for name in names for command in self.admin.acl_cat(name)}


@pytest.fixture
def users(redis_server: RedisServer) -> Iterator[Users]:
    found = Users(redis_server)
    yield found
    found.admin.close()


def test_the_observer_may_run_no_command_that_changes_anything(users: Users) -> None:
    changing = users.category("write", "admin", "dangerous", "scripting", "pubsub", "keyspace")
    reading = {command for command in changing if command in users.category("read")} - users.category("write")
    allowed = {command for command in changing - reading if users.may_run("observer", command)}
    assert len(changing) > 150
    assert allowed == set()


@pytest.mark.parametrize("role", ["worker", "client", "flower"])
def test_no_role_administers_the_server(users: Users, role: str) -> None:
    allowed = {command for command in users.category("admin", "dangerous") if users.may_run(role, command)}
    assert allowed == ({"info"} if role == "worker" else set())


@pytest.mark.parametrize("role", ["worker", "client", "observer", "flower"])
def test_no_role_lists_keys_or_reads_other_keys(users: Users, role: str) -> None:
    for words in (["keys", "*"], ["scan", "0"], ["randomkey"], ["dbsize"], ["client|tracking", "on"], ["get", "other"]):
        assert not users.may_run(role, *words)


def test_the_client_adds_messages_and_reads_none(users: Users) -> None:
    assert users.may_run("client", "lpush", "celery", "message")
    for words in (
        *(["lrange", "celery", "0", "-1"], ["llen", "celery"], ["del", "celery"], ["unlink", "celery"]),
        *(["brpop", "celery", "0"], ["ltrim", "celery", "0", "0"], ["rpush", "celery", "message"]),
        *(["lpush", "pollflow:{0}:history:a/b", "event"], ["hset", "pollflow:route", "queues", "{}"]),
        *(["hset", "pollflow:functions", "f", "1"], ["publish", "/0.celery.pidbox", "shutdown"]),
        *(["set", "pollflow:sweeper", "1"], ["sadd", "_kombu.binding.celery", "queue"]),
    ):
        assert not users.may_run("client", *words), words


def test_the_worker_deploys_no_flow(users: Users) -> None:
    assert users.may_run("worker", "get", "pollflow:definition:0")
    for words in (
        *(["set", "pollflow:definition:0", "text"], ["hset", "pollflow:flow:a", "digest", "0"]),
        ["sadd", "pollflow:flows", "a"],
    ):
        assert not users.may_run("worker", *words), words


@pytest.mark.parametrize("key", ["pollflow:{3}:execution:a/b", "pollflow:flow:a", "pollflow:route"])
def test_flower_reads_no_state(users: Users, key: str) -> None:
    assert not users.may_run("flower", "hgetall", key)


def test_flower_sends_and_diverts_no_messages(users: Users) -> None:
    assert users.may_run("flower", "sadd", "_kombu.binding.reply.celery.pidbox", "queue")
    for words in (["lpush", "celery", "message"], ["brpop", "celery", "0"], ["sadd", "_kombu.binding.celery", "queue"]):
        assert not users.may_run("flower", *words), words


OPERATIONS: list[Callable[[Client], object]] = [
    lambda client: client.deploy_text(WAIT, "other"),
    lambda client: client.start("wait"),
    lambda client: client.start_many("wait", [{}, {}]),
    lambda client: client.execution("wait", "x").stop(),
    lambda client: client.execution("wait", "ended").purge(),
]


def test_the_observer_is_refused_what_a_client_may_do(users: Users) -> None:
    with Client(users.url("client")) as client, Client(users.url("observer")) as observer:
        client.deploy_text(WAIT, "wait")
        client.start("wait", name="x")
        client.start("wait", name="y")  # by the flow that the first start found
        client.start_many("wait", [{}], names=["ended"])[0].stop()
        before = {key: users.admin.dump(key) for key in users.admin.scan_iter()}
        for operation in OPERATIONS:
            with pytest.raises((StoreRefused, StoreUnavailable)) as refusal:
                operation(observer)
            assert "Redis refuses this user" in str(refusal.value)
        assert [execution.name for execution in observer.executions(status="Stopped")] == ["ended"]
        assert {key: users.admin.dump(key) for key in users.admin.scan_iter()} == before


def test_the_observer_runs_no_script(users: Users) -> None:
    with Redis.from_url(users.url("observer")) as observer:
        for command in ("EVAL", "EVAL_RO"):
            with pytest.raises(NoPermissionError):
                observer.execute_command(command, source("due"), 1, "pollflow:{0}:wake", "+0", "{}")


def test_a_line_without_a_password_makes_no_user(users: Users) -> None:
    result = CliRunner().invoke(app, ["acl", "observer", "--key-prefix", "pollflow", "--user", "new"])
    with pytest.raises(RedisError, match="hash"):
        users.admin.execute_command(*result.stdout.split())
    assert users.admin.acl_getuser("new") is None


def test_a_line_of_an_acl_file_has_the_same_rights() -> None:
    assert rule("client", "--file") == ["user", *rule("client")[2:]]


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
def test_the_commands_of_the_page_make_a_user_and_turn_off_the_other(
    users: Users, redis_server: RedisServer, tmp_path: Path
) -> None:
    page = (PROJECT / "docs" / "security.md").read_text("utf-8")
    section = page.split("\n## Redis users and their rights\n")[1].split("\n## ")[0]
    (commands,), (line,) = (re.findall(rf"```{kind}\n(.*?)```", section, re.S) for kind in ("sh", "text"))
    script = commands.replace("--user admin --askpass", f"-p {users.location.port}")
    script = script.replace("pollflow acl worker", f"pollflow acl worker --project {PROJECT}")
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "POLLFLOW_REDIS_URL": redis_server.url}
    env["REDISCLI_AUTH"] = str(users.location.password)
    users.admin.acl_deluser("pollflow-worker")
    assert subprocess.check_output(["/bin/sh", "-euc", script], cwd=tmp_path, env=env, text=True).strip() == "OK"
    password = (tmp_path / "worker.password").read_text().strip()
    with Redis(port=users.location.port, username="pollflow-worker", password=password) as worker:
        assert worker.hgetall("pollflow:route") == {}
    users.admin.execute_command("ACL", "SETUSER", *line.split()[1:])
    try:
        with Redis.from_url(redis_server.url) as former, pytest.raises(AuthenticationError):
            former.ping()
    finally:
        users.admin.execute_command("ACL", "SETUSER", "default", "on")
