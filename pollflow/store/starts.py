"""The start of executions: each by one script, so it happens completely or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.amounts import over_limit
from pollflow.errors import InvalidArgument, StoreUnavailable, TaskAlreadyCompleted
from pollflow.fdl.model import JsonObject
from pollflow.machine import ROOT, Decision, ExecutionInfo, Status
from pollflow.store import commands, script_keys
from pollflow.store.codec import INPUT
from pollflow.store.commits import Commits, new_token, unpublished
from pollflow.store.encode import encode_events
from pollflow.store.keys import ExecutionKey, ExecutionRef
from pollflow.store.messages import Message
from pollflow.store.records import ExecutionRecord, FrameRecord, ParentLink, Snapshot, Started
from pollflow.store.script_keys import NamedKeys
from pollflow.store.state import dump_json

MAX_PARENTS = 1000
"""The most steps that wait for the end of one execution: each end notifies all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution to start, and its first decision.

    `time_limit` is in seconds. `parent` is the task token of the step that starts it. `parent_link` is the step that
    waits for its end; it also waits for an execution that already runs under the ref.
    """

    info: ExecutionInfo
    decision: Decision
    digest: str
    input: JsonObject
    time_limit: float
    parent: str = ""
    parent_link: ParentLink | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The script that starts an execution, and what it makes."""

    new: NewExecution
    encoded_input: str
    entry: commands.NextEntry
    message: Message
    script: commands.Start
    keys: NamedKeys


class Starts(Commits):
    """The methods that start executions."""

    def start(self, new: NewExecution, *, durable: bool = False) -> Started:
        """Start an execution, unless its ref is in use.

        `durable`: wait for the append-only file, even if the execution already exists. Raises NotDurable, and
        TaskAlreadyCompleted if the step has cancelled it before.
        """
        prepared = self._prepared(new)
        return self._started(prepared, self._commit(prepared.script, prepared.keys, durable=durable))

    def start_if_current(self, new: NewExecution, *, durable: bool = False) -> Started | None:
        """Start as `start` does, at the time of the commit; or return None if the flow has been deployed again."""
        prepared = self._prepared(new, is_compared=True)
        reply = self._commit(prepared.script, prepared.keys, durable=durable)
        return None if isinstance(reply, commands.Redeployed) else self._started(prepared, reply)

    def start_many(
        self, executions: Sequence[NewExecution], *, durable: bool = False
    ) -> list[Started | StoreUnavailable]:
        """Start executions in one round trip, each by itself. Return what each started, or why Redis refused it.

        Raises NotDurable, or the error of Redis, if nothing is known to be durable.
        """
        prepared = [self._prepared(new) for new in executions]
        replies = self._commit_many([(one.script, one.keys) for one in prepared], durable=durable)
        return [
            reply if isinstance(reply, StoreUnavailable) else self._started(one, reply)
            for one, reply in zip(prepared, replies, strict=True)
        ]

    def _prepared(self, new: NewExecution, *, is_compared: bool = False) -> _Prepared:
        key, values = ExecutionKey.of(new.info), dict[str, str]()
        ref, link = key.ref, new.parent_link
        # The time of the start, which a carried state names too, is known to the script only.
        encoded = self._encode_next(new.info, new.decision, new_token(), digest=None if is_compared else new.digest)
        if encoded.message is None or encoded.message.countdown or encoded.message.at is not None:
            raise TypeError(f"the first step of {ref} is not due at once")
        encoded_input = self.sealer.seal(ref, INPUT, dump_json(new.input))
        script = commands.Start(
            execution=key,
            expected_digest=new.digest if is_compared else None,
            fields=_fields(new, encoded_input),
            started_at=None if is_compared else repr(new.info.started_at),
            time_limit=new.time_limit,
            parent_link=commands.Parent(link.token, link.notify_on_success) if link else None,
            max_parents=MAX_PARENTS,
            events=encode_events(new.decision.history, values, self.sealer, ref),
            values=values,
            next=encoded.entry,
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        keys = script_keys.start_keys(self.keys, ref, self._queue(ref, encoded.queue), compares_flow=is_compared)
        return _Prepared(new, encoded_input, encoded.entry, encoded.message, script, keys)

    def _started(self, prepared: _Prepared, reply: commands.StartReply) -> Started:
        key = ExecutionKey.of(prepared.new.info)
        match reply:
            case commands.Redeployed():
                raise TypeError("only start_if_current compares the digest")
            case commands.Cancelled():
                raise TaskAlreadyCompleted
            case commands.Crowded():
                raise _too_many_parents(key.ref)
            case commands.Exists(id, incarnation, status):
                existing = ExecutionKey(key.ref, id, incarnation)
                # The same start, repeated because its reply was lost, finds its own execution.
                return Started(existing, None if existing == key else Status(status))
            case commands.StartDone(is_left, at):
                messages = unpublished(prepared.message, is_left)
                return Started(key, None, messages, at, self._snapshot(prepared, at))
            case _:
                assert_never(reply)

    def _snapshot(self, prepared: _Prepared, at: float) -> Snapshot:
        """Return what a read returns of an execution that has started at this time, until a worker claims its step."""
        new, entry, key = prepared.new, prepared.entry, ExecutionKey.of(prepared.new.info)
        execution = ExecutionRecord(
            key=key,
            digest=new.digest,
            status=Status.RUNNING,
            started_at=at if prepared.script.started_at is None else new.info.started_at,
            encoded_input=prepared.encoded_input,
            events=len(new.decision.history),
            secret=new.info.secret,
            parent=new.parent,
            sealer=self.sealer,
        )
        frame = FrameRecord(
            frame=ROOT,
            token=entry.token,
            kind=entry.kind,
            metadata=prepared.message.metadata,
            layout=entry.layout,
            encoded_state=entry.state,
            due=0,
            claim="",
            lease=0,
            starts=0,
            sent=1,
            sent_at=at,
            since=at,
            deadline=None,
            join=None,
            sealer=self.sealer,
            ref=key.ref,
        )
        return Snapshot(execution, (frame,))


def _fields(new: NewExecution, encoded_input: str) -> tuple[str, ...]:
    """Return the names and values of the fields of the execution's hash, in turn."""
    info = new.info
    return (
        *("flow", info.flow_name, "name", info.execution_name, "digest", new.digest, "secret", info.secret),
        *("time_limit", repr(new.time_limit), "input", encoded_input, "parent", new.parent),
    )


def _too_many_parents(ref: ExecutionRef) -> InvalidArgument:
    return InvalidArgument(over_limit(f'{MAX_PARENTS + 1:,} steps would wait for execution "{ref}"', MAX_PARENTS))
