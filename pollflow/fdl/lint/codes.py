"""The codes of lint warnings, each with a description. Codes do not change between releases."""

from __future__ import annotations

LINT_CODES: dict[str, str] = {
    "analysis-limit": "the flow is too large for a check, which has stopped",
    "async-invocation": "the step waits for a call with InvocationType Async, and drops its result",
    "choice-falls-through": "a choice has no default, and it is possible that no condition holds",
    "constant-path": "a source looks like a path but is a constant text",
    "duplicate-target": "two mappings of one list have the same target; the later wins",
    "event-limit": "a loop can reach the limit of events before it ends",
    "flow-name": "the definition's name is not the name of the flow",
    "loop-without-bound": "a loop has no bound on its rounds, and the flow has no timeout",
    "loop-without-wait": "a loop has no wait, so it runs as fast as its steps",
    "odd-arn": "a resourceArn is neither a short name nor the ARN of a function or flow",
    "repeated-name": "a step of another series has the same name",
    "short-wait": "a wait in a loop is shorter than a second",
    "task-token": "$context.task.token is read in a step that has none",
    "uncatchable-error": "retry or catch names an error that ends the execution",
    "unknown-context": "a path into $context does not exist",
    "unknown-error": "retry or catch names an error that does not exist, but a similar one does",
    "unknown-function": "no function is registered for a resource",
    "unnamed-status": "a job that ends in a status which no condition names is polled without end",
    "unreachable-step": "no path leads to a step",
    "unset-input": "a path reads a key that the input of its step cannot have",
    "unset-local": "a mapping reads a key of a local that no step sets",
}
