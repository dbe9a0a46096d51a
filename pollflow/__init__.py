"""pollflow: a durable poller and workflow runtime on Celery and Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.errors import (
    ConfigurationError,
    DamagedRecord,
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
    RedisNotConfigured,
    StepError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TaskAlreadyCompleted,
    TaskError,
    UnreadableRecord,
    WaitTimeout,
)
from pollflow.lazy import exports

if TYPE_CHECKING:
    from pollflow.client import (
        AuditEntry,
        Client,
        DeployedFlow,
        Description,
        Execution,
        HistoryEntry,
        OpenStep,
        StepState,
    )
    from pollflow.runtime.app import attach, beat_schedule
    from pollflow.runtime.fc import fc_handler
    from pollflow.runtime.functions import Context, Functions, function
else:
    # Importing Celery and Redis takes most of a second, so these names are imported when they are first used.
    __getattr__ = exports(
        __name__,
        {
            "client": (
                "AuditEntry",
                "Client",
                "DeployedFlow",
                "Description",
                "Execution",
                "HistoryEntry",
                "OpenStep",
                "StepState",
            ),
            "runtime.app": ("attach", "beat_schedule"),
            "runtime.fc": ("fc_handler",),
            "runtime.functions": ("Context", "Functions", "function"),
        },
    )

__all__ = [
    "AuditEntry",
    "Client",
    "ConfigurationError",
    "Context",
    "DamagedRecord",
    "DefinitionError",
    "DeployedFlow",
    "Description",
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
    "OpenStep",
    "PollflowError",
    "RedisNotConfigured",
    "StepError",
    "StepState",
    "StoreFull",
    "StoreRefused",
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
