"""Warnings of paths that read a key which the input of their step cannot have.

The keys of an input are known where mappings make it. They are also known where it is merged from a known input and
from the locals of steps whose keys are known. The result of a function may have any key.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest

from pollflow.fdl.expr import Path, paths_in
from pollflow.fdl.lint.report import LintReport, field_of
from pollflow.fdl.lint.sources import Keys, Locals, in_order, targets_of
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    Flow,
    ForeachStep,
    Mappings,
    ParallelStep,
    Series,
    Step,
    TaskStep,
    WaitStep,
)
from pollflow.suggestions import near


def lint_inputs(flow: Flow, local_keys: Locals, report: LintReport) -> None:
    """Warn of each path of the flow that reads a missing key of an input."""
    inputs = Inputs(flow, local_keys)
    for field, path in _mapped("outputMappings", flow.output_mappings):
        _check(field, path, inputs.of_flow, report)
    for series in flow.series.values():
        for step in series.steps:
            if step.path not in inputs.of_steps:
                continue  # no path leads to the step
            for field, path in _mapped(f"{step.path}.inputMappings", step.input_mappings):
                _check(field, path, inputs.of_parents[series.path], report)
            for field, path in _own_paths(step):
                _check(field, path, inputs.of_steps[step.path], report)


class Inputs:
    """The keys that the inputs of reached steps and of their series can have, by the paths of the steps and series."""

    def __init__(self, flow: Flow, local_keys: Locals) -> None:
        self._graphs = local_keys.graphs
        self._locals = local_keys
        self._merged: dict[tuple[Keys, Keys], Keys] = {}
        self.of_flow: Keys = None if flow.input_mappings is None else targets_of(flow.input_mappings)
        self.of_parents: dict[str, Keys] = {}
        self.of_steps: dict[str, Keys] = {}
        self._add(flow.steps, self.of_flow)

    def _add(self, series: Series, parent: Keys) -> None:
        self.of_parents[series.path] = parent
        for position in sorted(self._graphs.of(series).reached()):
            step = series.steps[position]
            if step.input_mappings is None:
                keys = parent if parent is None else self._merge(parent, self._locals.filled(series, position))
            else:
                keys = targets_of(step.input_mappings)
            self.of_steps[step.path] = keys
            for inner, extra in _inner(step):
                self._add(inner, self._merge(keys, extra))

    def _merge(self, first: Keys, second: Keys) -> Keys:
        """Return the union. Many steps have the same keys, which are kept once."""
        if (first, second) not in self._merged:
            self._merged[first, second] = self._locals.union((first, second))
        return self._merged[first, second]


def _inner(step: Step) -> Iterator[tuple[Series, frozenset[str]]]:
    """Yield each series of a step, with the keys that its input has besides those of the step."""
    nothing: frozenset[str] = frozenset()
    if isinstance(step, ChoiceStep):
        for option in (*step.choices, step.default):
            if option is not None and option.steps is not None:
                yield option.steps, nothing
    elif isinstance(step, ParallelStep):
        for branch in step.branches:
            yield branch, nothing
    elif isinstance(step, ForeachStep):
        yield step.steps, frozenset(key for key in (step.item, step.index) if key is not None)


def _own_paths(step: Step) -> Iterator[tuple[str, Path]]:
    """Yield each path that reads the step's own input, with its field."""
    yield from _mapped(f"{step.path}.outputMappings", step.output_mappings)
    if isinstance(step, ChoiceStep):
        for index, option in enumerate(step.choices):
            if option.condition is not None:
                for path in paths_in(option.condition.tree):
                    yield f"{step.path}.choices[{index}].condition", path
    elif isinstance(step, WaitStep):
        yield from _paths(step.path, (("duration", step.duration), ("timestamp", step.timestamp)))
    elif isinstance(step, ForeachStep):
        yield f"{step.path}.iterationMapping.collection", step.collection
    elif isinstance(step, FailStep):
        yield from _paths(step.path, (("error", step.error), ("cause", step.cause)))
    elif isinstance(step, TaskStep):
        yield from _mapped(f"{step.path}.errorMappings", step.error_mappings)
        yield from _params(f"{step.path}.serviceParams", step.service_params)


def _paths(prefix: str, fields: tuple[tuple[str, object], ...]) -> Iterator[tuple[str, Path]]:
    for name, value in fields:
        if isinstance(value, Path):
            yield f"{prefix}.{name}", value


def _params(field: str, value: object) -> Iterator[tuple[str, Path]]:
    if isinstance(value, Path):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _params(field_of(field, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _params(f"{field}[{index}]", inner)


def _mapped(field: str, mappings: Mappings | None) -> Iterator[tuple[str, Path]]:
    """Yield the paths into `$input` among the sources, with their fields."""
    for index, mapping in enumerate(mappings or ()):
        if isinstance(mapping.source, Path) and mapping.source.root == "input":
            yield f"{field}[{index}].source", mapping.source


def _check(field: str, path: Path, keys: Keys, report: LintReport) -> None:
    key = path.parts[0] if path.parts else None
    if keys is None or not isinstance(key, str) or key in keys:
        return
    hint = "" if report.is_full else _hint(key, keys)
    report.warn(field, "unset-input", f"{path.text[:100]}: nothing sets this key of the input{hint}")


def _hint(key: str, keys: frozenset[str]) -> str:
    guess = near(key, in_order(keys))
    return f'; did you mean "{guess}"?' if guess else f"; it has {', '.join(nsmallest(10, keys)) or 'no keys'}"
