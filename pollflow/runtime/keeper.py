"""What a worker does in the background: vouches for what it holds, and sweeps.

It runs as a thread of the worker's main process, not of a pool child: a function that keeps its process busy cannot
keep its own lease from being renewed, and a child that dies is noticed by its parent.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from celery.worker import state as worker_state

from pollflow.errors import InvalidArgument, PollflowError, StoreUnavailable
from pollflow.runtime.messages import TASK_PREFIX, address_of
from pollflow.runtime.sweep import Sweeper
from pollflow.store import Address, Store

logger = logging.getLogger("pollflow")

WORKER = secrets.token_hex(8)
"""Names this worker in the nonces of its calls. Pool children are forked from it and share the name."""


@dataclass(slots=True)
class Keeper:
    """The background thread of a worker."""

    store: Store
    sweeper: Sweeper | None
    every_seconds: float
    _stop: threading.Event = field(default_factory=threading.Event)
    _is_reachable: bool = True

    def start(self) -> None:
        """Starts the thread; it ends with the process."""
        threading.Thread(target=self._run, name="pollflow-keeper", daemon=True).start()

    def stop(self) -> None:
        """Lets the thread end."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.keep()
                self._reached()
            except StoreUnavailable as error:
                self._missed(error)
            except PollflowError:
                logger.exception("a sweep failed")
            self._stop.wait(self.every_seconds)

    def keep(self) -> None:
        """One round."""
        for address in _held():
            self.store.vouch(address, WORKER)
        if self.sweeper is not None:
            self.sweeper.sweep()

    def _reached(self) -> None:
        if not self._is_reachable:
            logger.warning("Redis serves again")
        self._is_reachable = True

    def _missed(self, error: StoreUnavailable) -> None:
        if self._is_reachable:
            logger.warning("%s; trying again until it serves", error)
        self._is_reachable = False


def _held() -> list[Address]:
    """The messages that the worker has taken from the queue and not finished, those that run included."""
    addresses = []
    for request in _snapshot(worker_state.reserved_requests):
        if not request.name.startswith(TASK_PREFIX):
            continue
        try:
            addresses.append(address_of(request.args))
        except InvalidArgument:
            continue
    return addresses


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """A copy of a set that the main thread changes meanwhile."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
