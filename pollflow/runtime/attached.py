"""The apps of this process to which `attach` was applied. It imports no Celery, so that clients start fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pollflow.errors import InvalidArgument
from pollflow.runtime import arguments

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached

_attached: dict[int, Attached] = {}
"""By the id of the app, which `Attached` keeps alive."""


def remember(attached: Attached) -> None:
    """Make `attached_to` find the app."""
    _attached[id(attached.app)] = attached


def attached_to(app: Any) -> Attached:
    """Return what `attach` returned for an app. Raises InvalidArgument if it was not attached."""
    # `current_app` of Celery is a proxy.
    original = getattr(app, "_get_current_object", lambda: app)()
    found = _attached.get(id(original))
    if found is None:
        raise InvalidArgument(
            f"source must be a Redis URL or a Celery app that was attached, not {arguments.shown(original)}; "
            "call pollflow.attach(app) where the app is made"
        )
    return found


def all_attached() -> tuple[Attached, ...]:
    """Return the attached apps of this process."""
    return tuple(_attached.values())
