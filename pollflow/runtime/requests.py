"""The Celery request of a step task, in the worker's main process: it notes which calls a hard time limit ended."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request

from pollflow.errors import InvalidArgument
from pollflow.runtime.engine import Engine
from pollflow.runtime.interruptions import hard_limit_reason
from pollflow.runtime.messages import key_of


def step_request(engine: Engine) -> type[Request]:
    """Return the request class of step tasks, a documented extension point of Celery (`Task.Request`)."""

    class StepRequest(Request):  # type: ignore[misc]
        def on_timeout(self, soft: bool, timeout: float) -> Any:
            """Release the call that its hard time limit ends, since its process may be killed before it can do so."""
            super().on_timeout(soft, timeout)
            if soft:
                return
            try:
                key = key_of(self.args)
            except InvalidArgument:
                return
            engine.release_ended(key, hard_limit_reason(timeout))

    return StepRequest
