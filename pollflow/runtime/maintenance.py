"""Maintenance jobs of an execution: its time limit, notifying parents, stopping sub-executions, cleanup and purge.

Each job is in the wake-up index until it is done. Running it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pollflow.errors import ExecutionNotExists, FlowNotExists
from pollflow.machine import Status
from pollflow.runtime.engine import Engine
from pollflow.runtime.parents import ChildDecision, child_decision
from pollflow.runtime.subflows import awaited_by
from pollflow.store import ExecutionRecord, FrameRecord, OutboxEntry, ParentLink

_SLICE = 100

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class MaintenanceJobs:
    """Runs the maintenance jobs of executions."""

    engine: Engine

    def run(self, record: ExecutionRecord, job: str) -> None:
        """Run one job that is due. A job that only a later release knows stays in the index."""
        jobs: dict[str, Callable[[ExecutionRecord], object]] = {
            "deadline": self._time_out,
            "notify": self.engine.notify_parents,
            "orphan": self._stop_orphan,
            "outbox": self._drain_outbox,
            "cleanup": self._delete_frames,
            "purge": self.purge,
        }
        if job not in jobs:
            logger.warning("a maintenance job needs a later release", extra={"execution": str(record.ref), "job": job})
            return
        jobs[job](record)

    def purge(self, record: ExecutionRecord) -> None:
        """Delete an ended execution and its history. A running execution is not changed."""
        if not self.engine.notify_parents(record):
            return
        self._drain_outbox(record)
        while self._delete_frames(record) > 0:
            pass
        self.engine.store.purge(record.key, record.status)

    def _time_out(self, record: ExecutionRecord) -> None:
        limit = self.engine.flows.get(record.digest).timeout_seconds or 0.0
        cause = f"the execution did not end within {limit:g} seconds"
        self.engine.end(record.key, Status.TIMED_OUT, "FnF.ExecutionTimeout", cause)
        self.engine.store.job_done(record.key, "deadline")

    def _stop_orphan(self, record: ExecutionRecord) -> None:
        """Stop a sub-execution whose starting step Redis has lost, unless that step may be entered again."""
        decisions = self._decisions(record)
        if ChildDecision.CHECK_LATER in decisions.values():
            return  # the sweep runs the job again until the step is open, or its execution has taken another path
        self._stop_unless_needed(record, decisions, "", "the step that started the execution no longer waits for it")
        self.engine.store.job_done(record.key, "orphan")

    def _drain_outbox(self, record: ExecutionRecord) -> None:
        """Stop the sub-executions that steps no longer want, while the parent execution continues."""
        for entry in self.engine.reading.outbox(record.ref):
            self._cancel_child(entry, "FnF.TaskTimeout", "the step no longer waits for the execution")
            self.engine.store.outbox_done(record.key, entry)

    def _delete_frames(self, record: ExecutionRecord) -> int:
        """Delete a slice of an ended execution's frames, and stop the sub-executions that only these waited for.

        Return how many frames are left.
        """
        frames = self.engine.reading.frame_names(record.ref, _SLICE)
        for name in frames if record.status is not Status.SUCCEEDED else ():
            frame = self.engine.reading.frame(record.ref, name)
            entry = None if frame is None else self._awaited_by(frame, record)
            if entry is not None:
                self._cancel_child(entry, record.error or "", record.cause or "")
        return self.engine.store.cleanup(record.key, frames)

    def _awaited_by(self, frame: FrameRecord, record: ExecutionRecord) -> OutboxEntry | None:
        try:
            flow = self.engine.flows.get(record.digest)
        except FlowNotExists:
            return None  # Redis has lost the definition, so it is unknown what the frame waited for
        return awaited_by(flow, frame.state, record.info)

    def _cancel_child(self, entry: OutboxEntry, error: str, cause: str) -> None:
        # The note comes first: a late start of the sub-flow finds the note, or its execution is found below.
        self.engine.store.cancel_child(entry)
        try:
            record = self.engine.reading.execution(entry.ref)
        except ExecutionNotExists:
            return
        decisions = self._decisions(record)
        if entry.token == record.parent or any(entry.token == link.token for link in decisions):
            self._stop_unless_needed(record, decisions, error, cause)

    def _decisions(self, record: ExecutionRecord) -> dict[ParentLink, ChildDecision]:
        """Return the decision of each waiting step about a running sub-execution."""
        if record.status.ended:
            return {}
        reading = self.engine.reading
        return {link: child_decision(reading, link) for link in reading.parent_links(record.ref)}

    def _stop_unless_needed(
        self, record: ExecutionRecord, decisions: dict[ParentLink, ChildDecision], error: str, cause: str
    ) -> None:
        # Stop only an execution whose starter waits for it, not one of a client or of a step that did not wait.
        is_awaited_by_its_starter = any(link.token == record.parent for link in decisions)
        if record.status.ended or not is_awaited_by_its_starter:
            return
        cancelled = self.engine.reading.cancellations(record.ref)
        if all(decision is ChildDecision.STOP or link.token in cancelled for link, decision in decisions.items()):
            self.engine.end(record.key, Status.STOPPED, error, cause, parent_links=tuple(decisions))
