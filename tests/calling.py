"""One call of a function by the Caller of workers, without a store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pollflow import Context, Functions
from pollflow.fdl.model import FunctionResource, Pattern
from pollflow.machine import CallRequest, Event, Raised
from pollflow.machine.state import ExecutionInfo, FrameState, Level
from pollflow.runtime.calls import Caller
from pollflow.runtime.masking import Mask
from pollflow.store import Claimed, ExecutionKey, ExecutionRef, MessageKey

RESOURCE = FunctionResource("acs:fc:cn:1:services/jobs/functions/status", "jobs", "status")
CONTEXT = Context("id", "x", "f", "step", 1, "id/step/r.1", None, logging.LoggerAdapter(logging.getLogger("t"), {}))


def call(function: Callable[..., Any] | None, *, starts: int = 1, reason: str = "", **changes: Any) -> Event:
    """Call a function that is registered as `jobs/status` with `{"a": 1}`, or as the changes of the request say."""
    functions = Functions()
    if function is not None:
        functions.register("jobs/status", function)
    info = ExecutionInfo("f", "x", "id", 0, "secret")
    state = FrameState("r", {}, (Level("steps", 0, {}),))
    key = MessageKey(ExecutionKey(ExecutionRef("f", "x"), "id"), "r", "t")
    claimed = Claimed(key, "n", "call", state, info, "d", 0, starts, reason=reason)
    request: dict[str, Any] = {
        "step": "step",
        "resource": RESOURCE,
        "pattern": Pattern.REQUEST_RESPONSE,
        "payload": {"a": 1},
        "params": None,
        "attempt": 1,
        "idempotency_key": "k",
        "timeout_seconds": None,
        "ignore_result": False,
    }
    return Caller(functions, None, 3, Mask()).call(claimed, CallRequest(**{**request, **changes}))  # type: ignore[arg-type]


def raised(error: BaseException) -> Raised:
    """Return the event of a call whose function raises the error."""

    def fails(input: dict[str, Any], context: Context) -> None:
        raise error

    event = call(fails)
    assert isinstance(event, Raised)
    return event
