"""The container of a client, by the routes and settings that workers have registered.

A client may live for months, while workers are deployed with other queues and settings. So it reads them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pollflow.runtime.container import Container, build_container
from pollflow.runtime.definitions import KnownFlows
from pollflow.runtime.functions import Functions
from pollflow.runtime.routes import Publish, Routes
from pollflow.runtime.settings import Settings
from pollflow.store import CLEAR, AbsentCodec, Connection, Directory, Keys, Message, Sealer

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached

MAX_AGE_SECONDS = 5.0
"""A client uses routes and settings of at most this age. A start that still goes to a queue which nobody reads any more
is delayed by the redelivery timeout, since the sweep publishes its message to the new queue.
"""

_MIN_TIMEOUT_SECONDS = 0.001


class RegisteredContainer:
    """Builds the container of a client, and builds it again when workers have registered something else."""

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        attached: Attached | None = None,
        monotonic_time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._attached = attached
        self._monotonic_time = monotonic_time
        self._registered: tuple[Routes, str | None] | None = None
        self._container: Container | None = None
        self._known_flows = KnownFlows()
        self._read_at = 0.0

    def current(self) -> Container:
        """Return the container. Raises StoreUnavailable."""
        container, now = self._container, self._monotonic_time()
        if container is not None and now - self._read_at < MAX_AGE_SECONDS:
            return container
        registered = Routes.load(Directory(self._connection, self._keys))
        if container is None or registered != self._registered:
            container = self._build(*registered)
        self._registered, self._read_at = registered, now
        # Before the first worker registers, each call reads the routes again.
        self._container = None if registered[1] is None else container
        return container

    def _build(self, routes: Routes, stored_settings: str | None) -> Container:
        settings = Settings.load(stored_settings, key_prefix=self._keys.prefix)
        publish: Publish = _leave_to_sweep
        # What Redis holds names the codec of the workers; it is not imported.
        sealer = Sealer(AbsentCodec(str(settings.codec))) if settings.codec else CLEAR
        if self._attached is not None:
            routes, settings = self._attached.container.routes, self._attached.settings
            sealer = self._attached.sealer
            # Before a worker has registered, workers of this broker may keep their state in another Redis.
            publish = self._attached.publish if stored_settings is not None else _leave_to_sweep
        if not routes.in_script and publish is _leave_to_sweep:
            # There is no broker connection. With this timeout the next sweep publishes the message.
            settings = replace(settings, redelivery_timeout=_MIN_TIMEOUT_SECONDS)
        return build_container(
            self._connection,
            settings,
            routes=routes,
            publish=publish,
            functions=Functions(),
            worker=lambda: "client",
            sealer=sealer,
            known_flows=self._known_flows,
        )


def _leave_to_sweep(message: Message) -> None:
    """Do nothing: the sweep of the workers publishes the message."""
