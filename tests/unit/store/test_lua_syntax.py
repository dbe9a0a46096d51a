"""Every Lua file parses."""

from __future__ import annotations

from pathlib import Path

import pytest
from luaparser import ast

from pollflow import store

FILES = sorted((Path(store.__file__).parent / "lua").glob("*.lua"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_lua_file_parses(path: Path) -> None:
    ast.parse(path.read_text())


def test_a_syntax_error_is_found() -> None:
    with pytest.raises(ast.SyntaxException):
        ast.parse("local x = = 1")
