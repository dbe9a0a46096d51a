"""The engine on fakeredis and on a Redis server: the tests run on both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from redis import Redis

from pollflow import Context, Functions
from pollflow.fdl import read_flow
from pollflow.runtime import carried, messages
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.routes import DEFAULT_QUEUE, Publish, Routes
from pollflow.runtime.settings import Settings
from pollflow.store import (
    CLEAR,
    Carried,
    Claimed,
    Clock,
    ExecutionKey,
    ExecutionRef,
    Message,
    MessageKey,
    RetryPolicy,
    Sealer,
    StoredEvent,
)

EPOCH = 1_800_000_000.0


class Bench:
    """A container, a registry of functions, and methods that do the work of workers and of the sweep."""

    def __init__(self, client: Any) -> None:
        self.redis = client
        self.functions = Functions()
        self.published: list[Message] = []
        # The clock stands still except in `pass_time`, so that no result depends on the duration of a test.
        self.clock = Clock(frozen_at=EPOCH)
        self.container = self.build_container()

    def build_container(
        self,
        *,
        routes: Routes | None = None,
        publish: Publish | None = None,
        worker: str = "w",
        retry_policy: RetryPolicy | None = None,
        sealer: Sealer = CLEAR,
        **settings: Any,
    ) -> Container:
        self.container = build_container(
            self.redis,
            Settings(**settings),
            routes=routes or Routes(queues={"task": DEFAULT_QUEUE}),
            publish=publish or self.published.append,
            functions=self.functions,
            worker=lambda: worker,
            clock=self.clock,
            retry_policy=retry_policy,
            sealer=sealer,
        )
        return self.container

    def deploy(self, text: str, name: str = "flow") -> None:
        flow = read_flow(text)
        self.container.definitions.deploy(name, flow.digest, flow.text, 0)

    def start(self, text: str, input: dict[str, Any] | None = None, name: str = "x") -> ExecutionRef:
        self.deploy(text)
        return self.container.starter.start("flow", input or {}, name).key.ref

    def returns(self, name: str, *results: Any) -> list[dict[str, Any]]:
        """Register a function that returns the results in order, the last one repeatedly. Return its list of inputs."""
        left, inputs = list(results), []

        def function(input: dict[str, Any], context: Context) -> Any:
            inputs.append(input)
            result = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(result, Exception):
                raise result
            return result

        self.functions._functions.pop(name, None)  # a later call of `returns` replaces the function
        self.functions.register(name, function)
        return inputs

    def queued(self) -> list[dict[str, Any]]:
        """Return the messages in the queue, the next one first."""
        return [json.loads(text) for text in reversed(self.redis.lrange(DEFAULT_QUEUE, 0, -1))]

    def take(self) -> MessageKey:
        """Take the next message from the queue. Raise AssertionError if there is none."""
        key = self.take_or_none()
        assert key is not None, "the queue is empty"
        return key

    def take_or_none(self) -> MessageKey | None:
        """Take the next message from the queue. Return None if there is none."""
        found = self.take_message()
        return None if found is None else found[0]

    def take_message(self) -> tuple[MessageKey, Carried | None] | None:
        """Take the next message from the queue, with what it carries. Return None if there is none."""
        text = self.redis.rpop(DEFAULT_QUEUE)
        if text is None:
            return None
        message = json.loads(text)
        return messages.key_of(json.loads(message["body"])[0]), carried.load(message["headers"].get(carried.CARRIED))

    def claim(self, key: MessageKey | None = None, nonce: str = "w.1") -> Claimed:
        """Claim a message, by default the next one in the queue."""
        claimed = self.container.store.claim(key or self.take(), nonce)
        assert isinstance(claimed, Claimed)
        return claimed

    def handle_next(self) -> None:
        """Handle the next message in the queue as a worker does."""
        found = self.take_message()
        assert found is not None, "the queue is empty"
        self.container.engine.handle(*found)

    def work(self, limit: int = 100_000) -> int:
        """Handle messages as a worker does until the queue is empty. Return the number of messages."""
        for count in range(limit):
            found = self.take_message()
            if found is None:
                return count
            self.container.engine.handle(*found)
        raise AssertionError(f"the queue is not empty after {limit} messages")

    def pass_time(self, seconds: float) -> None:
        """Move the clock of the store and its scripts."""
        self.clock.frozen_at = self.now() + seconds

    def now(self) -> float:
        """Return the time of the store and its scripts in epoch seconds."""
        assert self.clock.frozen_at is not None
        return self.clock.frozen_at

    def sweep(self) -> int:
        return self.container.sweeper.sweep(at_once=True)

    def history(self, ref: ExecutionRef) -> list[StoredEvent]:
        return list(self.container.reading.whole_history(self.key(ref)))

    def key(self, ref: ExecutionRef) -> ExecutionKey:
        return self.container.reading.execution(ref).key

    def status(self, ref: ExecutionRef) -> str:
        return self.container.reading.execution(ref).status.value

    def output(self, ref: ExecutionRef) -> Any:
        return self.container.reading.execution(ref).output

    def wakes(self, ref: ExecutionRef) -> dict[str, float]:
        """Return the scores of the execution in the wake-up index, by the names of frames and jobs."""
        found = self.redis.zrange(self.container.store.keys.wake(ref.shard), 0, -1, withscores=True)
        return {member.rpartition("|")[2]: score for member, score in found if member.startswith(f"{ref}|")}


@pytest.fixture(params=["fakeredis", pytest.param("server", marks=pytest.mark.server)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "fakeredis":
        yield Bench(fakeredis.FakeRedis(decode_responses=True))
        return
    with Redis.from_url(request.getfixturevalue("store_url"), decode_responses=True) as client:
        yield Bench(client)


@pytest.fixture
def server(store_url: str) -> Iterator[Bench]:
    """Return a bench on a Redis server only."""
    with Redis.from_url(store_url, decode_responses=True) as client:
        yield Bench(client)
