"""Notify the steps that wait for the end of an execution, in slices, so that no sweep is blocked for long."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pollflow.errors import InvalidTaskToken, TaskAlreadyCompleted, UnreadableRecord
from pollflow.machine import Event, ReportedFailed, ReportedSucceeded, Status
from pollflow.runtime.engine_errors import passes, stage
from pollflow.runtime.parents import prefetched, token_target
from pollflow.store import ExecutionRecord, MessageKey, ParentLink, Reading

if TYPE_CHECKING:
    from pollflow.runtime.engine import Engine

_SLICE = 100

logger = logging.getLogger("pollflow")


def notify_parents(engine: Engine, record: ExecutionRecord, *, ends_broken: bool = False) -> int:
    """Report the end of an execution to the next slice of its parents. Return how many still wait for that.

    The others remain to be notified by the job. `ends_broken`: a parent that cannot take the report because of an
    error of the engine is ended now; otherwise after some errors.
    """
    if not record.status.ended:
        return 0
    waiting = [link for link in engine.reading.parent_links(record.ref) if not link.is_notified]
    has_more = len(waiting) > _SLICE
    # A random slice: parents that cannot be notified now do not block the others.
    links = random.sample(waiting, _SLICE) if has_more else waiting
    done = [link.token for link in _notified(engine, links, record, ends_broken)]
    return engine.store.parents_notified(record.key, done, has_more=has_more and bool(done))


def _notified(
    engine: Engine, links: Sequence[ParentLink], record: ExecutionRecord, ends_broken: bool
) -> list[ParentLink]:
    """Report to the parents. Return those that need no other report."""
    needed = [link for link in links if link.notify_on_success or record.status is not Status.SUCCEEDED]
    reading = prefetched(engine.reading, needed)
    return [
        link
        for link in links
        if link not in needed or _is_over(engine, reading, link, record) or (ends_broken and _end(engine, link, record))
    ]


def _is_over(engine: Engine, reading: Reading, link: ParentLink, record: ExecutionRecord) -> bool:
    extra = {"execution": str(record.ref)}
    try:
        engine.report_by(reading, link.token, _end_event(record))
    except (InvalidTaskToken, TaskAlreadyCompleted):
        logger.info("the parent no longer waits for this execution", extra=extra)
    except UnreadableRecord as error:
        logger.warning("the parent cannot be notified here: %s", error, extra=extra)
        return False
    except Exception as error:
        if passes(error):
            raise
        return _count(engine, link, error)
    return True


def _end(engine: Engine, link: ParentLink, record: ExecutionRecord) -> bool:
    """Report again until the parent takes it, or has ended because of its errors."""
    return any(_is_over(engine, engine.reading, link, record) for _ in range(engine.errors.limit))


def _count(engine: Engine, link: ParentLink, error: Exception) -> bool:
    """Count an error of a report in the parent's entry. Return whether the parent no longer waits."""
    try:
        fields, execution = token_target(engine.reading, link.token)
        token = engine.reading.token(execution.ref, fields.frame)
    except Exception as problem:
        if passes(problem):
            raise
        # The record of the parent is broken, so that nothing can be counted in it. Its time limit ends it.
        logger.error("a parent cannot be notified: %s", problem, exc_info=error)
        return True
    return engine.errors.count(MessageKey(execution.key, fields.frame, token), error)


def _end_event(record: ExecutionRecord) -> Event:
    with stage("decoding of the output"):
        if record.status is Status.SUCCEEDED:
            return ReportedSucceeded(record.output or {})
        return ReportedFailed(record.error or "", record.cause or "")
