"""What people type: an execution's input, and its name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pollflow.errors import InvalidArgument


def read_input(input: str) -> dict[str, Any]:
    """The input that `--input` says: JSON, `@FILE`, or `-` for standard input. Raises InvalidArgument."""
    source, text = _read(input)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{source} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"{source} must be a JSON object such as {{}}, not {_kind(value)}")
    return value


def split_execution(input: str) -> tuple[str, str]:
    """Flow and name of an execution. Raises InvalidArgument."""
    flow, slash, name = input.partition("/")
    if not (flow and slash and name):
        raise InvalidArgument(f"{input!r} names no execution: write FLOW/NAME, as `pollflow list` shows it")
    return flow, name


def _read(input: str) -> tuple[str, str]:
    if input == "-":
        return "the input on standard input", sys.stdin.read()
    if not input.startswith("@"):
        return "--input", input
    path = Path(input[1:])
    try:
        return f"the input in {path}", path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the input in {path} cannot be read: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a number"
