"""The transitions of executions: claim, commit, end. Each is one script, so it happens completely or not at all.

A Decision becomes the arguments of a script; this module does not know what a step means. A script that runs again with
the same arguments, because its reply was lost, changes nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import assert_never

from pollflow.errors import MissingKey, UnreadableRecord
from pollflow.machine import ROOT, AwaitChildren, Decision, ExecutionInfo, HistoryEvent, Outcome, Status
from pollflow.store import commands, script_keys
from pollflow.store.codec import STATE, Sealer
from pollflow.store.commands import Conflict
from pollflow.store.commits import EndingEntry
from pollflow.store.encode import layout_of
from pollflow.store.keys import ExecutionKey
from pollflow.store.messages import Carried, MessageKey
from pollflow.store.records import LEASED, STALE, Claimed, Committed, Early, OutboxEntry, ParentLink, Refusal
from pollflow.store.retrying import with_retry
from pollflow.store.scripts import translated
from pollflow.store.starts import Starts
from pollflow.store.state import ENCODED, LAYOUT, load_join, load_metadata, load_state


class Transitions(Starts):
    """The methods that change the state of an execution."""

    def claim(self, key: MessageKey, nonce: str) -> Claimed | Early | Refusal:
        """Return the claimed entry of a message, or why it may not act; a call is leased to `nonce`.

        Raises UnreadableRecord for a state of a later release, and MissingKey for one that this process cannot decode.
        Such an entry is left as it was.
        """
        self._check_key(key)
        script = commands.Claim(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            lease_seconds=self.timing.lease,
            layout=layout_of(self.sealer),
        )
        keys = script_keys.claim_keys(self.keys, key.ref, key.frame)
        reply = self._run_with_retry(script, keys, self._retry_policy.claim_seconds)
        match reply:
            case commands.ClaimDone():
                return _claimed(key, nonce, reply, self.sealer)
            case commands.TooEarly(seconds):
                return Early(seconds)
            case commands.Unreadable(layout):
                if layout == LAYOUT + ENCODED:
                    raise MissingKey("the state is encoded, and this process has no codec (pollflow_codec)")
                raise UnreadableRecord(f"state of layout {layout}; this release reads {LAYOUT}")
            case commands.Leased():
                return LEASED
            case commands.Stale():
                return STALE
            case _:
                assert_never(reply)

    def carried(self, key: MessageKey, nonce: str, carried: Carried) -> Claimed | None:
        """Return the entry of a message as the message carries it, without a claim; None if it cannot be read.

        A commit compares it with the stored one.
        """
        try:
            state = load_state(key.frame, carried.layout, self.sealer.open(key.ref, STATE, carried.state, key.frame))
        except Exception:  # a later release, a missing key, or a forged text: a claim says which
            return None
        execution, ref = key.execution, key.ref
        info = ExecutionInfo(
            ref.flow, ref.name, execution.id, carried.started_at, "", carried.events, execution.incarnation
        )
        return Claimed(key, nonce, "step", state, info, carried.digest, at=None, carried=carried)

    def _check_key(self, key: MessageKey) -> None:
        """Raise MissingKey before a claim counts a call that this process cannot make."""
        if self.sealer.codec is None:
            return  # the script compares the layouts
        frame_key = self.keys.frame(key.ref, key.frame)

        def read() -> list[str | None]:
            with translated():
                return list(self.client.hmget(frame_key, "token", "state"))

        token, state = with_retry(read, self._retry_policy.claim_seconds, sleep=self._retry_policy.sleep)
        if token == key.token and state is not None:
            self.sealer.open(key.ref, STATE, state, key.frame)

    def commit(
        self,
        claimed: Claimed,
        decision: Decision,
        *,
        from_outside: bool = False,
        continue_inline: str = "",
        expect_events: bool = False,
        outbox_entry: OutboxEntry | None = None,
        is_result: bool = False,
    ) -> Committed | Conflict | Refusal:
        """Commit a decision for a claimed frame.

        `from_outside`: the event did not come from the call, so its lease does not matter. `continue_inline`: the nonce
        under which the caller continues with the next entry at once, without a message. `expect_events`: return
        Conflict if the number of events has changed. `outbox_entry`: a sub-execution to stop, if the execution
        continues. `is_result`: return LATE if the deadline of the attempt has passed.
        """
        nonce = None if from_outside else (claimed.nonce if claimed.kind == "call" else "")
        if decision.outcome is not None:
            ends_execution = claimed.key.frame == ROOT or decision.outcome.status is Status.FAILED
            if ends_execution:
                return self._end_by_transition(claimed, decision, decision.outcome, nonce, is_result=is_result)
            return self._fan_in(claimed, decision, decision.outcome, nonce, is_result=is_result)
        if isinstance(decision.wake, AwaitChildren):
            return self._fan_out(claimed, decision, decision.wake, expect_events=expect_events)
        return self._advance(
            claimed,
            decision,
            nonce,
            inline_nonce=continue_inline,
            expect_events=expect_events,
            outbox_entry=outbox_entry,
            is_result=is_result,
        )

    def end(
        self,
        key: ExecutionKey,
        history: Sequence[HistoryEvent],
        outcome: Outcome,
        *,
        parent_links: Sequence[ParentLink] | None = None,
        by: str | None = None,
        is_clear: bool = False,
    ) -> Status | None:
        """End a running execution from outside, with the status of the outcome.

        Return the status that it had before: Running if this call ended it, None if it no longer exists.
        `parent_links`: end it only while exactly these steps wait for it; otherwise return None as well.
        `by`: who stops it, for the audit log. `is_clear`: do not use the codec.
        """
        reply = self._end(key, outcome, history, expected_parents=parent_links, by=by, is_clear=is_clear)
        match reply:
            case commands.EndDone():
                return Status.RUNNING
            case commands.Ended(status) if status != Status.RUNNING.value:
                return Status(status)
            case _:
                return None

    def fail(
        self, key: MessageKey, history: Sequence[HistoryEvent], outcome: Outcome, *, is_clear: bool = False
    ) -> bool:
        """End an execution because of an entry that cannot continue. Return False if the entry is over.

        `is_clear`: do not use the codec.
        """
        entry = EndingEntry(key.frame, key.token)
        reply = self._end(key.execution, outcome, history, entry=entry, is_clear=is_clear)
        return isinstance(reply, commands.EndDone)


def _claimed(key: MessageKey, nonce: str, reply: commands.ClaimDone, sealer: Sealer) -> Claimed:
    return Claimed(
        key=key,
        nonce=nonce,
        kind=reply.kind,
        state=load_state(key.frame, reply.layout, sealer.open(key.ref, STATE, reply.state, key.frame)),
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
        reason=reply.reason,
        refused_at=reply.refused_at,
        deadline=reply.deadline,
        join=load_join(reply.total, reply.made, reply.ended),
        parent_token=reply.parent_token,
        parent_metadata=load_metadata(reply.parent_metadata) if reply.parent_metadata else None,
    )
