"""What the functions of the load answer: a rule on the execution's salt and the idempotency key, and nothing else.

So workers, and the pure machine in virtual time, get the same answers; only the workers' take real time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pollflow import Context

Given = dict[str, Any]

FLAKY = "Chaos.Flaky"
REFUSED = "Chaos.Refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call answers, or the name of the error that it raises, and how long it takes."""

    value: Given
    error: str = ""
    takes: float = 0.0


def dice(*parts: object) -> float:
    """A number from 0 to 1 that follows from the parts."""
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _place(context: Context) -> str:
    """The idempotency key without the execution's random id: step, frame and entry, attempt."""
    return context.idempotency_key.partition("/")[2]


def _takes(given: Given, context: Context) -> float:
    """Mostly nothing, sometimes up to half a second, now and then up to three."""
    chance = dice(given["salt"], _place(context), "takes")
    if chance < 0.6:
        return 0.0
    return (chance - 0.6) / 0.3 * 0.5 if chance < 0.9 else 0.5 + (chance - 0.9) / 0.1 * 2.5


def _value(given: Given, context: Context) -> int:
    return int(dice(given["salt"], _place(context)) * 1000)


def _start(given: Given, context: Context) -> Answer:
    return Answer({"job": f"job-{_value(given, context)}", "tries": 0}, takes=_takes(given, context))


def _status(given: Given, context: Context) -> Answer:
    tries = given["tries"] + 1
    status = "success" if tries >= given["done_at"] else "running"
    return Answer({"tries": tries, "job_status": status}, takes=_takes(given, context))


def _tick(given: Given, context: Context) -> Answer:
    return Answer(_status(given, context).value)


def _work(given: Given, context: Context) -> Answer:
    return Answer({"value": _value(given, context), context.step: True}, takes=_takes(given, context))


def _count(given: Given, context: Context) -> Answer:
    return Answer({"count": given.get("count", 0) + 1}, takes=_takes(given, context))


def _flaky(given: Given, context: Context) -> Answer:
    fails = dice(given["salt"], _place(context), "fails") < 0.45
    return Answer({"value": _value(given, context)}, FLAKY if fails else "", _takes(given, context))


def _item(given: Given, context: Context) -> Answer:
    fails = context.step == "Item" and dice(given["salt"], _place(context), "fails") < 0.1
    value = {"value": given["item"] * 100 + given["position"], "odd": bool(given["item"] % 2)}
    return Answer(value, FLAKY if fails else "", min(0.3, _takes(given, context)))


def _ask(given: Given, context: Context) -> Answer:
    return Answer({}, takes=min(0.5, _takes(given, context)))


def _stuck(given: Given, context: Context) -> Answer:
    return Answer({"late": True}, takes=7.0)


def _slow(given: Given, context: Context) -> Answer:
    """Longer than the lease, which the worker has to renew meanwhile."""
    return Answer({"slow": True}, takes=3.5 + 2.5 * dice(given["salt"], "slow"))


FUNCTIONS: dict[str, Callable[[Given, Context], Answer]] = {
    "start": _start,
    "status": _status,
    "tick": _tick,
    "work": _work,
    "count": _count,
    "flaky": _flaky,
    "item": _item,
    "ask": _ask,
    "stuck": _stuck,
    "slow": _slow,
}


def report_on(salt: str) -> Answer:
    """What is reported to the execution's callback: success with an output, or the refusal."""
    return Answer({"by": f"boss-{int(dice(salt, 'by') * 100)}"}, REFUSED if dice(salt, "refuses") < 0.3 else "")
