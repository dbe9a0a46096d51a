"""Build the call of a task step: its resource, payload and idempotency key."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.fdl.model import (
    Flow,
    FlowResource,
    Json,
    JsonObject,
    Pattern,
    Resource,
    ServiceResource,
    TaskStep,
)
from pollflow.machine.data import fill, step_at, step_input
from pollflow.machine.state import ExecutionInfo, FrameState


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call: its resource, its payload, and the idempotency key, which is the same if the call is repeated.

    `pattern` decides how the result is used. With `ignore_result` (`InvocationType: Async`) it is dropped.
    `params` are the filled `serviceParams`, None without them.
    """

    step: str
    resource: Resource
    pattern: Pattern
    payload: JsonObject
    params: Json
    attempt: int
    idempotency_key: str
    timeout_seconds: float | None
    ignore_result: bool


def call_of(flow: Flow, state: FrameState, info: ExecutionInfo) -> CallRequest | None:
    """Return the call that the frame makes now; None if its current step is not a task."""
    step = step_at(flow, state.levels[-1])
    if not isinstance(step, TaskStep):
        return None
    call_input = step_input(flow, state, info)
    params = _params_of(step, call_input)
    with_params = isinstance(step.resource, ServiceResource) and step.resource.takes_params
    key = f"{info.execution_id}/{step.name}/{_entry_name(state)}"
    return CallRequest(
        step=step.name,
        resource=step.resource,
        pattern=step.pattern,
        payload=(params or {}) if with_params else call_input,
        params=params,
        attempt=state.attempt,
        idempotency_key=key if state.attempt == 1 else f"{key}/{state.attempt}",
        timeout_seconds=step.timeout_seconds,
        ignore_result=_is_async(step, params),
    )


def _params_of(step: TaskStep, call_input: JsonObject) -> Json:
    template = step.service_params
    params = None if template is None else fill(template, call_input)
    is_named = isinstance(step.resource, FlowResource) and isinstance(template, dict) and "ExecutionName" in template
    if is_named and isinstance(params, dict):
        # A generated name in place of a missing one would start an order without a number anew each time.
        params.setdefault("ExecutionName", None)
    return params


def _entry_name(state: FrameState) -> str:
    return f"{state.frame}.{state.entry}"


def _is_async(step: TaskStep, params: Json) -> bool:
    if step.pattern is not Pattern.REQUEST_RESPONSE or isinstance(step.resource, FlowResource):
        return False
    return isinstance(params, dict) and params.get("InvocationType") == "Async"
