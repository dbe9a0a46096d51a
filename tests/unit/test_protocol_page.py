"""docs/protocol.md lists every script, and the scripts have the first guard that it states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "protocol.md").read_text(encoding="utf-8")
LUA = {path.stem: path.read_text(encoding="utf-8") for path in (PROJECT / "pollflow" / "store" / "lua").glob("*.lua")}
UNGUARDED = {"start", "due", "cancel_child", "undo_cancel"}


def test_the_page_lists_every_script() -> None:
    table = PAGE.split("## Who may change an execution")[1].split("\n## ")[0]
    listed = {name for cell in re.findall(r"^\| ([^|]+) \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)}
    assert listed == LUA.keys() - {"prelude"}


@pytest.mark.parametrize("name", sorted(LUA.keys() - {"prelude"} - UNGUARDED))
def test_the_script_compares_id_and_incarnation(name: str) -> None:
    assert "find_execution(" in LUA[name]
