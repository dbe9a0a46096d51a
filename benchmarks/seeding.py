"""Executions and histories in bulk: copies of an execution that a worker has brought to its state, made in Redis."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from redis import Redis

from benchmarks.frame import Site
from pollflow import Client, Execution
from pollflow.machine import Status
from pollflow.store import Keys
from pollflow.store.compaction import BLOCK, compact
from pollflow.store.keys import ExecutionKey, ExecutionRef
from tests.processes import wait_until

KEYS = Keys()
_BATCH = 1000

# The script makes the names of the keys of a copy from those of the original, which is faster than to send them.
# KEYS: execution, frame, frames, history, wake-up index of the original, then the indexes of all executions.
# ARGV: the original's ref, flow and id, the shard of the copies, the start of the first copy, and the
# numbers of the copies.
_COPY = """
local ref, flow, id, shard, start = ARGV[1], ARGV[2], ARGV[3], '{' .. ARGV[4] .. '}', tonumber(ARGV[5])
local names = {}
for number = 1, #KEYS do
  names[number] = KEYS[number]:gsub('{%d+}', shard, 1)
end
local due = redis.call('ZSCORE', KEYS[5], ref .. '|' .. id .. '.1|r')
for copy = 6, #ARGV do
  local name = 'n' .. ARGV[copy]
  local own = flow .. '/' .. name
  local own_id = ('%032d'):format(ARGV[copy])
  for kind = 1, 4 do
    local first = names[kind]:find(ref, 1, true)
    redis.call('COPY', KEYS[kind], names[kind]:sub(1, first - 1) .. own .. names[kind]:sub(first + #ref))
  end
  redis.call('HSET', names[1]:sub(1, names[1]:find(ref, 1, true) - 1) .. own, 'name', name, 'id', own_id)
  for index = 6, #KEYS do
    redis.call('ZADD', names[index], start - 0.001 * ARGV[copy], own)
  end
  redis.call('ZADD', names[5], due, own .. '|' .. own_id .. '.1|r')
end
"""


def waiting_execution(at: Site, client: Client, flow: str, seconds: int) -> Execution:
    """Return an execution of a new flow that a worker has brought into a wait. The worker is stopped then.

    `flow` has a place for the duration of the wait.
    """
    client.deploy_text(flow.replace("duration: 1}", f"duration: {seconds}}}"), "seeded")
    worker = at.start_worker("benchmarks.pollflow_app", "-P", "solo", env={"BENCH_ACKS": "0"})
    execution = client.start("seeded", {"polls": 1}, name="original")

    def waits() -> bool:
        return any(step.type == "wait" for step in execution.refresh().description.open_steps)

    wait_until(waits, "the wait")
    worker.terminate()
    worker.wait()
    return execution


def copy_execution(redis: Redis, original: ExecutionKey, number: int) -> None:
    """Make a number of copies of an execution with one frame, a millisecond apart, the newest first."""
    # Their append-only file would only fill the disk.
    redis.config_set("appendonly", "no")
    script, ref = redis.register_script(_COPY), original.ref
    indexes = [*KEYS.indexes(ref, Status.RUNNING), *KEYS.lasting_indexes(ref)]
    own = [KEYS.execution(ref), KEYS.frame(ref), KEYS.frames(ref), KEYS.history(ref)]
    start = str(redis.hget(KEYS.execution(ref), "started_at"))
    for shard, numbers in _batches(ref.flow, number):
        script([*own, KEYS.wake(ref.shard), *indexes], [str(ref), ref.flow, original.id, shard, start, *numbers])


def _batches(flow: str, number: int) -> Iterator[tuple[int, list[int]]]:
    """Yield the numbers of copies, in batches of one shard. Copy 7 has the name `n7`."""
    by_shard = defaultdict(list)
    for copy in range(number):
        by_shard[ExecutionRef(flow, f"n{copy}").shard].append(copy)
    for shard, numbers in by_shard.items():
        for first in range(0, len(numbers), _BATCH):
            yield shard, numbers[first : first + _BATCH]


def lengthen_history(redis: Redis, ref: ExecutionRef, events: int) -> None:
    """Give an execution a history of at least so many events: its own ones repeated, compacted as if in production."""
    execution, history, blocks = KEYS.execution(ref), KEYS.history(ref), KEYS.blocks(ref)
    own: Any = redis.lrange(history, 0, -1)
    texts = itertools.cycle(own)
    compacted = max(0, events - 2 * BLOCK) // BLOCK
    with redis.pipeline(transaction=False) as pipe:
        for _ in range(compacted):
            pipe.rpush(blocks, compact(list(itertools.islice(texts, BLOCK))))
        left = events - compacted * BLOCK
        pipe.delete(history)
        pipe.rpush(history, *itertools.islice(texts, left))
        pipe.hset(execution, mapping={"events": events, "compacted": compacted * BLOCK})
        pipe.hset(KEYS.frame(ref), "last", events)
        pipe.execute()
