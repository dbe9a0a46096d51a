"""The flows of the load, one of each kind, with their share of the executions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.flows import EACH_PASS

JsonObject = dict[str, Any]

CHILD = "chaos-child"

_FUNCTION = "acs:fc:::services/chaos/functions/"

POLLING = f"""
version: v1
type: flow
steps:
  - {{type: task, name: Start, resourceArn: "{_FUNCTION}start"}}
  - {{type: wait, name: Wait, duration: $.wait}}
  - {{type: task, name: Status, resourceArn: "{_FUNCTION}status"}}
  - type: choice
    name: Check
    choices:
      - {{condition: '$.job_status == "running"', goto: Wait}}
  - {{type: succeed, name: Done}}
"""

PARALLEL = f"""
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps:
          - {{type: task, name: Left, resourceArn: "{_FUNCTION}work"}}
          - {{type: wait, name: Pause, duration: $.wait}}
          - {{type: task, name: LeftAgain, resourceArn: "{_FUNCTION}work"}}
      - steps:
          - {{type: task, name: Middle, resourceArn: "{_FUNCTION}work"}}
      - steps:
          - {{type: pass, name: Nothing, outputMappings: [{{target: value, source: 7}}]}}
          - type: task
            name: Right
            resourceArn: "{_FUNCTION}flaky"
            retry: [{{errors: [Chaos.Flaky], intervalSeconds: 1, maxAttempts: 20, multiplier: 1}}]
    outputMappings: [{{target: values, source: "$local[*].value"}}]
  - {{type: task, name: After, resourceArn: "{_FUNCTION}work"}}
"""

FOREACH = f"""
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {{collection: $.items, item: item, index: position}}
    steps:
      - type: task
        name: Item
        resourceArn: "{_FUNCTION}item"
        retry: [{{errors: [Chaos.Flaky], intervalSeconds: 1, maxAttempts: 20, multiplier: 1}}]
      - type: choice
        name: Odd
        choices:
          - condition: $.odd
            steps:
              - {{type: wait, name: Pause, duration: 0.5}}
              - {{type: task, name: Again, resourceArn: "{_FUNCTION}item"}}
    outputMappings: [{{target: values, source: "$local[*].value"}}]
"""

RETRY = f"""
version: v1
type: flow
steps:
  - type: task
    name: Flaky
    resourceArn: "{_FUNCTION}flaky"
    retry: [{{errors: [Chaos.Flaky], intervalSeconds: 1, maxAttempts: 2, multiplier: 1.5}}]
    catch: [{{errors: [FnF.ALL], goto: Handled}}]
    errorMappings:
      - {{target: error, source: $local.error}}
      - {{target: cause, source: $local.cause}}
  - {{type: task, name: Fine, resourceArn: "{_FUNCTION}work", end: true}}
  - {{type: task, name: Handled, resourceArn: "{_FUNCTION}work"}}
"""

CHOICE = f"""
version: v1
type: flow
steps:
  - {{type: task, name: Count, resourceArn: "{_FUNCTION}count"}}
  - type: choice
    name: Outer
    choices:
      - condition: $.count < $.rounds
        steps:
          - type: choice
            name: Inner
            choices:
              - condition: $.count % 2 == 0
                steps:
                  - {{type: task, name: Even, resourceArn: "{_FUNCTION}work"}}
            default:
              steps:
                - {{type: wait, name: Odd, duration: 1}}
        goto: Count
    default:
      steps:
        - {{type: pass, name: Enough, outputMappings: [{{target: enough, source: true}}]}}
  - type: choice
    name: Fails
    choices:
      - {{condition: $.fails, goto: Failed}}
  - {{type: succeed, name: Done}}
  - {{type: fail, name: Failed, error: Chaos.Wanted, cause: the input asked for it}}
"""

CALLBACK = f"""
version: v1
type: flow
steps:
  - type: task
    name: Ask
    resourceArn: "{_FUNCTION}ask"
    pattern: waitForCallback
    inputMappings:
      - {{target: salt, source: $input.salt}}
      - {{target: token, source: $context.task.token}}
    catch: [{{errors: [Chaos.Refused], goto: Refused}}]
    errorMappings: [{{target: refused, source: $local.cause}}]
  - {{type: task, name: Granted, resourceArn: "{_FUNCTION}work", end: true}}
  - {{type: task, name: Refused, resourceArn: "{_FUNCTION}work"}}
"""

SUB_FLOW = f"""
version: v1
type: flow
steps:
  - type: task
    name: Child
    resourceArn: acs:fnf:::flow/{CHILD}
    pattern: sync
    serviceParams: {{Input: $}}
    catch: [{{errors: [Chaos.Wanted], goto: Failed}}]
    errorMappings: [{{target: error, source: $local.error}}]
  - {{type: task, name: Succeeded, resourceArn: "{_FUNCTION}work", end: true}}
  - {{type: task, name: Failed, resourceArn: "{_FUNCTION}work"}}
"""

CHILD_FLOW = f"""
version: v1
type: flow
steps:
  - {{type: task, name: First, resourceArn: "{_FUNCTION}work"}}
  - {{type: wait, name: Wait, duration: $.wait}}
  - type: choice
    name: Fails
    choices:
      - {{condition: $.fails, goto: Failed}}
  - {{type: task, name: Second, resourceArn: "{_FUNCTION}work", end: true}}
  - {{type: fail, name: Failed, error: Chaos.Wanted, cause: the input asked for it}}
"""

TIMEOUT = f"""
version: v1
type: flow
steps:
  - type: task
    name: Stuck
    resourceArn: "{_FUNCTION}stuck"
    timeoutSeconds: 2
    catch: [{{errors: [FnF.TaskTimeout], goto: TimedOut}}]
    errorMappings: [{{target: error, source: $local.error}}]
  - {{type: pass, name: InTime, end: true}}
  - {{type: task, name: TimedOut, resourceArn: "{_FUNCTION}work"}}
"""

SLOW = f"""
version: v1
type: flow
steps:
  - {{type: task, name: Slow, resourceArn: "{_FUNCTION}slow"}}
  - {{type: task, name: After, resourceArn: "{_FUNCTION}work"}}
"""

LONG_WAIT = f"""
version: v1
type: flow
steps:
  - {{type: task, name: Before, resourceArn: "{_FUNCTION}work"}}
  - {{type: wait, name: Long, duration: $.wait}}
  - {{type: task, name: After, resourceArn: "{_FUNCTION}work"}}
"""

DAY = f"""
version: v1
type: flow
steps:
  - {{type: pass, name: Start, outputMappings: [{{target: tries, source: 0}}]}}
  - {{type: wait, name: Wait, duration: 0}}
  - {{type: task, name: Status, resourceArn: "{_FUNCTION}tick"}}
  - type: choice
    name: Check
    choices:
      - {{condition: '$.job_status == "running"', goto: Wait}}
  - {{type: succeed, name: Done}}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of flow: its definition, its share of the load, and its input."""

    definition: str
    weight: int
    input: Callable[[random.Random], JsonObject]


def _half_seconds(dice: random.Random, low: float, high: float) -> float:
    return dice.randint(round(low * 2), round(high * 2)) / 2


def _inline(definition: str) -> str:
    return definition.replace("type: flow\n", "type: flow\ninlineSteps: true\n", 1)


_ALONE = {
    "chaos-polling": Kind(POLLING, 16, lambda d: {"wait": _half_seconds(d, 1, 4), "done_at": d.randint(2, 6)}),
    "chaos-parallel": Kind(PARALLEL, 8, lambda d: {"wait": _half_seconds(d, 0.5, 3)}),
    "chaos-foreach": Kind(FOREACH, 5, lambda d: {"items": [d.randint(0, 99) for _ in range(d.randint(5, 30))]}),
    "chaos-retry": Kind(RETRY, 12, lambda d: {}),
    "chaos-choice": Kind(CHOICE, 6, lambda d: {"rounds": d.randint(1, 5), "fails": d.random() < 0.3}),
    "chaos-callback": Kind(CALLBACK, 8, lambda d: {}),
    "chaos-sub-flow": Kind(SUB_FLOW, 8, lambda d: {"wait": _half_seconds(d, 0.5, 3), "fails": d.random() < 0.3}),
    "chaos-timeout": Kind(TIMEOUT, 4, lambda d: {}),
    "chaos-slow": Kind(SLOW, 6, lambda d: {}),
    "chaos-long-wait": Kind(LONG_WAIT, 8, lambda d: {"wait": _half_seconds(d, 8, 25)}),
}
KINDS = _ALONE | {
    f"{name}-inline": replace(_ALONE[name], definition=_inline(_ALONE[name].definition), weight=weight)
    for name, weight in (("chaos-polling", 8), ("chaos-parallel", 4), ("chaos-foreach", 3), ("chaos-choice", 4))
}

GIANTS: dict[str, JsonObject] = {"chaos-large-map": {"items": [0] * 10_000}, "chaos-day": {"done_at": 8_667}}
"""The largest executions, one of each in a long run: ten thousand iterations, and 130,000 events."""

DEFINITIONS = {name: kind.definition for name, kind in KINDS.items()} | {
    CHILD: CHILD_FLOW,
    "chaos-large-map": EACH_PASS,
    "chaos-day": DAY,
}
