"""Search of all that Redis holds for a text that must not be there in clear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def contents(redis: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of Redis and its content."""
    for key in redis.scan_iter("*"):
        match redis.type(key):
            case "hash":
                yield key, redis.hgetall(key)
            case "list":
                yield key, redis.lrange(key, 0, -1)
            case "set":
                yield key, redis.smembers(key)
            case "zset":
                yield key, redis.zrange(key, 0, -1)
            case "string":
                yield key, redis.get(key)
            case "stream":
                yield key, redis.xrange(key)
            case "none":
                continue  # it has expired meanwhile
            case other:
                raise TypeError(other)


def keys_with(redis: Any, text: str) -> set[str]:
    """Return the keys in whose name or content the text is."""
    return {key for key, content in contents(redis) if text in key or text in repr(content)}
