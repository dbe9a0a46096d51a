"""The JSON documents that `--json` prints: executions, events and flows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pollflow.client import DeployedFlow, Execution, HistoryEntry, OpenStep


def of_execution(execution: Execution) -> dict[str, Any]:
    """Return an execution without its history. `seconds` is its duration, None while it runs."""
    ended_at = execution.ended_at
    return {
        "flow": execution.flow,
        "name": execution.name,
        "status": execution.status,
        "input": execution.input,
        "output": execution.output,
        "error": execution.error,
        "cause": execution.cause,
        "started_at": timestamp(execution.started_at),
        "ended_at": None if ended_at is None else timestamp(ended_at),
        "seconds": None if ended_at is None else (ended_at - execution.started_at) / timedelta(seconds=1),
        "open_steps": [of_step(step) for step in execution.open_steps],
    }


def of_step(step: OpenStep) -> dict[str, Any]:
    """Return an open step."""
    return {
        "name": step.name,
        "type": step.type,
        "frame": step.frame,
        "visit": step.visit,
        "attempt": step.attempt,
        "state": step.state.value,
        "since": timestamp(step.since),
        "due_at": None if step.due_at is None else timestamp(step.due_at),
        "deadline_at": None if step.deadline_at is None else timestamp(step.deadline_at),
        "worker": step.worker,
        "last_error": step.last_error,
        "reason": step.reason,
    }


def of_event(event: HistoryEntry) -> dict[str, Any]:
    """Return an event of a history."""
    return {
        "id": event.id,
        "cause": event.cause,
        "time": timestamp(event.time),
        "type": event.type,
        "step": event.step,
        "detail": event.detail,
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
