"""The transitions of executions: start, claim, commit, end. Each is one script, so it happens completely or not at all.

A Decision becomes a script's arguments without a look at what its step means. A script that runs a second time with the
same arguments, because the connection broke before its reply, changes nothing more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import assert_never

from pollflow.errors import TaskAlreadyCompleted, UnreadableRecord
from pollflow.fdl.model import JsonObject
from pollflow.machine import ROOT, AwaitChildren, Decision, ExecutionInfo, HistoryEvent, Outcome, Status
from pollflow.store import commands
from pollflow.store.commands import Conflict
from pollflow.store.core import Core
from pollflow.store.encode import EncodedEntry, encode_events, encode_next, kind_of, message_text, state_of
from pollflow.store.keys import ExecutionKey
from pollflow.store.messages import Message, MessageKey, encode_nothing
from pollflow.store.records import (
    LEASED,
    STALE,
    Claimed,
    Committed,
    Early,
    OutboxEntry,
    ParentLink,
    Refusal,
    Started,
)
from pollflow.store.state import LAYOUT, dump_json, dump_metadata, dump_state, load_join, load_metadata, load_state


def new_token() -> str:
    """Return a text that nobody guesses and no counter repeats."""
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
        time_limit: float | None,
        parent: str = "",
        parent_link: ParentLink | None = None,
        durable: bool = False,
    ) -> Started:
        """Start an execution by its first decision, unless its ref is in use. `time_limit` is in seconds.

        `parent` is the task token of the step that starts it. `parent_link` is the step that waits for its end, also
        for that of an execution which runs under the ref already. `durable`: wait for the append-only file, also where
        the execution exists already. Raises NotDurable, and TaskAlreadyCompleted if the step has cancelled it before.
        """
        key, values = ExecutionKey.of(info), dict[str, str]()
        ref = key.ref
        encoded = self._encode_next(info, decision, new_token())
        all_index, flow_index = self.keys.lasting_indexes(ref)
        status_index, status_flow_index = self.keys.indexes(ref, Status.RUNNING)
        script = commands.Start(
            execution=key,
            fields={
                "flow": ref.flow,
                "name": ref.name,
                "digest": digest,
                "secret": info.secret,
                "started_at": repr(info.started_at),
                "input": dump_json(execution_input),
                "parent": parent,
            },
            time_limit=time_limit,
            parent_link=commands.Parent(parent_link.token, parent_link.notify_on_success) if parent_link else None,
            events=encode_events(decision.history, values),
            values=values,
            next=encoded.entry,
            max_countdown=self.timing.max_countdown,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        keys = {
            **self._base(ref, ROOT),
            "frames": self.keys.frames(ref),
            "queue": self._queue(ref, encoded.queue),
            "cancellations": self.keys.cancellations(ref),
            "parents": self.keys.parents(ref),
            "index": all_index,
            "flow_index": flow_index,
            "status_index": status_index,
            "status_flow_index": status_flow_index,
        }
        reply = self._commit(script, keys, durable=durable)
        match reply:
            case commands.Cancelled():
                raise TaskAlreadyCompleted
            case commands.Exists(id, incarnation, status):
                existing = ExecutionKey(ref, id, incarnation)
                # The same start, repeated because its reply was lost, finds its own execution.
                return Started(existing, None if existing == key else Status(status))
            case commands.StartDone(unpublished):
                return Started(key, None, _unpublished(encoded.message, unpublished))
            case _:
                assert_never(reply)

    def claim(self, key: MessageKey, nonce: str) -> Claimed | Early | Refusal:
        """Return what the holder of a message may act on; a call is leased to `nonce` for the time of a lease.

        Raises UnreadableRecord for a state of a later release, which is left as it was.
        """
        script = commands.Claim(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            lease_seconds=self.timing.lease,
            layout=LAYOUT,
        )
        base = self._base(key.ref, key.frame)
        keys = {name: base[name] for name in commands.Claim.KEYS}
        reply = self._run_with_retry(script, keys, self._retry_policy.claim_seconds)
        match reply:
            case commands.ClaimDone():
                return _claimed(key, nonce, reply)
            case commands.TooEarly(seconds):
                return Early(seconds)
            case commands.Unreadable(layout):
                raise UnreadableRecord(f"state of layout {layout}; this release reads {LAYOUT}")
            case commands.Leased():
                return LEASED
            case commands.Stale():
                return STALE
            case _:
                assert_never(reply)

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
        """Commit what was decided for a claimed frame.

        `from_outside`: the event did not come from the call, so its lease does not matter. `continue_inline`: the nonce
        under which the caller goes on with the next entry at once, instead of a message. `expect_events`: return
        Conflict if history has grown meanwhile. `outbox_entry`: a sub-execution to stop, if the execution goes on.
        """
        nonce = None if from_outside else (claimed.nonce if claimed.kind == "call" else "")
        if decision.outcome is not None:
            ends_execution = claimed.key.frame == ROOT or decision.outcome.status is Status.FAILED
            if ends_execution:
                return self._end_by_transition(claimed, decision, decision.outcome, nonce)
            return self._fan_in(claimed, decision, decision.outcome, nonce)
        if isinstance(decision.wake, AwaitChildren):
            return self._fan_out(claimed, decision, decision.wake, expect_events=expect_events)
        return self._advance(
            claimed,
            decision,
            nonce,
            inline_nonce=continue_inline,
            expect_events=expect_events,
            outbox_entry=outbox_entry,
        )

    def end(
        self,
        key: ExecutionKey,
        history: Sequence[HistoryEvent],
        outcome: Outcome,
        *,
        parent_links: Sequence[ParentLink] | None = None,
    ) -> Status | None:
        """End a running execution from outside, with the status of the outcome.

        Return Running if this ended it, the status that it had before otherwise, and None if it does not exist any
        more. `parent_links`: end it only while just these steps wait for it; otherwise return None as well.
        """
        reply = self._end(key, ROOT, outcome, history, expected_parents=parent_links)
        match reply:
            case commands.EndDone():
                return Status.RUNNING
            case commands.Ended(status) if status != Status.RUNNING.value:
                return Status(status)
            case _:
                return None

    def _advance(
        self,
        claimed: Claimed,
        decision: Decision,
        nonce: str | None,
        *,
        inline_nonce: str,
        expect_events: bool,
        outbox_entry: OutboxEntry | None,
    ) -> Committed | Conflict | Refusal:
        key = claimed.key
        token, values = new_token(), dict[str, str]()
        if inline_nonce:
            # The worker renews the lease by the token that its message came with.
            token = f"{key.token}+{token}"
        encoded = self._encode_next(claimed.info, decision, token, publishes=not inline_nonce)
        script = commands.Advance(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            join_nonce=_join_nonce(claimed),
            expected_events=claimed.info.events if expect_events else None,
            inline_nonce=inline_nonce or None,
            lease_seconds=self.timing.lease,
            events=encode_events(decision.history, values),
            values=values,
            outbox_entry=commands.OutboxText(outbox_entry.token, str(outbox_entry.ref)) if outbox_entry else None,
            next=encoded.entry,
            max_countdown=self.timing.max_countdown,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        keys = {
            **self._base(key.ref, key.frame),
            "queue": self._queue(key.ref, encoded.queue),
            "results": self.keys.results(key.ref, key.frame),
            "outbox": self.keys.outbox(key.ref),
        }
        reply = self._commit(script, keys)
        if isinstance(reply, commands.Stale):
            return STALE
        if isinstance(reply, Conflict):
            return reply
        if not inline_nonce:
            return Committed(_unpublished(encoded.message, reply.unpublished))
        continued = Claimed(
            key=replace(key, token=token),
            nonce=inline_nonce,
            kind=kind_of(decision),
            state=state_of(decision),
            info=replace(claimed.info, events=reply.events),
            digest=claimed.digest,
            at=reply.at,
            starts=reply.starts,
            deadline=reply.deadline,
            parent_token=claimed.parent_token,
            parent_metadata=claimed.parent_metadata,
        )
        return Committed(continued=continued)

    def _fan_out(
        self, claimed: Claimed, decision: Decision, wake: AwaitChildren, *, expect_events: bool
    ) -> Committed | Conflict | Refusal:
        key, join, values = claimed.key, claimed.join, dict[str, str]()
        token = key.token if join else new_token()
        own = Message(replace(key, token=token), wake.metadata)
        own_encoded = self._encoded(own)
        children = [self._encode_next(claimed.info, child, new_token()) for child in decision.spawn]
        frames = [state_of(child).frame for child in decision.spawn]
        script = commands.FanOut(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            join_nonce=_join_nonce(claimed),
            expected_events=claimed.info.events if expect_events else None,
            joining_token=token,
            total=join.total if join else wake.total or 0,
            made=join.made if join else 0,
            max_concurrency=self.timing.max_concurrency,
            layout=LAYOUT,
            state=dump_state(state_of(decision)),
            metadata=dump_metadata(wake.metadata),
            events=encode_events(decision.history, values),
            children=tuple(
                commands.Child(frame, encode_events(child.history, values), encoded.entry)
                for frame, child, encoded in zip(frames, decision.spawn, children, strict=True)
            ),
            values=values,
            message=message_text(own_encoded),
            max_countdown=self.timing.max_countdown,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        child_keys: list[str] = []
        for frame, encoded in zip(frames, children, strict=True):
            child_keys += [self.keys.frame(key.ref, frame), self._queue(key.ref, encoded.queue)]
        keys = {
            **self._base(key.ref, key.frame),
            "queue": self._queue(key.ref, own_encoded.queue if own_encoded else None),
            "frames": self.keys.frames(key.ref),
            "child_keys": child_keys,
        }
        reply = self._commit(script, keys)
        if isinstance(reply, commands.Stale):
            return STALE
        if isinstance(reply, Conflict):
            return reply
        # In the order in which the script publishes.
        flags = (reply.unpublished, *reply.unpublished_children)
        messages = (own, *(encoded.message for encoded in children))
        return Committed(tuple(message for message, left in zip(messages, flags, strict=True) if message and left))

    def _fan_in(self, claimed: Claimed, decision: Decision, outcome: Outcome, nonce: str | None) -> Committed | Refusal:
        key, values = claimed.key, dict[str, str]()
        parent = claimed.state.parent
        if parent is None or claimed.parent_metadata is None:
            raise TypeError(f"frame {key.frame} of {key.ref} has no parent")
        message = Message(MessageKey(key.execution, parent.frame, claimed.parent_token), claimed.parent_metadata)
        encoded = self._encoded(message)
        script = commands.FanIn(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            join_nonce=_join_nonce(claimed),
            parent_frame=parent.frame,
            parent_token=claimed.parent_token,
            index=parent.index,
            result=dump_json(outcome.output),
            events=encode_events(decision.history, values),
            values=values,
            message=message_text(encoded),
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        keys = {
            **self._base(key.ref, key.frame),
            "queue": self._queue(key.ref, encoded.queue if encoded else None),
            "frames": self.keys.frames(key.ref),
            "parent_frame": self.keys.frame(key.ref, parent.frame),
            "parent_results": self.keys.results(key.ref, parent.frame),
            "results": self.keys.results(key.ref, key.frame),
        }
        reply = self._commit(script, keys)
        return STALE if isinstance(reply, commands.Stale) else Committed(_unpublished(message, reply.unpublished))

    def _end_by_transition(
        self, claimed: Claimed, decision: Decision, outcome: Outcome, nonce: str | None
    ) -> Committed | Refusal:
        key = claimed.key
        reply = self._end(
            key.execution, key.frame, outcome, decision.history, token=key.token, nonce=nonce, claimed=claimed
        )
        return Committed(has_parents=reply.has_parents) if isinstance(reply, commands.EndDone) else STALE

    def _end(
        self,
        key: ExecutionKey,
        frame: str,
        outcome: Outcome,
        history: Sequence[HistoryEvent],
        *,
        token: str | None = None,
        nonce: str | None = None,
        claimed: Claimed | None = None,
        expected_parents: Sequence[ParentLink] | None = None,
    ) -> commands.EndReply:
        values: dict[str, str] = {}
        fields = {"error": outcome.error, "cause": outcome.cause}
        if outcome.output is not None:
            fields = {"output": dump_json(outcome.output)}
        running_index, running_flow_index = self.keys.indexes(key.ref, Status.RUNNING)
        ended_index, ended_flow_index = self.keys.indexes(key.ref, outcome.status)
        script = commands.End(
            execution=key,
            frame=frame,
            token=token,
            nonce=nonce,
            join_nonce=_join_nonce(claimed) if claimed else None,
            end_id=new_token(),
            status=outcome.status.value,
            fields=fields,
            expected_parents=None if expected_parents is None else tuple(link.token for link in expected_parents),
            retention=self.timing.retention,
            events=encode_events(history, values),
            values=values,
        )
        keys = {
            **self._base(key.ref, frame),
            "parents": self.keys.parents(key.ref),
            "running_index": running_index,
            "running_flow_index": running_flow_index,
            "ended_index": ended_index,
            "ended_flow_index": ended_flow_index,
        }
        return self._commit(script, keys)

    def _encode_next(
        self, info: ExecutionInfo, decision: Decision, token: str, *, publishes: bool = True
    ) -> EncodedEntry:
        return encode_next(info, decision, token, self._encode if publishes else encode_nothing)


def _unpublished(message: Message | None, is_left: bool) -> tuple[Message, ...]:
    return (message,) if message is not None and is_left else ()


def _join_nonce(claimed: Claimed) -> str | None:
    """Return the nonce of a claim that has counted the children of a map step; None for any other."""
    return claimed.nonce if claimed.join is not None else None


def _claimed(key: MessageKey, nonce: str, reply: commands.ClaimDone) -> Claimed:
    return Claimed(
        key=key,
        nonce=nonce,
        kind=reply.kind,
        state=load_state(key.frame, reply.layout, reply.state),
        info=ExecutionInfo(
            reply.flow,
            reply.name,
            key.execution.id,
            reply.started_at,
            reply.secret,
            reply.events,
            key.execution.incarnation,
        ),
        digest=reply.digest,
        at=reply.at,
        starts=reply.starts,
        not_counted=reply.not_counted,
        deadline=reply.deadline,
        join=load_join(reply.total, reply.made, reply.ended),
        parent_token=reply.parent_token,
        parent_metadata=load_metadata(reply.parent_metadata) if reply.parent_metadata else None,
    )
