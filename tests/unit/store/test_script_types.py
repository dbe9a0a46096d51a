"""Each Lua script's header and its dataclasses in `commands/` list the same keys, arguments and replies."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.resources import files

import pytest

from pollflow.store.wire import argument_names
from tests.scripts import SCRIPTS, UNGUARDED

FOLDER = files("pollflow.store") / "lua"


def lines_of(name: str, word: str) -> list[list[str]]:
    """Return the words after `word` in the header lines of a script that begin with it."""
    header = [line for line in (FOLDER / f"{name}.lua").read_text("utf-8").splitlines() if line.startswith("-- ")]
    return [line.split()[2:] for line in header if line.startswith(f"-- {word} ")]


def test_every_script_has_its_types_and_every_type_its_script() -> None:
    stems = {path.name.removesuffix(".lua") for path in FOLDER.iterdir()} - {"prelude"}
    assert stems == set(SCRIPTS)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_header_lists_the_keys_of_the_type(name: str) -> None:
    assert lines_of(name, "KEYS") == [list(SCRIPTS[name].KEYS)]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_header_lists_the_arguments_of_the_type(name: str) -> None:
    assert sorted(lines_of(name, "ARGS")[0]) == sorted(argument_names(SCRIPTS[name]))


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_header_lists_the_replies_of_the_type(name: str) -> None:
    typed = {reply.NAME: sorted(field.name for field in fields(reply)) for reply in SCRIPTS[name].REPLIES}
    assert {reply: sorted(names) for reply, *names in lines_of(name, "REPLY")} == typed


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_script_uses_each_argument_and_sends_each_reply(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text("utf-8")
    prelude = (FOLDER / "prelude.lua").read_text("utf-8")
    for argument in lines_of(name, "ARGS")[0]:
        assert f"args.{argument}" in text + prelude, argument
    for reply in SCRIPTS[name].REPLIES:
        assert re.search(rf"reply\([^)]*'{reply.NAME}'", text), reply.NAME


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - UNGUARDED))
def test_the_identity_of_the_execution_guards_the_script(name: str) -> None:
    assert {"ref", "id", "incarnation"} <= set(argument_names(SCRIPTS[name]))
    assert "find_execution(" in (FOLDER / f"{name}.lua").read_text("utf-8")
