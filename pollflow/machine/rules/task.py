"""Task: a call, its result or failure, its retries and catches, and reports that come later."""

from __future__ import annotations

from pollflow.fdl.model import JsonObject, TaskStep
from pollflow.machine.data import map_values, step_context
from pollflow.machine.decision import Decision, Report
from pollflow.machine.events import Raised, ReportedFailed, ReportedSucceeded, Returned, Submitted, TimedOut
from pollflow.machine.retry import delay_before_retry, matching_catch, matching_policy
from pollflow.machine.state import Phase
from pollflow.machine.walk import Walk


def returned(walk: Walk, step: TaskStep, event: Returned) -> Decision:
    """The call's result is the step's local."""
    if not isinstance(event.value, dict):
        kind = type(event.value).__name__
        return _failed(walk, step, "FnF.InvalidLocal", f"the result must be a JSON object, not {kind}")
    # A result of any size may come; history keeps none that is over the limit.
    walk.bound(event.value)
    walk.note("TaskSucceeded", output=event.value)
    return walk.leave(event.value)


def raised(walk: Walk, step: TaskStep, event: Raised) -> Decision:
    """The call failed: retried, caught, or the step's failure."""
    return _failed(walk, step, event.error, event.cause, also=event.also)


def submitted(walk: Walk, step: TaskStep, event: Submitted) -> Decision:
    """The call is made; its result does not count, and the step waits for a report."""
    walk.note("TaskSubmitted", **event.detail)
    return walk.goes_on(Report(), phase=Phase.CALLBACK)


def reported_succeeded(walk: Walk, step: TaskStep, event: ReportedSucceeded) -> Decision:
    """The reported output is the step's local."""
    walk.bound(event.output)
    walk.note("TaskSucceeded", output=event.output)
    return walk.leave(event.output)


def reported_failed(walk: Walk, step: TaskStep, event: ReportedFailed) -> Decision:
    """A reported failure is one like any other."""
    return _failed(walk, step, event.error, event.cause)


def timed_out(walk: Walk, step: TaskStep, event: TimedOut) -> Decision:
    """The attempt took longer than it may."""
    cause = f"no result within {step.timeout_seconds:g} seconds"
    return _failed(walk, step, "FnF.TaskTimeout", cause, event_type="TaskTimedOut")


def _failed(
    walk: Walk,
    step: TaskStep,
    error: str,
    cause: str,
    *,
    also: tuple[str, ...] = (),
    event_type: str = "TaskFailed",
) -> Decision:
    walk.note(event_type, error=error, cause=cause, attempt=walk.state.attempt)
    policy = matching_policy(step.retry, (error, *also))
    retries = walk.state.retries or (0,) * len(step.retry)
    if policy is not None and retries[policy] < step.retry[policy].max_attempts:
        delay = delay_before_retry(step.retry[policy], retries[policy])
        attempt = walk.state.attempt + 1
        walk.note("TaskScheduled", resourceArn=step.resource.arn, attempt=attempt, afterSeconds=delay)
        counted = tuple(n + (i == policy) for i, n in enumerate(retries))
        # The wake is made from the state that the retry will find.
        walk.goes_on(Report(), phase=Phase.RETRYING, attempt=attempt, retries=counted)
        return walk.goes_on(walk.awaited(after=delay))
    catch = matching_catch(step.catch, (error, *also))
    if catch is None:
        return walk.fail(error, cause)
    walk.note("StepFailed", error=error, cause=cause, goto=catch.goto)
    return walk.leave_caught(_error_output(walk, step, error, cause), catch.goto)


def _error_output(walk: Walk, step: TaskStep, error: str, cause: str) -> JsonObject:
    if step.error_mappings is None:
        return {}
    context = step_context(step, walk.state.levels[-1], walk.about)
    roots = {"input": walk.input, "local": {"error": error, "cause": cause}, "context": context}
    return map_values(step.error_mappings, roots)
