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
from pollflow.machine import ROOT, About, Children, Decision, HistoryEvent, Outcome, Status
from pollflow.store import keys as names
from pollflow.store.core import Core, in_no_script
from pollflow.store.encode import (
    Settled,
    counted_fields,
    events_folded_into,
    folded_events,
    kind_of,
    settle,
    state_of,
)
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import (
    HELD,
    LAYOUT,
    STALE,
    Address,
    Claimed,
    Committed,
    Early,
    Errand,
    Letter,
    Refusal,
    Waiter,
    dump_hint,
    dump_json,
    dump_state,
    load_hint,
    load_join,
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
    letters: tuple[Letter, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """Other frames have added events, and the decision depends on their number: decide again."""

    events: int


def new_token() -> str:
    """A text that nobody guesses and no counter repeats."""
    return secrets.token_hex(10)


class Transitions(Core):
    """The verbs that change the state of an execution."""

    def start(
        self,
        about: About,
        decision: Decision,
        *,
        digest: str,
        execution_input: JsonObject,
        limit: float | None,
        parent: str = "",
        waiter: Waiter | None = None,
        durable: bool = False,
    ) -> Started:
        """Starts an execution by its first decision, unless its name is taken. `limit` is its time limit in seconds.

        `parent` is the task token of the step that starts it.
        `waiter` is told of the end, also of that of an execution which runs under the name already.
        `durable`: waits for the append-only file, also where the execution is there already. Raises NotDurable, and
        TaskAlreadyCompleted if the waiter has given the execution up.
        """
        ref = ExecutionRef(about.flow_name, about.execution_name)
        fields = {
            "id": about.execution_id,
            "flow": ref.flow,
            "name": ref.name,
            "digest": digest,
            "secret": about.secret,
            "started_at": repr(about.started_at),
            "input": dump_json(execution_input),
            "parent": parent,
            "waiters": waiter.dump() if waiter else "",
        }
        settled = self._settle(ref, about, decision, new_token())
        indexes = (*self.keys.lasting_indexes(ref), *self.keys.indexes(ref, Status.RUNNING))
        reply = self._commit(
            "start",
            (
                *self._base(ref, ROOT),
                self.keys.frames(ref),
                self.keys.wake(ref.shard),
                self._queue(ref, settled.envelope),
                self.keys.given_up(ref),
                *indexes,
            ),
            [
                str(ref),
                names.member(ref),
                names.duty(ref, "deadline"),
                "" if limit is None else limit,
                waiter.dump() if waiter else "",
                names.duty(ref, "orphan"),
                names.duty(ref, "notify"),
                *counted_fields(fields),
                *folded_events(decision.history),
                *settled.args,
            ],
            durable=durable,
        )
        if reply[0] == "given up":
            raise TaskAlreadyCompleted
        if reply[0] == "exists" and reply[1] != about.execution_id:
            return Started(reply[1], Status(reply[2]))
        return Started(about.execution_id, None, _unsent(settled.letter, reply[0] == "started" and reply[2]))

    def claim(self, address: Address, nonce: str) -> Claimed | Early | Refusal:
        """What the holder of a message may act on; a call is leased to `nonce` for the lease's time.

        Raises UnreadableRecord for a state of a later release, which is left as it was.
        """
        ref, frame = address.ref, address.frame
        parent = frame if frame == ROOT else names.parent_of(frame)[0]
        reply = self.scripts.run_patiently(
            "claim",
            (*self._base(ref, frame)[:3], self.keys.wake(ref.shard), self.keys.frame(ref, parent)),
            [names.member(ref, frame), address.token, nonce, self.timing.lease, LAYOUT],
            self._insistence.patience.claim_seconds,
        )
        if reply[0] == "claimed":
            return _claimed(address, nonce, reply[1:])
        if reply[0] == "early":
            return Early(float(reply[1]))
        if reply[0] == "unreadable":
            raise UnreadableRecord(f"state of layout {reply[1]}; this release reads {LAYOUT}")
        return HELD if reply[0] == "held" else STALE

    def commit(
        self,
        claimed: Claimed,
        decision: Decision,
        *,
        from_outside: bool = False,
        hold: str = "",
        expect_events: bool = False,
        errand: Errand | None = None,
    ) -> Committed | Moved | Refusal:
        """Commits what was decided for a claimed frame.

        `from_outside`: the event did not come from the call, so the call's lease does not matter. `hold`: the nonce
        under which the caller goes on with the next entry at once, instead of a message. `expect_events`: refuse with
        Moved if history has grown meanwhile. `errand`: what is to be done elsewhere for it, if the execution goes on.
        """
        nonce = ANYBODY if from_outside else (claimed.nonce if claimed.kind == "call" else "")
        if decision.outcome is not None:
            ends_execution = claimed.address.frame == ROOT or decision.outcome.status is Status.FAILED
            if ends_execution:
                return self._end_by(claimed, decision, nonce)
            return self._join(claimed, decision, nonce)
        if isinstance(decision.wake, Children):
            return self._spread(claimed, decision, expect_events)
        return self._advance(claimed, decision, nonce, hold, expect_events, errand)

    def end(
        self,
        ref: ExecutionRef,
        status: Status,
        history: Sequence[HistoryEvent],
        outcome: Outcome,
        *,
        execution_id: str = "",
        waiters: Sequence[Waiter] | None = None,
    ) -> str | None:
        """Ends a running execution from outside. None if this did it, else the status that it has.

        Only the one of that id, and with those waiters, if they are given.
        """
        expected = (execution_id, "*" if waiters is None else Waiter.dump_all(waiters))
        reply = self._end(ref, "", ANYBODY, ROOT, replace(outcome, status=status), history, expected=expected)
        return None if reply[0] == "done" else str(reply[1])

    def _advance(
        self,
        claimed: Claimed,
        decision: Decision,
        nonce: str,
        hold: str,
        expect_events: bool,
        errand: Errand | None,
    ) -> Committed | Moved | Refusal:
        address = claimed.address
        ref, frame, token = address.ref, address.frame, new_token()
        if hold:
            # Its worker vouches by the token that the message came with.
            token = f"{address.token}+{token}"
        settled = self._settle(ref, claimed.about, decision, token, sends=not hold)
        keys = [*self._base(ref, frame), self.keys.wake(ref.shard), self._queue(ref, settled.envelope)]
        if claimed.join is not None:
            keys.append(self.keys.results(ref, frame))
        reply = self._commit(
            "advance",
            keys,
            [
                names.member(ref, frame),
                address.token,
                nonce,
                token,
                claimed.about.events if expect_events else "",
                hold,
                self.timing.lease,
                _joiner(claimed),
                *folded_events(decision.history),
                names.duty(ref, "errand"),
                errand.dump() if errand else "",
                *settled.args,
            ],
        )
        if reply[0] == "stale":
            return STALE
        if reply[0] == "moved":
            return Moved(int(reply[1]))
        if not hold:
            return Committed(_unsent(settled.letter, reply[2]))
        held = Claimed(
            address=replace(address, token=token),
            nonce=hold,
            kind=kind_of(decision),
            state=state_of(decision),
            about=replace(claimed.about, events=int(reply[4])),
            digest=claimed.digest,
            at=float(reply[1]),
            starts=int(reply[3]),
            deadline=float(reply[5]) if reply[5] else None,
            parent_token=claimed.parent_token,
            parent_hint=claimed.parent_hint,
        )
        return Committed(held=held)

    def _spread(self, claimed: Claimed, decision: Decision, expect_events: bool) -> Committed | Moved | Refusal:
        address, state, wake = claimed.address, state_of(decision), decision.wake
        if not isinstance(wake, Children):
            raise TypeError(wake)
        ref, joining = address.ref, claimed.join is not None
        token = address.token if joining else new_token()
        own = Letter(replace(address, token=token), claimed.about.execution_id, wake.hint)
        envelope = self._post(own)
        letters: list[Letter] = []
        children: list[str] = []
        values: dict[str, str] = {}
        args: list[Argument] = []
        for child in decision.spawn:
            child_frame = state_of(child).frame
            settled = self._settle(ref, claimed.about, child, new_token())
            letters += _unsent(settled.letter, True)
            children += [self.keys.frame(ref, child_frame), self._queue(ref, settled.envelope)]
            args += [
                child_frame,
                names.member(ref, child_frame),
                *events_folded_into(values, child.history),
                *settled.args,
            ]
        reply = self._commit(
            "spread",
            (
                *self._base(ref, address.frame),
                self.keys.wake(ref.shard),
                self._queue(ref, envelope),
                self.keys.frames(ref),
                *children,
            ),
            [
                names.member(ref, address.frame),
                address.token,
                token,
                claimed.join.total if claimed.join else wake.total or 0,
                claimed.join.made if claimed.join else 0,
                self.timing.width,
                _joiner(claimed),
                claimed.about.events if expect_events else "",
                dump_state(state),
                dump_hint(wake.hint),
                self.timing.grace,
                *folded_events(decision.history, values),
                envelope.head,
                envelope.tail,
                *args,
            ],
        )
        if reply[0] == "stale":
            return STALE
        if reply[0] == "moved":
            return Moved(int(reply[1]))
        unsent = [letter for letter, left in zip((*letters, own), reply[2:], strict=True) if left]
        return Committed(tuple(unsent))

    def _join(self, claimed: Claimed, decision: Decision, nonce: str) -> Committed | Refusal:
        address, outcome = claimed.address, decision.outcome
        if outcome is None or claimed.parent_hint is None:
            raise TypeError(decision)
        ref = address.ref
        parent, _, index = names.parent_of(address.frame)
        letter = Letter(Address(ref, parent, claimed.parent_token), claimed.about.execution_id, claimed.parent_hint)
        envelope = self._post(letter)
        reply = self._commit(
            "join",
            (
                *self._base(ref, address.frame),
                self.keys.wake(ref.shard),
                self._queue(ref, envelope),
                self.keys.frames(ref),
                self.keys.frame(ref, parent),
                self.keys.results(ref, parent),
                self.keys.results(ref, address.frame),
            ),
            [
                names.member(ref, address.frame),
                address.token,
                nonce,
                address.frame,
                names.member(ref, parent),
                claimed.parent_token,
                index,
                dump_json(outcome.output),
                self.timing.grace,
                _joiner(claimed),
                *folded_events(decision.history),
                envelope.head,
                envelope.tail,
            ],
        )
        return STALE if reply[0] == "stale" else Committed(_unsent(letter, reply[2]))

    def _end_by(self, claimed: Claimed, decision: Decision, nonce: str) -> Committed | Refusal:
        if decision.outcome is None:
            raise TypeError(decision)
        address = claimed.address
        reply = self._end(
            address.ref, address.token, nonce, address.frame, decision.outcome, decision.history, _joiner(claimed)
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
        joiner: str = "",
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
                *(names.duty(ref, name) for name in ("deadline", "tidy", "purge", "notify")),
                joiner,
                *expected,
                *counted_fields(fields),
                *folded_events(history),
            ],
        )
        return reply

    def _settle(
        self, ref: ExecutionRef, about: About, decision: Decision, token: str, *, sends: bool = True
    ) -> Settled:
        post = self._post if sends else in_no_script
        return settle(ref, about, decision, token, timing=self.timing, post=post)


def _unsent(letter: Letter | None, is_left: bool) -> tuple[Letter, ...]:
    return (letter,) if letter is not None and is_left else ()


def _joiner(claimed: Claimed) -> str:
    """The nonce of a claim that has read how far its children are; '' for any other."""
    return claimed.nonce if claimed.join is not None else ""


def _claimed(address: Address, nonce: str, reply: Sequence[Any]) -> Claimed:
    kind, state, starts, excused, deadline, total, made, ended, parent_token, parent_hint, at, *about = reply
    flow, name, execution_id, digest, started_at, secret, events = about
    return Claimed(
        address=address,
        nonce=nonce,
        kind=kind,
        state=load_state(address.frame, state),
        about=About(flow, name, execution_id, float(started_at), secret, int(events)),
        digest=digest,
        at=float(at),
        starts=int(starts or 0),
        excused=int(excused or 0),
        deadline=float(deadline) if deadline else None,
        join=load_join(total, made, ended),
        parent_token=parent_token,
        parent_hint=load_hint(parent_hint) if parent_hint else None,
    )
