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
_RIVALS, _RIVAL_SECONDS, _SKEW_SECONDS = 4, 1.5, 2.5
_REMEMBERED, _OLD_MESSAGES = 200, 20


@dataclass(frozen=True, slots=True)
class Harm:
    """The effect of a fault as text, and the id of the killed process or process group, if any."""

    text: str
    group: int | None = None
    pid: int | None = None
    messages: int = 0
    is_done: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """A fault with its start and, if the nemesis waits for it, its end."""

    at: float
    until: float
    kind: str
    harm: Harm


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
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)
        self.done: list[Done] = []

    def run(self, faults: list[Fault], duration: float) -> None:
        """Inject the faults; return when the duration is over and all faults are undone."""
        self.began = time.time()
        acts: dict[str, Callable[[Fault], Harm]] = {
            "kill worker": self._kill_worker,
            "kill pool child": self._kill_child,
            "kill beat": lambda fault: self._kill(fault, self._fleet.slots(BEATS)),
            "kill client": lambda fault: self._kill(fault, self._fleet.slots(CLIENT)),
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
                self._do(fault, acts[fault.kind])
            self._sleep_until(self.began + duration)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Undo the faults that still last."""
        while self._later:
            heapq.heappop(self._later)[2]()

    def counts(self) -> Counter[str]:
        """Return the number of faults of each kind."""
        return Counter(done.kind for done in self.done if done.harm.is_done)

    def messages(self) -> Counter[str]:
        """Return the number of affected messages by kind of fault."""
        return Counter({kind: sum(d.harm.messages for d in self.done if d.kind == kind) for kind in MESSAGE_FAULTS})

    def _do(self, fault: Fault, act: Callable[[Fault], Harm]) -> None:
        at = time.time()
        try:
            harm = act(fault)
        except (RedisError, StoreUnavailable) as error:
            harm = Harm(f"not done: {error}", is_done=False)
        self.done.append(Done(at, time.time(), fault.kind, harm))
        self._say(f"{at - self.began:8.2f} s  {fault.kind}: {harm.text}")

    def _sleep_until(self, moment: float) -> None:
        while True:
            next_at = min(moment, self._later[0][0]) if self._later else moment
            time.sleep(max(0.0, next_at - time.time()))
            if not self._later or self._later[0][0] > time.time():
                if time.time() >= moment:
                    return
                continue
            heapq.heappop(self._later)[2]()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.time() + seconds, next(self._numbers), act))

    # Processes

    def _kill(self, fault: Fault, slots: list[Slot]) -> Harm:
        slot = slots[fault.target % len(slots)]
        group = self._fleet.kill(slot)
        return _absent(slot) if group is None else Harm(slot.name, group=group)

    def _kill_worker(self, fault: Fault) -> Harm:
        return self._kill(fault, self._fleet.slots(WORKERS))

    def _kill_child(self, fault: Fault) -> Harm:
        slots = self._fleet.slots(WORKERS, with_children=True)
        slot = slots[fault.target % len(slots)]
        children = children_of(slot)
        if not children:
            return _absent(slot)
        pid = children[fault.target % len(children)]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return Harm(f"{pid} of {slot.name}", pid=pid)

    def _stop_worker(self, fault: Fault) -> Harm:
        return self._stop(fault, whole=True)

    def _stop_main(self, fault: Fault) -> Harm:
        """Pause the main process: the pool continues its calls while their leases are not renewed."""
        return self._stop(fault, whole=False)

    def _stop(self, fault: Fault, *, whole: bool) -> Harm:
        slots = self._fleet.slots(WORKERS)
        slot = slots[fault.target % len(slots)]
        started, seconds = slot.running, LEASE_SECONDS + 1 + 4 * fault.length
        if started is None or started.process.poll() is not None:
            return _absent(slot)
        send = started.signal_group if whole else started.process.send_signal
        send(signal.SIGSTOP)
        self._after(seconds, lambda: send(signal.SIGCONT))
        return Harm(f"{slot.name} for {seconds:.1f} s")

    # Redis

    def _kill_redis(self, fault: Fault) -> Harm:
        seconds, lost_since = 0.2 + 2.5 * fault.length, None
        self._server.watch()
        self._server.kill()
        if self._server.may_lose:
            lost_since = self._server.lose(0.1 * fault.count + 0.4)
        killed_at = time.time()
        time.sleep(seconds)
        self._server.start()
        if lost_since is None:
            return Harm(f"away for {seconds:.1f} s")
        self._on_loss(lost_since, time.time())
        return Harm(f"away for {seconds:.1f} s, and {killed_at - lost_since:.1f} s are lost")

    def _freeze_redis(self, fault: Fault) -> Harm:
        seconds = 1 + 4.5 * fault.length
        self._server.freeze()
        try:
            time.sleep(seconds)
        finally:
            self._server.thaw()
        return Harm(f"for {seconds:.1f} s")

    def _cut_connections(self, fault: Fault) -> Harm:
        with self._server.client() as client:
            cut = client.client_kill_filter(_type="normal", skipme=True)
        return Harm(f"{cut} connections")

    def _fill_redis(self, fault: Fault) -> Harm:
        seconds = 1 + 3 * fault.length
        with self._server.client() as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", max(1, int(used * 0.95)))
            try:
                time.sleep(seconds)
            finally:
                client.config_set("maxmemory", 0)
        return Harm(f"at its limit of {used * 0.95 / 2**20:.1f} MB for {seconds:.1f} s")

    # Messages

    def _take(self, count: int, seconds: float = _RIVAL_SECONDS) -> list[str]:
        """Take messages from the queue as several competing consumers."""
        taken: list[str] = []
        deadline = time.time() + seconds

        def rival() -> None:
            with suppress(RedisError), self._server.client() as client:
                while len(taken) < count and (left := deadline - time.time()) > 0.05:
                    if found := client.brpop([QUEUE], timeout=left):
                        taken.append(found[1])

        rivals = [threading.Thread(target=rival) for _ in range(_RIVALS)]
        for thread in rivals:
            thread.start()
        for thread in rivals:
            thread.join()
        self._seen.extend(taken)
        return taken

    def _put(self, texts: Iterable[str]) -> None:
        with self._server.client() as client:
            for text in texts:
                client.lpush(QUEUE, text)

    def _drop(self, fault: Fault) -> Harm:
        taken = self._take(2 * fault.count)
        return Harm(f"{len(taken)} messages", messages=len(taken))

    def _duplicate(self, fault: Fault) -> Harm:
        """Publish each taken message twice at once, again a little later, and with it old messages."""
        old = list(self._seen)[-_OLD_MESSAGES:]
        taken = self._take(4 * fault.count)
        self._put([*taken, *taken, *old])
        self._after(0.2 + 3 * fault.length, lambda: self._put_again(taken))
        return Harm(f"{len(taken)} messages, and {len(old)} old ones", messages=2 * len(taken) + len(old))

    def _put_again(self, texts: list[str]) -> None:
        with suppress(RedisError, StoreUnavailable):
            self._put(texts)

    def _skew(self, fault: Fault) -> Harm:
        """Shift countdowns as if the clocks of publishers were wrong by one to two seconds."""
        skew = (1 + fault.length) * (1 if fault.target % 2 else -1)
        taken = self._take(10 * fault.count, _SKEW_SECONDS)
        skewed = [_skewed(text, skew) for text in taken]
        self._put(skewed)
        changed = sum(new != old for new, old in zip(skewed, taken, strict=True))
        return Harm(f"{changed} countdowns by {skew:+.1f} s, of {len(taken)} messages", messages=changed)


def _absent(slot: Slot) -> Harm:
    return Harm(f"{slot.name} was not up", is_done=False)


def _skewed(text: str, seconds: float) -> str:
    message: dict[str, Any] = json.loads(text)
    eta = message["headers"].get("eta")
    if not eta:
        return text
    message["headers"]["eta"] = (datetime.fromisoformat(eta) + timedelta(seconds=seconds)).isoformat()
    return json.dumps(message)
