"""Reads the objects of a flow test file: each value with its place, so that what is wrong is told with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from pollflow.errors import DefinitionError
from pollflow.fdl.model import Json, JsonObject
from pollflow.fdl.problems import Problem, near
from pollflow.fdl.reader import Node, Object, Scalar, Sequence, read_nodes, to_json


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the file at its place, such as `cases[2].expect.seconds`."""

    path: str
    node: Node
    field: str = ""

    @property
    def line(self) -> int:
        """1-based line."""
        return self.node.line

    @property
    def json(self) -> Json:
        """As plain JSON."""
        return to_json(self.node)

    def wrong(self, message: str) -> NoReturn:
        """Refuses the file."""
        problem = Problem(self.path, self.node.line, self.node.column, self.field, message, "flow-test")
        raise DefinitionError([problem])

    def at(self, name: str, node: Node) -> Value:
        """A value inside this one."""
        inner = name if name.startswith("[") else f".{name}"
        return Value(self.path, node, f"{self.field}{inner}".lstrip("."))

    def text(self) -> str:
        """A text, as it was written: `cause: 503` is one."""
        if not isinstance(self.node, Scalar) or self.node.value is None:
            self.wrong("must be a text")
        return self.node.text

    def number(self, *, least: float = 0) -> float:
        """A number."""
        value = self.json
        if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
            self.wrong(f"must be a number of {least:g} or more")
        return value

    def count(self) -> int:
        """A whole number."""
        value = self.number()
        if value != int(value):
            self.wrong("must be a whole number")
        return int(value)

    def json_object(self) -> JsonObject:
        """An object of any keys."""
        value = self.json
        if not isinstance(value, dict):
            self.wrong("must be an object")
        return value

    def items(self) -> list[Value]:
        """The elements of a list."""
        if not isinstance(self.node, Sequence):
            self.wrong("must be a list")
        return [self.at(f"[{index}]", node) for index, node in enumerate(self.node.items)]

    def entries(self) -> Iterator[tuple[str, Value]]:
        """The entries of an object whose keys are names."""
        if not isinstance(self.node, Object):
            self.wrong("must be an object")
        for key, node in self.node.entries:
            yield key.text, self.at(key.text, node)

    def fields(self, *known: str) -> Fields:
        """An object of these fields and no others; what is empty may be left out."""
        if isinstance(self.node, Scalar) and self.node.value is None:
            return Fields(self)
        found = dict(self.entries())
        for name, value in found.items():
            if name not in known:
                guess = near(name, known)
                hint = f'did you mean "{guess}"?' if guess else f"known: {', '.join(known)}"
                value.wrong(f'unknown field "{name[:100]}"; {hint}')
        return Fields(self, found)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an object."""

    owner: Value
    found: dict[str, Value] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def get(self, name: str) -> Value | None:
        """The field, if it is there."""
        return self.found.get(name)

    def need(self, name: str) -> Value:
        """The field; without it the file is refused."""
        if name not in self.found:
            self.owner.wrong(f'"{name}" is missing')
        return self.found[name]

    def one_of(self, *names: str) -> str:
        """Which one of these is there; exactly one must be."""
        given = [name for name in names if name in self.found]
        if len(given) != 1:
            told = " and ".join(given) or "none of them"
            self.owner.wrong(f"must have exactly one of {', '.join(names)}, not {told}")
        return given[0]

    def text(self, name: str, default: str = "") -> str:
        """A text, or the default."""
        value = self.found.get(name)
        return default if value is None or value.json is None else value.text()

    def json_object(self, name: str) -> JsonObject:
        """An object, empty where it is left out."""
        return self.found[name].json_object() if name in self.found else {}


def read_document(text: str, path: str) -> Value:
    """The document; raises `DefinitionError` if it is no YAML."""
    root, problems = read_nodes(text, path)
    if root is None or problems:
        raise DefinitionError(problems)
    return Value(path, root)
