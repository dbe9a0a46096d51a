"""`Caller`: makes the call of a task step and returns its result or error as an event for the machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timezone

from pollflow.errors import StepError, StoreUnavailable
from pollflow.fdl.model import FlowResource, Json, JsonObject, Pattern
from pollflow.machine import CallRequest, Event, Raised, Returned, Submitted
from pollflow.machine.limits import MAX_CAUSE, shortened
from pollflow.runtime.functions import CallLogger, Context, Function, Functions, invoke, missing_cause
from pollflow.runtime.subflows import SubFlows
from pollflow.store import Claimed

logger = logging.getLogger("pollflow.function")


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls functions and starts sub-flows."""

    functions: Functions
    sub_flows: SubFlows
    max_crashes: int

    def call(self, claimed: Claimed, request: CallRequest) -> Event:
        """Make the call and return its event. An exception of the function becomes an event too."""
        if claimed.crashes >= self.max_crashes:
            return Raised("FC.Unknown", f"the process of the call ended {claimed.crashes} times before it returned")
        if isinstance(request.resource, FlowResource):
            return self.sub_flows.start(claimed, request)
        function = self.functions.find(request.resource)
        if function is None:
            return Raised("FC.FunctionNotFound", missing_cause(request.resource, self.functions))
        event = _invoked(function, request.payload, context_of(claimed, request))
        if not isinstance(event, Returned):
            return event
        if request.pattern is Pattern.WAIT_FOR_CALLBACK:
            return Submitted({})
        return Returned({}) if request.ignore_result else event


def _invoked(function: Function, input: JsonObject, context: Context) -> Event:
    try:
        result: Json = invoke(function, input, context)
    except StepError as error:
        return Raised(str(error.error), _shortened(str(error.cause or "")), (type(error).__name__, *_bases(error)))
    except StoreUnavailable:
        raise
    except Exception as error:  # any exception of a user's function is the step's error
        context.logger.warning("the function failed", exc_info=True)
        return Raised(type(error).__name__, _shortened(_text_of(error)), _bases(error))
    return Returned(result)


def _text_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # the `__str__` of a user's exception may raise
        return "the error has no text"


def _bases(error: Exception) -> tuple[str, ...]:
    return tuple(base.__name__ for base in type(error).__mro__[1:] if issubclass(base, Exception))


def _shortened(cause: str) -> str:
    return shortened(cause, MAX_CAUSE)


def context_of(claimed: Claimed, request: CallRequest) -> Context:
    """Return the context of a call."""
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
        logger=CallLogger(logger, extra),
    )
