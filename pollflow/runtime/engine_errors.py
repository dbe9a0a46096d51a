"""Errors of the engine itself: counted in their entry, until they end the execution.

Ending depends on nothing that may have failed: it decodes no definition, state or input.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pollflow.errors import CodecError, StoreRefused, StoreUnavailable, UnreadableRecord
from pollflow.machine import HistoryEvent, Outcome, Status
from pollflow.runtime.routes import Publish
from pollflow.store import Message, MessageKey, Store

ERROR = "FnF.RuntimeError"
_MAX_TEXT = 1000
_STAGE = "pollflow_stage"

logger = logging.getLogger("pollflow")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Note in an exception at which stage of the engine it was raised. The innermost stage counts."""
    try:
        yield
    except Exception as error:
        if _STAGE not in vars(error):
            vars(error)[_STAGE] = name
        raise


def passes(error: Exception) -> bool:
    """Return whether the error is none of the engine: Redis cannot serve or refuses, or a later release continues."""
    if isinstance(error, StoreUnavailable):
        return error.is_temporary or isinstance(error, StoreRefused)
    return isinstance(error, UnreadableRecord)


def cause_of(error: Exception) -> str:
    """Return the cause of an execution that the error ended."""
    try:
        text = str(error)
    except Exception:  # an exception may have a broken `__str__`
        text = ""
    shortened = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    return f"the engine failed at the {_stage_of(error)}: {type(error).__name__}: {shortened}".removesuffix(": ")


@dataclass(frozen=True, slots=True)
class EngineErrors:
    """Counts the errors of an entry, and ends the execution after `limit` of them."""

    store: Store
    limit: int

    def count(self, key: MessageKey, error: Exception, *, nonce: str | None = None) -> bool:
        """Count an error. Return whether the entry is over, because its execution has ended or it has moved on.

        `nonce`: that of the claim; None if no claim of this process failed.
        """
        extra = {"flow": key.ref.flow, "execution": key.ref.name, "frame": key.frame}
        try:
            count = self.store.count_error(key, nonce)
            cause = cause_of(error)
            logger.error("%s (error %s of %d)", cause, count or "-", self.limit, extra=extra, exc_info=error)
            if count is None or count < self.limit:
                return count is None
            self._fail(key, error, cause)
            logger.error("the execution has failed after %d errors of the engine", count, extra=extra)
        except Exception as problem:  # the entry is due again, and its next error is counted
            logger.warning("%s; an error of the engine is not counted", problem, extra=extra, exc_info=error)
            return False
        return True

    def _fail(self, key: MessageKey, error: Exception, cause: str) -> None:
        try:
            self.store.fail(key, _ended(cause), Outcome(Status.FAILED, None, ERROR, cause))
        except (CodecError, UnreadableRecord):
            # Without the codec, and so without any text that may have data of users.
            cause = f"the engine failed at the {_stage_of(error)}: {type(error).__name__}"
            self.store.fail(key, _ended(cause), Outcome(Status.FAILED, None, ERROR, cause), is_clear=True)


def _ended(cause: str) -> list[HistoryEvent]:
    return [HistoryEvent(f"Execution{Status.FAILED.value}", "", {"error": ERROR, "cause": cause})]


def _stage_of(error: Exception) -> str:
    return str(vars(error).get(_STAGE, "handling of the step"))


def counting(publish: Publish, errors: EngineErrors) -> Publish:
    """Return `publish` with its errors counted in the entry of the message, which may be another than the current one.

    It raises nothing: what follows a commit is done for the other messages too.
    """

    def publish_or_count(message: Message) -> None:
        try:
            with stage("publication of the message"):
                publish(message)
        except Exception as error:
            errors.count(message.key, error)

    return publish_or_count
