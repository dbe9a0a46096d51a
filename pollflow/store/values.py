"""History keeps a large value once, however many events show it.

An iteration's input holds the whole collection, and every round of a polling loop shows the same input again. So values
of an event's `input`, `local` and `output` that are long are kept in the execution's `values`,
under their own digest, and the event holds the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping

from pollflow.fdl.model import Json, JsonObject
from pollflow.machine import HistoryEvent
from pollflow.store.records import dump_json

_FOLDED = ("input", "local", "output")
_LONG = 160
_MARK = "\x00"
"""In front of a digest. A text of the user's own that begins with it gets one more."""


def deduplicate(event: HistoryEvent, values: dict[str, str]) -> str:
    """What follows the moment and the cause in an event's stored form; long values go into `values`, by digest."""
    detail = ",".join(
        f"{dump_json(name)}:{_fold_object(value, values) if _is_folded(name, value) else dump_json(value)}"
        for name, value in event.detail.items()
    )
    return f"{dump_json(event.type)},{dump_json(event.step)},{{{detail}}}"


def restore(detail: JsonObject, value_of: Callable[[str], Json]) -> JsonObject:
    """The detail as it was; `value_of` gives the value of a digest."""
    return {
        name: {key: _unfolded(inner, value_of) for key, inner in value.items()} if _is_folded(name, value) else value
        for name, value in detail.items()
    }


def digests_in(details: Iterable[JsonObject]) -> set[str]:
    """The digests that details refer to."""
    return {
        inner[1:]
        for detail in details
        for name, value in detail.items()
        if _is_folded(name, value)
        for inner in value.values()
        if _is_digest(inner)
    }


def _is_folded(name: str, value: Json) -> bool:
    return name in _FOLDED and isinstance(value, Mapping)


def _fold_object(value: JsonObject, values: dict[str, str]) -> str:
    return "{" + ",".join(f"{dump_json(key)}:{_fold_value(inner, values)}" for key, inner in value.items()) + "}"


def _fold_value(value: Json, values: dict[str, str]) -> str:
    text = dump_json(_MARK + value) if isinstance(value, str) and value.startswith(_MARK) else dump_json(value)
    if len(text) <= _LONG:
        return text
    text = dump_json(value)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    values[digest] = text
    return dump_json(_MARK + digest)


def _unfolded(value: Json, value_of: Callable[[str], Json]) -> Json:
    if _is_digest(value):
        return value_of(value[1:])
    return value[1:] if isinstance(value, str) and value.startswith(_MARK) else value


def _is_digest(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(_MARK) and not value.startswith(_MARK * 2)


def load_values(found: Mapping[str, str | None]) -> dict[str, Json]:
    """Values by digest, from their texts."""
    return {digest: json.loads(text) for digest, text in found.items() if text is not None}
