"""`pollflow list, show, history, stop, purge`: inspect and end executions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli import documents, open_steps
from pollflow.cli.inputs import split_execution
from pollflow.cli.loop_summary import LoopSummary, summarized
from pollflow.cli.options import AsJson, By, ExecutionName, ProjectFolder, RedisUrl, Unmask, valid_statuses
from pollflow.cli.output import print_json, write_line, write_lines
from pollflow.cli.session import connected, find_used_location
from pollflow.cli.tables import Column, print_table, wrapped_rows
from pollflow.cli.texts import between, compact, moment, pretty
from pollflow.cli.tracebacks import detail_without, failure_lines, last_failure
from pollflow.cli.tracebacks import lines_of as traceback_lines
from pollflow.client.filters import STATUSES
from pollflow.errors import FlowNotExists
from pollflow.fdl import ANY_SIZE, ANY_WAIT, Flow, read_flow
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import Execution, HistoryEntry


Flows = Annotated[
    list[str] | None,
    typer.Option("--flow", "-f", metavar="FLOW", help="Only executions of this flow. Repeat it for several flows."),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        "-s",
        metavar="STATUS",
        callback=valid_statuses,
        help=f"Only executions with this status: {', '.join(STATUSES)}. Repeat it for several.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-l", metavar="N", min=1, max=10_000, help="The maximum number.")]
EveryEvent = Annotated[bool, typer.Option("--all", "-a", help="Print every event, also of repeated loop iterations.")]
COLUMNS = (
    Column("EXECUTION"),
    Column("STATUS"),
    Column("STARTED", drop=1),
    Column("TOOK", drop=2),
    Column("STEP", drop=3, least=12),
    Column("ERROR", drop=4, least=12),
)
"""The columns of `list`. `docs/cli.md` documents the order in which a narrow terminal drops them."""
WithTraceback = Annotated[
    bool, typer.Option("--traceback", help="Also print the traceback of the last call that raised an exception.")
]
Full = Annotated[bool, typer.Option("--full", help="Also print the tracebacks of failed calls.")]
Error = Annotated[str, typer.Option("--error", metavar="NAME", help="The name of the error, at most 128 characters.")]
Cause = Annotated[str, typer.Option("--cause", metavar="TEXT", help="The text that explains the error.")]


def list_(
    *,
    flow: Flows = None,
    status: Statuses = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """List executions, the latest first."""
    with connected(find_used_location(redis, project)) as session:
        found = session.client.executions(flow=flow or None, status=status or None, limit=limit)
        for name in set(flow or ()) - {execution.flow for execution in found}:
            session.client.flow(name)  # raises FlowNotExists for an unknown name
        found = [session.shown(execution, is_unmasked=unmask) for execution in found]
        if as_json:
            print_json([documents.of_execution(execution) for execution in found])
            return
        rows = [
            (_name(e), e.status, moment(e.started_at), _took(e), open_steps.summary_of(e), _error(e)) for e in found
        ]
    print_table(COLUMNS, rows, empty="no executions found")


def show(
    *,
    execution: ExecutionName,
    with_traceback: WithTraceback = False,
    as_json: AsJson = False,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Show the status, step, times, input and output of an execution."""
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        found = session.shown(session.client.execution(flow, name), is_unmasked=unmask)
        last_step, count = "", 0
        loops: list[LoopSummary] = []
        for event in summarized(found.events(), flow_of(found)):
            if isinstance(event, LoopSummary):
                loops.append(event)
                count = event.last_event
                continue
            count = event.id
            if event.type == "StepEntered":
                last_step = event.step
        found = session.shown(found, is_unmasked=unmask)
        if as_json:
            # Raises DamagedRecord before an incomplete document is printed.
            _ = (found.input, found.output, found.cause)
            last = {} if found.ended_at is None else {"last_step": last_step}
            print_json({**documents.of_execution(found), "events": count, **last})
            return
        _print_execution(found, last_step, count, loops)
        if with_traceback:
            for line in failure_lines(last_failure(found.events())):
                write_line(line)


def history(
    *,
    execution: ExecutionName,
    every: EveryEvent = False,
    full: Full = False,
    as_json: AsJson = False,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Print the events of an execution.

    Each line has the number, time, type, step and detail of an event. A line with the date precedes the first event
    of each day. Iterations of a loop with the same events and outcomes are summarized in one line; failures, retries
    and timeouts never are. --all prints every event.
    """
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        found = session.shown(session.client.execution(flow, name), is_unmasked=unmask)
        events = found.events()
        if as_json:
            print_json([documents.of_event(event) for event in events])
            return
        for line in lines_of(events if every else summarized(events, flow_of(found)), full=full):
            write_line(line)


def stop(
    *,
    execution: ExecutionName,
    error: Error = "",
    cause: Cause = "",
    by: By = None,
    as_json: AsJson = False,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Stop a running execution.

    The execution ends with the status Stopped. Its history is kept.
    """
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        stopped = session.client.execution(flow, name).stop(error, cause, by=by)
        stopped = session.shown(stopped, is_unmasked=unmask)
        if as_json:
            print_json(documents.of_execution(stopped))
            return
    write_line(f"stopped {execution}")


def purge(*, execution: ExecutionName, by: By = None, redis: RedisUrl = None, project: ProjectFolder = None) -> None:
    """Delete an ended execution and its history."""
    flow, name = split_execution(execution)
    with connected(find_used_location(redis, project)) as session:
        session.client.execution(flow, name).purge(by=by)
    write_line(f"deleted {execution}")


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
        by = (f"by {clean(event.by)}",) if event.by else ()
        yield "  ".join((f"{event.id:>6}", *fields, compact(detail_without(event)), *by))
        if full:
            yield from (f"        {line}" for line in traceback_lines(event))


def flow_of(execution: Execution) -> Flow | None:
    """Return the flow that an execution runs on; None if Redis has lost its definition."""
    try:
        return read_flow(execution.definition, max_wait_seconds=ANY_WAIT, max_bytes=ANY_SIZE)
    except FlowNotExists:
        return None


def _name(execution: Execution) -> str:
    return f"{execution.flow}/{execution.name}"


def _error(execution: Execution) -> str:
    damaged = execution.description.damaged
    if damaged:
        return f"{', '.join(damaged)} cannot be read"
    return execution.error or open_steps.last_error_of(execution)


def _took(execution: Execution) -> str:
    return between(execution.started_at, execution.ended_at or datetime.now(timezone.utc))


def _print_execution(execution: Execution, last_step: str, count: int, loops: Sequence[LoopSummary]) -> None:
    ended_at = execution.ended_at
    rows = [("execution", _name(execution)), ("status", execution.status), ("started", moment(execution.started_at))]
    if ended_at is not None:
        rows += [("ended", moment(ended_at)), ("last step", clean(last_step))]
    rows.append(("took", _took(execution) + ("" if ended_at is not None else " so far")))
    rows.append(("events", f"{count:,}"))
    rows += [("", str(each)) for each in loops]
    rows += open_steps.lines_of(execution)
    if execution.error is not None:
        rows += [("error", clean(execution.error)), ("cause", clean(execution.cause or ""))]
    for line in wrapped_rows(rows):
        write_line(line)
    for name, value in (("input", execution.input), ("output", execution.output)):
        if value is not None:
            write_lines(f"{name}\n{pretty(value)}")
