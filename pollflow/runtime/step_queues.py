"""The queue of each step type, as the app routes its Celery tasks.

An app with a key prefix other than the default gets a queue of its own, `QUEUE.PREFIX`. Otherwise the workers of two
apps on one Redis would take each other's messages, find no execution under their own prefix, and drop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.exceptions import QueueNotFound

from pollflow.errors import ConfigurationError
from pollflow.fdl.model import STEP_TYPES
from pollflow.runtime import messages
from pollflow.store import Keys


@dataclass(frozen=True, slots=True)
class StepQueues:
    """The names of the queues. `own` is the queue of the key prefix; None with the default prefix.

    A task goes to the own queue unless `task_routes` names another one for it.
    """

    own: str | None
    by_step_type: dict[str, str]

    @classmethod
    def of(cls, app: Celery, key_prefix: str) -> StepQueues:
        """Read the routes of an app, and let its workers consume the own queue unless `-Q` names their queues.

        Raises ConfigurationError if a step type has no queue.
        """
        default = app.conf.task_default_queue
        if not (isinstance(default, str) and default):
            raise ConfigurationError(f"task_default_queue must be the name of a queue, not {default!r}")
        own = None
        if key_prefix != Keys().prefix:
            own = f"{default}.{key_prefix}"
            if own not in app.amqp.queues:
                app.amqp.queues.add(app.amqp.queues.new_missing(own))
        names = {step_type: messages.TASK_PREFIX + step_type for step_type in STEP_TYPES.values()}
        return cls(own, {step_type: _queue_of(app, name, own) for step_type, name in names.items()})

    def send_options(self, app: Celery, task: str) -> dict[str, str]:
        """Return the options that send a task to the own queue; empty if the routes of the app decide."""
        return {} if self.own is None or _route_of(app, task) else {"queue": self.own}


def _queue_of(app: Celery, task: str, own: str | None) -> str:
    route = _route_of(app, task)
    if own is not None and not route:
        return own
    if route and not route.get("queue"):
        raise ConfigurationError(f"task_routes names no queue for {task}, only {route!r}; name one: {{'queue': NAME}}")
    try:
        queue: Any = app.amqp.router.route({}, task)["queue"]
    except QueueNotFound as error:
        raise ConfigurationError(
            f"the messages of {task} have no queue: {error}; add it to task_queues, or route pollflow.* to one of them"
        ) from error
    return str(getattr(queue, "name", queue))


def _route_of(app: Celery, task: str) -> dict[str, Any] | None:
    """Return what `task_routes` says of a task; None if nothing."""
    try:
        route = app.amqp.router.lookup_route(task, (), {}, {}, None)
    except Exception as error:  # a router of the app may raise anything
        raise ConfigurationError(f"task_routes has no route for {task}: {type(error).__name__}: {error}") from error
    return {"queue": route} if isinstance(route, str) else route
