"""docs/architecture.md names modules, folders and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(
    set(re.findall(r"(?<![\w/])(?:pollflow|tests|docs|client|runtime|store|machine)/[\w/.]*\w(?:\.\w+)?/?", PAGE))
)


@pytest.mark.parametrize("path", [path for path in PATHS if "NAME" not in path])
def test_the_path_exists(path: str) -> None:
    inside = path if path.startswith(("pollflow", "tests", "docs")) else f"pollflow/{path}"
    assert (PROJECT / inside).exists()


def test_the_page_names_the_modules_of_a_step() -> None:
    assert {"runtime/engine.py", "machine/decide.py", "store/lua/claim.lua"} <= set(PATHS)
