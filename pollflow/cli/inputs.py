"""Parse command arguments: the input of an execution and its name."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pollflow.amounts import too_deep
from pollflow.errors import EntityTooLarge, InvalidArgument
from pollflow.fdl import ANY_SIZE
from pollflow.fdl.encoding import NotUtf8, decoded
from pollflow.fdl.files import read_file
from pollflow.machine.data import MAX_DEPTH
from pollflow.runtime.arguments import shown

_RAW_BYTE = re.compile("[\udc80-\udcff]")


def read_input(option: str) -> dict[str, Any]:
    """Return the input that `--input` names: JSON, `@FILE`, or `-` for standard input.

    Raises InvalidArgument, and EntityTooLarge for JSON that is nested too deeply.
    """
    source, text = _read(option)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise EntityTooLarge(too_deep(source, MAX_DEPTH)) from None
    except ValueError as error:
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
        return _decoded("the input on standard input", sys.stdin.buffer.read())
    if not option.startswith("@"):
        # In a locale that is not UTF-8, Python passes the bytes that it cannot decode as lone surrogates.
        return _decoded("--input", os.fsencode(option) if _RAW_BYTE.search(option) else option)
    path = Path(option[1:])
    try:
        raw = read_file(path, ANY_SIZE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidArgument(f"the input in {path} cannot be read: {reason}") from error
    return _decoded(f"the input in {path}", raw)


def _decoded(source: str, text: str | bytes) -> tuple[str, str]:
    try:
        return source, decoded(text)
    except NotUtf8 as error:
        raise InvalidArgument(f"{source} is {error.message} (line {error.line})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(repeated)} is repeated")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    return "a string" if isinstance(value, str) else "a number"
