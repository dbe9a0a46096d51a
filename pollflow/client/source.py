"""Find the Redis of a client: that of an attached app, of a URL, or of the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pollflow.errors import InvalidArgument
from pollflow.runtime import arguments
from pollflow.runtime.attached import all_attached, attached_to
from pollflow.store import RedisLocation

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached

ENVIRONMENT = "POLLFLOW_REDIS_URL"


def find_source(source: Any, key_prefix: str | None) -> tuple[RedisLocation, Attached | None]:
    """Return the Redis, and the app if there is one. Raises InvalidArgument if nothing names a Redis."""
    if key_prefix is not None:
        arguments.unicode_text("key_prefix", key_prefix, minimum=1)
    attached = _attached(source, key_prefix)
    if attached is not None:
        if key_prefix not in (None, attached.settings.key_prefix):
            raise InvalidArgument(
                f"key_prefix is {key_prefix!r}, but that of the app is {attached.settings.key_prefix!r}; leave it out"
            )
        return attached.location, attached
    url = os.environ.get(ENVIRONMENT) or None if source is None else source
    if url is None:
        raise InvalidArgument(_nothing_names_a_redis())
    return RedisLocation.parse(url), None


def _attached(source: Any, key_prefix: str | None) -> Attached | None:
    if isinstance(source, str):
        return None
    if source is not None:
        return attached_to(source)
    apps = all_attached()
    return apps[0] if len(apps) == 1 and key_prefix in (None, apps[0].settings.key_prefix) else None


def _nothing_names_a_redis() -> str:
    count = len(all_attached())
    found = "no app of this process is attached" if count == 0 else f"{count} apps of this process are attached"
    return f"no Redis for the client: {found}, and {ENVIRONMENT} is not set; pass the Celery app or a URL, or set it"
