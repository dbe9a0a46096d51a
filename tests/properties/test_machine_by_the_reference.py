"""Flows without time against an interpreter of their own: sections 2 and 3 of the reference, written a second time.

It knows nothing of frames, levels and events; it walks the definition as parsed from JSON and recurses.
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


def interpret(definition: dict[str, Any], given_input: dict[str, Any]) -> tuple[list[str], Any]:
    """Return the steps in the order entered, and the output, or None for a failure."""
    visited: list[str] = []
    try:
        return visited, run_series(definition["steps"], given_input, visited)
    except Fails:
        return visited, None


def run_series(steps: list[Any], parent_input: Any, visited: list[str]) -> dict[str, Any]:
    local: dict[str, Any] = {}
    position = 0
    while position < len(steps):
        step = steps[position]
        visited.append(step["name"])
        taken = {**parent_input, **local}
        if "inputMappings" in step:
            taken = mapped(step["inputMappings"], parent_input, local)
        own, goto = run_step(step, taken, visited)
        output = mapped(step["outputMappings"], taken, own) if "outputMappings" in step else own
        local = {**local, **output}
        if goto is not None:
            position = next(at for at, other in enumerate(steps) if other["name"] == goto)
        elif step.get("end") or step["type"] == "succeed":
            break
        else:
            position += 1
    return local


def run_step(step: dict[str, Any], taken: Any, visited: list[str]) -> tuple[dict[str, Any], str | None]:
    if step["type"] == "fail":
        raise Fails
    if step["type"] != "choice":
        return {}, None
    for option in [*step["choices"], step.get("default")]:
        if option is not None and holds(option.get("condition"), taken):
            inner = run_series(option["steps"], taken, visited) if "steps" in option else {}
            return inner, option.get("goto")
    return {}, None


def holds(condition: str | None, taken: Any) -> bool:
    if condition is None:
        return True
    path, _, number = condition.partition(" == ")
    value = taken.get(path[2:])
    return isinstance(value, int) and value == int(number)


def mapped(mappings: list[Any], input_: Any, local: Any) -> dict[str, Any]:
    made = {}
    for mapping in mappings:
        source = mapping["source"]
        if not isinstance(source, str):
            made[mapping["target"]] = source
            continue
        root, *keys = source[1:].split(".")
        value = input_ if root == "input" else local
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                break
            value = value[key]
        else:
            made[mapping["target"]] = value
    return made


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
    made: dict[str, Any] = {"type": draw(st.sampled_from(kinds)), "name": own[position]}
    for field in ("inputMappings", "outputMappings"):
        if made["type"] != "fail" and draw(st.booleans()):
            made[field] = draw(mappings)
    if made["type"] in ("pass", "choice") and draw(st.integers(0, 5)) == 0:
        made["end"] = True
    if made["type"] == "choice":
        # Only ahead: the interpreter has no clock and no limit that would end a loop.
        ahead = own[position + 1 :]
        made["choices"] = [draw(options(ahead, names, depth, True)) for _ in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()) or not made["choices"]:
            made["default"] = draw(options(ahead, names, depth, False))
    return made


@st.composite
def options(draw: Any, ahead: list[str], names: list[str], depth: int, conditional: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if conditional:
        made["condition"] = f"$.{draw(st.sampled_from(KEYS))} == {draw(st.integers(0, 2))}"
    if draw(st.integers(0, 3)):
        made["steps"] = draw(series(names, depth - 1))
    if ahead and draw(st.booleans()):
        made["goto"] = draw(st.sampled_from(ahead))
    return made


@settings(max_examples=500, deadline=None)
@given(
    st.builds(lambda steps: {"version": "v1", "type": "flow", "steps": steps}, series([], 3)),
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2) | st.just({"a": 2}), max_size=3),
)
def test_the_machine_agrees_with_the_reference_interpreter(definition: Any, input: Any) -> None:
    result = VirtualRun(read_flow(json.dumps(definition)), input).run()
    steps, output = interpret(definition, input)
    assert (result.steps, result.output) == (steps, output)
    assert result.status is (Status.FAILED if output is None else Status.SUCCEEDED)
