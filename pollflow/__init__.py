"""pollflow: a durable poller and workflow runtime on Celery and Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.errors import (
    CodecError,
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
    MissingKey,
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
    from pollflow.store.aes_gcm import AesGcmCodec
    from pollflow.store.codec import Codec, CodecContext
    from pollflow.store.zstd import ZstdCodec
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
            "store.aes_gcm": ("AesGcmCodec",),
            "store.codec": ("Codec", "CodecContext"),
            "store.zstd": ("ZstdCodec",),
        },
    )

__all__ = [
    "AesGcmCodec",
    "AuditEntry",
    "Client",
    "Codec",
    "CodecContext",
    "CodecError",
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
    "MissingKey",
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
    "ZstdCodec",
    "attach",
    "beat_schedule",
    "fc_handler",
    "function",
]
