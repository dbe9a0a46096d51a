"""Read definitions: turn a text or file into a checked flow, or raise DefinitionError with every problem."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.fdl import encoding
from pollflow.fdl.check import Checker
from pollflow.fdl.fields import YEAR_SECONDS
from pollflow.fdl.files import read_file
from pollflow.fdl.loops import looping_steps
from pollflow.fdl.model import Flow
from pollflow.fdl.problems import Problem, in_order
from pollflow.fdl.reader import MAX_BYTES, read_nodes, to_json, too_large

NO_FILE = "<definition>"
"""The path that problems show for a definition without a file."""

ANY_WAIT = float("inf")
"""The `max_wait_seconds` without a limit, for callers that do not know it or have checked it before."""
ANY_SIZE = float("inf")
"""The `max_bytes` without a limit, for definitions that were checked when they were deployed."""


def read_flow(
    text: str | bytes,
    *,
    path: str = NO_FILE,
    max_wait_seconds: float = YEAR_SECONDS,
    max_bytes: float = MAX_BYTES,
) -> Flow:
    """Return the flow of a definition; raises `DefinitionError` with every problem.

    Problems show `path`. `max_wait_seconds` limits the constant durations of waits, `max_bytes` the size of the text.
    """
    decoded = _decoded(text, path)
    root, problems = read_nodes(decoded, path, max_bytes)
    checker = Checker(path, max_wait_seconds=max_wait_seconds)
    values = checker.read(root) if root is not None else {}
    reported = {(problem.line, problem.column) for problem in problems}
    # Report a value that is not JSON once, not again as an invalid value of its field.
    further = [problem for problem in checker.problems if (problem.line, problem.column) not in reported]
    if problems or further:
        raise DefinitionError(in_order((*problems, *further)))
    return Flow(
        steps=values["steps"],
        series=MappingProxyType(checker.series),
        text=decoded,
        digest=hashlib.sha256(decoded.encode()).hexdigest(),
        looping=looping_steps(checker.series),
        name=values.get("name"),
        input_mappings=values.get("input_mappings"),
        output_mappings=values.get("output_mappings"),
        timeout_seconds=values.get("timeout_seconds"),
        inline_steps=values.get("inline_steps"),
    )


def load_flow(
    path: str | os.PathLike[str], *, max_wait_seconds: float = YEAR_SECONDS, max_bytes: float = MAX_BYTES
) -> Flow:
    """Return the flow in a file; raises `InvalidArgument` if it cannot be read, `DefinitionError` if it is invalid."""
    name = os.fspath(path)
    try:
        raw = read_file(path, max_bytes)
        size = FilePath(path).stat().st_size
    except FileNotFoundError:
        raise InvalidArgument(f"{name}: the file does not exist") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidArgument(f"{name}: cannot be read: {reason}") from error
    if len(raw) > max_bytes:
        raise DefinitionError([too_large(name, max(size, len(raw)), max_bytes)])
    return read_flow(raw, path=name, max_wait_seconds=max_wait_seconds, max_bytes=max_bytes)


def read_yaml(text: str | bytes, *, path: str = NO_FILE) -> Any:
    """Return a YAML or JSON document as plain JSON values, by the rules and limits of definitions.

    Times stay texts, as written. Raises `DefinitionError`.
    """
    root, problems = read_nodes(_decoded(text, path), path)
    if root is None or problems:
        raise DefinitionError(in_order(problems))
    return to_json(root)


def _decoded(text: str | bytes, path: str) -> str:
    try:
        return encoding.decoded(text)
    except encoding.NotUtf8 as error:
        raise DefinitionError([Problem(path, error.line, 1, "", error.message, "syntax")]) from error
