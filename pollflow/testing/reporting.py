"""Reports in a run: the step that waits for a report, and the event of the report."""

from __future__ import annotations

from collections.abc import Iterator

from pollflow.errors import TaskAlreadyCompleted
from pollflow.fdl.model import Pattern, Step, TaskStep
from pollflow.machine import Event, Phase, ReportedFailed, ReportedSucceeded, Status
from pollflow.machine.callback import task_token
from pollflow.machine.data import step_at
from pollflow.runtime.container import Container
from pollflow.testing.stimuli import ReportFailed, ReportSucceeded

_MAX_EXECUTIONS = 1000


def waiting_token(container: Container, step_name: str) -> str:
    """Return the task token of the frame that has waited longest at the step.

    Raises TaskAlreadyCompleted if no frame waits there.
    """
    waiting = min(_waiting(container, step_name), default=None)
    if waiting is None:
        raise TaskAlreadyCompleted(f"nothing waits for a report at step {step_name!r}")
    return waiting[-1]


def report_event(report: ReportSucceeded | ReportFailed) -> Event:
    """Return the event of a report for the machine."""
    if isinstance(report, ReportSucceeded):
        return ReportedSucceeded(report.output)
    return ReportedFailed(report.error, report.cause)


def _waiting(container: Container, step_name: str) -> Iterator[tuple[float, float, str, str]]:
    reading = container.reading
    for record in reading.executions(flow=None, status=Status.RUNNING, limit=_MAX_EXECUTIONS):
        flow = container.engine.flows.get(record.digest)
        for name, frame in reading.frames(record.ref).items():
            is_called = frame.starts > 0 or frame.state.phase is Phase.CALLBACK
            if is_called and _awaits_report(step_at(flow, frame.state.levels[-1]), step_name):
                yield record.started_at, frame.sent_at, name, task_token(record.info, frame.state)


def _awaits_report(step: Step, name: str) -> bool:
    return isinstance(step, TaskStep) and step.name == name and step.pattern is Pattern.WAIT_FOR_CALLBACK
