"""The processes of a run, each in its own group, and the supervisor that restarts them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.clocks import wrong_by
from tests.chaos.ledger import ACKS, SLOT
from tests.processes import Processes, Started, group_members
from tests.workers import PROJECT

WORKERS, BEATS, CLIENT = "worker", "beat", "client"
_RESTART_AFTER_SECONDS = 0.5
_POLL_SECONDS = 0.1
_STOP_SECONDS = 60.0
"""A warm shutdown of Celery may take 30 s longer than its calls (docs/celery.md)."""
_CELERY = (sys.executable, "-m", "celery", "-A", "tests.chaos.app")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(slots=True)
class Slot:
    """A slot of the fleet: a command that the supervisor restarts."""

    name: str
    role: str
    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    has_children: bool = False
    running: Started | None = None
    starts: int = 0
    should_run: bool = True
    is_killed: bool = False
    unexpected_exits: int = 0


class Fleet:
    """Start, supervise and end the processes of a run."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._processes = Processes(folder)
        self._processes.env = dict(env)
        self._folder = folder
        self._slots: dict[str, Slot] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._groups: set[int] = set()
        self.left_over: list[str] = []

    def worker(
        self, name: str, *options: str, acks: bool = False, quiet: bool = True, clock_wrong_by: float = 0
    ) -> None:
        """Add a worker; `start` starts it."""
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tests.chaos.app",
            "worker",
            "-l",
            "WARNING",
            "-n",
            f"{name}@%h",
        ]
        command += [*options, *(_QUIET if quiet else ())]
        env = {SLOT: name, ACKS: str(int(acks)), **wrong_by(clock_wrong_by)}
        self._slots[name] = Slot(name, WORKERS, command, env, has_children="prefork" in options)

    def beat(self, name: str) -> None:
        """Add a beat."""
        schedule = str(self._folder / f"schedule-{name}")
        self._slots[name] = Slot(name, BEATS, [*_CELERY, "beat", "-l", "WARNING", "-s", schedule])

    def client(self, *arguments: str) -> None:
        """Start the client process and supervise it."""
        slot = Slot("client", CLIENT, [sys.executable, "-m", "tests.chaos.load", *arguments])
        with self._lock:
            self._slots[slot.name] = slot
            self._start(slot)

    def start(self) -> None:
        """Start all processes and the supervisor."""
        with self._lock:
            for slot in self._slots.values():
                self._start(slot)
        self._supervisor.start()

    def running(self, role: str, *, with_children: bool = False) -> list[Slot]:
        """Return the slots of a role whose process is running, or all of them while none is."""
        slots = [s for s in self._slots.values() if s.role == role and (s.has_children or not with_children)]
        return [slot for slot in slots if slot.running and slot.running.process.poll() is None] or slots

    def unexpected_exits(self) -> dict[str, int]:
        """Return how many processes ended without a fault."""
        return {slot.name: slot.unexpected_exits for slot in self._slots.values() if slot.unexpected_exits}

    def kill(self, slot: Slot) -> int | None:
        """Kill the group with SIGKILL. Return its id, or None if it was not running."""
        with self._lock:
            running = slot.running
            if running is None or running.process.poll() is not None:
                return None
            slot.is_killed = True
            running.kill_group()
            return running.pid

    def stop(self, slot: Slot) -> None:
        """Stop a process without a restart, with SIGKILL if it ignores SIGTERM. Record processes that outlive it."""
        with self._lock:
            slot.should_run = False
            running = slot.running
        if running is None:
            return
        try:
            running.stop(_STOP_SECONDS)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.left_over.append(f"{slot.name} after SIGTERM: {error}\n{tail(running.log)}")
            running.end()

    def stop_all(self) -> None:
        """Stop all processes at the same time."""
        self._stopping.set()
        threads = [threading.Thread(target=self.stop, args=(slot,)) for slot in self._slots.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.left_over += [f"group {group}: {members}" for group in self._groups if (members := group_members(group))]

    def end(self) -> None:
        """End all processes."""
        self._stopping.set()
        with self._lock:
            for slot in self._slots.values():
                slot.should_run = False
            with suppress(AssertionError):
                self._processes.end_all()

    def _supervise(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            for slot in list(self._slots.values()):
                self._restart_if_ended(slot)

    def _restart_if_ended(self, slot: Slot) -> None:
        running = slot.running
        if running is None or running.process.poll() is None or not slot.should_run:
            return
        with self._lock:
            if not slot.is_killed:
                slot.unexpected_exits += 1
            running.end()
        if not self._stopping.wait(_RESTART_AFTER_SECONDS):
            with self._lock:
                if slot.should_run:
                    self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.starts += 1
        slot.is_killed = False
        slot.running = self._processes.start(f"{slot.name}-{slot.starts}", slot.command, cwd=PROJECT, env=slot.env)
        self._groups.add(slot.running.pid)


def children_of(slot: Slot) -> list[int]:
    """Return the pool children of a worker."""
    return [] if slot.running is None else sorted(set(group_members(slot.running.pid)) - {slot.running.pid})


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Poll the condition. Return False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
