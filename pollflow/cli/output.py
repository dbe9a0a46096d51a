"""Print results: JSON documents and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from pollflow.cli.texts import columns, pretty


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(pretty(value))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print rows below their column heads. Without rows, print the text `empty` on standard error."""
    if not rows:
        typer.echo(empty, err=True)
        return
    first, *lines = columns([head, *rows])
    typer.secho(first, bold=True)
    for line in lines:
        typer.echo(line)
