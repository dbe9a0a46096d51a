"""What a worker does in the background: vouches for what it holds, ends calls that may not commit any more, and sweeps.

It runs as threads of the worker's main process, not of a pool child: a function that keeps its process busy cannot
keep its own lease from being renewed, and a child that dies is noticed by its parent. Vouching has a thread to itself,
since leases would lapse behind a sweep that finds thousands of entries.
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
from pollflow.runtime.assembly import Assembly
from pollflow.runtime.functions import Functions
from pollflow.runtime.messages import TASK_PREFIX, address_of
from pollflow.store import Address

logger = logging.getLogger("pollflow")

_ROUNDS_IN_VAIN = 3

Terminate = Callable[[int], None]

WORKER = secrets.token_hex(8)
"""Names this worker in the nonces of its calls. Pool children are forked from it and share the name."""


@dataclass(slots=True)
class Keeper:
    """The background of a worker. Its assembly has no patience: a round that fails is followed by the next one."""

    assembly: Assembly
    functions: Functions
    terminate: Terminate | None = None
    """Ends the pool child of that process id; None where the pool cannot."""
    _in_vain: dict[int, int] = field(default_factory=dict)
    """For how many rounds the entry of a request has been over, by the request's identity."""
    _given_up: set[str] = field(default_factory=set)
    """Ids of the messages that a stopping worker has published again."""
    _next_round: threading.Event = field(default_factory=threading.Event)
    _is_stopping: bool = False

    def start(self) -> None:
        """Starts the threads; they end with the process."""
        self._start("pollflow-keeper", self.keep, self._next_round)
        if self.assembly.settings.sweep_in_workers:
            self._start("pollflow-sweeper", self.sweep, threading.Event())

    def give_up(self) -> None:
        """The worker stops: what it holds and has not begun, it will not begin. Safe in a signal handler."""
        self._is_stopping = True
        self._next_round.set()

    def keep(self) -> None:
        """One round of vouching."""
        in_vain: dict[int, int] = {}
        begun = set(map(id, _snapshot(worker_state.active_requests)))
        for request, address in _held():
            if self._is_stopping and id(request) not in begun:
                self._post_again(request, address)
            elif not self.assembly.store.vouch(address, WORKER):
                in_vain[id(request)] = self._in_vain.get(id(request), 0) + 1
                self._end(request, in_vain[id(request)])
        self._in_vain = in_vain
        self.announce()

    def sweep(self) -> None:
        """One round of sweeping."""
        self.assembly.sweeper.sweep()

    def announce(self) -> None:
        """Writes down for clients what the worker takes and calls, unless that stands there already."""
        if not self.assembly.is_announced():
            self.assembly.announce(self.functions)

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
            except PollflowError:
                logger.exception("a round in the background failed")
            if at_once.wait(self.assembly.settings.sweep_every):
                at_once.clear()

    def _post_again(self, request: Any, address: Address) -> None:
        if request.id not in self._given_up:
            self.assembly.engine.post_again(address)
            self._given_up.add(request.id)

    def _end(self, request: Any, rounds: int) -> None:
        """Ends a call whose execution was stopped, whose step timed out, or that somebody else has taken over.

        A task that has just committed is in vain too, and is given a few rounds to come to its end.
        """
        if self.terminate is None or rounds != _ROUNDS_IN_VAIN or not request.worker_pid:
            return
        logger.warning("a call that may not commit any more is ended", extra={"task": request.id})
        self.terminate(request.worker_pid)


def _held() -> list[tuple[Any, Address]]:
    """The messages that the worker has taken from the queue and not finished, those that run included.

    Those that are due first come first.
    """
    held = []
    for request in _snapshot(worker_state.reserved_requests):
        if not request.name.startswith(TASK_PREFIX):
            continue
        try:
            held.append((request, address_of(request.args)))
        except InvalidArgument:
            continue
    return sorted(held, key=_eta)


def _eta(held: tuple[Any, Address]) -> str:
    eta = held[0].eta
    return "" if eta is None else str(eta)


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """A copy of a set that the main thread changes meanwhile."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
