"""The construction of the engine's objects, for workers and for clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pollflow.runtime.calls import Caller
from pollflow.runtime.claiming import Claiming
from pollflow.runtime.decider import Decider
from pollflow.runtime.definitions import FlowCache, KnownFlows
from pollflow.runtime.engine import Engine
from pollflow.runtime.engine_errors import EngineErrors, counting
from pollflow.runtime.functions import Functions
from pollflow.runtime.interruptions import IsInterruption, is_interruption
from pollflow.runtime.logs import protect_logs
from pollflow.runtime.maintenance import MaintenanceJobs
from pollflow.runtime.masking import Mask
from pollflow.runtime.missing_functions import MissingFunctions
from pollflow.runtime.routes import Publish, Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.starting import Starter, new_identity
from pollflow.runtime.subflows import SubFlows
from pollflow.runtime.sweep import Sweeper
from pollflow.store import (
    CLEAR,
    AuditLog,
    Clock,
    Connection,
    Definitions,
    Directory,
    EncodedMessage,
    Message,
    QueueReader,
    Reading,
    RetryPolicy,
    Sealer,
    Store,
)


@dataclass(frozen=True, slots=True)
class Container:
    """The objects that share one Redis."""

    settings: Settings
    store: Store
    reading: Reading
    definitions: Definitions
    directory: Directory
    audit: AuditLog
    starter: Starter
    engine: Engine
    maintenance: MaintenanceJobs
    sweeper: Sweeper
    routes: Routes


def build_container(
    client: Connection,
    settings: Settings,
    *,
    routes: Routes,
    publish: Publish,
    functions: Functions,
    worker: Callable[[], str],
    is_stopping: Callable[[], bool] = lambda: False,
    is_interruption: IsInterruption = is_interruption,
    clock: Clock | None = None,
    retry_policy: RetryPolicy | None = None,
    new_identity: Callable[[], tuple[str, str]] = new_identity,
    sealer: Sealer = CLEAR,
    known_flows: KnownFlows | None = None,
) -> Container:
    """Construct the objects on one connection pool. This sends nothing to Redis.

    An error of `publish` is counted in the entry of the message. `retry_policy`: how this process retries while Redis
    cannot serve; the default is not to retry. `sealer` encodes the data of users. Starts rely on
    `known_flows`.
    """
    protect_logs()
    keys, limits, clock = settings.keys, settings.limits, clock or Clock()
    retrying = retry_policy or RetryPolicy(is_durable=settings.durable)
    mask, timing = Mask.of(settings.mask), settings.timing

    def encode(message: Message) -> EncodedMessage | None:
        return routes.encode(message, mask, is_encoded=sealer.codec is not None)

    store = Store(client, keys=keys, timing=timing, encode=encode, clock=clock, retry_policy=retrying, sealer=sealer)
    reading, definitions = Reading(client, keys, clock, sealer), Definitions(client, keys)
    directory, audit = Directory(client, keys), AuditLog(client, keys)
    flows = FlowCache(definitions)
    errors = EngineErrors(store, settings.max_engine_errors)
    publish = counting(publish, errors)
    starter = Starter(store, reading, definitions, flows, limits, publish, new_identity, known_flows)
    caller = Caller(functions, SubFlows(starter, reading), settings.max_crashes, mask, is_interruption)
    missing = MissingFunctions(functions, directory, reading, settings.function_grace)
    decider = Decider(limits, settings.inline_steps)
    claiming = Claiming(store, reading, flows, publish)
    engine = Engine(store, reading, flows, caller, missing, decider, claiming, publish, worker, is_stopping, errors)
    maintenance = MaintenanceJobs(engine)
    sweeper = Sweeper(engine, maintenance, routes, QueueReader(client), settings.sweep_interval)
    return Container(
        settings, store, reading, definitions, directory, audit, starter, engine, maintenance, sweeper, routes
    )
