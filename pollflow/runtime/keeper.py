"""What a worker does in the background: vouches for what it holds, ends calls that may not commit any more, and sweeps.

It runs as a thread of the worker's main process, not of a pool child: a function that keeps its process busy cannot
keep its own lease from being renewed, and a child that dies is noticed by its parent.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from celery.worker import state as worker_state

from pollflow.errors import InvalidArgument, PollflowError, StoreUnavailable
from pollflow.runtime.messages import TASK_PREFIX, address_of
from pollflow.runtime.sweep import Sweeper
from pollflow.store import Address, Store

logger = logging.getLogger("pollflow")

_ROUNDS_IN_VAIN = 3

Terminate = Callable[[int], None]

WORKER = secrets.token_hex(8)
"""Names this worker in the nonces of its calls. Pool children are forked from it and share the name."""


@dataclass(slots=True)
class Keeper:
    """The background thread of a worker."""

    store: Store
    sweeper: Sweeper | None
    every_seconds: float
    terminate: Terminate | None = None
    """Ends the pool child of that process id; None where the pool cannot."""
    _in_vain: dict[int, int] = field(default_factory=dict)
    """For how many rounds the entry of a request has been over, by the request's identity."""
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
        in_vain: dict[int, int] = {}
        for request, address in _held():
            if not self.store.vouch(address, WORKER):
                in_vain[id(request)] = self._in_vain.get(id(request), 0) + 1
                self._end(request, in_vain[id(request)])
        self._in_vain = in_vain
        if self.sweeper is not None:
            self.sweeper.sweep()

    def _end(self, request: Any, rounds: int) -> None:
        """Ends a call whose execution was stopped, whose step timed out, or that somebody else has taken over.

        A task that has just committed is in vain too, and is given a few rounds to come to its end.
        """
        if self.terminate is None or rounds != _ROUNDS_IN_VAIN or not request.worker_pid:
            return
        logger.warning("a call that may not commit any more is ended", extra={"task": request.id})
        self.terminate(request.worker_pid)

    def _reached(self) -> None:
        if not self._is_reachable:
            logger.warning("Redis serves again")
        self._is_reachable = True

    def _missed(self, error: StoreUnavailable) -> None:
        if self._is_reachable:
            logger.warning("%s; trying again until it serves", error)
        self._is_reachable = False


def _held() -> list[tuple[Any, Address]]:
    """The messages that the worker has taken from the queue and not finished, those that run included."""
    held = []
    for request in _snapshot(worker_state.reserved_requests):
        if not request.name.startswith(TASK_PREFIX):
            continue
        try:
            held.append((request, address_of(request.args)))
        except InvalidArgument:
            continue
    return held


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """A copy of a set that the main thread changes meanwhile."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
