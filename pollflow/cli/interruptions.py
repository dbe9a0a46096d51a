"""Ctrl-C, and the signals that end a command: one exception, raised once, and never in the middle of tidying up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        self.exit_status = 128 + number
        super().__init__(signal.Signals(number).name)


@dataclass(slots=True)
class _Received:
    """What has come so far. `holds` counts the blocks that must not be left half done."""

    holds: int = 0
    waiting: int | None = None
    is_ending: bool = False
    hand_on: Callable[[int], object] | None = None


_received = _Received()


def listen() -> None:
    """From now on the ending signals raise Interrupted; one that is ignored (nohup) stays ignored."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that come during the block are raised at its end: what it starts is known to whoever will end it."""
    _received.holds += 1
    try:
        yield
    finally:
        _received.holds -= 1
        if _received.waiting is not None and _received.holds == 0:
            _raise(_received.waiting)


@contextmanager
def handed_on(receiver: Callable[[int], object]) -> Iterator[None]:
    """Signals that come during the block, or wait for the end of one around it, are somebody else's."""
    _received.hand_on = receiver
    if _received.waiting is not None:
        number, _received.waiting = _received.waiting, None
        receiver(number)
    try:
        yield
    finally:
        _received.hand_on = None


def _receive(number: int, frame: FrameType | None) -> None:
    if _received.hand_on is not None:
        _received.hand_on(number)
        return
    if _received.is_ending:
        return  # the command tidies up already; it does not take long
    if _received.holds:
        _received.waiting = number
    else:
        _raise(number)


def _raise(number: int) -> None:
    _received.waiting = None
    _received.is_ending = True
    raise Interrupted(number)
