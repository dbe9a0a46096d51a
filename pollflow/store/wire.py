"""Encoding of script arguments to JSON, and decoding of script replies to values. No other module knows these forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pollflow.store.commands import Script
from pollflow.store.keys import ExecutionKey


def encode_arguments(script: Script[Any]) -> bytes:
    """Return the arguments as the JSON object that `prelude.lua` decodes. None fields are left out.

    Values, errors and causes are JSON texts already, in ASCII, so a lone surrogate in them is an escape. In any other
    text, such as the name of a worker, it becomes `?`.
    """
    return _ENCODER.encode(_shallow(script)).encode("utf-8", "replace")


def decode_reply(script: Script[Any], reply: Sequence[Any]) -> Any:
    """Return the reply as the dataclass of its name."""
    script_type: Any = type(script)
    kind = _replies_of(script_type)[reply[0]]
    converters = _converters_of(kind)
    pairs = zip(reply[1::2], reply[2::2], strict=True)
    return kind(**{name: converters[name](value) for name, value in pairs if name in converters})


def key_list(script: Script[Any], named: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return the keys in the order of the script. Raises TypeError if the names are not those of the script."""
    names = type(script).KEYS
    if {name.rstrip("*") for name in names} != set(named):
        raise TypeError(f"script {script.NAME} takes the keys {', '.join(names)}, not {', '.join(named)}")
    found: list[str] = []
    for name in names:
        value = named[name.rstrip("*")]
        found.extend([value] if isinstance(value, str) else value)
    return found


def argument_names(script: type[Script[Any]]) -> tuple[str, ...]:
    """Return the names of a script's arguments as sent."""
    names: list[str] = []
    script_type: Any = script
    for name in _names_of(script_type):
        names.extend(("ref", "id", "incarnation") if name == "execution" else (name,))
    return tuple(names)


def _shallow(value: Any) -> dict[str, Any]:
    """Return a dataclass or a mapping as a dict. The encoder calls this again for the values inside."""
    if isinstance(value, Mapping):
        return dict(value)
    found: dict[str, Any] = {}
    kind: Any = type(value)
    for name in _names_of(kind):
        inner = getattr(value, name)
        if isinstance(inner, ExecutionKey):
            found |= {"ref": str(inner.ref), "id": inner.id, "incarnation": inner.incarnation}
        elif inner is not None:
            found[name] = inner
    return found


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_shallow)


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} cannot be an argument of a script")
    return tuple(field.name for field in fields(kind))


@cache
def _replies_of(script: Any) -> dict[str, Any]:
    return {kind.NAME: kind for kind in script.REPLIES}


_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: lambda value: bool(int(value)),
    float | None: float,
    int | None: int,
    tuple[str, ...]: tuple,
    tuple[int, ...]: lambda values: tuple(map(int, values)),
}


@cache
def _converters_of(kind: Any) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(kind)
    return {field.name: _CONVERTERS[hints[field.name]] for field in fields(kind)}
