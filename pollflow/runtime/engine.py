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
from pollflow.runtime.routes import Publish
from pollflow.runtime.subflows import awaited_by
from pollflow.runtime.waiters import asked
from pollflow.store import (
    Address,
    Claimed,
    Committed,
    Early,
    ExecutionRecord,
    ExecutionRef,
    FrameRecord,
    Letter,
    Moved,
    Reading,
    Refusal,
    Store,
    Waiter,
    is_time_to_pack,
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

    def handle(self, address: Address) -> None:
        """Does what a message asks for, if it still may: anything else is a duplicate, and does nothing."""
        try:
            self._go_on(address)
        except StoreUnavailable as error:
            logger.warning("%s; a message is given up, and the sweep brings it again", error, extra=_ids(address))

    def move(self, claimed: Claimed, event: Event | None = None) -> Claimed | None:
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
            self.hand_back(claimed)
            raise
        if event is None:
            return None
        # The message that ends a wait is that of the next step, which goes on in this very task.
        hold = self._nonce() if claimed.state.phase is Phase.WAITING else ""
        result = self._commit(flow, claimed, event, hold=hold)
        return result.held if isinstance(result, Committed) else None

    def hand_back(self, claimed: Claimed) -> None:
        """Gives up a call that was cut off: its message is published again, at once."""
        try:
            record = self._present(claimed.address)
            if record is None:
                return
            letter = Letter(claimed.address, claimed.about.execution_id, record.hint)
            result, unpublished = self.store.hand_back(letter, claimed.nonce, is_excused=self.is_stopping())
            if unpublished:
                self.publish(letter)
        except StoreUnavailable as error:
            logger.warning("%s; a call that was cut off goes on when its lease has lapsed", error)
            return
        if result == "sent":
            logger.warning("a call was cut off and is handed back", extra=_ids(claimed.address))

    def post_again(self, address: Address) -> None:
        """Publishes the message of an entry that nobody has begun, because its holder will not begin it."""
        record = self._present(address)
        if record is not None:
            self._redeliver(address, record, max(0.0, record.due - self.reading.now()))

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
        waiters: Sequence[Waiter] | None = None,
    ) -> Status | None:
        """Stops an execution, or ends it by its time limit. None if this did it, else the status that it has.

        Only the one of that id, and while it has those waiters, if they are given. Raises ExecutionNotExists.
        """
        detail = {"error": error, "cause": cause}
        history = [HistoryEvent(f"Execution{status.value}", "", detail)]
        outcome = Outcome(status, None, error, cause)
        before = self.store.end(ref, status, history, outcome, execution_id=execution_id, waiters=waiters)
        if before == "":
            raise ExecutionNotExists(f"flow {ref.flow!r} has no execution {ref.name!r}")
        return None if before is None else Status(before)

    def report(self, token: str, event: Event) -> None:
        """Reports a task that waits for a callback.

        Raises InvalidTaskToken for a token nobody was given, TaskAlreadyCompleted for a second or late report.
        """
        address, execution = asked(self.reading, token)
        ref = execution.ref
        flow, token = self.flows.get(execution.digest), ""
        while True:
            record = self.reading.frame(ref, address.frame)
            if record is None or record.token == token or not is_awaited(address, record.state):
                raise TaskAlreadyCompleted
            # Refused though still awaited under another token: the call has returned meanwhile, and waits now.
            token = record.token
            claimed = _from_outside(ref, address.frame, record, execution)
            if isinstance(self._commit(flow, claimed, event, from_outside=True), Committed):
                return

    def tell_end(self, record: ExecutionRecord) -> bool:
        """Tells the steps that wait for an ended execution how it ended. Whether nobody is left to be told."""
        if not record.status.ended:
            return False
        is_told = all([self._tell(waiter, record) for waiter in record.waiters])
        if is_told:
            self.store.done(record.ref, "notify", record.id)
        return is_told

    def _tell(self, waiter: Waiter, record: ExecutionRecord) -> bool:
        if record.status is Status.SUCCEEDED and not waiter.hears_success:
            return True
        try:
            self.report(waiter.token, _end_event(record))
        except (InvalidTaskToken, TaskAlreadyCompleted, FlowNotExists):
            # Without its definition a step never goes on.
            logger.info("nobody waits for the end any more", extra={"execution": str(record.ref)})
        except UnreadableRecord:
            logger.warning("left to a later release", extra={"execution": str(record.ref)}, exc_info=True)
            return False
        return True

    def _tell_end_at_once(self, ref: ExecutionRef) -> None:
        try:
            self.tell_end(self.reading.execution(ref))
        except (ExecutionNotExists, StoreUnavailable) as error:
            logger.warning("%s; whoever waits for an end is told by the sweep", error, extra={"execution": str(ref)})

    def _go_on(self, address: Address) -> None:
        try:
            claimed = self._claim(address)
            while claimed is not None:
                claimed = self.move(claimed)
        except UnreadableRecord:
            logger.warning("left to a later release", extra=_ids(address), exc_info=True)
            self._leave(address)

    def _claim(self, address: Address) -> Claimed | None:
        nonce = self._nonce()
        answer = self.store.claim(address, nonce)
        if isinstance(answer, Early) and answer.seconds <= _BLINK_SECONDS:
            time.sleep(answer.seconds)
            answer = self.store.claim(address, nonce)
        if isinstance(answer, Early):
            # A clock runs ahead: the message has come long before its time.
            if (record := self._present(address)) is not None:
                self._redeliver(address, record, answer.seconds)
            return None
        if isinstance(answer, Refusal):
            logger.debug("a message came in vain", extra={**_ids(address), "reason": str(answer)})
            return None
        return answer

    def _leave(self, address: Address) -> None:
        """Publishes a message that this release cannot read again, a while later, until one that can takes it."""
        record = self._present(address)
        if record is not None:
            # Not twice as long each time: this worker, which has nothing to do with it, is the first to take it again.
            self._redeliver(address, record, min(_LEAVE_STEP_SECONDS * record.sent, _LONGEST_LEAVE_SECONDS))

    def _present(self, address: Address) -> FrameRecord | None:
        """The frame, if it is still at the entry that the address is for."""
        record = self.reading.frame(address.ref, address.frame)
        return record if record is not None and record.token == address.token else None

    def _redeliver(self, address: Address, record: FrameRecord, seconds: float) -> None:
        execution = self.reading.execution(address.ref)
        letter = Letter(address, execution.id, record.hint, countdown=seconds)
        _, unpublished = self.store.redeliver(letter, record.sent, None, is_returned=True)
        if unpublished:
            self.publish(letter)

    def _event(self, flow: Flow, claimed: Claimed) -> Event | None:
        if claimed.kind == "call":
            request = call_of(flow, claimed.state, claimed.about)
            if request is None:
                raise TypeError(claimed.kind)
            return self.caller.call(claimed, request)
        join = claimed.join
        if claimed.kind != "children" or join is None:
            return Arrived(at=claimed.at)
        if join.ended == join.total:
            return Joined(self.reading.results(claimed.address.ref, claimed.address.frame))
        is_room = join.made < join.total and join.open < self.limits.width
        return Arrived(join) if is_room else None

    def _commit(
        self, flow: Flow, claimed: Claimed, event: Event, *, from_outside: bool = False, hold: str = ""
    ) -> Committed | Refusal:
        # In any other way a step ends because its sub-flow has ended, or has been reported on.
        gives_up = isinstance(event, TimedOut | Raised)
        errand = awaited_by(flow, claimed.state, claimed.about) if gives_up else None
        while True:
            decision = decide(flow, claimed.state, event, about=claimed.about, limits=self.limits)
            result = self.store.commit(
                claimed,
                decision,
                from_outside=from_outside,
                hold="" if _is_over(decision) else hold,
                expect_events=flow.uses_event_ids,
                errand=errand,
            )
            if not isinstance(result, Moved):
                break
            claimed = replace(claimed, about=replace(claimed.about, events=result.events))
        if isinstance(result, Refusal):
            # Of two that look how far a wide step is, the later one goes on: nobody need hear of that.
            level = logging.INFO if claimed.join is None else logging.DEBUG
            logger.log(level, "a commit came too late", extra={**_ids(claimed.address), "reason": str(result)})
            return result
        for letter in result.letters:
            self.publish(letter)
        if result.is_awaited:
            self._tell_end_at_once(claimed.address.ref)
        if is_time_to_pack(claimed.about.events, claimed.about.events + _events_in(decision)):
            self._pack(claimed.address.ref)
        return result

    def _pack(self, ref: ExecutionRef) -> None:
        try:
            self.store.pack(ref)
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
        address=Address(ref, frame, record.token),
        nonce="",
        kind=record.kind,
        state=record.state,
        about=execution.about,
        digest=execution.digest,
        at=0,
        parent_token=record.parent_token,
        parent_hint=record.parent_hint,
    )


def _end_event(record: ExecutionRecord) -> Event:
    if record.status is Status.SUCCEEDED:
        return ReportedSucceeded(record.output or {})
    return ReportedFailed(record.error or "", record.cause or "")


def _ids(address: Address) -> dict[str, str]:
    return {"flow": address.ref.flow, "execution": address.ref.name, "frame": address.frame}
