"""The JSON documents that `--json` prints: executions, events and flows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pollflow.client import AuditEntry, DeployedFlow, Execution, HistoryEntry, OpenStep


def of_execution(execution: Execution) -> dict[str, Any]:
    """Return an execution without its history. It has only the keys that apply to its status.

    A running execution has no `output`, `error`, `cause`, `ended_at` and `seconds`. An ended one has the `output` if
    it succeeded, else `error` and `cause`. `seconds` is how long it ran. `damaged` names what cannot be decoded.
    """
    damaged = execution.description.damaged
    document: dict[str, Any] = {
        "flow": execution.flow,
        "name": execution.name,
        "status": execution.status,
        "input": None if "input" in damaged else execution.input,
        "started_at": timestamp(execution.started_at),
    }
    if execution.ended_at is not None:
        document["ended_at"] = timestamp(execution.ended_at)
        document["seconds"] = (execution.ended_at - execution.started_at) / timedelta(seconds=1)
    if damaged:
        document["damaged"] = list(damaged)
    if "output" not in damaged and execution.output is not None:
        document["output"] = execution.output
    if execution.error is not None:
        document |= {"error": execution.error, "cause": "" if "cause" in damaged else execution.cause or ""}
    return {**document, "open_steps": [of_step(step) for step in execution.open_steps]}


def of_step(step: OpenStep) -> dict[str, Any]:
    """Return an open step, with only the keys that apply to its state."""
    document = {
        "name": step.name,
        "type": step.type,
        "frame": step.frame,
        "visit": step.visit,
        "attempt": step.attempt,
        "state": step.state.value,
        "since": timestamp(step.since),
    }
    optional = {
        "due_at": None if step.due_at is None else timestamp(step.due_at),
        "deadline_at": None if step.deadline_at is None else timestamp(step.deadline_at),
        "worker": step.worker,
        "last_error": step.last_error,
        "reason": step.reason,
    }
    return document | {name: value for name, value in optional.items() if value is not None}


def of_event(event: HistoryEntry) -> dict[str, Any]:
    """Return an event of a history. `by` and `reason` are there only where someone caused the event."""
    optional = {"by": event.by, "reason": event.reason}
    return {
        "id": event.id,
        "cause": event.cause,
        "time": timestamp(event.time),
        "type": event.type,
        "step": event.step,
        "detail": event.detail,
        **{name: value for name, value in optional.items() if value},
    }


def of_audit(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry of the audit log, with only the keys that apply to its operation."""
    names = ("flow", "name", "id", "error", "digest", "key_id")
    return {
        "operation": entry.operation,
        "time": timestamp(entry.time),
        "by": entry.by,
        **{name: getattr(entry, name) for name in names if getattr(entry, name)},
    }


def of_flow(flow: DeployedFlow) -> dict[str, Any]:
    """Return a deployed flow with its definition."""
    return {
        "name": flow.name,
        "description": flow.description,
        "digest": flow.digest,
        "created_at": timestamp(flow.created_at),
        "modified_at": timestamp(flow.modified_at),
        "definition": flow.definition,
    }


def timestamp(moment: datetime) -> str:
    """Return a time in RFC 3339 format, in UTC, with milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
