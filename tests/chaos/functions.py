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
    """The result or the error of one call, and its duration."""

    value: Given
    error: str = ""
    takes: float = 0.0


def dice(*container: object) -> float:
    """Return a number from 0 to 1 that is derived from the parts."""
    digest = hashlib.sha256("\x00".join(map(str, container)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _place(context: Context) -> str:
    """Return the idempotency key without the random id of the execution."""
    return context.idempotency_key.partition("/")[2]


def _takes(input: Given, context: Context) -> float:
    """Return mostly 0 seconds, sometimes up to 0.5, rarely up to 3."""
    chance = dice(input["salt"], _place(context), "takes")
    if chance < 0.6:
        return 0.0
    return (chance - 0.6) / 0.3 * 0.5 if chance < 0.9 else 0.5 + (chance - 0.9) / 0.1 * 2.5


def _value(input: Given, context: Context) -> int:
    return int(dice(input["salt"], _place(context)) * 1000)


def _start(input: Given, context: Context) -> Answer:
    return Answer({"job": f"job-{_value(input, context)}", "tries": 0}, takes=_takes(input, context))


def _status(input: Given, context: Context) -> Answer:
    tries = input["tries"] + 1
    status = "success" if tries >= input["done_at"] else "running"
    return Answer({"tries": tries, "job_status": status}, takes=_takes(input, context))


def _tick(input: Given, context: Context) -> Answer:
    return Answer(_status(input, context).value)


def _work(input: Given, context: Context) -> Answer:
    return Answer({"value": _value(input, context), context.step: True}, takes=_takes(input, context))


def _count(input: Given, context: Context) -> Answer:
    return Answer({"count": input.get("count", 0) + 1}, takes=_takes(input, context))


def _flaky(input: Given, context: Context) -> Answer:
    fails = dice(input["salt"], _place(context), "fails") < 0.45
    return Answer({"value": _value(input, context)}, FLAKY if fails else "", _takes(input, context))


def _item(input: Given, context: Context) -> Answer:
    fails = context.step == "Item" and dice(input["salt"], _place(context), "fails") < 0.1
    value = {"value": input["item"] * 100 + input["position"], "odd": bool(input["item"] % 2)}
    return Answer(value, FLAKY if fails else "", min(0.3, _takes(input, context)))


def _ask(input: Given, context: Context) -> Answer:
    return Answer({}, takes=min(0.5, _takes(input, context)))


def _stuck(input: Given, context: Context) -> Answer:
    return Answer({"late": True}, takes=7.0)


def _slow(input: Given, context: Context) -> Answer:
    """Take longer than the lease, so that the worker has to renew it."""
    return Answer({"slow": True}, takes=3.5 + 2.5 * dice(input["salt"], "slow"))


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
    """Return the report of a callback: success with an output, or a failure."""
    return Answer({"by": f"boss-{int(dice(salt, 'by') * 100)}"}, REFUSED if dice(salt, "refuses") < 0.3 else "")
