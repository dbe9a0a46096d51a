"""Print results as JSON documents."""

from __future__ import annotations

from typing import Any

import typer

from pollflow.cli.texts import pretty


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(pretty(value))
