"""The transitions of executions: start, claim, commit, end. Each is one script, so each happens wholly or not at all.

A Decision is turned into a script's arguments without a look at what its step means. A script that is run a second
time with the same arguments, because the connection broke before its reply, changes nothing more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pollflow.errors import TaskAlreadyCompleted, UnreadableRecord
from pollflow.fdl.model import JsonObject
from pollflow.machine import ROOT, AwaitChildren, Decision, ExecutionInfo, HistoryEvent, Outcome, Status
from pollflow.store import keys as names
from pollflow.store.core import Core, in_no_script
from pollflow.store.encode import (
    NextEntry,
    counted_fields,
    event_args,
    event_args_into,
    kind_of,
    schedule_next,
    state_of,
)
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import (
    LAYOUT,
    LEASED,
    STALE,
    Claimed,
    Committed,
    Early,
    Message,
    MessageKey,
    OutboxEntry,
    ParentLink,
    Refusal,
    dump_json,
    dump_metadata,
    dump_state,
    load_join,
    load_metadata,
    load_state,
)
from pollflow.store.scripts import Argument

ANYBODY = "*"
"""Instead of a call's nonce: the event comes from outside the call, so whoever holds it has lost it."""


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a start. `existing` is the status of the execution that had the name already, else None."""

    id: str
    existing: Status | None = None
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Other frames have added events, and the decision depends on their number: decide again."""

    events: int


def new_token() -> str:
    """A text that nobody guesses and no counter repeats."""
    return secrets.token_hex(10)


class Transitions(Core):
    """The verbs that change the state of an execution."""

    def start(
        self,
        info: ExecutionInfo,
        decision: Decision,
        *,
        digest: str,
        execution_input: JsonObject,
        limit: float | None,
        parent: str = "",
        parent_link: ParentLink | None = None,
        durable: bool = False,
    ) -> Started:
        """Starts an execution by its first decision, unless its name is taken. `limit` is its time limit in seconds.

        `parent` is the task token of the step that starts it.
        `parent_link` is told of the end, also of that of an execution which runs under the name already.
        `durable`: waits for the append-only file, also where the execution is there already. Raises NotDurable, and
        TaskAlreadyCompleted if the waiter has given the execution up.
        """
        ref = ExecutionRef(info.flow_name, info.execution_name)
        fields = {
            "id": info.execution_id,
            "flow": ref.flow,
            "name": ref.name,
            "digest": digest,
            "secret": info.secret,
            "started_at": repr(info.started_at),
            "input": dump_json(execution_input),
            "parent": parent,
            "waiters": parent_link.dump() if parent_link else "",
        }
        scheduled = self._schedule_next(ref, info, decision, new_token())
        indexes = (*self.keys.lasting_indexes(ref), *self.keys.indexes(ref, Status.RUNNING))
        reply = self._commit(
            "start",
            (
                *self._base(ref, ROOT),
                self.keys.frames(ref),
                self.keys.wake(ref.shard),
                self._queue(ref, scheduled.encoded),
                self.keys.cancellations(ref),
                *indexes,
            ),
            [
                str(ref),
                names.member(ref),
                names.job(ref, "deadline"),
                "" if limit is None else limit,
                parent_link.dump() if parent_link else "",
                names.job(ref, "orphan"),
                names.job(ref, "notify"),
                *counted_fields(fields),
                *event_args(decision.history),
                *scheduled.args,
            ],
            durable=durable,
        )
        if reply[0] == "given up":
            raise TaskAlreadyCompleted
        if reply[0] == "exists" and reply[1] != info.execution_id:
            return Started(reply[1], Status(reply[2]))
        return Started(info.execution_id, None, _unsent(scheduled.message, reply[0] == "started" and reply[2]))

    def claim(self, key: MessageKey, nonce: str) -> Claimed | Early | Refusal:
        """What the holder of a message may act on; a call is leased to `nonce` for the lease's time.

        Raises UnreadableRecord for a state of a later release, which is left as it was.
        """
        ref, frame = key.ref, key.frame
        parent = frame if frame == ROOT else names.parent_of(frame)[0]
        reply = self.scripts.run_with_retry(
            "claim",
            (*self._base(ref, frame)[:3], self.keys.wake(ref.shard), self.keys.frame(ref, parent)),
            [names.member(ref, frame), key.token, nonce, self.timing.lease, LAYOUT],
            self._retry_policy.claim_seconds,
        )
        if reply[0] == "claimed":
            return _claimed(key, nonce, reply[1:])
        if reply[0] == "early":
            return Early(float(reply[1]))
        if reply[0] == "unreadable":
            raise UnreadableRecord(f"state of layout {reply[1]}; this release reads {LAYOUT}")
        return LEASED if reply[0] == "held" else STALE

    def commit(
        self,
        claimed: Claimed,
        decision: Decision,
        *,
        from_outside: bool = False,
        continue_inline: str = "",
        expect_events: bool = False,
        outbox_entry: OutboxEntry | None = None,
    ) -> Committed | Conflict | Refusal:
        """Commits what was decided for a claimed frame.

        `from_outside`: the event did not come from the call, so its lease does not matter. `continue_inline`: the
        nonce under which the caller goes on with the next entry at once, instead of a message. `expect_events`: return
        Conflict if history has grown meanwhile. `outbox_entry`: work for another shard.
        """
        nonce = ANYBODY if from_outside else (claimed.nonce if claimed.kind == "call" else "")
        if decision.outcome is not None:
            ends_execution = claimed.key.frame == ROOT or decision.outcome.status is Status.FAILED
            if ends_execution:
                return self._end_by(claimed, decision, nonce)
            return self._fan_in(claimed, decision, nonce)
        if isinstance(decision.wake, AwaitChildren):
            return self._fan_out(claimed, decision, expect_events)
        return self._advance(claimed, decision, nonce, continue_inline, expect_events, outbox_entry)

    def end(
        self,
        ref: ExecutionRef,
        status: Status,
        history: Sequence[HistoryEvent],
        outcome: Outcome,
        *,
        execution_id: str = "",
        parent_links: Sequence[ParentLink] | None = None,
    ) -> str | None:
        """Ends a running execution from outside. None if this did it, else the status that it has.

        Only the one of that id, and with those waiters, if they are given.
        """
        expected = (execution_id, "*" if parent_links is None else ParentLink.dump_all(parent_links))
        reply = self._end(ref, "", ANYBODY, ROOT, replace(outcome, status=status), history, expected=expected)
        return None if reply[0] == "done" else str(reply[1])

    def _advance(
        self,
        claimed: Claimed,
        decision: Decision,
        nonce: str,
        continue_inline: str,
        expect_events: bool,
        outbox_entry: OutboxEntry | None,
    ) -> Committed | Conflict | Refusal:
        key = claimed.key
        ref, frame, token = key.ref, key.frame, new_token()
        if continue_inline:
            # Its worker vouches by the token that the message came with.
            token = f"{key.token}+{token}"
        scheduled = self._schedule_next(ref, claimed.info, decision, token, sends=not continue_inline)
        keys = [*self._base(ref, frame), self.keys.wake(ref.shard), self._queue(ref, scheduled.encoded)]
        if claimed.join is not None:
            keys.append(self.keys.results(ref, frame))
        reply = self._commit(
            "advance",
            keys,
            [
                names.member(ref, frame),
                key.token,
                nonce,
                token,
                claimed.info.events if expect_events else "",
                continue_inline,
                self.timing.lease,
                _join_nonce(claimed),
                *event_args(decision.history),
                names.job(ref, "errand"),
                outbox_entry.dump() if outbox_entry else "",
                *scheduled.args,
            ],
        )
        if reply[0] == "stale":
            return STALE
        if reply[0] == "moved":
            return Conflict(int(reply[1]))
        if not continue_inline:
            return Committed(_unsent(scheduled.message, reply[2]))
        continued = Claimed(
            key=replace(key, token=token),
            nonce=continue_inline,
            kind=kind_of(decision),
            state=state_of(decision),
            info=replace(claimed.info, events=int(reply[4])),
            digest=claimed.digest,
            at=float(reply[1]),
            starts=int(reply[3]),
            deadline=float(reply[5]) if reply[5] else None,
            parent_token=claimed.parent_token,
            parent_metadata=claimed.parent_metadata,
        )
        return Committed(continued=continued)

    def _fan_out(self, claimed: Claimed, decision: Decision, expect_events: bool) -> Committed | Conflict | Refusal:
        key, state, wake = claimed.key, state_of(decision), decision.wake
        if not isinstance(wake, AwaitChildren):
            raise TypeError(wake)
        ref, joining = key.ref, claimed.join is not None
        token = key.token if joining else new_token()
        own = Message(replace(key, token=token), claimed.info.execution_id, wake.metadata)
        encoded = self._encode(own)
        messages: list[Message] = []
        children: list[str] = []
        values: dict[str, str] = {}
        args: list[Argument] = []
        for child in decision.spawn:
            child_frame = state_of(child).frame
            scheduled = self._schedule_next(ref, claimed.info, child, new_token())
            messages += _unsent(scheduled.message, True)
            children += [self.keys.frame(ref, child_frame), self._queue(ref, scheduled.encoded)]
            args += [
                child_frame,
                names.member(ref, child_frame),
                *event_args_into(values, child.history),
                *scheduled.args,
            ]
        reply = self._commit(
            "fan_out",
            (
                *self._base(ref, key.frame),
                self.keys.wake(ref.shard),
                self._queue(ref, encoded),
                self.keys.frames(ref),
                *children,
            ),
            [
                names.member(ref, key.frame),
                key.token,
                token,
                claimed.join.total if claimed.join else wake.total or 0,
                claimed.join.made if claimed.join else 0,
                self.timing.max_concurrency,
                _join_nonce(claimed),
                claimed.info.events if expect_events else "",
                dump_state(state),
                dump_metadata(wake.metadata),
                self.timing.redelivery_timeout,
                *event_args(decision.history, values),
                encoded.head,
                encoded.tail,
                *args,
            ],
        )
        if reply[0] == "stale":
            return STALE
        if reply[0] == "moved":
            return Conflict(int(reply[1]))
        unsent = [message for message, left in zip((*messages, own), reply[2:], strict=True) if left]
        return Committed(tuple(unsent))

    def _fan_in(self, claimed: Claimed, decision: Decision, nonce: str) -> Committed | Refusal:
        key, outcome = claimed.key, decision.outcome
        if outcome is None or claimed.parent_metadata is None:
            raise TypeError(decision)
        ref = key.ref
        parent, _, index = names.parent_of(key.frame)
        message = Message(
            MessageKey(ref, parent, claimed.parent_token), claimed.info.execution_id, claimed.parent_metadata
        )
        encoded = self._encode(message)
        reply = self._commit(
            "fan_in",
            (
                *self._base(ref, key.frame),
                self.keys.wake(ref.shard),
                self._queue(ref, encoded),
                self.keys.frames(ref),
                self.keys.frame(ref, parent),
                self.keys.results(ref, parent),
                self.keys.results(ref, key.frame),
            ),
            [
                names.member(ref, key.frame),
                key.token,
                nonce,
                key.frame,
                names.member(ref, parent),
                claimed.parent_token,
                index,
                dump_json(outcome.output),
                self.timing.redelivery_timeout,
                _join_nonce(claimed),
                *event_args(decision.history),
                encoded.head,
                encoded.tail,
            ],
        )
        return STALE if reply[0] == "stale" else Committed(_unsent(message, reply[2]))

    def _end_by(self, claimed: Claimed, decision: Decision, nonce: str) -> Committed | Refusal:
        if decision.outcome is None:
            raise TypeError(decision)
        key = claimed.key
        reply = self._end(
            key.ref, key.token, nonce, key.frame, decision.outcome, decision.history, _join_nonce(claimed)
        )
        return Committed(is_awaited=bool(reply[2])) if reply[0] == "done" else STALE

    def _end(
        self,
        ref: ExecutionRef,
        token: str,
        nonce: str,
        frame: str,
        outcome: Outcome,
        history: Sequence[HistoryEvent],
        join_nonce: str = "",
        expected: tuple[str, str] = ("", "*"),
    ) -> list[Any]:
        fields = {"error": outcome.error, "cause": outcome.cause}
        if outcome.output is not None:
            fields = {"output": dump_json(outcome.output)}
        reply: list[Any] = self._commit(
            "end",
            (
                *self._base(ref, frame),
                self.keys.wake(ref.shard),
                self.keys.frames(ref),
                *self.keys.indexes(ref, Status.RUNNING),
                *self.keys.indexes(ref, outcome.status),
            ),
            [
                str(ref),
                token,
                nonce,
                outcome.status.value,
                new_token(),
                self.timing.retention,
                names.member(ref, frame),
                names.member(ref),
                *(names.job(ref, name) for name in ("deadline", "tidy", "purge", "notify")),
                join_nonce,
                *expected,
                *counted_fields(fields),
                *event_args(history),
            ],
        )
        return reply

    def _schedule_next(
        self, ref: ExecutionRef, info: ExecutionInfo, decision: Decision, token: str, *, sends: bool = True
    ) -> NextEntry:
        encode = self._encode if sends else in_no_script
        return schedule_next(ref, info, decision, token, timing=self.timing, encode=encode)


def _unsent(message: Message | None, is_left: bool) -> tuple[Message, ...]:
    return (message,) if message is not None and is_left else ()


def _join_nonce(claimed: Claimed) -> str:
    """The nonce of a claim that has read how far its children are; '' for any other."""
    return claimed.nonce if claimed.join is not None else ""


def _claimed(key: MessageKey, nonce: str, reply: Sequence[Any]) -> Claimed:
    kind, state, starts, not_counted, deadline, total, made, ended, parent_token, parent_metadata, at, *info = reply
    flow, name, execution_id, digest, started_at, secret, events = info
    return Claimed(
        key=key,
        nonce=nonce,
        kind=kind,
        state=load_state(key.frame, state),
        info=ExecutionInfo(flow, name, execution_id, float(started_at), secret, int(events)),
        digest=digest,
        at=float(at),
        starts=int(starts or 0),
        not_counted=int(not_counted or 0),
        deadline=float(deadline) if deadline else None,
        join=load_join(total, made, ended),
        parent_token=parent_token,
        parent_metadata=load_metadata(parent_metadata) if parent_metadata else None,
    )
