"""Redis: keys, scripts and records. Knows neither Celery nor what a step means."""

from pollflow.store.clock import Clock
from pollflow.store.connection import Connection, connect
from pollflow.store.core import Insistence
from pollflow.store.definitions import Definitions, FlowRecord
from pollflow.store.encode import Timing
from pollflow.store.keys import SHARDS, ExecutionRef, Keys, parent_of, parse_member
from pollflow.store.packing import is_time_to_pack
from pollflow.store.patience import NO_PATIENCE, Patience
from pollflow.store.reading import Reading
from pollflow.store.records import (
    HELD,
    STALE,
    Address,
    Claimed,
    Committed,
    Early,
    Envelope,
    Errand,
    ExecutionRecord,
    FrameRecord,
    Letter,
    Refusal,
    StoredEvent,
    Waiter,
    dump_json,
)
from pollflow.store.scripts import translated
from pollflow.store.store import Store
from pollflow.store.transitions import Moved, Started, new_token

__all__ = [
    "HELD",
    "NO_PATIENCE",
    "SHARDS",
    "STALE",
    "Address",
    "Claimed",
    "Clock",
    "Committed",
    "Connection",
    "Definitions",
    "Early",
    "Envelope",
    "Errand",
    "ExecutionRecord",
    "ExecutionRef",
    "FlowRecord",
    "FrameRecord",
    "Insistence",
    "Keys",
    "Letter",
    "Moved",
    "Patience",
    "Reading",
    "Refusal",
    "Started",
    "Store",
    "StoredEvent",
    "Timing",
    "Waiter",
    "connect",
    "dump_json",
    "is_time_to_pack",
    "new_token",
    "parent_of",
    "parse_member",
    "translated",
]
