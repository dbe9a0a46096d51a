"""The expected result of each execution: the pure machine in virtual time, with the same functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from pollflow import Context, TaskError
from pollflow.fdl import Flow, read_flow
from pollflow.testing import Reply, ReportFailed, ReportSucceeded, RunResult, VirtualRun
from tests.chaos.flows import DEFINITIONS, JsonObject
from tests.chaos.functions import FUNCTIONS, Answer, report_for
from tests.chaos.plan import Planned

_REPORTED_AT = 5.0


@cache
def flows() -> dict[str, Flow]:
    """Return all flows of the load by name. The expected runs have no inline steps, which change no result."""
    return {name: replace(read_flow(text), inline_steps=False) for name, text in DEFINITIONS.items()}


def expected(planned: Planned) -> list[RunResult]:
    """Return the possible runs of an execution: one, or two where a call may end before its time-out.

    The sweep times out a call that runs too long. If Redis is down at that time, the result may arrive first.
    """
    runs = [_run(planned, in_time=False)]
    return [*runs, _run(planned, in_time=True)] if planned.flow == "chaos-timeout" else runs


def _run(planned: Planned, *, in_time: bool) -> RunResult:
    functions = {f"chaos/{name}": _in_virtual_time(answer, in_time) for name, answer in FUNCTIONS.items()}
    run = VirtualRun(
        flows()[planned.flow],
        planned.input,
        functions=functions,
        flows=flows(),
        stimuli=[_report(planned.input["salt"])] if planned.flow == "chaos-callback" else [],
        flow_name=planned.flow,
        execution_name=planned.name,
    )
    return run.run()


def _in_virtual_time(
    answer: Callable[[JsonObject, Context], Answer], in_time: bool
) -> Callable[[JsonObject, Context], Reply]:
    def reply(input: JsonObject, context: Context) -> Reply:
        result = answer(input, context)
        raises = TaskError(result.error, "by its rule") if result.error else None
        return Reply(result.value, raises, takes=0 if in_time else result.takes)

    return reply


def _report(salt: str) -> ReportFailed | ReportSucceeded:
    answer = report_for(salt)
    if answer.error:
        return ReportFailed(_REPORTED_AT, "Ask", answer.error, "by its rule")
    return ReportSucceeded(_REPORTED_AT, "Ask", answer.value)
