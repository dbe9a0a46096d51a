"""One run: start servers and processes, apply load and faults, wait until the system is idle, check, stop."""

from __future__ import annotations

import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pollflow import Client
from tests.chaos.checker import Checker
from tests.chaos.clocks import library
from tests.chaos.fleet import Fleet, tail, wait_for
from tests.chaos.flows import DEFINITIONS
from tests.chaos.ledger import LEDGER_URL, Ledger
from tests.chaos.load import DONE, STOP
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import Fault, executions, faults
from tests.chaos.servers import ChaosServer
from tests.chaos.summary import Summary, summarize

_READY_SECONDS = 60.0
_LOAD_SECONDS = 120.0
_MAX_SECONDS, _MAX_SECONDS_WITHOUT_PROGRESS = 1200.0, 120.0
_CLEANUP_SECONDS = 30.0
_MEASURE_EVERY_SECONDS, _WATCH_EVERY_ROUNDS = 0.05, 40


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The parameters of a run. `durability` is `appendfsync`: with `everysec` a crash may lose the last second."""

    seed: int
    duration: float
    executions_per_minute: float = 95.0
    durability: str = "always"
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pollflow-chaos-")))

    @property
    def count(self) -> int:
        """Return the number of executions."""
        return round(self.duration * self.executions_per_minute / 60)

    @property
    def interval(self) -> float:
        """Return the seconds between two starts; the last start is before the end of the faults."""
        return self.duration * 0.97 / self.count


def say(text: str) -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(options: RunOptions) -> Summary:
    """Run, check and return the summary. All started processes end, also after an error."""
    say(f"seed {options.seed}: {options.count} executions in {options.duration:g} s; logs in {options.folder}")
    say(f"clocks of workers are {'wrong, by ' + str(library()) if library() else 'right: no libfaketime found'}")
    with _servers(options) as (server, ledger_server):
        ledger = Ledger(ledger_server.url)
        fleet = Fleet(options.folder, {"POLLFLOW_REDIS_URL": server.url, LEDGER_URL: ledger_server.url})
        try:
            return _Run(options, server, ledger, fleet).run()
        finally:
            fleet.end()


@contextmanager
def _servers(options: RunOptions) -> Iterator[tuple[ChaosServer, ChaosServer]]:
    server, ledger_server = (
        ChaosServer(options.folder / "redis", options.durability),
        ChaosServer(options.folder / "ledger", "no"),
    )
    try:
        server.start()
        ledger_server.start()
        yield server, ledger_server
    finally:
        server.kill()
        ledger_server.kill()


class _Run:
    def __init__(self, options: RunOptions, server: ChaosServer, ledger: Ledger, fleet: Fleet) -> None:
        self._options = options
        self._server = server
        self._ledger = ledger
        self._fleet = fleet
        self._nemesis = Nemesis(fleet, server, say=say, on_loss=ledger.record_loss)
        self._planned = executions(options.seed, options.count)
        self._is_over = threading.Event()

    def run(self) -> Summary:
        self._start()
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            self._nemesis.run(self._faults(), self._options.duration)
            ended_at = time.time()
            say("no more faults")
            problems = self._wait_until_idle()
        finally:
            self._is_over.set()
            watcher.join()
        idle_after = time.time() - ended_at
        self._fleet.stop_all()
        findings = Checker(self._server.url, self._ledger, self._planned).check()
        findings.problems += [*problems, *(f"a process is left over: {text}" for text in self._fleet.left_over)]
        return summarize(
            seed=self._options.seed,
            duration=self._options.duration,
            idle_after=idle_after,
            findings=findings,
            nemesis=self._nemesis,
            ledger=self._ledger,
            slow=self._server.slow_log(),
            unexpected_exits=self._fleet.unexpected_exits(),
        )

    def _faults(self) -> list[Fault]:
        frequent = "kill redis" if self._server.may_lose else ""
        return faults(self._options.seed, self._options.duration, frequent)

    def _start(self) -> None:
        client = Client(self._server.url)
        for name, text in DEFINITIONS.items():
            client.deploy_text(text, name)
        client.close()
        self._fleet.worker("prefork-a", "-P", "prefork", "-c", "2")
        self._fleet.worker("prefork-b", "-P", "prefork", "-c", "2", quiet=False, clock_wrong_by=1.7)
        self._fleet.worker("threads", "-P", "threads", "-c", "4", clock_wrong_by=-1.3)
        self._fleet.worker("acknowledging", "-P", "prefork", "-c", "2", acks=True)
        self._fleet.beat("beat-a")
        self._fleet.beat("beat-b")
        self._fleet.start()
        if not wait_for(lambda: len(self._ledger.workers_ready()) == 4, _READY_SECONDS):
            logs = "\n".join(tail(log) for log in self._options.folder.glob("*.log"))
            raise AssertionError(f"not all workers became ready: {self._ledger.workers_ready()}\n{logs}")
        self._fleet.client(str(self._options.seed), str(self._options.count), repr(self._options.interval))

    def _wait_until_idle(self) -> list[str]:
        """Wait until all executions have started, ended and been cleaned up. Return what took too long."""
        checker = Checker(self._server.url, self._ledger, self._planned)
        problems = []
        if not wait_for(lambda: self._ledger.mark(DONE) or self._ledger.problems(), _LOAD_SECONDS):
            problems.append(f"the load was not done within {_LOAD_SECONDS:g} s after the faults")
        if not self._wait_for_executions(checker):
            problems.append(f"executions without progress: {checker.running()[:10]}")
        if not wait_for(lambda: not checker.pending_wake_ups(), _CLEANUP_SECONDS):
            problems.append(
                f"wake-ups left {_CLEANUP_SECONDS:g} s after the last end: {checker.pending_wake_ups()[:10]}"
            )
        self._ledger.set_mark(STOP, "1")
        self._server.watch()
        return problems

    def _wait_for_executions(self, checker: Checker) -> bool:
        """Wait until all executions have ended; return False if there is no progress or it takes too long."""
        deadline = time.monotonic() + _MAX_SECONDS
        progress_at, before = time.monotonic(), -1
        while running := checker.running():
            if before != (before := checker.events_of(running)):
                progress_at = time.monotonic()
            if time.monotonic() > min(deadline, progress_at + _MAX_SECONDS_WITHOUT_PROGRESS):
                return False
            time.sleep(0.5)
        return True

    def _watch(self) -> None:
        for round_number in itertools.count():
            if self._is_over.wait(_MEASURE_EVERY_SECONDS):
                return
            if self._server.may_lose:
                self._server.measure()
            if round_number % _WATCH_EVERY_ROUNDS == 0:
                self._server.watch()
