"""The client process: starts executions steadily, reports callbacks, stops a few. Killed, it goes on where it was.

What it did stands in the ledger before and after each step, so a start whose answer was not heard is made again under
the same name, and so is a report.
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
from tests.chaos.functions import report_on
from tests.chaos.ledger import LEDGER_URL, Ledger
from tests.chaos.plan import Planned, executions

BEGAN, DONE, ENOUGH = "load-began", "load-done", "load-enough"
_PAUSE = 0.2


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
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        self._guarded(self._stop_some)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # what the load does not expect is a finding
            self._ledger.complain(f"the client failed: {traceback.format_exc()}")
            os._exit(1)

    def _is_enough(self) -> bool:
        return self._ledger.mark(ENOUGH) is not None

    def _start_all(self) -> None:
        if self._ledger.mark(BEGAN) is None:
            self._ledger.set_mark(BEGAN, repr(self._ledger.now()))
        began = float(self._ledger.mark(BEGAN) or 0)
        acknowledged = self._ledger.acknowledged_at()
        for number, planned in enumerate(self._planned):
            if planned.name not in acknowledged:
                time.sleep(max(0.0, began + number * self._interval - self._ledger.now()))
                self._start(planned)
        # Those that a Redis that went back in time has forgotten, or may have.
        while missing := self._missing():
            for planned in missing:
                self._start(planned)
        self._ledger.set_mark(DONE, repr(self._ledger.now()))

    def _missing(self) -> list[Planned]:
        acknowledged = self._ledger.acknowledged_at()
        return [planned for planned in self._planned if planned.name not in acknowledged]

    def _start(self, planned: Planned) -> None:
        is_first = self._ledger.intend(planned.name)
        while True:
            since = self._ledger.now()
            try:
                self._client.start(planned.flow, planned.input, name=planned.name)
            except ExecutionAlreadyExists:
                if is_first:
                    self._ledger.complain(f"{planned.name} existed before it was ever started")
            except StoreUnavailable:
                is_first = False
                time.sleep(_PAUSE)
                continue
            self._ledger.acknowledge(planned.name, since)
            return

    def _report_all(self) -> None:
        losses: list[tuple[float, float]] = []
        reported, after = self._ledger.reports(), "0"
        while True:
            if losses != (now_lost := self._ledger.losses()):
                losses, reported, after = now_lost, self._ledger.reports(), "0"
            for entry, token, salt in self._ledger.tokens(after, block_ms=500):
                after = entry
                if token not in reported:
                    reported[token] = _until_heard(lambda token=token, salt=salt: self._report(token, salt))

    def _report(self, token: str, salt: str) -> str:
        since, answer = self._ledger.now(), report_on(salt)
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
                self._ledger.complain(f"the task token of {salt} is said to be invalid")
            outcome = "invalid"
        self._ledger.reported(token, outcome, since)
        return outcome

    def _stop_some(self) -> None:
        doomed = [planned for planned in self._planned if planned.stop_after is not None]
        while not self._is_enough():
            acknowledged, stops = self._ledger.acknowledged_at(), self._ledger.stops()
            for planned in doomed:
                at = acknowledged.get(planned.name)
                if at is None or stops.get(planned.name, "tried") != "tried":
                    continue
                if at + (planned.stop_after or 0) <= self._ledger.now():
                    _until_heard(lambda planned=planned: self._stop(planned))
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
                self._ledger.complain(f"{planned.name} was acknowledged and is not there")
            outcome = "tried"
        self._ledger.stopped(planned.name, outcome, since)
        return outcome


def _until_heard(act: Callable[[], str]) -> str:
    while True:
        try:
            return act()
        except StoreUnavailable:
            time.sleep(_PAUSE)


if __name__ == "__main__":
    Load(Ledger(os.environ[LEDGER_URL]), int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).run()
