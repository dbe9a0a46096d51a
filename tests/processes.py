"""Processes that tests start: each in a group of its own, its output in a file, none of them left over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PROC = Path("/proc")


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Ask again and again until the condition holds; AssertionError, naming what was awaited, if it never does."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout:g} s"
        time.sleep(0.02)


class Started:
    """A process started by a test, leader of its own process group."""

    def __init__(self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=cwd,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group."""
        return self.process.pid

    def output(self) -> str:
        """All that it has written so far."""
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout: float = 30.0) -> None:
        """Wait until it has written the text; AssertionError with its output if it ends before."""

        def written() -> bool:
            ended = self.process.poll() is not None
            if text in self.output():
                return True
            assert not ended, f"{self.command} ended with {self.process.returncode}:\n{self.output()}"
            return False

        try:
            wait_until(written, f"{text!r} from {self.command}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\nIts output:\n{self.output()}") from None

    def kill_group(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole group, and wait until all of it has ended."""
        self.signal_group(number)
        self.process.wait(30)
        wait_until(lambda: not group_members(self.pid), f"the end of the group of {self.command}")

    def signal_group(self, number: int) -> None:
        """Send a signal to the whole group, as a terminal or an out-of-memory killer does."""
        if group_members(self.pid):
            os.killpg(self.pid, number)

    def stop(self, timeout: float = 90.0) -> int:
        """Ask it to end, as a supervisor does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        wait_until(lambda: not group_members(self.pid), f"the end of the group of {self.command}")
        return status

    def end(self) -> bool:
        """End the whole group whatever happens; False if processes outlived their leader."""
        outlived = self.process.poll() is not None and bool(group_members(self.pid))
        if self.process.poll() is None or outlived:
            self.kill_group()
        return not outlived


class Processes:
    """Starts processes with `env` added to their environment; ends those that still run when the test is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = {}
        self._started: list[Started] = []

    def start(
        self, name: str, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Started:
        """Start a command; its output goes to a file named after it."""
        log = self.folder / f"{name}-{len(self._started)}.log"
        started = Started(command, cwd=cwd, env={**self.env, **(env or {})}, log=log)
        self._started.append(started)
        return started

    def end_all(self) -> None:
        """End all groups; AssertionError if one had processes that outlived their leader."""
        left_over = [started.command for started in reversed(self._started) if not started.end()]
        assert not left_over, f"left processes behind: {left_over}"


def group_members(group: int) -> list[int]:
    """Return the living processes of a process group; those that only wait to be reaped do not count."""
    if not PROC.is_dir():
        listing = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit() and _is_in(path, group)]


def _is_in(process: Path, group: int) -> bool:
    try:
        # pid (name, which may hold anything) state ppid pgrp ...
        state, _, pgrp = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False  # it has just ended
    return int(pgrp) == group and state not in ("Z", "X")
