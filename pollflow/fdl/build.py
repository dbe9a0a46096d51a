"""Build the model from the values of checked fields. Called only if the definition has no problem so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollflow.fdl.model import STEP_TYPES, Catch, Mapping, Option, Pattern, Retry, Series, Step
from pollflow.fdl.resources import parse_action

Values = dict[str, Any]
"""The values of an object's fields, by their names in the model."""

_STEP_CLASSES = {name: step_class for step_class, name in STEP_TYPES.items()}


def build_step(step_type: str, values: Values, *, path: str, line: int, column: int) -> Step:
    """Return the step of that type; the arguments after `values` locate it in the document."""
    fields = {name: value for name, value in values.items() if name != "type"}
    if step_type in _CONVERTERS:
        fields = _CONVERTERS[step_type](fields)
    return _STEP_CLASSES[step_type](path=path, line=line, column=column, **fields)


def build_shape(shape: str, values: Values) -> Any:
    """Return the value of an object that is not a step."""
    return _SHAPES[shape](values)


def _task(values: Values) -> Values:
    action = values.pop("action", None)
    resource = values.pop("resource_arn", None) if action is None else parse_action(action)
    pattern = Pattern(values.pop("pattern", Pattern.REQUEST_RESPONSE))
    return {**values, "resource": resource, "pattern": pattern}


def _choice(values: Values) -> Values:
    return {**values, "choices": values.get("choices", ())}


def _foreach(values: Values) -> Values:
    iteration: Values = values.pop("iteration_mapping")
    return {**values, **iteration}


def _option(values: Values) -> Option:
    steps: Series | None = values.get("steps")
    # An empty list of steps becomes None, since the machine needs at least one step in a series.
    return Option(values.get("condition"), steps if steps and steps.steps else None, values.get("goto"))


_CONVERTERS: dict[str, Callable[[Values], Values]] = {"task": _task, "choice": _choice, "foreach": _foreach}
_SHAPES: dict[str, Callable[[Values], Any]] = {
    "mapping": lambda values: Mapping(**values),
    "option": _option,
    "default": _option,
    "branch": lambda values: values["steps"],
    "iteration": lambda values: values,
    "retry": lambda values: Retry(**values),
    "catch": lambda values: Catch(**values),
}
