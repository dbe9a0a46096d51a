"""Retries of store calls while Redis cannot serve: unreachable, loading, full or read-only.

redis-py retries a lost connection a few times, but does not wait for a full or read-only server. tenacity would replace
the ten lines of the loop, not the rules of what is retried, at the price of a dependency in every worker.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pollflow.errors import NotDurable, StoreRefused, StoreUnavailable

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_MAX_PAUSE_SECONDS = 1.0

logger = logging.getLogger("pollflow")


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _raise(problem: NotDurable) -> None:
    raise problem


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a store behaves while Redis cannot serve. Retrying is safe: each script recognizes its own repetition.

    `claim_seconds`: how long a claim is retried. A message is only a hint, and the next sweep publishes it again.
    `commit_seconds`: how long a commit is retried; infinity after a call, since its result is stored nowhere else. A
    commit is retried too while Redis refuses the user or has no append-only file.
    `is_durable`: every commit waits for the append-only file. `on_not_durable` receives the error of a commit that was
    written but not acknowledged; if it returns, the commit counts. `sleep` pauses between two attempts; an exception
    that it raises ends the retries.
    """

    claim_seconds: float = 0
    commit_seconds: float = 0
    is_durable: bool = False
    on_not_durable: Callable[[NotDurable], None] = _raise
    sleep: Callable[[float], None] = _sleep


NO_RETRY = RetryPolicy()


def is_temporary(error: StoreUnavailable | NotDurable) -> bool:
    """Return whether a repetition may succeed without an operator."""
    return isinstance(error, StoreUnavailable) and error.is_temporary


def is_not_final(error: StoreUnavailable | NotDurable) -> bool:
    """Return whether a commit is repeated, which may have a result that is stored nowhere else.

    So it also waits for an operator: for credentials, permissions, and an append-only file. Only an error of the script
    itself is final, since it would be the same each time.
    """
    return is_temporary(error) or isinstance(error, StoreRefused | NotDurable)


def with_retry(
    attempt: Callable[[], T],
    seconds: float,
    is_retried: Callable[[StoreUnavailable | NotDurable], bool] = is_temporary,
    sleep: Callable[[float], None] = _sleep,
) -> T:
    """Return the result of `attempt`, repeated for up to `seconds` while Redis cannot serve.

    Raises StoreUnavailable or NotDurable after that time, and at once for an error that is not retried.
    """
    started_at, pause, is_logged = time.monotonic(), _FIRST_PAUSE_SECONDS, False
    while True:
        try:
            result = attempt()
        except (StoreUnavailable, NotDurable) as error:
            if not is_retried(error) or time.monotonic() - started_at >= seconds:
                raise
            if not is_logged:
                logger.warning("%s; retrying", error)
            is_logged = True
        else:
            if is_logged:
                logger.warning("Redis is available again after %.1f s", time.monotonic() - started_at)
            return result
        # Random pauses, so that many processes do not retry at the same time.
        sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
