"""The engine: claim, decide, commit. Step tasks, the sweep and callbacks all use it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pollflow.errors import (
    ExecutionNotExists,
    FlowNotExists,
    InvalidTaskToken,
    StoreUnavailable,
    TaskAlreadyCompleted,
    UnreadableRecord,
)
from pollflow.fdl import Flow
from pollflow.machine import (
    Arrived,
    Decision,
    Event,
    HistoryEvent,
    Joined,
    Limits,
    Outcome,
    Phase,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Status,
    TimedOut,
    call_of,
    decide,
    is_awaited,
)
from pollflow.runtime.calls import Caller
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.interruptions import reason_of
from pollflow.runtime.missing_functions import MissingFunctions, waiting_reason
from pollflow.runtime.parents import token_target
from pollflow.runtime.routes import Publish
from pollflow.runtime.subflows import awaited_by
from pollflow.store import (
    Claimed,
    Committed,
    Conflict,
    Early,
    ExecutionKey,
    ExecutionRecord,
    FrameRecord,
    Message,
    MessageKey,
    ParentLink,
    Reading,
    Refusal,
    Sent,
    Store,
    is_time_to_compact,
    new_token,
)

_MAX_SLEEP_SECONDS = 0.25
"""The engine waits for a message that is early by at most this, and publishes any other early message again."""
_REQUEUE_STEP_SECONDS, _MAX_REQUEUE_SECONDS = 0.1, 10.0

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Engine:
    """Advances executions. `worker` returns the prefix of the nonces of this process.

    `is_stopping` returns whether the worker is shutting down; calls interrupted then do not count as crashes.
    """

    store: Store
    reading: Reading
    flows: FlowCache
    caller: Caller
    missing_functions: MissingFunctions
    limits: Limits
    publish: Publish
    worker: Callable[[], str]
    is_stopping: Callable[[], bool]

    def handle(self, key: MessageKey) -> None:
        """Process a message: advance its frame. A stale or duplicate message changes nothing."""
        try:
            self._run_entry(key)
        except StoreUnavailable as error:
            logger.warning("%s; the sweep publishes the message again", error, extra=_ids(key))

    def advance(self, claimed: Claimed, event: Event | None = None) -> Claimed | None:
        """Commit the next transition of a claimed frame. Return the claim to continue with inline, or None.

        The default of `event` is the result of the frame's call, or the arrival of its message.
        """
        flow = self.flows.get(claimed.digest)
        try:
            event = event or self._event(flow, claimed)
        except Exception:
            raise
        except BaseException as error:
            # The call was interrupted by a stop, a hard time limit or a revoke. Do not wait for its lease to expire.
            self.release(claimed, reason=reason_of(error))
            raise
        if event is None:
            return None
        # The message that ends a wait also starts the next step, which runs in the same Celery task.
        inline_nonce = self._nonce() if claimed.state.phase is Phase.WAITING else ""
        result = self._commit(flow, claimed, event, continue_inline=inline_nonce)
        return result.continued if isinstance(result, Committed) else None

    def release(self, claimed: Claimed, *, pause: float = 0, reason: str = "") -> None:
        """Release a call: its message is published again, due after `pause` seconds.

        Without a pause the call was interrupted, and counts as a crash unless the worker is stopping.
        """
        is_counted = pause == 0 and not self.is_stopping()
        try:
            record = self._current_frame(claimed.key)
            if record is not None:
                self._release(claimed.key, record, claimed.nonce, pause=pause, reason=reason, is_counted=is_counted)
        except StoreUnavailable as error:
            logger.warning("%s; an interrupted call starts again when its lease has expired", error)

    def release_ended(self, key: MessageKey, reason: str) -> None:
        """Release the call of this worker that began with the message, and that the worker's main process ends."""
        try:
            record = self.reading.frame(key.ref, key.frame)
            # A call that continues the message inline has a token that begins with that of the message.
            if record is not None and record.token.startswith(key.token) and record.claim.startswith(self.worker()):
                own = replace(key, token=record.token)
                self._release(own, record, record.claim, pause=0, reason=reason, is_counted=not self.is_stopping())
        except StoreUnavailable as error:
            logger.warning("%s; an ended call starts again when its lease has expired", error)

    def _release(
        self, key: MessageKey, record: FrameRecord, nonce: str, *, pause: float, reason: str, is_counted: bool
    ) -> None:
        message = Message(key, record.metadata, countdown=pause)
        reply = self.store.release(message, nonce, is_counted=is_counted, reason=reason)
        if isinstance(reply, Sent):
            if reply.unpublished:
                self.publish(message)
            logger.warning(
                f"released a call: it {reason}" if reason else "released an interrupted call", extra=_ids(key)
            )

    def time_out_step(self, record: FrameRecord, execution: ExecutionRecord) -> None:
        """Commit that the attempt's deadline has passed."""
        claimed = _from_outside(record, execution)
        self._commit(self.flows.get(execution.digest), claimed, TimedOut(), from_outside=True)

    def end(
        self,
        key: ExecutionKey,
        status: Status,
        error: str,
        cause: str,
        *,
        parent_links: Sequence[ParentLink] | None = None,
    ) -> Status | None:
        """Stop an execution, or end it by its time limit. Return None on success, else the status that it had before.

        `parent_links`: end it only while exactly these steps wait for it; if others do, or it does not exist, change
        nothing and return None. Without `parent_links`, raises ExecutionNotExists.
        """
        history = [HistoryEvent(f"Execution{status.value}", "", {"error": error, "cause": cause})]
        before = self.store.end(key, history, Outcome(status, None, error, cause), parent_links=parent_links)
        if before is None and parent_links is None:
            raise ExecutionNotExists(f'execution "{key.ref}" does not exist')
        return None if before is Status.RUNNING else before

    def report(self, token: str, event: Event) -> None:
        """Report a task that waits for a callback.

        Raises InvalidTaskToken for a token that was never issued, TaskAlreadyCompleted for a second or late report.
        """
        fields, execution = token_target(self.reading, token)
        flow, entry_token = self.flows.get(execution.digest), ""
        while True:
            record = self.reading.frame(execution.ref, fields.frame)
            if record is None or record.token == entry_token or not is_awaited(fields, record.state):
                raise TaskAlreadyCompleted
            # If the commit is refused, the call has returned in the meantime, and the step waits under another token.
            entry_token = record.token
            claimed = _from_outside(record, execution)
            if isinstance(self._commit(flow, claimed, event, from_outside=True), Committed):
                return

    def notify_parents(self, record: ExecutionRecord) -> bool:
        """Report the end of an execution to the steps that wait for it. Return whether all are notified."""
        if not record.status.ended:
            return False
        links = self.reading.parent_links(record.ref)
        is_notified = all([self._notify(link, record) for link in links])
        if is_notified:
            self.store.job_done(record.key, "notify")
        return is_notified

    def _notify(self, parent_link: ParentLink, record: ExecutionRecord) -> bool:
        if record.status is Status.SUCCEEDED and not parent_link.notify_on_success:
            return True
        extra = {"execution": str(record.ref)}
        try:
            self.report(parent_link.token, _end_event(record))
        except (InvalidTaskToken, TaskAlreadyCompleted, FlowNotExists):
            # A step whose definition Redis has lost never continues.
            logger.info("the parent no longer waits for this execution", extra=extra)
        except UnreadableRecord:
            logger.warning("the state of the parent needs a later release", extra=extra, exc_info=True)
            return False
        return True

    def _notify_parents_now(self, key: ExecutionKey) -> None:
        try:
            self.notify_parents(self.reading.execution(key.ref))
        except (ExecutionNotExists, StoreUnavailable) as error:
            logger.warning("%s; the sweep notifies the parents", error, extra={"execution": str(key.ref)})

    def _run_entry(self, key: MessageKey) -> None:
        try:
            claimed = self._claim(key)
            while claimed is not None:
                claimed = self.advance(claimed)
        except UnreadableRecord:
            logger.warning(
                "the state needs a later release; publishing the message again", extra=_ids(key), exc_info=True
            )
            self._leave_to_later_release(key)

    def _claim(self, key: MessageKey) -> Claimed | None:
        nonce = self._nonce()
        reply = self.store.claim(key, nonce)
        if isinstance(reply, Early) and reply.seconds <= _MAX_SLEEP_SECONDS:
            time.sleep(reply.seconds)
            reply = self.store.claim(key, nonce)
        if isinstance(reply, Early):
            # This machine's clock is ahead of Redis' clock.
            if (record := self._current_frame(key)) is not None:
                self._requeue(key, record, reply.seconds)
            return None
        if isinstance(reply, Refusal):
            logger.debug("ignored a stale or duplicate message", extra={**_ids(key), "reason": str(reply)})
            return None
        return reply

    def _leave_to_later_release(self, key: MessageKey) -> None:
        """Publish the message again after a pause, because only a later release can read the state."""
        record = self._current_frame(key)
        if record is not None:
            # The pause grows linearly, because an idle worker of this release often takes the message again.
            self._requeue(key, record, min(_REQUEUE_STEP_SECONDS * record.sent, _MAX_REQUEUE_SECONDS))

    def _current_frame(self, key: MessageKey) -> FrameRecord | None:
        """Return the frame if it is still at the entry of the message, else None."""
        record = self.reading.frame(key.ref, key.frame)
        return record if record is not None and record.token == key.token else None

    def _requeue(self, key: MessageKey, record: FrameRecord, seconds: float) -> None:
        message = Message(key, record.metadata, countdown=seconds)
        reply = self.store.redeliver(message, record.sent, None, is_returned=True)
        if isinstance(reply, Sent) and reply.unpublished:
            self.publish(message)

    def _event(self, flow: Flow, claimed: Claimed) -> Event | None:
        if claimed.kind == "call":
            request = call_of(flow, claimed.state, claimed.info)
            if request is None:
                raise TypeError(claimed.kind)
            pause = self.missing_functions.pause(claimed, request)
            if pause is not None:
                self.release(claimed, pause=pause, reason=waiting_reason(request))
                return None
            return self.caller.call(claimed, request)
        join = claimed.join
        if claimed.kind != "children" or join is None:
            return Arrived(at=claimed.at)
        if join.ended == join.total:
            return Joined(self.reading.results(claimed.key.ref, claimed.key.frame))
        is_room = join.made < join.total and join.open < self.limits.max_concurrency
        return Arrived(join) if is_room else None

    def _commit(
        self, flow: Flow, claimed: Claimed, event: Event, *, from_outside: bool = False, continue_inline: str = ""
    ) -> Committed | Refusal:
        # Any other event means that the sub-flow has ended or the step was reported.
        cancels = isinstance(event, TimedOut | Raised)
        outbox_entry = awaited_by(flow, claimed.state, claimed.info) if cancels else None
        while True:
            decision = decide(flow, claimed.state, event, info=claimed.info, limits=self.limits)
            result = self.store.commit(
                claimed,
                decision,
                from_outside=from_outside,
                continue_inline="" if decision.outcome is not None else continue_inline,
                expect_events=flow.uses_event_ids,
                outbox_entry=outbox_entry,
            )
            if not isinstance(result, Conflict):
                break
            claimed = replace(claimed, info=replace(claimed.info, events=result.events))
        if isinstance(result, Refusal):
            # Two concurrent claims of a map step are normal: only the later one can commit.
            level = logging.INFO if claimed.join is None else logging.DEBUG
            logger.log(level, "a commit came too late", extra={**_ids(claimed.key), "reason": str(result)})
            return result
        for message in result.messages:
            self.publish(message)
        if result.has_parents:
            self._notify_parents_now(claimed.key.execution)
        if is_time_to_compact(claimed.info.events, claimed.info.events + _events_in(decision)):
            self._compact(claimed.key.execution)
        return result

    def _compact(self, key: ExecutionKey) -> None:
        try:
            self.store.compact(key)
        except StoreUnavailable as error:
            logger.warning("%s; old events are compacted with the next block", error, extra={"execution": str(key.ref)})

    def _nonce(self) -> str:
        return f"{self.worker()}.{new_token()}"


def _events_in(decision: Decision) -> int:
    return len(decision.history) + sum(len(child.history) for child in decision.spawn)


def _from_outside(record: FrameRecord, execution: ExecutionRecord) -> Claimed:
    return Claimed(
        key=MessageKey(execution.key, record.frame, record.token),
        nonce="",
        kind=record.kind,
        state=record.state,
        info=execution.info,
        digest=execution.digest,
        at=0,
        parent_token=record.parent_token,
        parent_metadata=record.parent_metadata,
    )


def _end_event(record: ExecutionRecord) -> Event:
    if record.status is Status.SUCCEEDED:
        return ReportedSucceeded(record.output or {})
    return ReportedFailed(record.error or "", record.cause or "")


def _ids(key: MessageKey) -> dict[str, str]:
    return {"flow": key.ref.flow, "execution": key.ref.name, "frame": key.frame}
