"""Trying again while Redis cannot serve: away, loading, full or read-only."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pollflow.errors import StoreUnavailable

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a verb is tried again. Trying again is safe: scripts tell a repetition from a first time.

    `claim_seconds`: a message is only a hint, and the next sweep brings it again. `commit_seconds`: for ever unless
    told otherwise, since a function has run, and its result is nowhere else.
    """

    claim_seconds: float = 30
    commit_seconds: float = float("inf")


NO_PATIENCE = Patience(0, 0)


def patiently(attempt: Callable[[], T], seconds: float) -> T:
    """What `attempt` answers. Raises StoreUnavailable if Redis has not served for so long, or never will."""
    begun, pause, is_told = time.monotonic(), _FIRST_PAUSE_SECONDS, False
    while True:
        try:
            answer = attempt()
        except StoreUnavailable as error:
            if not error.is_passing or time.monotonic() - begun >= seconds:
                raise
            if not is_told:
                logger.warning("%s; trying again", error)
            is_told = True
        else:
            if is_told:
                logger.warning("Redis serves again, after %.1f s", time.monotonic() - begun)
            return answer
        # Spread, so that many processes do not come back at the same instant.
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
