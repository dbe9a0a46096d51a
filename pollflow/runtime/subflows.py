"""Sub-flows: a step that starts an execution of another flow, and hears of its end.

What crosses shards cannot be one script. Starting is done under a name that follows from the step's idempotency key,
so doing it twice finds what the first time made; the sub-execution keeps the step's task token among its `waiters`,
and telling them of the end is a duty in the wake-up index until it is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pollflow.errors import ExecutionAlreadyExists, FlowNotExists, InvalidArgument, TaskAlreadyCompleted
from pollflow.fdl.model import Flow, FlowResource, JsonObject, Pattern
from pollflow.machine import (
    About,
    CallRequest,
    Event,
    FrameState,
    Raised,
    Returned,
    Submitted,
    call_of,
)
from pollflow.machine.callback import task_token
from pollflow.runtime.starting import Starter, ref_of
from pollflow.store import Address, Claimed, Errand, ExecutionRef, Reading, Waiter


@dataclass(frozen=True, slots=True)
class SubFlows:
    """Starts sub-flows for task steps."""

    starter: Starter
    reading: Reading

    def start(self, claimed: Claimed, request: CallRequest) -> Event:
        """Starts one; answers at once, or waits for its end, as the pattern says."""
        if not isinstance(request.resource, FlowResource):
            raise TypeError(request.resource)
        try:
            flow_name, name, given = asked_of(request, request.resource)
        except ValueError as error:
            return Raised("FnF.RuntimeError", str(error))
        waits = request.pattern is not Pattern.REQUEST_RESPONSE
        token = task_token(claimed.about, claimed.state)
        # A callback is waited for whatever the sub-flow returns; but its failure is that of the call.
        waiter = Waiter(token, hears_success=request.pattern is Pattern.SYNC)
        try:
            if not waits:
                ref, _ = self.starter.start(flow_name, given, name, parent=token)
            else:
                ref = self._start_awaited(claimed, flow_name, given, name, waiter)
        except (FlowNotExists, ExecutionAlreadyExists, InvalidArgument) as error:
            return Raised(f"fnf.{type(error).__name__}", str(error))
        except TaskAlreadyCompleted as error:
            return Raised("FnF.RuntimeError", str(error))  # which is not committed: the step has gone on without it
        started = {"FlowName": ref.flow, "Name": ref.name}
        if waits:
            return Submitted(started)
        return Returned({**started, "Status": self.reading.execution(ref).status.value})

    def _start_awaited(
        self, claimed: Claimed, flow_name: str, given: JsonObject, name: str, waiter: Waiter
    ) -> ExecutionRef:
        try:
            ref, _ = self.starter.start(flow_name, given, name, parent=waiter.token, waiter=waiter)
        except TaskAlreadyCompleted:
            if not self._is_there(claimed.address):
                raise
            # Redis went back in time, and the note was made by who had seen the step gone.
            self.starter.store.take_back(Errand(ref_of(flow_name, name), waiter.token))
            ref, _ = self.starter.start(flow_name, given, name, parent=waiter.token, waiter=waiter)
        return ref

    def _is_there(self, address: Address) -> bool:
        frame = self.reading.frame(address.ref, address.frame)
        if frame is None or frame.token != address.token:
            return False
        return not self.reading.execution(address.ref).status.ended


def awaited_by(flow: Flow, state: FrameState, about: About) -> Errand | None:
    """What is to be done when a step gives up the sub-execution that it waits for; None if it waits for none."""
    request = call_of(flow, state, about)
    if request is None or not isinstance(request.resource, FlowResource):
        return None
    if request.pattern is Pattern.REQUEST_RESPONSE:
        return None
    try:
        flow_name, name, _ = asked_of(request, request.resource)
        ref = ref_of(flow_name, name)
    except ValueError:
        return None  # nothing can have been started under such a name
    return Errand(ref, task_token(about, state))


def asked_of(request: CallRequest, resource: FlowResource) -> tuple[str, str, JsonObject]:
    """Flow, name and input of the sub-execution that a call asks for. Raises ValueError for what is none."""
    params = request.params if isinstance(request.params, dict) else {}
    flow_name = resource.name or params.get("FlowName")
    if not isinstance(flow_name, str):
        raise ValueError("serviceParams.FlowName must be the name of a flow")
    name = params.get("ExecutionName") or _name_of(request)
    given = params.get("Input", request.payload)
    if isinstance(given, str):
        given = json.loads(given)
    if not isinstance(name, str) or not isinstance(given, dict):
        raise ValueError("serviceParams: ExecutionName must be a text, Input an object")
    return flow_name, name, given


def _name_of(request: CallRequest) -> str:
    return "sub-" + hashlib.sha256(request.idempotency_key.encode()).hexdigest()[:24]
