"""Redis: keys, scripts and records. Knows neither Celery nor what a step means."""

from pollflow.store.clock import Clock
from pollflow.store.compaction import is_time_to_compact
from pollflow.store.connection import Connection, connect
from pollflow.store.definitions import Definitions, FlowRecord
from pollflow.store.encode import Timing
from pollflow.store.keys import SHARDS, ExecutionRef, Keys, parent_of, parse_member
from pollflow.store.reading import Reading
from pollflow.store.records import (
    LEASED,
    STALE,
    Claimed,
    Committed,
    Early,
    EncodedMessage,
    ExecutionRecord,
    FrameRecord,
    Message,
    MessageKey,
    OutboxEntry,
    ParentLink,
    Refusal,
    StoredEvent,
    dump_json,
)
from pollflow.store.retrying import NO_RETRY, RetryPolicy
from pollflow.store.scripts import translated
from pollflow.store.store import Store
from pollflow.store.transitions import Conflict, Started, new_token

__all__ = [
    "LEASED",
    "NO_RETRY",
    "SHARDS",
    "STALE",
    "Claimed",
    "Clock",
    "Committed",
    "Conflict",
    "Connection",
    "Definitions",
    "Early",
    "EncodedMessage",
    "ExecutionRecord",
    "ExecutionRef",
    "FlowRecord",
    "FrameRecord",
    "Keys",
    "Message",
    "MessageKey",
    "OutboxEntry",
    "ParentLink",
    "Reading",
    "Refusal",
    "RetryPolicy",
    "Started",
    "Store",
    "StoredEvent",
    "Timing",
    "connect",
    "dump_json",
    "is_time_to_compact",
    "new_token",
    "parent_of",
    "parse_member",
    "translated",
]
