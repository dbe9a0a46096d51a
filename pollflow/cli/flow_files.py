"""Distinguish flow files from the flow tests that are stored beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from pollflow.cli.exits import CommandError
from pollflow.testing.files import is_flow_test


def refuse_flow_test(path: Path) -> None:
    """Raise CommandError, with the command that runs it, if the file is a flow test."""
    if is_flow_test(path):
        raise CommandError(_message(path))


def without_flow_tests(paths: Sequence[Path]) -> list[Path]:
    """Return the flow files and print the skipped flow tests. Raises CommandError if all files are flow tests."""
    flows = [path for path in paths if not is_flow_test(path)]
    if not flows:
        refuse_flow_test(paths[0])
    for path in paths:
        if is_flow_test(path):
            typer.echo(f"skipped: {_message(path)}", err=True)
    return flows


def _message(path: Path) -> str:
    return f"{path} is a flow test; run it with: pollflow test {path}"
