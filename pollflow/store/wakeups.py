"""The wake-up index: due entries, lost messages, leases and maintenance jobs.

These methods move a wake-up or publish a message again. None of them makes a transition.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from pollflow.errors import StoreUnavailable
from pollflow.store import commands
from pollflow.store.core import Core
from pollflow.store.encode import layout_of, message_text
from pollflow.store.keys import SHARDS, ExecutionKey, WakeUp
from pollflow.store.messages import Message, MessageKey
from pollflow.store.records import OutboxEntry
from pollflow.store.scripts import translated

_KEEP_CANCELLATION_SECONDS = 86_400
"""A worker that was paused before it starts a sub-flow resumes within this time."""
_RENEWED_AT_ONCE = 500
"""The leases renewed in one round trip."""

Redelivery: TypeAlias = tuple[commands.Redeliver, dict[str, str]]
"""A prepared script and its keys."""


class WakeUps(Core):
    """The methods of the sweep, and of a worker that runs calls."""

    def acquire_sweep(self, seconds: float) -> bool:
        """Return whether this process may sweep: no process has acquired the sweep in the last `seconds`."""
        with translated():
            return bool(self.client.set(self.keys.sweeper(), "1", nx=True, px=max(1, int(seconds * 1000))))

    def due_shards(self) -> list[int]:
        """Return the shards with wake-ups that are due; one round trip."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.zrange(self.keys.wake(shard), 0, 0, withscores=True)
            pipe.time()
            *firsts, time = pipe.execute()
        now = self.scripts.clock.time_of(time)
        return [shard for shard, first in enumerate(firsts) if first and first[0][1] <= now]

    def due(self, shard: int, limit: int) -> commands.DueDone:
        """Return wake-ups that need attention now; no other sweep gets them before one redelivery timeout."""
        script = commands.Due(limit=limit, redelivery_timeout=self.timing.redelivery_timeout)
        return self._run(script, {"wake": self.keys.wake(shard)})

    def redeliver(
        self,
        message: Message,
        sent: int,
        oldest_in_queue: float | None,
        *,
        is_returned: bool = False,
        reason: str = "",
    ) -> commands.RedeliverReply:
        """Publish a message again unless it is still queued.

        `oldest_in_queue` is when the oldest message of its queue was published. `is_returned`: a worker returns
        the message; otherwise the message counts as lost, and the time until the next redelivery doubles.
        `reason` says for users why it returns the message.
        """
        return self._run(*self.redelivery(message, sent, oldest_in_queue, is_returned=is_returned, reason=reason))

    def redeliver_all(self, prepared: Sequence[Redelivery]) -> list[commands.RedeliverReply | StoreUnavailable]:
        """Run what `redelivery` has prepared, in one round trip. Return the reply or the error of each."""
        return self.scripts.run_each(prepared)[0] if prepared else []

    def redelivery(
        self, message: Message, sent: int, oldest_in_queue: float | None, *, is_returned: bool = False, reason: str = ""
    ) -> Redelivery:
        """Prepare what `redeliver` does; this sends nothing. Its arguments are those of `redeliver`."""
        key, encoded = message.key, self._encoded(message)
        script = commands.Redeliver(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            sent=sent,
            oldest_in_queue=oldest_in_queue,
            is_returned=is_returned,
            reason=reason,
            message=message_text(encoded),
            countdown_limits=self.timing.countdown_limits,
            redelivery_timeout=self.timing.redelivery_timeout,
            max_redelivery_timeout=self.timing.max_redelivery_timeout,
        )
        keys = self._publishing_keys(key, encoded.queue if encoded else None)
        return script, {**keys, "countdowns": self.keys.countdowns(key.ref.shard)}

    def release(
        self, message: Message, nonce: str, *, is_counted: bool, reason: str = ""
    ) -> commands.Sent | commands.Stale:
        """End the lease of the call with that nonce, and publish its message again, with its countdown.

        `is_counted`: the call counts as a crash. `reason` says for users why its worker did not end it.
        """
        key, encoded = message.key, self._encoded(message)
        script = commands.Release(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            is_counted=is_counted,
            pause_seconds=message.countdown,
            reason=reason,
            message=message_text(encoded),
            redelivery_timeout=self.timing.redelivery_timeout,
        )
        return self._run(script, self._publishing_keys(key, encoded.queue if encoded else None))

    def renew(self, keys: Sequence[MessageKey], worker: str) -> list[bool]:
        """Renew the leases of calls that `worker` runs. Return for each whether it can still commit."""
        renewed: list[bool] = []
        for start in range(0, len(keys), _RENEWED_AT_ONCE):
            pairs = [
                (
                    commands.Renew(
                        execution=key.execution,
                        frame=key.frame,
                        token=key.token,
                        worker=worker,
                        lease_seconds=self.timing.lease,
                    ),
                    self._frame_keys(key),
                )
                for key in keys[start : start + _RENEWED_AT_ONCE]
            ]
            renewed += [isinstance(reply, commands.Renewed) for reply in self.scripts.run_many(pairs)]
        return renewed

    def count_error(self, key: MessageKey, nonce: str | None) -> int | None:
        """Count an error of the engine in an entry. Return the number so far; None if the entry is over.

        `nonce`: that of the worker which claimed the entry; None for a sweep or a report.
        """
        script = commands.CountError(
            execution=key.execution,
            frame=key.frame,
            token=key.token,
            nonce=nonce,
            layout=layout_of(self.sealer),
            redelivery_timeout=self.timing.redelivery_timeout,
            max_redelivery_timeout=self.timing.max_redelivery_timeout,
        )
        reply = self._run(script, self._frame_keys(key))
        return reply.count if isinstance(reply, commands.Counted) else None

    def count_job_error(self, key: ExecutionKey, job: str) -> None:
        """Count an error of a maintenance job, which is due again after a growing pause."""
        script = commands.CountJobError(
            execution=key,
            job=job,
            redelivery_timeout=self.timing.redelivery_timeout,
            max_redelivery_timeout=self.timing.max_redelivery_timeout,
        )
        self._run(script, {"execution": self.keys.execution(key.ref), "wake": self.keys.wake(key.ref.shard)})

    def parents_notified(self, key: ExecutionKey, tokens: Sequence[str], *, has_more: bool) -> int:
        """Mark steps as notified, by their task tokens. Return how many others wait.

        `has_more`: other steps have not been tried yet, so that the job is due at once.
        """
        keys = {
            "execution": self.keys.execution(key.ref),
            "parents": self.keys.parents(key.ref),
            "wake": self.keys.wake(key.ref.shard),
        }
        script = commands.ParentsNotified(execution=key, tokens=tuple(tokens), has_more=has_more)
        reply = self._run(script, keys)
        return reply.left if isinstance(reply, commands.ParentsNotifiedDone) else 0

    def postpone(self, waiting: Sequence[tuple[MessageKey, float]]) -> None:
        """Postpone the redelivery of messages by so many seconds from now; one round trip."""
        self.scripts.run_many(
            [
                (
                    commands.Postpone(execution=key.execution, frame=key.frame, token=key.token, seconds=seconds),
                    self._frame_keys(key),
                )
                for key, seconds in waiting
            ]
        )

    def next_wake_ups(self, shards: Collection[int] = range(SHARDS)) -> dict[int, float]:
        """Return when the next entry of each shard needs attention (epoch seconds), without the empty shards."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in shards:
                pipe.zrange(self.keys.wake(shard), 0, 0, withscores=True)
            return {shard: found[0][1] for shard, found in zip(shards, pipe.execute(), strict=True) if found}

    def job_done(self, key: ExecutionKey, job: str) -> None:
        """Remove a maintenance job that is done."""
        keys = {"execution": self.keys.execution(key.ref), "wake": self.keys.wake(key.ref.shard)}
        self._run(commands.JobDone(execution=key, job=job), keys)

    def outbox_done(self, key: ExecutionKey, entry: OutboxEntry) -> None:
        """Remove an outbox entry that is done."""
        keys = {
            "execution": self.keys.execution(key.ref),
            "wake": self.keys.wake(key.ref.shard),
            "outbox": self.keys.outbox(key.ref),
        }
        self._run(commands.OutboxDone(execution=key, token=entry.token), keys)

    def cancel_child(self, entry: OutboxEntry) -> None:
        """Note in the sub-execution's shard that the step no longer wants it. The step can then no longer start it."""
        keys = {
            "execution": self.keys.execution(entry.ref),
            "cancellations": self.keys.cancellations(entry.ref),
            "wake": self.keys.wake(entry.ref.shard),
        }
        self._run(commands.CancelChild(token=entry.token, keep_seconds=_KEEP_CANCELLATION_SECONDS), keys)

    def undo_cancel(self, entry: OutboxEntry) -> None:
        """Remove the note of `cancel_child`."""
        self._run(commands.UndoCancel(token=entry.token), {"cancellations": self.keys.cancellations(entry.ref)})

    def forget(self, wake_up: WakeUp) -> None:
        """Remove a wake-up whose frame or execution no longer exists."""
        ref = wake_up.execution.ref
        execution = self.keys.execution(ref)
        name = wake_up.frame if wake_up.frame is not None else f"!{wake_up.job}"
        keys = {
            "execution": execution,
            "frame": execution if wake_up.frame is None else self.keys.frame(ref, wake_up.frame),
            "wake": self.keys.wake(ref.shard),
        }
        self._run(commands.Forget(execution=wake_up.execution, name=name), keys)

    def _frame_keys(self, key: MessageKey) -> dict[str, str]:
        ref = key.ref
        return {
            "execution": self.keys.execution(ref),
            "frame": self.keys.frame(ref, key.frame),
            "wake": self.keys.wake(ref.shard),
        }

    def _publishing_keys(self, key: MessageKey, queue: str | None) -> dict[str, str]:
        return {**self._frame_keys(key), "queue": self._queue(key.ref, queue)}
