"""Random valid flows in virtual time: histories and wake-ups keep the invariants of the protocol."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pollflow import TaskError
from pollflow.fdl import Flow, Step, read_flow
from pollflow.fdl.expr import Path
from pollflow.fdl.model import ChoiceStep, Series
from pollflow.machine import Limits, Status
from pollflow.machine.data import step_at
from pollflow.store import FrameRecord
from pollflow.testing import Reply, ReportFailed, ReportSucceeded, RunResult, Stop, VirtualRun

LIMITS = Limits(events=400, max_concurrency=3, payload_bytes=4096)
ERRORS = ("E1", "E2", "FnF.TaskTimeout", "FnF.ALL")
KEYS = ("a", "b", "c")
KNOWN_ERRORS = {"E1", "E2", "FC.Unknown", "By hand", "Reported"} | {
    f"FnF.{name}"
    for name in (
        "TaskTimeout",
        "RuntimeError",
        "InvalidLocal",
        "DataLimitExceeded",
        "EventLimitExceeded",
        "ExecutionTimeout",
    )
}

values = st.recursive(
    st.one_of(st.integers(-3, 3), st.booleans(), st.none(), st.sampled_from(("x", "y", "true"))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=3)
paths = st.sampled_from(
    ("$input", "$input.a", "$local.b", "$local[*].a", "$context.step.eventId", "$local", "$input.c[0]")
)
mappings = st.none() | st.lists(
    st.fixed_dictionaries({"target": st.sampled_from(KEYS), "source": values | paths}), max_size=3
)
seconds = st.sampled_from((0, 0.5, 1, 3, 10))
operands = st.sampled_from(("$.a", "$.b", "1", '"x"', "true", "null", "$.a[0]"))
conditions = st.builds(
    lambda one, operator, other: f"{one} {operator} {other}",
    operands,
    st.sampled_from(("==", "!=", "<", ">=", "&&")),
    operands,
)


@st.composite
def policies(draw: Any) -> list[dict[str, Any]]:
    return [
        {
            "errors": [draw(st.sampled_from(ERRORS))],
            "intervalSeconds": draw(st.integers(1, 4)),
            "maxAttempts": draw(st.integers(0, 2)),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]


@st.composite
def series(draw: Any, names: list[str], depth: int) -> list[dict[str, Any]]:
    """Generate a series. Its gotos may lead to any of its steps, so some flows loop until they are stopped."""
    count = draw(st.integers(1, 3))
    own = [f"s{len(names) + number}" for number in range(count)]
    names.extend(own)
    return [draw(steps(name, own, names, depth)) for name in own]


@st.composite
def steps(draw: Any, name: str, own: list[str], names: list[str], depth: int) -> dict[str, Any]:
    kinds = ["task", "task", "pass", "wait", "choice", "succeed", "fail"]
    kind = draw(st.sampled_from(kinds + (["choice", "parallel", "foreach"] if depth else [])))
    made: dict[str, Any] = {"type": kind, "name": name}
    for field in ("inputMappings", "outputMappings"):
        if kind != "fail" and (drawn := draw(mappings)) is not None:
            made[field] = drawn
    if kind not in ("succeed", "fail") and draw(st.integers(0, 7)) == 0:
        made["end"] = True
    made.update(draw(_fields(kind, own, names, depth)))
    return made


@st.composite
def _fields(draw: Any, kind: str, own: list[str], names: list[str], depth: int) -> dict[str, Any]:
    if kind == "task":
        made: dict[str, Any] = {"resourceArn": f"acs:fc:::services/s/functions/f{draw(st.integers(0, 2))}"}
        made["retry"] = draw(policies())
        if draw(st.booleans()):
            made["catch"] = [{"errors": [draw(st.sampled_from(ERRORS))], "goto": draw(st.sampled_from(own))}]
        if draw(st.integers(0, 2)) == 0:
            made["timeoutSeconds"] = draw(st.integers(1, 4))
        if draw(st.integers(0, 4)) == 0:
            made["pattern"] = "waitForCallback"
        return made
    if kind == "wait":
        return {"duration": draw(seconds | st.just("$.a"))}
    if kind == "choice":
        return {"choices": [draw(options(own, names, depth, True)) for _ in range(draw(st.integers(0, 2)))]} | (
            {"default": draw(options(own, names, depth, False))} if draw(st.booleans()) else {"choices": []}
        )
    if kind == "parallel":
        return {"branches": [{"steps": draw(series(names, depth - 1))} for _ in range(draw(st.integers(1, 3)))]}
    if kind == "foreach":
        return {
            "iterationMapping": {"collection": draw(st.sampled_from(("$.list", "$.a"))), "item": "a", "index": "b"},
            "steps": draw(series(names, depth - 1)),
        }
    return {"error": "E1"} if kind == "fail" else {}


@st.composite
def options(draw: Any, own: list[str], names: list[str], depth: int, conditional: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"condition": draw(conditions)} if conditional else {}
    if depth and draw(st.booleans()):
        made["steps"] = draw(series(names, depth - 1))
    if draw(st.integers(0, 2)) == 0:
        made["goto"] = draw(st.sampled_from(own))
    return made


@st.composite
def flows(draw: Any) -> Flow:
    made: dict[str, Any] = {"version": "v1", "type": "flow", "steps": draw(series([], 2))}
    if draw(st.booleans()):
        made["timeoutSeconds"] = draw(st.integers(1, 60))
    return read_flow(json.dumps(made))


replies = st.builds(
    Reply,
    returns=objects | st.just([1]),
    raises=st.none() | st.sampled_from((TaskError("E1", "why"), TaskError("E2"))),
    lost=st.integers(0, 5).map(lambda n: n == 0),
    takes=seconds,
)
functions = st.fixed_dictionaries({f"f{n}": st.lists(replies, min_size=1, max_size=3) for n in range(3)})
stimuli = st.lists(
    st.one_of(
        st.builds(ReportSucceeded, seconds, st.sampled_from([f"s{n}" for n in range(6)]), objects),
        st.builds(ReportFailed, seconds, st.sampled_from([f"s{n}" for n in range(6)]), st.just("Reported")),
        st.builds(Stop, st.sampled_from((5, 30)), st.just("By hand")),
    ),
    max_size=3,
)
inputs = objects.map(lambda input: {**input, "list": [1, 2, 3, 4]})
thorough = settings(max_examples=100)


class ObservedRun(VirtualRun):
    """Keep the frames that are open at the end."""

    frames: Mapping[str, FrameRecord]

    def _result(self, until: float | None) -> RunResult:
        self.frames = self._container.reading.frames(self._ref)
        return super()._result(until)


def run_of(flow: Flow, input: Any, answers: Any, actions: Any) -> tuple[ObservedRun, RunResult]:
    run = ObservedRun(flow, input, functions=answers, stimuli=actions, limits=LIMITS)
    return run, run.run()


@thorough
@given(flows(), inputs, functions, stimuli)
def test_a_repeated_run_has_the_same_history(flow: Flow, input: Any, answers: Any, actions: Any) -> None:
    assert run_of(flow, input, answers, actions)[1] == run_of(flow, input, answers, actions)[1]


@thorough
@given(flows(), inputs, functions, stimuli)
def test_history_has_no_gap_and_one_end(flow: Flow, input: Any, answers: Any, actions: Any) -> None:
    _, result = run_of(flow, input, answers, actions)
    history = result.history
    assert [event.id for event in history] == list(range(1, len(history) + 1))
    assert [event.cause for event in history[:1]] == [0]
    assert all(0 < event.cause < event.id for event in history[1:])
    assert all(one.at <= other.at for one, other in itertools.pairwise(history))
    ends = [event.type for event in history if event.type.startswith("Execution")][1:]
    assert ends == ([f"Execution{result.status.value}"] if result.status.ended else [])
    assert not result.status.ended or history[-1].type == ends[0]
    json.dumps([event.detail for event in history], allow_nan=False)


@thorough
@given(flows(), inputs, functions, stimuli)
def test_a_succeeded_execution_has_exited_every_step(flow: Flow, input: Any, answers: Any, actions: Any) -> None:
    _, result = run_of(flow, input, answers, actions)
    kinds = Counter(event.type for event in result.history)
    assert kinds["StepExited"] <= kinds["StepEntered"]
    if result.status is Status.SUCCEEDED:
        for subject in ("Step", "Branch", "Iteration"):
            assert kinds[f"{subject}Entered"] == kinds[f"{subject}Exited"]
        assert isinstance(result.output, dict) and result.error is None
    elif result.status.ended:
        assert result.output is None and result.error in KNOWN_ERRORS


@thorough
@given(flows(), inputs, functions, stimuli)
def test_every_open_frame_has_a_wake_up(flow: Flow, input: Any, answers: Any, actions: Any) -> None:
    run, result = run_of(flow, input, answers, actions)
    if result.status.ended:
        return
    assert run.frames
    for name, frame in run.frames.items():
        if frame.kind == "children":
            assert frame.join is not None and frame.join.open > 0
            assert any(child.startswith(f"{name}.{frame.state.entry}.") for child in run.frames)
        else:
            assert frame.kind == "report" and frame.deadline is None


@thorough
@given(flows(), inputs, functions)
def test_a_step_knows_the_number_of_the_event_that_entered_it(flow: Flow, input: Any, answers: Any) -> None:
    _, result = run_of(flow, input, answers, ())
    targets_of = {
        step.name: targets for each in flow.series.values() for step in each.steps if (targets := _ids_of(step))
    }
    for event in result.history:
        if event.type == "StepStarted":
            assert all(event.detail["input"][target] == event.id - 1 for target in targets_of.get(event.step, ()))


@thorough
@given(flows(), inputs, functions)
def test_a_step_that_is_visited_again_is_a_looping_step(flow: Flow, input: Any, answers: Any) -> None:
    run, result = run_of(flow, input, answers, ())
    visits = Counter(event.step for event in result.history if event.type == "StepEntered")
    looping = {flow.series[place.series].steps[place.position].name for place in flow.looping}
    for step in _steps_of_one_frame(flow.steps):
        assert visits[step.name] <= 1 or step.name in looping
    if "r" in run.frames:
        assert run.frames["r"].state.visit == visits[step_at(flow, run.frames["r"].state.levels[-1]).name]


def _steps_of_one_frame(series: Series) -> Iterator[Step]:
    for step in series.steps:
        yield step
        if isinstance(step, ChoiceStep):
            for option in (*step.choices, step.default):
                if option is not None and option.steps is not None:
                    yield from _steps_of_one_frame(option.steps)


def _ids_of(step: Step) -> list[str]:
    """Return the input keys that hold the id of the StepEntered event. The last mapping of a key wins."""
    sources = {mapping.target: mapping.source for mapping in step.input_mappings or ()}
    return [key for key, source in sources.items() if isinstance(source, Path) and source.text.endswith("eventId")]
