"""`Caller`: makes the call of a task step and returns its result or error as an event for the machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timezone

from pollflow.errors import StepError
from pollflow.fdl.model import FlowResource, JsonObject, Pattern
from pollflow.machine import CallRequest, Event, Raised, Returned, Submitted
from pollflow.runtime.causes import raised_by, traceback_of
from pollflow.runtime.deferred_signals import interruptible
from pollflow.runtime.functions import CallLogger, Context, Function, Functions, missing_cause
from pollflow.runtime.interruptions import IsInterruption, is_interruption
from pollflow.runtime.invoke import invoke
from pollflow.runtime.masking import Mask, hider_of
from pollflow.runtime.subflows import SubFlows
from pollflow.store import Claimed

logger = logging.getLogger("pollflow.function")


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls functions and starts sub-flows. `is_interruption` says which exceptions end a call without a result."""

    functions: Functions
    sub_flows: SubFlows
    max_crashes: int
    mask: Mask
    is_interruption: IsInterruption = is_interruption

    def call(self, claimed: Claimed, request: CallRequest) -> Event:
        """Make the call and return its event. Whatever the function raises becomes an event, except interruptions."""
        if claimed.crashes >= self.max_crashes:
            last = f"; the last call {claimed.reason}" if claimed.reason else ""
            cause = f"the process of the call ended {claimed.crashes} times before it returned{last}"
            return Raised("FC.Unknown", cause)
        if isinstance(request.resource, FlowResource):
            return self.sub_flows.start(claimed, request)
        function = self.functions.find(request.resource)
        if function is None:
            return Raised("FC.FunctionNotFound", missing_cause(request.resource, self.functions))
        context = context_of(claimed, request, self.mask)
        event = event_of(function, request.payload, context, self.is_interruption)
        if not isinstance(event, Returned):
            return event
        if request.pattern is Pattern.WAIT_FOR_CALLBACK:
            return Submitted({})
        return Returned({}) if request.ignore_result else event


def event_of(
    function: Function, input: JsonObject, context: Context, is_interruption: IsInterruption
) -> Returned | Raised:
    """Call a function and return the event. Whatever it raises becomes an event, except interruptions."""
    try:
        return Returned(interruptible(lambda: invoke(function, input, context)))
    except BaseException as error:
        # This includes pollflow's own errors: they come from a client that the function uses.
        if is_interruption(error):
            raise
        event = raised_by(error)
        if not issubclass(type(error), StepError):
            _log(context, event, error, is_interruption)
        return event


def _log(context: Context, event: Raised, error: BaseException, is_interruption: IsInterruption) -> None:
    try:
        context.logger.warning("the function failed", exc_info=(type(error), error, traceback_of(error)))
    except BaseException as raised:  # by the exception of the user while the handler formats it
        if is_interruption(raised):
            raise
        context.logger.warning("the function failed: %s: %s", event.error, event.cause)


def context_of(claimed: Claimed, request: CallRequest, mask: Mask) -> Context:
    """Return the context of a call. Its logger masks the secrets of the call's data."""
    info = claimed.info
    extra = {
        "flow": info.flow_name,
        "execution": info.execution_name,
        "step": request.step,
        "attempt": request.attempt,
    }
    deadline = None if claimed.deadline is None else datetime.fromtimestamp(claimed.deadline, timezone.utc)
    return Context(
        execution_id=info.execution_id,
        execution_name=info.execution_name,
        flow_name=info.flow_name,
        step=request.step,
        attempt=request.attempt,
        idempotency_key=request.idempotency_key,
        deadline=deadline,
        logger=CallLogger(logger, extra, hider_of(mask, claimed.state, request.payload)),
    )
