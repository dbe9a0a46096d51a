"""Connections to Redis are made here and nowhere else, from one URL."""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from urllib.parse import urlsplit

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

from pollflow.errors import InvalidArgument, StoreFull, StoreUnavailable

_LONGEST_PAUSE_SECONDS = 1.0
_URLS = "redis://HOST:PORT/DB, rediss://… or unix:///PATH?db=N"

# What Redis answers while it cannot serve: by code, and within scripts of older servers anywhere in the text.
_FULL = "OOM command not allowed"
_READ_ONLY = "READONLY "
_PASSING = (
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
"""A `redis.Redis` that decodes its replies to text, which the types of redis-py cannot say."""


def connect(url: str, *, retry_seconds: float = 2) -> Connection:
    """A client that tries for about `retry_seconds` while Redis is away or loading.

    Trying again is safe: every script of the store tells a repetition from a first time. Raises InvalidArgument for
    what is no URL of a Redis.
    """
    _check_database(url)
    retries = max(3, round(retry_seconds / _LONGEST_PAUSE_SECONDS) + 3)
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            retry=Retry(ExponentialBackoff(cap=_LONGEST_PAUSE_SECONDS, base=0.05), retries),
            retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError],
            socket_connect_timeout=5,
            socket_timeout=15,
            socket_keepalive=True,
            health_check_interval=30,
        )
    except ValueError as error:
        raise InvalidArgument(f"{_without_password(url)!r} is no URL of a Redis; write {_URLS}") from error


def _without_password(url: str) -> str:
    start, at, host = url.rpartition("@")
    return f"{start.partition('://')[0]}://…@{host}" if at else url


def _check_database(url: str) -> None:
    """Raises InvalidArgument for a database that is no number: redis-py would take database 0 without a word."""
    container = urlsplit(url)
    if container.scheme in ("redis", "rediss") and not re.fullmatch("[0-9]*", container.path.strip("/")):
        # What stands there is not shown: it may be the end of a password whose / was not written as %2F.
        raise InvalidArgument(f"after its / the URL of a Redis has the number of a database; write {_URLS}")


def unavailable(error: RedisError) -> StoreUnavailable:
    """Return the exception that the store raises for an error of Redis."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or _FULL in text:
        return StoreFull("Redis is full (maxmemory) and refuses to write; free memory or raise maxmemory")
    if isinstance(error, ReadOnlyError) or _READ_ONLY in text:
        return StoreUnavailable(
            "Redis refuses to write: the server is a read-only replica; nothing happens until it is "
            "a primary, or the address leads to one"
        )
    if isinstance(error, BusyLoadingError):
        return StoreUnavailable("Redis loads its data, and serves when that is done")
    is_passing = not isinstance(error, ResponseError) or any(code in text for code in _PASSING)
    return StoreUnavailable(f"Redis cannot serve: {text}", is_passing=is_passing)
