"""Warnings of sources: locals that no step sets, unknown paths into $context, texts that look like paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from typing_extensions import assert_never

from pollflow.fdl.expr import Path
from pollflow.fdl.expr.path import Wildcard
from pollflow.fdl.lint.budget import Analysis
from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.report import LintReport, field_of
from pollflow.fdl.model import (
    ChoiceStep,
    Constant,
    FailStep,
    Flow,
    ForeachStep,
    Mappings,
    MapStep,
    ParallelStep,
    PassStep,
    Pattern,
    Series,
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from pollflow.suggestions import MAX_CANDIDATES, near

Keys = frozenset[str] | None
"""Keys that a local can have; None if any key is possible."""

_NONE: frozenset[str] = frozenset()
_LOOKS_LIKE_PATH = re.compile(r"\$\w*[.\[].*", re.DOTALL)
_CONTEXT = {
    ("flow", "name"),
    ("execution", "name"),
    ("execution", "startedTime"),
    ("step", "name"),
    ("step", "eventId"),
    ("task", "token"),
}
_MAPPING_PATHS = "here a path starts with $input, $local or $context"
_STEP_PATHS = "here a path is $, or starts with $. or $[, and reads the step's own input"
_MAX_PRECISE = 500
"""Steps of a series up to which the order of steps counts; in a longer series any step may have set a key."""


def lint_sources(flow: Flow, local_keys: Locals, report: LintReport) -> None:
    """Warn of each mapping of the flow that reads a value which cannot exist."""
    sources = _Sources(report)
    sources.check(
        "inputMappings", flow.input_mappings, keys=_NONE, where="the flow's local, which is empty at the start"
    )
    keys = local_keys.of_series(flow.steps)
    sources.check("outputMappings", flow.output_mappings, keys=keys, where="the flow's local")
    for series in flow.series.values():
        for position, step in enumerate(series.steps):
            _lint_step(local_keys, sources, series, position, step)


def _lint_step(local_keys: Locals, sources: _Sources, series: Series, position: int, step: Step) -> None:
    prefix = f"{step.path}."
    token = isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK
    keys = local_keys.before(series, position, step.input_mappings)
    where = "the local, which the steps before this one fill"
    sources.check(f"{prefix}inputMappings", step.input_mappings, keys=keys, where=where, token=token)
    own = f"the local of this {step.type} step"
    if isinstance(step, MapStep):
        sources.check_list(f"{prefix}outputMappings", step, local_keys)
    else:
        sources.check(f"{prefix}outputMappings", step.output_mappings, keys=local_keys.own(step), where=own)
    if isinstance(step, FailStep):
        for name, text in (("error", step.error), ("cause", step.cause)):
            warn_of_constant(sources.report, f"{prefix}{name}", text, hint=_STEP_PATHS)
    if isinstance(step, TaskStep):
        _lint_params(sources.report, f"{prefix}serviceParams", step.service_params)
        error_keys = frozenset(("error", "cause"))
        where = "the local, which has only error and cause here"
        sources.check(f"{prefix}errorMappings", step.error_mappings, keys=error_keys, where=where)


def _lint_params(report: LintReport, field: str, value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _lint_params(report, field_of(field, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _lint_params(report, f"{field}[{index}]", inner)
    else:
        warn_of_constant(report, field, value, hint=_STEP_PATHS)


class Locals:
    """The keys that the locals of steps and series can have."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs
        self._known: dict[str, Keys] = {}
        self._set_by: dict[str, Keys] = {}
        self._equal: dict[frozenset[str], frozenset[str]] = {}

    def own(self, step: Step) -> Keys:
        """Return the keys of a step's own local. The local of a map step is a list and has none."""
        match step:
            case TaskStep():
                return _NONE if drops_result(step) else None
            case ChoiceStep():
                options = (*step.choices, step.default)
                return self.union(self.of_series(option.steps) for option in options if option and option.steps)
            case PassStep() | WaitStep() | ParallelStep() | ForeachStep() | SucceedStep() | FailStep():
                return _NONE
            case _:
                assert_never(step)

    def set_by(self, step: Step) -> Keys:
        """Return the keys that a step can set in its parent's local."""
        if step.path not in self._set_by:
            keys = self.own(step) if step.output_mappings is None else targets_of(step.output_mappings)
            if isinstance(step, TaskStep) and step.catch:
                keys = self.union((keys, targets_of(step.error_mappings or ())))
            self._set_by[step.path] = keys
        return self._set_by[step.path]

    def of_series(self, series: Series) -> Keys:
        """Return the keys that the steps of a series can set in their parent's local."""
        if series.path not in self._known:
            reached = self.graphs.of(series).reached()
            self._known[series.path] = self.union(self.set_by(series.steps[position]) for position in reached)
        return self._known[series.path]

    def before(self, series: Series, position: int, mappings: Mappings | None) -> Keys:
        """Return the keys that the parent's local can have when this step is entered."""
        if not mappings:
            return self.of_series(series)
        return self.filled(series, position)

    def filled(self, series: Series, position: int) -> Keys:
        """Return the keys that the steps before this one can have set in the parent's local."""
        if len(series.steps) > _MAX_PRECISE:
            return self.of_series(series)
        graph = self.graphs.of(series)
        if not self.graphs.budget.spend(Analysis.KEYS, graph.size):
            return None
        return self.union(self.set_by(series.steps[other]) for other in graph.before(position))

    def union(self, key_sets: Iterable[Keys]) -> Keys:
        """Return the keys of all sets; None if one of them is None, or if the budget is used up."""
        found: set[str] = set()
        for keys in key_sets:
            if keys is None or not self.graphs.budget.spend(Analysis.KEYS, len(keys)):
                return None
            found |= keys
        # Most steps of a loop have the same keys.
        frozen = frozenset(found)
        return self._equal.setdefault(frozen, frozen)


class _Sources:
    """Check lists of mappings."""

    def __init__(self, report: LintReport) -> None:
        self.report = report

    def check(self, list_field: str, mappings: Mappings | None, *, keys: Keys, where: str, token: bool = False) -> None:
        """Check mappings whose `$local` is an object with these keys."""
        for field, path in self._paths(list_field, mappings, token=token):
            key = path.parts[0] if path.parts else None
            if path.root != "local" or key is None or keys is None or key in keys:
                continue
            guess = None if self.report.is_full else near(str(key), in_order(keys))
            hint = f"; did you mean $local.{guess}?" if guess else ""
            message = f"{path.text}: no step sets this key in {where}{hint}"
            self.report.warn(field, "unset-local", message)

    def check_list(self, list_field: str, step: MapStep, local_keys: Locals) -> None:
        """Check mappings whose `$local` is the list of the locals of branches or iterations."""
        inner = step.branches if isinstance(step, ParallelStep) else (step.steps,)
        keys = local_keys.union(local_keys.of_series(series) for series in inner)
        for field, path in self._paths(list_field, step.output_mappings, token=False):
            if path.root != "local" or not path.parts:
                continue
            first, second = (*path.parts, None)[:2]
            if isinstance(first, str):
                message = f"{path.text}: the local of a {step.type} step is a list; write $local[*].{first}"
                self.report.warn(field, "unset-local", message)
            elif isinstance(second, Wildcard) or (isinstance(second, str) and keys is not None and second not in keys):
                message = f"{path.text}: no step inside this {step.type} step sets this key"
                self.report.warn(field, "unset-local", message)

    def _paths(self, list_field: str, mappings: Mappings | None, *, token: bool) -> Iterator[tuple[str, Path]]:
        """Yield the paths among the sources; warn of mistakes that are independent of `$local`."""
        seen: set[str] = set()
        for index, mapping in enumerate(mappings or ()):
            field = f"{list_field}[{index}].source"
            if mapping.target in seen:
                message = f'"{mapping.target}" is also the target of an earlier mapping; this one wins'
                self.report.warn(f"{list_field}[{index}].target", "duplicate-target", message)
            seen.add(mapping.target)
            if isinstance(mapping.source, Constant):
                warn_of_constant(self.report, field, mapping.source.value, hint=_MAPPING_PATHS)
                continue
            if mapping.source.root == "context":
                self._context(field, mapping.source, token=token)
            yield field, mapping.source

    def _context(self, field: str, path: Path, *, token: bool) -> None:
        if path.parts == ("task", "token") and not token:
            message = "only the input mappings of a task with pattern: waitForCallback have a task token"
            self.report.warn(field, "task-token", message)
        elif path.parts and not any(known[: len(path.parts)] == path.parts for known in _CONTEXT):
            known = ", ".join(sorted(".".join(parts) for parts in _CONTEXT))
            self.report.warn(field, "unknown-context", f"{path.text} does not exist; $context has {known}")


def warn_of_constant(report: LintReport, field: str, value: object, *, hint: str) -> None:
    """Warn of a text that looks like a path; `hint` says how a path starts there."""
    if isinstance(value, str) and _LOOKS_LIKE_PATH.fullmatch(value):
        message = f'"{value[:100]}" is a constant text: {hint}'
        report.warn(field, "constant-path", message)


def drops_result(step: TaskStep) -> bool:
    """Return whether the step asks to continue without the result (`InvocationType: Async`)."""
    params = step.service_params
    is_async = isinstance(params, dict) and params.get("InvocationType") == "Async"
    return is_async and step.pattern is Pattern.REQUEST_RESPONSE


def targets_of(mappings: Mappings) -> frozenset[str]:
    """Return the keys of the object that the mappings make; fewer if a path leads nowhere."""
    return frozenset(mapping.target for mapping in mappings)


def in_order(keys: frozenset[str]) -> list[str]:
    """Return the keys to suggest, sorted; none of too many."""
    return sorted(keys) if len(keys) <= MAX_CANDIDATES else []
