"""Every flow test has the same events, whether steps that call nothing are tasks of their own or inline.

Only the order of events of different branches may differ.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pollflow.fdl import Flow
from pollflow.machine import Status
from pollflow.testing import RunResult, VirtualRun
from pollflow.testing.cases import Case, load_cases

pytestmark = pytest.mark.slow

FLOW_TESTS = sorted((Path(__file__).parents[1] / "flowtests").rglob("*.flowtest.yaml"))
CASES = [case for path in FLOW_TESTS for case in load_cases(path) if case.expected.needs_run]


def run(case: Case, *, inline_steps: bool) -> RunResult:
    def flow_of(flow: Flow) -> Flow:
        return replace(flow, inline_steps=inline_steps)

    return VirtualRun(
        flow_of(case.definition.read()),
        case.input,
        functions=case.functions,
        flows={name: flow_of(definition.read()) for name, definition in case.flows.items()},
        stimuli=case.stimuli,
        limits=case.limits,
        flow_name=case.definition.name,
    ).run(case.until)


def chains(result: RunResult) -> list[str]:
    """Return a digest of each event and all that led to it, whatever other branches did in between."""
    digests = [""]
    for event in result.history:
        content = [digests[event.cause], event.at, event.type, event.step, event.detail, event.by, event.reason]
        digests.append(sha256(json.dumps(content).encode()).hexdigest())
    return sorted(digests)


def has_branches(result: RunResult) -> bool:
    return any(event.type in ("BranchEntered", "IterationEntered") for event in result.history)


@pytest.mark.parametrize("path", FLOW_TESTS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_run_is_the_same_with_inline_steps(path: Path) -> None:
    for case in CASES:
        if Path(case.path) != path:
            continue
        inline, alone = (run(case, inline_steps=each) for each in (True, False))
        # A branch that fails ends the others wherever they are.
        if not (inline.status is Status.FAILED and has_branches(inline)):
            assert chains(inline) == chains(alone), case.name
        assert replace(inline, history=(), calls=()) == replace(alone, history=(), calls=()), case.name
        assert Counter(map(str, inline.calls)) == Counter(map(str, alone.calls)), case.name
