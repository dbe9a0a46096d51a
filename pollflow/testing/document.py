"""Reads the objects of a flow test file: each value with its place, so that what is wrong is told with its line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pollflow.errors import DefinitionError
from pollflow.fdl.model import Json, JsonObject
from pollflow.fdl.problems import Problem, in_order, near
from pollflow.fdl.reader import Node, Object, Scalar, Sequence, read_nodes, to_json

T = TypeVar("T")
V = TypeVar("V")


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
        raise DefinitionError([self._problem(message)])

    def at(self, name: str, node: Node) -> Value:
        """A value inside this one."""
        inner = name if name.startswith("[") else f".{name}"
        return Value(self.path, node, f"{self.field}{inner}".lstrip("."))

    def text(self) -> str:
        """A text, as it was written: `cause: 503` is one."""
        if not isinstance(self.node, Scalar) or self.node.value is None:
            self.wrong("must be a text")
        return self.node.text

    def text_or_none(self) -> str:
        """A text, empty where nothing is written."""
        return "" if self.json is None else self.text()

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

    def read(self, readers: Mapping[str, Callable[[Value], Any]], *decisions: tuple[str, ...]) -> dict[str, Any]:
        """What the fields of an object say, each read by its reader; there are no others, and what is empty has none.

        Of each of `decisions` one field has to be there. Raises `DefinitionError` with the problems of all fields.
        """
        is_empty = isinstance(self.node, Scalar) and self.node.value is None
        found = {} if is_empty else dict(self.entries())
        problems: list[Problem] = []
        said: dict[str, Any] = {}
        for name, value in found.items():
            try:
                said[name] = readers[name](value) if name in readers else value._refuse_name(name, readers)
            except DefinitionError as error:
                problems += error.problems
        # What is misspelled is not missed as well.
        if found.keys() <= readers.keys():
            missing = [
                " or ".join(f'"{name}"' for name in names) for names in decisions if found.keys().isdisjoint(names)
            ]
            problems += [self._problem(f"{told} is missing") for told in missing]
        if problems:
            raise DefinitionError(in_order(problems))
        return said

    def one_of(self, found: Collection[str], *names: str) -> str:
        """Which one of these fields was found; exactly one must be."""
        input = [name for name in names if name in found]
        if len(input) != 1:
            told = " and ".join(input) or "none of them"
            self.wrong(f"must have exactly one of {', '.join(names)}, not {told}")
        return input[0]

    def _refuse_name(self, name: str, known: Collection[str]) -> NoReturn:
        guess = near(name, known)
        metadata = f'did you mean "{guess}"?' if guess else f"known: {', '.join(known)}"
        self.wrong(f'unknown field "{name[:100]}"; {metadata}')

    def _problem(self, message: str) -> Problem:
        return Problem(self.path, self.node.line, self.node.column, self.field, message, "flow-test")


def gathered(values: Iterable[V], read: Callable[[V], T]) -> list[T]:
    """What each value says. Raises `DefinitionError` with the problems of all."""
    found: list[T] = []
    problems: list[Problem] = []
    for value in values:
        try:
            found.append(read(value))
        except DefinitionError as error:
            problems += error.problems
    if problems:
        raise DefinitionError(in_order(problems))
    return found


def read_document(text: str, path: str) -> Value:
    """The document; raises `DefinitionError` if it is no YAML."""
    root, problems = read_nodes(text, path)
    if root is None or problems:
        raise DefinitionError(problems)
    return Value(path, root)
