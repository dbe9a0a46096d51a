"""Rights of Redis users (ACL): the least commands, keys and channels of each role, and the rule that grants them.

The commands of scripts are read from the scripts. The rules need Redis 7.0 or later, or Valkey: earlier servers know
neither rights of reading and writing nor selectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from pollflow.store.keys import Keys
from pollflow.store.scripts import source

ANY, READ, WRITE = "", "R", "W"
"""What a user may do with a key."""

CLIENT_SCRIPTS = (
    *("start", "end", "advance", "fan_out", "fan_in", "compact", "count_error", "cleanup", "purge"),
    *("parents_notified", "outbox_done", "cancel_child", "undo_cancel"),
)
"""Scripts that start, stop, report and purge: a report continues the execution."""
WORKER_SCRIPTS = (
    *CLIENT_SCRIPTS,
    *("claim", "release", "renew", "postpone", "redeliver", "due", "forget", "job_done", "count_job_error"),
    "reseal",  # `pollflow codec rotate` has the user of the app
)
SCRIPTING = frozenset({"evalsha", "script|exists", "script|load"})

_READING = frozenset({"get", "hget", "hgetall", "hmget", "lrange", "smembers", "srandmember", "zrange"}) | {
    *("zrevrangebyscore", "time", "multi", "exec", "xrevrange"),
}
_DEPLOYING = frozenset({"hset", "hsetnx", "sadd", "set"})
_COMPACTING = frozenset({"llen"})
_WORKING = frozenset({"exists", "hscan", "hset", "info", "set"}) | _COMPACTING

# Greeting, database, name and version of a client, whichever of these commands the server has. Tracking is left out: it
# tells the names of changed keys, whatever the rights of the user.
_CONNECTION = ("+@connection", "-@admin", "-@dangerous", "-client|tracking")
# The first argument of a call, which may be an expression, and the names of commands in it.
_SCRIPT_CALL = re.compile(r"redis\.call\(([^,)]*)")
_COMMAND = re.compile(r"'([A-Z]+)'")


class Role(Enum):
    """A kind of user, by the word of `pollflow acl`."""

    WORKER = "worker"
    CLIENT = "client"
    OBSERVER = "observer"
    FLOWER = "flower"


@dataclass(frozen=True, slots=True)
class Rights:
    """Commands, patterns of keys with what may be done with them, and channels.

    `also` are further commands with keys of their own (selectors).
    """

    commands: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    channels: frozenset[str] = frozenset()
    also: tuple[Rights, ...] = ()

    def __or__(self, other: Rights) -> Rights:
        keys = {**self.keys, **other.keys}
        for pattern in set(self.keys) & set(other.keys):
            keys[pattern] = keys[pattern] if self.keys[pattern] == other.keys[pattern] else ANY
        commands, channels = self.commands | other.commands, self.channels | other.channels
        return Rights(commands, keys, channels, (*self.also, *other.also))

    def rule(self, user: str, password: str) -> str:
        """Return what `ACL SETUSER` takes. `password` is `#` and the SHA-256 of the password."""
        words = [user, "reset", "on", password, "resetchannels", *_CONNECTION, *self._words()]
        return " ".join([*words, *(f"({' '.join(rights._words())})" for rights in self.also)])

    def _words(self) -> list[str]:
        commands = [f"+{name}" for name in sorted(self.commands)]
        keys = [f"%{right}~{pattern}" if right else f"~{pattern}" for pattern, right in sorted(self.keys.items())]
        return [*commands, *keys, *(f"&{channel}" for channel in sorted(self.channels))]


def literal(name: str) -> str:
    """Return the pattern that matches a name. Characters that a rule cannot contain match any such character."""
    return "".join(map(_literal_character, name))


def state_rights(role: Role, keys: Keys, lists: Iterable[str], *, is_durable: bool) -> Rights:
    """Return the rights that a role needs for the state. `lists` are those to which scripts publish messages."""
    # Scripts that end and delete executions write the audit log.
    written = {f"{keys.prefix}:{{*": ANY, keys.audit(): ANY}
    queues = {literal(name): ANY for name in lists}
    durable = Rights(frozenset({"set", "waitaof"}), {keys.mark(): WRITE}) if is_durable else Rights()
    match role:
        case Role.WORKER:
            own = {keys.route(): ANY, keys.functions(): ANY, keys.sweeper(): WRITE}
            commands = _READING | _WORKING | SCRIPTING | _commands_of(WORKER_SCRIPTS)
            return durable | Rights(commands, {**written, **queues, **_definitions(keys, READ), **own})
        case Role.CLIENT:
            commands = _READING | _DEPLOYING | _COMPACTING | SCRIPTING | _commands_of(CLIENT_SCRIPTS)
            registered = {keys.route(): READ, keys.functions(): READ}
            # A client may add messages to the queues, and neither read nor remove those of others.
            also = (
                # A start compares the digest of the flow, for which a script needs all rights to its key.
                Rights(frozenset({"evalsha"}), {**written, **queues, keys.flow("*"): ANY}),
                Rights(frozenset({"lpush"}), dict.fromkeys(queues, WRITE)),
            )
            commands -= {"lpush", "evalsha"} if queues else {"lpush"}
            return durable | Rights(
                commands, {**written, **_definitions(keys, ANY), **registered}, also=also if queues else ()
            )
        case Role.OBSERVER:
            registered = {keys.route(): READ, keys.functions(): READ}
            return Rights(_READING, {**dict.fromkeys(written, READ), **_definitions(keys, READ), **registered})
        case Role.FLOWER:
            return Rights()


def _definitions(keys: Keys, right: str) -> dict[str, str]:
    return dict.fromkeys((keys.flow("*"), keys.flows(), keys.definition("*")), right)


def _commands_of(scripts: Iterable[str]) -> frozenset[str]:
    calls = (call for script in scripts for call in _SCRIPT_CALL.findall(source(script)))
    return frozenset(name.lower() for call in calls for name in _COMMAND.findall(call))


def _literal_character(character: str) -> str:
    if character in "\"'()":  # quotes of redis-cli, and the ends of a selector
        return "?"
    if "!" <= character <= "~":
        return f"\\{character}" if character in "\\*?[" else character
    return "[^!-~]" * len(character.encode("utf-8", "surrogatepass"))
