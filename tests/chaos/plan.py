"""The executions and the faults with their times, derived from the seed without reading a clock."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.chaos.flows import GIANTS, KINDS, JsonObject

_STOPPED_SHARE = 0.04
_LONG_RUN, _GIANTS_AT = 1000, 20
_FIRST_FAULT_AT, _QUIET_SECONDS = 3.0, 4.0
_MEAN_GAP, _SHORTEST_GAP, _LONGEST_GAP = 5.0, 3.4, 6.6


@dataclass(frozen=True, slots=True)
class Planned:
    """An execution that the load starts. The load stops it `stop_after` seconds after the acknowledged start."""

    flow: str
    name: str
    input: JsonObject
    stop_after: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at` seconds after the first start.

    `target` selects a process. `length`, from 0 to 1, scales the duration between the limits of the kind. `count`
    scales the number of messages.
    """

    at: float
    kind: str
    target: int
    length: float
    count: int


FAULTS = {
    "kill worker": 20,
    "kill pool child": 14,
    "kill beat": 6,
    "kill client": 8,
    "stop worker": 10,
    "stop main process": 3,
    "kill redis": 8,
    "freeze redis": 6,
    "cut connections": 8,
    "drop messages": 7,
    "duplicate messages": 7,
    "skew countdowns": 6,
    "fill redis": 5,
}
"""The relative frequency of each kind of fault."""


def executions(seed: int, count: int) -> list[Planned]:
    """Return the executions in the order of their starts."""
    dice = random.Random(f"{seed}/executions")
    names, weights = list(KINDS), [kind.weight for kind in KINDS.values()]
    planned = []
    for number in range(count):
        flow = dice.choices(names, weights)[0]
        input = {"salt": f"{seed}-{number}", **KINDS[flow].input(dice)}
        stop_after = dice.uniform(0.3, 5) if dice.random() < _STOPPED_SHARE else None
        planned.append(Planned(flow, f"e{number}", input, stop_after))
    if count >= _LONG_RUN:
        giants = [Planned(flow, flow, {"salt": f"{seed}-{flow}", **input}, None) for flow, input in GIANTS.items()]
        planned[_GIANTS_AT:_GIANTS_AT] = giants
    return planned


def faults(seed: int, duration: float, frequent: str = "") -> list[Fault]:
    """Return the faults of a run in the order of their times, one per five seconds whatever the seed.

    Each kind occurs once, then kinds occur by weight. The kind `frequent` has four times its weight.
    """
    weights = [weight * (4 if kind == frequent else 1) for kind, weight in FAULTS.items()]
    dice = random.Random(f"{seed}/faults")
    first = list(FAULTS)
    dice.shuffle(first)
    span = duration - _QUIET_SECONDS - _FIRST_FAULT_AT
    gaps = [dice.uniform(_SHORTEST_GAP, _LONGEST_GAP) for _ in range(int(span / _MEAN_GAP))]
    scale = span / sum(gaps) if gaps else 0
    planned: list[Fault] = []
    at = _FIRST_FAULT_AT
    for gap in [*gaps, 0]:
        kind = first.pop() if first else dice.choices(list(FAULTS), weights)[0]
        planned.append(Fault(round(at, 2), kind, dice.randrange(2**16), round(dice.random(), 3), dice.randint(2, 6)))
        at += gap * scale
    return planned
