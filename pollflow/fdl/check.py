"""Check the nodes of a definition by the table in `fields.py`; build the model, or report every problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pollflow.amounts import over_limit
from pollflow.fdl.build import Values, build_shape, build_step
from pollflow.fdl.fields import (
    AT_LEAST_ONE,
    EXACTLY_ONE,
    FLOW,
    MAX_STEPS,
    SHAPES,
    STEP,
    STEP_FIELDS,
    Field,
    Kind,
)
from pollflow.fdl.kinds import InvalidValue, read_value, shown
from pollflow.fdl.lookalikes import hint, plain
from pollflow.fdl.model import Series, Step, StepPosition
from pollflow.fdl.problems import MAX_PROBLEMS, Problem
from pollflow.fdl.reader import Node, Object, Scalar, Sequence
from pollflow.fdl.synonyms import similar_field
from pollflow.fdl.targets import Goto, Names


@dataclass(frozen=True, slots=True)
class Location:
    """The location of the check in the document: its path, the enclosing series, and that series' owner in words.

    `step` is the position of the enclosing step.
    """

    path: str = ""
    series: str = ""
    owner: str = "in the flow's own series"
    step: StepPosition | None = None

    def inside(self, name: str) -> Location:
        """Return the location of a field."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name)

    def at(self, index: int) -> Location:
        """Return the location of an element."""
        return replace(self, path=f"{self.path}[{index}]")


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows of the table for one object, and words for the object."""

    fields: dict[str, Field]
    what: str
    misspelled_only: bool

    def missing(self, node: Object) -> list[str]:
        """Return the fields that the object may still have: none that it has, and none that would conflict with one."""
        present = {key.text for key, _ in node.entries}
        pairs = [pair for pair in EXACTLY_ONE.values() if self.fields.keys() >= set(pair)]
        excluded = present.union(*(pair for pair in pairs if present & set(pair)))
        return [name for name in self.fields if name not in excluded]


@dataclass(slots=True)
class _Fields:
    """The fields of one object: valid values by their names in the model, and the names of all fields present."""

    values: Values
    present: set[str]


class Checker:
    """Check one definition; `read` fills `series` and `problems`."""

    def __init__(self, path: str, *, max_wait_seconds: float) -> None:
        self.path = path
        self.max_wait_seconds = max_wait_seconds
        self.problems: list[Problem] = []
        self.series: dict[str, Series] = {}
        self.names = Names()
        self.steps = 0

    def read(self, root: Node) -> Values:
        """Return the flow's fields by their names in the model. They are incomplete if there are problems."""
        if not isinstance(root, Object):
            message = f"a definition is an object with version, type and steps, not {shown(root)}"
            self._problem(root, "", message)
            return {}
        values = self._fields(root, FLOW, Location(), "a flow").values
        for goto, reason in self.names.invalid_gotos():
            self._problem(goto.node, goto.field, reason, "unknown-step")
        return values

    def _problem(self, node: Node, field: str, message: str, code: str = "invalid-value", *, column: int = 0) -> None:
        position = column or node.column
        if code in _HINTED and isinstance(node, Scalar) and len(self.problems) <= MAX_PROBLEMS:
            message += hint(node.text)
        self.problems.append(Problem(self.path, node.line, position, field, message, code))

    def _fields(
        self, node: Object, fields: tuple[Field, ...], location: Location, what: str, *, misspelled_only: bool = False
    ) -> _Fields:
        """Read the fields of an object. With `misspelled_only`, other unknown fields are not reported."""
        table = _Table({field.name: field for field in fields}, what, misspelled_only)
        found = _Fields({}, set())
        for key, value in node.entries:
            field = table.fields.get(key.text)
            inner = location.inside(key.text[:100])
            if field is None:
                self._unknown(node, key, inner, table, found)
            elif not _absent(value, field):
                found.present.add(field.name)
                self._field(value, field, inner, found.values)
        for field in fields:
            if field.required and field.name not in found.present:
                at = next((key for key, _ in node.entries if key.text == field.name), node)
                message = f"is missing; {what} needs it: {field.description}"
                self._problem(at, location.inside(field.name).path, message, "missing-field")
        return found

    def _unknown(self, node: Object, key: Scalar, location: Location, table: _Table, found: _Fields) -> None:
        message = f'unknown field "{key.text[:100]}"'
        if len(self.problems) > MAX_PROBLEMS:
            self._problem(key, location.path, message, "unknown-field")
            return
        meant = plain(key.text).partition(":")[0].strip(" \"'")
        guess = similar_field(meant, table.missing(node))
        if guess is not None:
            # A misspelled field is one problem, without a second one for the missing field.
            found.present.add(guess)
            self._problem(key, location.path, f'{message}; did you mean "{guess}"?', "unknown-field")
        elif not table.misspelled_only:
            known = ", ".join(table.fields)
            self._problem(key, location.path, f"{message}; {table.what} has {known}", "unknown-field")

    def _field(self, node: Node, field: Field, location: Location, values: Values) -> None:
        try:
            values[field.attribute] = self._value(node, field, location)
        except InvalidValue as error:
            self._problem(error.node, location.path, error.message, error.code, column=error.column)

    def _value(self, node: Node, field: Field, location: Location) -> Any:
        if field.kind is Kind.SERIES:
            return self._series(node, field, location)
        if field.kind is Kind.OBJECT:
            return self._object(node, field, location)
        if field.kind is Kind.OBJECTS:
            return self._objects(node, field, location)
        if field.kind is Kind.DURATION:
            field = replace(field, minimum=0, maximum=self.max_wait_seconds)
        value = read_value(node, field)
        if field.kind is Kind.GOTO:
            self.names.gotos.append(Goto(value, node, location.path, location.series))
        return value

    def _object(self, node: Node, field: Field, location: Location) -> Any:
        if not isinstance(node, Object):
            raise InvalidValue(f"must be an object, not {shown(node)}", node)
        what = _SHAPE_WORDS[field.shape]
        found = self._fields(node, SHAPES[field.shape], location, what)
        if field.shape == "iteration" and found.values.get("index", "") == found.values.get("item"):
            self._problem(node, location.path, "item and index must be two different keys")
        return None if self.problems else build_shape(field.shape, found.values)

    def _objects(self, node: Node, field: Field, location: Location) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            raise InvalidValue(f"must be a list, not {shown(node)}", node)
        if field.not_empty and not node.items:
            raise InvalidValue("must not be empty", node)
        if field.maximum is not None and len(node.items) > field.maximum:
            raise InvalidValue(over_limit(f"has {len(node.items):,} elements", int(field.maximum)), node)
        values: list[Any] = []
        for index, item in enumerate(node.items):
            inner = location.at(index)
            try:
                values.append(self._object(item, field, inner))
            except InvalidValue as error:
                self._problem(error.node, inner.path, error.message, error.code)
        return tuple(values)

    def _series(self, node: Node, field: Field, location: Location) -> Series | None:
        if not isinstance(node, Sequence):
            raise InvalidValue(f"must be a list of steps, not {shown(node)}", node)
        if field.not_empty and not node.items:
            raise InvalidValue("must have at least one step", node)
        self.names.owners[location.path] = location.owner
        empty = Series(location.path, (), location.step)
        if node.items:
            self.series[location.path] = empty
        inner = replace(location, series=location.path)
        steps = [
            self._step(item, replace(inner.at(index), step=StepPosition(location.path, index)))
            for index, item in enumerate(node.items)
        ]
        if self.problems:
            return None
        series = Series(location.path, tuple(step for step in steps if step is not None), location.step)
        if series.steps:
            self.series[location.path] = series
        return series

    def _step(self, node: Node, location: Location) -> Step | None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            if self.steps == MAX_STEPS + 1:
                message = over_limit(f"the flow has at least {self.steps:,} steps", MAX_STEPS)
                self._problem(node, location.path, message, "too-large")
            return None
        if not isinstance(node, Object):
            self._problem(node, location.path, f"must be a step, an object with type and name, not {shown(node)}")
            return None
        self._add_name(node, location)
        type_node = node.get("type")
        step_type = type_node.text if isinstance(type_node, Scalar) else ""
        known = step_type in STEP_FIELDS
        what = f"a {step_type} step" if known else "a step"
        fields = STEP + STEP_FIELDS.get(step_type, ())
        inner = replace(location, owner=_owner(step_type, node))
        found = self._fields(node, fields, inner, what, misspelled_only=not known)
        self._check_counts(node, step_type, found, location)
        if self.problems:
            return None
        return build_step(step_type, found.values, path=location.path, line=node.line, column=node.column)

    def _add_name(self, node: Object, location: Location) -> None:
        name = node.get("name")
        if not isinstance(name, Scalar) or name.value is None:
            return
        first = self.names.add(location.series, name.text, path=location.path, line=node.line)
        if first is not None:
            message = f'"{name.text[:128]}" is already the name of {first[0]} (line {first[1]})'
            self._problem(name, f"{location.path}.name", f"{message}; use unique names in a series", "duplicate-name")

    def _check_counts(self, node: Object, step_type: str, found: _Fields, location: Location) -> None:
        """Check the pairs of fields of which exactly one, or at least one, is needed."""
        for names, exactly in ((EXACTLY_ONE.get(step_type), True), (AT_LEAST_ONE.get(step_type), False)):
            if names is None:
                continue
            first, second = names
            count = len(found.present & set(names))
            if count == 0:
                message = f"is missing; a {step_type} step needs {first} or {second}"
                self._problem(node, f"{location.path}.{first}", message, "missing-field")
            elif count == 2 and exactly:
                at = next((key for key, _ in node.entries if key.text == second), node)
                message = f"a {step_type} step has {first} or {second}, not both"
                self._problem(at, f"{location.path}.{second}", message, "conflicting-fields")


_HINTED = {"invalid-value", "unknown-field", "expression-syntax"}
_SHAPE_WORDS = {
    "mapping": "a mapping",
    "option": "an option",
    "default": "a default",
    "branch": "a branch",
    "iteration": "an iterationMapping",
    "retry": "a retry policy",
    "catch": "a catch",
}
_OWNER_WORDS = {"choice": "inside an option", "parallel": "inside a branch", "foreach": "inside the iterations"}


def _owner(step_type: str, node: Object) -> str:
    name = node.get("name")
    step_name = f' of "{name.text[:128]}"' if isinstance(name, Scalar) else ""
    return _OWNER_WORDS.get(step_type, "inside") + step_name


def _absent(value: Node, field: Field) -> bool:
    """Return whether a field is empty, which counts as missing. In a mapping's source, null is a constant."""
    return isinstance(value, Scalar) and value.value is None and field.kind is not Kind.SOURCE
