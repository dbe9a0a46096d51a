"""Match errors with retry policies and catches, and compute retry delays, as `docs/language.md` describes."""

from __future__ import annotations

from collections.abc import Sequence

from pollflow.fdl.model import Catch, Retry

ANY_ERROR = "FnF.ALL"


def matching_policy(policies: Sequence[Retry], names: Sequence[str]) -> int | None:
    """Return the position of the first policy that names the error, which may have several names."""
    return next((i for i, policy in enumerate(policies) if _matches(policy.errors, names)), None)


def matching_catch(catches: Sequence[Catch], names: Sequence[str]) -> Catch | None:
    """Return the first catch that names the error, which may have several names."""
    return next((catch for catch in catches if _matches(catch.errors, names)), None)


def delay_before_retry(policy: Retry, done: int) -> float:
    """Return the seconds before the next retry after `done` retries: 10, 20, 40 for an interval of 10, doubled."""
    cap = policy.max_interval_seconds
    delay = policy.interval_seconds
    # Multiply step by step: a power with a large exponent overflows, although the cap is reached early.
    for _ in range(done):
        if delay >= cap or policy.multiplier == 1:
            break
        delay *= policy.multiplier
    return min(delay, cap)


def _matches(errors: Sequence[str], names: Sequence[str]) -> bool:
    return ANY_ERROR in errors or any(name in errors for name in names)
