"""The scheduler of `pollflow worker --beat`. The process of beat, which runs no functions, imports it."""

from __future__ import annotations

import os
from typing import Any

from celery.beat import PersistentScheduler

DEFAULT = "celery.beat:PersistentScheduler"
"""The scheduler that an app has unless it names another."""


class PrivateScheduler(PersistentScheduler):  # type: ignore[misc]
    """Celery's own scheduler, but other users cannot read the files in which it keeps the schedule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The library that writes the files makes some of them again and again. It offers no mode for that.
        os.umask(0o077)
        super().__init__(*args, **kwargs)
