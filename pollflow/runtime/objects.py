"""Validation of JSON objects from users, before they are stored."""

from __future__ import annotations

import json
from typing import Any

from pollflow.errors import EntityTooLarge, InvalidArgument
from pollflow.fdl.model import JsonObject
from pollflow.machine.data import TOO_DEEP, over_size, size_of


def checked_object(name: str, value: Any, limit_bytes: int) -> JsonObject:
    """Return the value as plain JSON. Raises InvalidArgument for other values, EntityTooLarge over the limit."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"the {name} must be a JSON object, not {type(value).__name__}")
    try:
        plain: JsonObject = json.loads(json.dumps(value, allow_nan=False))
    except RecursionError:
        raise EntityTooLarge(over_size(f"the {name}", TOO_DEEP, limit_bytes)) from None
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"the {name} must be a JSON object: {error}") from error
    size = size_of(plain)
    if size > limit_bytes:
        raise EntityTooLarge(over_size(f"the {name}", size, limit_bytes))
    return plain
