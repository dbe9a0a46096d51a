"""Background jobs of a worker: each runs in a thread of the main process, once per interval, until the process ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pollflow.errors import StoreUnavailable

logger = logging.getLogger("pollflow")


def run_in_background(name: str, job: Callable[[], object], interval_seconds: float) -> None:
    """Start a daemon thread that repeats the job, with pauses of `interval_seconds`."""
    threading.Thread(target=_run, args=(job, interval_seconds), name=name, daemon=True).start()


def _run(job: Callable[[], object], interval_seconds: float) -> None:
    is_available = True
    while True:
        try:
            job()
            if not is_available:
                logger.warning("Redis is available again")
            is_available = True
        except StoreUnavailable as error:
            if is_available:
                logger.warning("%s; retrying", error)
            is_available = False
        except Exception:  # if the thread ended, other workers would repeat this worker's calls
            logger.exception("a background job failed")
        time.sleep(interval_seconds)
