"""Compute inputs, outputs and locals of steps, as section "How data moves" of `docs/language.md` describes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping as MappingABC
from datetime import datetime, timezone

from pollflow.amounts import over_limit, too_deep
from pollflow.fdl.expr import MISSING, Path
from pollflow.fdl.model import (
    Constant,
    Flow,
    Json,
    JsonObject,
    Mappings,
    Pattern,
    Step,
    TaskStep,
)
from pollflow.machine.callback import task_token
from pollflow.machine.refused import StepRefused
from pollflow.machine.state import ExecutionInfo, FrameState, Level

MAX_DEPTH = 200
"""The deepest nesting of data. A mapping `a: $local` in a loop adds a level each round, and parsers have limits."""
_UNMEASURED_READS = 16
"""The reads of a list of mappings that are not measured, because the payload limit bounds each of them."""
_MAX_READ_BYTES = 16 << 20
_ELEMENT_BYTES = 8
"""The size of an element that `[*]` collects, which the path may leave out again."""
TOO_DEEP = sys.maxsize
"""The size of a value that exceeds MAX_DEPTH."""


class _Reads:
    """The reads of the mappings that make one value. Ten thousand mappings can each copy the whole input."""

    def __init__(self) -> None:
        self._count = 0
        self._size = 0

    def read(self, path: Path, roots: MappingABC[str, Json]) -> Json:
        """Return what the path reads, or MISSING. Raises StepRefused if all reads together are too large."""
        value = path.read(roots, self._collect)
        self._count += 1
        # The payload limit does not bound the list of the locals of branches or iterations.
        is_bounded = not isinstance(roots.get(path.root), list)
        if value is not MISSING and (self._count > _UNMEASURED_READS or not is_bounded):
            self._spend(size_of(value))
        return value

    def _collect(self, elements: int) -> None:
        self._spend(elements * _ELEMENT_BYTES)

    def _spend(self, size: int) -> None:
        self._size += size
        if self._size > _MAX_READ_BYTES:
            cause = over_limit(f"the values that mappings read have at least {self._size:,} bytes", _MAX_READ_BYTES)
            raise StepRefused("FnF.DataLimitExceeded", cause)


def map_values(mappings: Mappings, roots: MappingABC[str, Json], reads: _Reads | None = None) -> JsonObject:
    """Return an object of the targets, without those whose source path does not exist.

    Raises StepRefused before the object fills the memory. `reads` counts those of several lists of mappings together.
    """
    mapped: JsonObject = {}
    reads = reads or _Reads()
    for mapping in mappings:
        if isinstance(mapping.source, Constant):
            mapped[mapping.target] = mapping.source.value
            continue
        value = reads.read(mapping.source, roots)
        if value is not MISSING:
            mapped[mapping.target] = value
    return mapped


def fill(template: Json, step_input: JsonObject) -> Json:
    """Return `serviceParams` with the values of their `$` paths in the step's input, without missing paths."""
    return _filled(template, {"": step_input}, _Reads())


def _filled(template: Json, roots: MappingABC[str, Json], reads: _Reads) -> Json:
    if isinstance(template, Path):
        return reads.read(template, roots)
    if isinstance(template, dict):
        filled = {key: _filled(value, roots, reads) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not MISSING}
    if isinstance(template, list | tuple):
        return [value for value in (_filled(item, roots, reads) for item in template) if value is not MISSING]
    return template


def flow_input(flow: Flow, execution_input: JsonObject, info: ExecutionInfo) -> JsonObject:
    """Return the flow's input, which its mappings derive from the execution's input."""
    if flow.input_mappings is None:
        return execution_input
    return map_values(flow.input_mappings, {"input": execution_input, "local": {}, "context": _context(info)})


def flow_output(flow: Flow, state: FrameState, info: ExecutionInfo) -> JsonObject:
    """Return the flow's output by its mappings, or its local without them."""
    local = state.levels[0].local
    if flow.output_mappings is None:
        return local
    return map_values(flow.output_mappings, {"input": state.input, "local": local, "context": _context(info)})


def step_at(flow: Flow, level: Level) -> Step:
    """Return the step that a level visits."""
    return flow.series[level.series].steps[level.step]


def step_input(flow: Flow, state: FrameState, info: ExecutionInfo) -> JsonObject:
    """Return the input of the current step of the frame."""
    return inputs_of(flow, state, info)[1]


def inputs_of(flow: Flow, state: FrameState, info: ExecutionInfo) -> tuple[JsonObject, JsonObject]:
    """Return the parent's input of the current series, and the input of the current step.

    The parent's input is that of the frame, or of the choice around the series.
    """
    parent = value = state.input
    reads = _Reads()
    for number, level in enumerate(state.levels, start=1):
        parent = value
        step = step_at(flow, level)
        if step.input_mappings is None:
            value = {**value, **level.local}
            continue
        innermost = number == len(state.levels)
        context = context_object(step, level, info, token_of=state if innermost else None)
        value = map_values(step.input_mappings, {"input": value, "local": level.local, "context": context}, reads)
    return parent, value


def context_object(step: Step, level: Level, info: ExecutionInfo, *, token_of: FrameState | None = None) -> JsonObject:
    """Return `$context` for the mappings of a step; a step that waits for a callback has the token of `token_of`."""
    context = _context(info)
    context["step"] = {"name": step.name, "eventId": level.entered}
    if token_of is not None and isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK:
        context["task"] = {"token": task_token(info, token_of)}
    return context


def _context(info: ExecutionInfo) -> JsonObject:
    started = datetime.fromtimestamp(info.started_at, timezone.utc)
    return {
        "flow": {"name": info.flow_name},
        "execution": {
            "name": info.execution_name,
            "startedTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
    }


# `json.dumps` makes an encoder at each call with options.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def size_of(*values: Json) -> int:
    """Return the size of the values together as UTF-8 JSON, in bytes; TOO_DEEP if one exceeds MAX_DEPTH."""
    size = 0
    for value in values:
        try:
            text = _ENCODER.encode(value)
        except RecursionError:
            return TOO_DEEP
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
            return TOO_DEEP
        size += len(text.encode("utf-8", "replace"))
    return size


def over_size(name: str, size: int, limit: int) -> str:
    """Return the message for a value that is too deep, or larger than the limit of bytes."""
    if size == TOO_DEEP:
        return too_deep(name, MAX_DEPTH)
    return over_limit(f"{name} has {size:,} bytes", limit, "max_payload_bytes")


def _is_deep(value: Json) -> bool:
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True
