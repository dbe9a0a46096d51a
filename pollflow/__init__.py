"""pollflow: a durable poller and workflow runtime on Celery and Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pollflow.client import Client, DeployedFlow, Execution, HistoryEntry
from pollflow.errors import (
    ConfigurationError,
    DefinitionError,
    EntityTooLarge,
    ExecutionAlreadyCompleted,
    ExecutionAlreadyExists,
    ExecutionNotExists,
    FlowNotExists,
    InvalidArgument,
    InvalidTaskToken,
    NotDurable,
    PollflowError,
    StepError,
    StoreFull,
    StoreUnavailable,
    TaskAlreadyCompleted,
    TaskError,
    UnreadableRecord,
    WaitTimeout,
)
from pollflow.runtime.fc import fc_handler
from pollflow.runtime.functions import Context, Functions
from pollflow.runtime.functions import default as _default

if TYPE_CHECKING:
    from pollflow.runtime.app import attach, beat_schedule

function = _default.function

__all__ = [
    "Client",
    "ConfigurationError",
    "Context",
    "DefinitionError",
    "DeployedFlow",
    "EntityTooLarge",
    "Execution",
    "ExecutionAlreadyCompleted",
    "ExecutionAlreadyExists",
    "ExecutionNotExists",
    "FlowNotExists",
    "Functions",
    "HistoryEntry",
    "InvalidArgument",
    "InvalidTaskToken",
    "NotDurable",
    "PollflowError",
    "StepError",
    "StoreFull",
    "StoreUnavailable",
    "TaskAlreadyCompleted",
    "TaskError",
    "UnreadableRecord",
    "WaitTimeout",
    "attach",
    "beat_schedule",
    "fc_handler",
    "function",
]


def __getattr__(name: str) -> Any:
    """`attach` and `beat_schedule` bring Celery in, which a process that only starts flows does not need."""
    if name in ("attach", "beat_schedule"):
        from pollflow.runtime import app

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
