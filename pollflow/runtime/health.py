"""What a worker checks before it starts: Celery's private parts, and whether Redis keeps what it is given.

What cannot work is refused; what may lose data is a warning. A managed Redis that answers neither INFO nor CONFIG is
assumed to be in order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps

from pollflow.errors import ConfigurationError, NotDurable, StoreUnavailable
from pollflow.store import Connection, ServerInfo, Store, read_server_info

logger = logging.getLogger("pollflow")

_LOSES = "acknowledged data is lost when it restarts (docs/guarantees.md)"


def before_start(check: Callable[[str], None]) -> type[bootsteps.Step]:
    """Return a worker step that runs the check on the node's name.

    An exception in it ends the worker; one in a signal would not.
    """

    class PollflowCheck(bootsteps.Step):  # type: ignore[misc]
        name = "pollflow.check"

        def create(self, parent: Any) -> None:
            check(parent.hostname)

    return PollflowCheck


def check_server(client: Connection, role: str) -> None:
    """Raise ConfigurationError for a server that cannot work as `role`, and warn of one that may lose data."""
    try:
        info = read_server_info(client)
    except StoreUnavailable as error:
        logger.warning("Redis could not be checked before the start: %s", error)
        return
    if info is None:
        return
    if info.is_cluster:
        raise ConfigurationError(
            f"the {role} is a Redis Cluster: Celery does not support one as a broker, and pollflow does not for its "
            "state; use a Redis that is not clustered (a primary with replicas is)"
        )
    for warning in _warnings(info):
        logger.warning("the %s: %s", role, warning)


def check_durability(store: Store) -> None:
    """Raise ConfigurationError where commits are to be durable and the server cannot acknowledge any."""
    try:
        store.durability.check()
    except NotDurable as error:
        raise ConfigurationError(f"pollflow_durable is set, and cannot be kept: {error}") from error
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
        found.append("it is a replica: it takes no writes, and nothing runs until it is a primary")
    if info.is_persistent is False:
        found.append(f"Redis keeps neither an append-only file nor snapshots: {_LOSES}; set appendonly to yes")
    return found
