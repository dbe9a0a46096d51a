"""The Celery tasks of an app: one for each step type, and the sweep.

The state of a task says what its message led to. So Flower and the app's own signal handlers see failures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery import Celery, Task
from celery.exceptions import Retry
from celery.worker.request import Request

from pollflow.errors import StepError
from pollflow.fdl.model import STEP_TYPES
from pollflow.printable import clean, without_passwords
from pollflow.runtime import carried, deferred_signals, messages
from pollflow.runtime.handled import Handled, HandledAs
from pollflow.runtime.incoming import STRATEGY, SWEEP_TASK
from pollflow.runtime.step_queues import StepQueues
from pollflow.store import Carried, MessageKey

_MAX_CAUSE = 1000
"""The maximum number of characters of a cause in an event. The execution has all of it."""


def add_tasks(
    app: Celery,
    queues: StepQueues,
    request: type[Request],
    *,
    handle: Callable[[MessageKey, Carried | None], Handled],
    sweep: Callable[[], object],
    hides_causes: bool = False,
) -> None:
    """Add the tasks to the app. `handle` processes a step message, `sweep` the wake-ups that are due.

    `request` is the class of the requests of step tasks. `hides_causes`: exceptions have no causes, since the broker,
    the task events and Flower would have in clear what the state has encoded.
    """

    def run_step(task: Task, *args: Any) -> str:
        key, found = messages.key_of(args), carried.load(getattr(task.request, carried.CARRIED, None))
        handled = deferred_signals.uninterrupted(lambda: handle(key, found), key.token)
        return _result_of(replace(handled, cause="") if hides_causes else handled)

    def run_sweep() -> None:
        sweep()

    for step_type in STEP_TYPES.values():
        _add_task(app, queues, messages.TASK_PREFIX + step_type, run_step, bind=True, Request=request)
    _add_task(app, queues, SWEEP_TASK, run_sweep)


def _add_task(app: Celery, queues: StepQueues, name: str, function: Callable[..., Any], **options: Any) -> None:
    # Messages are hints, so they are acknowledged early and have no results. The sweep publishes lost ones again.
    app.task(
        name=name,
        # Otherwise Celery adds the task to every other app of the process, each with its own Redis and key prefix.
        shared=False,
        ignore_result=True,
        store_errors_even_if_ignored=False,
        acks_late=False,
        reject_on_worker_lost=False,
        max_retries=0,
        Strategy=STRATEGY,
        # An expected exception: Celery logs it in one line, without a traceback of the engine.
        throws=(StepError,),
        **queues.send_options(app, name),
        **options,
    )(function)


def _result_of(handled: Handled) -> str:
    """Return the result of the Celery task. Raises StepError for the state FAILURE, and Retry for RETRY."""
    if handled.kind is HandledAs.FAILED:
        raise _exception_of(handled)
    if handled.kind is HandledAs.RETRIED:
        # This only sets the state; the commit has published the message of the next attempt.
        raise Retry(exc=_exception_of(handled), when=handled.seconds)
    return clean(handled.text)


def _exception_of(handled: Handled) -> StepError:
    cause = without_passwords(handled.cause)
    return StepError(clean(handled.error), clean(cause if len(cause) <= _MAX_CAUSE else cause[: _MAX_CAUSE - 1] + "…"))
