"""What the holder of a message does: claim, decide, commit. All step tasks, the sweep and reports come through here."""

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
from pollflow.runtime.parents import asked
from pollflow.runtime.routes import Publish
from pollflow.runtime.subflows import awaited_by
from pollflow.store import (
    Claimed,
    Committed,
    Conflict,
    Early,
    ExecutionRecord,
    ExecutionRef,
    FrameRecord,
    Message,
    MessageKey,
    ParentLink,
    Reading,
    Refusal,
    Store,
    is_time_to_compact,
    new_token,
)

_BLINK_SECONDS = 0.25
_LEAVE_STEP_SECONDS, _LONGEST_LEAVE_SECONDS = 0.1, 10.0

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Engine:
    """Moves executions. `worker` begins the nonces of the calls that this process makes.

    `is_stopping`: whether that worker was told to stop, and its calls are cut off for no fault of theirs.
    """

    store: Store
    reading: Reading
    flows: FlowCache
    caller: Caller
    limits: Limits
    publish: Publish
    worker: Callable[[], str]
    is_stopping: Callable[[], bool]

    def handle(self, key: MessageKey) -> None:
        """Does what a message asks for, if it still may: anything else is a duplicate, and does nothing."""
        try:
            self._run_entry(key)
        except StoreUnavailable as error:
            logger.warning("%s; a message is given up, and the sweep brings it again", error, extra=_ids(key))

    def advance(self, claimed: Claimed, event: Event | None = None) -> Claimed | None:
        """Commits what follows for a claimed frame; what it goes on with at once, if anything.

        The event is what comes of the frame's call, or of its message, unless it is given.
        """
        flow = self.flows.get(claimed.digest)
        try:
            event = event or self._event(flow, claimed)
        except Exception:
            raise
        except BaseException:
            # The call was cut off: a worker that stops, a hard time limit, a revoke. Nobody is to wait for its lease.
            self.release(claimed)
            raise
        if event is None:
            return None
        # The message that ends a wait is that of the next step, which goes on in this very task.
        continue_inline = self._nonce() if claimed.state.phase is Phase.WAITING else ""
        result = self._commit(flow, claimed, event, continue_inline=continue_inline)
        return result.continued if isinstance(result, Committed) else None

    def release(self, claimed: Claimed) -> None:
        """Gives up a call that was cut off: its message is published again, at once."""
        try:
            record = self._current_frame(claimed.key)
            if record is None:
                return
            message = Message(claimed.key, claimed.info.execution_id, record.metadata)
            result, unpublished = self.store.release(message, claimed.nonce, not_counted=self.is_stopping())
            if unpublished:
                self.publish(message)
        except StoreUnavailable as error:
            logger.warning("%s; a call that was cut off goes on when its lease has lapsed", error)
            return
        if result == "sent":
            logger.warning("a call was cut off and is handed back", extra=_ids(claimed.key))

    def republish(self, key: MessageKey) -> None:
        """Publishes the message of an entry that nobody has begun, because its holder will not begin it."""
        record = self._current_frame(key)
        if record is not None:
            self._redeliver(key, record, max(0.0, record.due - self.reading.now()))

    def time_out_step(self, ref: ExecutionRef, frame: str, record: FrameRecord, execution: ExecutionRecord) -> None:
        """Commits that the attempt's deadline has passed."""
        claimed = _from_outside(ref, frame, record, execution)
        self._commit(self.flows.get(execution.digest), claimed, TimedOut(), from_outside=True)

    def end(
        self,
        ref: ExecutionRef,
        status: Status,
        error: str,
        cause: str,
        *,
        execution_id: str = "",
        parent_links: Sequence[ParentLink] | None = None,
    ) -> Status | None:
        """Stops an execution, or ends it by its time limit. None if this did it, else the status that it has.

        Only the one of that id, and while it has those waiters, if they are given. Raises ExecutionNotExists.
        """
        detail = {"error": error, "cause": cause}
        history = [HistoryEvent(f"Execution{status.value}", "", detail)]
        outcome = Outcome(status, None, error, cause)
        before = self.store.end(ref, status, history, outcome, execution_id=execution_id, parent_links=parent_links)
        if before == "":
            raise ExecutionNotExists(f"flow {ref.flow!r} has no execution {ref.name!r}")
        return None if before is None else Status(before)

    def report(self, token: str, event: Event) -> None:
        """Reports a task that waits for a callback.

        Raises InvalidTaskToken for a token nobody was given, TaskAlreadyCompleted for a second or late report.
        """
        key, execution = asked(self.reading, token)
        ref = execution.ref
        flow, token = self.flows.get(execution.digest), ""
        while True:
            record = self.reading.frame(ref, key.frame)
            if record is None or record.token == token or not is_awaited(key, record.state):
                raise TaskAlreadyCompleted
            # Refused though still awaited under another token: the call has returned meanwhile, and waits now.
            token = record.token
            claimed = _from_outside(ref, key.frame, record, execution)
            if isinstance(self._commit(flow, claimed, event, from_outside=True), Committed):
                return

    def notify_parents(self, record: ExecutionRecord) -> bool:
        """Tells the steps that wait for an ended execution how it ended. Whether nobody is left to be told."""
        if not record.status.ended:
            return False
        is_told = all([self._notify(parent_link, record) for parent_link in record.parent_links])
        if is_told:
            self.store.done(record.ref, "notify", record.id)
        return is_told

    def _notify(self, parent_link: ParentLink, record: ExecutionRecord) -> bool:
        if record.status is Status.SUCCEEDED and not parent_link.notify_on_success:
            return True
        try:
            self.report(parent_link.token, _end_event(record))
        except (InvalidTaskToken, TaskAlreadyCompleted, FlowNotExists):
            # Without its definition a step never goes on.
            logger.info("nobody waits for the end any more", extra={"execution": str(record.ref)})
        except UnreadableRecord:
            logger.warning("left to a later release", extra={"execution": str(record.ref)}, exc_info=True)
            return False
        return True

    def _notify_parents_now(self, ref: ExecutionRef) -> None:
        try:
            self.notify_parents(self.reading.execution(ref))
        except (ExecutionNotExists, StoreUnavailable) as error:
            logger.warning("%s; whoever waits for an end is told by the sweep", error, extra={"execution": str(ref)})

    def _run_entry(self, key: MessageKey) -> None:
        try:
            claimed = self._claim(key)
            while claimed is not None:
                claimed = self.advance(claimed)
        except UnreadableRecord:
            logger.warning("left to a later release", extra=_ids(key), exc_info=True)
            self._leave_to_later_release(key)

    def _claim(self, key: MessageKey) -> Claimed | None:
        nonce = self._nonce()
        answer = self.store.claim(key, nonce)
        if isinstance(answer, Early) and answer.seconds <= _BLINK_SECONDS:
            time.sleep(answer.seconds)
            answer = self.store.claim(key, nonce)
        if isinstance(answer, Early):
            # A clock runs ahead: the message has come long before its time.
            if (record := self._current_frame(key)) is not None:
                self._redeliver(key, record, answer.seconds)
            return None
        if isinstance(answer, Refusal):
            logger.debug("a message came in vain", extra={**_ids(key), "reason": str(answer)})
            return None
        return answer

    def _leave_to_later_release(self, key: MessageKey) -> None:
        """Publishes a message that this release cannot read again, a while later, until one that can takes it."""
        record = self._current_frame(key)
        if record is not None:
            # Not twice as long each time: this worker, which has nothing to do with it, is the first to take it again.
            self._redeliver(key, record, min(_LEAVE_STEP_SECONDS * record.sent, _LONGEST_LEAVE_SECONDS))

    def _current_frame(self, key: MessageKey) -> FrameRecord | None:
        """The frame, if it is still at the entry that the address is for."""
        record = self.reading.frame(key.ref, key.frame)
        return record if record is not None and record.token == key.token else None

    def _redeliver(self, key: MessageKey, record: FrameRecord, seconds: float) -> None:
        execution = self.reading.execution(key.ref)
        message = Message(key, execution.id, record.metadata, countdown=seconds)
        _, unpublished = self.store.redeliver(message, record.sent, None, is_returned=True)
        if unpublished:
            self.publish(message)

    def _event(self, flow: Flow, claimed: Claimed) -> Event | None:
        if claimed.kind == "call":
            request = call_of(flow, claimed.state, claimed.info)
            if request is None:
                raise TypeError(claimed.kind)
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
        # In any other way a step ends because its sub-flow has ended, or has been reported on.
        cancels = isinstance(event, TimedOut | Raised)
        outbox_entry = awaited_by(flow, claimed.state, claimed.info) if cancels else None
        while True:
            decision = decide(flow, claimed.state, event, info=claimed.info, limits=self.limits)
            result = self.store.commit(
                claimed,
                decision,
                from_outside=from_outside,
                continue_inline="" if _is_over(decision) else continue_inline,
                expect_events=flow.uses_event_ids,
                outbox_entry=outbox_entry,
            )
            if not isinstance(result, Conflict):
                break
            claimed = replace(claimed, info=replace(claimed.info, events=result.events))
        if isinstance(result, Refusal):
            # Of two that look how far a wide step is, the later one goes on: nobody need hear of that.
            level = logging.INFO if claimed.join is None else logging.DEBUG
            logger.log(level, "a commit came too late", extra={**_ids(claimed.key), "reason": str(result)})
            return result
        for message in result.messages:
            self.publish(message)
        if result.is_awaited:
            self._notify_parents_now(claimed.key.ref)
        if is_time_to_compact(claimed.info.events, claimed.info.events + _events_in(decision)):
            self._compact(claimed.key.ref)
        return result

    def _compact(self, ref: ExecutionRef) -> None:
        try:
            self.store.compact(ref)
        except StoreUnavailable as error:
            logger.warning("%s; old events are packed with the next block", error, extra={"execution": str(ref)})

    def _nonce(self) -> str:
        return f"{self.worker()}.{new_token()}"


def _events_in(decision: Decision) -> int:
    return len(decision.history) + sum(len(child.history) for child in decision.spawn)


def _is_over(decision: Decision) -> bool:
    return decision.outcome is not None


def _from_outside(ref: ExecutionRef, frame: str, record: FrameRecord, execution: ExecutionRecord) -> Claimed:
    return Claimed(
        key=MessageKey(ref, frame, record.token),
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
