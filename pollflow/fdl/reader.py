"""Read YAML to nodes with line and column, within limits. The reader knows nothing of flows.

It builds nodes from the parser's events, without recursion: it constructs no object for a tag, and stops at the first
level that is too deep. It reads JSON the same way.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from typing_extensions import assert_never

from pollflow.amounts import over_limit, too_deep
from pollflow.fdl.lookalikes import hint_of_line
from pollflow.fdl.problems import Problem
from pollflow.fdl.scalars import NotJson, resolve

MAX_BYTES = 1 << 20
"""The default for the largest definition in UTF-8; the limit of a request to Alibaba Cloud's service."""
MAX_DEPTH = 64
"""The deepest nesting of lists and objects."""
MAX_NODES = 100_000
"""The most values after aliases are expanded, so that a few lines cannot stand for a billion."""
_FREE_NODES, _FREE_LENGTH, _MAX_EXPANSION = 10_000, 1 << 16, 4
"""Aliases may expand a text to so many values and characters, and to four times those that it has."""

_SLOW: Any = yaml.SafeLoader
_FAST: Any = getattr(yaml, "CSafeLoader", _SLOW)
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""A JSON escape of a surrogate; only the slow loader reads it."""
_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = {"!", *(_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp"))}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A single value; `text` is its text as written."""

    line: int
    column: int
    value: Any
    text: str
    plain: bool
    offset: int | None = None
    """Columns between `column` and the first character of `text`; None for a text with line breaks or escapes."""
    size: int = 1

    @property
    def length(self) -> int:
        """The number of characters with aliases expanded."""
        return len(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]
    size: int
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """An object; the keys are unique texts."""

    line: int
    column: int
    entries: tuple[tuple[Scalar, Node], ...]
    size: int
    length: int

    def get(self, key: str) -> Node | None:
        """Return the value under the key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


Node: TypeAlias = "Scalar | Sequence | Object"


def to_json(node: Node) -> Any:
    """Return the plain value. A YAML time stays a text, as written."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [to_json(item) for item in node.items]
        case Object():
            return {key.text: to_json(value) for key, value in node.entries}
        case _:
            assert_never(node)


def read_nodes(text: str, path: str, max_bytes: float = MAX_BYTES) -> tuple[Node | None, tuple[Problem, ...]]:
    """Return the document and its problems as YAML; None as the document if it cannot be read at all.

    `max_bytes` limits the size of the text, and the characters of all values after aliases are expanded.
    """
    try:
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > max_bytes:
            return None, (too_large(path, size, max_bytes),)
        return _composed(_without_tabs(text), path, max_bytes)
    except _Stop as stop:
        return None, (Problem(path, stop.line, stop.column, "", stop.message, stop.code),)


def too_large(path: str, size: int, max_bytes: float) -> Problem:
    """Return the problem of a definition that has too many bytes."""
    message = over_limit(f"the definition has {size:,} bytes", max_bytes, "max_definition_bytes")
    return Problem(path, 1, 1, "", message, "too-large")


class _Stop(Exception):
    """Ends the reading at once. `read_nodes` turns it into a problem."""

    def __init__(self, mark: Any, message: str, code: str = "syntax") -> None:
        self.line = mark.line + 1 if mark is not None else 1
        self.column = mark.column + 1 if mark is not None else 1
        self.message = message
        self.code = code
        super().__init__(message)


def _without_tabs(text: str) -> str:
    """Replace tabs in JSON with spaces. JSON allows them between values, and YAML does not."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _composed(text: str, path: str, max_bytes: float) -> tuple[Node | None, tuple[Problem, ...]]:
    try:
        composer = _Composer(text, path, max_bytes)
        return composer.compose(_SLOW if _ESCAPED_HALF.search(text) else _FAST), tuple(composer.problems)
    except yaml.YAMLError as first:
        # The slow parser has better messages; if it finds no error, the error of the fast parser is reported.
        try:
            _follow(yaml.parse(text, Loader=_SLOW))
        except yaml.YAMLError as error:
            raise _stop_of(text, error) from None
        raise _stop_of(text, first) from None


def _follow(events: Iterable[Any]) -> None:
    """Read the events until one fails. The fast parser may refuse deep nesting itself."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _too_deep(event)


def _too_deep(event: Any) -> _Stop:
    return _Stop(event.start_mark, too_deep("the definition", MAX_DEPTH), "too-large")


def _stop_of(text: str, error: yaml.YAMLError) -> _Stop:
    if isinstance(error, yaml.MarkedYAMLError):
        message = ": ".join(part for part in (error.context, error.problem) if part)
        mark, start = error.problem_mark or error.context_mark, error.context_mark
        if start is not None and mark is not None and start.line != mark.line:
            message += f" (starts in line {start.line + 1})"
        return _Stop(mark, f"not YAML: {message}{_hint(text, start, mark)}")
    position = getattr(error, "position", 0) or 0
    before = text[:position]
    character = getattr(error, "character", None)
    name = f"U+{character:04X}, " if isinstance(character, int) else ""
    stop = _Stop(None, f"not YAML: {name}a character that YAML does not allow; delete it, or write it as an escape")
    stop.line = before.count("\n") + 1
    stop.column = position - (before.rfind("\n") + 1) + 1
    return stop


def _hint(text: str, start: Any, mark: Any) -> str:
    """Return what looks wrong in the lines of an error of the parser: where it was found, where it began, before it."""
    if mark is None:
        return ""
    lines = text.split("\n")
    numbers = (mark.line, mark.line if start is None else start.line, mark.line - 1)
    hints = (hint_of_line(lines[number], number + 1) for number in numbers if 0 <= number < len(lines))
    return next(filter(None, hints), "")


@dataclass(slots=True)
class _Open:
    """A collection that is not complete; in an object, keys and values alternate in `children`."""

    event: Any
    children: list[Node] = field(default_factory=list)


class _Composer:
    """Build the nodes of one document from events."""

    def __init__(self, text: str, path: str, max_bytes: float) -> None:
        self.text = text
        self.path = path
        self.max_bytes = max_bytes
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0
        self.written = 0
        self.length = 0

    def compose(self, loader: Any) -> Node:
        """Return the root; raises `_Stop` and YAML's own errors."""
        stack: list[_Open] = []
        root: Node | None = None
        for event in self._events(loader):
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= MAX_DEPTH:
                    raise _too_deep(event)
                self._check_tag(event)
                stack.append(_Open(event))
                continue
            node = self._node(event, stack)
            if not stack:
                root = node
            else:
                stack[-1].children.append(node)
        if root is None or (isinstance(root, Scalar) and root.value is None):
            raise _Stop(None, "the definition is empty")
        self._check_expansion()
        return root

    def _check_expansion(self) -> None:
        """Refuse a small text that stands for much, unless its size was checked before."""
        if math.isinf(self.max_bytes):
            return
        for what, size, written, free in (
            ("values", self.nodes, self.written, _FREE_NODES),
            ("characters", self.length, len(self.text), _FREE_LENGTH),
        ):
            limit = free + _MAX_EXPANSION * written
            if size > limit:
                statement = f"aliases expand the {written:,} {what} of the definition to {size:,}"
                raise _Stop(None, over_limit(statement, limit), "too-large")

    def _events(self, loader: Any) -> Iterator[Any]:
        documents = 0
        for event in yaml.parse(self.text, Loader=loader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Stop(event.start_mark, "a second document begins here; a file must have only one")
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event

    def _node(self, event: Any, stack: list[_Open]) -> Node:
        if isinstance(event, yaml.AliasEvent):
            node = self.anchors.get(event.anchor or "")
            if node is None:
                raise _Stop(event.start_mark, f"the alias *{event.anchor} has no complete anchor before it")
            self._count(event, node.size, node.length)
            return node
        self._count(event, 1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        opened = event
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        else:
            closed = stack.pop()
            opened = closed.event
            node = self._collection(closed)
        if opened.anchor is not None:
            self.anchors[opened.anchor] = node
        return node

    def _count(self, event: Any, size: int, length: int) -> None:
        self.nodes += size
        self.written += 1
        self.length += length
        if self.nodes > MAX_NODES:
            message = over_limit(f"the definition has {self.nodes:,} values after aliases are expanded", MAX_NODES)
            raise _Stop(event.start_mark, message, "too-large")
        if self.length > self.max_bytes:
            statement = f"the definition has {self.length:,} characters after aliases are expanded"
            raise _Stop(event.start_mark, over_limit(statement, self.max_bytes, "max_definition_bytes"), "too-large")

    def _problem(self, mark: Any, message: str, code: str = "syntax") -> None:
        self.problems.append(Problem(self.path, mark.line + 1, mark.column + 1, "", message, code))

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _KNOWN_TAGS:
            self._problem(event.start_mark, f"the tag {event.tag[:100]} is not supported")

    def _scalar(self, event: Any) -> Scalar:
        self._check_tag(event)
        mark = event.start_mark
        text = self._joined(mark, event.value)
        plain = event.style in (None, "") and event.tag != _TAG + "str" and event.tag != "!"
        value: Any = text
        if plain or event.tag in {_TAG + name for name in ("int", "float", "bool", "null")}:
            try:
                value = resolve(text)
            except NotJson as error:
                self._problem(mark, str(error), "not-json")
        return Scalar(mark.line + 1, mark.column + 1, value, text, plain, self._offset(event))

    def _joined(self, mark: Any, text: str) -> str:
        """Join surrogate pairs. JSON escapes a character beyond 16 bits as a pair, which YAML does not join."""
        if not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._problem(mark, "a lone surrogate, which is half a character", "not-json")
            return _SURROGATE.sub("?", text)

    def _offset(self, event: Any) -> int | None:
        quotes = 1 if event.style in ("'", '"') else 0
        start = event.start_mark.index + quotes
        if event.start_mark.line != event.end_mark.line or event.tag is not None or event.anchor is not None:
            return None
        return quotes if self.text.startswith(event.value, start) else None

    def _collection(self, closed: _Open) -> Node:
        mark = closed.event.start_mark
        size = 1 + sum(child.size for child in closed.children)
        length = sum(child.length for child in closed.children)
        if isinstance(closed.event, yaml.SequenceStartEvent):
            return Sequence(mark.line + 1, mark.column + 1, tuple(closed.children), size, length)
        entries: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Object] = []
        for key, value in zip(closed.children[::2], closed.children[1::2], strict=True):
            if isinstance(key, Scalar) and key.plain and key.text == "<<":
                merged.extend(self._merged(value))
            elif not isinstance(key, Scalar):
                self._problem_at(key, "a key must be a text")
            elif key.text in entries:
                self._problem_at(key, f'the key "{key.text[:100]}" is repeated', "duplicate-key")
            else:
                entries[key.text] = (key, value)
        for other in merged:
            for key, value in other.entries:
                entries.setdefault(key.text, (key, value))
        return Object(mark.line + 1, mark.column + 1, tuple(entries.values()), size, length)

    def _merged(self, value: Node) -> list[Object]:
        sources = value.items if isinstance(value, Sequence) else (value,)
        if not all(isinstance(source, Object) for source in sources):
            self._problem_at(value, "<< takes an object or a list of objects")
        return [source for source in sources if isinstance(source, Object)]

    def _problem_at(self, node: Node, message: str, code: str = "syntax") -> None:
        self.problems.append(Problem(self.path, node.line, node.column, "", message, code))
