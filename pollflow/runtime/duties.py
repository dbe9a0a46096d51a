"""What an execution itself still has to do: its time limit, telling who waits for its end, tidying up, being purged.

Each stands in the wake-up index until it is done, and doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pollflow.errors import ExecutionNotExists, FlowNotExists
from pollflow.machine import Status
from pollflow.runtime.engine import Engine
from pollflow.runtime.subflows import awaited_by
from pollflow.runtime.waiters import Need, need_of
from pollflow.store import Errand, ExecutionRecord, ExecutionRef, FrameRecord, Waiter

_SLICE = 100

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Duties:
    """Does the duties of executions."""

    engine: Engine

    def do(self, ref: ExecutionRef, duty: str) -> None:
        """Does one duty that is due."""
        known: dict[str, Callable[[ExecutionRecord], object]] = {
            "deadline": self._time_out,
            "notify": self.engine.tell_end,
            "orphan": self._stop_orphan,
            "errand": self._do_errands,
            "tidy": self._tidy_slice,
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
        self.engine.end(record.ref, Status.TIMED_OUT, "FnF.ExecutionTimeout", cause, execution_id=record.id)
        self.engine.store.done(record.ref, "deadline", record.id)

    def _stop_orphan(self, record: ExecutionRecord) -> None:
        """Stops a sub-execution of a step that Redis has forgotten. One that is still to come finds what it started."""
        needs = self._needs(record)
        if Need.LATER in needs.values():
            return  # it is asked again, until the step is there or the execution has gone another way
        self._stop_unless_needed(record, needs, "", "the step that started it does not wait any more")
        self.engine.store.done(record.ref, "orphan", record.id)

    def _do_errands(self, record: ExecutionRecord) -> None:
        """Stops the sub-executions that steps have given up, in other ways than by the end of their execution."""
        for errand in record.errands:
            self._let_go(errand, "FnF.TaskTimeout", "the step that waited gave it up")
            self.engine.store.errand_done(record.ref, errand.dump(), record.id)

    def purge(self, record: ExecutionRecord) -> None:
        """Deletes an ended execution and all that is left of it. What runs is left alone."""
        if not self.engine.tell_end(record):
            return
        self._do_errands(record)
        while self._tidy_slice(record) > 0:
            pass
        self.engine.store.purge(record.ref, record.id, record.status)

    def _tidy_slice(self, record: ExecutionRecord) -> int:
        """Deletes some frames of an ended execution, and stops what just these waited for. How many are left."""
        frames = self.engine.reading.frame_names(record.ref, _SLICE)
        for name in frames if record.status is not Status.SUCCEEDED else ():
            frame = self.engine.reading.frame(record.ref, name)
            errand = None if frame is None else self._awaited_by(frame, record)
            if errand is not None:
                self._let_go(errand, record.error or "", record.cause or "")
        return self.engine.store.tidy(record.ref, record.id, frames)

    def _awaited_by(self, frame: FrameRecord, record: ExecutionRecord) -> Errand | None:
        try:
            flow = self.engine.flows.get(record.digest)
        except FlowNotExists:
            return None  # Redis has lost the definition: what it waited for cannot be known
        return awaited_by(flow, frame.state, record.about)

    def _let_go(self, errand: Errand, error: str, cause: str) -> None:
        # First of all, so that a worker that is late with starting it finds the note, or is found by what follows.
        self.engine.store.give_up(errand)
        try:
            record = self.engine.reading.execution(errand.ref)
        except ExecutionNotExists:
            return
        if errand.token in record.steps:
            self._stop_unless_needed(record, self._needs(record), error, cause)

    def _needs(self, record: ExecutionRecord) -> dict[Waiter, Need]:
        """What the steps that wait need of an execution that runs."""
        waiters = () if record.status.ended else record.waiters
        return {waiter: need_of(self.engine.reading, waiter) for waiter in waiters}

    def _stop_unless_needed(self, record: ExecutionRecord, needs: dict[Waiter, Need], error: str, cause: str) -> None:
        # One that a client has started, or a step that did not wait, is nobody's to stop.
        if record.status.ended or not record.is_awaited_by_its_starter:
            return
        given_up = self.engine.reading.given_up(record.ref)
        if all(need is Need.NONE or waiter.token in given_up for waiter, need in needs.items()):
            self.engine.end(record.ref, Status.STOPPED, error, cause, execution_id=record.id, waiters=record.waiters)
