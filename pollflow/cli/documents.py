"""Executions, events and flows as JSON documents: what `--json` prints."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pollflow.client import DeployedFlow, Execution, HistoryEntry


def of_execution(execution: Execution) -> dict[str, Any]:
    """All that is known of an execution but its history. `seconds` is how long it took, None while it runs."""
    ended_at = execution.ended_at
    return {
        "flow": execution.flow,
        "name": execution.name,
        "status": execution.status,
        "input": execution.input,
        "output": execution.output,
        "error": execution.error,
        "cause": execution.cause,
        "started_at": at(execution.started_at),
        "ended_at": None if ended_at is None else at(ended_at),
        "seconds": None if ended_at is None else (ended_at - execution.started_at) / timedelta(seconds=1),
    }


def of_event(event: HistoryEntry) -> dict[str, Any]:
    """An event of a history."""
    return {
        "id": event.id,
        "cause": event.cause,
        "time": at(event.time),
        "type": event.type,
        "step": event.step,
        "detail": event.detail,
    }


def of_flow(flow: DeployedFlow) -> dict[str, Any]:
    """A deployed flow, its definition included."""
    return {
        "name": flow.name,
        "description": flow.description,
        "digest": flow.digest,
        "created_at": at(flow.created_at),
        "modified_at": at(flow.modified_at),
        "definition": flow.definition,
    }


def at(moment: datetime) -> str:
    """A moment as RFC 3339, in UTC, to the millisecond."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
