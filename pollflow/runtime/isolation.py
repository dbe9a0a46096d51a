"""Isolation: an app whose broker and state are replaced by those of a development run, whatever its code configures.

`pollflow run`, `pollflow demo` and `--isolated` set the environment variable `POLLFLOW_ISOLATED` for themselves and for
their workers. Nothing else sets it. `attach` applies it, and a worker applies it again before it connects, because code
after `attach` may configure another broker.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from pollflow.runtime.celery_urls import VARIABLES, set_setting

VARIABLE = "POLLFLOW_ISOLATED"
STATE_VARIABLE = "POLLFLOW_REDIS_URL"
_KEPT_TRANSPORT_OPTIONS = ("visibility_timeout", "ack_emulation", "global_keyprefix")
"""The other options belong to the transport of the broker that is replaced."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The Redis that replaces the broker, the state and the result backend of an app.

    With a key prefix, all keys of pollflow and of the broker begin with it, so that a shared Redis can be used: neither
    queues nor unacknowledged messages are shared with other workers. Without one, the Redis is private.
    """

    url: str
    key_prefix: str | None = None

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a process that is isolated. The app's own code may read the second."""
        return {VARIABLE: json.dumps(asdict(self)), STATE_VARIABLE: self.url}

    @property
    def broker_key_prefix(self) -> str | None:
        """The prefix of the broker's keys; None keeps that of the app."""
        return None if self.key_prefix is None else f"{self.key_prefix}:broker:"


def isolation() -> Isolation | None:
    """Return the isolation of this process, if there is one."""
    text = os.environ.get(VARIABLE)
    return Isolation(**json.loads(text)) if text else None


def isolate(app: Any) -> str | None:
    """Apply the isolation of this process to an app. Return its URL; None if this process is not isolated."""
    isolated = isolation()
    if isolated is None:
        return None
    for variable in VARIABLES:
        if variable in os.environ:
            os.environ[variable] = isolated.url
    for name, value in _overrides(app.conf, isolated).items():
        set_setting(app.conf, name, value)
    return isolated.url


def _overrides(conf: Any, isolated: Isolation) -> dict[str, Any]:
    url = isolated.url
    found = conf.broker_transport_options or {}
    options = {name: found[name] for name in _KEPT_TRANSPORT_OPTIONS if name in found}
    if isolated.broker_key_prefix is not None:
        options["global_keyprefix"] = isolated.broker_key_prefix
    overrides: dict[str, Any] = {
        "broker_url": url,
        "broker_read_url": url,
        "broker_write_url": url,
        "broker_transport": None,
        "broker_transport_options": options,
        "pollflow_redis_url": url,
    }
    if not url.startswith("rediss://"):
        overrides |= {"broker_use_ssl": None, "redis_backend_use_ssl": None}
    if conf.result_backend:
        overrides |= {"result_backend": url, "result_backend_transport_options": {}}
    if isolated.key_prefix is not None:
        overrides["pollflow_key_prefix"] = isolated.key_prefix
    return overrides
