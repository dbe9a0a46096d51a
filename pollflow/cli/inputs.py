"""Parse command arguments: the input of an execution and its name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pollflow.errors import InvalidArgument


def read_input(option: str) -> dict[str, Any]:
    """Return the input that `--input` names: JSON, `@FILE`, or `-` for standard input. Raises InvalidArgument."""
    source, text = _read(option)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{source} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"{source} must be a JSON object such as {{}}, not {_kind(value)}")
    return value


def split_execution(argument: str) -> tuple[str, str]:
    """Return the flow and the name of an execution. Raises InvalidArgument."""
    flow, slash, name = argument.partition("/")
    if not (flow and slash and name):
        raise InvalidArgument(f"{argument!r} is not the name of an execution: write FLOW/NAME, as in `pollflow list`")
    return flow, name


def _read(option: str) -> tuple[str, str]:
    if option == "-":
        return "the input on standard input", sys.stdin.read()
    if not option.startswith("@"):
        return "--input", option
    path = Path(option[1:])
    try:
        return f"the input in {path}", path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the input in {path} cannot be read: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    return "a string" if isinstance(value, str) else "a number"
