"""The limits of one execution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an execution may use."""

    payload_bytes: int = 32 * 1024
    """Of the input, output and local of one step together."""
    events: int = 250_000
    """Of the history."""
    max_concurrency: int = 100
    """Children of one parallel or foreach step that run at once."""
    max_wait_seconds: float = 365 * 86_400
    """Of one wait."""
