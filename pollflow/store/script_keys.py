"""The keys of each script, by the names in its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pollflow.machine import ROOT, Status
from pollflow.store.keys import ExecutionRef, Keys

NamedKeys = Mapping[str, str | Sequence[str]]


def commit_keys(keys: Keys, ref: ExecutionRef, frame: str) -> dict[str, str]:
    """Return the keys that every commit takes."""
    return {
        "execution": keys.execution(ref),
        "frame": keys.frame(ref, frame),
        "history": keys.history(ref),
        "values": keys.values(ref),
        "wake": keys.wake(ref.shard),
    }


def start_keys(keys: Keys, ref: ExecutionRef, queue: str, *, compares_flow: bool) -> NamedKeys:
    """Return the keys of `start`, which may compare the digest of the flow's current definition."""
    return {
        "flow": [keys.flow(ref.flow)] if compares_flow else [],
        **commit_keys(keys, ref, ROOT),
        **_indexes(keys, ref, Status.RUNNING),
        "frames": keys.frames(ref),
        "queue": queue,
        "cancellations": keys.cancellations(ref),
        "parents": keys.parents(ref),
    }


def claim_keys(keys: Keys, ref: ExecutionRef, frame: str) -> NamedKeys:
    """Return the keys of `claim`."""
    found = commit_keys(keys, ref, frame)
    return {name: found[name] for name in ("execution", "frame", "history", "wake")}


def advance_keys(keys: Keys, ref: ExecutionRef, frame: str, queue: str) -> NamedKeys:
    """Return the keys of `advance`."""
    return {
        **commit_keys(keys, ref, frame),
        "queue": queue,
        "results": keys.results(ref, frame),
        "outbox": keys.outbox(ref),
        "countdowns": keys.countdowns(ref.shard),
    }


def fan_out_keys(
    keys: Keys, ref: ExecutionRef, frame: str, queue: str, children: Sequence[tuple[str, str]]
) -> NamedKeys:
    """Return the keys of `fan_out`. `children`: frame name and queue of each child."""
    child_keys = [key for name, child_queue in children for key in (keys.frame(ref, name), child_queue)]
    return {
        **commit_keys(keys, ref, frame),
        "queue": queue,
        "frames": keys.frames(ref),
        "countdowns": keys.countdowns(ref.shard),
        "child_keys": child_keys,
    }


def fan_in_keys(keys: Keys, ref: ExecutionRef, frame: str, parent: str, queue: str) -> NamedKeys:
    """Return the keys of `fan_in`."""
    return {
        **commit_keys(keys, ref, frame),
        "queue": queue,
        "frames": keys.frames(ref),
        "parent_frame": keys.frame(ref, parent),
        "parent_results": keys.results(ref, parent),
        "results": keys.results(ref, frame),
    }


def end_keys(keys: Keys, ref: ExecutionRef, frame: str, status: Status) -> NamedKeys:
    """Return the keys of `end`."""
    running_index, running_flow_index = keys.indexes(ref, Status.RUNNING)
    ended_index, ended_flow_index = keys.indexes(ref, status)
    return {
        **commit_keys(keys, ref, frame),
        "parents": keys.parents(ref),
        "running_index": running_index,
        "running_flow_index": running_flow_index,
        "ended_index": ended_index,
        "ended_flow_index": ended_flow_index,
        "audit": keys.audit(),
    }


def purge_keys(keys: Keys, ref: ExecutionRef, status: Status) -> NamedKeys:
    """Return the keys of `purge`."""
    return {
        **_indexes(keys, ref, status),
        "execution": keys.execution(ref),
        "history": keys.history(ref),
        "values": keys.values(ref),
        "blocks": keys.blocks(ref),
        "frames": keys.frames(ref),
        "cancellations": keys.cancellations(ref),
        "parents": keys.parents(ref),
        "outbox": keys.outbox(ref),
        "wake": keys.wake(ref.shard),
        "audit": keys.audit(),
    }


def history_keys(keys: Keys, ref: ExecutionRef) -> dict[str, str]:
    """Return the keys of `history` and `compact`."""
    return {"execution": keys.execution(ref), "history": keys.history(ref), "blocks": keys.blocks(ref)}


def _indexes(keys: Keys, ref: ExecutionRef, status: Status) -> dict[str, str]:
    index, flow_index = keys.lasting_indexes(ref)
    status_index, status_flow_index = keys.indexes(ref, status)
    return {
        "index": index,
        "flow_index": flow_index,
        "status_index": status_index,
        "status_flow_index": status_flow_index,
    }
