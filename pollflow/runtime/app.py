"""`attach`: makes an ordinary Celery app run flows. A Celery task for each step type, one for the sweep."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery, signals
from kombu.utils.url import parse_url

from pollflow.errors import ConfigurationError
from pollflow.fdl.model import STEP_TYPES
from pollflow.runtime import functions as function_registry
from pollflow.runtime import messages
from pollflow.runtime.assembly import Assembly, assemble
from pollflow.runtime.functions import Functions
from pollflow.runtime.keeper import WORKER, Keeper
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Letter, connect

SWEEP_TASK = "pollflow.sweep"
_DEFAULT_VISIBILITY_TIMEOUT = 3600
_WORKER_PATIENCE_SECONDS = 60

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Attached:
    """What `attach` made: the app's settings, and the parts that its step tasks use."""

    app: Celery
    settings: Settings
    functions: Functions
    assembly: Assembly


def attach(app: Celery, redis_url: str | None = None, *, functions: Functions | None = None) -> Attached:
    """Makes the app run flows: adds the step tasks and, in its workers, leases and the sweep.

    `redis_url` is where the state is: the argument, `pollflow_redis_url` of the app, the environment's
    `POLLFLOW_REDIS_URL`, or the broker if that is a Redis. Raises ConfigurationError where settings cannot work.
    """
    settings = Settings.of(app.conf)
    url = redis_url or settings.redis_url or os.environ.get("POLLFLOW_REDIS_URL") or _broker_url(app)
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(f"the state of executions is kept in Redis; set pollflow_redis_url (now {_hide(url)})")
    check_visibility_timeout(app, settings)
    registry = functions or function_registry.default
    routes = _routes(app, url)
    assembly = assemble(
        connect(url, patience_seconds=_WORKER_PATIENCE_SECONDS),
        settings,
        routes=routes,
        publish=_publisher(app),
        functions=registry,
        worker=lambda: WORKER,
    )
    attached = Attached(app, settings, registry, assembly)
    _add_tasks(app, attached)
    _follow_worker(app, attached)
    return attached


def beat_schedule(every: float = 5) -> dict[str, dict[str, Any]]:
    """The entry for `app.conf.beat_schedule`: the sweep, every so many seconds, not kept when nobody takes it."""
    return {"pollflow-sweep": {"task": SWEEP_TASK, "schedule": every, "options": {"expires": every}}}


def check_visibility_timeout(app: Celery, settings: Settings) -> None:
    """Raises ConfigurationError if the broker would hand held countdowns out a second time."""
    if not _is_redis(_broker_url(app)):
        return
    options = app.conf.broker_transport_options or {}
    timeout = options.get("visibility_timeout", _DEFAULT_VISIBILITY_TIMEOUT)
    if timeout < 2 * settings.horizon:
        raise ConfigurationError(
            f"broker_transport_options['visibility_timeout'] is {timeout:g} s, and countdowns of up to "
            f"{settings.horizon:g} s are held: it must be at least twice as long. Set it to {2 * settings.horizon:g} "
            f"or more, or pollflow_horizon to {timeout / 2:g} or less"
        )


def _add_tasks(app: Celery, attached: Attached) -> None:
    engine = attached.assembly.engine

    def step(flow: str, execution: str, frame: str, token: str) -> None:
        engine.handle(messages.address_of((flow, execution, frame, token)))

    for step_type in STEP_TYPES.values():
        _task(app, messages.TASK_PREFIX + step_type)(step)

    def sweep() -> None:
        attached.assembly.sweeper.sweep()

    _task(app, SWEEP_TASK)(sweep)


def _task(app: Celery, name: str) -> Callable[[Callable[..., None]], Any]:
    # Messages are hints: acknowledged early and never kept as results. The sweep is what brings them back.
    task: Callable[[Callable[..., None]], Any] = app.task(
        name=name, ignore_result=True, acks_late=False, reject_on_worker_lost=False, max_retries=0
    )
    return task


def _follow_worker(app: Celery, attached: Attached) -> None:
    """Starts the background work when a worker of this very app is ready."""

    def on_init(sender: Any = None, **_: Any) -> None:
        if sender is not None and sender.app is not app:
            return
        check_visibility_timeout(app, attached.settings)

    def on_ready(sender: Any = None, **_: Any) -> None:
        if sender is not None and getattr(sender, "app", app) is not app:
            return
        settings, assembly = attached.settings, attached.assembly
        assembly.announce(attached.functions)
        keeper = Keeper(
            assembly.store,
            assembly.sweeper if settings.sweep_in_workers else None,
            settings.sweep_every,
            _terminator(getattr(sender, "pool", None)),
        )
        keeper.start()

    signals.worker_init.connect(on_init, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)


def _terminator(pool: Any) -> Callable[[int], None] | None:
    """Ends a pool child, where the pool has children: prefork. Threads and greenlets cannot be ended from outside."""
    return pool.terminate_job if type(pool).__module__ == "celery.concurrency.prefork" else None


def _publisher(app: Celery) -> Callable[[Letter], None]:
    def publish(letter: Letter) -> None:
        try:
            app.send_task(
                messages.task_name(letter),
                args=messages.args_of(letter),
                task_id=messages.task_id(letter),
                eta=messages.eta_of(letter),
                root_id=letter.execution_id,
                parent_id=messages.parent_id(letter),
                argsrepr=messages.shown_args(letter),
                kwargsrepr="{}",
                ignore_result=True,
                add_to_parent=False,
                retry=False,
            )
        except Exception:  # a message is a hint: what the broker did not take, the sweep publishes again
            logger.warning(
                "a message could not be published", extra={"execution": str(letter.address.ref)}, exc_info=True
            )

    return publish


def _routes(app: Celery, url: str) -> Routes:
    """Finds out where the app's step messages go."""
    options = app.conf.broker_transport_options or {}
    queues = {step_type: _queue_of(app, messages.TASK_PREFIX + step_type) for step_type in STEP_TYPES.values()}
    same = _place(_broker_url(app)) == _place(url)
    return Routes(in_script=same, queues=queues, list_prefix=options.get("global_keyprefix", ""))


def _queue_of(app: Celery, name: str) -> str:
    queue: Any = app.amqp.router.route({}, name)["queue"]
    return str(getattr(queue, "name", queue))


def _broker_url(app: Celery) -> str:
    return str(app.conf.broker_write_url or app.conf.broker_url or "amqp://")


def _is_redis(url: str) -> bool:
    return url.startswith(("redis://", "rediss://", "redis+socket://", "unix://"))


def _place(url: str) -> tuple[str, str, int, str]:
    """What tells one Redis database from another: its socket, or its host and port, and the number of the database."""
    if not _is_redis(url):
        return ("", url, 0, "")
    if url.startswith(("redis+socket://", "unix://")):
        path, _, query = url.partition("://")[2].partition("?")
        number = next((p.partition("=")[2] for p in query.split("&") if p.startswith(("virtual_host=", "db="))), "0")
        return (path, "", 0, number or "0")
    parts = parse_url(url)
    host = parts["hostname"] or "localhost"
    return ("", "127.0.0.1" if host == "localhost" else host, parts["port"] or 6379, parts["virtual_host"] or "0")


def _hide(url: str) -> str:
    """The URL without what follows its scheme, since there may be a password in it."""
    return url.partition("://")[0] + "://…"
