"""Where mappings read from: locals that no step sets, contexts that are not there, texts that look like paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from typing_extensions import assert_never

from pollflow.fdl.expr import Path
from pollflow.fdl.expr.path import Every
from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.report import Report
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
from pollflow.fdl.problems import near

Keys = frozenset[str] | None
"""Keys that a local can have; None where any is possible."""

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
_MAPPING_PATHS = "only $input, $local and $context begin a path here"
_STEP_PATHS = "only $ alone, $. and $[ begin a path here, from the step's own input"
_MAX_PRECISE = 500
"""Steps of a series for which it is asked who comes before whom; in longer ones any step may have set a key."""


def lint_sources(flow: Flow, graphs: Graphs, report: Report) -> None:
    """Warns of each mapping of the flow that reads what cannot be there."""
    locals_ = _Locals(graphs)
    sources = _Sources(report)
    sources.check("inputMappings", flow.input_mappings, keys=_NONE, where="the flow's local, empty at its start")
    keys = locals_.of_series(flow.steps)
    sources.check("outputMappings", flow.output_mappings, keys=keys, where="the flow's local")
    for series in flow.series.values():
        for position, step in enumerate(series.steps):
            _lint_step(locals_, sources, series, position, step)


def _lint_step(locals_: _Locals, sources: _Sources, series: Series, position: int, step: Step) -> None:
    place = f"{step.path}."
    token = isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK
    keys = locals_.before(series, position, step.input_mappings)
    where = "the local that the steps before it fill"
    sources.check(f"{place}inputMappings", step.input_mappings, keys=keys, where=where, token=token)
    own = f"the local of this {step.type} step"
    if isinstance(step, MapStep):
        sources.check_list(f"{place}outputMappings", step, locals_)
    else:
        sources.check(f"{place}outputMappings", step.output_mappings, keys=locals_.own(step), where=own)
    if isinstance(step, FailStep):
        for name, text in (("error", step.error), ("cause", step.cause)):
            warn_of_constant(sources.report, f"{place}{name}", text, right=_STEP_PATHS)
    if isinstance(step, TaskStep):
        _lint_params(sources.report, f"{place}serviceParams", step.service_params)
        error_keys = frozenset(("error", "cause"))
        where = "the local of an error, which has error and cause"
        sources.check(f"{place}errorMappings", step.error_mappings, keys=error_keys, where=where)


def _lint_params(report: Report, field: str, value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _lint_params(report, f"{field}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _lint_params(report, f"{field}[{index}]", inner)
    else:
        warn_of_constant(report, field, value, right=_STEP_PATHS)


class _Locals:
    """Which keys the locals of steps and series can have."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs
        self._known: dict[str, Keys] = {}

    def own(self, step: Step) -> Keys:
        """The keys of a step's own local; those of a parallel or foreach are lists and have none."""
        match step:
            case TaskStep():
                return _NONE if drops_result(step) else None
            case ChoiceStep():
                options = (*step.choices, step.default)
                return _union(self.of_series(option.steps) for option in options if option and option.steps)
            case PassStep() | WaitStep() | ParallelStep() | ForeachStep() | SucceedStep() | FailStep():
                return _NONE
            case _:
                assert_never(step)

    def put_out(self, step: Step) -> Keys:
        """The keys that a step can set in its parent's local."""
        keys = self.own(step) if step.output_mappings is None else _targets(step.output_mappings)
        if isinstance(step, TaskStep) and step.catch:
            keys = _union((keys, _targets(step.error_mappings or ())))
        return keys

    def of_series(self, series: Series) -> Keys:
        """The keys that the local which the series fills can have."""
        if series.path not in self._known:
            reached = self.graphs.of(series).reached()
            self._known[series.path] = _union(self.put_out(series.steps[position]) for position in reached)
        return self._known[series.path]

    def before(self, series: Series, position: int, mappings: Mappings | None) -> Keys:
        """The keys that the parent's local can have when this step is entered."""
        if not mappings or len(series.steps) > _MAX_PRECISE:
            return self.of_series(series)
        earlier = self.graphs.of(series).before(position)
        return _union(self.put_out(series.steps[other]) for other in earlier)


class _Sources:
    """Checks lists of mappings."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def check(self, place: str, mappings: Mappings | None, *, keys: Keys, where: str, token: bool = False) -> None:
        """Mappings whose `$local` is an object with these keys."""
        for field, path in self._paths(place, mappings, token=token):
            key = path.parts[0] if path.parts else None
            if path.root != "local" or key is None or keys is None or key in keys:
                continue
            guess = None if self.report.is_full else near(str(key), sorted(keys))
            hint = f"; did you mean $local.{guess}?" if guess else ""
            message = f"{path.text}: nobody sets this key in {where}{hint}"
            self.report.warn(field, "unset-local", message)

    def check_list(self, place: str, step: MapStep, locals_: _Locals) -> None:
        """Mappings whose `$local` is the list of the locals of branches or iterations."""
        inner = step.branches if isinstance(step, ParallelStep) else (step.steps,)
        keys = _union(locals_.of_series(series) for series in inner)
        for field, path in self._paths(place, step.output_mappings, token=False):
            if path.root != "local" or not path.parts:
                continue
            first, second = (*path.parts, None)[:2]
            if isinstance(first, str):
                message = f"{path.text}: the local of a {step.type} step is a list; write $local[*].{first}"
                self.report.warn(field, "unset-local", message)
            elif isinstance(second, Every) or (isinstance(second, str) and keys is not None and second not in keys):
                message = f"{path.text}: nobody sets this key inside this {step.type} step"
                self.report.warn(field, "unset-local", message)

    def _paths(self, place: str, mappings: Mappings | None, *, token: bool) -> Iterator[tuple[str, Path]]:
        """The paths among the sources; warns of what is wrong with any list of mappings."""
        seen: set[str] = set()
        for index, mapping in enumerate(mappings or ()):
            field = f"{place}[{index}].source"
            if mapping.target in seen:
                message = f'"{mapping.target}" is the target of an earlier mapping too; this one wins'
                self.report.warn(f"{place}[{index}].target", "duplicate-target", message)
            seen.add(mapping.target)
            if isinstance(mapping.source, Constant):
                warn_of_constant(self.report, field, mapping.source.value, right=_MAPPING_PATHS)
                continue
            if mapping.source.root == "context":
                self._context(field, mapping.source, token=token)
            yield field, mapping.source

    def _context(self, field: str, path: Path, *, token: bool) -> None:
        if path.parts == ("task", "token") and not token:
            message = "there is a task token only in the input mappings of a task with pattern: waitForCallback"
            self.report.warn(field, "task-token", message)
        elif path.parts and not any(known[: len(path.parts)] == path.parts for known in _CONTEXT):
            known = ", ".join(sorted(".".join(parts) for parts in _CONTEXT))
            self.report.warn(field, "unknown-context", f"{path.text} leads nowhere; $context has {known}")


def warn_of_constant(report: Report, field: str, value: object, *, right: str) -> None:
    """Warns of a text that looks like a path; `right` says what begins one there."""
    if isinstance(value, str) and _LOOKS_LIKE_PATH.fullmatch(value):
        message = f'"{value[:100]}" is a constant text: {right}'
        report.warn(field, "constant-path", message)


def drops_result(step: TaskStep) -> bool:
    """Whether the step asks to go on without the result (`InvocationType: Async`)."""
    params = step.service_params
    is_async = isinstance(params, dict) and params.get("InvocationType") == "Async"
    return is_async and step.pattern is Pattern.REQUEST_RESPONSE


def _targets(mappings: Mappings) -> frozenset[str]:
    return frozenset(mapping.target for mapping in mappings)


def _union(several: Iterable[Keys]) -> Keys:
    found: set[str] = set()
    for keys in several:
        if keys is None:
            return None
        found |= keys
    return frozenset(found)
