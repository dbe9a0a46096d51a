"""The rights of the roles are compared with what the code uses."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pollflow.machine import Status
from pollflow.store import ExecutionRef, Keys
from pollflow.store.acl import WORKER_SCRIPTS, Rights, Role, literal, state_rights

PACKAGE = Path(__file__).parents[3] / "pollflow"
REF = ExecutionRef("flow", "name")
# Methods of redis-py that are other commands, or none.
METHODS = {
    "pipeline": ("multi", "exec"),
    "register_script": ("script|load", "script|exists", "evalsha"),
    "execute": (),
    "execute_command": ("waitaof",),
    "get_connection_kwargs": (),
    "hscan_iter": ("hscan",),
    "config_get": (),  # not as a user of its own
    "close": (),
}


def rights(role: Role) -> Rights:
    return state_rights(role, Keys(), ["celery"], is_durable=True)


def commands(role: Role) -> set[str]:
    found = rights(role)
    return set(found.commands).union(*(also.commands for also in found.also))


def test_workers_may_run_what_every_script_runs() -> None:
    scripts = {path.stem for path in (PACKAGE / "store" / "lua").glob("*.lua")}
    assert set(WORKER_SCRIPTS) == scripts - {"prelude"}


def test_the_commands_of_the_store_are_granted() -> None:
    used = set()
    for path in (PACKAGE / "store").glob("*.py"):
        if path.name != "scratch.py":  # the keys of flow tests
            used |= set(re.findall(r"\b_?(?:client|pipe)\.([a-z_]+)\(", path.read_text("utf-8")))
    assert {"hgetall", "zrange", "set"} <= used
    wanted = {command for method in used for command in METHODS.get(method, (method,))}
    assert wanted - commands(Role.WORKER) - commands(Role.CLIENT) == set()


def test_the_command_of_a_call_may_be_an_expression() -> None:
    assert {"lindex", "lset"} <= commands(Role.WORKER)  # reseal.lua


@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT, Role.OBSERVER])
def test_every_key_is_readable_or_private_to_the_workers(role: Role) -> None:
    keys = Keys()
    arguments = {"ref": REF, "frame": "r", "shard": REF.shard, "flow": "flow", "status": Status.RUNNING}
    private = set() if role is Role.WORKER else {keys.sweeper(), *([keys.mark()] if role is Role.OBSERVER else [])}
    for name, method in vars(Keys).items():
        if name.startswith("_") or name in ("prefix", "indexes", "lasting_indexes"):
            continue
        names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
        key = method(keys, *(arguments.get(argument, argument) for argument in names))
        assert any(fnmatchcase(key, pattern) for pattern in rights(role).keys) == (key not in private), key


def test_the_observer_has_no_right_to_write_and_no_script() -> None:
    observer = rights(Role.OBSERVER)
    assert set(observer.keys.values()) == {"R"}
    assert observer.also == ()
    assert not {"evalsha", "eval", "lpush", "set", "hset", "publish"} & commands(Role.OBSERVER)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("celery", "celery"),
        ("a*b?[c]\\", "a\\*b\\?\\[c]\\\\"),
        ("my queue", "my[^!-~]queue"),
        ("é", "[^!-~][^!-~]"),
        ("a'(b)\"", "a??b??"),
    ],
)
def test_a_name_becomes_a_pattern_that_a_rule_can_contain(name: str, pattern: str) -> None:
    assert literal(name) == pattern


def test_rights_on_one_server_are_joined() -> None:
    first = Rights(frozenset({"get"}), {"a": "R", "b": "R"}, frozenset({"x"}))
    second = Rights(frozenset({"set"}), {"b": "W", "c": ""}, frozenset({"y"}), (Rights(),))
    joined = Rights(frozenset({"get", "set"}), {"a": "R", "b": "", "c": ""}, frozenset({"x", "y"}), (Rights(),))
    assert first | second == joined
