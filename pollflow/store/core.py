"""What every verb of the store needs: the connection, the names of keys, the clock, and how a script is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pollflow.errors import NotDurable
from pollflow.store.clock import Clock
from pollflow.store.connection import Connection
from pollflow.store.durability import Durability
from pollflow.store.encode import Post, Timing
from pollflow.store.keys import ExecutionRef, Keys
from pollflow.store.patience import NO_PATIENCE, Patience
from pollflow.store.records import NOT_IN_SCRIPT, Envelope, Letter
from pollflow.store.scripts import Argument, Scripts


def _raise(problem: NotDurable) -> None:
    raise problem


@dataclass(frozen=True, slots=True)
class Insistence:
    """What a store does beyond one try. `is_durable`: every commit waits for the append-only file, and
    `on_not_durable` is told of one that was made and not acknowledged; what it does not raise is let pass.
    """

    patience: Patience = NO_PATIENCE
    is_durable: bool = False
    on_not_durable: Callable[[NotDurable], None] = _raise


def in_no_script(letter: Letter) -> Envelope:
    """The envelope of a letter that its script does not publish."""
    return NOT_IN_SCRIPT


class Core:
    """The store without its verbs. `post` puts a letter into an envelope (the runtime knows how)."""

    def __init__(
        self,
        client: Connection,
        *,
        keys: Keys | None = None,
        timing: Timing | None = None,
        post: Post = in_no_script,
        clock: Clock | None = None,
        insistence: Insistence | None = None,
    ) -> None:
        self.client = client
        self.keys = keys or Keys()
        self.timing = timing or Timing()
        self.scripts = Scripts(client, clock or Clock())
        self.durability = Durability(client, self.keys.mark())
        self._post = post
        self._insistence = insistence or Insistence()

    def _base(self, ref: ExecutionRef, frame: str) -> tuple[str, str, str, str]:
        keys = self.keys
        return keys.execution(ref), keys.frame(ref, frame), keys.history(ref), keys.values(ref)

    def _queue(self, ref: ExecutionRef, envelope: Envelope) -> str:
        """The list to publish to; where the script does not publish, a key of the shard that it leaves alone."""
        return envelope.queue or self.keys.execution(ref)

    def _run(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        return self.scripts.run(name, keys, args)

    def _commit(self, name: str, keys: Sequence[str], args: Sequence[Argument], *, durable: bool = False) -> Any:
        insistence = self._insistence
        seconds = insistence.patience.commit_seconds
        if not durable and not insistence.is_durable:
            return self.scripts.run_patiently(name, keys, args, seconds)
        reply, problem = self.scripts.run_durably(name, keys, args, seconds, self.durability)
        if problem is not None:
            insistence.on_not_durable(problem)
        return reply
