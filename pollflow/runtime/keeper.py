"""What a worker does in the background: vouches for what it holds, ends calls that may not commit any more, and sweeps.

It runs as threads of the worker's main process, not of a pool child: a function that keeps its process busy cannot
keep its own lease from being renewed, and a child that dies is noticed by its parent. Vouching has a thread to itself,
since leases would lapse behind a sweep that finds thousands of entries.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from celery.worker import state as worker_state
from celery.worker.request import Request

from pollflow.errors import ExecutionNotExists, InvalidArgument, StoreUnavailable
from pollflow.machine import Status
from pollflow.runtime.container import Container
from pollflow.runtime.functions import Functions
from pollflow.runtime.messages import CALLBACK, TASK_PREFIX, key_of
from pollflow.runtime.shutdown_flag import set_stopping
from pollflow.store import MessageKey

logger = logging.getLogger("pollflow")

_ROUNDS_IN_VAIN = 3
_ROUNDS_NEGLECTED = 3
_HASTE_SECONDS = 0.1
"""Between two rounds of a worker that stops."""
_LAST_POP_SECONDS = 1.5
"""After so long a worker that was told to stop takes nothing from the queue any more (kombu asks for a second)."""

Terminate = Callable[[int], None]

WORKER = secrets.token_hex(8)
"""Names this worker in the nonces of its calls. Pool children are forked from it and share the name."""


@dataclass(slots=True)
class Keeper:
    """The background of a worker. Its assembly has no patience: a round that fails is followed by the next one."""

    container: Container
    functions: Functions
    consumer: Any
    """The worker's consumer: it knows the messages that wait for their time."""
    terminate: Terminate | None = None
    """Ends the pool child of that process id; None where the pool cannot."""
    _in_vain: dict[Any, float] = field(default_factory=dict)
    """For how many rounds the entry of a request has been over; minus infinity once it was told to end."""
    _neglected: dict[Any, int] = field(default_factory=dict)
    """In how many rounds a request was not begun though the worker was idle."""
    _begun_so_far: int = 0
    _left: list[Any] = field(default_factory=list)
    """What the worker held when it was told to stop, and got since. Its consumer forgets that when it closes."""
    _republished: dict[int, Any] = field(default_factory=dict)
    """The requests that a stopping worker has published again, by their identity."""
    _next_round: threading.Event = field(default_factory=threading.Event)
    _stops_at: float = float("inf")
    """From when on what is left is published again (monotonic); never unless the worker was told to stop."""

    def start(self) -> None:
        """Starts the threads; they end with the process."""
        self._start("pollflow-keeper", self.keep, self._next_round)
        if self.container.settings.sweep_in_workers:
            self._start("pollflow-sweeper", self.sweep, threading.Event())

    @property
    def is_stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return self._stops_at < float("inf")

    def note_stop(self) -> None:
        """The worker was told to stop: what it holds and has not begun, it will not begin. For its signal handlers.

        As long as it takes messages from the queue, it would take back what is published again.
        """
        if not self.is_stopping:
            set_stopping()
            self._left = self._not_begun()
            self._stops_at = time.monotonic() + _LAST_POP_SECONDS
            self._next_round.set()

    def note_received(self, request: Any) -> None:
        """A message came; if the worker stops, it is one of those that are left."""
        if self.is_stopping:
            self._left.append(request)

    def note_closed(self) -> None:
        """The worker takes nothing from the queue any more."""
        if self.is_stopping:
            self._stops_at = time.monotonic()
            self._next_round.set()

    def keep(self) -> None:
        """One round of vouching."""
        in_vain: dict[Any, float] = {}
        # Celery forgets the running ones among the reserved when it reconnects or stops.
        begun = {*_snapshot(worker_state.active_requests)}
        continued = begun if self.is_stopping else begun | {*_snapshot(worker_state.reserved_requests)}
        if not self.is_stopping:  # the pool of one that stops may be gone, and what it has not begun it publishes again
            self._note_neglected(continued - begun, is_free=len(begun) < (self.consumer.pool.num_processes or 1))
        for request, key in _step_requests(continued):
            if self._neglected.get(request, 0) >= _ROUNDS_NEGLECTED:
                continue
            if not self.container.store.renew(key, WORKER, has_begun=request in begun):
                rounds = self._in_vain.get(request, 0) + 1
                in_vain[request] = -math.inf if self._end(request, key, rounds) else rounds
        self._in_vain = in_vain
        if time.monotonic() >= self._stops_at:
            self._republish()
        self.announce()

    def sweep(self) -> None:
        """One round of sweeping."""
        self.container.sweeper.sweep()

    def announce(self) -> None:
        """Writes down for clients what the worker takes and calls, unless that stands there already."""
        if not self.container.is_announced():
            self.container.announce(self.functions)

    def _start(self, name: str, do: Callable[[], None], at_once: threading.Event) -> None:
        threading.Thread(target=self._run, args=(do, at_once), name=name, daemon=True).start()

    def _run(self, do: Callable[[], None], at_once: threading.Event) -> None:
        is_served = True
        while True:
            try:
                do()
                if not is_served:
                    logger.warning("Redis serves again")
                is_served = True
            except StoreUnavailable as error:
                if is_served:
                    logger.warning("%s; trying again until it serves", error)
                is_served = False
            except Exception:  # whatever it was: a worker that does not vouch loses its calls to others
                logger.exception("a round in the background failed")
            if at_once.wait(_HASTE_SECONDS if self.is_stopping else self.container.settings.sweep_interval):
                at_once.clear()

    def _note_neglected(self, waiting: set[Any], *, is_free: bool) -> None:
        """Celery may lose a request between its queue and its pool, as when a child dies or a connection is made anew.

        Whoever went on vouching for it would keep it from all other workers. A worker that has begun something since
        the last round is not idle, only busy.
        """
        begun_so_far = int(worker_state.all_total_count[0])
        is_idle, self._begun_so_far = is_free and begun_so_far == self._begun_so_far, begun_so_far
        self._neglected = {request: self._neglected.get(request, 0) + is_idle for request in waiting}
        for request, rounds in self._neglected.items():
            if is_idle and rounds == _ROUNDS_NEGLECTED:
                logger.warning("a message that is not begun is left to others", extra={"task": request.id})

    def _republish(self) -> None:
        begun = {*_snapshot(worker_state.active_requests)}
        for request, key in _step_requests([*self._left, *self._not_begun()]):
            if request not in begun and not request.acknowledged and id(request) not in self._republished:
                self.container.engine.republish(key)
                self._republished[id(request)] = request

    def _not_begun(self) -> list[Any]:
        """What the worker has taken from the queue: what waits for a free process, and what waits for its time."""
        timed = [scheduled.entry.args[:1] for scheduled in _snapshot(self.consumer.timer.schedule._queue)]
        delayed = [args[0] for args in timed if args and isinstance(args[0], Request)]
        return [*_snapshot(worker_state.reserved_requests), *delayed]

    def _end(self, request: Any, key: MessageKey, rounds: float) -> bool:
        """Ends a call whose execution was stopped, whose step timed out, or that somebody else has taken over.

        A task that has just committed is in vain too, and is given a few rounds to come to its end. Whether it did.
        """
        if self.terminate is None or rounds < _ROUNDS_IN_VAIN or not request.worker_pid:
            return False
        if request not in worker_state.active_requests:
            return False  # it has come to its end while Redis was asked, and its process may serve another call by now
        if self._may_go_on(request, key):
            return False
        logger.warning("a call that may not commit any more is ended", extra={"task": request.id})
        self.terminate(request.worker_pid)
        return True

    def _may_go_on(self, request: Any, key: MessageKey) -> bool:
        """Whether the step waited for a callback and was reported on: then what its function still does is its own."""
        limit = request.request_dict.get(CALLBACK)
        if limit is None or (limit and time.time() > request.time_start + limit):
            return False
        reading = self.container.engine.reading
        try:
            status = reading.execution(key.ref).status
        except ExecutionNotExists:
            return False
        if status.ended:
            return status is Status.SUCCEEDED
        frame = reading.frame(key.ref, key.frame)
        return frame is None or frame.token != key.token  # else somebody else has taken it over


def _step_requests(requests: Iterable[Any]) -> list[tuple[Any, MessageKey]]:
    """Those that are step messages, with what they are about; those that are due first come first."""
    found = []
    for request in requests:
        if not request.name.startswith(TASK_PREFIX):
            continue
        try:
            found.append((request, key_of(request.args)))
        except InvalidArgument:
            continue
    return sorted(found, key=_eta)


def _eta(continued: tuple[Any, MessageKey]) -> str:
    eta = continued[0].eta
    return "" if eta is None else str(eta)


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """A copy of a set that the main thread changes meanwhile."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
