"""docs/redis.md lists every key of `keys.py`, and every field that the scripts write, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pollflow.machine import Status
from pollflow.store import ExecutionRef, Keys

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "redis.md").read_text(encoding="utf-8")
LUA = {path.name: path.read_text(encoding="utf-8") for path in (PROJECT / "pollflow" / "store" / "lua").glob("*.lua")}
REF = ExecutionRef("FLOW", "NAME")
# Fields that `start` and `end` receive by name from `transitions.py`.
EXECUTION_ARGUMENTS = {
    "flow",
    "name",
    "digest",
    "input",
    "output",
    "error",
    "cause",
    "secret",
    "started_at",
    "parent",
    "time_limit",
}
FRAME = {"frame", "parent", "key"}
EXECUTION = {"execution", "execution.key", "KEYS[1]"}


def keys_of_the_module() -> set[str]:
    keys = Keys()
    arguments = {"ref": REF, "frame": "FRAME", "shard": REF.shard, "flow": "FLOW", "status": Status.RUNNING}
    made = set()
    for name in vars(Keys):
        if name.startswith("_"):
            continue
        method = getattr(keys, name)
        if not callable(method) or name in ("indexes", "lasting_indexes"):
            continue
        names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
        made.add(method(*(arguments.get(argument, argument.upper()) for argument in names)))
    return {key.replace(":Running", ":STATUS").replace(":DIGEST", ":SHA256") for key in made}


def test_the_page_lists_the_keys_of_the_module() -> None:
    listed = re.findall(r"^\| `(pollflow:[^`]+)`", PAGE, re.M)
    assert len(listed) == len(set(listed))
    assert {key.replace("{S}", f"{{{REF.shard}}}").replace("REF", str(REF)) for key in listed} == keys_of_the_module()


def listed_fields(title: str) -> set[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.M)
    return {field for cell in cells for field in re.findall(r"`(\w+)`", cell)}


def arguments_of(call: str) -> list[str]:
    """Split the arguments of a call at its commas, but not at those inside parentheses."""
    parts, depth = [""], 0
    for character in call:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def written_fields(keys: set[str]) -> set[str]:
    """Return the names of the fields that the scripts write to a hash which they call by one of these names."""
    written = set()
    for text in LUA.values():
        for command, rest in re.findall(r"redis\.call\('(HSET|HINCRBY)', (.*?)(?=redis\.call|\Z)", text, re.S):
            key, *values = arguments_of(rest)
            names = values[::2] if command == "HSET" else values[:1]
            written |= {name.strip("'") for name in names if key in keys and name.startswith("'")}
    return written


@pytest.mark.parametrize(
    ("title", "keys", "others"),
    [("A frame's fields", FRAME, set()), ("An execution's fields", EXECUTION, EXECUTION_ARGUMENTS)],
)
def test_the_page_lists_the_fields_that_scripts_write(title: str, keys: set[str], others: set[str]) -> None:
    assert listed_fields(title) == written_fields(keys) | others
