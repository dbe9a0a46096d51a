"""Inject the faults of the plan one after another, and record each with its time."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from pollflow.errors import StoreUnavailable
from tests.chaos.fleet import BEATS, CLIENT, WORKERS, Fleet, Slot, children_of
from tests.chaos.plan import Fault
from tests.chaos.servers import ChaosServer

QUEUE = "celery"
MESSAGE_FAULTS = ("drop messages", "duplicate messages", "skew countdowns")
LEASE_SECONDS = 3.0
_CONSUMERS, _CONSUME_SECONDS, _SKEW_SECONDS = 4, 1.5, 2.5
_MAX_SEEN, _OLD_MESSAGES = 200, 20


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a fault as text, and the id of the killed process or process group, if any."""

    text: str
    group: int | None = None
    pid: int | None = None
    messages: int = 0
    is_injected: bool = True


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault with its start and, if the nemesis waits for it, its end."""

    at: float
    until: float
    kind: str
    effect: Effect


class Nemesis:
    """Inject faults into the fleet and the server."""

    def __init__(
        self,
        fleet: Fleet,
        server: ChaosServer,
        *,
        say: Callable[[str], None],
        on_loss: Callable[[float, float], None],
    ) -> None:
        self._fleet = fleet
        self._server = server
        self._say = say
        self._on_loss = on_loss
        self.began = time.time()
        self._scheduled: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._seen: deque[str] = deque(maxlen=_MAX_SEEN)
        self.injected: list[InjectedFault] = []

    def run(self, faults: list[Fault], duration: float) -> None:
        """Inject the faults. Return after the duration, when all faults are undone."""
        self.began = time.time()
        actions: dict[str, Callable[[Fault], Effect]] = {
            "kill worker": self._kill_worker,
            "kill pool child": self._kill_child,
            "kill beat": lambda fault: self._kill(fault, self._fleet.running(BEATS)),
            "kill client": lambda fault: self._kill(fault, self._fleet.running(CLIENT)),
            "stop worker": self._stop_worker,
            "stop main process": self._stop_main,
            "kill redis": self._kill_redis,
            "freeze redis": self._freeze_redis,
            "cut connections": self._cut_connections,
            "drop messages": self._drop,
            "duplicate messages": self._duplicate,
            "skew countdowns": self._skew,
            "fill redis": self._fill_redis,
        }
        try:
            for fault in faults:
                self._sleep_until(self.began + fault.at)
                self._inject(fault, actions[fault.kind])
            self._sleep_until(self.began + duration)
        finally:
            self.undo_all()

    def undo_all(self) -> None:
        """Undo the faults that still last."""
        while self._scheduled:
            heapq.heappop(self._scheduled)[2]()

    def counts(self) -> Counter[str]:
        """Return the number of faults of each kind."""
        return Counter(fault.kind for fault in self.injected if fault.effect.is_injected)

    def messages(self) -> Counter[str]:
        """Return the number of affected messages by kind of fault."""
        return Counter(
            {kind: sum(f.effect.messages for f in self.injected if f.kind == kind) for kind in MESSAGE_FAULTS}
        )

    def _inject(self, fault: Fault, action: Callable[[Fault], Effect]) -> None:
        at = time.time()
        try:
            effect = action(fault)
        except (RedisError, StoreUnavailable) as error:
            effect = Effect(f"not injected: {error}", is_injected=False)
        self.injected.append(InjectedFault(at, time.time(), fault.kind, effect))
        self._say(f"{at - self.began:8.2f} s  {fault.kind}: {effect.text}")

    def _sleep_until(self, moment: float) -> None:
        while True:
            next_at = min(moment, self._scheduled[0][0]) if self._scheduled else moment
            time.sleep(max(0.0, next_at - time.time()))
            if not self._scheduled or self._scheduled[0][0] > time.time():
                if time.time() >= moment:
                    return
                continue
            heapq.heappop(self._scheduled)[2]()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._scheduled, (time.time() + seconds, next(self._numbers), action))

    # Processes

    def _kill(self, fault: Fault, slots: list[Slot]) -> Effect:
        slot = slots[fault.target % len(slots)]
        group = self._fleet.kill(slot)
        return _not_running(slot) if group is None else Effect(slot.name, group=group)

    def _kill_worker(self, fault: Fault) -> Effect:
        return self._kill(fault, self._fleet.running(WORKERS))

    def _kill_child(self, fault: Fault) -> Effect:
        slots = self._fleet.running(WORKERS, with_children=True)
        slot = slots[fault.target % len(slots)]
        children = children_of(slot)
        if not children:
            return _not_running(slot)
        pid = children[fault.target % len(children)]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return Effect(f"{pid} of {slot.name}", pid=pid)

    def _stop_worker(self, fault: Fault) -> Effect:
        return self._stop(fault, whole=True)

    def _stop_main(self, fault: Fault) -> Effect:
        """Pause the main process: the pool continues its calls while their leases are not renewed."""
        return self._stop(fault, whole=False)

    def _stop(self, fault: Fault, *, whole: bool) -> Effect:
        slots = self._fleet.running(WORKERS)
        slot = slots[fault.target % len(slots)]
        started, seconds = slot.running, LEASE_SECONDS + 1 + 4 * fault.length
        if started is None or started.process.poll() is not None:
            return _not_running(slot)
        send = started.signal_group if whole else started.process.send_signal
        send(signal.SIGSTOP)
        self._after(seconds, lambda: send(signal.SIGCONT))
        return Effect(f"{slot.name} for {seconds:.1f} s")

    # Redis

    def _kill_redis(self, fault: Fault) -> Effect:
        seconds, lost_since = 0.2 + 2.5 * fault.length, None
        self._server.watch()
        self._server.kill()
        if self._server.may_lose:
            lost_since = self._server.lose(0.1 * fault.count + 0.4)
        killed_at = time.time()
        time.sleep(seconds)
        self._server.start()
        if lost_since is None:
            return Effect(f"down for {seconds:.1f} s")
        self._on_loss(lost_since, time.time())
        return Effect(f"down for {seconds:.1f} s; the last {killed_at - lost_since:.1f} s of writes are lost")

    def _freeze_redis(self, fault: Fault) -> Effect:
        seconds = 1 + 4.5 * fault.length
        self._server.freeze()
        try:
            time.sleep(seconds)
        finally:
            self._server.thaw()
        return Effect(f"for {seconds:.1f} s")

    def _cut_connections(self, fault: Fault) -> Effect:
        with self._server.client() as client:
            cut = client.client_kill_filter(_type="normal", skipme=True)
        return Effect(f"{cut} connections")

    def _fill_redis(self, fault: Fault) -> Effect:
        seconds = 1 + 3 * fault.length
        with self._server.client() as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", max(1, int(used * 0.95)))
            try:
                time.sleep(seconds)
            finally:
                client.config_set("maxmemory", 0)
        return Effect(f"at its limit of {used * 0.95 / 2**20:.1f} MB for {seconds:.1f} s")

    # Messages

    def _take(self, count: int, seconds: float = _CONSUME_SECONDS) -> list[str]:
        """Take messages from the queue as several competing consumers."""
        taken: list[str] = []
        deadline = time.time() + seconds

        def consume() -> None:
            with suppress(RedisError), self._server.client() as client:
                while len(taken) < count and (left := deadline - time.time()) > 0.05:
                    if found := client.brpop([QUEUE], timeout=left):
                        taken.append(found[1])

        consumers = [threading.Thread(target=consume) for _ in range(_CONSUMERS)]
        for thread in consumers:
            thread.start()
        for thread in consumers:
            thread.join()
        self._seen.extend(taken)
        return taken

    def _put(self, texts: Iterable[str]) -> None:
        with self._server.client() as client:
            for text in texts:
                client.lpush(QUEUE, text)

    def _drop(self, fault: Fault) -> Effect:
        taken = self._take(2 * fault.count)
        return Effect(f"{len(taken)} messages", messages=len(taken))

    def _duplicate(self, fault: Fault) -> Effect:
        """Publish each taken message twice at once, again a little later, and with it old messages."""
        old = list(self._seen)[-_OLD_MESSAGES:]
        taken = self._take(4 * fault.count)
        self._put([*taken, *taken, *old])
        self._after(0.2 + 3 * fault.length, lambda: self._put_again(taken))
        return Effect(f"{len(taken)} messages, and {len(old)} old ones", messages=2 * len(taken) + len(old))

    def _put_again(self, texts: list[str]) -> None:
        with suppress(RedisError, StoreUnavailable):
            self._put(texts)

    def _skew(self, fault: Fault) -> Effect:
        """Shift countdowns as if the clocks of publishers were wrong by one to two seconds."""
        skew = (1 + fault.length) * (1 if fault.target % 2 else -1)
        taken = self._take(10 * fault.count, _SKEW_SECONDS)
        skewed = [_skewed(text, skew) for text in taken]
        self._put(skewed)
        changed = sum(new != old for new, old in zip(skewed, taken, strict=True))
        return Effect(f"{changed} countdowns by {skew:+.1f} s, of {len(taken)} messages", messages=changed)


def _not_running(slot: Slot) -> Effect:
    return Effect(f"{slot.name} was not running", is_injected=False)


def _skewed(text: str, seconds: float) -> str:
    message: dict[str, Any] = json.loads(text)
    eta = message["headers"].get("eta")
    if not eta:
        return text
    message["headers"]["eta"] = (datetime.fromisoformat(eta) + timedelta(seconds=seconds)).isoformat()
    return json.dumps(message)
