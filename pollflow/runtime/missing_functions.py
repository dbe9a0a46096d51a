"""Steps whose function this worker lacks, as in a rolling deployment: they are left to a worker that has it."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.fdl.model import FlowResource, FunctionResource
from pollflow.machine import CallRequest
from pollflow.runtime.functions import Functions, names_of
from pollflow.store import Claimed, Directory, Reading

_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.5, 10.0
_MAX_LIVE_PAUSE_SECONDS = 2.0
"""The longest pause while a worker that has the function runs."""
_LIVE_SECONDS = 30.0
"""Workers register their functions at least three times in this period."""


@dataclass(frozen=True, slots=True)
class MissingFunctions:
    """Decides by the functions that workers register how long a step waits for one of them."""

    functions: Functions
    directory: Directory
    reading: Reading
    grace_seconds: float

    def pause(self, claimed: Claimed, request: CallRequest) -> float | None:
        """Return the seconds after which another worker may take the call.

        None if this worker has the function, or if no worker has had it for `pollflow_function_grace`.
        """
        if isinstance(request.resource, FlowResource) or self.functions.find(request.resource) is not None:
            return None
        seen = self.directory.functions_seen()
        if not seen:
            return None  # no worker registers functions here
        now = self.reading.now()
        first = now if claimed.refused_at is None else claimed.refused_at
        last_seen = max((seen.get(name, 0) for name in names_of(request.resource)), default=0)
        left = max(first, last_seen) + self.grace_seconds - now
        if left <= 0:
            return None
        # The pause grows, because an idle worker without the function often takes the message again.
        longest = _MAX_LIVE_PAUSE_SECONDS if now - last_seen < _LIVE_SECONDS else _MAX_PAUSE_SECONDS
        return min(max((now - first) / 2, _MIN_PAUSE_SECONDS), longest, left)


def waiting_reason(request: CallRequest) -> str:
    """Return why the call waits, for users."""
    name = names_of(request.resource)[1 if isinstance(request.resource, FunctionResource) else 0]
    return f"waits for a worker that has the function {name}"
