"""The files that a command is told are flows. A flow test lies beside its flow, and is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from pollflow.cli.exits import CommandError
from pollflow.testing.files import is_flow_test


def refuse_flow_test(path: Path) -> None:
    """Raises NotDone for a flow test, with the command that runs it."""
    if is_flow_test(path):
        raise CommandError(_told(path))


def without_flow_tests(paths: Sequence[Path]) -> list[Path]:
    """The flows among files that were named, as by `flows/*.yaml`. Raises NotDone if all are flow tests."""
    flows = [path for path in paths if not is_flow_test(path)]
    if not flows:
        refuse_flow_test(paths[0])
    for path in paths:
        if is_flow_test(path):
            typer.echo(f"skipped: {_told(path)}", err=True)
    return flows


def _told(path: Path) -> str:
    return f"{path} is a flow test: pollflow test {path}"
