"""From a message to the entry that it may advance: by a claim, or by the state that the message carries."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from pollflow.machine import needs_time
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.engine_errors import passes
from pollflow.runtime.handled import Handled, ignored
from pollflow.runtime.routes import Publish
from pollflow.store import (
    Carried,
    Claimed,
    Early,
    FrameRecord,
    Message,
    MessageKey,
    Reading,
    Refusal,
    Sent,
    Store,
)

_MAX_SLEEP_SECONDS = 0.25
"""A worker waits for a message that is early by at most this, and publishes any other early message again."""
_REQUEUE_STEP_SECONDS, _MAX_REQUEUE_SECONDS = 0.1, 10.0

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Claiming:
    """Claims entries, and publishes the messages of those again that this worker must leave to later or to others."""

    store: Store
    reading: Reading
    flows: FlowCache
    publish: Publish

    def entry(self, key: MessageKey, nonce: str, carried: Carried | None) -> Claimed | Handled:
        """Return the entry of a message: the one that it carries, if that is enough, else the claimed one."""
        found = None if carried is None else self.store.carried(key, nonce, carried)
        return self.claim(key, nonce) if found is None or self._needs_claim(found) else found

    def claim(self, key: MessageKey, nonce: str) -> Claimed | Handled:
        """Return the claimed entry of a message, or what became of the message."""
        reply = self.store.claim(key, nonce)
        if isinstance(reply, Early) and reply.seconds <= _MAX_SLEEP_SECONDS:
            time.sleep(reply.seconds)
            reply = self.store.claim(key, nonce)
        if isinstance(reply, Early):
            # This machine's clock is ahead of Redis' clock.
            if (record := self.current_frame(key)) is not None:
                self._requeue(key, record, reply.seconds)
            return ignored("early; published again")
        if isinstance(reply, Refusal):
            logger.debug("ignored a stale or duplicate message", extra={**ids_of(key), "reason": str(reply)})
            return ignored(f"a stale or duplicate message ({reply})")
        return reply

    def leave_to_others(self, key: MessageKey, reason: str) -> None:
        """Publish the message again after a pause: only a later release or a worker with the key can read the state."""
        record = self.current_frame(key)
        if record is not None:
            # The pause grows linearly, because an idle worker that cannot read it often takes the message again.
            self._requeue(key, record, min(_REQUEUE_STEP_SECONDS * record.sent, _MAX_REQUEUE_SECONDS), reason)

    def current_frame(self, key: MessageKey) -> FrameRecord | None:
        """Return the frame if it is still at the entry of the message, else None."""
        record = self.reading.frame(key.ref, key.frame)
        return record if record is not None and record.token == key.token else None

    def _needs_claim(self, found: Claimed) -> bool:
        try:
            flow = self.flows.get(found.digest)
            # The number of events and the time are known only by a claim.
            return flow.uses_event_ids or needs_time(flow, found.state)
        except Exception as error:  # a forged message names another definition
            if passes(error):
                raise
            return True

    def _requeue(self, key: MessageKey, record: FrameRecord, seconds: float, reason: str = "") -> None:
        message = Message(key, record.metadata, countdown=seconds, delivery=record.next_delivery)
        reply = self.store.redeliver(message, record.sent, None, is_returned=True, reason=reason)
        if isinstance(reply, Sent) and reply.unpublished:
            self.publish(message)


def ids_of(key: MessageKey) -> dict[str, str]:
    """Return the names of an entry for records of the log."""
    return {"flow": key.ref.flow, "execution": key.ref.name, "frame": key.frame}
