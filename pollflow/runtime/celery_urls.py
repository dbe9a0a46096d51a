"""The URLs in the configuration of a Celery app: the environment variables and settings that name a broker or results.

Celery writes the URL of a unix socket as `redis+socket://`, redis-py as `unix://`. An app may use either form, so that
one variable, such as POLLFLOW_REDIS_URL, serves both libraries.
"""

from __future__ import annotations

import os
from typing import Any

from pollflow.errors import ConfigurationError, InvalidArgument
from pollflow.store import RedisLocation

VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")
"""Celery reads these before its configuration."""
_SETTINGS = ("broker_url", "broker_read_url", "broker_write_url", "result_backend")


def accept_unix_urls(app: Any) -> None:
    """Write each `unix://` URL of an app in Celery's form. Raises ConfigurationError for a malformed one."""
    for variable in VARIABLES:
        url = os.environ.get(variable)
        if _is_unix(url):
            os.environ[variable] = _for_celery(url)
    for name in _SETTINGS:
        url = getattr(app.conf, name)
        if _is_unix(url):
            set_setting(app.conf, name, _for_celery(url))


def set_setting(conf: Any, name: str, value: Any) -> None:
    """Set a value under each name that Celery looks up: with the app's namespace (`CELERY_…`), then without."""
    prefix = conf.prefix or ""
    for key in dict.fromkeys((name, prefix + name, (prefix + name).upper() if prefix else name)):
        conf[key] = value


def _is_unix(url: Any) -> bool:
    return isinstance(url, str) and url.startswith("unix://")


def _for_celery(url: Any) -> str:
    try:
        return RedisLocation.parse(url).broker_url()
    except InvalidArgument as error:
        raise ConfigurationError(f"the URL of a broker or result backend cannot be used: {error}") from error
