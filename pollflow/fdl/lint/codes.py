"""The codes of lint's warnings, which do not change between releases, each with what it says."""

from __future__ import annotations

LINT_CODES: dict[str, str] = {
    "async-invocation": "InvocationType Async is waited for here, and its result is dropped",
    "choice-falls-through": "a choice has no default, and it can happen that none of its conditions holds",
    "constant-path": "a source looks like a path but is a constant text",
    "duplicate-target": "two mappings of one list have the same target; the later wins",
    "event-limit": "a loop can meet the limit of events before it ends",
    "flow-name": "the definition's name is not the name of the flow",
    "loop-without-bound": "a loop has no bound on its rounds, and the flow has no timeout",
    "loop-without-wait": "a loop has no wait, so it goes round as fast as its steps run",
    "odd-arn": "a resourceArn has no form that is known",
    "repeated-name": "a step of another series has the same name",
    "short-wait": "a wait in a loop is shorter than a second",
    "task-token": "$context.task.token is read where there is none",
    "uncatchable-error": "an error that ends the execution is named in retry or catch",
    "unknown-context": "a path into $context leads nowhere",
    "unknown-function": "no function is registered for a resource",
    "unnamed-status": "a job that ends in a status nobody named is polled for ever",
    "unreachable-step": "nothing leads to a step",
    "unset-local": "a mapping reads a key of a local that nobody sets",
}
