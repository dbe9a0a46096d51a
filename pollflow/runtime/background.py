"""Runs a worker's background jobs: each in a thread of the main process, once per interval, until the process ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pollflow.errors import StoreUnavailable

logger = logging.getLogger("pollflow")


def run_in_background(name: str, job: Callable[[], object], interval_seconds: float) -> None:
    """Start a daemon thread that runs the job again and again, with pauses of `interval_seconds`."""
    threading.Thread(target=_run, args=(job, interval_seconds), name=name, daemon=True).start()


def _run(job: Callable[[], object], interval_seconds: float) -> None:
    is_served = True
    while True:
        try:
            job()
            if not is_served:
                logger.warning("Redis serves again")
            is_served = True
        except StoreUnavailable as error:
            if is_served:
                logger.warning("%s; trying again until it serves", error)
            is_served = False
        except Exception:  # a worker that does not renew its leases loses its calls to others
            logger.exception("a background job failed")
        time.sleep(interval_seconds)
