"""`attach`: adds a Celery task for each step type, and one for the sweep, to an ordinary Celery app."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from celery import Celery, signals
from kombu.utils.url import parse_url

from pollflow.errors import ConfigurationError, NotDurable, StoreUnavailable
from pollflow.fdl.model import STEP_TYPES
from pollflow.runtime import functions as function_registry
from pollflow.runtime import messages, shutdown_flag
from pollflow.runtime.background import run_in_background
from pollflow.runtime.celery_internals import DEFAULT_CONSUMER, EAGER_CONSUMER, check_internals, terminator
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.health import before_start, check_durability, check_server
from pollflow.runtime.leases import LeaseRenewer, name_worker, worker_name
from pollflow.runtime.rate_limits import postpone_rate_limited
from pollflow.runtime.registry import WorkerRegistry
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.shutdown import ShutdownHandler, follow_signals
from pollflow.runtime.tasks import SWEEP_TASK, add_tasks
from pollflow.store import Message, RetryPolicy, connect

_DEFAULT_VISIBILITY_TIMEOUT = 3600
_WORKER_RETRY_SECONDS = 5
_BACKGROUND_RETRY_SECONDS = 2
_CLAIM_RETRY_SECONDS = 30

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Attached:
    """The result of `attach`: the app's settings, and the objects that its step tasks use.

    Step tasks retry while Redis cannot serve, since the result of a function is stored nowhere else. `background` does
    not retry: its jobs run again in the next interval.
    """

    app: Celery
    settings: Settings
    functions: Functions
    container: Container
    background: Container


def attach(app: Celery, redis_url: str | None = None, *, functions: Functions | None = None) -> Attached:
    """Make the app run flows: add the step tasks and, in its workers, lease renewal and the sweep.

    The Redis that keeps the state is `redis_url`, else the setting `pollflow_redis_url`, else the environment variable
    `POLLFLOW_REDIS_URL`, else the broker if it is a Redis. Raises ConfigurationError for settings that cannot work.
    """
    settings = Settings.of(app.conf)
    url = redis_url or settings.redis_url or os.environ.get("POLLFLOW_REDIS_URL") or _broker_url(app)
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(f"the state of executions is kept in Redis; set pollflow_redis_url (now {_hide(url)})")
    check_visibility_timeout(app, settings)
    registry = functions or function_registry.default
    routes = _routes(app, url)
    publish = _publisher(app)

    def container(retry_seconds: float, *, claim_seconds: float, commit_seconds: float) -> Container:
        return build_container(
            connect(url, retry_seconds=retry_seconds),
            settings,
            routes=routes,
            publish=publish,
            functions=registry,
            worker=worker_name,
            is_stopping=shutdown_flag.is_stopping,
            retry_policy=RetryPolicy(claim_seconds, commit_seconds, settings.durable, _log_not_durable),
        )

    attached = Attached(
        app,
        settings,
        registry,
        container(_WORKER_RETRY_SECONDS, claim_seconds=_CLAIM_RETRY_SECONDS, commit_seconds=inf),
        container(_BACKGROUND_RETRY_SECONDS, claim_seconds=0, commit_seconds=0),
    )
    if _is_redis_transport(_broker_url(app)):
        # Otherwise a worker exits when Redis is full or read-only.
        app.conf.broker_channel_error_retry = True
    if app.conf.worker_consumer == DEFAULT_CONSUMER:
        app.conf.worker_consumer = EAGER_CONSUMER
    add_tasks(app, attached.container.engine.handle, attached.background.sweeper.sweep)
    _add_worker_hooks(app, attached)
    return attached


def beat_schedule(every: float = 5) -> dict[str, dict[str, Any]]:
    """Return the sweep's entry for `app.conf.beat_schedule`. A message expires after `every` seconds."""
    return {"pollflow-sweep": {"task": SWEEP_TASK, "schedule": every, "options": {"expires": every}}}


def check_visibility_timeout(app: Celery, settings: Settings) -> None:
    """Raise ConfigurationError if the broker would redeliver a message while a worker waits for its countdown."""
    if not _is_redis_transport(_broker_url(app)):
        return
    options = app.conf.broker_transport_options or {}
    timeout = options.get("visibility_timeout", _DEFAULT_VISIBILITY_TIMEOUT)
    if timeout < 2 * settings.max_countdown:
        raise ConfigurationError(
            f"broker_transport_options['visibility_timeout'] is {timeout:g} s, but must be at least twice "
            f"pollflow_max_countdown ({settings.max_countdown:g} s); set it to {2 * settings.max_countdown:g} "
            f"or more, or pollflow_max_countdown to {timeout / 2:g} or less"
        )


def _add_worker_hooks(app: Celery, attached: Attached) -> None:
    """Add the checks before a worker of the app starts, and the background jobs after it has started."""

    def check(hostname: str) -> None:
        name_worker(hostname)
        shutdown_flag.begin()
        check_internals()
        check_visibility_timeout(app, attached.settings)
        store = attached.background.store
        check_server(store.client, "Redis of pollflow")
        broker = _broker_url(app)
        if broker.startswith(("redis://", "rediss://")) and not attached.container.routes.in_script:
            check_server(connect(broker), "broker")
        if attached.settings.durable:
            check_durability(store)

    def on_ready(sender: Any = None, **_: Any) -> None:
        if sender is None or getattr(sender, "app", app) is app:
            _start_background(attached, getattr(sender, "pool", None))
            postpone_rate_limited(attached.background.store, attached.settings, sender)
            follow_signals()

    app.steps["worker"].add(before_start(check))
    app.steps["worker"].add(ShutdownHandler)
    signals.worker_ready.connect(on_ready, weak=False)


def _start_background(attached: Attached, pool: Any) -> None:
    objects, settings = attached.background, attached.settings
    registry = WorkerRegistry(objects.directory, objects.reading, objects.routes, settings, attached.functions)
    renewer = LeaseRenewer(objects.store, objects.reading, terminator(pool))
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


def _publisher(app: Celery) -> Callable[[Message], None]:
    def publish(message: Message) -> None:
        try:
            app.send_task(
                messages.task_name(message),
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
            )
        except Exception:  # the sweep publishes the message again
            logger.warning("a message could not be published", extra={"execution": str(message.key.ref)}, exc_info=True)

    return publish


def _routes(app: Celery, url: str) -> Routes:
    """Return where the app's step messages go."""
    options = app.conf.broker_transport_options or {}
    queues = {step_type: _queue_of(app, messages.TASK_PREFIX + step_type) for step_type in STEP_TYPES.values()}
    is_same = _database(_broker_url(app)) == _database(url)
    return Routes(in_script=is_same, queues=queues, list_prefix=options.get("global_keyprefix", ""))


def _queue_of(app: Celery, name: str) -> str:
    queue: Any = app.amqp.router.route({}, name)["queue"]
    return str(getattr(queue, "name", queue))


def _broker_url(app: Celery) -> str:
    return str(app.conf.broker_write_url or app.conf.broker_url or "amqp://")


def _is_redis(url: str) -> bool:
    return url.startswith(("redis://", "rediss://", "redis+socket://", "unix://"))


def _is_redis_transport(url: str) -> bool:
    """Return whether kombu's Redis transport serves the URL. A script cannot publish through sentinels."""
    return _is_redis(url) or url.startswith("sentinel://")


def _database(url: str) -> tuple[str, str, int, str]:
    """Return what identifies a Redis database: its socket, or its host and port, and the number of the database."""
    if not _is_redis(url):
        return ("", url, 0, "")
    if url.startswith(("redis+socket://", "unix://")):
        path, _, query = url.partition("://")[2].partition("?")
        number = next((p.partition("=")[2] for p in query.split("&") if p.startswith(("virtual_host=", "db="))), "0")
        return (path, "", 0, number or "0")
    parsed = parse_url(url)
    host = parsed["hostname"] or "localhost"
    return (
        "",
        "127.0.0.1" if host == "localhost" else host,
        parsed["port"] or 6379,
        parsed["virtual_host"] or "0",
    )


def _hide(url: str) -> str:
    """Return only the scheme of a URL, since the rest may contain a password."""
    return url.partition("://")[0] + "://…"
