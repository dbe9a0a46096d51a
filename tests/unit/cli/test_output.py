"""One module writes the output of all commands."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pollflow
from pollflow.cli.app import app
from pollflow.cli.output import safe_streams, write_line

PACKAGE = Path(pollflow.__file__).parent
OUTPUT = PACKAGE / "cli" / "output.py"
DIRECT = {"print", "echo", "secho", "confirm", "prompt"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
QUESTIONS = {"isatty", "encoding"}
ALLOWED = {
    "cli/app_answers.py": 2,  # the output of the app, which the command prints
    "cli/encoding.py": 2,  # how the streams encode
    "cli/views.py": 1,  # the console of rich, which gets clean texts
    "cli/workers.py": 1,  # the output of a worker, which has its own streams
}


def direct_uses(path: Path) -> Iterator[str]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    asked = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in QUESTIONS}
    for node in nodes:
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_console = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("console")
            if name in DIRECT and not is_console:
                yield ast.unparse(node)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in STREAMS
            and id(node) not in asked
            and ast.unparse(node.value) == "sys"
        ):
            yield ast.unparse(node)


def test_commands_write_only_by_the_module_of_the_output() -> None:
    found: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != OUTPUT and (count := len(list(direct_uses(path)))):
            found[path.relative_to(PACKAGE).as_posix()] = count
    assert found == ALLOWED


def test_whatever_else_is_written_to_the_streams_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with safe_streams():
        sys.stdout.write("a\x1b[2J redis://:pw@h\n")
        sys.stderr.writelines(["b\x9b\n", "c\u202e"])
        write_line("d\n\x07", is_bold=True)
    assert (out.getvalue(), err.getvalue()) == ("a\\x1b[2J redis://:***@h\nd \\x07\n", "b\\x9b\nc\\u202e")
    assert sys.stdout is out


def test_messages_of_typer_about_arguments_are_safe() -> None:
    result = CliRunner().invoke(app, ["no\x1b[2J\u202esuch"])
    assert result.exit_code == 2
    assert "no\\x1b[2J\\u202esuch" in result.output
    result = CliRunner().invoke(app, ["list", "--redis", "redis://:canary@h:x/0"])
    assert result.exit_code == 2
    assert "canary" not in result.output
