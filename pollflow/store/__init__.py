"""State in Redis: keys, scripts and records. It knows neither Celery nor the meaning of a step."""

from pollflow.store.audit import AuditLog, AuditRecord
from pollflow.store.clock import Clock
from pollflow.store.codec import CLEAR, AbsentCodec, Codec, CodecContext, Sealer
from pollflow.store.commands import Conflict, Sent, Stale
from pollflow.store.commits import new_token
from pollflow.store.compaction import is_time_to_compact
from pollflow.store.connection import Connection, connect
from pollflow.store.definitions import Definitions, FlowRecord, similar_flow
from pollflow.store.directory import Directory
from pollflow.store.due_entries import DueEntry, StoredEntry
from pollflow.store.encode import Timing
from pollflow.store.keys import SHARDS, ExecutionKey, ExecutionRef, Keys, WakeUp
from pollflow.store.messages import Carried, EncodedMessage, Message, MessageKey
from pollflow.store.queues import QueueReader
from pollflow.store.reading import Reading
from pollflow.store.records import (
    LATE,
    LEASED,
    STALE,
    UNCLAIMED,
    Claimed,
    Committed,
    Early,
    ExecutionRecord,
    FrameRecord,
    OutboxEntry,
    ParentLink,
    Refusal,
    Snapshot,
    Started,
    StoredEvent,
)
from pollflow.store.retrying import NO_RETRY, RetryPolicy
from pollflow.store.rotation import CLEAR_KEY, Rotated
from pollflow.store.scripts import translated
from pollflow.store.server_info import ServerInfo, read_server_info
from pollflow.store.starts import MAX_PARENTS, NewExecution
from pollflow.store.state import dump_json
from pollflow.store.store import Store
from pollflow.store.urls import RedisLocation
from pollflow.store.wakeups import Redelivery

__all__ = [
    "CLEAR",
    "CLEAR_KEY",
    "LATE",
    "LEASED",
    "MAX_PARENTS",
    "NO_RETRY",
    "SHARDS",
    "STALE",
    "UNCLAIMED",
    "AbsentCodec",
    "AuditLog",
    "AuditRecord",
    "Carried",
    "Claimed",
    "Clock",
    "Codec",
    "CodecContext",
    "Committed",
    "Conflict",
    "Connection",
    "Definitions",
    "Directory",
    "DueEntry",
    "Early",
    "EncodedMessage",
    "ExecutionKey",
    "ExecutionRecord",
    "ExecutionRef",
    "FlowRecord",
    "FrameRecord",
    "Keys",
    "Message",
    "MessageKey",
    "NewExecution",
    "OutboxEntry",
    "ParentLink",
    "QueueReader",
    "Reading",
    "Redelivery",
    "RedisLocation",
    "Refusal",
    "RetryPolicy",
    "Rotated",
    "Sealer",
    "Sent",
    "ServerInfo",
    "Snapshot",
    "Stale",
    "Started",
    "Store",
    "StoredEntry",
    "StoredEvent",
    "Timing",
    "WakeUp",
    "connect",
    "dump_json",
    "is_time_to_compact",
    "new_token",
    "read_server_info",
    "similar_flow",
    "translated",
]
