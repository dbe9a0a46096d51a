"""Maintenance jobs of an execution: its time limit, notifying parents, stopping sub-executions, cleanup and purge.

Each job is in the wake-up index until it is done. Running it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pollflow.amounts import duration
from pollflow.errors import ExecutionNotExists
from pollflow.machine import Status
from pollflow.runtime.engine import Engine
from pollflow.runtime.engine_errors import passes
from pollflow.runtime.notifying import notify_parents
from pollflow.runtime.parents import ChildDecision, child_decision, prefetched
from pollflow.runtime.subflows import awaited_by
from pollflow.store import MAX_PARENTS, ExecutionKey, ExecutionRecord, OutboxEntry, ParentLink, Reading, WakeUp

_SLICE = 100

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class MaintenanceJobs:
    """Runs the maintenance jobs of executions."""

    engine: Engine

    def run(self, record: ExecutionRecord, job: str) -> None:
        """Run one job that is due. A job that only a later release knows stays in the index."""
        jobs: dict[str, Callable[[ExecutionRecord], object]] = {
            "notify": lambda record: notify_parents(self.engine, record),
            "orphan": self._stop_orphan,
            "outbox": self._drain_outbox,
            "cleanup": self._delete_frames,
            "purge": self.purge,
        }
        if job not in jobs:
            logger.warning("a maintenance job needs a later release", extra={"execution": str(record.ref), "job": job})
            return
        jobs[job](record)

    def purge(self, record: ExecutionRecord, by: str | None = None) -> None:
        """Delete an ended execution and its history. A running execution is not changed. `by`: the user who purges it.

        An error of the engine does not prevent that: it ends a parent that cannot be notified, and drops the rest.
        """
        if not record.status.ended:
            return
        left = MAX_PARENTS + 1
        while (still := notify_parents(self.engine, record, ends_broken=True)) > 0:
            if still >= left:
                return  # the rest needs a later release
            left = still
        self._drain(record)
        while self._delete_frames(record) > 0:
            pass
        self.engine.store.purge(record.key, record.status, by)

    def time_out(self, key: ExecutionKey) -> None:
        """End an execution that has reached its time limit. This reads nothing but the limit."""
        engine = self.engine
        try:
            limit = engine.reading.time_limit(key.ref)
        except ValueError:
            limit = None
        cause = "the execution did not end in time"
        if limit is not None:
            cause = f"the execution did not end within {duration(limit)}"
            if limit >= engine.decider.limits.max_execution_seconds:
                cause += ", the limit of an execution (pollflow_max_execution_time)"
        try:
            # The cause has no data of users, so that a worker without the key and a broken codec do not matter.
            engine.end(key, Status.TIMED_OUT, "FnF.ExecutionTimeout", cause, is_clear=True)
        except ExecutionNotExists:
            engine.store.forget(WakeUp(key, job="deadline"))
        else:
            engine.store.job_done(key, "deadline")

    def _stop_orphan(self, record: ExecutionRecord) -> None:
        """Stop a sub-execution whose starting step Redis has lost, unless that step may be entered again."""
        decisions = self._decisions(record)
        if ChildDecision.CHECK_LATER in decisions.values():
            return  # the sweep runs the job again until the step is open, or its execution has taken another path
        self._stop_unless_needed(record, decisions, "", "the step that started the execution no longer waits for it")
        self.engine.store.job_done(record.key, "orphan")

    def _drain_outbox(self, record: ExecutionRecord) -> None:
        """Stop the sub-executions that steps no longer want. Raise the last error of an entry, which stays."""
        errors = self._drain(record)
        if errors:
            raise errors[-1]

    def _drain(self, record: ExecutionRecord) -> list[Exception]:
        """Handle each outbox entry. Return the errors; an entry with an error stays."""
        errors = []
        for entry in self.engine.reading.outbox(record.ref):
            error = self._cancel_child(entry, "FnF.TaskTimeout", "the step no longer waits for the execution")
            if error is None:
                self.engine.store.outbox_done(record.key, entry)
            else:
                errors.append(error)
        return errors

    def _delete_frames(self, record: ExecutionRecord) -> int:
        """Delete a slice of an ended execution's frames, and stop the sub-executions that only these waited for.

        Return how many frames are left.
        """
        frames = self.engine.reading.frame_names(record.ref, _SLICE)
        for name in frames if record.status is not Status.SUCCEEDED else ():
            entry = self._awaited_by(record, name)
            if entry is not None:
                self._cancel_child(entry, record.error or "", record.cause or "")
        return self.engine.store.cleanup(record.key, frames)

    def _awaited_by(self, record: ExecutionRecord, name: str) -> OutboxEntry | None:
        try:
            frame = self.engine.reading.frame(record.ref, name)
            return None if frame is None else awaited_by(self.engine.flows.get(record.digest), frame.state, record.info)
        except Exception as error:  # a broken frame is deleted; it is unknown what it waited for
            _log_unless_passing(error, "a frame of an ended execution cannot be read", str(record.ref))
            return None

    def _cancel_child(self, entry: OutboxEntry, error: str, cause: str) -> Exception | None:
        """Cancel a sub-execution. Return the error if that failed for another reason than Redis."""
        # The note comes first: a late start of the sub-flow finds the note, or its execution is found below.
        self.engine.store.cancel_child(entry)
        try:
            record = self.engine.reading.execution(entry.ref)
            decisions = self._decisions(record)
            if entry.token == record.parent or any(entry.token == link.token for link in decisions):
                self._stop_unless_needed(record, decisions, error, cause)
        except ExecutionNotExists:
            return None
        except Exception as problem:
            _log_unless_passing(problem, "a sub-execution could not be stopped", str(entry.ref))
            return problem
        return None

    def _decisions(self, record: ExecutionRecord) -> dict[ParentLink, ChildDecision]:
        """Return the decision of each waiting step about a running sub-execution."""
        if record.status.ended:
            return {}
        links = self.engine.reading.parent_links(record.ref)
        reading = prefetched(self.engine.reading, links)
        return {link: self._decision(reading, link) for link in links}

    @staticmethod
    def _decision(reading: Reading, link: ParentLink) -> ChildDecision:
        try:
            return child_decision(reading, link)
        except Exception as error:  # a broken execution ends after some errors
            _log_unless_passing(error, "a parent cannot be read", link.token[:40])
            return ChildDecision.CHECK_LATER

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


def _log_unless_passing(error: Exception, message: str, subject: str) -> None:
    """Log an error that would not pass. Raise one that passes, so that its job runs again."""
    if passes(error):
        raise error
    logger.error("%s: %s", message, error, extra={"subject": subject}, exc_info=error)
