"""The values of a flow test file, each with its position, so that each problem shows its line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pollflow.errors import DefinitionError
from pollflow.fdl import lookalikes
from pollflow.fdl.lookalikes import plain
from pollflow.fdl.model import Json, JsonObject
from pollflow.fdl.problems import Problem, in_order
from pollflow.fdl.reader import Node, Object, Scalar, Sequence, read_nodes, to_json
from pollflow.suggestions import near

T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the file. `field` is its path in the file, such as `cases[2].expect.seconds`."""

    path: str
    node: Node
    field: str = ""

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.node.line

    @property
    def json(self) -> Json:
        """The value as plain JSON."""
        return to_json(self.node)

    def refuse(self, message: str) -> NoReturn:
        """Raise DefinitionError with this problem."""
        raise DefinitionError([self._problem(message)])

    def at(self, name: str, node: Node) -> Value:
        """Return a value inside this one."""
        inner = name if name.startswith("[") else f".{name}"
        return Value(self.path, node, f"{self.field}{inner}".lstrip("."))

    def text(self) -> str:
        """Return the text as written: `cause: 503` counts as a text."""
        if not isinstance(self.node, Scalar) or self.node.value is None:
            self.refuse("must be a text")
        return self.node.text

    def text_or_none(self) -> str:
        """Return the text; empty for null."""
        return "" if self.json is None else self.text()

    def number(self, *, minimum: float = 0) -> float:
        """Return the number, `minimum` or more."""
        value = self.json
        if isinstance(value, bool) or not isinstance(value, int | float) or value < minimum:
            self.refuse(f"must be a number of {minimum:g} or more")
        return value

    def count(self) -> int:
        """Return the whole number, 0 or more."""
        value = self.number()
        if value != int(value):
            self.refuse("must be a whole number")
        return int(value)

    def json_object(self) -> JsonObject:
        """Return the object, with any keys."""
        value = self.json
        if not isinstance(value, dict):
            self.refuse("must be an object")
        return value

    def items(self) -> list[Value]:
        """Return the elements of the list."""
        if not isinstance(self.node, Sequence):
            self.refuse("must be a list")
        return [self.at(f"[{index}]", node) for index, node in enumerate(self.node.items)]

    def entries(self) -> Iterator[tuple[str, Value]]:
        """Yield the keys and values of the object."""
        if not isinstance(self.node, Object):
            self.refuse("must be an object")
        for key, node in self.node.entries:
            yield key.text, self.at(key.text, node)

    def read(self, readers: Mapping[str, Callable[[Value], Any]], *required: tuple[str, ...]) -> dict[str, Any]:
        """Return the fields of the object, each read by its reader; null counts as an object without fields.

        One field of each tuple in `required` must be present. Raises DefinitionError with the problems of all fields;
        a field without a reader is a problem too.
        """
        is_empty = isinstance(self.node, Scalar) and self.node.value is None
        found = {} if is_empty else dict(self.entries())
        problems: list[Problem] = []
        fields: dict[str, Any] = {}
        for name, value in found.items():
            try:
                fields[name] = readers[name](value) if name in readers else value._refuse_name(name, readers)
            except DefinitionError as error:
                problems += error.problems
        # A misspelled field would be missing as well; one problem is enough.
        if found.keys() <= readers.keys():
            missing = [
                " or ".join(f'"{name}"' for name in names) for names in required if found.keys().isdisjoint(names)
            ]
            problems += [self._problem(f"{choice} is missing") for choice in missing]
        if problems:
            raise DefinitionError(in_order(problems))
        return fields

    def one_of(self, found: Collection[str], *names: str) -> str:
        """Return the field that is present. Raises DefinitionError unless exactly one of `names` is."""
        present = [name for name in names if name in found]
        if len(present) != 1:
            actual = " and ".join(present) or "none of them"
            self.refuse(f"must have exactly one of {', '.join(names)}, not {actual}")
        return present[0]

    def _refuse_name(self, name: str, known: Collection[str]) -> NoReturn:
        guess = near(plain(name).partition(":")[0].strip(), known)
        hint = f'did you mean "{guess}"?' if guess else f"known: {', '.join(known)}"
        self.refuse(f'unknown field "{name[:100]}"; {hint}')

    def _problem(self, message: str) -> Problem:
        if isinstance(self.node, Scalar):
            message += lookalikes.hint(self.node.text)
        return Problem(self.path, self.node.line, self.node.column, self.field, message, "flow-test")


def read_all(values: Iterable[V], read: Callable[[V], T]) -> list[T]:
    """Return the result of `read` for each value. Raises DefinitionError with the problems of all values."""
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
    """Return the document. Raises DefinitionError if it is not valid YAML."""
    root, problems = read_nodes(text, path)
    if root is None or problems:
        raise DefinitionError(problems)
    return Value(path, root)
