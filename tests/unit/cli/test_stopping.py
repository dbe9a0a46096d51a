"""The end of a command's worker: it waits for running calls, and not after a second signal."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pollflow.cli import interruptions, workers
from pollflow.cli.workers import Worker


class Busy:
    """A process whose call ends after some waits."""

    pid = 0

    def __init__(self, waits: int) -> None:
        self.waits_left = waits

    def terminate(self) -> None:
        pass

    def poll(self) -> int | None:
        return None if self.waits_left else 0

    def wait(self, timeout: float | None = None) -> int:
        if timeout is None:
            return 0
        self.waits_left -= 1
        raise subprocess.TimeoutExpired("worker", timeout)


@pytest.mark.parametrize(("signals", "waits_left"), [(1, 0), (2, 5)])
def test_a_second_signal_ends_the_wait_for_calls(
    signals: int, waits_left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruptions, "_state", interruptions._SignalState())
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    monkeypatch.setattr(workers, "STOP_SECONDS", 3600)
    process: Any = Busy(5)
    with pytest.raises(interruptions.Interrupted):
        interruptions._receive(signal.SIGINT, None)
    for _ in range(signals - 1):
        interruptions._receive(signal.SIGINT, None)
    Worker(process, Path("log"), 0, -1, 0.0).stop()
    assert process.waits_left == waits_left
