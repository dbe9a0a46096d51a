"""A Redis that can be restored to any earlier state, and processes that are interrupted at every command they send.

A process is not a thread: it is a value of its work and of the replies it has received so far. To continue it by one
command, the world runs it again from the start, replays those replies, lets it send one more command, and interrupts it
at the next one. A state of the whole world is therefore a value, and every schedule can be tried from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from pollflow import Functions
from pollflow.fdl import read_flow
from pollflow.machine import Status
from pollflow.runtime import carried, messages
from pollflow.runtime.container import build_container
from pollflow.runtime.routes import DEFAULT_QUEUE, Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Carried, Clock, ExecutionRef, MessageKey
from pollflow.store import scripts as store_scripts

START_AT = 1_000_000_000.0
_SNAPSHOT = """
local found, dump = {}, {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, content = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then content = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then content = redis.call('SMEMBERS', key)
  else content = {redis.call('GET', key)} end
  found[#found + 1] = {key, kind, content}
  dump[#dump + 1] = {key, redis.call('DUMP', key)}
end
return {cjson.encode(found), cmsgpack.pack(dump)}
"""
_RESTORE = """
redis.call('FLUSHDB')
for _, pair in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call('RESTORE', pair[1], 0, pair[2]) end
"""


class Interrupted(BaseException):
    """The process may not send another command in this step."""


class RuleViolated(AssertionError):
    """A rule of the protocol is violated."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `work` is `handle`, `sweep` or `stop`; `replies` are the replies so far."""

    actor: str
    work: str
    key: MessageKey | None = None
    carried: Carried | None = None
    replies: tuple[tuple[str, Any], ...] = ()
    renewed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the queue."""

    text: str
    key: MessageKey
    carried: Carried | None
    eta: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of Redis: type and value by key, and a dump to restore it."""

    content: dict[str, tuple[str, Any]]
    dump: bytes
    messages: tuple[Message, ...]

    def of(self, kind: str) -> dict[str, Any]:
        """Return the contents of all keys of one kind, by the rest of their names."""
        mark = f"{{0}}:{kind}:"
        return {key.partition(mark)[2]: value for key, (_, value) in self.content.items() if mark in key}

    @property
    def wakes(self) -> dict[str, float]:
        """Return the wake-up index."""
        found: dict[str, float] = self.content.get("pollflow:{0}:wake", ("zset", {}))[1]
        return found


class World:
    """The real scripts on a real Redis, the real engine and sweep, and a frozen clock."""

    def __init__(self, url: str, flows: dict[str, str], functions: dict[str, Callable[..., Any]], **settings: Any):
        self.redis, self.raw = Redis.from_url(url, decode_responses=True), Redis.from_url(url)
        self.raw.flushdb()
        self.clock = Clock(frozen_at=START_AT)
        self.tokens = 0
        self.wire = Wire(self)
        self.published: list[Message] = []
        registry = Functions()
        for name, function in functions.items():
            registry.register(name, self._wrapped(name, function))
        self.container = build_container(
            self.wire,
            Settings(**settings),
            routes=Routes(queues={"task": DEFAULT_QUEUE}),
            publish=self.published.append,
            functions=registry,
            worker=lambda: self.wire.actor,
            clock=self.clock,
        )
        # The sweep reads which shards are due and takes their due entries in one step.
        store = self.container.store
        due_shards = store.due_shards
        store.due_shards = lambda: self.wire.send_unobserved("due_shards", due_shards)  # type: ignore[method-assign]
        for name, text in flows.items():
            flow = read_flow(text)
            self.container.definitions.deploy(name, flow.digest, flow.text, 0)
            self.container.engine.flows.get(flow.digest)

    def close(self) -> None:
        self.redis.close()
        self.raw.close()

    def _wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        # A process that dies during a call is equal to one that dies after its claim.
        def call(input: Any, context: Any) -> Any:
            return self.wire.send_unobserved("call", lambda: function(input, context), context.idempotency_key)

        return call

    def snapshot(self) -> Snapshot:
        if self.published:
            raise RuleViolated(f"published outside a script: {self.published}")
        found, dump = self.raw.eval(_SNAPSHOT, 0)
        content = {key: (kind, _content(kind, texts)) for key, kind, texts in json.loads(found)}
        _, queue = content.get(DEFAULT_QUEUE, ("list", []))
        return Snapshot(content, dump, tuple(map(_message, reversed(queue))))

    def restore(self, snapshot: Snapshot) -> None:
        self.raw.eval(_RESTORE, 0, snapshot.dump)

    def continue_process(self, process: Process, *, twice: bool = False) -> Process | None:
        """Let a process send one more command. Return None if it has ended."""
        wire, engine = self.wire, self.container.engine
        wire.connect(process, twice)
        try:
            if process.work == "sweep":
                self.container.sweeper.sweep(at_once=True)
            elif process.work == "stop":
                key = self.container.reading.execution(ExecutionRef("flow", "x")).key
                engine.end(key, Status.STOPPED, "Cancelled", "by hand")
            elif process.key is not None:
                engine.handle(process.key, process.carried)
        except Interrupted:
            return replace(process, replies=tuple(wire.replies))
        return None

    def renew(self, process: Process) -> None:
        if process.key is not None:
            self.wire.connect(process, False, retrying=True)
            self.container.store.renew([process.key], process.actor)


class Wire:
    """The connection between a process and Redis, which replays replies and can be interrupted."""

    def __init__(self, world: World) -> None:
        self.world, self.actor = world, "setup"
        self.replies: list[tuple[str, Any]] = []
        self.position, self.remaining, self.twice = 0, 1_000_000, False
        self.is_observed = True
        self.sent: tuple[str, Any, Any] | None = None
        self.unobserved: list[tuple[str, Any]] = []

    def connect(self, process: Process, twice: bool, *, retrying: bool = False) -> None:
        self.actor, self.twice, self.sent, self.unobserved = process.actor, twice, None, []
        self.replies, self.position = ([] if retrying else list(process.replies)), 0
        self.remaining, self.is_observed = 1_000_000 if retrying else 1, True

    def send(self, name: str, run: Callable[[], Any], info: Any = None) -> Any:
        if self.position == len(self.replies):
            if self.remaining == 0:
                raise Interrupted
            self.remaining -= 1
            reply = run()
            if self.twice:
                reply = run()
            self.sent = (name, info, reply)
            self.replies.append((name, reply))
        return self._replay(name)

    def send_unobserved(self, name: str, run: Callable[[], Any], info: Any = None) -> Any:
        """Send a command that no other process can observe, as part of the step before or after it."""
        if self.position == len(self.replies):
            if self.remaining == 0 and name != "call":
                raise Interrupted
            self.is_observed = False
            reply = run()
            self.is_observed = True
            self.unobserved.append((name, info))
            self.replies.append((name, reply))
        return self._replay(name)

    def _replay(self, name: str) -> Any:
        sent, reply = self.replies[self.position]
        if sent != name:
            raise RuleViolated(f"a process sent {name} instead of {sent}: it is not deterministic")
        self.position += 1
        return reply

    def token(self) -> str:
        """Return the next token. It is replayed like a reply, but it is no command."""
        if self.position == len(self.replies):
            self.world.tokens += 1
            self.replies.append(("token", f"T{self.world.tokens:06d}"))
        name, token = self.replies[self.position]
        if name != "token":
            raise RuleViolated(f"a process made a token instead of sending {name}: it is not deterministic")
        self.position += 1
        return str(token)

    def register_script(self, text: str) -> Callable[..., Any]:
        script, name = self.world.redis.register_script(text), _names()[text]

        def run(keys: Any, args: Any, client: Any = None) -> Any:
            if client is not None:  # a part of a pipeline
                return script(keys=keys, args=args, client=client)
            return self.send(name, lambda: script(keys=keys, args=args), info=(keys, json.loads(args[1])))

        return run

    def hscan_iter(self, *args: Any, **options: Any) -> Any:
        return self.send("hscan", lambda: list(self.world.redis.hscan_iter(*args, **options)))

    def pipeline(self, **options: Any) -> Any:
        """Return a pipeline whose execution is one command.

        The engine only reads in pipelines. A sweep publishes what it took from one shard, each message by itself.
        """
        pipe = self.world.redis.pipeline(**options)
        execute = pipe.execute

        def run(raise_on_error: bool) -> Any:
            commands, scripts = list(pipe.command_stack), set(pipe.scripts)
            try:
                return execute(raise_on_error)
            finally:  # it may be sent twice
                pipe.command_stack, pipe.scripts = commands, scripts

        def send(raise_on_error: bool = True) -> Any:
            if not self.is_observed:
                return execute(raise_on_error)
            try:
                return self.send("pipeline", lambda: run(raise_on_error))
            finally:
                pipe.reset()

        pipe.execute = send  # type: ignore[method-assign]
        return pipe

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.world.redis, name)
        if name == "lrange" or name == "get":
            return lambda *args, **options: self.send_unobserved(name, lambda: method(*args, **options))

        def send(*args: Any, **options: Any) -> Any:
            is_fixed = ":flow:" in str(args[0])
            return (self.send_unobserved if is_fixed else self.send)(name, lambda: method(*args, **options))

        return send


def _names() -> dict[str, str]:
    from importlib.resources import files

    stems = (path.name.removesuffix(".lua") for path in (files("pollflow.store") / "lua").iterdir())
    return {store_scripts.source(stem): stem for stem in stems if stem != "prelude"}


def _content(kind: str, texts: list[str]) -> Any:
    if kind == "hash":
        return dict(zip(texts[::2], texts[1::2], strict=True))
    if kind == "zset":
        return {member: float(score) for member, score in zip(texts[::2], texts[1::2], strict=True)}
    return sorted(texts) if kind == "set" else texts


@cache
def _message(text: str) -> Message:
    message = json.loads(text)
    eta = message["headers"]["eta"]
    moment = datetime.fromisoformat(eta).timestamp() if eta else 0.0
    found = carried.load(message["headers"].get(carried.CARRIED))
    return Message(text, messages.key_of(json.loads(message["body"])[0]), found, moment)


@contextmanager
def deterministic(world_of: Callable[[], World]) -> Iterator[None]:
    """Replace random values and local clocks, and put all executions on one shard."""

    def eta_of(message: Any) -> datetime | None:
        now = world_of().clock.frozen_at or 0.0
        if message.at is None and message.countdown <= 0:
            return None
        moment = now + message.countdown if message.at is None else message.at
        return datetime.fromtimestamp(moment, timezone.utc)

    random = SimpleNamespace(token_hex=lambda _: world_of().wire.token())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pollflow.store.commits.secrets", random)
        patch.setattr("pollflow.runtime.starting.secrets", random)
        patch.setattr("pollflow.runtime.messages.eta_of", eta_of)
        for module in ("keys", "encode", "wakeups", "reading"):
            patch.setattr(f"pollflow.store.{module}.SHARDS", 1)
        yield


_IRRELEVANT = {
    *("events", "last", "at", "started_at", "secret", "timeout", "parent", "state", "input"),
    *("metadata", "parent_metadata", "step", "since"),
}
_TOKEN = re.compile(r"T\d{6}")
_MOMENT = re.compile(r"\b\d{10}\.\d+")


def identity(snapshot: Snapshot, processes: tuple[Process, ...], now: float, rest: Any) -> str:
    """Return a text that is equal for two states of the world that behave alike.

    Tokens are numbered by their first occurrence, and times are relative to now. Data that no decision depends on is
    omitted: history, and the numbers of its events.
    """
    parts: list[Any] = []
    for key in sorted(snapshot.content):
        _, value = snapshot.content[key]
        if ":history:" in key or ":values:" in key or ":index:" in key or ":definition:" in key:
            continue
        if ":execution:" in key or ":frame:" in key:
            parts.append((key, _relevant(value), _position(value)))
        elif ":wake" in key or ":countdowns" in key:
            members = [(*member.split("|")[::2], member, f"{score:.6f}") for member, score in value.items()]
            parts.append(sorted(members))
        elif ":results:" in key or ":cancellations:" in key or ":parents:" in key or ":outbox:" in key:
            parts.append((key, sorted(value)))
    parts.append([(message.key, message.carried is None, f"{message.eta:.6f}") for message in snapshot.messages])
    parts.append([messages.sent_at(message.text) for message in snapshot.messages])
    for process in processes:
        replies = [(name, _reply(name, reply)) for name, reply in process.replies]
        parts.append(
            (process.actor, process.work, process.key, process.carried is None, replies, f"{process.renewed_at:.6f}")
        )
    text = repr((parts, rest))
    text = _MOMENT.sub(lambda match: f"{max(-700.0, float(match[0]) - now):.3f}", text)
    seen: dict[str, str] = {}
    return _TOKEN.sub(lambda match: seen.setdefault(match[0], f"#{len(seen)}"), text)


def _relevant(fields: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in fields.items() if name not in _IRRELEVANT)


def _position(fields: dict[str, str]) -> Any:
    if "state" not in fields:
        return None
    state = json.loads(fields["state"])
    return [level[:2] for level in state["levels"]], state["entry"], state["phase"], state["attempt"]


def _reply(name: str, reply: Any) -> Any:
    if name in ("claim", "advance"):
        return reply[0], _relevant(reply_fields(reply)), _position(reply_fields(reply))
    if name == "pipeline":
        # The time by the clock of the server is not used: that of the world stands still.
        found = [each for each in reply if not isinstance(each, tuple)]
        return [(_relevant(each), _position(each)) if isinstance(each, dict) else each for each in found]
    if isinstance(reply, dict):
        return _relevant(reply), _position(reply)
    return reply


def reply_fields(reply: list[Any]) -> dict[str, Any]:
    """Return the fields of a script's reply by name."""
    return dict(zip(reply[1::2], reply[2::2], strict=True))
