"""Task: the result or failure of a call, retries and catches, and reports."""

from __future__ import annotations

from dataclasses import replace

from pollflow.amounts import duration
from pollflow.fdl.model import JsonObject, TaskStep
from pollflow.machine.data import context_object, map_values
from pollflow.machine.decision import AwaitReport, Decision
from pollflow.machine.events import Raised, ReportedFailed, ReportedSucceeded, Returned, Submitted, TimedOut
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR, shortened
from pollflow.machine.retry import delay_before_retry, matching_catch, matching_policy
from pollflow.machine.state import Phase
from pollflow.machine.step_context import StepContext


def returned(ctx: StepContext, step: TaskStep, event: Returned) -> Decision:
    """End the step with the result of the call as its local."""
    if not isinstance(event.value, dict):
        kind = type(event.value).__name__
        return _failed(ctx, step, "FnF.InvalidLocal", f"the result must be a JSON object, not {kind}")
    # Check the size first: a result over the limit must not enter the history.
    ctx.check_size(event.value)
    ctx.record("TaskSucceeded", output=event.value)
    return ctx.leave(event.value)


def raised(ctx: StepContext, step: TaskStep, event: Raised) -> Decision:
    """Retry the failed call, catch its error, or fail the step."""
    return _failed(ctx, step, event.error, event.cause, also=event.also, traceback=event.traceback)


def submitted(ctx: StepContext, step: TaskStep, event: Submitted) -> Decision:
    """Wait for a report; the result of the call itself is ignored."""
    ctx.record("TaskSubmitted", **event.detail)
    return ctx.stay(AwaitReport(), phase=Phase.CALLBACK)


def reported_succeeded(ctx: StepContext, step: TaskStep, event: ReportedSucceeded) -> Decision:
    """End the step with the reported output as its local."""
    ctx.check_size(event.output)
    ctx.record("TaskSucceeded", by=event.by, output=event.output)
    return ctx.leave(event.output)


def reported_failed(ctx: StepContext, step: TaskStep, event: ReportedFailed) -> Decision:
    """Handle a reported failure like a failed call."""
    return _failed(ctx, step, event.error, event.cause, by=event.by)


def timed_out(ctx: StepContext, step: TaskStep, event: TimedOut) -> Decision:
    """Fail the attempt, which exceeded its timeout."""
    cause = f"no result within {duration(step.timeout_seconds or 0)}"
    return _failed(ctx, step, "FnF.TaskTimeout", cause, event_type="TaskTimedOut")


def _failed(
    ctx: StepContext,
    step: TaskStep,
    error: str,
    cause: str,
    *,
    also: tuple[str, ...] = (),
    traceback: tuple[str, ...] = (),
    event_type: str = "TaskFailed",
    by: str = "",
) -> Decision:
    # A policy may name an error that is longer than the history keeps.
    names = (error, *also)
    error, cause = shortened(error, MAX_ERROR), shortened(cause, MAX_CAUSE)
    shown: JsonObject = {"traceback": list(traceback)} if traceback else {}
    ctx.record(event_type, by=by, error=error, cause=cause, attempt=ctx.state.attempt, **shown)
    policy = matching_policy(step.retry, names)
    retries = ctx.state.retries or (0,) * len(step.retry)
    if policy is not None and retries[policy] < step.retry[policy].max_attempts:
        delay = delay_before_retry(step.retry[policy], retries[policy])
        attempt = ctx.state.attempt + 1
        ctx.record("TaskScheduled", resourceArn=step.resource.arn, attempt=attempt, afterSeconds=delay)
        counted = tuple(n + (i == policy) for i, n in enumerate(retries))
        # The wake depends on the new attempt number, so change the state first.
        ctx.state = replace(ctx.state, phase=Phase.RETRYING, attempt=attempt, retries=counted, last_error=error)
        return ctx.stay(ctx.wake(after=delay))
    catch = matching_catch(step.catch, names)
    if catch is None:
        return ctx.fail(error, cause)
    ctx.record("StepFailed", error=error, cause=cause, goto=catch.goto)
    return ctx.leave_caught(_error_output(ctx, step, error, cause), catch.goto)


def _error_output(ctx: StepContext, step: TaskStep, error: str, cause: str) -> JsonObject:
    if step.error_mappings is None:
        return {}
    context = context_object(step, ctx.state.levels[-1], ctx.info)
    roots = {"input": ctx.input, "local": {"error": error, "cause": cause}, "context": context}
    return map_values(step.error_mappings, roots)
