"""The app of `tests.apps.jobs` with one more function. Run as `celery -A tests.apps.newer worker`."""

from __future__ import annotations

from typing import Any

import pollflow
from tests.apps.jobs import app, record

__all__ = ["app"]


@pollflow.function("jobs/new")
def new(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    record(input, context)
    return {"attempt": context.attempt}
