"""What every verb of the store needs: the connection, the names of keys, the clock, and how a script is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pollflow.store.clock import Clock
from pollflow.store.connection import Connection
from pollflow.store.durability import Durability
from pollflow.store.encode import Encode, Timing
from pollflow.store.keys import ExecutionRef, Keys
from pollflow.store.records import NOT_IN_SCRIPT, EncodedMessage, Message
from pollflow.store.retrying import NO_RETRY, RetryPolicy
from pollflow.store.scripts import Argument, Scripts


def in_no_script(message: Message) -> EncodedMessage:
    """The envelope of a letter that its script does not publish."""
    return NOT_IN_SCRIPT


class Core:
    """The store without its verbs. `encode` puts a letter into an envelope (the runtime knows how)."""

    def __init__(
        self,
        client: Connection,
        *,
        keys: Keys | None = None,
        timing: Timing | None = None,
        encode: Encode = in_no_script,
        clock: Clock | None = None,
        retry_policy: RetryPolicy = NO_RETRY,
    ) -> None:
        self.client = client
        self.keys = keys or Keys()
        self.timing = timing or Timing()
        self.scripts = Scripts(client, clock or Clock())
        self.durability = Durability(client, self.keys.mark())
        self._encode = encode
        self._retry_policy = retry_policy

    def _base(self, ref: ExecutionRef, frame: str) -> tuple[str, str, str, str]:
        keys = self.keys
        return keys.execution(ref), keys.frame(ref, frame), keys.history(ref), keys.values(ref)

    def _queue(self, ref: ExecutionRef, encoded: EncodedMessage) -> str:
        """The list to publish to; where the script does not publish, a key of the shard that it leaves alone."""
        return encoded.queue or self.keys.execution(ref)

    def _run(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        return self.scripts.run(name, keys, args)

    def _commit(self, name: str, keys: Sequence[str], args: Sequence[Argument], *, durable: bool = False) -> Any:
        retry_policy = self._retry_policy
        seconds = retry_policy.commit_seconds
        if not durable and not retry_policy.is_durable:
            return self.scripts.run_with_retry(name, keys, args, seconds)
        reply, problem = self.scripts.run_durably(name, keys, args, seconds, self.durability)
        if problem is not None:
            retry_policy.on_not_durable(problem)
        return reply
