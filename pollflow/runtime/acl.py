"""The Redis users of an app: the rights of each role on the servers of its state, its broker and its results.

What kombu and Celery need is listed here; what pollflow itself needs is listed in the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.backends.redis import RedisBackend

from pollflow.runtime.app import Attached, attach
from pollflow.runtime.broker import transport_options
from pollflow.store import Keys, RedisLocation
from pollflow.store.acl import ANY, READ, SCRIPTING, WRITE, Rights, Role, literal, state_rights
from pollflow.store.urls import DEFAULT_HOST

_PUBLISHING = frozenset({"exec", "llen", "lpush", "multi", "sadd", "smembers"})
_MESSAGING = (
    _PUBLISHING
    | SCRIPTING
    | {
        *("brpop", "del", "exists", "pexpire", "srem", "time", "zadd", "zrangebyscore", "zrem"),
        *("psubscribe", "publish", "punsubscribe", "unsubscribe"),
    }
)
_CONSUMING = _MESSAGING | {
    *("get", "hdel", "hget", "hset", "info", "rpop", "rpush", "set", "unwatch", "watch", "zrange", "zrevrangebyscore"),
}
_STORING_RESULTS = SCRIPTING | {
    *("del", "exec", "expire", "get", "incr", "llen", "lrange", "mget", "multi", "rpush", "set", "setex"),
    *("zadd", "zcount", "zrange", "publish", "subscribe", "unsubscribe"),
}
_PRIORITY_SEPARATOR = "\x06\x16"


@dataclass(frozen=True, slots=True)
class ServerRights:
    """The rights of a user on one server, and what the app keeps there: `state`, `broker` or `results`."""

    server: str
    uses: tuple[str, ...]
    rights: Rights


def plain_app(key_prefix: str, queues: Sequence[str]) -> Attached:
    """Return an app with Celery's defaults, and state and broker in one database. Nothing connects to it."""
    app = Celery("plain", broker=RedisLocation().broker_url(), set_as_current=False)
    app.conf.pollflow_key_prefix = key_prefix
    if queues:
        app.conf.task_routes = {"pollflow.*": {"queue": queues[0]}}
    for name in queues:
        app.amqp.queues.add(app.amqp.queues.new_missing(name))
    return attach(app, RedisLocation().state_url())


def rights_of(role: Role, attached: Attached, *, is_durable: bool) -> list[ServerRights]:
    """Return the rights that a role needs, by server. They apply to all databases of a server.

    `is_durable`: starts, stops, reports or commits wait for the append-only file.
    """
    routes, broker = attached.container.routes, attached.broker
    lists = sorted(routes.lists()) if routes.in_script else []
    keys = Keys(attached.settings.key_prefix)
    found = [(_server(attached.location), "state", state_rights(role, keys, lists, is_durable=is_durable))]
    if broker.is_redis:
        server = broker.description if broker.location is None else _server(broker.location)
        found.append((server, "broker", _broker_rights(role, attached)))
    if role is Role.WORKER and isinstance(attached.app.backend, RedisBackend):
        found.append(_results(attached.app.backend))
    return _by_server(found)


def _by_server(found: Iterable[tuple[str, str, Rights]]) -> list[ServerRights]:
    by_server: dict[str, ServerRights] = {}
    for server, use, rights in found:
        if rights == Rights():
            continue
        known = by_server.get(server, ServerRights(server, (), Rights()))
        by_server[server] = ServerRights(server, (*known.uses, use), known.rights | rights)
    return list(by_server.values())


def _server(location: RedisLocation) -> str:
    host = DEFAULT_HOST if location.host == "localhost" else location.host
    return location.path or f"{host}:{location.port}"


def _broker_rights(role: Role, attached: Attached) -> Rights:
    names = _BrokerNames.of(attached)
    match role:
        case Role.WORKER:
            keys = {
                **dict.fromkeys((*names.queues(), *names.mailboxes("*"), *names.event_queues(), *names.unacked()), ANY),
                names.key("_kombu.binding") + "*": ANY,
            }
            return Rights(_CONSUMING, keys, names.channels(has_gossip=True))
        case Role.FLOWER:
            keys = {
                **dict.fromkeys((*names.mailboxes("*.reply"), *names.event_queues()), ANY),
                **dict.fromkeys(names.queues(), READ),
                **names.bindings(names.own_exchanges()),
                names.key("_kombu.binding_deadlines"): ANY,
            }
            # It removes overdue bindings of any exchange, and adds none: that would give it copies of messages.
            sweep = Rights(frozenset({"del", "exists"}), {names.key("_kombu.binding") + "*": ANY})
            return Rights(_MESSAGING, keys, names.channels(has_gossip=False), (sweep,))
        case Role.CLIENT if not attached.container.routes.in_script:
            bindings = names.bindings(names.queue_exchanges())
            return Rights(_PUBLISHING, {**dict.fromkeys(names.queues(), WRITE), **bindings})
        case _:
            return Rights()


@dataclass(frozen=True, slots=True)
class _BrokerNames:
    """The names of keys and channels that kombu's Redis transport makes from the configuration of an app."""

    app: Celery
    options: Any
    database: int

    @classmethod
    def of(cls, attached: Attached) -> _BrokerNames:
        location = attached.broker.location
        return cls(attached.app, transport_options(attached.app), 0 if location is None else location.database)

    def key(self, name: str) -> str:
        return literal(self.options.get("global_keyprefix", "") + name)

    def _list(self, pattern: str) -> tuple[str, str]:
        """Return the patterns of a queue: its list of priority 0, and those of the other priorities."""
        return pattern, f"{pattern}{literal(self.options.get('sep', _PRIORITY_SEPARATOR))}[0-9]*"

    def queues(self) -> list[str]:
        return [pattern for name in self.app.amqp.queues for pattern in self._list(self.key(name))]

    def mailboxes(self, owners: str) -> tuple[str, str]:
        return self._list(self.key("") + owners + literal(f".{self.app.conf.control_exchange}.pidbox"))

    def event_queues(self) -> list[str]:
        return [self.key(f"{self.app.conf.event_queue_prefix}.") + "*"]

    def queue_exchanges(self) -> set[str]:
        return {queue.exchange.name or name for name, queue in self.app.amqp.queues.items()}

    def own_exchanges(self) -> set[str]:
        """Return the exchanges of events, remote control and its replies."""
        mailbox = f"{self.app.conf.control_exchange}.pidbox"
        return {self.app.conf.event_exchange, mailbox, f"reply.{mailbox}"}

    def bindings(self, exchanges: Iterable[str]) -> dict[str, str]:
        own = {self.key(f"_kombu.binding.{name}"): ANY for name in exchanges}
        return own | {self.key(f"_kombu.binding_permanent.{name}"): WRITE for name in exchanges}

    def unacked(self) -> list[str]:
        if not self.options.get("ack_emulation", True):
            return []
        names = ("unacked", "unacked_index", "unacked_mutex")
        options = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
        return [self.key(self.options.get(option, name)) for option, name in zip(options, names, strict=True)]

    def channels(self, *, has_gossip: bool) -> frozenset[str]:
        """Return the channels of remote control and events. The pattern of a PSUBSCRIBE must be listed as it is."""
        conf = self.app.conf
        found = {self._channel(f"{conf.control_exchange}.pidbox")}
        found |= self._with_patterns(conf.event_exchange, *(("*", "worker.*") if has_gossip else ("*",)))
        for queue in self.app.amqp.queues.values() if has_gossip else ():
            if queue.exchange is not None and queue.exchange.type == "fanout":
                found |= self._with_patterns(queue.exchange.name, (queue.routing_key or "").replace("#", "*"))
        return frozenset(found)

    def _with_patterns(self, exchange: str, *patterns: str) -> set[str]:
        if not self.options.get("fanout_patterns", True):
            return {self._channel(exchange)}
        return {f"{self._channel(exchange)}/{pattern}" if pattern else self._channel(exchange) for pattern in patterns}

    def _channel(self, name: str) -> str:
        prefix = self.options.get("fanout_prefix", True)
        text = prefix if isinstance(prefix, str) else "/{db}." if prefix else ""
        return self.key(text.format(db=self.database) + name)


def _results(backend: RedisBackend) -> tuple[str, str, Rights]:
    """Return the server of the results of the app's own tasks, and the rights there. Steps have no results."""
    place = backend.connparams
    server = place.get("path") or _server(RedisLocation(host=str(place.get("host", "?")), port=place.get("port", 0)))
    prefixes = (backend.task_keyprefix, backend.group_keyprefix, backend.chord_keyprefix)
    patterns = [literal(prefix.decode() if isinstance(prefix, bytes) else prefix) + "*" for prefix in prefixes]
    return server, "results", Rights(_STORING_RESULTS, dict.fromkeys(patterns, ANY), frozenset(patterns))
