"""Printing what commands found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from pollflow.cli.texts import columns, pretty


def console() -> Console:
    """The console on standard output."""
    return Console(highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document."""
    typer.echo(pretty(value))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Columns under their heads; or a word, on standard error, if there is nothing."""
    if not rows:
        typer.echo(empty, err=True)
        return
    out = console()
    first, *lines = columns([head, *rows])
    out.print(Text(first, "bold"), soft_wrap=True)
    for line in lines:
        out.print(Text(line), soft_wrap=True)
