"""The engine: claim, decide, commit. Step tasks, the sweep and callbacks all use it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pollflow.errors import (
    ExecutionNotExists,
    MissingKey,
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
    Outcome,
    Phase,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Returned,
    Status,
    Submitted,
    TimedOut,
    call_of,
    continues_at_once,
    is_awaited,
)
from pollflow.machine.limits import MAX_RESULTS_BYTES
from pollflow.runtime import logs
from pollflow.runtime.calls import Caller
from pollflow.runtime.claiming import Claiming, ids_of
from pollflow.runtime.decider import Decider
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.engine_errors import EngineErrors, cause_of, passes, stage
from pollflow.runtime.handled import Handled, failed_by_engine, handled_of, ignored
from pollflow.runtime.interruptions import reason_of
from pollflow.runtime.masking import hider_of
from pollflow.runtime.missing_functions import MissingFunctions, waiting_reason
from pollflow.runtime.notifying import notify_parents
from pollflow.runtime.parents import token_target
from pollflow.runtime.routes import Publish
from pollflow.runtime.subflows import awaited_by
from pollflow.store import (
    LATE,
    UNCLAIMED,
    Carried,
    Claimed,
    Committed,
    Conflict,
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

_RESULTS = (Returned, Raised, Submitted, ReportedSucceeded, ReportedFailed)
"""The events that count only until the deadline of their attempt."""

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
    decider: Decider
    claiming: Claiming
    publish: Publish
    worker: Callable[[], str]
    is_stopping: Callable[[], bool]
    errors: EngineErrors

    def handle(self, key: MessageKey, carried: Carried | None = None) -> Handled:
        """Process a message: advance its frame. A stale or duplicate message changes nothing.

        `carried`: what the message carries of its entry, if anything.
        """
        try:
            return self._run_entry(key, carried)
        except StoreUnavailable as error:
            logger.warning("%s; the sweep publishes the message again", error, extra=ids_of(key))
            return ignored("Redis does not serve; the sweep publishes the message again")

    def advance(self, claimed: Claimed, event: Event | None = None) -> Claimed | Handled:
        """Commit the next transition of a claimed frame. Return the claim to continue with inline, or what it led to.

        The default of `event` is the result of the frame's call, or the arrival of its message.
        """
        try:
            found = self._advance(claimed, event)
        except Exception as error:
            # What a message carries may be forged. Only an error of the stored entry counts.
            if claimed.carried is None or passes(error):
                raise
            found = None
        if found is None:
            with stage("claim"):
                return self.claiming.claim(claimed.key, claimed.nonce)
        return found

    def _advance(self, claimed: Claimed, event: Event | None) -> Claimed | Handled | None:
        """Do the same; return None if the entry has to be claimed."""
        flow = self._flow(claimed.digest)
        try:
            with stage("call"):
                found = event or self._event(flow, claimed)
        except Exception:
            raise
        except BaseException as error:
            # The call was interrupted by a stop, a hard time limit or a revoke. Do not wait for its lease to expire.
            self.release(claimed, reason=reason_of(error))
            raise
        if isinstance(found, Handled):
            return found
        # The message that ends a wait also starts the next step, which runs in the same Celery task.
        inline_nonce = self._nonce() if claimed.state.phase is Phase.WAITING else ""
        result = self._commit(flow, claimed, found, continue_inline=inline_nonce)
        if result is LATE:
            result = self._commit(flow, claimed, TimedOut(), from_outside=True)
        if result is UNCLAIMED:
            return None
        if isinstance(result, Refusal):
            return ignored(f"another worker, a timeout or a stop came first ({result})")
        return result.continued or self._handled(claimed, result.decision)

    def _handled(self, claimed: Claimed, decision: Decision) -> Handled:
        details = [event.detail for event in decision.history]
        return handled_of(decision, hider_of(self.caller.mask, claimed.state, details))

    def release(self, claimed: Claimed, *, pause: float = 0, reason: str = "") -> None:
        """Release a call: its message is published again, due after `pause` seconds.

        Without a pause the call was interrupted, and counts as a crash unless the worker is stopping.
        """
        is_counted = pause == 0 and not self.is_stopping()
        try:
            record = self.claiming.current_frame(claimed.key)
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
        message = Message(key, record.metadata, countdown=pause, delivery=record.next_delivery)
        reply = self.store.release(message, nonce, is_counted=is_counted, reason=reason)
        if isinstance(reply, Sent):
            if reply.unpublished:
                self.publish(message)
            logger.warning(
                f"released a call: it {reason}" if reason else "released an interrupted call", extra=ids_of(key)
            )

    def time_out_step(self, record: FrameRecord, execution: ExecutionRecord) -> None:
        """Commit that the attempt's deadline has passed."""
        with stage("decoding of the state"):
            claimed = _from_outside(record, execution)
        self._commit(self._flow(execution.digest), claimed, TimedOut(), from_outside=True)

    def end(
        self,
        key: ExecutionKey,
        status: Status,
        error: str,
        cause: str,
        *,
        parent_links: Sequence[ParentLink] | None = None,
        by: str | None = None,
        is_clear: bool = False,
    ) -> Status | None:
        """Stop an execution, or end it by its time limit. Return None on success, else the status that it had before.

        `parent_links`: end it only while exactly these steps wait for it; if others do, or it does not exist, change
        nothing and return None. Without `parent_links`, raises ExecutionNotExists. `by`: the user who stops it.
        `is_clear`: do not encode the cause.
        """
        history = [HistoryEvent(f"Execution{status.value}", "", {"error": error, "cause": cause}, by or "")]
        outcome = Outcome(status, None, error, cause)
        before = self.store.end(key, history, outcome, parent_links=parent_links, by=by, is_clear=is_clear)
        if before is None and parent_links is None:
            raise ExecutionNotExists(f'execution "{key.ref}" does not exist')
        return None if before is Status.RUNNING else before

    def report(self, token: str, event: Event) -> None:
        """Report a task that waits for a callback.

        Raises InvalidTaskToken for a token that was never issued, TaskAlreadyCompleted for a second or late report.
        """
        self.report_by(self.reading, token, event)

    def report_by(self, reading: Reading, token: str, event: Event) -> None:
        """Do the same; read the execution and its frame by `reading`, which may have read them before."""
        fields, execution = token_target(reading, token)
        flow, entry_token = self._flow(execution.digest), ""
        while True:
            record = reading.frame(execution.ref, fields.frame)
            if record is None or record.token == entry_token or not is_awaited(fields, record.state):
                raise TaskAlreadyCompleted
            # If the commit is refused, the call has returned in the meantime, and the step waits under another token.
            entry_token = record.token
            with stage("decoding of the state"):
                claimed = _from_outside(record, execution)
            result = self._commit(flow, claimed, event, from_outside=True)
            if isinstance(result, Committed):
                return
            if result is LATE:
                self._commit(flow, claimed, TimedOut(), from_outside=True)
                raise TaskAlreadyCompleted
            reading = self.reading

    def _run_entry(self, key: MessageKey, carried: Carried | None) -> Handled:
        current, nonce = key, self._nonce()
        logs.hide.set(None)
        try:
            with stage("claim"):
                claimed = self.claiming.entry(key, nonce, carried)
            while isinstance(claimed, Claimed):
                current, nonce = claimed.key, claimed.nonce
                logs.hide.set(hider_of(self.caller.mask, claimed.state))
                claimed = self.advance(claimed)
            return claimed
        except UnreadableRecord as error:
            is_key = isinstance(error, MissingKey)
            need, owner = ("a key", "that has the key") if is_key else ("a later release", "of a later release")
            logger.warning("the state needs %s; publishing the message again: %s", need, error, extra=ids_of(key))
            self.claiming.leave_to_others(key, f"waits for a worker {owner}")
            return ignored(f"the state needs {need}; published again")
        except Exception as error:
            if passes(error):
                raise
            is_over = self.errors.count(current, error, nonce=nonce)
            return failed_by_engine(logs.masked(cause_of(error)), is_over=is_over)

    def _event(self, flow: Flow, claimed: Claimed) -> Event | Handled:
        if claimed.kind == "call":
            request = call_of(flow, claimed.state, claimed.info)
            if request is None:
                raise TypeError(claimed.kind)
            pause = self.missing_functions.pause(claimed, request)
            if pause is not None:
                reason = waiting_reason(request)
                self.release(claimed, pause=pause, reason=reason)
                return ignored(reason)
            return self.caller.call(claimed, request)
        join = claimed.join
        if claimed.kind != "children" or join is None:
            return Arrived(at=claimed.at)
        if join.ended == join.total:
            return Joined(self.reading.results(claimed.key.ref, claimed.key.frame, MAX_RESULTS_BYTES))
        is_room = join.made < join.total and join.open < self.decider.limits.max_concurrency
        return Arrived(join) if is_room else ignored("no branch or iteration can be started")

    def _commit(
        self, flow: Flow, claimed: Claimed, event: Event, *, from_outside: bool = False, continue_inline: str = ""
    ) -> Committed | Refusal:
        # Any other event means that the sub-flow has ended or the step was reported.
        with stage("decision"):
            is_cancel = isinstance(event, TimedOut | Raised)
            outbox_entry = awaited_by(flow, claimed.state, claimed.info) if is_cancel else None
            # Only step tasks run further steps, not clients and the sweep. Only a commit after which the execution
            # continues adds an outbox entry, and inline steps might end the execution.
            is_alone = from_outside or outbox_entry is not None
        while True:
            with stage("decision"):
                decision = self.decider.decide(flow, claimed, event, is_alone=is_alone)
            with stage("commit"):
                result = self.store.commit(
                    claimed,
                    decision,
                    from_outside=from_outside,
                    continue_inline=continue_inline if continues_at_once(decision) else "",
                    expect_events=flow.uses_event_ids,
                    outbox_entry=outbox_entry,
                    is_result=isinstance(event, _RESULTS),
                )
            if not isinstance(result, Conflict):
                break
            claimed = replace(claimed, info=replace(claimed.info, events=result.events))
        if isinstance(result, Refusal):
            # Two concurrent claims of a map step are normal: only the later one can commit.
            is_normal = claimed.join is not None or result is UNCLAIMED
            level = logging.DEBUG if is_normal else logging.INFO
            logger.log(level, "a commit came too late", extra={**ids_of(claimed.key), "reason": str(result)})
            return result
        try:
            self._after_commit(claimed, decision, result)
        except Exception as error:  # the transition is committed: the sweep does what is left
            logger.warning("%s; the sweep does what follows a commit", error, extra=ids_of(claimed.key), exc_info=True)
        return result

    def _after_commit(self, claimed: Claimed, decision: Decision, result: Committed) -> None:
        for message in result.messages:
            self.publish(message)
        if result.has_parents:
            notify_parents(self, self.reading.execution(claimed.key.ref))
        if is_time_to_compact(claimed.info.events, claimed.info.events + decision.events):
            self.store.compact(claimed.key.execution)

    def _flow(self, digest: str) -> Flow:
        with stage("reading of the definition"):
            return self.flows.get(digest)

    def _nonce(self) -> str:
        return f"{self.worker()}.{new_token()}"


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
