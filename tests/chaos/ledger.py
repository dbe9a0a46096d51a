"""The record of a run, in a Redis of its own that suffers no faults.

All times are from the clock of that server, which runs on the same machine as all other processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

LEDGER_URL, SLOT, ACKS = "CHAOS_LEDGER_URL", "CHAOS_SLOT", "CHAOS_ACKS"
"""Environment variables: the URL of the ledger, the slot of a process, and whether kombu acknowledges messages."""

_CALLS, _MESSAGES, _TOKENS = "calls", "messages", "tokens"
_INTENTS, _ACKS, _STOPS, _REPORTS = "intents", "acks", "stops", "reports"
_LOG_LINES, _READY, _PROBLEMS, _LOSSES = "log-lines", "ready", "problems", "losses"
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function. `ended_at` is None if the call was interrupted."""

    key: str
    flow: str
    execution: str
    step: str
    group: int
    pid: int
    started_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that a worker received, and its due time."""

    token: str
    group: int
    received_at: float
    due: float


class Ledger:
    """The record of a run."""

    def __init__(self, url: str) -> None:
        self.redis: Any = Redis.from_url(url, decode_responses=True)

    def now(self) -> float:
        """Return the time in epoch seconds."""
        seconds, micros = self.redis.time()
        return float(seconds) + float(micros) / 1e6

    def call_started(self, **fields: str | int) -> str:
        """Record the start of a call and return its id."""
        return str(self.redis.xadd(_CALLS, fields))

    def call_ended(self, call: str) -> None:
        """Record the end of a call."""
        self.redis.xadd(_CALLS, {"ends": call})

    def calls(self) -> list[Call]:
        """Return all calls in the order of their starts."""
        started: dict[str, dict[str, str]] = {}
        ended: dict[str, float] = {}
        for entry, fields in self._stream(_CALLS):
            if "ends" in fields:
                ended[fields["ends"]] = _moment(entry)
            else:
                started[entry] = fields
        return [
            Call(
                key=fields["key"],
                flow=fields["flow"],
                execution=fields["execution"],
                step=fields["step"],
                group=int(fields["group"]),
                pid=int(fields["pid"]),
                started_at=_moment(entry),
                ended_at=ended.get(entry),
            )
            for entry, fields in started.items()
        ]

    def message_received(self, token: str, group: int, due: float) -> None:
        """Record that a worker received a message; `due` is 0 if it is due now."""
        self.redis.xadd(_MESSAGES, {"token": token, "group": group, "due": repr(due)})

    def message_started(self, token: str) -> None:
        """Record that a worker started to handle a message."""
        self.redis.xadd(_MESSAGES, {"starts": token})

    def messages(self) -> tuple[list[ReceivedMessage], dict[str, list[float]]]:
        """Return the received messages, and the start times by token."""
        received: list[ReceivedMessage] = []
        started: dict[str, list[float]] = {}
        for entry, fields in self._stream(_MESSAGES):
            at = _moment(entry)
            if "starts" in fields:
                started.setdefault(fields["starts"], []).append(at)
            else:
                received.append(
                    ReceivedMessage(fields["token"], int(fields["group"]), at, max(at, float(fields["due"])))
                )
        return received, started

    def add_token(self, token: str, salt: str) -> None:
        """Pass the task token of a callback to the load."""
        self.redis.xadd(_TOKENS, {"token": token, "salt": salt})

    def tokens(self, after: str, block_ms: int) -> list[tuple[str, str, str]]:
        """Return id, task token and salt of the callbacks after an id. Wait up to `block_ms` for the first."""
        found = self.redis.xread({_TOKENS: after}, count=100, block=block_ms)
        return [(entry, fields["token"], fields["salt"]) for _, page in found for entry, fields in page]

    def reported(self, token: str, outcome: str, since: float) -> None:
        """Record the result of a report that began at `since`."""
        self._write(_REPORTS, token, outcome, since)

    def reports(self) -> dict[str, str]:
        """Return the results of reports by task token, without those that Redis may have lost."""
        return {token: outcome for token, (outcome, is_kept) in self._read(_REPORTS).items() if is_kept}

    def record_intent(self, name: str) -> bool:
        """Record that the load is about to start an execution; return False for a repetition."""
        return bool(self.redis.hsetnx(_INTENTS, name, repr(self.now())))

    def acknowledge(self, name: str, since: float) -> None:
        """Record that a start was acknowledged that began at `since`."""
        self._write(_ACKS, name, "acknowledged", since)

    def acknowledged_at(self) -> dict[str, float]:
        """Return when starts were acknowledged, by name, without those that Redis may have lost."""
        kept = {name for name, (_, is_kept) in self._read(_ACKS).items() if is_kept}
        return {name: json.loads(text)[2] for name, text in self.redis.hgetall(_ACKS).items() if name in kept}

    def stopped(self, name: str, outcome: str, since: float) -> None:
        """Record the result of a stop that began at `since`: `stopped`, `refused`, or `tried` without a reply."""
        self._write(_STOPS, name, outcome, since)

    def stops(self) -> dict[str, str]:
        """Return the last result of each stop; `tried` where Redis may have lost it."""
        return {name: outcome if is_kept else "tried" for name, (outcome, is_kept) in self._read(_STOPS).items()}

    def record_loss(self, since: float, until: float) -> None:
        """Record that Redis may have lost its writes between two times."""
        self.redis.rpush(_LOSSES, json.dumps([since, until]))

    def losses(self) -> list[tuple[float, float]]:
        """Return the intervals whose writes Redis may have lost."""
        return [tuple(json.loads(text)) for text in self.redis.lrange(_LOSSES, 0, -1)]

    def _write(self, key: str, name: str, outcome: str, since: float) -> None:
        self.redis.hset(key, name, json.dumps([outcome, since, self.now()]))

    def _read(self, key: str) -> dict[str, tuple[str, bool]]:
        losses = self.losses()
        found: dict[str, tuple[str, bool]] = {}
        for name, text in self.redis.hgetall(key).items():
            outcome, started_at, ended_at = json.loads(text)
            found[name] = outcome, not any(started_at <= until and since <= ended_at for since, until in losses)
        return found

    def count_log_line(self, line: str) -> None:
        """Count a log line of a worker."""
        self.redis.hincrby(_LOG_LINES, line, 1)

    def log_lines(self) -> dict[str, int]:
        """Return how often each log line was written."""
        return {line: int(count) for line, count in self.redis.hgetall(_LOG_LINES).items()}

    def add_problem(self, text: str) -> None:
        """Record a problem that was found during the run."""
        self.redis.rpush(_PROBLEMS, text)

    def problems(self) -> list[str]:
        """Return the recorded problems."""
        return list(self.redis.lrange(_PROBLEMS, 0, -1))

    def worker_ready(self, slot: str) -> None:
        """Record that a worker is ready."""
        self.redis.hincrby(_READY, slot, 1)

    def workers_ready(self) -> dict[str, int]:
        """Return how often each worker became ready."""
        return {slot: int(count) for slot, count in self.redis.hgetall(_READY).items()}

    def set_mark(self, name: str, value: str) -> None:
        """Store a value that harness and load share, such as the start time."""
        self.redis.set(f"mark:{name}", value)

    def mark(self, name: str) -> str | None:
        """Return the value, if it is set."""
        found: str | None = self.redis.get(f"mark:{name}")
        return found

    def _stream(self, name: str) -> Iterator[tuple[str, dict[str, str]]]:
        after = "-"
        while page := self.redis.xrange(name, after, "+", count=_PAGE):
            yield from page
            after = f"({page[-1][0]}"


def _moment(entry: str) -> float:
    return int(entry.partition("-")[0]) / 1000
