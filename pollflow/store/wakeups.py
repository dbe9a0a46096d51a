"""The wake-up index: what is due, whose message is lost, who holds what.

These verbs move an entry's wake-up ahead or publish its message again. None of them makes a transition.
"""

from __future__ import annotations

from collections.abc import Collection

from pollflow.store import keys as names
from pollflow.store.core import Core
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import Message, MessageKey, OutboxEntry
from pollflow.store.scripts import Argument, translated

_GIVEN_UP_SECONDS = 86_400


class WakeUps(Core):
    """The verbs of the sweep, and of a worker that holds messages."""

    def due(self, shard: int, limit: int) -> tuple[float, list[str]]:
        """Redis' moment, and members of the wake-up index that need attention now, left alone for one grace."""
        reply = self._run("due", [self.keys.wake(shard)], [limit, self.timing.redelivery_timeout])
        return float(reply[0]), reply[1:]

    def redeliver(
        self, message: Message, sent: int, oldest: float | None, *, is_returned: bool = False
    ) -> tuple[str, bool]:
        """Publishes a letter again unless it is still queued (`oldest`: the moment of the oldest message in its queue).

        `is_returned`: whoever holds the message will not begin it. Else it was lost, and the next loss is looked for
        after twice as long.

        Answers `stale`, `queued`, `later`, `continued` or `sent`, and whether the caller has to publish it.
        """
        timing = self.timing
        return self._publish_again(
            "redeliver",
            message,
            sent,
            "" if oldest is None else repr(oldest),
            timing.redelivery_timeout,
            timing.max_redelivery_timeout,
            timing.max_countdown,
            int(is_returned),
        )

    def renew(self, key: MessageKey, worker: str, *, has_begun: bool = False) -> bool:
        """Says that `worker` still holds the message, or has begun its task. False if there is nothing to hold."""
        ref = key.ref
        reply = self._run(
            "renew",
            (self.keys.execution(ref), self.keys.frame(ref, key.frame), self.keys.wake(ref.shard)),
            [names.member(ref, key.frame), key.token, worker, self.timing.lease, int(has_begun)],
        )
        return bool(reply)

    def release(self, message: Message, nonce: str, *, not_counted: bool = False) -> tuple[str, bool]:
        """Ends the lease of the call with that nonce, which cannot commit any more, and publishes its message again.

        `not_counted`: the call is not to count as lost.
        Answers `stale` or `sent`, and whether the caller has to publish it.
        """
        return self._publish_again("release", message, nonce, self.timing.redelivery_timeout, int(not_counted))

    def next_wake_ups(self, shards: Collection[int] = range(names.SHARDS)) -> dict[int, float]:
        """Return when the next entry of each shard needs attention (epoch seconds), without the empty shards."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in shards:
                pipe.zrange(self.keys.wake(shard), 0, 0, withscores=True)
            return {shard: found[0][1] for shard, found in zip(shards, pipe.execute(), strict=True) if found}

    def done(self, ref: ExecutionRef, job: str, execution_id: str) -> None:
        """A duty of the execution of that id is done; '' stands for one that is not there."""
        keys = (self.keys.execution(ref), self.keys.wake(ref.shard))
        self._run("job_done", keys, [names.job(ref, job), execution_id])

    def cancel_child(self, outbox_entry: OutboxEntry) -> None:
        """Notes in the sub-execution's shard that the step has given it up; from now on it cannot start it."""
        ref = outbox_entry.ref
        keys = (self.keys.execution(ref), self.keys.cancellations(ref), self.keys.wake(ref.shard))
        self._run("cancel_child", keys, [outbox_entry.token, _GIVEN_UP_SECONDS])

    def undo_cancel(self, outbox_entry: OutboxEntry) -> None:
        """Strikes that note out."""
        with translated():
            self.client.srem(self.keys.cancellations(outbox_entry.ref), outbox_entry.token)

    def outbox_done(self, ref: ExecutionRef, outbox_entry: str, execution_id: str) -> None:
        """An errand of the execution of that id is done."""
        keys = (self.keys.execution(ref), self.keys.wake(ref.shard))
        self._run("outbox_done", keys, [names.job(ref, "errand"), execution_id, outbox_entry])

    def forget(self, ref: ExecutionRef, frame: str) -> None:
        """Drops the wake-up of a frame that is no more."""
        self._run("forget", (self.keys.frame(ref, frame), self.keys.wake(ref.shard)), [names.member(ref, frame)])

    def _publish_again(self, script: str, message: Message, *args: Argument) -> tuple[str, bool]:
        """What the script answers, and whether the caller has to publish the letter."""
        key, encoded = message.key, self._encode(message)
        ref = key.ref
        keys = (
            self.keys.execution(ref),
            self.keys.frame(ref, key.frame),
            self.keys.wake(ref.shard),
            self._queue(ref, encoded),
        )
        member = names.member(ref, key.frame)
        reply = self._run(script, keys, [member, key.token, *args, encoded.head, encoded.tail])
        return reply[0], reply[0] == "sent" and bool(reply[1])
