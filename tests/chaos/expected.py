"""The expected result of each execution: the pure machine in virtual time, with the same functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pollflow import Context, TaskError
from pollflow.fdl import Flow, read_flow
from pollflow.testing import Reply, ReportFailed, ReportSucceeded, RunResult, VirtualRun
from tests.chaos.flows import DEFINITIONS, Given
from tests.chaos.functions import FUNCTIONS, Answer, report_on
from tests.chaos.plan import Planned

_REPORTED_AT = 5.0


@cache
def flows() -> dict[str, Flow]:
    """Return all flows of the load by name."""
    return {name: read_flow(text) for name, text in DEFINITIONS.items()}


def expected(planned: Planned) -> list[RunResult]:
    """The runs that an execution may come to: one, and a second where a call may beat its time-out.

    A call that runs too long is timed out by the sweep; if Redis was away at that moment its result may come first.
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


def _in_virtual_time(answer: Callable[[Given, Context], Answer], in_time: bool) -> Callable[[Given, Context], Reply]:
    def reply(input: Given, context: Context) -> Reply:
        answered = answer(input, context)
        raises = TaskError(answered.error, "by its rule") if answered.error else None
        return Reply(answered.value, raises, takes=0 if in_time else answered.takes)

    return reply


def _report(salt: str) -> ReportFailed | ReportSucceeded:
    answer = report_on(salt)
    if answer.error:
        return ReportFailed(_REPORTED_AT, "Ask", answer.error, "by its rule")
    return ReportSucceeded(_REPORTED_AT, "Ask", answer.value)
