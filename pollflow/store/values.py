"""Value deduplication: history stores a long value once, however many events contain it.

An iteration's input holds the whole collection, and each iteration of a polling loop has the same input. So long
values of an event's `input`, `local` and `output` are stored in the execution's `values`, by digest. The event holds
the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from pollflow.fdl.model import Json, JsonObject
from pollflow.machine import HistoryEvent
from pollflow.store.state import dump_json

_DEDUPLICATED = ("input", "local", "output")
_LONG = 160
_MARK = "\x00"
"""The prefix of a digest. A user's text that begins with it gets a second one."""


def deduplicate(event: HistoryEvent, values: dict[str, str]) -> str:
    """Return the stored form of an event, without its time and cause; long values go into `values`, by digest."""
    detail = {
        name: _object(value, values) if _is_deduplicated(name, value) else value for name, value in event.detail.items()
    }
    fields: list[Json] = [event.type, event.step, detail]
    return dump_json([*fields, event.by, event.reason] if event.by or event.reason else fields)


def restore(detail: JsonObject, value_of: Callable[[str], Json]) -> JsonObject:
    """Return the original detail. `value_of` returns the value of a digest."""
    return {
        name: {key: _restored(inner, value_of) for key, inner in value.items()}
        if _is_deduplicated(name, value)
        else value
        for name, value in detail.items()
    }


def digests_in(details: Iterable[JsonObject]) -> set[str]:
    """Return the digests that details refer to."""
    return {
        inner[1:]
        for detail in details
        for name, value in detail.items()
        if _is_deduplicated(name, value)
        for inner in value.values()
        if _is_digest(inner)
    }


def _is_deduplicated(name: str, value: Json) -> bool:
    return name in _DEDUPLICATED and isinstance(value, Mapping)


def _object(value: JsonObject, values: dict[str, str]) -> JsonObject:
    return {key: _value(inner, values) for key, inner in value.items()}


def _value(value: Json, values: dict[str, str]) -> Json:
    marked = _MARK + value if isinstance(value, str) and value.startswith(_MARK) else value
    if len(dump_json(marked)) <= _LONG:
        return marked
    text = dump_json(value)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    values[digest] = text
    return _MARK + digest


def _restored(value: Json, value_of: Callable[[str], Json]) -> Json:
    if _is_digest(value):
        return value_of(value[1:])
    return value[1:] if isinstance(value, str) and value.startswith(_MARK) else value


def _is_digest(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(_MARK) and not value.startswith(_MARK * 2)
