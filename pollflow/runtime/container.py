"""Puts the parts of the engine together, for workers and for clients: one place that knows who needs whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pollflow.runtime.calls import Caller
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.engine import Engine
from pollflow.runtime.functions import Functions
from pollflow.runtime.maintenance import MaintenanceJobs
from pollflow.runtime.routes import Publish, Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.starting import Starter, new_identity
from pollflow.runtime.subflows import SubFlows
from pollflow.runtime.sweep import Sweeper
from pollflow.store import Clock, Connection, Definitions, Reading, RetryPolicy, Store, translated


@dataclass(frozen=True, slots=True)
class Container:
    """The parts, made for one Redis."""

    settings: Settings
    store: Store
    reading: Reading
    definitions: Definitions
    starter: Starter
    engine: Engine
    maintenance: MaintenanceJobs
    sweeper: Sweeper
    routes: Routes

    def is_announced(self) -> bool:
        """Whether it is written down where clients look; it is not when Redis has lost its data."""
        with translated():
            return bool(self.store.client.exists(self.store.keys.route()))

    def announce(self, functions: Functions) -> None:
        """Writes down what a worker of this app takes and calls, for clients."""
        client, keys = self.store.client, self.store.keys
        self.routes.save(client, keys, self.settings)
        names = {name: repr(self.reading.now()) for name in functions}
        if names:
            with translated():
                client.hset(keys.functions(), mapping=names)


def build_container(
    client: Connection,
    settings: Settings,
    *,
    routes: Routes,
    publish: Publish,
    functions: Functions,
    worker: Callable[[], str],
    is_stopping: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
    retry_policy: RetryPolicy | None = None,
    new_identity: Callable[[], tuple[str, str]] = new_identity,
) -> Container:
    """Makes the parts on one connection pool. Nothing is asked of Redis yet.

    `retry_policy`: how long this process tries again while Redis cannot serve; not at all unless given.
    """
    keys, limits, clock = settings.keys, settings.limits, clock or Clock()
    retry_policy = retry_policy or RetryPolicy(is_durable=settings.durable)
    store = Store(
        client, keys=keys, timing=settings.timing, encode=routes.encode, clock=clock, retry_policy=retry_policy
    )
    reading, definitions = Reading(client, keys, clock, store.scripts), Definitions(client, keys)
    flows = FlowCache(definitions)
    starter = Starter(store, reading, definitions, flows, limits, publish, new_identity)
    caller = Caller(functions, SubFlows(starter, reading), settings.max_crashes)
    engine = Engine(store, reading, flows, caller, limits, publish, worker, is_stopping)
    maintenance = MaintenanceJobs(engine)
    sweeper = Sweeper(engine, maintenance, routes, settings.sweep_interval)
    return Container(settings, store, reading, definitions, starter, engine, maintenance, sweeper, routes)
