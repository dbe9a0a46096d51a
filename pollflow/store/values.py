"""Value deduplication: history stores a long value once, however many events contain it.

An iteration's input holds the whole collection, and each iteration of a polling loop has the same input. So long
values of an event's `input`, `local` and `output` are stored in the execution's `values`, by digest. The event holds
the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pollflow.fdl.model import Json, JsonObject
from pollflow.machine import HistoryEvent
from pollflow.store.codec import CLEAR, EVENT, VALUE, Sealer
from pollflow.store.keys import ExecutionRef
from pollflow.store.state import dump_json, load_json

_DEDUPLICATED = ("input", "local", "output")
_LONG = 160
_SHORT = (_LONG - 2) // len("\\ud83d\\ude00")
"""Texts of so many characters are never long, even if JSON escapes each character."""
_WRITTEN_IN_LUA = "TaskStarted"
"""The event that `lease_call` of prelude.lua writes, always in clear: it has only counts."""
_MARK = "\x00"
"""The prefix of a digest. A user's text that begins with it gets a second one."""


NO_EXECUTION = ExecutionRef("", "")


def deduplicate(
    event: HistoryEvent, values: dict[str, str], sealer: Sealer = CLEAR, ref: ExecutionRef = NO_EXECUTION
) -> str:
    """Return the stored form of an event, without its time and cause; long values go into `values`, by digest.

    With a codec, the detail is a text instead of an object, and has the reason too.
    """

    def digest_of(text: str) -> str:
        digest = sealer.digest(ref, text)
        if digest not in values:
            values[digest] = sealer.seal(ref, VALUE, text, digest)
        return digest

    detail = {
        name: _object(value, digest_of) if _is_deduplicated(name, value) else value
        for name, value in event.detail.items()
    }
    return stored_event(event, detail, sealer, ref)


def stored_event(event: HistoryEvent, detail: JsonObject, sealer: Sealer, ref: ExecutionRef) -> str:
    """Return the stored form of an event whose long values are digests."""
    if sealer.codec is None:
        fields: list[Json] = [event.type, event.step, detail]
        return dump_json([*fields, event.by, event.reason] if event.by or event.reason else fields)
    sealed = sealer.seal(ref, EVENT, dump_json([detail, event.reason]), place_of(event.type, event.step))
    return dump_json([event.type, event.step, sealed, *([event.by, ""] if event.by else [])])


def resealed_event(text: str, sealer: Sealer, ref: ExecutionRef) -> str | None:
    """Return a stored event with its detail encoded by the current key; None if it is already.

    Raises MissingKey, DamagedRecord, ValueError, TypeError.
    """
    at, cause, (type_, step, detail, *operator) = load_json(text)
    by, reason = operator or ("", "")
    place = place_of(type_, step)
    if isinstance(detail, str):
        if not sealer.needs_seal(detail):
            return None
        payload = sealer.open(ref, EVENT, detail, place)
    elif type_ == _WRITTEN_IN_LUA:
        return None
    else:
        payload = dump_json([detail, reason])
    sealed = sealer.seal(ref, EVENT, payload, place)
    return dump_json([at, cause, [type_, step, sealed, *([by, ""] if by else [])]])


def place_of(type: str, step: str) -> str:
    """Return the place of an event: what of it is stored in clear."""
    return f"{type} {step}"


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


def _object(value: JsonObject, digest_of: Callable[[str], str]) -> JsonObject:
    return {key: _value(inner, digest_of) for key, inner in value.items()}


def _value(value: Json, digest_of: Callable[[str], str]) -> Json:
    marked = _MARK + value if isinstance(value, str) and value.startswith(_MARK) else value
    if _is_surely_short(marked):
        return marked
    text = dump_json(marked)  # once, since it may be long
    if len(text) <= _LONG:
        return marked
    return _MARK + digest_of(text if marked is value else dump_json(value))


def _is_surely_short(value: Json) -> bool:
    """Return whether the value as JSON surely has at most `_LONG` characters; most values have."""
    if isinstance(value, str):
        return len(value) <= _SHORT
    return value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() <= 64)


def _restored(value: Json, value_of: Callable[[str], Json]) -> Json:
    if _is_digest(value):
        return value_of(value[1:])
    return value[1:] if isinstance(value, str) and value.startswith(_MARK) else value


def _is_digest(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(_MARK) and not value.startswith(_MARK * 2)
