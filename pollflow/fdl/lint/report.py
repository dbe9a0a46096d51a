"""Collect warnings, and find their lines in the definition's text."""

from __future__ import annotations

import math
import re
from functools import cached_property

from pollflow.fdl.model import Flow
from pollflow.fdl.problems import MAX_PROBLEMS, Problem
from pollflow.fdl.reader import Node, Object, Sequence, read_nodes

_MAX_KEY = 100
_MAX_FIELD = 300
"""The longest field of a warning. A flow can have 80,000 warnings below 50 keys of 100 characters."""
_PART = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


class LintReport:
    """The warnings of one flow."""

    def __init__(self, flow: Flow, path: str) -> None:
        self.path = path
        self._text = flow.text
        self.problems: list[Problem] = []
        self._entries: dict[int, dict[str, Node]] = {}
        """The entries of the objects that were searched, by the ids of the objects."""

    @cached_property
    def _root(self) -> Node | None:
        """The text as nodes with lines. Most flows have no warnings, and need none."""
        return read_nodes(self._text, self.path, math.inf)[0]

    @property
    def is_full(self) -> bool:
        """Whether the limit of problems is exceeded, so that a search for similar names is wasted."""
        return len(self.problems) > MAX_PROBLEMS

    def warn(self, field: str, code: str, message: str) -> None:
        """Add a warning at the field, or at the nearest enclosing value if the text has no such field."""
        line, column = self._position(field)
        shown = field if len(field) <= _MAX_FIELD else f"{field[: _MAX_FIELD - 1]}…"
        self.problems.append(Problem(self.path, line, column, shown, message, code, "warning"))

    def _position(self, field: str) -> tuple[int, int]:
        node = self._root
        for found in _PART.finditer(field):
            inner = self._child(node, found)
            if inner is None:
                break
            node = inner
        return (node.line, node.column) if node is not None else (1, 1)

    def _child(self, node: Node | None, part: re.Match[str]) -> Node | None:
        if isinstance(node, Object) and part[1] is not None:
            if id(node) not in self._entries:
                self._entries[id(node)] = {key.text: value for key, value in node.entries}
            return self._entries[id(node)].get(part[1])
        if isinstance(node, Sequence) and part[2] is not None and int(part[2]) < len(node.items):
            return node.items[int(part[2])]
        return None


def field_of(field: str, key: str) -> str:
    """Return the field of a key inside a field. A long key is cut: many warnings may be inside its value."""
    return f"{field}.{key[:_MAX_KEY]}"
