"""Messages that wait in this worker for a rate limit of Celery: they are not lost, so they are not redelivered.

A worker that takes more messages of a task than its `rate_limit` permits keeps the rest in a token bucket. Only these
messages are postponed. Doing the same for every message that was received and not begun would cost more than the
duplicates that it saves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pollflow.errors import InvalidArgument
from pollflow.runtime.background import run_in_background
from pollflow.runtime.celery_internals import rate_limited_requests
from pollflow.runtime.messages import TASK_PREFIX, key_of
from pollflow.runtime.settings import Settings
from pollflow.store import MessageKey, Store

_LONGEST_PAUSE = 4
"""The longest pause, as a multiple of the first. If the worker dies, its messages are late by at most this."""


def postpone_rate_limited(store: Store, settings: Settings, consumer: Any) -> None:
    """Start to postpone the redelivery of the messages that wait in the consumer's token buckets."""
    first_pause = 2 * max(settings.redelivery_timeout, settings.sweep_interval)
    postponer = Postponer(store, partial(rate_limited_requests, consumer), first_pause)
    run_in_background("pollflow-rate-limits", postponer.postpone, settings.sweep_interval)


@dataclass(frozen=True, slots=True)
class _Postponed:
    seconds: float
    again_at: float


@dataclass(slots=True)
class Postponer:
    """Postpones each waiting message before its pause ends, each time for twice as long, so that many cost little."""

    store: Store
    list_waiting: Callable[[], Sequence[Any]]
    first_pause: float
    clock: Callable[[], float] = time.monotonic
    _postponed: dict[Any, _Postponed] = field(default_factory=dict)
    """The last pause of each request that still waits."""

    def postpone(self) -> None:
        """Postpone the messages whose pause will soon end."""
        now, plan = self.clock(), dict[Any, _Postponed]()
        due: list[tuple[MessageKey, float]] = []
        for request in self.list_waiting():
            key = _key_of(request)
            if key is None:
                continue
            last = self._postponed.get(request)
            if last is not None and now < last.again_at:
                plan[request] = last
                continue
            longest = _LONGEST_PAUSE * self.first_pause
            seconds = self.first_pause if last is None else min(2 * last.seconds, longest)
            plan[request] = _Postponed(seconds, now + seconds / 2)
            due.append((key, seconds))
        if due:
            self.store.postpone(due)
        self._postponed = plan


def _key_of(request: Any) -> MessageKey | None:
    if not str(request.type).startswith(TASK_PREFIX):
        return None
    try:
        return key_of(request.args)
    except InvalidArgument:
        return None
