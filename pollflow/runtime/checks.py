"""Checks of the Celery configuration: settings that cannot work with step tasks are refused, with the remedy.

Each rule was found with a real worker. Settings that only make steps slower, or that matter to other tasks, pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from celery import Celery
from kombu.exceptions import SerializerNotInstalled
from kombu.serialization import prepare_accept_content

from pollflow.amounts import duration
from pollflow.errors import ConfigurationError
from pollflow.runtime.broker import Broker, transport_options
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings

_DEFAULT_VISIBILITY_TIMEOUT = 3600
_JSON = "application/json"
_SIGNED = "auth"
"""The serializer of `setup_security()`."""
_SERIALIZERS = ("task_serializer", "event_serializer", "result_serializer", "accept_content")

logger = logging.getLogger("pollflow")


def check_celery(app: Celery, settings: Settings, broker: Broker, routes: Routes) -> None:
    """Raise ConfigurationError for settings with which steps would not run."""
    _check_content(app)
    if broker.is_redis:
        check_visibility_timeout(app, settings)
        _check_exchanges(app, routes)
    if routes.in_script:
        _check_priorities(app)


def check_visibility_timeout(app: Celery, settings: Settings) -> None:
    """Raise ConfigurationError if the broker would redeliver a message while a worker waits for its countdown."""
    timeout = transport_options(app).get("visibility_timeout", _DEFAULT_VISIBILITY_TIMEOUT)
    if not isinstance(timeout, int | float):
        raise ConfigurationError(f"broker_transport_options['visibility_timeout'] must be a number, not {timeout!r}")
    if not timeout >= 2 * settings.max_countdown:  # also not a number
        raise ConfigurationError(
            f"broker_transport_options['visibility_timeout'] is {duration(timeout)}, but must be at least twice "
            f"pollflow_max_countdown ({duration(settings.max_countdown)}); set it to {2 * settings.max_countdown:.15g} "
            f"or more, or pollflow_max_countdown to {timeout / 2:.15g} or less"
        )


def check_consumed(app: Celery, routes: Routes) -> None:
    """Log a warning if the worker that starts runs no steps, because `-Q` leaves out their queues."""
    if not set(routes.queues.values()) & set(app.amqp.queues.consume_from):
        names = ",".join(sorted(set(routes.queues.values())))
        logger.warning("this worker runs no steps: it does not consume their queue; add it with -Q %s", names)


def _check_content(app: Celery) -> None:
    _check_unsigned(app)
    accepted = app.conf.accept_content
    try:
        content_types = prepare_accept_content(accepted)  # type: ignore[no-untyped-call]
    except (SerializerNotInstalled, TypeError) as error:
        raise ConfigurationError(
            f"accept_content is {accepted!r}, which no worker can read: {error}; use a list of serializers: ['json']"
        ) from error
    if content_types is not None and _JSON not in content_types:
        raise ConfigurationError(
            f"accept_content is {list(accepted)!r}, so workers refuse the messages of steps, which are JSON; "
            "add 'json' to it"
        )


def _check_unsigned(app: Celery) -> None:
    """Refuse signed messages: scripts in Redis write messages and the times in them, so no signature could hold."""
    signed = [name for name in _SERIALIZERS if _is_signed(app.conf[name])]
    if signed:
        raise ConfigurationError(
            f"signed messages ({', '.join(signed)}: 'auth', as setup_security() sets them) cannot carry steps: scripts "
            "in Redis publish the messages of steps and cannot sign them; leave out setup_security(), use 'json', and "
            "protect the broker by Redis ACL users and TLS (docs/security.md)"
        )


def _is_signed(value: object) -> bool:
    names = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return _SIGNED in names


def _check_exchanges(app: Celery, routes: Routes) -> None:
    for step_type, name in routes.queues.items():
        exchange = app.amqp.queues[name].exchange
        if exchange is not None and exchange.type == "fanout":
            raise ConfigurationError(
                f"the queue {name} of pollflow.{step_type} has a fanout exchange, which keeps no messages on Redis; "
                "route pollflow.* to a queue with a direct exchange"
            )


def _check_priorities(app: Celery) -> None:
    steps = transport_options(app).get("priority_steps")
    if steps is not None and (not isinstance(steps, Iterable) or 0 not in steps):
        raise ConfigurationError(
            f"broker_transport_options['priority_steps'] is {steps!r}, so workers do not read the list of "
            "priority 0, which steps use; add 0 to it"
        )
