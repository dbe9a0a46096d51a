"""Start processes in groups of their own, with their output in files, and end them after the test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PROC = Path("/proc")


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Poll until the condition holds. Raise AssertionError, which names `what`, after the timeout."""
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
        """Return the output so far."""
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout: float = 30.0) -> None:
        """Wait until the output contains the text. Raise AssertionError with the output if the process ends before."""

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
        """Send a signal to the group and wait until all its processes have ended."""
        self.signal_group(number)
        self.process.wait(30)
        wait_until(lambda: not group_members(self.pid), f"the end of the group of {self.command}")

    def signal_group(self, number: int) -> None:
        """Send a signal to the group, as a terminal does."""
        if group_members(self.pid):
            os.killpg(self.pid, number)

    def stop(self, timeout: float = 90.0) -> int:
        """Send SIGTERM, as a supervisor does, wait for the group and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        wait_until(lambda: not group_members(self.pid), f"the end of the group of {self.command}")
        return status

    def end(self) -> bool:
        """Kill the group. Return False if processes outlived their leader."""
        outlived = self.process.poll() is not None and bool(group_members(self.pid))
        if self.process.poll() is None or outlived:
            self.kill_group()
        return not outlived


class Processes:
    """Start processes with `env` added to their environment, and end those that still run after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = {}
        self._started: list[Started] = []

    def start(
        self, name: str, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Started:
        """Start a command with its output in a file with that name."""
        log = self.folder / f"{name}-{len(self._started)}.log"
        started = Started(command, cwd=cwd, env={**self.env, **(env or {})}, log=log)
        self._started.append(started)
        return started

    def end_all(self) -> None:
        """End all groups. Raise AssertionError if processes outlived the leader of their group."""
        left_over = [started.command for started in reversed(self._started) if not started.end()]
        assert not left_over, f"processes outlived their leader: {left_over}"


def group_members(group: int) -> list[int]:
    """Return the ids of the running processes of a group, without zombies."""
    if not PROC.is_dir():
        listing = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit() and _is_in(path, group)]


def _is_in(process: Path, group: int) -> bool:
    try:
        # The format is: pid (name) state ppid pgrp. The name may contain any character.
        state, _, pgrp = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False  # it has just ended
    return int(pgrp) == group and state not in ("Z", "X")
