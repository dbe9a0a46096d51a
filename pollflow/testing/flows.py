"""`run_flow`: one run of a flow from Python. In pytest it is the fixture `flow_run`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pollflow.fdl import Flow, load_flow, read_flow
from pollflow.fdl.model import JsonObject
from pollflow.machine import Limits
from pollflow.runtime import arguments
from pollflow.runtime.functions import Functions
from pollflow.runtime.objects import plain_json
from pollflow.testing.replies import Source
from pollflow.testing.result import RunResult
from pollflow.testing.stimuli import STIMULI, Stimulus
from pollflow.testing.virtual import VirtualRun

FlowLike: TypeAlias = Flow | str | os.PathLike[str] | JsonObject
"""A flow, the path of its file, its definition as an object, or its definition as text of more than one line."""


def run_flow(
    flow: FlowLike,
    input: JsonObject | None = None,
    *,
    functions: Functions | Mapping[str, Source] | None = None,
    flows: Mapping[str, FlowLike] | None = None,
    at: Sequence[Stimulus] = (),
    limits: Limits | None = None,
    until: float | None = None,
) -> RunResult:
    """Run a flow in virtual time.

    `functions`: replies or Python functions `(input, context)` by the name of the function, or the registry of an
    application. `flows`: the sub-flows that it may start, by name. `at`: the stimuli. `until`: the virtual
    time in seconds at which the run ends. Raises DefinitionError, InvalidArgument for a file that cannot
    be read, and ConfigurationError if no server is installed.
    """
    if flows is not None:
        arguments.instance("flows", flows, Mapping, "a dict of flows by name")
    others = {name: as_flow(other, f"flows[{arguments.shown(name)}]") for name, other in (flows or {}).items()}
    arguments.items("at", at, STIMULI, "a list of Stop, ReportSucceeded and ReportFailed")
    run = VirtualRun(as_flow(flow), input, functions=functions, flows=others, stimuli=at, limits=limits)
    return run.run(until)


def as_flow(flow: FlowLike, argument: str = "flow") -> Flow:
    """Return the flow of any of these forms. Raises DefinitionError and InvalidArgument."""
    if isinstance(flow, Flow):
        return flow
    if isinstance(flow, dict):
        return read_flow(json.dumps(plain_json(argument, flow)))
    if isinstance(flow, str) and "\n" in flow:
        return read_flow(flow)
    return load_flow(arguments.path(argument, flow))
