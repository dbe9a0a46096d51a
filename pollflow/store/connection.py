"""Connections to Redis. No other module creates one."""

from __future__ import annotations

from typing import Any, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from pollflow.errors import StoreFull, StoreUnavailable
from pollflow.store.urls import RedisLocation

_MAX_PAUSE_SECONDS = 1.0

# The error codes of conditions that pass. Older servers put the code of an error in a script anywhere in the text.
_FULL = "OOM command not allowed"
_READ_ONLY = "READONLY "
_TEMPORARY = (
    _FULL,
    _READ_ONLY,
    "LOADING ",
    "MISCONF ",
    "NOREPLICAS ",
    "MASTERDOWN ",
    "CLUSTERDOWN ",
    "TRYAGAIN ",
    "BUSY ",
)

Connection: TypeAlias = Any
"""A `redis.Redis` that decodes its replies to text, which the types of redis-py cannot express."""


def connect(location: str | RedisLocation, *, retry_seconds: float = 2) -> Connection:
    """Return a client that retries for about `retry_seconds` while Redis is unreachable or loading.

    Retries are safe: every script of the store recognizes its own repetition. Raises InvalidArgument for an invalid
    URL.
    """
    if not isinstance(location, RedisLocation):
        location = RedisLocation.parse(location)
    retries = max(3, round(retry_seconds / _MAX_PAUSE_SECONDS) + 3)
    options: dict[str, Any] = {
        "decode_responses": True,
        "retry": Retry(ExponentialBackoff(cap=_MAX_PAUSE_SECONDS, base=0.05), retries),
        "retry_on_error": [ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError],
        "socket_connect_timeout": 5,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "health_check_interval": 30,
    }
    return redis.Redis(**{**options, **location.client_options()})


def unavailable(error: RedisError) -> StoreUnavailable:
    """Return the exception that the store raises for an error of Redis."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or _FULL in text:
        return StoreFull("Redis is full (maxmemory) and refuses writes; free memory or raise maxmemory")
    if isinstance(error, ReadOnlyError) or _READ_ONLY in text:
        return StoreUnavailable(
            "Redis refuses writes: the server is a read-only replica; promote it, or use the URL of the primary"
        )
    if isinstance(error, BusyLoadingError):
        return StoreUnavailable("Redis is loading its data")
    is_temporary = not isinstance(error, ResponseError) or any(code in text for code in _TEMPORARY)
    return StoreUnavailable(f"Redis cannot serve: {text}", is_temporary=is_temporary)
