"""Connections to Redis are made here and nowhere else, from one URL."""

from __future__ import annotations

from typing import Any, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, TimeoutError
from redis.retry import Retry

from pollflow.errors import InvalidArgument

_LONGEST_PAUSE_SECONDS = 1.0

Connection: TypeAlias = Any
"""A `redis.Redis` that decodes its replies to text, which the types of redis-py cannot say."""


def connect(url: str, *, patience_seconds: float = 2) -> Connection:
    """A client that tries for about `patience_seconds` while Redis is away or loading.

    Trying again is safe: every script of the store tells a repetition from a first time. Raises InvalidArgument for
    what is no URL of a Redis.
    """
    retries = max(3, round(patience_seconds / _LONGEST_PAUSE_SECONDS) + 3)
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
        raise InvalidArgument(
            f"{url!r} is no URL of a Redis; write redis://HOST:PORT/DB, rediss://… or unix:///PATH?db=N"
        ) from error
