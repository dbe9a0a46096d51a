"""Checks of Redis before a worker starts: whether it can serve pollflow, and whether it keeps acknowledged data.

A server that cannot work is an error; a server that may lose data is a warning. A managed Redis that answers neither
INFO nor CONFIG passes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps

from pollflow.errors import ConfigurationError, NotDurable, StoreUnavailable
from pollflow.store import Connection, ServerInfo, Store, read_server_info

logger = logging.getLogger("pollflow")

_DATA_LOSS = "all data is lost when it restarts (docs/guarantees.md)"


def before_start(check: Callable[[str], None]) -> type[bootsteps.Step]:
    """Return a bootstep that calls `check` with the node's name.

    An exception in a bootstep ends the worker; an exception in a signal handler would not.
    """

    class PollflowCheck(bootsteps.Step):  # type: ignore[misc]
        name = "pollflow.check"

        def create(self, parent: Any) -> None:
            check(parent.hostname)

    return PollflowCheck


def check_server(client: Connection, role: str) -> None:
    """Raise ConfigurationError for a server that cannot work as `role`; log warnings for one that may lose data."""
    try:
        info = read_server_info(client)
    except StoreUnavailable as error:
        logger.warning("Redis could not be checked before the start: %s", error)
        return
    if info is None:
        return
    if info.is_cluster:
        raise ConfigurationError(
            f"the {role} is a Redis Cluster, which neither Celery nor pollflow supports; "
            "use a single Redis, or a primary with replicas"
        )
    for warning in _warnings(info):
        logger.warning("the %s: %s", role, warning)


def check_durability(store: Store) -> None:
    """Raise ConfigurationError if the server cannot acknowledge durable commits."""
    try:
        store.durability.check()
    except NotDurable as error:
        raise ConfigurationError(f"pollflow_durable is set, but Redis cannot acknowledge commits: {error}") from error
    except StoreUnavailable as error:
        logger.warning("pollflow_durable could not be checked before the start: %s", error)


def _warnings(info: ServerInfo) -> list[str]:
    found = []
    if info.eviction_policy != "noeviction":
        found.append(
            f"maxmemory-policy is {info.eviction_policy}: Redis may delete executions when it is full; "
            "set it to noeviction"
        )
    if info.is_replica:
        found.append("the server is a read-only replica: no flow runs until it becomes a primary")
    if info.is_persistent is False:
        found.append(f"Redis has neither an append-only file nor snapshots: {_DATA_LOSS}; set appendonly to yes")
    return found
