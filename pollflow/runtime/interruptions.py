"""Which exceptions in a running function are not its own: Celery raised them to stop the worker or the task.

| pool | a stop of the worker | `revoke(terminate=True)` | hard time limit |
| --- | --- | --- | --- |
| prefork | `SystemExit` by the child's signal handler | the same | the same, and SIGKILL 0.1 s later |
| gevent | nothing; the function ends | `GreenletExit` | `gevent.Timeout` |
| threads | nothing; the function ends | not possible | not possible |
| solo | nothing; a third signal raises `WorkerTerminate` | not possible | not possible |

A soft time limit interrupts nothing: `SoftTimeLimitExceeded` is the error of the step. So is every other exception,
such as the `SystemExit` of a function that calls `sys.exit()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pollflow.runtime import shutdown_flag

IsInterruption = Callable[[BaseException], bool]
"""Returns whether an exception ends a call without a result, so that the call is made again."""

_MAX_RELATED = 200


def is_interruption(error: BaseException) -> bool:
    """Return whether Celery raised the error, or one that led to it, to stop the worker or the task."""
    return any(_stops(each) for each in _related(error))


def reason_of(error: BaseException) -> str:
    """Return what ended the call, for users; empty if unknown. Only gevent's exception tells of a hard time limit."""
    seconds = None if issubclass(type(error), Exception) else getattr(error, "seconds", None)
    return hard_limit_reason(seconds) if isinstance(seconds, int | float) else ""


def hard_limit_reason(seconds: float) -> str:
    """Return the reason of a call that Celery's hard time limit ended."""
    return f"was ended by Celery's hard time limit of {seconds:g} s"


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the direct members of an exception group, also of the backport for Python 3.10; none of other errors."""
    names = [base.__name__ for base in type.mro(type(error))]
    if "BaseExceptionGroup" not in names:
        return ()
    try:
        members = tuple(error.exceptions)  # type: ignore[attr-defined]
    except Exception:  # a class of the user may have that name
        return ()
    return tuple(member for member in members if issubclass(type(member), BaseException))


def _stops(error: BaseException) -> bool:
    if issubclass(type(error), Exception):
        return False
    # Imported here, because clients and flow tests do not need Celery.
    from pollflow.runtime.celery_internals import has_terminate_signal, is_stopped_greenlet

    if issubclass(type(error), SystemExit | KeyboardInterrupt):
        return shutdown_flag.is_stopping() or has_terminate_signal()
    return is_stopped_greenlet(error)


def _related(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, the members of groups, and the exceptions during whose handling these were raised."""
    seen: set[int] = set()
    left = [error]
    while left and len(seen) < _MAX_RELATED:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        # By the descriptors of BaseException, since a class of the user may override the attributes.
        context, cause = (vars(BaseException)[name].__get__(each) for name in ("__context__", "__cause__"))
        left += [other for other in (context, cause, *members_of(each)) if other is not None]
