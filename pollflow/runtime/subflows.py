"""Sub-flows: a step that starts an execution of another flow and may wait for its end.

Parent and sub-execution may be in different shards, so no single script changes both. The sub-execution's name is
derived from the step's idempotency key, so a repeated start finds the first one. The sub-execution stores the step's
task token as a parent link. Notifying the parents is a maintenance job until it is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pollflow.amounts import too_deep
from pollflow.errors import ExecutionAlreadyExists, FlowNotExists, InvalidArgument, TaskAlreadyCompleted
from pollflow.fdl.model import Flow, FlowResource, Json, JsonObject, Pattern
from pollflow.machine import (
    CallRequest,
    Event,
    ExecutionInfo,
    FrameState,
    Raised,
    Returned,
    Submitted,
    call_of,
)
from pollflow.machine.callback import task_token
from pollflow.machine.data import MAX_DEPTH
from pollflow.runtime import arguments
from pollflow.runtime.engine_errors import stage
from pollflow.runtime.starting import Starter, ref_of
from pollflow.store import Claimed, ExecutionKey, MessageKey, OutboxEntry, ParentLink, Reading, Started


@dataclass(frozen=True, slots=True)
class SubFlows:
    """Starts sub-flows for task steps."""

    starter: Starter
    reading: Reading

    def start(self, claimed: Claimed, request: CallRequest) -> Event:
        """Start a sub-flow. Return the result of the step, or Submitted if the step waits for the sub-flow's end."""
        if not isinstance(request.resource, FlowResource):
            raise TypeError(request.resource)
        try:
            flow_name, name, input = requested_start(request, request.resource)
        except InvalidArgument as error:
            return Raised("fnf.InvalidArgument", str(error))
        except ValueError as error:
            return Raised("FnF.RuntimeError", str(error))
        waits = request.pattern is not Pattern.REQUEST_RESPONSE
        token = task_token(claimed.info, claimed.state)
        # With waitForCallback the sub-flow's success does not end the step, but its failure does.
        parent_link = ParentLink(token, notify_on_success=request.pattern is Pattern.SYNC)
        try:
            with stage("start of the sub-flow"):
                if not waits:
                    key = self.starter.start(flow_name, input, name, parent=token).key
                else:
                    key = self._start_awaited(claimed, flow_name, input, name, parent_link)
        except (FlowNotExists, ExecutionAlreadyExists, InvalidArgument) as error:
            return Raised(f"fnf.{type(error).__name__}", str(error))
        except TaskAlreadyCompleted as error:
            return Raised("FnF.RuntimeError", str(error))  # this event is never committed: the step has ended
        started = {"FlowName": key.ref.flow, "Name": key.ref.name}
        if waits:
            return Submitted(started)
        return Returned({**started, "Status": self.reading.execution(key.ref).status.value})

    def _start_awaited(
        self, claimed: Claimed, flow_name: str, input: JsonObject, name: str, parent_link: ParentLink
    ) -> ExecutionKey:
        def start() -> Started:
            return self.starter.start(flow_name, input, name, parent=parent_link.token, parent_link=parent_link)

        try:
            return start().key
        except TaskAlreadyCompleted:
            if not self._is_open(claimed.key):
                raise
            # Redis has lost recent writes: the step was cancelled, but it is open again.
            self.starter.store.undo_cancel(OutboxEntry(ref_of(flow_name, name), parent_link.token))
            return start().key

    def _is_open(self, key: MessageKey) -> bool:
        frame = self.reading.frame(key.ref, key.frame)
        if frame is None or frame.token != key.token:
            return False
        return not self.reading.execution(key.ref).status.ended


def awaited_by(flow: Flow, state: FrameState, info: ExecutionInfo) -> OutboxEntry | None:
    """Return the outbox entry that stops the step's sub-execution; None if the step waits for none."""
    request = call_of(flow, state, info)
    if request is None or not isinstance(request.resource, FlowResource):
        return None
    if request.pattern is Pattern.REQUEST_RESPONSE:
        return None
    try:
        flow_name, name, _ = requested_start(request, request.resource)
        ref = ref_of(flow_name, name)
    except ValueError:
        return None  # no sub-flow was started with these arguments
    return OutboxEntry(ref, task_token(info, state))


def requested_start(request: CallRequest, resource: FlowResource) -> tuple[str, str, JsonObject]:
    """Return flow name, execution name and input of the requested sub-execution. Raises ValueError."""
    params = request.params if isinstance(request.params, dict) else {}
    flow_name = resource.name or params.get("FlowName")
    if not isinstance(flow_name, str):
        raise ValueError("serviceParams.FlowName must be the name of a flow")
    # A name that is empty, null or missing in the input is an error, see `call_of`.
    name = params["ExecutionName"] if "ExecutionName" in params else _name_of(request)
    input = params.get("Input", request.payload)
    if isinstance(input, str):
        input = _decoded(input)
    if not isinstance(name, str) or not isinstance(input, dict):
        raise ValueError("serviceParams: ExecutionName must be a string and Input an object")
    arguments.name("serviceParams.FlowName", flow_name)
    arguments.name("serviceParams.ExecutionName", name)
    return flow_name, name, input


def _decoded(text: str) -> Json:
    try:
        decoded: Json = json.loads(text)
    except RecursionError:
        raise ValueError(too_deep("serviceParams.Input", MAX_DEPTH)) from None
    except ValueError as error:
        raise ValueError(f"serviceParams.Input is not JSON: {error}") from error
    return decoded


def _name_of(request: CallRequest) -> str:
    return "sub-" + hashlib.sha256(request.idempotency_key.encode()).hexdigest()[:24]
