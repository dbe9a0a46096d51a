"""`pollflow list, show, history, stop, purge`: inspect and end executions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli import documents
from pollflow.cli.inputs import split_execution
from pollflow.cli.loop_summary import LoopSummary, summarized
from pollflow.cli.options import AsJson, ExecutionName, ProjectFolder, RedisUrl
from pollflow.cli.output import print_json, print_table
from pollflow.cli.session import connected, find_used_location
from pollflow.cli.texts import between, clean, columns, compact, moment, pretty
from pollflow.cli.tracebacks import detail_without, failure_lines, last_failure
from pollflow.cli.tracebacks import lines_of as traceback_lines

if TYPE_CHECKING:
    from pollflow.client import Execution, HistoryEntry


class Status(str, Enum):
    """The status of an execution."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"


OfFlow = Annotated[str | None, typer.Option("--flow", "-f", metavar="FLOW", help="Only executions of this flow.")]
InStatus = Annotated[
    Status | None, typer.Option("--status", "-s", case_sensitive=False, help="Only executions with this status.")
]
Limit = Annotated[int, typer.Option("--limit", "-l", metavar="N", min=1, max=10_000, help="The maximum number.")]
EveryEvent = Annotated[bool, typer.Option("--all", "-a", help="Print every event, also of equal loop iterations.")]
WithTraceback = Annotated[
    bool, typer.Option("--traceback", help="Also print the traceback of the last call that raised an exception.")
]
Full = Annotated[bool, typer.Option("--full", help="Also print the tracebacks of failed calls.")]
Error = Annotated[str, typer.Option("--error", metavar="NAME", help="The name of the error, at most 128 characters.")]
Cause = Annotated[str, typer.Option("--cause", metavar="TEXT", help="The text that explains the error.")]


def list_(
    *,
    flow: OfFlow = None,
    status: InStatus = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """List executions, the latest first."""
    with connected(find_used_location(redis, project)) as session:
        found = session.client.executions(flow=flow, status=status.value if status else None, limit=limit)
        if as_json:
            print_json([documents.of_execution(execution) for execution in found])
            return
        rows = [
            (_name(e), e.status, moment(e.started_at), _took(e), _steps(e), clean(e.error or _last_error(e)))
            for e in found
        ]
    print_table(("EXECUTION", "STATUS", "STARTED", "TOOK", "STEP", "ERROR"), rows, empty="no executions found")


def show(
    execution: ExecutionName,
    with_traceback: WithTraceback = False,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Show the status, step, times, input and output of an execution."""
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        found = session.client.execution(flow, name)
        last_step, count = "", 0
        loops: list[LoopSummary] = []
        for event in summarized(found.events()):
            if isinstance(event, LoopSummary):
                loops.append(event)
                count = event.last_event
                continue
            count = event.id
            if event.type == "StepEntered":
                last_step = event.step
        if as_json:
            print_json({**documents.of_execution(found), "events": count, "last_step": last_step or None})
            return
        _print_execution(found, last_step, count, loops)
        if with_traceback:
            for line in failure_lines(last_failure(found.events())):
                typer.echo(line)


def history(
    execution: ExecutionName,
    every: EveryEvent = False,
    full: Full = False,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Print the events of an execution.

    Each line has the number, time, type, step and detail of an event. A line with the date precedes the first event
    of each day. Equal iterations of a loop are summarized in one line; --all prints every event.
    """
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        events = session.client.execution(flow, name).events()
        if as_json:
            print_json([documents.of_event(event) for event in events])
            return
        for line in lines_of(events if every else summarized(events), full=full):
            typer.echo(line)


def stop(
    *,
    execution: ExecutionName,
    error: Error = "",
    cause: Cause = "",
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Stop a running execution.

    The execution ends with the status Stopped. Its history is kept.
    """
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        stopped = session.client.execution(flow, name).stop(error, cause)
        if as_json:
            print_json(documents.of_execution(stopped))
            return
    typer.echo(f"stopped {execution}")


def purge(execution: ExecutionName, redis: RedisUrl = None, project: ProjectFolder = None) -> None:
    """Delete an ended execution and its history."""
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        session.client.execution(flow, name).purge()
    typer.echo(f"deleted {execution}")


def lines_of(events: Iterable[HistoryEntry | LoopSummary], *, full: bool = False) -> Iterator[str]:
    """Return a line per event, after a line per date, in the time zone of this machine.

    `full`: with the traceback of each failed call.
    """
    date = None
    for event in events:
        if isinstance(event, LoopSummary):
            yield f"        {event}"
            continue
        time = event.time.astimezone()
        if time.date() != date:
            date = time.date()
            yield f"        {date}"
        fields = (time.strftime("%H:%M:%S.%f")[:-3], event.type.ljust(18), clean(event.step).ljust(20))
        yield "  ".join((f"{event.id:>6}", *fields, compact(detail_without(event))))
        if full:
            yield from (f"        {line}" for line in traceback_lines(event))


def _name(execution: Execution) -> str:
    return f"{execution.flow}/{execution.name}"


def _steps(execution: Execution) -> str:
    """Return the first open step with its state, and how many others there are."""
    if not execution.open_steps:
        return ""
    first, *others = execution.open_steps
    text = f"{clean(first.name)} ({first.state.value})"
    return text if not others else f"{text} and {len(others)} more"


def _last_error(execution: Execution) -> str:
    return next((step.last_error for step in execution.open_steps if step.last_error), "")


def _step_lines(execution: Execution) -> Iterator[tuple[str, str]]:
    """Yield a line for each open step: what it does, since when, until when, and on which worker."""
    for step in execution.open_steps:
        parts = [f"attempt {step.attempt}", f"{step.state.value} since {moment(step.since)}"]
        if step.due_at is not None:
            parts.append(f"due {moment(step.due_at)}")
        if step.deadline_at is not None:
            parts.append(f"deadline {moment(step.deadline_at)}")
        if step.worker is not None:
            parts.append(f"on {clean(step.worker)}")
        if step.last_error is not None:
            parts.append(f"last error {clean(step.last_error)}")
        if step.reason is not None:
            parts.append(clean(step.reason))
        yield "open step", f"{clean(step.name)} ({step.type}): {', '.join(parts)}"


def _took(execution: Execution) -> str:
    return between(execution.started_at, execution.ended_at or datetime.now(timezone.utc))


def _print_execution(execution: Execution, last_step: str, count: int, loops: Sequence[LoopSummary]) -> None:
    ended_at = execution.ended_at
    rows = [
        ("execution", _name(execution)),
        ("status", execution.status),
        ("step", clean(last_step) + ("" if ended_at is None else "  (last)")),
        ("started", moment(execution.started_at)),
        ("ended", moment(ended_at) if ended_at is not None else "-"),
        ("took", _took(execution) + ("" if ended_at is not None else " so far")),
        ("events", f"{count:,}"),
        *(("", str(each)) for each in loops),
        *_step_lines(execution),
    ]
    if execution.error is not None:
        rows += [("error", clean(execution.error)), ("cause", clean(execution.cause or ""))]
    for line in columns(rows):
        typer.echo(line)
    for name, value in (("input", execution.input), ("output", execution.output)):
        if value is not None:
            typer.echo(f"{name}\n{pretty(value)}")
