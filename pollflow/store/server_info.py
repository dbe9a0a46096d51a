"""The properties of a Redis server that a worker checks before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from pollflow.store.connection import Connection, unavailable


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Properties that the server reports. `is_persistent` is None if unknown."""

    is_cluster: bool
    is_replica: bool
    eviction_policy: str
    is_persistent: bool | None


def read_server_info(client: Connection) -> ServerInfo | None:
    """Return the properties of the server; None if it refuses INFO. Raises StoreUnavailable."""
    try:
        info: dict[str, Any] = client.info("all")
    except ResponseError:
        return None
    except RedisError as error:
        raise unavailable(error) from error
    return ServerInfo(
        is_cluster=info.get("cluster_enabled") == 1,
        is_replica=info.get("role") == "slave",
        eviction_policy=info.get("maxmemory_policy", "noeviction"),
        is_persistent=_is_persistent(client, info),
    )


def _is_persistent(client: Connection, info: dict[str, Any]) -> bool | None:
    if info.get("aof_enabled") != 0:
        return True
    if client.get_connection_kwargs().get("username"):
        return None  # a user of its own may not, and should not, read the configuration, which holds passwords
    try:
        answer: dict[str, str] = client.config_get("save")
    except RedisError:
        return None
    return None if "save" not in answer else answer["save"] != ""
