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
from pollflow.runtime.parents import OrphanDecision, orphan_decision
from pollflow.runtime.subflows import awaited_by
from pollflow.store import ExecutionRecord, ExecutionRef, FrameRecord, OutboxEntry, ParentLink

_SLICE = 100

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class MaintenanceJobs:
    """Does the duties of executions."""

    engine: Engine

    def do(self, ref: ExecutionRef, job: str) -> None:
        """Does one duty that is due."""
        known: dict[str, Callable[[ExecutionRecord], object]] = {
            "deadline": self._time_out,
            "notify": self.engine.notify_parents,
            "orphan": self._stop_orphan,
            "errand": self._drain_outbox,
            "tidy": self._delete_frames,
            "purge": self.purge,
        }
        if job not in known:
            logger.warning("left to a later release", extra={"execution": str(ref), "duty": job})
            return
        try:
            known[job](self.engine.reading.execution(ref))
        except ExecutionNotExists:
            self.engine.store.done(ref, job, "")

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
        decisions = self._decisions(record)
        if OrphanDecision.LATER in decisions.values():
            return  # it is asked again, until the step is there or the execution has gone another way
        self._stop_unless_needed(record, decisions, "", "the step that started it does not wait any more")
        self.engine.store.done(record.ref, "orphan", record.id)

    def _drain_outbox(self, record: ExecutionRecord) -> None:
        """Stops the sub-executions that steps have given up, in other ways than by the end of their execution."""
        for outbox_entry in record.outbox:
            self._cancel_child(outbox_entry, "FnF.TaskTimeout", "the step that waited gave it up")
            self.engine.store.outbox_done(record.ref, outbox_entry.dump(), record.id)

    def purge(self, record: ExecutionRecord) -> None:
        """Deletes an ended execution and all that is left of it. What runs is left alone."""
        if not self.engine.notify_parents(record):
            return
        self._drain_outbox(record)
        while self._delete_frames(record) > 0:
            pass
        self.engine.store.purge(record.ref, record.id, record.status)

    def _delete_frames(self, record: ExecutionRecord) -> int:
        """Deletes some frames of an ended execution, and stops what just these waited for. How many are left."""
        frames = self.engine.reading.frame_names(record.ref, _SLICE)
        for name in frames if record.status is not Status.SUCCEEDED else ():
            frame = self.engine.reading.frame(record.ref, name)
            outbox_entry = None if frame is None else self._awaited_by(frame, record)
            if outbox_entry is not None:
                self._cancel_child(outbox_entry, record.error or "", record.cause or "")
        return self.engine.store.cleanup(record.ref, record.id, frames)

    def _awaited_by(self, frame: FrameRecord, record: ExecutionRecord) -> OutboxEntry | None:
        try:
            flow = self.engine.flows.get(record.digest)
        except FlowNotExists:
            return None  # Redis has lost the definition: what it waited for cannot be known
        return awaited_by(flow, frame.state, record.info)

    def _cancel_child(self, outbox_entry: OutboxEntry, error: str, cause: str) -> None:
        # First of all, so that a worker that is late with starting it finds the note, or is found by what follows.
        self.engine.store.cancel_child(outbox_entry)
        try:
            record = self.engine.reading.execution(outbox_entry.ref)
        except ExecutionNotExists:
            return
        if outbox_entry.token in record.steps:
            self._stop_unless_needed(record, self._decisions(record), error, cause)

    def _decisions(self, record: ExecutionRecord) -> dict[ParentLink, OrphanDecision]:
        """What the steps that wait need of an execution that runs."""
        parent_links = () if record.status.ended else record.parent_links
        return {parent_link: orphan_decision(self.engine.reading, parent_link) for parent_link in parent_links}

    def _stop_unless_needed(
        self, record: ExecutionRecord, decisions: dict[ParentLink, OrphanDecision], error: str, cause: str
    ) -> None:
        # One that a client has started, or a step that did not wait, is nobody's to stop.
        if record.status.ended or not record.is_awaited_by_its_starter:
            return
        cancellations = self.engine.reading.cancellations(record.ref)
        if all(
            decision is OrphanDecision.NONE or parent_link.token in cancellations
            for parent_link, decision in decisions.items()
        ):
            self.engine.end(
                record.ref, Status.STOPPED, error, cause, execution_id=record.id, parent_links=record.parent_links
            )
