"""Warnings of the errors that `retry` and `catch` name: uncatchable ones, and names that no error has.

A function may raise an error of any name. So a name is reported only if it is similar to a name that exists.
"""

from __future__ import annotations

from collections.abc import Iterator

from pollflow.fdl import lookalikes
from pollflow.fdl.lint.report import LintReport
from pollflow.fdl.model import FlowResource, Pattern, TaskStep
from pollflow.suggestions import near

ANY_ERROR = "FnF.ALL"
UNCATCHABLE = ("FnF.DataLimitExceeded", "FnF.EventLimitExceeded", "FnF.ExecutionTimeout")
KNOWN = (
    *(ANY_ERROR, "FnF.TaskTimeout", "FnF.InvalidLocal", "FnF.RuntimeError", *UNCATCHABLE),
    *("fnf.FlowNotExists", "fnf.ExecutionAlreadyExists", "fnf.InvalidArgument", "fnf.EntityTooLarge"),
    *("FC.FunctionNotFound", "FC.Unknown", "FC.ResourceThrottled", "FC.ResourceExhausted", "FC.InternalServerError"),
    *("FC.ServiceUnavailable", "FC.ServiceNotFound", "FC.InvalidArgument", "FC.AccessDenied", "FC.HandlerTimeout"),
)
"""The errors of pollflow, and those of Function Compute that functions raise most."""
_ALL_WORDS = frozenset(("all", "any", "*", "fnf.*", "fc.*", "*.*", "states.all", "all errors", "fnf"))
_ALIASES = {"IOError": "OSError", "EnvironmentError": "OSError", "WindowsError": "OSError"}
"""Other names of Python classes. An exception is matched by the name that its class has."""
_CUTOFFS = {"fnf": 0.75, "fc": 0.85}
"""The least similarity by prefix. Function Compute has more errors than those of KNOWN."""
_MAX_NAME = 200
_BY_PLAIN = {name.lower(): name for name in KNOWN}
_ENDS = {
    prefix: {plain.partition(".")[2]: name for plain, name in _BY_PLAIN.items() if plain.startswith(f"{prefix}.")}
    for prefix in _CUTOFFS
}
"""Prefix -> the rest of a name in lower case -> the name."""


def lint_errors(step: TaskStep, report: LintReport) -> None:
    """Warn of the errors of a step's retry policies and catches."""
    # The uncatchable errors of a sub-flow are ordinary failures of the step that waits for it.
    is_own = not isinstance(step.resource, FlowResource) or step.pattern is Pattern.REQUEST_RESPONSE
    for field, error in _named(step):
        if error in UNCATCHABLE:
            if is_own:
                report.warn(field, "uncatchable-error", f"{error} ends the execution; it is never retried or caught")
        elif not report.is_full and (meant := meant_by(error)) is not None:
            hint = lookalikes.hint(error)
            report.warn(field, "unknown-error", f'no error is named "{error[:100]}"{hint}; did you mean "{meant}"?')


def meant_by(name: str) -> str | None:
    """Return the error that a name probably stands for; None if the name exists, or if a function may raise it."""
    if name in KNOWN or len(name) > _MAX_NAME:
        return None
    plain = lookalikes.plain(name).lower()
    if plain in _ALL_WORDS:
        return ANY_ERROR
    if name in _ALIASES:
        return _ALIASES[name]
    if plain in _BY_PLAIN:
        return _BY_PLAIN[plain]
    prefix, _, end = plain.partition(".")
    found = near(end, _ENDS[prefix], cutoff=_CUTOFFS[prefix]) if prefix in _ENDS else None
    return None if found is None else _ENDS[prefix][found]


def _named(step: TaskStep) -> Iterator[tuple[str, str]]:
    """Yield each error that the step names, with its field."""
    for name, lists in (
        ("retry", [policy.errors for policy in step.retry]),
        ("catch", [catch.errors for catch in step.catch]),
    ):
        for index, errors in enumerate(lists):
            for position, error in enumerate(errors):
                yield f"{step.path}.{name}[{index}].errors[{position}]", error
