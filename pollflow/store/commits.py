"""The commits of transitions: a frame continues, children start or end, an execution ends."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pollflow.machine import ROOT, AwaitChildren, Decision, ExecutionInfo, HistoryEvent, Outcome
from pollflow.store import commands, script_keys
from pollflow.store.codec import CAUSE, CLEAR, OUTPUT, RESULT, Sealer
from pollflow.store.commands import Conflict
from pollflow.store.core import Core
from pollflow.store.encode import (
    EncodedEntry,
    encode_events,
    encode_next,
    encode_state,
    kind_of,
    message_text,
    state_of,
)
from pollflow.store.keys import ExecutionKey, ExecutionRef
from pollflow.store.messages import Message, MessageKey, encode_nothing
from pollflow.store.records import LATE, STALE, UNCLAIMED, Claimed, Committed, OutboxEntry, ParentLink, Refusal
from pollflow.store.state import dump_json, dump_metadata


def new_token() -> str:
    """Return a random text that cannot be guessed and does not repeat."""
    return secrets.token_hex(10)


def _inline_token(token: str) -> str:
    """Return a new token that begins with that of the message: by that the worker renews the lease of its call."""
    return f"{token}+{new_token()}"


@dataclass(frozen=True, slots=True)
class EndingEntry:
    """The entry whose transition ends an execution, and the guards of the script; no token for a stop from outside."""

    frame: str = ROOT
    token: str | None = None
    nonce: str | None = None
    join_nonce: str | None = None
    is_result: bool = False
    carried: commands.CarriedText | None = None


FROM_OUTSIDE = EndingEntry()


class Commits(Core):
    """One method for each script that commits a transition."""

    def _advance(
        self,
        claimed: Claimed,
        decision: Decision,
        nonce: str | None,
        *,
        inline_nonce: str,
        expect_events: bool,
        outbox_entry: OutboxEntry | None,
        is_result: bool,
    ) -> Committed | Conflict | Refusal:
        key, values = claimed.key, dict[str, str]()
        token = _inline_token(key.token) if inline_nonce else new_token()
        encoded = self._encode_next(claimed.info, decision, token, digest=claimed.digest, publishes=not inline_nonce)
        script = commands.Advance(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            join_nonce=_join_nonce(claimed),
            carried=_carried_text(claimed),
            is_result=is_result,
            expected_events=claimed.info.events if expect_events else None,
            inline_nonce=inline_nonce or None,
            lease_seconds=self.timing.lease,
            events=encode_events(decision.history, values, self.sealer, key.ref),
            values=values,
            outbox_entry=commands.OutboxText(outbox_entry.token, str(outbox_entry.ref)) if outbox_entry else None,
            next=encoded.entry,
            countdown_limits=self.timing.countdown_limits,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        keys = script_keys.advance_keys(self.keys, key.ref, key.frame, self._queue(key.ref, encoded.queue))
        reply = self._commit(script, keys)
        if not isinstance(reply, commands.AdvanceDone):
            return reply if isinstance(reply, Conflict) else _refusal(reply)
        if not inline_nonce:
            return Committed(decision, unpublished(encoded.message, reply.unpublished))
        return Committed(decision, continued=_continued(claimed, decision, token, inline_nonce, reply))

    def _fan_out(
        self, claimed: Claimed, decision: Decision, wake: AwaitChildren, *, expect_events: bool
    ) -> Committed | Conflict | Refusal:
        key, join, values = claimed.key, claimed.join, dict[str, str]()
        token = key.token if join else new_token()
        made = join.made if join else 0
        layout, state = encode_state(state_of(decision), self.sealer, key.ref)
        own = Message(replace(key, token=token), wake.metadata, delivery=f"made-{made + len(decision.spawn)}")
        own_encoded = self._encoded(own)
        children = [(child, self._encode_first(claimed, child)) for child in decision.spawn]
        script = commands.FanOut(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            join_nonce=_join_nonce(claimed),
            carried=_carried_text(claimed),
            expected_events=claimed.info.events if expect_events else None,
            joining_token=token,
            total=join.total if join else wake.total or 0,
            made=made,
            max_concurrency=self.timing.max_concurrency,
            layout=layout,
            state=state,
            metadata=dump_metadata(wake.metadata),
            events=encode_events(decision.history, values, self.sealer, key.ref),
            children=tuple(self._child(key.ref, child, encoded, values) for child, encoded in children),
            values=values,
            message=message_text(own_encoded),
            countdown_limits=self.timing.countdown_limits,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        own_queue = self._queue(key.ref, own_encoded.queue if own_encoded else None)
        pairs = [(state_of(child).frame, self._queue(key.ref, encoded.queue)) for child, encoded in children]
        keys = script_keys.fan_out_keys(self.keys, key.ref, key.frame, own_queue, pairs)
        reply = self._commit(script, keys)
        if not isinstance(reply, commands.FanOutDone):
            return reply if isinstance(reply, Conflict) else _refusal(reply)
        return Committed(decision, _left_messages(reply, own, [encoded.message for _, encoded in children]))

    def _fan_in(
        self, claimed: Claimed, decision: Decision, outcome: Outcome, nonce: str | None, *, is_result: bool
    ) -> Committed | Refusal:
        key, values = claimed.key, dict[str, str]()
        parent = claimed.state.parent
        if parent is None or claimed.parent_metadata is None:
            raise TypeError(f"frame {key.frame} of {key.ref} has no parent")
        message = Message(
            MessageKey(key.execution, parent.frame, claimed.parent_token),
            claimed.parent_metadata,
            delivery=f"child-{parent.index}",
        )
        encoded = self._encoded(message)
        script = commands.FanIn(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            join_nonce=_join_nonce(claimed),
            is_result=is_result,
            parent_frame=parent.frame,
            parent_token=claimed.parent_token,
            index=parent.index,
            result=self.sealer.seal(key.ref, RESULT, dump_json(outcome.output), f"{parent.frame}/{parent.index}"),
            events=encode_events(decision.history, values, self.sealer, key.ref),
            values=values,
            message=message_text(encoded),
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        queue = self._queue(key.ref, encoded.queue if encoded else None)
        keys = script_keys.fan_in_keys(self.keys, key.ref, key.frame, parent.frame, queue)
        reply = self._commit(script, keys)
        if isinstance(reply, commands.Stale | commands.Late):
            return _refusal(reply)
        return Committed(decision, unpublished(message, reply.unpublished))

    def _end_by_transition(
        self, claimed: Claimed, decision: Decision, outcome: Outcome, nonce: str | None, *, is_result: bool
    ) -> Committed | Refusal:
        key, join_nonce = claimed.key, _join_nonce(claimed)
        entry = EndingEntry(key.frame, key.token, nonce, join_nonce, is_result, _carried_text(claimed))
        reply = self._end(claimed.key.execution, outcome, decision.history, entry=entry)
        if isinstance(reply, commands.EndDone):
            return Committed(decision, has_parents=reply.has_parents)
        return _refusal(reply)

    def _end(
        self,
        key: ExecutionKey,
        outcome: Outcome,
        history: Sequence[HistoryEvent],
        *,
        entry: EndingEntry = FROM_OUTSIDE,
        expected_parents: Sequence[ParentLink] | None = None,
        by: str | None = None,
        is_clear: bool = False,
    ) -> commands.EndReply:
        values: dict[str, str] = {}
        sealer = CLEAR if is_clear else self.sealer
        script = commands.End(
            execution=key,
            frame=entry.frame,
            token=entry.token,
            nonce=entry.nonce,
            join_nonce=entry.join_nonce,
            carried=entry.carried,
            is_result=entry.is_result,
            end_id=new_token(),
            status=outcome.status.value,
            fields=_end_fields(outcome, sealer, key.ref),
            expected_parents=None if expected_parents is None else tuple(link.token for link in expected_parents),
            retention=self.timing.retention,
            events=encode_events(history, values, sealer, key.ref),
            values=values,
            by=by,
            error=outcome.error,
        )
        return self._commit(script, script_keys.end_keys(self.keys, key.ref, entry.frame, outcome.status))

    def _encode_next(
        self, info: ExecutionInfo, decision: Decision, token: str, *, digest: str | None, publishes: bool = True
    ) -> EncodedEntry:
        encode = self._encode if publishes else encode_nothing
        return encode_next(info, decision, token, encode, self.sealer, digest=digest)

    def _encode_first(self, claimed: Claimed, child: Decision) -> EncodedEntry:
        return self._encode_next(claimed.info, child, new_token(), digest=claimed.digest)

    def _child(
        self, ref: ExecutionRef, child: Decision, encoded: EncodedEntry, values: dict[str, str]
    ) -> commands.Child:
        events = encode_events(child.history, values, self.sealer, ref)
        return commands.Child(state_of(child).frame, events, encoded.entry)


def _end_fields(outcome: Outcome, sealer: Sealer, ref: ExecutionRef) -> dict[str, str]:
    if outcome.output is not None:
        return {"output": sealer.seal(ref, OUTPUT, dump_json(outcome.output))}
    return {"error": dump_json(outcome.error), "cause": sealer.seal(ref, CAUSE, dump_json(outcome.cause))}


def _refusal(reply: object) -> Refusal:
    if isinstance(reply, commands.Unclaimed):
        return UNCLAIMED
    return LATE if isinstance(reply, commands.Late) else STALE


def unpublished(message: Message | None, is_left: bool) -> tuple[Message, ...]:
    """Return the message if the caller has to publish it."""
    return (message,) if message is not None and is_left else ()


def _left_messages(reply: commands.FanOutDone, own: Message, children: Sequence[Message | None]) -> tuple[Message, ...]:
    """Return the messages that the caller has to publish, in the order in which the script publishes."""
    flags = (reply.unpublished, *reply.unpublished_children)
    return tuple(message for message, left in zip((own, *children), flags, strict=True) if message and left)


def _join_nonce(claimed: Claimed) -> str | None:
    """Return the nonce of a claim that counted the children of a map step; None for any other claim."""
    return claimed.nonce if claimed.join is not None else None


def _carried_text(claimed: Claimed) -> commands.CarriedText | None:
    carried = claimed.carried
    if carried is None:
        return None
    return commands.CarriedText(carried.state, carried.digest, repr(carried.started_at))


def _continued(claimed: Claimed, decision: Decision, token: str, nonce: str, reply: commands.AdvanceDone) -> Claimed:
    """Return the claim of the entry that the caller continues with."""
    return Claimed(
        key=replace(claimed.key, token=token),
        nonce=nonce,
        kind=kind_of(decision),
        state=state_of(decision),
        info=replace(claimed.info, events=reply.events, secret=reply.secret),
        digest=claimed.digest,
        at=reply.at,
        starts=reply.starts,
        deadline=reply.deadline,
        parent_token=claimed.parent_token,
        parent_metadata=claimed.parent_metadata,
    )
