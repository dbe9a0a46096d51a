"""What an execution itself still has to do: its time limit, telling who waits for its end, tidying up, being purged.

Each stands in the wake-up index until it is done, and doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pollflow.errors import ExecutionNotExists, FlowNotExists
from pollflow.fdl.model import FlowResource, Pattern
from pollflow.machine import FrameState, Status, call_of
from pollflow.runtime.engine import Engine
from pollflow.runtime.subflows import asked_of, token_of
from pollflow.store import ExecutionRecord, ExecutionRef

_SLICE = 100

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Duties:
    """Does the duties of executions."""

    engine: Engine

    def do(self, ref: ExecutionRef, duty: str) -> None:
        """Does one duty that is due."""
        known: dict[str, Callable[[ExecutionRecord], None]] = {
            "deadline": self._time_out,
            "notify": self.engine.tell_end,
            "orphan": self._stop_orphan,
            "tidy": self._tidy,
            "purge": self.purge,
        }
        if duty not in known:
            logger.warning("left to a later release", extra={"execution": str(ref), "duty": duty})
            return
        try:
            known[duty](self.engine.reading.execution(ref))
        except ExecutionNotExists:
            self.engine.store.done(ref, duty, "")

    def _time_out(self, record: ExecutionRecord) -> None:
        flow = self.engine.flows.get(record.digest)
        limit = flow.timeout_seconds or 0.0
        if self.engine.reading.now() < record.started_at + limit:
            return  # taken for an execution that is no more; this one has its name, and a time limit of its own
        cause = f"the execution did not end within {limit:g} seconds"
        self.engine.end(record.ref, Status.TIMED_OUT, "FnF.ExecutionTimeout", cause)
        self.engine.store.done(record.ref, "deadline", record.id)

    def _stop_orphan(self, record: ExecutionRecord) -> None:
        """Stops a sub-execution whose step ceased to wait before it was there to be found."""
        if record.parent and not record.status.ended and not self.engine.is_waited_for(record.parent):
            self.engine.end(record.ref, Status.STOPPED, "", "the step that started it does not wait any more")
        self.engine.store.done(record.ref, "orphan", record.id)

    def _tidy(self, record: ExecutionRecord) -> None:
        self._tidy_slice(record)

    def purge(self, record: ExecutionRecord) -> None:
        """Deletes an ended execution and all that is left of it. What runs is left alone."""
        self.engine.tell_end(record)
        while self._tidy_slice(record) > 0:
            pass
        self.engine.store.purge(record.ref, record.id, record.status)

    def _tidy_slice(self, record: ExecutionRecord) -> int:
        """Deletes some frames of an ended execution, and stops what just these waited for. How many are left."""
        frames = self.engine.reading.frame_names(record.ref, _SLICE)
        for name in frames:
            frame = self.engine.reading.frame(record.ref, name)
            if frame is not None:
                self.let_sub_flow_go(record, frame.state, record.error or "", record.cause or "")
        return self.engine.store.tidy(record.ref, frames)

    def let_sub_flow_go(self, record: ExecutionRecord, state: FrameState, error: str, cause: str) -> None:
        """Stops the execution that a step waited for and waits for no more, if it is the one that the step started."""
        try:
            flow = self.engine.flows.get(record.digest)
        except FlowNotExists:
            return  # Redis has lost the definition: what it waited for cannot be known
        request = call_of(flow, state, record.about)
        if request is None or not isinstance(request.resource, FlowResource):
            return
        if request.pattern is Pattern.REQUEST_RESPONSE:
            return
        try:
            flow_name, name, _ = asked_of(request, request.resource)
            ref = ExecutionRef(flow_name, name)
            if self.engine.reading.execution(ref).parent == token_of(record.about, state):
                self.engine.end(ref, Status.STOPPED, error, cause)
        except (ValueError, LookupError):
            logger.info("no sub-execution to stop", extra={"execution": str(record.ref)})
