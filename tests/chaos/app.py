"""The Celery app of the load. Run as `celery -A tests.chaos.app worker`; environment variables name its servers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, signals

import pollflow
from tests.chaos.functions import FUNCTIONS, Answer
from tests.chaos.ledger import ACKS, LEDGER_URL, SLOT, Ledger

CONF = {
    # Short enough that some waits of the load stand in the index alone.
    "pollflow_max_countdown": 6,
    # So many faults would otherwise make a call look like poison.
    "pollflow_max_crashes": 60,
}

STEP, SWEEP_TASK = "pollflow.", "pollflow.sweep"

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


class _Ear(logging.Handler):
    """Count the log lines of pollflow by their constant messages."""

    def emit(self, record: logging.LogRecord) -> None:
        ledger.heard(str(record.msg))


def _registered(name: str, answer: Callable[[dict[str, Any], pollflow.Context], Answer]) -> None:
    def call(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
        written = ledger.call_started(
            key=context.idempotency_key,
            flow=context.flow_name,
            execution=context.execution_name,
            step=context.step,
            group=os.getpgrp(),
            pid=os.getpid(),
        )
        if "token" in input:
            ledger.hand_token(input["token"], input["salt"])
        answered = answer(input, context)
        time.sleep(answered.takes)
        ledger.call_ended(written)
        if answered.error:
            raise pollflow.TaskError(answered.error, "by its rule")
        return answered.value

    call.__qualname__ = name
    pollflow.function(f"chaos/{name}")(call)


for _name, _answer in FUNCTIONS.items():
    _registered(_name, _answer)


def _listen(**_: Any) -> None:
    logger = logging.getLogger("pollflow")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Ear())


signals.after_setup_logger.connect(_listen, weak=False)


@signals.worker_ready.connect(weak=False)
def _say_ready(**_: Any) -> None:
    ledger.ready(os.environ.get(SLOT, "worker"))


@signals.task_received.connect(weak=False)
def _note_received(request: Any, **_: Any) -> None:
    if request.name.startswith(STEP) and request.name != SWEEP_TASK:
        ledger.received(request.args[3], os.getpgrp(), request.eta.timestamp() if request.eta else 0.0)


@signals.task_prerun.connect(weak=False)
def _note_begun(sender: Any, args: Any, **_: Any) -> None:
    if sender.name.startswith(STEP) and sender.name != SWEEP_TASK:
        ledger.begun(args[3])
