"""The functions of the load. A result depends only on the salt of the execution and on the idempotency key.

Workers and the machine in virtual time therefore get the same results. Only the calls of workers take real time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from pollflow import Context
from tests.chaos.flows import JsonObject

FLAKY = "Chaos.Flaky"
REFUSED = "Chaos.Refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result or the error of one call, and its duration."""

    value: JsonObject
    error: str = ""
    takes: float = 0.0


def number_of(*parts: object) -> float:
    """Return a number from 0 to 1, derived from a hash of the parts."""
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _call_path(context: Context) -> str:
    """Return the idempotency key without the random id of the execution."""
    return context.idempotency_key.partition("/")[2]


def _takes(input: JsonObject, context: Context) -> float:
    """Return the duration of a call: mostly 0 s, sometimes up to 0.5 s, rarely up to 3 s."""
    share = number_of(input["salt"], _call_path(context), "takes")
    if share < 0.6:
        return 0.0
    return (share - 0.6) / 0.3 * 0.5 if share < 0.9 else 0.5 + (share - 0.9) / 0.1 * 2.5


def _value(input: JsonObject, context: Context) -> int:
    return int(number_of(input["salt"], _call_path(context)) * 1000)


def _start(input: JsonObject, context: Context) -> Answer:
    return Answer({"job": f"job-{_value(input, context)}", "tries": 0}, takes=_takes(input, context))


def _status(input: JsonObject, context: Context) -> Answer:
    tries = input["tries"] + 1
    status = "success" if tries >= input["done_at"] else "running"
    return Answer({"tries": tries, "job_status": status}, takes=_takes(input, context))


def _tick(input: JsonObject, context: Context) -> Answer:
    return Answer(_status(input, context).value)


def _work(input: JsonObject, context: Context) -> Answer:
    return Answer({"value": _value(input, context), context.step: True}, takes=_takes(input, context))


def _count(input: JsonObject, context: Context) -> Answer:
    return Answer({"count": input.get("count", 0) + 1}, takes=_takes(input, context))


def _flaky(input: JsonObject, context: Context) -> Answer:
    fails = number_of(input["salt"], _call_path(context), "fails") < 0.45
    return Answer({"value": _value(input, context)}, FLAKY if fails else "", _takes(input, context))


def _item(input: JsonObject, context: Context) -> Answer:
    fails = context.step == "Item" and number_of(input["salt"], _call_path(context), "fails") < 0.1
    value = {"value": input["item"] * 100 + input["position"], "odd": bool(input["item"] % 2)}
    return Answer(value, FLAKY if fails else "", min(0.3, _takes(input, context)))


def _ask(input: JsonObject, context: Context) -> Answer:
    return Answer({}, takes=min(0.5, _takes(input, context)))


def _stuck(input: JsonObject, context: Context) -> Answer:
    return Answer({"late": True}, takes=7.0)


def _slow(input: JsonObject, context: Context) -> Answer:
    """Take longer than the lease, so that the worker has to renew it."""
    return Answer({"slow": True}, takes=3.5 + 2.5 * number_of(input["salt"], "slow"))


FUNCTIONS: dict[str, Callable[[JsonObject, Context], Answer]] = {
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


def report_for(salt: str) -> Answer:
    """Return the report of a callback: success with an output, or a failure."""
    return Answer(
        {"by": f"boss-{int(number_of(salt, 'by') * 100)}"}, REFUSED if number_of(salt, "refuses") < 0.3 else ""
    )
