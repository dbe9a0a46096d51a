"""docs/protocol.md lists every script."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "protocol.md").read_text(encoding="utf-8")
SCRIPTS = {path.stem for path in (PROJECT / "pollflow" / "store" / "lua").glob("*.lua")} - {"prelude"}


def test_the_page_lists_every_script() -> None:
    table = PAGE.split("## Who may change an execution")[1].split("\n## ")[0]
    listed = {name for cell in re.findall(r"^\| ([^|]+) \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)}
    assert listed == SCRIPTS
