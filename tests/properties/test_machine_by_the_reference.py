"""Flows without tasks and waits, against an independent interpreter of the data rules in docs/language.md.

The interpreter has no frames, levels or events: it recurses over the definition as parsed from JSON.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pollflow.fdl import read_flow
from pollflow.machine import Status
from pollflow.testing import VirtualRun

KEYS = ("a", "b", "c")
SOURCES = [f"${root}{rest}" for root in ("input", "local") for rest in ("", ".a", ".b", ".c.a")]


class Fails(Exception):
    pass


def interpret(definition: dict[str, Any], input: dict[str, Any]) -> tuple[list[str], Any]:
    """Return the steps in the order entered, and the output, or None for a failure."""
    visited: list[str] = []
    try:
        return visited, run_series(definition["steps"], input, visited)
    except Fails:
        return visited, None


def run_series(steps: list[Any], parent_input: Any, visited: list[str]) -> dict[str, Any]:
    local: dict[str, Any] = {}
    position = 0
    while position < len(steps):
        step = steps[position]
        visited.append(step["name"])
        step_input = {**parent_input, **local}
        if "inputMappings" in step:
            step_input = mapped(step["inputMappings"], parent_input, local)
        own, goto = run_step(step, step_input, visited)
        output = mapped(step["outputMappings"], step_input, own) if "outputMappings" in step else own
        local = {**local, **output}
        if goto is not None:
            position = next(at for at, other in enumerate(steps) if other["name"] == goto)
        elif step.get("end") or step["type"] == "succeed":
            break
        else:
            position += 1
    return local


def run_step(step: dict[str, Any], step_input: Any, visited: list[str]) -> tuple[dict[str, Any], str | None]:
    if step["type"] == "fail":
        raise Fails
    if step["type"] != "choice":
        return {}, None
    for option in [*step["choices"], step.get("default")]:
        if option is not None and holds(option.get("condition"), step_input):
            inner = run_series(option["steps"], step_input, visited) if "steps" in option else {}
            return inner, option.get("goto")
    return {}, None


def holds(condition: str | None, step_input: Any) -> bool:
    if condition is None:
        return True
    path, _, number = condition.partition(" == ")
    value = step_input.get(path[2:])
    return isinstance(value, int) and value == int(number)


def mapped(mappings: list[Any], step_input: Any, local: Any) -> dict[str, Any]:
    result = {}
    for mapping in mappings:
        source = mapping["source"]
        if not isinstance(source, str):
            result[mapping["target"]] = source
            continue
        root, *keys = source[1:].split(".")
        value = step_input if root == "input" else local
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                break
            value = value[key]
        else:
            result[mapping["target"]] = value
    return result


mappings = st.lists(
    st.fixed_dictionaries(
        {"target": st.sampled_from(KEYS), "source": st.integers(0, 2) | st.just({"a": 1}) | st.sampled_from(SOURCES)}
    ),
    max_size=3,
)


@st.composite
def series(draw: Any, names: list[str], depth: int) -> list[dict[str, Any]]:
    own = [f"s{len(names) + number}" for number in range(draw(st.integers(1, 4)))]
    names.extend(own)
    return [draw(steps(position, own, names, depth)) for position in range(len(own))]


@st.composite
def steps(draw: Any, position: int, own: list[str], names: list[str], depth: int) -> dict[str, Any]:
    kinds = ["pass"] * 3 + ["choice"] * 4 * (depth > 0) + ["succeed", "fail"]
    result: dict[str, Any] = {"type": draw(st.sampled_from(kinds)), "name": own[position]}
    for field in ("inputMappings", "outputMappings"):
        if result["type"] != "fail" and draw(st.booleans()):
            result[field] = draw(mappings)
    if result["type"] in ("pass", "choice") and draw(st.integers(0, 5)) == 0:
        result["end"] = True
    if result["type"] == "choice":
        # Only forward gotos: the interpreter has no limit that would end a loop.
        ahead = own[position + 1 :]
        result["choices"] = [draw(options(ahead, names, depth, True)) for _ in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()) or not result["choices"]:
            result["default"] = draw(options(ahead, names, depth, False))
    return result


@st.composite
def options(draw: Any, ahead: list[str], names: list[str], depth: int, conditional: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if conditional:
        result["condition"] = f"$.{draw(st.sampled_from(KEYS))} == {draw(st.integers(0, 2))}"
    if draw(st.integers(0, 3)):
        result["steps"] = draw(series(names, depth - 1))
    if ahead and draw(st.booleans()):
        result["goto"] = draw(st.sampled_from(ahead))
    return result


@settings(max_examples=500)
@given(
    st.builds(lambda steps: {"version": "v1", "type": "flow", "steps": steps}, series([], 3)),
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2) | st.just({"a": 2}), max_size=3),
)
def test_the_machine_agrees_with_the_reference_interpreter(definition: Any, input: Any) -> None:
    result = VirtualRun(read_flow(json.dumps(definition)), input).run()
    steps, output = interpret(definition, input)
    assert (result.steps, result.output) == (steps, output)
    assert result.status is (Status.FAILED if output is None else Status.SUCCEEDED)
