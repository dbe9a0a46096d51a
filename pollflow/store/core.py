"""The base of the store: the connection, the keys, the clock, and the running of scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pollflow.errors import StoreUnavailable
from pollflow.store.clock import Clock
from pollflow.store.codec import CLEAR, Sealer
from pollflow.store.commands import Script
from pollflow.store.connection import Connection
from pollflow.store.durability import Durability
from pollflow.store.encode import Timing
from pollflow.store.keys import ExecutionRef, Keys
from pollflow.store.messages import Encode, EncodedMessage, Message, encode_nothing
from pollflow.store.retrying import NO_RETRY, RetryPolicy, is_not_final, with_retry
from pollflow.store.script_keys import NamedKeys
from pollflow.store.scripts import Scripts

R = TypeVar("R")


class Core:
    """The base class of the store. The runtime provides `encode`, which turns a message into the form of the broker.

    `sealer` encodes the data of users.
    """

    def __init__(
        self,
        client: Connection,
        *,
        keys: Keys | None = None,
        timing: Timing | None = None,
        encode: Encode = encode_nothing,
        clock: Clock | None = None,
        retry_policy: RetryPolicy = NO_RETRY,
        sealer: Sealer = CLEAR,
    ) -> None:
        self.client = client
        self.keys = keys or Keys()
        self.timing = timing or Timing()
        self.scripts = Scripts(client, clock or Clock())
        self.durability = Durability(client, self.keys.mark())
        self._encode = encode
        self._retry_policy = retry_policy
        self.sealer = sealer

    def _queue(self, ref: ExecutionRef, queue: str | None) -> str:
        """Return the list to publish to, or a key of the shard that the script does not publish to."""
        return queue or self.keys.execution(ref)

    def _encoded(self, message: Message) -> EncodedMessage | None:
        return self._encode(message)

    def _run(self, script: Script[R], keys: NamedKeys) -> R:
        return self.scripts.run(script, keys)

    def _run_with_retry(self, script: Script[R], keys: NamedKeys, seconds: float) -> R:
        return with_retry(lambda: self.scripts.run(script, keys), seconds, sleep=self._retry_policy.sleep)

    def _commit(self, script: Script[R], keys: NamedKeys, *, durable: bool = False) -> R:
        policy = self._retry_policy
        if not durable and not policy.is_durable:
            return with_retry(lambda: self.scripts.run(script, keys), policy.commit_seconds, is_not_final, policy.sleep)
        reply, problem = with_retry(
            lambda: self.scripts.run_durably(script, keys, self.durability),
            policy.commit_seconds,
            is_not_final,
            policy.sleep,
        )
        if problem is not None:
            policy.on_not_durable(problem)
        return reply

    def _commit_many(
        self, scripts: Sequence[tuple[Script[R], NamedKeys]], *, durable: bool = False
    ) -> list[R | StoreUnavailable]:
        """Run scripts in one round trip, each by itself, without retries. Return the reply of each, or its error.

        If the append-only file has not acknowledged them, raises the first of these errors, or NotDurable.
        """
        policy = self._retry_policy
        durability = self.durability if durable or policy.is_durable else None
        replies, problem = self.scripts.run_each(scripts, durability)
        if problem is not None:
            for reply in replies:
                if isinstance(reply, StoreUnavailable):
                    raise reply
            policy.on_not_durable(problem)
        return replies
