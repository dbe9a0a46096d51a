"""The wake-up index: what is due, whose message is lost, who holds what.

These verbs move an entry's wake-up ahead or publish its message again. None of them makes a transition.
"""

from __future__ import annotations

from pollflow.store import keys as names
from pollflow.store.core import Core
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import Address, Errand, Letter
from pollflow.store.scripts import Argument, translated

_GIVEN_UP_SECONDS = 86_400


class WakeUps(Core):
    """The verbs of the sweep, and of a worker that holds messages."""

    def due(self, shard: int, most: int) -> tuple[float, list[str]]:
        """Redis' moment, and members of the wake-up index that need attention now, left alone for one grace."""
        reply = self._run("due", [self.keys.wake(shard)], [most, self.timing.grace])
        return float(reply[0]), reply[1:]

    def redeliver(
        self, letter: Letter, sent: int, oldest: float | None, *, is_returned: bool = False
    ) -> tuple[str, bool]:
        """Publishes a letter again unless it is still queued (`oldest`: the moment of the oldest message in its queue).

        `is_returned`: whoever holds the message will not begin it. Else it was lost, and the next loss is looked for
        after twice as long.

        Answers `stale`, `queued`, `later`, `held` or `sent`, and whether the caller has to publish it.
        """
        timing = self.timing
        return self._publish_again(
            "redeliver",
            letter,
            sent,
            "" if oldest is None else repr(oldest),
            timing.grace,
            timing.longest_grace,
            timing.horizon,
            int(is_returned),
        )

    def vouch(self, address: Address, worker: str, *, has_begun: bool = False) -> bool:
        """Says that `worker` still holds the message, or has begun its task. False if there is nothing to hold."""
        ref = address.ref
        reply = self._run(
            "vouch",
            (self.keys.execution(ref), self.keys.frame(ref, address.frame), self.keys.wake(ref.shard)),
            [names.member(ref, address.frame), address.token, worker, self.timing.lease, int(has_begun)],
        )
        return bool(reply)

    def hand_back(self, letter: Letter, nonce: str, *, is_excused: bool = False) -> tuple[str, bool]:
        """Ends the lease of the call with that nonce, which cannot commit any more, and publishes its message again.

        `is_excused`: the call is not to count as lost.
        Answers `stale` or `sent`, and whether the caller has to publish it.
        """
        return self._publish_again("hand_back", letter, nonce, self.timing.grace, int(is_excused))

    def next_wake_up(self) -> float | None:
        """When the next entry needs attention, epoch seconds; None where there is no live entry."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in range(names.SHARDS):
                pipe.zrange(self.keys.wake(shard), 0, 0, withscores=True)
            scores = [score for found in pipe.execute() for _, score in found]
        return min(scores, default=None)

    def done(self, ref: ExecutionRef, duty: str, execution_id: str) -> None:
        """A duty of the execution of that id is done; '' stands for one that is not there."""
        keys = (self.keys.execution(ref), self.keys.wake(ref.shard))
        self._run("done", keys, [names.duty(ref, duty), execution_id])

    def give_up(self, errand: Errand) -> None:
        """Notes in the sub-execution's shard that the step has given it up; from now on it cannot start it."""
        ref = errand.ref
        keys = (self.keys.execution(ref), self.keys.given_up(ref), self.keys.wake(ref.shard))
        self._run("give_up", keys, [errand.token, _GIVEN_UP_SECONDS])

    def take_back(self, errand: Errand) -> None:
        """Strikes that note out."""
        with translated():
            self.client.srem(self.keys.given_up(errand.ref), errand.token)

    def errand_done(self, ref: ExecutionRef, errand: str, execution_id: str) -> None:
        """An errand of the execution of that id is done."""
        keys = (self.keys.execution(ref), self.keys.wake(ref.shard))
        self._run("errand", keys, [names.duty(ref, "errand"), execution_id, errand])

    def forget(self, ref: ExecutionRef, frame: str) -> None:
        """Drops the wake-up of a frame that is no more."""
        self._run("forget", (self.keys.frame(ref, frame), self.keys.wake(ref.shard)), [names.member(ref, frame)])

    def _publish_again(self, script: str, letter: Letter, *args: Argument) -> tuple[str, bool]:
        """What the script answers, and whether the caller has to publish the letter."""
        address, envelope = letter.address, self._post(letter)
        ref = address.ref
        keys = (
            self.keys.execution(ref),
            self.keys.frame(ref, address.frame),
            self.keys.wake(ref.shard),
            self._queue(ref, envelope),
        )
        member = names.member(ref, address.frame)
        reply = self._run(script, keys, [member, address.token, *args, envelope.head, envelope.tail])
        return reply[0], reply[0] == "sent" and bool(reply[1])
