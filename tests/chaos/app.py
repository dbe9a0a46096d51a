"""The Celery app of the load. Run as `celery -A tests.chaos.app worker`; environment variables name the servers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, signals

import pollflow
from pollflow.runtime.messages import key_of
from tests.chaos.functions import FUNCTIONS, Answer
from tests.chaos.ledger import ACKS, LEDGER_URL, SLOT, Ledger

CONF = {
    # Shorter than some waits of the load, so that these have no message on the way.
    "pollflow_max_countdown": 6,
    # A few for each shard: some waits have a message with a countdown, others are left to the sweep.
    "pollflow_max_countdown_messages": 64,
    # Frequent faults would otherwise exceed the limit of crashes of one call.
    "pollflow_max_crashes": 60,
}

TASK_PREFIX, SWEEP_TASK = "pollflow.", "pollflow.sweep"

url = os.environ["POLLFLOW_REDIS_URL"]
ledger = Ledger(os.environ[LEDGER_URL])

app = Celery("chaos", broker=url)
app.conf.update(CONF)
app.conf.broker_transport_options = {
    "ack_emulation": os.environ.get(ACKS) == "1",
    "visibility_timeout": 3600,
}
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_connection_max_retries = None
pollflow.attach(app, url)
app.conf.beat_schedule = pollflow.beat_schedule(1)


class _LogCounter(logging.Handler):
    """Count the log lines of pollflow by their constant messages."""

    def emit(self, record: logging.LogRecord) -> None:
        ledger.count_log_line(str(record.msg))


def _register(name: str, answer: Callable[[dict[str, Any], pollflow.Context], Answer]) -> None:
    def call(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
        call_id = ledger.call_started(
            key=context.idempotency_key,
            flow=context.flow_name,
            execution=context.execution_name,
            step=context.step,
            group=os.getpgrp(),
            pid=os.getpid(),
        )
        if "token" in input:
            ledger.add_token(input["token"], input["salt"])
        result = answer(input, context)
        time.sleep(result.takes)
        ledger.call_ended(call_id)
        if result.error:
            raise pollflow.TaskError(result.error, "by its rule")
        return result.value

    call.__qualname__ = name
    pollflow.function(f"chaos/{name}")(call)


for _name, _answer in FUNCTIONS.items():
    _register(_name, _answer)


def _count_log_lines(**_: Any) -> None:
    logger = logging.getLogger("pollflow")
    logger.setLevel(logging.INFO)
    logger.addHandler(_LogCounter())


signals.after_setup_logger.connect(_count_log_lines, weak=False)


def _is_step(task: str) -> bool:
    return task.startswith(TASK_PREFIX) and task != SWEEP_TASK


@signals.worker_ready.connect(weak=False)
def _record_ready(**_: Any) -> None:
    ledger.worker_ready(os.environ.get(SLOT, "worker"))


@signals.task_received.connect(weak=False)
def _record_received(request: Any, **_: Any) -> None:
    if _is_step(request.name):
        due = request.eta.timestamp() if request.eta else 0.0
        ledger.message_received(key_of(request.args).token, os.getpgrp(), due)


@signals.task_prerun.connect(weak=False)
def _record_started(sender: Any, args: Any, **_: Any) -> None:
    if _is_step(sender.name):
        ledger.message_started(key_of(args).token)
