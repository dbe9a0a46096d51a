"""Ctrl-C and the other signals that end a command. They raise Interrupted once, and never during cleanup."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal ends the command."""

    def __init__(self, number: int) -> None:
        self.exit_status = 128 + number
        super().__init__(signal.Signals(number).name)


@dataclass(slots=True)
class _SignalState:
    """The signals received so far. `deferrals` counts the blocks that must not be interrupted."""

    deferrals: int = 0
    pending: int | None = None
    is_ending: bool = False
    is_repeated: bool = False
    receiver: Callable[[int], object] | None = None


_state = _SignalState()


def listen() -> None:
    """Let the ending signals raise Interrupted. A signal that is ignored (nohup) stays ignored."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer signals to the end of the block, so that the caller knows each process that the block starts."""
    _state.deferrals += 1
    try:
        yield
    finally:
        _state.deferrals -= 1
        if _state.pending is not None and _state.deferrals == 0:
            _raise(_state.pending)


@contextmanager
def forwarded(receiver: Callable[[int], object]) -> Iterator[None]:
    """Call `receiver` with each signal that arrives during the block, and with one deferred before it."""
    _state.receiver = receiver
    if _state.pending is not None:
        number, _state.pending = _state.pending, None
        receiver(number)
    try:
        yield
    finally:
        _state.receiver = None


def is_repeated() -> bool:
    """Return whether another signal has arrived during the cleanup."""
    return _state.is_repeated


def _receive(number: int, frame: FrameType | None) -> None:
    if _state.receiver is not None:
        _state.receiver(number)
        return
    if _state.is_ending:
        _state.is_repeated = True  # the cleanup is running already; it stops waiting for calls
        return
    if _state.deferrals:
        _state.pending = number
    else:
        _raise(number)


def _raise(number: int) -> None:
    _state.pending = None
    _state.is_ending = True
    raise Interrupted(number)
