"""Build the model from the values of checked fields. Called only while no problem has been found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollflow.fdl.model import STEP_TYPES, Catch, Mapping, Option, Pattern, Retry, Series, Step
from pollflow.fdl.resources import parse_action

Values = dict[str, Any]
"""The values of an object's fields by the names that they have in the model."""


def build_step(step_type: str, values: Values, *, path: str, line: int, column: int) -> Step:
    """The step of that type, at that place in the document."""
    fields = dict(values)
    fields.pop("type", None)
    if step_type in _RENAMED:
        fields = _RENAMED[step_type](fields)
    return STEP_TYPES[step_type](path=path, line=line, column=column, **fields)


def build_shape(shape: str, values: Values) -> Any:
    """The value of an object that is no step."""
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
    # An empty list of steps is none: the machine never meets a series without a step.
    return Option(values.get("condition"), steps if steps and steps.steps else None, values.get("goto"))


_RENAMED: dict[str, Callable[[Values], Values]] = {"task": _task, "choice": _choice, "foreach": _foreach}
_SHAPES: dict[str, Callable[[Values], Any]] = {
    "mapping": lambda values: Mapping(**values),
    "option": _option,
    "default": _option,
    "branch": lambda values: values["steps"],
    "iteration": lambda values: values,
    "retry": lambda values: Retry(**values),
    "catch": lambda values: Catch(**values),
}
