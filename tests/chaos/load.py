"""The client process: it starts executions at a constant rate, reports callbacks and stops some executions.

It records each operation in the ledger before and after the call. After a restart it repeats starts and reports that
have no recorded reply.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from pollflow import Client
from pollflow.errors import (
    ExecutionAlreadyCompleted,
    ExecutionAlreadyExists,
    ExecutionNotExists,
    InvalidTaskToken,
    StoreUnavailable,
    TaskAlreadyCompleted,
)
from tests.chaos.functions import report_for
from tests.chaos.ledger import LEDGER_URL, Ledger
from tests.chaos.plan import Planned, executions

BEGAN, DONE, STOP = "load-began", "load-done", "load-stop"
_RETRY_SECONDS = 0.2


class Load:
    """The load of one seed."""

    def __init__(self, ledger: Ledger, seed: int, count: int, interval: float) -> None:
        self._ledger = ledger
        self._planned = executions(seed, count)
        self._interval = interval
        self._client = Client(os.environ["POLLFLOW_REDIS_URL"])

    def run(self) -> None:
        """Work until the harness signals the end."""
        for work in (self._start_all, self._report_all):
            threading.Thread(target=self._run_or_exit, args=(work,), daemon=True).start()
        self._run_or_exit(self._stop_some)

    def _run_or_exit(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # an unexpected error is a problem of the run
            self._ledger.add_problem(f"the client failed: {traceback.format_exc()}")
            os._exit(1)

    def _is_over(self) -> bool:
        return self._ledger.mark(STOP) is not None

    def _start_all(self) -> None:
        if self._ledger.mark(BEGAN) is None:
            self._ledger.set_mark(BEGAN, repr(self._ledger.now()))
        began = float(self._ledger.mark(BEGAN) or 0)
        acknowledged = self._ledger.acknowledged_at()
        for number, planned in enumerate(self._planned):
            if planned.name not in acknowledged:
                time.sleep(max(0.0, began + number * self._interval - self._ledger.now()))
                self._start(planned)
        # Executions that Redis may have lost in a crash.
        while missing := self._missing():
            for planned in missing:
                self._start(planned)
        self._ledger.set_mark(DONE, repr(self._ledger.now()))

    def _missing(self) -> list[Planned]:
        acknowledged = self._ledger.acknowledged_at()
        return [planned for planned in self._planned if planned.name not in acknowledged]

    def _start(self, planned: Planned) -> None:
        is_first = self._ledger.record_intent(planned.name)
        while True:
            since = self._ledger.now()
            try:
                self._client.start(planned.flow, planned.input, name=planned.name)
            except ExecutionAlreadyExists:
                if is_first:
                    self._ledger.add_problem(f"{planned.name} existed before its first start")
            except StoreUnavailable:
                is_first = False
                time.sleep(_RETRY_SECONDS)
                continue
            self._ledger.acknowledge(planned.name, since)
            return

    def _report_all(self) -> None:
        losses: list[tuple[float, float]] = []
        reported, after = self._ledger.reports(), "0"
        while True:
            if losses != (current := self._ledger.losses()):
                losses, reported, after = current, self._ledger.reports(), "0"
            for entry, token, salt in self._ledger.tokens(after, block_ms=500):
                after = entry
                if token not in reported:
                    reported[token] = _until_available(lambda token=token, salt=salt: self._report(token, salt))

    def _report(self, token: str, salt: str) -> str:
        since, answer = self._ledger.now(), report_for(salt)
        outcome = "reported"
        try:
            if answer.error:
                self._client.report_failed(token, answer.error, "by its rule")
            else:
                self._client.report_succeeded(token, answer.value)
        except TaskAlreadyCompleted:
            outcome = "too late"
        except InvalidTaskToken:
            if not self._ledger.losses():
                self._ledger.add_problem(f"the task token of {salt} was refused as invalid")
            outcome = "invalid"
        self._ledger.reported(token, outcome, since)
        return outcome

    def _stop_some(self) -> None:
        to_stop = [planned for planned in self._planned if planned.stop_after is not None]
        while not self._is_over():
            acknowledged, stops = self._ledger.acknowledged_at(), self._ledger.stops()
            for planned in to_stop:
                at = acknowledged.get(planned.name)
                if at is None or stops.get(planned.name, "tried") != "tried":
                    continue
                if at + (planned.stop_after or 0) <= self._ledger.now():
                    _until_available(lambda planned=planned: self._stop(planned))
            time.sleep(0.5)

    def _stop(self, planned: Planned) -> str:
        since, outcome = self._ledger.now(), "stopped"
        self._ledger.stopped(planned.name, "tried", since)
        try:
            self._client.execution(planned.flow, planned.name).stop("Chaos.Stopped", "by the load")
        except ExecutionAlreadyCompleted as error:
            outcome = f"refused: {error}"
        except ExecutionNotExists:
            if not self._ledger.losses():
                self._ledger.add_problem(f"{planned.name} was acknowledged and does not exist")
            outcome = "tried"
        self._ledger.stopped(planned.name, outcome, since)
        return outcome


def _until_available(operation: Callable[[], str]) -> str:
    while True:
        try:
            return operation()
        except StoreUnavailable:
            time.sleep(_RETRY_SECONDS)


if __name__ == "__main__":
    Load(Ledger(os.environ[LEDGER_URL]), int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).run()
