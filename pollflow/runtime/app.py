"""`attach`: adds a Celery task for each step type, and one for the sweep, to an ordinary Celery app."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from celery import Celery, signals
from kombu.exceptions import OperationalError

from pollflow.errors import ConfigurationError, InvalidArgument, NotDurable, RedisNotConfigured, StoreUnavailable
from pollflow.runtime import arguments, call_marks, deferred_signals, messages, shutdown_flag
from pollflow.runtime import functions as function_registry
from pollflow.runtime.attached import remember
from pollflow.runtime.background import run_in_background
from pollflow.runtime.broker import Broker, transport_options
from pollflow.runtime.celery_internals import (
    DEFAULT_CONSUMER,
    EAGER_CONSUMER,
    check_internals,
    child_index,
    repair_prefork,
    terminator,
)
from pollflow.runtime.celery_urls import accept_unix_urls
from pollflow.runtime.checks import check_celery, check_consumed
from pollflow.runtime.codecs import sealer_of
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.health import before_start, check_durability, check_server
from pollflow.runtime.incoming import SWEEP_TASK
from pollflow.runtime.isolation import isolate
from pollflow.runtime.leases import LeaseRenewer, name_worker, worker_name
from pollflow.runtime.logs import protect_handlers
from pollflow.runtime.rate_limits import postpone_rate_limited
from pollflow.runtime.registry import WorkerRegistry
from pollflow.runtime.requests import step_request
from pollflow.runtime.routes import Publish, Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.shutdown import ShutdownHandler, follow_signals
from pollflow.runtime.step_queues import StepQueues
from pollflow.runtime.tasks import add_tasks
from pollflow.store import Message, RedisLocation, RetryPolicy, Sealer, connect

_WORKER_RETRY_SECONDS = 5
_BACKGROUND_RETRY_SECONDS = 2
_CLAIM_RETRY_SECONDS = 30

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Attached:
    """The result of `attach`: the app's settings, and the objects that its step tasks use.

    Step tasks retry while Redis cannot serve, since the result of a function is stored nowhere else. `background` does
    not retry: its jobs run again in the next interval. `location` is the Redis database of the state.
    """

    app: Celery
    location: RedisLocation
    broker: Broker
    queues: StepQueues
    settings: Settings
    functions: Functions
    container: Container
    background: Container
    is_url_explicit: bool
    """Whether the code or the configuration of the app names this Redis as that of the state."""
    publish: Publish
    sealer: Sealer


def attach(app: Celery, redis_url: str | None = None, *, functions: Functions | None = None) -> Attached:
    """Make the app run flows: add the step tasks and, in its workers, lease renewal and the sweep.

    The Redis that keeps the state is `redis_url`, else the setting `pollflow_redis_url`, else the environment variable
    `POLLFLOW_REDIS_URL`, else the broker if it is a Redis. Raises ConfigurationError for settings that cannot work.
    """
    arguments.instance("app", app, Celery, "a Celery app")
    if redis_url is not None:
        arguments.instance("redis_url", redis_url, str, "a URL")
    if functions is not None:
        arguments.instance("functions", functions, Functions, "a pollflow.Functions")
    redis_url = isolate(app) or redis_url
    accept_unix_urls(app)
    attached = _objects_of(app, redis_url, function_registry.default if functions is None else functions)
    remember(attached)
    if attached.broker.is_redis:
        # Otherwise a worker exits when Redis is full or read-only.
        app.conf.broker_channel_error_retry = True
    if app.conf.worker_consumer == DEFAULT_CONSUMER:
        app.conf.worker_consumer = EAGER_CONSUMER
    add_tasks(
        app,
        attached.queues,
        step_request(attached.background.engine),
        handle=attached.container.engine.handle,
        sweep=attached.background.sweeper.sweep,
        hides_causes=attached.sealer.codec is not None,
    )
    _add_worker_hooks(app, attached)
    return attached


def _objects_of(app: Celery, redis_url: str | None, functions: Functions) -> Attached:
    """Read and check the configuration of the app, and build the objects that its tasks use."""
    settings, broker = Settings.of(app.conf), Broker.of(app)
    explicit_url = redis_url or settings.redis_url
    location = _state_location(app, explicit_url, broker)
    queues = StepQueues.of(app, settings.key_prefix)
    routes = _routes(app, location, broker, queues)
    check_celery(app, settings, broker, routes)
    sealer = sealer_of(settings.codec)
    publish = _publisher(app, queues)

    def container(retry_seconds: float, retry_policy: RetryPolicy) -> Container:
        return build_container(
            connect(location, retry_seconds=retry_seconds),
            settings,
            routes=routes,
            publish=publish,
            functions=functions,
            worker=worker_name,
            is_stopping=shutdown_flag.is_stopping,
            retry_policy=retry_policy,
            sealer=sealer,
        )

    return Attached(
        app,
        location,
        broker,
        queues,
        settings,
        functions,
        container(
            _WORKER_RETRY_SECONDS, _retry_policy(settings, claim_seconds=_CLAIM_RETRY_SECONDS, commit_seconds=inf)
        ),
        container(_BACKGROUND_RETRY_SECONDS, _retry_policy(settings, claim_seconds=0, commit_seconds=0)),
        is_url_explicit=bool(explicit_url),
        publish=publish,
        sealer=sealer,
    )


def _retry_policy(settings: Settings, claim_seconds: float, commit_seconds: float) -> RetryPolicy:
    return RetryPolicy(claim_seconds, commit_seconds, settings.durable, _log_not_durable, deferred_signals.pause)


def beat_schedule(every: float = 5) -> dict[str, dict[str, Any]]:
    """Return the sweep's entry for `app.conf.beat_schedule`. A message expires after `every` seconds."""
    arguments.number("every", every, minimum=0.1, unit="seconds")
    return {"pollflow-sweep": {"task": SWEEP_TASK, "schedule": every, "options": {"expires": every}}}


def _add_worker_hooks(app: Celery, attached: Attached) -> None:
    """Add the checks before a worker of the app starts, and the background jobs after it has started."""

    def check(hostname: str) -> None:
        name_worker(hostname)
        shutdown_flag.begin()
        call_marks.begin()
        check_internals()
        repair_prefork()
        isolate(app)
        accept_unix_urls(app)
        routes, broker = attached.container.routes, attached.broker
        check_celery(app, attached.settings, broker, routes)
        check_consumed(app, routes)
        store = attached.background.store
        check_server(store.client, "Redis of pollflow")
        if not routes.in_script:
            logger.info(
                "the state (%s) and the broker (%s) are not one Redis database: steps are published over the broker "
                "connection of workers",
                attached.location,
                broker.location or broker.description,
            )
        if broker.location is not None and not routes.in_script:
            check_server(connect(broker.location), "broker")
        if attached.settings.durable:
            check_durability(store)

    def on_ready(sender: Any = None, **_: Any) -> None:
        if sender is None or getattr(sender, "app", app) is app:
            _start_background(attached, getattr(sender, "pool", None))
            postpone_rate_limited(attached.background.store, attached.settings, sender)
            follow_signals()

    def on_child(**_: Any) -> None:
        deferred_signals.join_pool(child_index())

    signals.after_setup_logger.connect(protect_handlers)
    app.steps["worker"].add(before_start(check))
    app.steps["worker"].add(ShutdownHandler)
    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_process_init.connect(on_child, weak=False)


def _start_background(attached: Attached, pool: Any) -> None:
    objects, settings = attached.background, attached.settings
    registry = WorkerRegistry(objects.directory, objects.reading, objects.routes, settings, attached.functions)
    renewer = LeaseRenewer(objects.store, objects.reading, terminator(pool), call_marks.current())
    try:
        registry.register()
    except StoreUnavailable as error:
        logger.warning("%s; retrying to register the queues and functions of this worker", error)
    # Renewal has its own thread, because leases would expire during a sweep of thousands of entries.
    run_in_background("pollflow-leases", renewer.renew, settings.sweep_interval)
    run_in_background("pollflow-registry", registry.register_again, settings.sweep_interval)
    if settings.sweep_in_workers:
        run_in_background("pollflow-sweep", objects.sweeper.sweep, settings.sweep_interval)


def _log_not_durable(problem: NotDurable) -> None:
    """Log a commit that was written but not acknowledged. It counts as committed."""
    logger.warning("a commit was not acknowledged: %s", problem)


def _publisher(app: Celery, queues: StepQueues) -> Callable[[Message], None]:
    def publish(message: Message) -> None:
        name = messages.task_name(message)
        try:
            app.send_task(
                name,
                args=messages.args_of(message),
                task_id=messages.task_id(message),
                eta=messages.eta_of(message),
                root_id=message.key.execution.id,
                parent_id=messages.parent_id(message),
                headers={messages.CALLBACK: messages.callback_of(message)},
                shadow=messages.shown_name(message),
                argsrepr=messages.shown_args(message),
                kwargsrepr="{}",
                serializer="json",
                ignore_result=True,
                add_to_parent=False,
                retry=False,
                **queues.send_options(app, name),
            )
        except Exception as error:
            if not _is_outage(app, error):
                raise
            # The sweep publishes the message again.
            logger.warning("a message could not be published", extra={"execution": str(message.key.ref)}, exc_info=True)

    return publish


def _is_outage(app: Celery, error: Exception) -> bool:
    """Return whether the broker cannot be reached or refuses messages, rather than that no message could be made."""
    if isinstance(error, OperationalError | OSError):
        return True
    connection = app.connection_for_write()
    known = {*connection.connection_errors, *connection.channel_errors}
    # kombu's Redis transport lists KeyError, for its consumers. Here a router of the app raises it.
    return isinstance(error, tuple(known - {KeyError}))


def _state_location(app: Celery, url: str, broker: Broker) -> RedisLocation:
    """Return where the state is. TLS and credentials of a broker in the same database are used for the state too."""
    url = url or os.environ.get("POLLFLOW_REDIS_URL", "")
    if not url and broker.location is not None:
        return broker.location
    if not url:
        raise _no_redis(app, broker)
    try:
        location = RedisLocation.parse(url)
    except InvalidArgument as error:
        raise ConfigurationError(f"the Redis URL of the state cannot be used: {error}") from error
    return location.completed_by(broker.location) if location == broker.location and broker.location else location


def _routes(app: Celery, location: RedisLocation, broker: Broker, queues: StepQueues) -> Routes:
    """Return where the app's step messages go."""
    return Routes(
        in_script=location == broker.location,
        queues=queues.by_step_type,
        list_prefix=transport_options(app).get("global_keyprefix", ""),
    )


def _no_redis(app: Celery, broker: Broker) -> ConfigurationError:
    if not (app.conf.broker_write_url or app.conf.broker_url):
        return RedisNotConfigured(
            "no Redis is configured: set POLLFLOW_REDIS_URL=redis://HOST:6379/0, give the app a Redis as its broker, "
            "or run `pollflow worker`, which starts an embedded server"
        )
    return ConfigurationError(
        "the state of executions is kept in one Redis database, which the broker "
        f"({broker.description}) is not; set pollflow_redis_url or POLLFLOW_REDIS_URL"
    )
