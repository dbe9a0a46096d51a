"""What a worker looks at before it starts: is this a Redis that keeps what it is given?

What cannot work is refused; what may lose something is told. A managed Redis that answers neither INFO nor CONFIG is
believed to be in order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from redis.exceptions import RedisError, ResponseError

from pollflow.errors import ConfigurationError, NotDurable, StoreUnavailable
from pollflow.store import Connection, Store

logger = logging.getLogger("pollflow")

_LOSES = "what was acknowledged is lost when it restarts (docs/guarantees.md)"


def before_start(check: Callable[[], None]) -> type[bootsteps.Step]:
    """A step of a worker's start that does the check. What it raises ends the worker, where a signal's would not."""

    class PollflowCheck(bootsteps.Step):  # type: ignore[misc]
        name = "pollflow.check"

        def create(self, parent: Any) -> None:
            check()

    return PollflowCheck


def check_server(client: Connection, role: str) -> None:
    """Raises ConfigurationError for a server that cannot work as `role`, and warns of one that may lose something."""
    try:
        info: dict[str, Any] = client.info("all")
    except ResponseError:
        return
    except RedisError as error:
        logger.warning("Redis could not be looked at before the start: %s", error)
        return
    if info.get("cluster_enabled") == 1:
        raise ConfigurationError(
            f"the {role} is a Redis Cluster: Celery does not support one as a broker, and pollflow does not for its "
            "state; use a Redis that is not clustered (a primary with replicas is)"
        )
    for warning in _warnings(client, info):
        logger.warning("the %s: %s", role, warning)


def check_durability(store: Store) -> None:
    """Raises ConfigurationError where commits are to be durable and the server can acknowledge none."""
    try:
        store.durability.check()
    except NotDurable as error:
        raise ConfigurationError(f"pollflow_durable is set, and cannot be kept: {error}") from error
    except StoreUnavailable as error:
        logger.warning("whether pollflow_durable can be kept is not known yet: %s", error)


def _warnings(client: Connection, info: dict[str, Any]) -> list[str]:
    found = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}: Redis may delete executions when it is full; set it to noeviction")
    if info.get("role") == "slave":
        found.append("it is a replica: it takes no writes, and nothing runs until it is a primary")
    if info.get("aof_enabled") == 0 and _snapshots(client) == "":
        found.append(f"Redis keeps neither an append-only file nor snapshots: {_LOSES}; set appendonly to yes")
    return found


def _snapshots(client: Connection) -> str | None:
    """When snapshots are made; None where the server does not say."""
    try:
        answer: dict[str, str] = client.config_get("save")
    except RedisError:
        return None
    return answer.get("save")
