"""Check a definition's nodes by the table in `fields.py`; return the model, or report every problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

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
from pollflow.fdl.kinds import Wrong, read_value, shown
from pollflow.fdl.model import Series, Step, StepPosition
from pollflow.fdl.problems import MAX_PROBLEMS, Problem, near
from pollflow.fdl.reader import Node, Object, Scalar, Sequence
from pollflow.fdl.targets import Goto, Names


@dataclass(frozen=True, slots=True)
class Place:
    """Where the check is: the path in the document, the series of the enclosing step, its owner in words.

    `step` is the position of the enclosing step.
    """

    path: str = ""
    series: str = ""
    owner: str = "in the flow's own series"
    step: StepPosition | None = None

    def inside(self, name: str) -> Place:
        """The place of a field."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name)

    def at(self, index: int) -> Place:
        """The place of an element."""
        return replace(self, path=f"{self.path}[{index}]")


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows that an object is read by, and words for the object."""

    fields: dict[str, Field]
    what: str
    misspelt_only: bool


@dataclass(slots=True)
class _Fields:
    """The fields of one object: good values by their names in the model, and the names of all that stand there."""

    values: Values
    input: set[str]


class Checker:
    """Reads one definition. `series` and `problems` fill while `read` runs."""

    def __init__(self, path: str, *, max_wait_seconds: float) -> None:
        self.path = path
        self.max_wait_seconds = max_wait_seconds
        self.problems: list[Problem] = []
        self.series: dict[str, Series] = {}
        self.names = Names()
        self.steps = 0

    def read(self, root: Node) -> Values:
        """The flow's fields by their names in the model; worth nothing once there are problems."""
        if not isinstance(root, Object):
            message = f"a definition is an object with version, type and steps, not {shown(root)}"
            self._problem(root, "", message)
            return {}
        values = self._fields(root, FLOW, Place(), "a flow").values
        for goto, reason in islice(self.names.wrong_gotos(), MAX_PROBLEMS):
            self._problem(goto.node, goto.place, reason, "unknown-step")
        return values

    def _problem(self, node: Node, place: str, message: str, code: str = "invalid-value", *, column: int = 0) -> None:
        where = column or node.column
        self.problems.append(Problem(self.path, node.line, where, place, message, code))

    def _fields(
        self, node: Object, fields: tuple[Field, ...], place: Place, what: str, *, misspelt_only: bool = False
    ) -> _Fields:
        """All fields of an object. With `misspelt_only`, other unknown ones are not reported."""
        table = _Table({field.name: field for field in fields}, what, misspelt_only)
        found = _Fields({}, set())
        for key, value in node.entries:
            field = table.fields.get(key.text)
            inner = place.inside(key.text[:100])
            if field is None:
                self._unknown(node, key, inner, table, found)
            elif not _absent(value, field):
                found.input.add(field.name)
                self._field(value, field, inner, found.values)
        for field in fields:
            if field.required and field.name not in found.input:
                at = next((key for key, _ in node.entries if key.text == field.name), node)
                message = f"is missing; {what} needs it: {field.means}"
                self._problem(at, place.inside(field.name).path, message, "missing-field")
        return found

    def _unknown(self, node: Object, key: Scalar, place: Place, table: _Table, found: _Fields) -> None:
        if len(self.problems) > MAX_PROBLEMS:
            return
        present = {other.text for other, _ in node.entries}
        guess = near(key.text, (name for name in table.fields if name not in present))
        message = f'unknown field "{key.text[:100]}"'
        if guess is not None:
            # The field is there, under a wrong name: that is one problem, not two.
            found.input.add(guess)
            self._problem(key, place.path, f'{message}; did you mean "{guess}"?', "unknown-field")
        elif not table.misspelt_only:
            known = ", ".join(table.fields)
            self._problem(key, place.path, f"{message}; {table.what} has {known}", "unknown-field")

    def _field(self, node: Node, field: Field, place: Place, values: Values) -> None:
        try:
            values[field.attribute] = self._value(node, field, place)
        except Wrong as wrong:
            self._problem(wrong.node, place.path, wrong.message, wrong.code, column=wrong.column)

    def _value(self, node: Node, field: Field, place: Place) -> Any:
        if field.kind is Kind.SERIES:
            return self._series(node, field, place)
        if field.kind is Kind.OBJECT:
            return self._object(node, field, place)
        if field.kind is Kind.OBJECTS:
            return self._objects(node, field, place)
        if field.kind is Kind.DURATION:
            field = replace(field, minimum=0, maximum=self.max_wait_seconds)
        value = read_value(node, field)
        if field.kind is Kind.GOTO:
            self.names.gotos.append(Goto(value, node, place.path, place.series))
        return value

    def _object(self, node: Node, field: Field, place: Place) -> Any:
        if not isinstance(node, Object):
            raise Wrong(f"must be an object, not {shown(node)}", node)
        what = _WORDS[field.shape]
        found = self._fields(node, SHAPES[field.shape], place, what)
        if field.shape == "iteration" and found.values.get("index", "") == found.values.get("item"):
            self._problem(node, place.path, "item and index must be two different keys")
        return None if self.problems else build_shape(field.shape, found.values)

    def _objects(self, node: Node, field: Field, place: Place) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            raise Wrong(f"must be a list, not {shown(node)}", node)
        if field.not_empty and not node.items:
            raise Wrong("must not be empty", node)
        if field.maximum is not None and len(node.items) > field.maximum:
            raise Wrong(f"must have at most {field.maximum:.0f} elements, not {len(node.items)}", node)
        values: list[Any] = []
        for index, item in enumerate(node.items):
            inner = place.at(index)
            try:
                values.append(self._object(item, field, inner))
            except Wrong as wrong:
                self._problem(wrong.node, inner.path, wrong.message, wrong.code)
        return tuple(values)

    def _series(self, node: Node, field: Field, place: Place) -> Series | None:
        if not isinstance(node, Sequence):
            raise Wrong(f"must be a list of steps, not {shown(node)}", node)
        if field.not_empty and not node.items:
            raise Wrong("must have at least one step", node)
        self.names.owners[place.path] = place.owner
        empty = Series(place.path, (), place.step)
        if node.items:
            self.series[place.path] = empty
        inner = replace(place, series=place.path)
        steps = [
            self._step(item, replace(inner.at(index), step=StepPosition(place.path, index)))
            for index, item in enumerate(node.items)
        ]
        if self.problems:
            return None
        series = Series(place.path, tuple(step for step in steps if step is not None), place.step)
        if series.steps:
            self.series[place.path] = series
        return series

    def _step(self, node: Node, place: Place) -> Step | None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            if self.steps == MAX_STEPS + 1:
                self._problem(node, place.path, f"a flow has at most {MAX_STEPS:,} steps", "too-large")
            return None
        if not isinstance(node, Object):
            self._problem(node, place.path, f"must be a step, an object with type and name, not {shown(node)}")
            return None
        self._take_name(node, place)
        type_node = node.get("type")
        step_type = type_node.text if isinstance(type_node, Scalar) else ""
        known = step_type in STEP_FIELDS
        what = f"a {step_type} step" if known else "a step"
        fields = STEP + STEP_FIELDS.get(step_type, ())
        inner = replace(place, owner=_owner(step_type, node))
        found = self._fields(node, fields, inner, what, misspelt_only=not known)
        self._check_counts(node, step_type, found, place)
        if self.problems:
            return None
        return build_step(step_type, found.values, path=place.path, line=node.line, column=node.column)

    def _take_name(self, node: Object, place: Place) -> None:
        name = node.get("name")
        if not isinstance(name, Scalar) or name.value is None:
            return
        first = self.names.take(place.series, name.text, path=place.path, line=node.line)
        if first is not None:
            message = f'"{name.text[:128]}" is the name of {first[0]} (line {first[1]}) already'
            self._problem(name, f"{place.path}.name", f"{message}; names are unique within a series", "duplicate-name")

    def _check_counts(self, node: Object, step_type: str, found: _Fields, place: Place) -> None:
        """Exactly one, or at least one, of two fields."""
        for names, exactly in ((EXACTLY_ONE.get(step_type), True), (AT_LEAST_ONE.get(step_type), False)):
            if names is None:
                continue
            first, second = names
            count = len(found.input & set(names))
            if count == 0:
                message = f"is missing; a {step_type} step needs {first} or {second}"
                self._problem(node, f"{place.path}.{first}", message, "missing-field")
            elif count == 2 and exactly:
                at = next((key for key, _ in node.entries if key.text == second), node)
                message = f"a {step_type} step has {first} or {second}, not both"
                self._problem(at, f"{place.path}.{second}", message, "conflicting-fields")


_WORDS = {
    "mapping": "a mapping",
    "option": "an option",
    "default": "a default",
    "branch": "a branch",
    "iteration": "an iterationMapping",
    "retry": "a retry policy",
    "catch": "a catch",
}
_OWNERS = {"choice": "inside an option", "parallel": "inside a branch", "foreach": "inside the iterations"}


def _owner(step_type: str, node: Object) -> str:
    name = node.get("name")
    message = f' of "{name.text[:128]}"' if isinstance(name, Scalar) else ""
    return _OWNERS.get(step_type, "inside") + message


def _absent(value: Node, field: Field) -> bool:
    """Whether a field is empty, which counts as missing; but null is a constant as a mapping's source."""
    return isinstance(value, Scalar) and value.value is None and field.kind is not Kind.SOURCE
