"""Read definitions: a text or file becomes a checked flow, or a DefinitionError with every problem."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.fdl.check import Checker
from pollflow.fdl.fields import YEAR_SECONDS
from pollflow.fdl.loops import looping_steps
from pollflow.fdl.model import Flow
from pollflow.fdl.problems import Problem, in_order
from pollflow.fdl.reader import MAX_BYTES, Node, read_nodes, to_json

NO_FILE = "<definition>"
"""Stands for the file's name where there is none."""

ANY_WAIT = float("inf")
"""As `max_wait_seconds`: how long a wait may be is not known here, or was checked before."""


def read_flow(text: str | bytes, *, path: str = NO_FILE, max_wait_seconds: float = YEAR_SECONDS) -> Flow:
    """The flow that a definition describes; raises `DefinitionError` with every problem.

    `path` is what problems call the definition; `max_wait_seconds` bounds the constant durations of its waits.
    """
    decoded = _decoded(text, path)
    root, problems = read_nodes(decoded, path)
    checker = Checker(path, max_wait_seconds=max_wait_seconds)
    values = checker.read(root) if root is not None else {}
    reported = {(problem.line, problem.column) for problem in problems}
    # A value that is not JSON is reported once, not again as the wrong value of a field.
    wrong = [problem for problem in checker.problems if (problem.line, problem.column) not in reported]
    found = in_order((*problems, *wrong))
    if found:
        raise DefinitionError(found)
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
    )


def load_flow(path: str | os.PathLike[str], *, max_wait_seconds: float = YEAR_SECONDS) -> Flow:
    """The flow in a file; raises `InvalidArgument` if it cannot be read, `DefinitionError` if it is wrong."""
    name = os.fspath(path)
    try:
        with FilePath(path).open("rb") as file:
            # One byte over the limit is enough to detect a file that is too large.
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidArgument(f"{name}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidArgument(f"{name}: cannot be read: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise DefinitionError([Problem(name, 1, 1, "", f"a definition has at most {MAX_BYTES:,} bytes", "too-large")])
    return read_flow(raw, path=name, max_wait_seconds=max_wait_seconds)


def read_yaml(text: str | bytes, *, path: str = NO_FILE) -> Any:
    """A YAML or JSON document as plain JSON values, by the rules and limits of definitions.

    Times stay the texts that were written. Raises `DefinitionError`.
    """
    root, problems = _nodes(text, path)
    if root is None or problems:
        raise DefinitionError(in_order(problems))
    return to_json(root)


def _nodes(text: str | bytes, path: str) -> tuple[Node | None, tuple[Problem, ...]]:
    return read_nodes(_decoded(text, path), path)


def _decoded(text: str | bytes, path: str) -> str:
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        decoded.encode()
    except UnicodeError as error:
        before = text[: getattr(error, "start", 0)]
        line = (before.count(b"\n") if isinstance(before, bytes) else before.count("\n")) + 1
        raise DefinitionError([Problem(path, line, 1, "", "not UTF-8 text", "syntax")]) from error
    return decoded.removeprefix("\ufeff")
